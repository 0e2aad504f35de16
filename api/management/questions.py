"""Ask before something is deleted."""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError, OutputWrapper


def add_question_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--no-input", "--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only print what would be deleted")


def confirm(question: str, options: Mapping[str, Any], stderr: OutputWrapper) -> None:
    """Ask a question on the terminal. Raises `CommandError` unless the answer is yes."""
    if options["no_input"]:
        return
    if not sys.stdin.isatty():
        raise CommandError("Nothing was deleted. Without a terminal, give --no-input.")
    stderr.write(f"{question} [y/N] ", style_func=str, ending="")
    stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("Nothing was deleted.")

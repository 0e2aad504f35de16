"""Read README and docs: their sections, code blocks and tables."""

import re
from collections.abc import Iterator
from pathlib import Path

from api.tests.support.server import PROJECT

README = PROJECT / "README.md"
DOCS = PROJECT / "docs"
PAGES = (README, *sorted(DOCS.glob("*.md")))


def section(page: Path, title: str) -> str:
    found = re.search(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page.read_text(), re.DOTALL | re.MULTILINE
    )
    assert found, f"{page.name}: {title}"
    return found[1]


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def rows(text: str) -> Iterator[list[str]]:
    """Return the cells of each row of the tables in a text, without their heads."""
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        for line in table.splitlines()[2:]:
            yield line.removeprefix("| ").removesuffix(" |").split(" | ")


def quoted(text: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`]+)`", text)

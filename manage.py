#!/usr/bin/env python
"""Django's command line for this project. Expected failures print one line, not a traceback."""

import os
import sys

NOT_INSTALLED = (
    "{} is not installed for this Python: activate the virtual environment, "
    "or run `pip install -r authdemo/requirements.txt`."
)
try:
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError, connection
except ModuleNotFoundError:
    sys.exit(NOT_INSTALLED.format("Django"))


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authdemo.settings")
    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError:
        sys.exit("The arguments must be UTF-8.")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package in {"api", "authdemo"} or "--traceback" in sys.argv:
            raise
        sys.exit(NOT_INSTALLED.format(package))
    except DatabaseError as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(explain(error))


def explain(error: DatabaseError) -> str:
    """Return the database error, and the remedy if migrations or permissions are missing."""
    from django.db.migrations.executor import MigrationExecutor  # takes 0.1 s; only needed here

    first_line = str(error).partition("\n")[0]
    try:
        executor = MigrationExecutor(connection)
        lacks_migrations = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:  # it fails for this query too
        lacks_migrations = []
    remedy = "; run `manage.py migrate`." if lacks_migrations else ""
    if "readonly" in first_line:
        remedy = "; set DATABASE_URL to one that can be written."
    return f"{type(error).__name__}: {first_line}{remedy}"


if __name__ == "__main__":
    main()

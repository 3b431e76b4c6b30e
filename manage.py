#!/usr/bin/env python
"""Django's command line. A setting that is missing stops it with one sentence instead of a traceback."""

import os
import sys
from pathlib import Path


def main() -> None:
    from django.core.exceptions import ImproperlyConfigured

    try:
        (connect if sys.argv[1:2] == ["connect"] else execute)(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"devpocket: {error}")


def execute(arguments: list[str]) -> None:
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "devpocket.settings")
    execute_from_command_line(arguments)


def connect(arguments: list[str]) -> None:
    """The client needs no setting but where the server is; without Django's apps it is there in a fifth of the time."""
    from devpocket.env import Env
    from terminals.management.commands.connect import Command

    Env().read_dotenv(Path(__file__).resolve().parent / ".env")
    Command().run_from_argv(arguments)


if __name__ == "__main__":
    main()

"""manage.py import_templates [DIR]: create and update templates from YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from templates_catalog.importer import DATA_DIR, ImportRefused, import_templates


class Command(BaseCommand):
    help = (
        "Create and update templates from the *.yaml files of a directory (default: the set that comes with DevPocket)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", nargs="?", type=Path, default=DATA_DIR)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = import_templates(options["directory"])
        except ImportRefused as refused:
            raise CommandError("nothing was changed:\n  " + "\n  ".join(refused.problems)) from refused
        self.stdout.write(
            f"templates: {len(report.created)} created, {len(report.updated)} updated, "
            f"{len(report.unchanged)} unchanged"
        )

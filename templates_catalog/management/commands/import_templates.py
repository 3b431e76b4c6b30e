"""manage.py import_templates [PATH...]: create and update templates from YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from templates_catalog.importer import DATA_DIR, ImportRefused, ImportReport, import_templates, label, read_templates


class Command(BaseCommand):
    help = (
        "Create and update templates from YAML files: those named, and the *.yaml of directories named "
        "(default: the set that comes with DevPocket). A problem in any of them, and nothing is changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="a file, or a directory of files")
        parser.add_argument("--dry-run", action="store_true", help="say what would be changed, and change nothing")
        parser.add_argument("--check", action="store_true", help="only read the files, without the database")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="deprecate the templates that no file names; their environments live on. Takes directories only",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        paths: list[Path] = options["paths"]
        if options["check"] and (options["dry_run"] or options["prune"]):
            raise CommandError("--check reads files only: it goes with neither --dry-run nor --prune")
        try:
            if options["check"]:
                files = read_templates(paths or [DATA_DIR])
                for file in files:
                    self.stdout.write(f"{label(file.path)}: {file.template.name} is fine")
                self.stdout.write(f"templates: {len(files)} fine")
            else:
                report = import_templates(*paths, prune=options["prune"], dry_run=options["dry_run"])
                self._tell(report, is_dry=options["dry_run"])
        except ImportRefused as refused:
            raise CommandError("nothing was changed:\n  " + "\n  ".join(refused.problems)) from refused

    def _tell(self, report: ImportReport, *, is_dry: bool) -> None:
        would = "would be " if is_dry else ""
        for path, change in report.files:
            prefix = would if change.what != "unchanged" else ""
            keys = f": {', '.join(map(str, change.keys))}" if change.keys else ""
            self.stdout.write(f"{label(path)}: {change.name} {prefix}{change.what}{keys}")
        for name in report.pruned:
            self.stdout.write(f"no file: {name} {would}deprecated")
        counts = [f"{len(report.names(what))} {what}" for what in ("created", "updated", "unchanged")]
        self.stdout.write(
            f"templates: {', '.join(counts)}, {len(report.pruned)} deprecated"
            + (" (a dry run: nothing was changed)" if is_dry else "")
        )

"""manage.py reap_cloud: what is at the cloud and belongs to no environment. Says it; deletes it only with --delete."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from environments import cloudapi
from environments.budget import Priority
from environments.reaper import cloud_reap


class Command(BaseCommand):
    help = "List droplets, volumes and snapshots of ours that no environment owns; with --delete, remove them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--delete",
            action="store_true",
            help="delete all that is listed, also what no row of this database knows: make sure that no other "
            "installation uses this cloud account",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        delete = bool(options["delete"])
        report = cloud_reap(cloudapi.client(Priority.BACKGROUND), deletes_known=delete, deletes_unknown=delete)
        for orphan in report.found:
            done = "deleted" if orphan["deleted"] else "found"
            self.stdout.write(f"{done}  {orphan['kind']:8}  {orphan['id']}  {orphan['name']}: {orphan['reason']}")
        self.stdout.write(f"{report.seen} of ours at the cloud, {len(report.found)} without an owner")
        if report.error:
            raise CommandError(f"the cloud failed in the middle: {report.error}")
        if report.found and not delete:
            self.stdout.write("This was a dry run. --delete removes what is listed.")

"""manage.py doctor: does what is set work. One line a check, exit status 1 where one fails (docs/operations.md)."""

from __future__ import annotations

import logging
import sys
from typing import Any

from django.core.management.base import BaseCommand

from devpocket.doctor import examine


class Command(BaseCommand):
    help = "Check all that this server needs; changes and sends nothing."
    requires_system_checks: list[str] = []  # they are one of its lines

    def handle(self, *args: Any, **options: Any) -> None:
        logging.getLogger().setLevel(logging.CRITICAL)  # the lines say it
        is_well = True
        for finding in examine():
            self.stdout.write(str(finding))
            self.stdout.flush()
            is_well = is_well and finding.state == "ok"
        if not is_well:
            sys.exit(1)

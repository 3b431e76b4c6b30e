"""manage.py localcloud: the simulated cloud, for development and tests. Only with DEBUG on."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from environments.localcloud import cli


class Command(BaseCommand):
    help = "Serve a simulated DigitalOcean API whose droplets are real SSH servers on this machine's loopback."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        cli.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("the local cloud gives shells of this user to whoever asks: it needs DEBUG on.")
        status = cli.run(argparse.Namespace(**options))
        if status:
            sys.exit(status)

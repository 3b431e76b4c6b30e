"""manage.py reset_second_factor NAME: for the operator who has lost it and whom no other operator can help."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.second_factor import second_factor_remove
from accounts.selectors import find_user


class Command(BaseCommand):
    help = "Ask an operator for no code any more; they sign in with their password, and may set up a new one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="username or email address")

    def handle(self, *args: Any, **options: Any) -> None:
        user = find_user(options["name"])
        if user is None:
            raise CommandError(f"there is no account {options['name']!r}")
        if not second_factor_remove(user=user, actor=user, how=" by manage.py, on the server"):
            raise CommandError(f"{user.username} has set up no second factor")
        self.stdout.write(f"{user.username} is asked for no code any more")

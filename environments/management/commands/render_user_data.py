"""manage.py render_user_data TEMPLATE [--environment ID]: what a machine is set up from, its secrets masked."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from devpocket.errors import NotFound
from environments.cloud_init import UserDataTooLarge
from environments.models import Environment
from environments.set_up.preview import schema_problems, size_text, user_data_preview
from templates_catalog.selectors import get_template


class Command(BaseCommand):
    help = "Print the user-data of a template's machines, secrets masked; on standard error its size and its problems."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("template", help="a template's name")
        parser.add_argument("--environment", metavar="ID", type=UUID, help="as this environment's machine would get it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            template = get_template(options["template"], is_admin=True)
        except NotFound as error:
            raise CommandError(f"there is no template {options['template']}") from error
        environment = None
        if options["environment"]:
            environment = Environment.objects.filter(pk=options["environment"], template=template).first()
            if environment is None:
                raise CommandError(f"there is no environment {options['environment']} of this template")
        try:
            text = user_data_preview(template, environment)
        except UserDataTooLarge as error:
            raise CommandError(str(error)) from error
        self.stdout.write(text, ending="")
        self.stderr.write(size_text(text))
        if problems := list(schema_problems(text)):
            raise CommandError("cloud-init would not take it:\n  " + "\n  ".join(problems))

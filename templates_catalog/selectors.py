"""Reads of the catalogue."""

from __future__ import annotations

from django.db.models import QuerySet

from devpocket.errors import NotFound
from templates_catalog.models import Template
from templates_catalog.values import ALIASES, NAME


def templates_visible(*, is_admin: bool) -> QuerySet[Template]:
    """Most used first. People see active and beta ones, admins all."""
    rows = Template.objects.all()
    return rows if is_admin else rows.exclude(status=Template.Status.DEPRECATED)


def find_template(name: str, *, is_admin: bool = False) -> Template | None:
    """By name, any case, or by one of the other names it is known under."""
    wanted = name.strip().lower()
    if not NAME.match(wanted):
        return None
    return templates_visible(is_admin=is_admin).filter(pk=ALIASES.get(wanted, wanted)).first()


def get_template(name: str, *, is_admin: bool) -> Template:
    """Raises: NotFound."""
    template = find_template(name, is_admin=is_admin)
    if template is None:
        raise NotFound("There is no such template.")
    return template

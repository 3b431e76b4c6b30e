"""Reads of the catalogue."""

from __future__ import annotations

from django.db.models import Count, QuerySet

from devpocket.errors import NotFound
from devpocket.fixed_query import FixedQuery
from templates_catalog.models import Template
from templates_catalog.values import ALIASES, NAME, NAME_MAX


def templates_visible(*, is_admin: bool) -> QuerySet[Template]:
    """Most used first. People see active and beta ones, admins all."""
    rows = Template.objects.all()
    return rows if is_admin else rows.exclude(status=Template.Status.DEPRECATED)


# The same for people, as the phones ask for it.
templates_offered = FixedQuery(lambda: templates_visible(is_admin=False))


def templates_matching(rows: QuerySet[Template], search: str) -> QuerySet[Template]:
    """Those that have every word of `search` in a name, the description or a tag, in any case.

    Looked for here and not in the database: those differ in what they take for a letter's other case, and in how
    they write down a list of tags. A catalogue has tens of rows.
    """
    words = search.casefold().split()
    columns = rows.values_list("pk", "display_name", "description", "tags")
    found = [
        name
        for name, *texts, tags in columns
        if all(word in "\n".join(map(str, (name, *texts, *tags))).casefold() for word in words)
    ]
    return rows.filter(pk__in=found)


def template_categories(*, is_admin: bool) -> list[dict[str, object]]:
    """Every category, with how many of its templates the reader sees."""
    rows = templates_visible(is_admin=is_admin).order_by()
    counts = dict(rows.values_list("category").annotate(count=Count("pk")))
    return [
        {"name": category.value, "display_name": str(category.label), "count": counts.get(category.value, 0)}
        for category in Template.Category
    ]


def canonical_name(name: str) -> str | None:
    """The name that is meant, in any case or by one of the other names; None where it can't be one."""
    wanted = name.strip().lower()
    if len(wanted) > NAME_MAX or not NAME.match(wanted):
        return None
    return ALIASES.get(wanted, wanted)


def find_template(name: str, *, is_admin: bool = False) -> Template | None:
    """By name, any case, or by one of the other names it is known under."""
    wanted = canonical_name(name)
    return None if wanted is None else templates_visible(is_admin=is_admin).filter(pk=wanted).first()


def get_template(name: str, *, is_admin: bool) -> Template:
    """Raises: NotFound."""
    template = find_template(name, is_admin=is_admin)
    if template is None:
        raise NotFound("There is no such template.")
    return template

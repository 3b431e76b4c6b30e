"""What GET /environments can be narrowed by (contract 5.3)."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import QueryDict

from devpocket.errors import InvalidInput
from environments.catalogue import is_filter_region
from environments.lifecycle import Phase
from environments.models import Environment
from environments.selectors import environments_of, phases_for
from templates_catalog.selectors import find_template

FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}
FILTERS = ("status", "template_id", "region", "search", "include_terminated")


def filtered(query: QueryDict, owner_id: UUID) -> QuerySet[Environment]:
    """The owner's environments that the query asks for. Raises: InvalidInput, where it says what nothing is called."""
    phases = _phases(query)
    flag = query.get("include_terminated", "").lower()
    if flag not in FLAGS:
        raise InvalidInput.field("include_terminated", "include_terminated is true or false.")
    wants_terminated = FLAGS[flag] or (phases is not None and Phase.TERMINATED in phases)
    rows = environments_of(owner_id, with_terminated=wants_terminated)
    if phases is not None:
        rows = rows.filter(phase__in=phases)
    if (name := query.get("template_id", query.get("template"))) is not None:
        template = find_template(name, is_admin=True)  # one that is offered no more may be in use still
        if template is None:
            raise InvalidInput.field("template_id", "There is no such template.", "unknown_choice")
        rows = rows.filter(template=template)
    if (region := query.get("region")) is not None:
        if not is_filter_region(region):
            raise InvalidInput.field("region", "This region isn't known.", "unknown_choice")
        rows = rows.filter(region=region)
    if search := query.get("search"):
        rows = rows.none() if "\0" in search else rows.filter(name__icontains=search)  # no name has one
    return rows


def _phases(query: QueryDict) -> set[Phase] | None:
    """None: all."""
    words = query.get("status", query.get("status_filter"))
    if words is None:
        return None
    phases: set[Phase] = set()
    for word in words.split(","):
        found = phases_for(word.strip().lower())
        if found is None:
            raise InvalidInput.field("status", f"{word.strip()[:40]!r} is no status.", "unknown_choice")
        phases |= found
    return phases

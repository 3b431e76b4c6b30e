"""What GET /environments can be narrowed by (contract 5.3)."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter

from devpocket.errors import InvalidInput
from devpocket.fixed_query import FixedRows
from devpocket.paging import FLAGS, flag
from environments.catalogue import is_filter_region
from environments.lifecycle import Phase
from environments.models import Environment
from environments.selectors import environments_of, own_environments, phases_for
from templates_catalog.selectors import find_template

FILTERS = [
    OpenApiParameter("status", description="Statuses or phases, one or several with commas. Also `status_filter`."),
    OpenApiParameter("template_id", description="A template's name. Also `template`."),
    OpenApiParameter("region", description="A region's slug."),
    OpenApiParameter("search", description="Part of the name, in any case."),
    OpenApiParameter(
        "include_terminated",
        {"type": "string", "enum": sorted(FLAGS), "default": "false"},
        description="true: also those that were deleted.",
    ),
]


def filtered(query: QueryDict, owner_id: UUID) -> QuerySet[Environment] | FixedRows[Environment]:
    """The owner's environments that the query asks for. Raises: InvalidInput, where it says what nothing is called."""
    if not query:  # as phones ask, every time that they are opened
        return own_environments(owner_id=owner_id)
    phases = _phases(query)
    has_terminated = phases is not None and Phase.TERMINATED in phases
    wants_terminated = flag(query, "include_terminated") or has_terminated
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

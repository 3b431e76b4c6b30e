"""What the views of environments share: reading ids and the wish for full statuses, and the answers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.cache import patch_vary_headers
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.plans import plan_limits
from devpocket.api import ApiViewSet
from devpocket.errors import NotFound
from environments.api.serializers import shown_to_owner
from environments.errors import InvalidState
from environments.lifecycle import COMPAT_STATUS, Phase, asks_full_status
from environments.models import Environment
from environments.selectors import get_environment

STATUS_HEADER = "X-DevPocket-Status"
FULL_STATUS = [
    OpenApiParameter(
        STATUS_HEADER,
        location=OpenApiParameter.HEADER,
        description="`full`: `status` is the phase, in this answer.",
        examples=[OpenApiExample("full", value="full")],
    ),
    OpenApiParameter("status_format", description=f"The same as {STATUS_HEADER}."),
]


def location_of(what: str) -> OpenApiParameter:
    """The header of an answer that creates `what`."""
    return OpenApiParameter(
        "Location",
        location=OpenApiParameter.HEADER,
        required=True,
        response=[201],
        description=f"The path of the new {what}.",
    )


# What an action answers, by the phase that it led to.
MESSAGES = {
    Phase.CREATING: "The environment is being recovered.",
    Phase.RUNNING: "The environment is running.",
    Phase.STOPPING: "The environment is stopping.",
    Phase.STOPPED: "The environment is stopped.",
    Phase.STARTING: "The environment is starting.",
    Phase.RESTARTING: "The environment is restarting.",
    Phase.RESIZING: "The environment is being resized.",
    Phase.ERROR: "The environment has run into an error.",
}


def parse_id(raw: str) -> UUID:
    """Raises: NotFound; a malformed id is as unknown as an unknown one."""
    try:
        return UUID(raw)
    except ValueError as error:
        raise NotFound("There is no such environment.") from error


def wants_full_status(request: Request) -> bool:
    """Clients that know all phases ask for them in `status` (contract 6.2)."""
    return asks_full_status(request.headers.get(STATUS_HEADER, ""), request.query_params.get("status_format", ""))


def status_for(request: Request, phase: Phase) -> str:
    """What `status` says of the phase in all answers of the request."""
    return str(phase if wants_full_status(request) else COMPAT_STATUS[phase])


def idle_minutes(request: Request) -> int:
    return plan_limits(request.user.plan).idle_stop_minutes


def shown(request: Request, *environments: Environment) -> list[dict[str, Any]]:
    """Environments of the caller's, as their objects. No queries."""
    return shown_to_owner(environments, plan=request.user.plan, is_full_status=wants_full_status(request))


def acted(request: Request, phase: Phase, message: str | None = None, **more: Any) -> Response:
    """What an action answers when the environment is in `phase`."""
    message = message or MESSAGES.get(phase, "The environment is being set up.")
    return Response({"message": message, "status": status_for(request, phase), "phase": str(phase), **more})


class EnvironmentsViewSet(ApiViewSet):
    """Answers differ by who wants full statuses; and OPTIONS too knows only the caller's own environments."""

    def handle_exception(self, error: Exception) -> Response:
        if isinstance(error, InvalidState) and "status" in error.context:
            error.context["status"] = status_for(self.request, Phase(error.context["phase"]))
        return super().handle_exception(error)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        patch_vary_headers(response, [STATUS_HEADER])
        return response

    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        if "pk" in kwargs:
            get_environment(parse_id(kwargs["pk"]), owner_id=request.user.pk)
        return super().options(request, *args, **kwargs)

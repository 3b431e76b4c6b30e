"""How the API's description (OpenAPI) is headed and made; devpocket/openapi.py has what all routes share."""

from __future__ import annotations

from typing import Any

from devpocket import __version__

API_DESCRIPTION = """\
The server of a mobile-first cloud IDE: sign in, create environments (Linux machines in the cloud), open \
terminals on them.

* `Authorization: Bearer <access token>` signs in; `POST /api/v1/auth/login` gives the token.
* Every route answers alike with and without a slash at its end, and HEAD and OPTIONS where there is GET.
* Requests may spell every field of a body's outermost object in camelCase, may leave out or give as null what isn't \
needed, and may have fields that nobody knows: these are ignored.
* Times are ISO 8601 in UTC, ids are texts. Lists are bare arrays, with the page in `X-Total-Count` and `Link`.
* Every answer that isn't 2xx has the shape of `Error`. Its `code` is for programs.
* Terminals and logs are WebSockets, which this description can't hold: `docs/websocket-protocol.md` of the project \
does.

More headers of every answer are in the project's `docs/api.md`.
"""
# What settings.py hands to drf-spectacular. Dotted names, so that devpocket need not import the apps above it.
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "DevPocket API",
    "VERSION": __version__,
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["devpocket.openapi.as_they_are_called"],
    "OAS_VERSION": "3.1.1",
    "COMPONENT_SPLIT_REQUEST": True,  # what is sent and what comes back differ
    "COMPONENT_SPLIT_PATCH": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "Phase": "environments.api.serializers.PHASES",
        "Plan": "accounts.models.Plan",
        "SnapshotStatus": "environments.api.change_serializers.SNAPSHOT_STATUSES",
        "BillingState": "environments.api.serializers.BILLING_STATES",
        "SizeTier": "environments.api.serializers.SIZE_TIERS",
        "LogLevel": "environments.api.logs_views.LEVELS",
        "LogSource": "environments.api.logs_views.SOURCES",
        "TemplateStatus": "templates_catalog.api.serializers.STATUSES",
        "TemplateCategory": "templates_catalog.api.serializers.CATEGORIES",
        "RecordingState": "terminals.api.recording_serializers.STATES",
        "ShareMode": "terminals.models.Mode",
        "HealthStatus": "devpocket.health_views.HEALTH",
        "ReadyStatus": "devpocket.health_views.READY",
        "LiveStatus": "devpocket.health_views.LIVE",
        "CheckResult": "devpocket.health_views.CHECK",
        "TokenType": "accounts.api.serializers.TOKEN_TYPES",
    },
    "DESCRIPTION": API_DESCRIPTION,
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "SERVERS": [{"url": "/"}],
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False, "validatorUrl": None},
}

"""`schema.json` as the description of requests, which differ from a template file in a few ways."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from templates_catalog.rules import SCHEMA


def request_body(*, is_partial: bool) -> dict[str, Any]:
    """As `extend_schema(request=...)` takes it. Fields that aren't known are ignored, so nothing forbids them."""
    schema = deepcopy(SCHEMA)
    for key in ("$schema", "$id", "additionalProperties"):
        del schema[key]
    schema["title"] = "TemplateChange" if is_partial else "TemplateRequest"
    fields = schema["properties"]
    if is_partial:
        del schema["required"], fields["name"]
    for name, part in fields.items():
        if is_partial:
            part.pop("default", None)  # what is left out stays
        if name not in schema.get("required", ()):
            _allow_null(part)
    # Either key will do.
    fields["docker_image"] = {"type": ["string", "null"], "description": "The same as image."}
    return {"application/json": schema}


def _allow_null(part: dict[str, Any]) -> None:
    if "null" not in part["type"]:
        part["type"] = [part["type"], "null"]
    if "enum" in part:
        part["enum"] = [*part["enum"], None]

"""`schema.json` as OpenAPI 3.0 puts it, for the description of requests."""

from __future__ import annotations

from typing import Any

from templates_catalog.rules import SCHEMA

# What OpenAPI 3.0 doesn't know; the published schema has it all.
UNKNOWN = {"$schema", "$id", "x-rule", "allOf", "propertyNames"}


def as_openapi(schema: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, list):
            told |= {"type": value[0], "nullable": True}
        elif key == "properties":
            told[key] = {name: as_openapi(part) for name, part in value.items()}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            told[key] = as_openapi(value)
        elif key not in UNKNOWN:
            told[key] = value
    return told


def request_body(*, is_partial: bool) -> dict[str, Any]:
    """As `extend_schema(request=...)` takes it. Fields that aren't known are ignored, so nothing forbids them."""
    schema = as_openapi(SCHEMA)
    del schema["additionalProperties"]
    schema["properties"] = {
        **schema["properties"],
        "docker_image": {"type": "string", "description": "The same as image."},
    }
    for name, part in schema["properties"].items():
        if is_partial or name not in SCHEMA["required"]:
            part["nullable"] = True
            if "enum" in part:
                part["enum"] = [*part["enum"], None]  # OpenAPI 3.0 wants it said twice
        if is_partial:
            part.pop("default", None)  # what is left out stays
    if is_partial:
        del schema["required"]
        del schema["properties"]["name"]
    schema["title"] = "TemplateChange" if is_partial else "TemplateRequest"
    return {"application/json": schema}

"""Reading the fields of a JSON body: the right type, or a 422 that names the field."""

import re
from typing import Any

from environments.localcloud.messages import ApiError, unprocessable

TAG_NAME = re.compile(r"[a-zA-Z0-9_\-:]{1,255}")  # specification, components/schemas/tags


def missing(name: str) -> ApiError:
    """A required field that is not there, or of the wrong type."""
    return unprocessable(f"{name} is missing or invalid.")


def text(body: dict[str, Any], name: str, default: str | None = None) -> str:
    """A string; required when there is no default."""
    value = body.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise missing(name)
    return value


def flag(body: dict[str, Any], name: str, *, default: bool = False) -> bool:
    """A boolean."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise missing(name)
    return default if value is None else value


def query_flag(query: dict[str, str], name: str) -> bool:
    """A boolean in the query string, false when it is left out."""
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise missing(name)
    return value == "true"


def number(body: dict[str, Any], name: str) -> int:
    """A required integer."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise missing(name)
    return value


def rows(body: dict[str, Any], name: str) -> list[Any]:
    """A list, empty when it is left out."""
    value = body.get(name)
    if value is not None and not isinstance(value, list):
        raise missing(name)
    return value or []


def tag_names(body: dict[str, Any]) -> list[str]:
    """The field `tags`, without repetitions."""
    names = rows(body, "tags")
    for name in names:
        if not isinstance(name, str) or not TAG_NAME.fullmatch(name):
            raise unprocessable("Tags may only contain letters, numbers, colons, dashes, and underscores.")
    return list({name.lower(): name for name in names}.values())

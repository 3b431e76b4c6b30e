"""What is known of templates beside the schema, and the rules of it that others share."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from templates_catalog.rules import SCHEMA, compiled, problems

_KEYS = SCHEMA["properties"]
NAME_MAX: int = _KEYS["name"]["maxLength"]
NAME = compiled(_KEYS["name"]["pattern"])
CPU = compiled(_KEYS["default_resources"]["properties"]["cpu"]["pattern"])
BYTES = compiled(_KEYS["default_resources"]["properties"]["memory"]["pattern"])
VARIABLES_MAX: int = _KEYS["environment_variables"]["maxProperties"]

# What other names for a template are understood on input (contract section 7).
ALIASES = {
    "node": "nodejs",
    "go": "golang",
    "coding-agent": "coding-agents",
    "full-stack": "fullstack",
    "python-3.11": "python",
    "nodejs-18": "nodejs",
    "go-1.21": "golang",
    "ubuntu-22.04": "ubuntu",
}


def check_variables(value: Any) -> None:
    """Environment variables: a map of names to texts. Raises: ValidationError."""
    found = problems(value, _KEYS["environment_variables"])
    if found:
        raise ValidationError([problem.sentence(problem.key or "The map") for problem in found])

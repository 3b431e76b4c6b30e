"""What the parts of a template may look like (contract section 7)."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,49}\Z")
SLUG = RegexValidator(NAME.pattern, "Only lower-case letters, digits, '.', '_' and '-', 50 at most.")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
VARIABLES_MAX, VARIABLE_VALUE_MAX = 100, 4096
RESERVED_PREFIX = "DEVPOCKET_"
CPU = re.compile(r"[0-9]{1,6}m?\Z")
BYTES = re.compile(r"([0-9]{1,12})(Ki|Mi|Gi|Ti|K|M|G)\Z")

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
    if not isinstance(value, dict):
        raise ValidationError("Must be a map of names to texts.")
    if len(value) > VARIABLES_MAX:
        raise ValidationError(f"At most {VARIABLES_MAX} variables.")
    for name, text in value.items():
        if not (isinstance(name, str) and VARIABLE_NAME.match(name)):
            raise ValidationError("A variable's name has letters, digits and '_', and does not begin with a digit.")
        if name.startswith(RESERVED_PREFIX):
            raise ValidationError(f"Names that begin with {RESERVED_PREFIX} are reserved.")
        if not isinstance(text, str):
            raise ValidationError(f"The value of {name} must be a text.")
        if len(text) > VARIABLE_VALUE_MAX or "\0" in text:
            raise ValidationError(f"The value of {name} is longer than {VARIABLE_VALUE_MAX} characters or has a NUL.")


class TextsCheck:
    """A validator for a list of texts, as migrations can write it down."""

    def __init__(self, count_max: int, length_max: int) -> None:
        self.count_max, self.length_max = count_max, length_max

    def __call__(self, value: Any) -> None:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValidationError("Must be a list of texts.")
        if len(value) > self.count_max:
            raise ValidationError(f"At most {self.count_max} entries.")
        if any(len(item) > self.length_max for item in value):
            raise ValidationError(f"An entry is longer than {self.length_max} characters.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextsCheck) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.count_max, self.length_max))

    def deconstruct(self) -> tuple[str, tuple[int, int], dict[str, Any]]:
        return "templates_catalog.values.TextsCheck", (self.count_max, self.length_max), {}


def check_resources(value: Any) -> None:
    """{"cpu": "500m", "memory": "1Gi", "storage": "10Gi"}. Raises: ValidationError."""
    if not isinstance(value, dict) or set(value) - {"cpu", "memory", "storage"}:
        raise ValidationError("Must be a map with cpu, memory and storage.")
    for name, text in value.items():
        pattern = CPU if name == "cpu" else BYTES
        if not (isinstance(text, str) and pattern.match(text)):
            raise ValidationError(f"{name} must look like {'500m' if name == 'cpu' else '10Gi'}.")


def check_config(value: Any) -> None:
    """{"min_size": slug, "packages": [names]}, each optional. Raises: ValidationError."""
    if value is None:
        return
    if not isinstance(value, dict) or set(value) - {"min_size", "packages"}:
        raise ValidationError("May have min_size and packages.")
    TextsCheck(200, 200)(value.get("packages", []))
    if not isinstance(value.get("min_size", ""), str):
        raise ValidationError("min_size must be a size's slug.")

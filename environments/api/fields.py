"""What requests for environments are made of."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from devpocket.fields import TextField
from templates_catalog.rules import SCHEMA
from templates_catalog.values import check_variables

# Control and format characters (the bidirectional ones are among these), half surrogate pairs, private use, line and
# paragraph separators. Not those that nobody has assigned: newer emoji are, for an older Python.
UNFIT_FOR_NAMES = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
JOINER = "\u200d"  # of several emoji to one: the only format character that a name may have
NOTHING_TO_SEE = {"Mn", "Zs"}  # what changes another character (emoji variations are such), and blanks


def check_name(name: str) -> None:
    categories = {unicodedata.category(character) for character in name.replace(JOINER, "")}
    if categories & UNFIT_FOR_NAMES:
        raise serializers.ValidationError("Name must not contain control characters or invisible ones.")
    if "<" in name or ">" in name:
        raise serializers.ValidationError("Name must not contain angle brackets.")
    if categories <= NOTHING_TO_SEE:
        raise serializers.ValidationError("Name must have something to see.")


class NameField(TextField):
    """What people call a thing of theirs; nothing in it hides, or turns the text around it."""

    default_error_messages = {
        "max_length": "Name must have at most {max_length} characters.",
        "blank": "Please give a name.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validators.append(check_name)


class AmountField(TextField, serializers.RegexField):
    """Like 500m or 1Gi, from its beginning to its end: DRF looks for the pattern anywhere in the text."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        super().__init__(rf"\A{pattern.pattern}", required=False, allow_null=True, trim_whitespace=False)


VARIABLES: dict[str, Any] = SCHEMA["properties"]["environment_variables"]
# Of a change: null takes a variable away.
MERGED_VARIABLES = {
    **{key: value for key, value in VARIABLES.items() if key != "default"},
    "additionalProperties": {**VARIABLES["additionalProperties"], "type": ["string", "null"]},
}


@extend_schema_field(VARIABLES)
class VariablesField(serializers.JSONField):
    """A map of names to texts (contract 5.2), kept as it is: no blank is trimmed, no number becomes a text."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        try:
            check_variables(data)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages) from error
        for value in data.values():
            try:
                value.encode()
            except UnicodeEncodeError as error:  # half of a surrogate pair
                raise serializers.ValidationError("A value is no valid text.") from error
        return dict(data)


@extend_schema_field(MERGED_VARIABLES)
class MergedVariablesField(VariablesField):
    """As the map of a create, but null is a value too: it takes the variable away."""

    def to_internal_value(self, data: Any) -> dict[str, str | None]:  # type: ignore[override]
        if not isinstance(data, dict):
            return dict(super().to_internal_value(data))
        checked = super().to_internal_value({key: "" if value is None else value for key, value in data.items()})
        return {key: None if data[key] is None else value for key, value in checked.items()}

"""What requests and answers are made of.

A field of a request takes its own JSON type only: DRF would make texts of numbers, and the reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from functools import cache
from typing import Any

from rest_framework import serializers

from devpocket.times import time_text


@cache
def writer(serializer: type[serializers.BaseSerializer], **context: Hashable) -> Callable[[Any], dict[str, Any]]:
    """What makes an answer's object of a row: the serializer's `to_representation`, in this context.

    One for all requests, and threads: DRF copies each field for each serializer, which takes longer than to show a row.
    So a context is of what has few values, and never of whoever asks.
    """
    found: Callable[[Any], dict[str, Any]] = serializer(context=context).to_representation
    return found


class TextField(serializers.CharField):
    """A text: DRF would take a number for one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class FlagField(serializers.BooleanField):
    """true or false: DRF would take "yes" and 1 as well."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class WholeNumberField(serializers.IntegerField):
    """A JSON number without a fraction: DRF would take true, 10.0 and "10" for one."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class TimeField(serializers.DateTimeField):
    """For answers. DRF's own looks up the request's time zone for each value, which takes longest."""

    def to_representation(self, value: datetime) -> str:
        return time_text(value)

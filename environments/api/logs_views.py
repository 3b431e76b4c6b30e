"""An environment's logs (contract 5.8)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from environments.api.common import EnvironmentsViewSet
from environments.api.queries import WholeNumberTextField, asked_of
from environments.log_lines import Level, Source
from environments.logs import LogQuery, environment_logs

LEVELS, SOURCES = [str(level) for level in Level], [str(source) for source in Source]
FORMATS = ("text", "objects")
# "+" in a query string is a blank: an offset that wasn't escaped comes as " 02:00" at the end.
BLANK_OFFSET = re.compile(r"(?<=[0-9]) (?=[0-9]{2}:?[0-9]{2}\Z)")


@extend_schema_field({"type": "string", "format": "date-time"})
class TimeField(serializers.Field[datetime, str, Any, Any]):
    """An ISO time; one without a zone is UTC."""

    default_error_messages = {"invalid": "since must be an ISO 8601 time, as 2026-01-31T12:00:00Z."}

    def to_internal_value(self, data: Any) -> datetime:
        text = str(data)
        if "T" in text or text.count(":") > 2:  # else the blank is the one between date and time
            text = BLANK_OFFSET.sub("+", text)
        try:
            at = datetime.fromisoformat(text)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("invalid")


@extend_schema_field({"type": "string"})
class WordsField(serializers.Field[tuple[StrEnum, ...], str, Any, Any]):
    """Words of a list, one or several with commas between them, whatever their case."""

    default_error_messages = {"unknown_choice": "{word} is none of {choices}."}

    def __init__(self, words: type[StrEnum], **options: Any) -> None:
        super().__init__(**options)
        self.words = {str(word).lower(): word for word in words}

    def to_internal_value(self, data: Any) -> tuple[StrEnum, ...]:
        found = []
        for text in str(data).split(","):
            word = self.words.get(text.strip().lower())
            if word is None:
                self.fail("unknown_choice", word=repr(text.strip()[:40]), choices=", ".join(self.words.values()))
            found.append(word)
        return tuple(found)


class LogsQuery(serializers.Serializer):
    lines = WholeNumberTextField(min_value=1, max_value=1000, default=100)
    since = TimeField(required=False, help_text="Only lines of this time and later.")
    level = WordsField(Level, required=False, help_text="DEBUG, INFO, WARN or ERROR, or several with commas.")
    source = WordsField(Source, required=False, help_text="As in entries, or several with commas.")
    format = serializers.ChoiceField(choices=FORMATS, default="text", help_text="What `logs` holds.")


class EntrySerializer(serializers.Serializer):
    timestamp = serializers.DateTimeField()
    level = serializers.ChoiceField(choices=LEVELS)
    message = serializers.CharField()
    source = serializers.ChoiceField(choices=SOURCES)

    class Meta:
        ref_name = "LogEntry"


@extend_schema_field({"oneOf": [{"type": "string"}, {"$ref": "#/components/schemas/LogEntry"}]})
class LineField(serializers.Field[Any, Any, Any, Any]):
    """A line as a text, or as what `entries` hold."""


class LogsSerializer(serializers.Serializer):
    """`logs`: texts, or with `format=objects` what `entries` holds."""

    environment_id = serializers.CharField()
    environment_name = serializers.CharField()
    logs = serializers.ListField(child=LineField())
    entries = EntrySerializer(many=True)
    total = serializers.IntegerField()
    total_lines = serializers.IntegerField()
    has_more = serializers.BooleanField()


class LogsViewSet(EnvironmentsViewSet):
    @extend_schema(parameters=[LogsQuery], responses=LogsSerializer)
    async def aretrieve(self, request: Request, pk: str, **kwargs: Any) -> Response:
        """The newest log lines, oldest first; only our own where the machine can't be reached."""
        environment_id, asked = await asked_of(request, pk, LogsQuery)
        query = LogQuery(
            lines=asked["lines"],
            since=asked.get("since"),
            levels=asked.get("level", tuple(Level)),
            sources=asked.get("source", tuple(Source)),
        )
        found = await environment_logs(environment_id=environment_id, owner_id=request.user.pk, query=query)
        return Response({**found, "logs": found["entries"]} if asked["format"] == "objects" else found)

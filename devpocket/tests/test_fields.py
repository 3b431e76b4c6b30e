"""What requests and answers are made of."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from devpocket.fields import writer


class Told(serializers.Serializer):
    made = 0
    word = serializers.SerializerMethodField()

    def get_fields(self) -> dict[str, serializers.Field]:
        Told.made += 1
        fields: dict[str, serializers.Field] = super().get_fields()
        return fields

    def get_word(self, row: Any) -> str:
        return f"{row} {self.context['language']}"


def test_a_writers_fields_are_made_once_for_each_context() -> None:
    rows = [(row, language) for row in "ab" for language in ("en", "de")]
    told = [writer(Told, language=language)(row) for row, language in rows]
    assert told == [{"word": f"{row} {language}"} for row, language in rows]
    assert Told.made == 2

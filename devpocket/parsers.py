"""How request bodies are read: JSON only, at most 1 MiB, camelCase spellings accepted (contract section 1)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")


class PayloadTooLarge(APIException):
    status_code = 413
    default_detail = "The request is larger than 1 MiB."


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def snake_case_keys(body: dict[str, Any]) -> dict[str, Any]:
    """The same object with its camelCase keys in snake_case, which wins where both spellings are given.

    Only the outermost keys: what lies below is data (environment variables), where case matters.
    """
    renamed = {_HUMP.sub(lambda hump: "_" + hump[1].lower(), key): value for key, value in body.items()}
    return {**renamed, **{key: value for key, value in body.items() if key in renamed}}


class ApiJSONParser(JSONParser):
    """Raises: ParseError (400) for what is no JSON object, PayloadTooLarge (413)."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        raw = stream.read(settings.API_BODY_LIMIT_BYTES + 1)
        if len(raw) > settings.API_BODY_LIMIT_BYTES:
            raise PayloadTooLarge
        try:
            # Decoded here: left alone, json also guesses UTF-16 and lets half surrogate pairs through.
            body = json.loads(str(raw, "utf-8-sig"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:  # RecursionError: 100,000 opening brackets
            raise ParseError("The request body is not valid JSON.") from error
        if not isinstance(body, dict):
            raise ParseError("The request body must be a JSON object.")
        return snake_case_keys(body)

"""What reads of one environment take from the query string."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from rest_framework import serializers
from rest_framework.request import Request

from environments.api.common import parse_id
from environments.selectors import get_environment

WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


class WholeNumberTextField(serializers.IntegerField):
    """A whole number as text, in ASCII digits: DRF would take "1.0", "1_0", "+1" and " 1 " for one."""

    def to_internal_value(self, data: Any) -> int:
        if not (isinstance(data, str) and WHOLE_NUMBER.fullmatch(data)):
            self.fail("invalid")
        return int(data)


async def asked_of(request: Request, pk: str, form: type[serializers.Serializer]) -> tuple[UUID, dict[str, Any]]:
    """The environment's id, and what is asked of it.

    Raises: NotFound, before a word about the query: what is wrong with that is told to nobody but its owner.
    ValidationError. Where nothing is wrong, whose it is remains to be seen: whatever reads it looks anyway.
    """
    environment_id = parse_id(pk)
    query = form(data=request.query_params.dict())
    if not query.is_valid():
        await database_sync_to_async(get_environment)(environment_id, owner_id=request.user.pk)
        raise serializers.ValidationError(query.errors)
    return environment_id, query.validated_data

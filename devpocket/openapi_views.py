"""`GET /api/schema`: the description, made once a process, as it takes a second."""

from __future__ import annotations

from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularJSONAPIView

from devpocket.throttling import Bucket


@cache
def described() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return made


class CachedGenerator(SchemaGenerator):
    def get_schema(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return described()


class SchemaView(SpectacularJSONAPIView):
    generator_class = CachedGenerator
    authentication_classes: list[type] = []
    throttle_classes = [Bucket]

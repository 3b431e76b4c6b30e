"""How the routes are described (drf-spectacular)."""

from __future__ import annotations

from typing import Any

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from openapi_schema_validator import OAS31Validator

from templates_catalog.rules import KEYS
from templates_catalog.tests.samples import LEAST, MOST, without

ROUTES = {
    "": {"get", "post"},
    "/{name}": {"get", "put", "patch", "delete"},
    "/schema": {"get"},
    "/categories": {"get"},
    "/popular": {"get"},
    "/initialize": {"post"},
}


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    with GENERATOR_STATS.silence():
        described: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return {path: routes for path, routes in described["paths"].items() if path.startswith("/api/v1/templates")}


def body(route: dict[str, Any]) -> dict[str, Any]:
    return dict(route["requestBody"]["content"]["application/json"]["schema"])


def test_every_route_is_described(paths: dict[str, Any]) -> None:
    assert {path.removeprefix("/api/v1/templates"): set(routes) for path, routes in paths.items()} == ROUTES
    searched = {parameter["name"] for parameter in paths["/api/v1/templates"]["get"]["parameters"]}
    assert searched == {"category", "status", "search", "limit", "offset", "envelope"}


def test_what_a_create_takes_is_described_as_it_is(paths: dict[str, Any]) -> None:
    schema = body(paths["/api/v1/templates"]["post"])
    OAS31Validator.check_schema(schema)
    assert set(schema["properties"]) == {*KEYS, "docker_image"}
    described = OAS31Validator(schema)
    optional = dict.fromkeys(key for key in MOST if key not in LEAST)
    for good in (LEAST, MOST, {**LEAST, **optional}, {**LEAST, "colour": "red"}):
        assert described.is_valid(good)
    for bad in (without("name", MOST), {**MOST, "name": None}, {**MOST, "tags": "x"}, {**MOST, "config": {"x": 1}}):
        assert not described.is_valid(bad)


@pytest.mark.parametrize("method", ["put", "patch"])
def test_what_a_change_takes_is_described_as_it_is(paths: dict[str, Any], method: str) -> None:
    schema = body(paths["/api/v1/templates/{name}"][method])
    OAS31Validator.check_schema(schema)
    assert set(schema["properties"]) == {*KEYS, "docker_image"} - {"name"}
    described = OAS31Validator(schema)
    for good in ({}, {"tags": ["x"]}, dict.fromkeys(schema["properties"])):
        assert described.is_valid(good)
    assert not described.is_valid({"tags": "x"})

"""The description of the API: as committed, complete, and browsable without anybody else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from devpocket.health_views import HealthViewSet
from devpocket.testing.processes import ROOT

COMMITTED = ROOT / "docs" / "openapi.yaml"


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated anew; the command fails where it has anything to complain about."""
    file = tmp_path_factory.mktemp("openapi") / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(file))
    return file


def test_the_committed_description_is_that_of_the_code(described: Path) -> None:
    assert COMMITTED.read_text() == described.read_text(), "make openapi writes it anew"


def _views(patterns: list[Any]) -> list[Any]:
    found: list[Any] = []
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            found += _views(pattern.url_patterns)
        elif isinstance(pattern, URLPattern):
            found.append(getattr(pattern.callback, "cls", None))
    return [view for view in found if view is not None]


def test_every_view_of_the_api_is_described() -> None:
    views = [view for view in _views(get_resolver().url_patterns) if view.__module__.split(".")[0] != "drf_spectacular"]
    hidden = {view.__qualname__ for view in views if getattr(view, "schema", True) is None}
    assert HealthViewSet in views
    assert hidden <= {"UnknownRoute"}  # by name: another test makes the routes anew, and their classes


def test_every_operation_says_what_it_is_and_how_it_is_refused(described: Path) -> None:
    document = yaml.safe_load(described.read_text())
    operations = {
        operation["operationId"]: operation for routes in document["paths"].values() for operation in routes.values()
    }
    assert len(operations) == sum(map(len, document["paths"].values()))
    assert document["components"]["securitySchemes"]["accessToken"]["scheme"] == "bearer"
    for name, operation in operations.items():
        assert operation["description"], name
        if "health" not in name or "clusters" in name:
            assert {"400", "429", "500", "503"} <= set(operation["responses"]), name
            assert ("401" in operation["responses"]) or operation["security"] == [{}], name
    made = document["components"]["schemas"]["Environment"]["properties"]
    assert made["droplet_id"]["type"] == ["integer", "null"]
    refused = operations["environments_create"]["responses"]["403"]["$ref"]
    assert refused.endswith("/403.email_not_verified.environment_limit_reached.size_not_allowed")


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [str(given[name]) for name in ("src", "href") if given.get(name)]
        if tag == "script" and "src" not in given:
            self.inline.append(tag)


@pytest.mark.django_db  # a request ends with a look at the database's connection, where an earlier test left one
def test_the_page_needs_nobody_else_and_no_inline_script() -> None:
    client = Client()
    page = client.get("/docs")
    links = _Links()
    links.feed(page.content.decode())
    assert not links.inline
    paths = [link.removeprefix("http://testserver") for link in links.found]
    assert all(path.startswith("/") and not path.startswith("//") for path in paths), paths
    files = [path for path in paths if path.startswith("/static/")]
    assert len(files) >= 3
    for path in files:
        answer = client.get(path)
        answer.close()
        assert answer.status_code == 200
    [script] = [path for path in paths if path.startswith("/docs")]
    settings = client.get(script).content.decode()
    assert re.search(r'"validatorUrl":\s*null', settings)  # else it sends the address of ours to a service
    assert "/api/schema" in settings
    served = client.get("/api/schema")
    assert served.headers["X-RateLimit-Remaining"]
    assert served.json()["paths"] == yaml.safe_load(COMMITTED.read_text())["paths"]

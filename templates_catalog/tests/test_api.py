"""GET /templates and /templates/{name} (contract section 7, traps T11, T19, T20), and paging (section 1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.tests import wire
from templates_catalog.models import Template
from templates_catalog.tests.catalogue import offer_templates
from templates_catalog.values import ALIASES

LIST = "/api/v1/templates"
TEMPLATE: dict[str, wire.Reader] = {
    **dict.fromkeys(("id", "name", "display_name", "description", "docker_image", "image", "version"), wire.text),
    "category": wire.one_of(*Template.Category.values),
    "status": wire.one_of("active", "beta", "deprecated"),
    "tags": wire.texts,
    "startup_commands": wire.texts,
    "default_port": wire.whole,
    "usage_count": wire.whole,
    "default_resources": wire.text_map,
    "environment_variables": wire.text_map,
    "config": wire.nullable(lambda value: None),
    "documentation_url": wire.nullable(wire.text),
    "icon_url": wire.nullable(wire.text),
    "created_at": wire.time,
    "updated_at": wire.time,
}


@pytest.fixture
def client(ann: SignIn, client_of: Callable[[SignIn], APIClient]) -> APIClient:
    return client_of(ann)


@pytest.fixture
def admin(sign_up: Callable[..., SignIn], client_of: Callable[[SignIn], APIClient]) -> APIClient:
    return client_of(sign_up("boss", is_staff=True))


def make(name: str, **columns: Any) -> Template:
    columns = {"display_name": name.title(), "description": name, "category": "framework", **columns}
    return Template.objects.create(name=name, **columns)


def names(response: Response) -> list[str]:
    assert response.status_code == 200, response.content
    return [template["name"] for template in wire.decode(response)]


def test_every_template_that_comes_along_is_shown_in_full(client: APIClient) -> None:
    offer_templates()
    listed = wire.decode(client.get(LIST))
    assert len(listed) == Template.objects.count() > 0
    for template in listed:
        wire.check(template, TEMPLATE)
        assert template["id"] == template["name"]
        assert template["image"] == template["docker_image"]
        assert set(template["default_resources"]) == {"cpu", "memory", "storage"}
        assert template["config"] is None
        detail = client.get(f"{LIST}/{template['id']}")
        assert detail.status_code == 200
        assert wire.decode(detail) == template


@pytest.mark.parametrize("path", ["", "/python", "/nothing"])
def test_the_catalogue_is_for_users(db: None, path: str) -> None:
    wire.check_refusal(APIClient().get(f"{LIST}{path}"), 401, "not_authenticated")


def test_the_most_used_come_first_then_by_name(client: APIClient) -> None:
    for name, count in (("b", 1), ("d", 0), ("a", 0), ("c", 5)):
        make(name, usage_count=count)
    assert names(client.get(LIST)) == ["c", "b", "a", "d"]


def test_deprecated_ones_are_for_admins(client: APIClient, admin: APIClient) -> None:
    for name, status in (("new", "beta"), ("now", "active"), ("old", "deprecated")):
        make(name, status=status)
    assert names(client.get(LIST)) == ["new", "now"]
    assert names(client.get(f"{LIST}?status=deprecated")) == []
    wire.check_refusal(client.get(f"{LIST}/old"), 404, "not_found")
    assert names(admin.get(LIST)) == ["new", "now", "old"]
    assert names(admin.get(f"{LIST}?status=deprecated")) == ["old"]
    assert admin.get(f"{LIST}/old").status_code == 200


def test_only_admins_see_the_config(client: APIClient, admin: APIClient) -> None:
    config = {"packages": ["vim"], "min_size": "s-1vcpu-1gb"}
    make("x", config=config)
    for path in (f"{LIST}/x", LIST):
        shown = [wire.decode(one.get(path)) for one in (client, admin)]
        if path == LIST:
            shown = [templates[0] for templates in shown]
        assert [template["config"] for template in shown] == [None, config]


def test_every_value_of_the_maps_is_text_whoever_wrote_the_row(client: APIClient) -> None:
    make("x", environment_variables={"PORT": 8080, "DEBUG": True, "A": "b"}, default_resources={"cpu": 2})
    shown = wire.decode(client.get(f"{LIST}/x"))
    assert shown["environment_variables"] == {"PORT": "8080", "DEBUG": "True", "A": "b"}
    assert shown["default_resources"] == {"cpu": "2", "memory": "1Gi", "storage": "10Gi"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("category=database", ["db"]),
        ("category=devops", []),
        ("status=beta", ["db"]),
        ("status=active", ["web"]),
        ("status=active&category=framework", ["web"]),
        ("status=active&category=database", []),
        ("colour=red", ["db", "web"]),
    ],
)
def test_filters(client: APIClient, query: str, found: list[str]) -> None:
    make("db", category="database", status="beta")
    make("web")
    assert names(client.get(f"{LIST}?{query}")) == found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("category=snake", "category"),
        ("category=", "category"),
        ("category=%00", "category"),
        ("status=old", "status"),
        ("status=ACTIVE", "status"),
        ("status=active,beta", "status"),
    ],
)
def test_an_unknown_filter_value_is_refused(client: APIClient, query: str, field: str) -> None:
    assert wire.field_codes(client.get(f"{LIST}?{query}")) == {field: "unknown_choice"}


@pytest.mark.parametrize("alias", ALIASES)
def test_other_names_are_understood(client: APIClient, alias: str) -> None:
    make(ALIASES[alias])
    assert wire.decode(client.get(f"{LIST}/{alias.upper()}"))["id"] == ALIASES[alias]


@pytest.mark.parametrize("name", ["python", "PYTHON", "Python", "%20python%20", "python/"])
def test_a_name_has_no_case(client: APIClient, name: str) -> None:
    make("python")
    assert wire.decode(client.get(f"{LIST}/{name}"))["id"] == "python"


@pytest.mark.parametrize(
    "name", ["nothing", "pyth", "a%00b", "%00", "%ff", "x" * 300, "%20", "python%0A1", "a%2Fb", "%"]
)
def test_what_is_no_template_is_not_found(client: APIClient, name: str) -> None:
    make("python")
    wire.check_refusal(client.get(f"{LIST}/{name}"), 404, "not_found")


def page(client: APIClient, query: str) -> tuple[list[str], dict[str, str]]:
    """The names on a page, and the query of each link by its rel."""
    response = client.get(f"{LIST}?{query}")
    assert response["X-Total-Count"] == "5"
    links = {}
    for link in filter(None, response.get("Link", "").split(", ")):
        url, _, rel = link.partition("; rel=")
        assert url.startswith(f"<http://testserver{LIST}?")
        links[rel.strip('"')] = url.partition("?")[2].rstrip(">")
    return names(response), links


@pytest.fixture
def _five(db: None) -> None:
    for name in "abcde":
        make(name)


@pytest.mark.usefixtures("_five")
@pytest.mark.parametrize(
    ("query", "found", "links"),
    [
        ("", "abcde", {}),
        ("limit=200", "abcde", {}),
        ("limit=5&offset=0", "abcde", {}),
        ("limit=2", "ab", {"next": "limit=2&offset=2", "last": "limit=2&offset=4"}),
        (
            "limit=2&offset=2",
            "cd",
            {
                "first": "limit=2&offset=0",
                "prev": "limit=2&offset=0",
                "next": "limit=2&offset=4",
                "last": "limit=2&offset=4",
            },
        ),
        ("limit=2&offset=4", "e", {"first": "limit=2&offset=0", "prev": "limit=2&offset=2"}),
        ("limit=2&offset=99", "", {"first": "limit=2&offset=0", "prev": "limit=2&offset=97"}),
        (
            "status=active&limit=1&offset=0",
            "a",
            {"next": "status=active&limit=1&offset=1", "last": "status=active&limit=1&offset=4"},
        ),
    ],
)
def test_the_page_is_in_the_headers(client: APIClient, query: str, found: str, links: dict[str, str]) -> None:
    assert page(client, query) == (list(found), links)


@pytest.mark.usefixtures("_five")
def test_following_next_gives_every_template_once(client: APIClient) -> None:
    query, found = "limit=2", []
    while True:
        on_page, links = page(client, query)
        found += on_page
        if "next" not in links:
            break
        query = links["next"]
    assert found == list("abcde")


@pytest.mark.usefixtures("_five")
@pytest.mark.parametrize("word", ["true", "TRUE", "1"])
def test_the_page_can_be_wrapped(client: APIClient, word: str) -> None:
    response = client.get(f"{LIST}?envelope={word}&limit=2&offset=2")
    body = wire.decode(response)
    templates = {"templates": lambda value: [wire.check(item, TEMPLATE) for item in value] and None}
    numbers = dict.fromkeys(("total", "limit", "offset"), wire.whole)
    wire.check(body, {**templates, **numbers, "has_more": wire.flag})
    assert [template["id"] for template in body.pop("templates")] == ["c", "d"]
    assert body == {"total": 5, "limit": 2, "offset": 2, "has_more": True}
    assert wire.decode(client.get(f"{LIST}?envelope=true&limit=2&offset=4"))["has_more"] is False


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("limit=0", {"limit": "min_value"}),
        ("limit=201", {"limit": "max_value"}),
        ("limit=-1", {"limit": "invalid"}),
        ("limit=", {"limit": "invalid"}),
        ("limit=ten", {"limit": "invalid"}),
        ("limit=1.5", {"limit": "invalid"}),
        ("limit=%D9%A3", {"limit": "invalid"}),
        ("limit=" + "9" * 5000, {"limit": "invalid"}),
        ("offset=-1", {"offset": "invalid"}),
        ("offset=x", {"offset": "invalid"}),
    ],
)
def test_a_page_out_of_range_is_refused(client: APIClient, query: str, codes: dict[str, str]) -> None:
    assert wire.field_codes(client.get(f"{LIST}?{query}")) == codes


@pytest.mark.usefixtures("_five")
def test_the_list_takes_two_queries(
    client: APIClient, django_assert_num_queries: Callable[[int], CaptureQueriesContext]
) -> None:
    with django_assert_num_queries(2):  # the session, and the page, which is all
        assert client.get(LIST).status_code == 200

"""What there is beside the list of templates: search, categories, the popular ones, the schema (contract section 7)."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from devpocket.tests import wire
from templates_catalog.models import Template
from templates_catalog.rules import SCHEMA
from templates_catalog.tests.samples import LEAST
from templates_catalog.tests.test_api import TEMPLATE

LIST = "/api/v1/templates"
SLASHES = pytest.mark.parametrize("slash", ["", "/"])


@pytest.mark.parametrize("path", ["schema", "categories", "popular"])
def test_the_other_routes_are_for_users(db: None, path: str) -> None:
    wire.check_refusal(APIClient().get(f"{LIST}/{path}"), 401, "not_authenticated")


@SLASHES
def test_the_schema_is_published(user_api: APIClient, slash: str) -> None:
    response = user_api.get(f"{LIST}/schema{slash}")
    assert response.status_code == 200
    assert wire.decode(response) == SCHEMA


def offer() -> None:
    for name, category, status, count in (
        ("a", "framework", "active", 1),
        ("b", "framework", "beta", 3),
        ("c", "framework", "deprecated", 9),
        ("d", "database", "active", 3),
    ):
        columns = {**LEAST, "name": name, "category": category, "status": status}
        Template.objects.create(**columns, usage_count=count)


@SLASHES
def test_categories_say_how_many_templates_their_reader_sees(
    user_api: APIClient, admin_api: APIClient, slash: str
) -> None:
    offer()
    answer = wire.decode(user_api.get(f"{LIST}/categories{slash}"))
    for category in answer:
        wire.check(category, {"name": wire.text, "display_name": wire.text, "count": wire.whole})
    assert [category["name"] for category in answer] == Template.Category.values
    counts = {category["name"]: category["count"] for category in answer}
    assert {name: count for name, count in counts.items() if count} == {"framework": 2, "database": 1}
    seen = {category["name"]: category["count"] for category in wire.decode(admin_api.get(f"{LIST}/categories"))}
    assert seen["framework"] == 3


@SLASHES
def test_the_popular_ones_are_the_most_used_of_what_is_offered(
    user_api: APIClient, admin_api: APIClient, slash: str
) -> None:
    offer()
    for client in (user_api, admin_api):
        answer = wire.decode(client.get(f"{LIST}/popular{slash}"))
        assert [(template["name"], template["usage_count"]) for template in answer] == [("b", 3), ("d", 3), ("a", 1)]
        for template in answer:
            wire.check(template, TEMPLATE)
    response = user_api.get(f"{LIST}/popular{slash}?limit=1")
    assert [template["name"] for template in wire.decode(response)] == ["b"]
    assert response["X-Total-Count"] == "3"
    for number in range(20):
        Template.objects.create(**{**LEAST, "name": f"x{number}"})
    assert len(wire.decode(user_api.get(f"{LIST}/popular"))) == 10
    assert wire.field_codes(user_api.get(f"{LIST}/popular?limit=0")) == {"limit": "min_value"}


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("python", ["python"]),
        ("PYTHON", ["python"]),
        ("yth", ["python"]),
        ("snakes", ["python"]),
        ("straße", ["web"]),
        ("STRASSE", ["web"]),
        ("for snakes", ["python"]),
        ("snakes for", ["python"]),
        ("for", ["python", "web"]),
        ("for nothing", []),
        ("  ", ["python", "web"]),
        ("", ["python", "web"]),
        ('", "', []),
        ("[", []),
        ("%", []),
        ("_", []),
        ("\\u00df", []),
        ("\0", []),
        ("old", []),
    ],
)
def test_a_search_looks_for_every_word_in_names_descriptions_and_tags(
    user_api: APIClient, search: str, names: list[str]
) -> None:
    Template.objects.create(**{**LEAST, "description": "For snakes", "tags": ["pip", "venv"]})
    Template.objects.create(**{**LEAST, "name": "web", "display_name": "For the Web", "tags": ["Straße", "x"]})
    Template.objects.create(**{**LEAST, "name": "old", "status": "deprecated"})
    Template.objects.filter(pk="web").update(description="Pages")
    response = user_api.get(LIST, {"search": search})
    assert sorted(template["name"] for template in wire.decode(response)) == names
    assert response["X-Total-Count"] == str(len(names))


def test_a_search_goes_with_filters_and_pages(user_api: APIClient) -> None:
    offer()
    response = user_api.get(LIST, {"search": "python", "category": "framework", "limit": "1", "offset": "1"})
    assert [template["name"] for template in wire.decode(response)] == ["a"]
    assert response["X-Total-Count"] == "2"
    assert "search=python" in response["Link"]

"""What a template may look like: the schema, the columns that it is stored in, and each rule at its border."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.core.exceptions import ValidationError
from django.db import models
from hypothesis import given, settings

from environments.set_up.steps import PARTS
from templates_catalog.models import Template, default_resources
from templates_catalog.rules import KEYS, PROBLEMS_MAX, SCHEMA, problems
from templates_catalog.tests.samples import (
    CONFIG,
    JSON,
    KEY,
    LEAST,
    MOST,
    SOURCE,
    SPOILT,
    TEMPLATES,
    config,
    file,
    schema_keys,
    source,
    without,
)
from templates_catalog.values import ALIASES, check_variables


def found(**changes: Any) -> dict[str, str]:
    """{key: code} of what is wrong with a template that is fine but for these."""
    return {problem.key: problem.code for problem in problems({**MOST, **changes})}


# --- The schema, and what has to agree with it


def test_the_schema_is_a_schema_that_any_tool_can_use() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    standard = jsonschema.Draft202012Validator(SCHEMA)
    assert standard.is_valid(LEAST)
    assert standard.is_valid(MOST)
    assert not standard.is_valid({**MOST, "name": "X"})


def test_every_key_of_the_schema_is_described() -> None:
    assert [key for key, part in schema_keys().items() if not part.get("description")] == []


def test_every_pattern_says_its_rule_in_words() -> None:
    def parts(node: Any) -> list[dict[str, Any]]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = [node] if isinstance(node, dict) and isinstance(node.get("pattern"), str) else []
        return own + [part for each in inner for part in parts(each)]

    silent = [part for part in parts(SCHEMA) if "x-rule" not in part]
    assert silent == [{"pattern": "/$"}]  # a condition, whose failure is no problem


def test_the_schema_has_the_columns_of_a_template() -> None:
    columns = {field.name: field for field in Template._meta.fields}
    assert set(KEYS) == set(columns) - {"usage_count", "created_at", "updated_at"}
    lengths = {key: SCHEMA["properties"][key].get("maxLength") for key in KEYS}
    for key, column in columns.items():
        if isinstance(column, models.CharField) and not column.choices:
            assert lengths[key] == column.max_length
    assert SCHEMA["properties"]["category"]["enum"] == Template.Category.values
    assert set(SCHEMA["properties"]["status"]["enum"]) == set(Template.Status.values)


def test_the_defaults_are_those_of_a_new_row() -> None:
    told = {key: part["default"] for key, part in SCHEMA["properties"].items() if "default" in part}
    assert told == {key: value for key, value in Template(**LEAST).values().items() if key not in LEAST}
    members = SCHEMA["properties"]["default_resources"]["properties"]
    assert {name: part["default"] for name, part in members.items()} == default_resources()


def test_no_template_can_have_a_name_that_leads_elsewhere() -> None:
    taken = [name for part in SCHEMA["properties"]["name"]["allOf"] for name in part["not"]["enum"]]
    assert set(ALIASES) < set(taken)
    assert found(name="go") == found(name="schema") == {"name": "invalid"}


def test_the_parts_are_those_that_machines_can_be_set_up_from() -> None:
    assert SCHEMA["properties"]["config"]["properties"]["parts"]["items"]["enum"] == list(PARTS)


# --- Each rule


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "a" * 50},
        {"name": "0.a_b-c"},
        {"display_name": "x" * 100},
        {"display_name": "C# (日本語) \U0001f600"},
        {"description": "x" * 1000},
        {"description": "a\nb"},
        {"tags": ["x" * 50] * 20},
        {"tags": []},
        {"image": "x" * 200},
        {"image": "123456"},
        {"default_port": 1},
        {"default_port": 65535},
        {"default_resources": {}},
        {"default_resources": {"cpu": "1"}},
        {"environment_variables": {f"A{n}": "x" * 4096 for n in range(100)}},
        {"environment_variables": {"a" * 128: ""}},
        {"environment_variables": {"DEVPOCKET": "x", "devpocket_x": "y"}},
        {"startup_commands": ["x" * 4096] * 100},
        {"config": None},
        {"config": {}},
        {"documentation_url": None, "icon_url": None},
        {"icon_url": "https://example.org?x=1"},
        {"version": "x" * 30},
        config(packages=["x1"] * 200),
        config(packages=["libstdc++6"]),
        source(suites=["./"], components=[]),
        source(suites=["{codename}/updates"]),
        source(uri="http://10.0.2.2:8000/apt"),
        source(key=KEY.rstrip("\n")),
        source(key=KEY + KEY),
        file(path="/" + "x" * 254, permissions="4755"),
        file(path="/etc/devpocket.d/x"),
        file(path="/etc/.x/..y/z.."),
        file(path="/usr/local/sbin/other"),
        file(content="x" * 32768),
    ],
)
def test_what_fits_is_taken(changes: dict[str, Any]) -> None:
    assert found(**changes) == {}


@pytest.mark.parametrize(
    ("changes", "key", "code"),
    [
        ({"name": ""}, "name", "blank"),
        ({"name": "a" * 51}, "name", "max_length"),
        ({"name": "python\n"}, "name", "invalid"),
        ({"name": "Python"}, "name", "invalid"),
        ({"display_name": ""}, "display_name", "blank"),
        ({"display_name": "   "}, "display_name", "invalid"),
        ({"display_name": "a\nb"}, "display_name", "invalid"),
        ({"display_name": "a\x1b[31m"}, "display_name", "invalid"),
        ({"display_name": "x" * 101}, "display_name", "max_length"),
        ({"description": "x" * 1001}, "description", "max_length"),
        ({"description": "\n"}, "description", "invalid"),
        ({"description": None}, "description", "null"),
        ({"category": "snake"}, "category", "unknown_choice"),
        ({"category": ["devops"]}, "category", "invalid"),
        ({"tags": ["ok", "x" * 51]}, "tags.1", "max_length"),
        ({"tags": ["ok"] * 21}, "tags", "max_length"),
        ({"tags": ["a\nb"]}, "tags.0", "invalid"),
        ({"image": "a b"}, "image", "invalid"),
        ({"default_port": 0}, "default_port", "min_value"),
        ({"default_port": 65536}, "default_port", "max_value"),
        ({"default_port": True}, "default_port", "invalid"),
        ({"default_port": 8080.0}, "default_port", "invalid"),
        ({"default_resources": {"cpu": "500m\n"}}, "default_resources.cpu", "invalid"),
        ({"default_resources": {"gpu": "1"}}, "default_resources.gpu", "invalid"),
        ({"environment_variables": {"A": 1}}, "environment_variables.A", "invalid"),
        ({"environment_variables": {"A": "x" * 4097}}, "environment_variables.A", "max_length"),
        ({"environment_variables": {"A": "\0"}}, "environment_variables.A", "invalid"),
        ({"environment_variables": {"A": "\ud800"}}, "environment_variables.A", "invalid"),
        ({"environment_variables": {"DEVPOCKET_A": "x"}}, "environment_variables.DEVPOCKET_A", "invalid"),
        ({"environment_variables": {"A\n": "x"}}, "environment_variables.A\\n", "invalid"),
        ({"environment_variables": {"a" * 129: "x"}}, f"environment_variables.{'a' * 60}...", "invalid"),
        ({"environment_variables": {f"A{n}": "" for n in range(101)}}, "environment_variables", "max_length"),
        ({"startup_commands": ["x" * 4097]}, "startup_commands.0", "max_length"),
        ({"documentation_url": "javascript:alert(1)"}, "documentation_url", "invalid"),
        ({"documentation_url": "https://user:secret@example.org"}, "documentation_url", "invalid"),
        ({"icon_url": "https://example.org/a b"}, "icon_url", "invalid"),
        ({"icon_url": "https://example.org/" + "x" * 481}, "icon_url", "max_length"),
        ({"status": "ACTIVE"}, "status", "unknown_choice"),
        ({"version": 1.0}, "version", "invalid"),
        ({"usage_count": 7}, "usage_count", "invalid"),
        (config(pakages=[]), "config.pakages", "invalid"),
        (config(min_size="S 1"), "config.min_size", "invalid"),
        (config(terminal_when="now"), "config.terminal_when", "unknown_choice"),
        (config(parts=["oracle"]), "config.parts.0", "unknown_choice"),
        (config(packages=["xx"] * 201), "config.packages", "max_length"),
        (config(packages=["Vim"]), "config.packages.0", "invalid"),
        (config(packages=["aa|bb"]), "config.packages.0", "invalid"),
        (config(packages=["aa | "]), "config.packages.0", "invalid"),
        (config(packages=["--force"]), "config.packages.0", "invalid"),
        (config(packages=["aa bb"]), "config.packages.0", "invalid"),
        (config(packages=["aa\n"]), "config.packages.0", "invalid"),
        (config(sources=[{**SOURCE, "name": f"s{n}"} for n in range(11)]), "config.sources", "max_length"),
        (config(sources=[without("key", SOURCE)]), "config.sources.0.key", "required"),
        (config(sources=[SOURCE, SOURCE]), "config.sources.1.name", "invalid"),
        (source(name="../x"), "config.sources.0.name", "invalid"),
        (source(uri="file:///etc"), "config.sources.0.uri", "invalid"),
        (source(uri="https://x/ [trusted=yes]"), "config.sources.0.uri", "invalid"),
        (source(uri="https://x/{arch}"), "config.sources.0.uri", "invalid"),
        (source(suites=[]), "config.sources.0.suites", "min_length"),
        (source(suites=["a b"]), "config.sources.0.suites.0", "invalid"),
        (source(suites=["a\nTrusted: yes"]), "config.sources.0.suites.0", "invalid"),
        (source(suites=["a", "./"]), "config.sources.0.suites.1", "invalid"),
        (source(suites=["./"]), "config.sources.0.components", "max_length"),
        (source(components=[]), "config.sources.0.components", "min_length"),
        (source(components=["main\n"]), "config.sources.0.components.0", "invalid"),
        (source(key="https://x/key.asc"), "config.sources.0.key", "invalid"),
        (source(key=KEY.replace("PUBLIC", "PRIVATE")), "config.sources.0.key", "invalid"),
        (source(key=KEY[: len(KEY) // 2]), "config.sources.0.key", "invalid"),
        (file(path="etc/x"), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="/"), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="/etc/"), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="/etc/../x"), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="/etc/.."), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="/etc/./devpocket/x"), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="//etc/devpocket/x"), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="/etc/devpocket"), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="/etc/devpocket/keys"), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="/var/lib/devpocket/done/core"), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="/usr/local/sbin/devpocket-setup"), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="/etc/x\n"), "config.cloud_init.write_files.0.path", "invalid"),
        (file(path="/" + "x" * 255), "config.cloud_init.write_files.0.path", "max_length"),
        (file(permissions="rw-r--r--"), "config.cloud_init.write_files.0.permissions", "invalid"),
        (file(permissions="0888"), "config.cloud_init.write_files.0.permissions", "invalid"),
        (file(permissions=420), "config.cloud_init.write_files.0.permissions", "invalid"),
        (file(content="x" * 32769), "config.cloud_init.write_files.0.content", "max_length"),
        (file(owner="root"), "config.cloud_init.write_files.0.owner", "invalid"),
        (config(cloud_init={"write_files": [{"path": "/x", "content": ""}] * 2}),
         "config.cloud_init.write_files.1.path", "invalid"),
        (config(cloud_init={"runcmd": [["ls", "-l"]]}), "config.cloud_init.runcmd.0", "invalid"),
        (config(cloud_init={"users": []}), "config.cloud_init.users", "invalid"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_once_by_its_key(changes: dict[str, Any], key: str, code: str) -> None:
    assert found(**changes) == {key: code}


@pytest.mark.parametrize("key", LEAST)
def test_what_has_no_default_must_be_given(key: str) -> None:
    assert [(problem.key, problem.rule) for problem in problems(without(key, MOST))] == [(key, "is missing")]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"displayname": "x"}, "is not known; did you mean display_name?"),
        ({"startup-commands": []}, "is not known; did you mean startup_commands?"),
        ({"zzz": 1}, "is not known"),
        (config(minSize="x"), "is not known; did you mean min_size?"),
        (config(cloud_init={"users": []}), "is not known; known are write_files, runcmd"),
    ],
)
def test_an_unknown_key_comes_with_what_was_perhaps_meant(changes: dict[str, Any], rule: str) -> None:
    assert [problem.rule for problem in problems({**MOST, **changes})] == [rule]


def test_no_message_repeats_what_could_harm_its_reader() -> None:
    spoilt = {**MOST, "\x1b[31m\ud800": 1, "x" * 5000: 1, "version": "\x1b[31m" * 9}
    texts = [f"{problem.key} {problem.rule}" for problem in problems(spoilt)]
    assert len(texts) == 3
    assert all(text.isprintable() and len(text) < 200 for text in texts)


# --- For whatever there may be


@given(TEMPLATES)
def test_what_is_built_by_the_rules_obeys_them_and_the_schema_as_others_read_it(template: dict[str, Any]) -> None:
    assert problems(template) == []
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(template)


@given(SPOILT)
@settings(max_examples=300)
def test_whatever_is_in_its_place_the_answer_is_a_list_of_problems(template: dict[str, Any]) -> None:
    told = problems(template)
    assert len(told) <= PROBLEMS_MAX
    assert len({problem.path for problem in told}) == len(told)
    for problem in told:
        assert f"{problem.key} {problem.rule}".isprintable()
        assert "validation" not in problem.rule.lower()  # phones hide such texts (contract T16)
    if not told:
        json.dumps(template, allow_nan=False).encode()


@given(JSON)
def test_variables_alone_are_checked_by_the_same_rules(value: Any) -> None:
    told = problems(value, SCHEMA["properties"]["environment_variables"])
    if told:
        with pytest.raises(ValidationError):
            check_variables(value)
    else:
        check_variables(value)
        assert found(environment_variables=value) == {}


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        ([], ["The map must be a map of keys to values."]),
        ({"A": 1}, ["A must be a text: put it in quotes."]),
    ],
)
def test_what_is_wrong_with_variables_is_a_sentence(value: Any, messages: list[str]) -> None:
    with pytest.raises(ValidationError) as error:
        check_variables(value)
    assert error.value.messages == messages


def test_a_row_is_held_against_the_same_rules() -> None:
    Template(**MOST).full_clean(validate_unique=False)
    spoilt = {**MOST, "tags": {}, "config": {**CONFIG, "packages": ["X"]}, "default_port": 0, "description": ""}
    with pytest.raises(ValidationError) as error:
        Template(**spoilt).full_clean(validate_unique=False)
    assert error.value.message_dict == {
        "tags": ["Must be a list."],
        "config": ["packages.0 must be a package's name, or several with ' | ' between them."],
        "default_port": ["Must be at least 1."],
        "description": ["Must not be empty."],
    }


def test_the_schema_file_comes_with_the_package() -> None:
    assert json.loads((Path(__file__).parents[1] / "schema.json").read_text()) == SCHEMA

"""Templates to test with: the least, the most, and any."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import strategies as st

from templates_catalog.rules import KEYS, SCHEMA

LEAST: dict[str, Any] = {
    "name": "python",
    "display_name": "Python",
    "description": "Python 3.",
    "category": "programming_language",
}
KEY = (
    "-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: a <b@c>\n\nmQINBGPL0BUBEADmW5+/=\n"
    "-----END PGP PUBLIC KEY BLOCK-----\n"
)
SOURCE = {
    "name": "vendor",
    "uri": "https://apt.example.org/{distribution}",
    "suites": ["{codename}-stable"],
    "components": ["main", "contrib/extra"],
    "key": KEY,
}
CONFIG: dict[str, Any] = {
    "min_size": "s-1vcpu-1gb",
    "terminal_when": "complete",
    "parts": ["postgresql"],
    "packages": ["build-essential", "g++ | clang", "a1 | b2 | c3"],
    "sources": [SOURCE],
    "cloud_init": {
        "write_files": [{"path": "/etc/motd.d/10-python", "content": "a\n\tb\n", "permissions": "0644"}],
        "runcmd": ["echo ${HOME} > /root/x"],
    },
}
MOST: dict[str, Any] = {
    **LEAST,
    "tags": ["python", "üñí"],
    "image": "ubuntu-24-04-x64",
    "default_port": 8000,
    "default_resources": {"cpu": "2", "memory": "512Mi", "storage": "10Gi"},
    "environment_variables": {"EDITOR": "vim", "_x1": " \t'\"$`#{\n"},
    "startup_commands": ["echo 'a' && true", "cd\nls"],
    "config": CONFIG,
    "documentation_url": "https://docs.python.org/3/?a=b#c",
    "icon_url": "http://localhost:8000/x.png",
    "status": "beta",
    "version": "1.10-rc.1+2",
}


def config(**changes: Any) -> dict[str, Any]:
    """{"config": ...} with these keys alone."""
    return {"config": changes}


def source(**changes: Any) -> dict[str, Any]:
    return config(sources=[{**SOURCE, **changes}])


def file(**changes: Any) -> dict[str, Any]:
    return config(cloud_init={"write_files": [{"path": "/etc/x", "content": "", **changes}]})


def without(key: str, value: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name != key}


def schema_keys(schema: dict[str, Any] = SCHEMA, prefix: str = "") -> dict[str, dict[str, Any]]:
    """The part of the schema for every key, by its dotted path, where lists don't show."""
    found: dict[str, dict[str, Any]] = {}
    for key, part in schema.get("properties", {}).items():
        found[f"{prefix}{key}"] = part
        found |= schema_keys(part, f"{prefix}{key}.") | schema_keys(part.get("items", {}), f"{prefix}{key}.")
    return found


def _text(alphabet: str | None, low: int, high: int) -> st.SearchStrategy[str]:
    characters = (
        st.characters(codec="utf-8", exclude_characters="\0") if alphabet is None else st.sampled_from(alphabet)
    )
    return st.text(characters, min_size=low, max_size=high)


LOWER, DIGITS = "abcxyz", "0189"
_lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=50)
_readable = _lines.map(lambda line: f"x{line}"[:50])
_anything = _text(None, 0, 60)
_slugs = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
_packages = st.lists(st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,9}", fullmatch=True), min_size=1, max_size=3).map(" | ".join)
_paths = st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._+@:=,~%-]{0,9}", fullmatch=True), min_size=1, max_size=4).map(
    lambda parts: "/srv/" + "/".join(parts)
)
_commands = st.lists(_anything, max_size=3)
_urls = st.none() | st.from_regex(r"https?://[a-z0-9][a-z0-9.-]{0,9}(:[0-9]{1,5})?(/[!-~]{0,9})?", fullmatch=True)
_sources = st.fixed_dictionaries(
    {
        "name": _slugs,
        "uri": st.just("http://a.example/") | st.just("https://b.example:8/{codename}/{distribution}"),
        "suites": st.lists(st.sampled_from(["stable", "{codename}", "{codename}-pgdg"]), min_size=1, max_size=2),
        "components": st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9/-]{0,9}", fullmatch=True), min_size=1, max_size=2),
        "key": st.just(KEY),
    }
)
_files = st.fixed_dictionaries(
    {"path": _paths, "content": _anything}, optional={"permissions": st.from_regex(r"[0-7]{3,4}", fullmatch=True)}
)
_configs = st.fixed_dictionaries(
    {},
    optional={
        "min_size": _slugs,
        "terminal_when": st.sampled_from(["ssh", "complete"]),
        "parts": st.just(["postgresql"]),
        "packages": st.lists(_packages, max_size=3),
        "sources": st.lists(_sources, max_size=2, unique_by=lambda one: one["name"]),
        "cloud_init": st.fixed_dictionaries(
            {},
            optional={
                "write_files": st.lists(_files, max_size=2, unique_by=lambda one: one["path"]),
                "runcmd": _commands,
            },
        ),
    },
)
TEMPLATES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "name": _slugs.map(lambda slug: f"t-{slug}"),  # no other name of another's, no word of the API's
        "display_name": _readable,
        "description": _readable | _anything.map(lambda text: f"x{text}"),
        "category": st.sampled_from(SCHEMA["properties"]["category"]["enum"]),
    },
    optional={
        "tags": st.lists(_lines, max_size=3),
        "image": _slugs,
        "default_port": st.integers(1, 65535),
        "default_resources": st.fixed_dictionaries(
            {}, optional={"cpu": st.sampled_from(["1", "250m"]), "memory": st.just("2Gi"), "storage": st.just("5G")}
        ),
        "environment_variables": st.dictionaries(
            st.from_regex(r"[A-CE-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), _anything, max_size=3
        ),
        "startup_commands": _commands,
        "config": st.none() | _configs,
        "documentation_url": _urls,
        "icon_url": _urls,
        "status": st.sampled_from(["active", "beta"]),
        "version": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,9}", fullmatch=True),
    },
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=10,
)
# Templates with anything in place of what belongs there.
SPOILT = st.dictionaries(st.sampled_from([*KEYS, "colour"]), JSON | st.sampled_from([MOST["config"], [], {}])).map(
    lambda changes: {**json.loads(json.dumps(MOST)), **changes}
)


def as_yaml(template: dict[str, Any], **options: Any) -> bytes:
    """A template's file. Characters that YAML takes for line breaks are escaped: PyYAML would write them as they are,
    and the break that is read then is a blank."""
    is_plain = not set("\x85\u2028\u2029") & set(json.dumps(template, ensure_ascii=False))
    options["allow_unicode"] = options.get("allow_unicode", True) and is_plain
    return yaml.safe_dump(template, **options).encode()

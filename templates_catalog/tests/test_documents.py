"""Whatever bytes a file has: there is an answer, soon, and it is either a template or a list of problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from templates_catalog import documents
from templates_catalog.documents import parse_document
from templates_catalog.importer import ImportRefused, read_templates
from templates_catalog.tests.samples import JSON, MOST, TEMPLATES, as_yaml

PIECES = ["name: x", "a:", "- ", "? ", ": ", "[", "]", "{", "}", ", ", "&a ", "*a", "!!int ", "!x ", "<<: ", "| ", "> "]
PIECES += ["\n", "\n  ", "\t", "'", '"', "\\", "\\U00110000", "\\ud800", "%YAML 1.1", "---", "...", "#", "~", "yes"]
PIECES += ["2024-13-45", "1:59", "0x", "1e400", ".nan", "=", "@", "`", "\x85", "\u2028", "\ufeff", "\0", "\x7f", "é"]
SCRAPS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("templates") / "x.yaml"


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """libyaml's parser, and PyYAML's own, which serves where there is no libyaml."""
    monkeypatch.setattr(documents, "LOADER", getattr(yaml, request.param))


def refusal(path: Path) -> list[str]:
    """Empty: it is taken. Anything raised but ImportRefused is a failure."""
    try:
        read_templates([path])
    except ImportRefused as refused:
        return refused.problems
    return []


@pytest.mark.usefixtures("_loader")
@given(st.binary(max_size=200) | SCRAPS.map(lambda text: text.encode()) | JSON.map(lambda one: yaml.dump(one).encode()))
@example(b'a: "\\UFFFFFFFF"')
@example(b"%YAML 3.0\n---\na")
@example(b"!<tag:yaml.org,2002:map> [a]")
@example(b"? {? [a] : b}\n: c")
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_template_or_refused(place: Path, raw: bytes) -> None:
    place.write_bytes(raw)
    told = refusal(place)
    assert told  # none of these is a whole template
    for problem in told:
        head, _, rule = problem.removeprefix(f"{place}:").partition(": ")
        assert head.isdigit()
        assert 1 <= int(head) <= raw.count(b"\n") + raw.count(b"\r") + raw.decode("latin-1").count("\x85") + 99
        assert rule.isprintable()


@pytest.mark.usefixtures("_loader")
@given(TEMPLATES, st.sampled_from([True, False, None]), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_template_is_read_as_it_was_written(template: dict[str, Any], flow: bool | None, is_unicode: bool) -> None:
    document = parse_document(as_yaml(template, default_flow_style=flow, allow_unicode=is_unicode, width=40))
    assert document.problems == []
    assert document.data == template


@given(st.sampled_from(sorted(MOST)), SCRAPS)
def test_a_template_with_rubbish_in_it_is_taken_or_refused(place: Path, key: str, rubbish: str) -> None:
    rest = yaml.safe_dump({name: value for name, value in MOST.items() if name != key})
    place.write_text(f"{rest}{key}: {rubbish}\n", encoding="utf-8")
    refusal(place)


def test_every_key_has_its_line() -> None:
    raw = b"# comment\nname: x\nconfig:\n\n  packages:\n  - a\n  - b\n  sources: [{name: v,\n    uri: w}]\n"
    document = parse_document(raw)
    lines = {".".join(map(str, path)): line for path, line in document.lines.items()}
    assert lines == {
        "name": 2,
        "config": 3,
        "config.packages": 5,
        "config.packages.0": 6,
        "config.packages.1": 7,
        "config.sources": 8,
        "config.sources.0": 8,
        "config.sources.0.name": 8,
        "config.sources.0.uri": 9,
    }
    assert document.line(("config", "sources", 0, "key")) == 8  # which is missing there
    assert document.line(("version",)) == 1


@pytest.mark.usefixtures("_loader")
@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf", b"---\n", b"%YAML 1.1\n---\n", b"# x\r\n"])
def test_what_may_stand_before_a_template_may_stand_there(head: bytes) -> None:
    document = parse_document(head + b"name: x\n...\n")
    assert (document.data, document.problems) == ({"name": "x"}, [])


def test_an_anchor_that_nothing_refers_to_is_harmless() -> None:
    assert parse_document(b"tags: &all [a]").data == {"tags": ["a"]}

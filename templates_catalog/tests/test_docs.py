"""docs/templates.md says what is there: every key, flags that exist, examples that work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.management import CommandError, call_command, load_command_class

from templates_catalog.importer import import_templates, read_templates
from templates_catalog.models import Template
from templates_catalog.tests.samples import schema_keys
from templates_catalog.values import ALIASES

TEXT = (settings.BASE_DIR / "docs" / "templates.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0]


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_key_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `([a-z_.]+)` \|", section("Keys"), re.MULTILINE)
    assert documented == list(schema_keys())


def test_the_defaults_that_are_told_are_right() -> None:
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| (.*) \|$", section("Keys"), re.MULTILINE))
    told = {key: found[1] for key, row in rows.items() if (found := re.search(r"[Dd]efault `?\"?([\w.-]+)", row))}
    assert told == {
        key: str(part["default"])
        for key, part in schema_keys().items()
        if key != "status" and part.get("default") not in ([], {}, None) and not isinstance(part["default"], dict)
    }


def test_the_other_names_are_told() -> None:
    assert [name for name in ALIASES if f"`{name}`" not in section("The API")] == []


def test_the_flags_are_those_of_the_command() -> None:
    parser = load_command_class("templates_catalog", "import_templates").create_parser("manage.py", "import_templates")
    own = {"--check", "--dry-run", "--prune"}
    assert set(re.findall(r"--[a-z-]+", section("Importing"))) == own
    assert own <= {flag for action in parser._actions for flag in action.option_strings}


@pytest.mark.django_db
def test_the_example_is_a_template_and_the_report_is_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    elixir, zig = Path("mine/elixir.yaml"), Path("mine/zig.yaml")
    elixir.write_text(EXAMPLE)
    [file] = read_templates([elixir])
    assert (file.template.name, file.template.version) == ("elixir", "1.0.0")
    import_templates(elixir)
    template = yaml.safe_load(EXAMPLE)
    zig.write_text(yaml.safe_dump({**template, "name": "zig"}))
    elixir.write_text(EXAMPLE.replace('"1.0.0"', '"1.1.0"').replace("inotify-tools]", "inotify-tools, git]"))
    call_command("import_templates", "mine")
    assert capsys.readouterr().out in section("Importing")
    assert Template.objects.count() == 2

    elixir.write_text(EXAMPLE.replace("4000", "'4000'").replace("packages", "pakages"))
    zig.write_text(EXAMPLE)
    with pytest.raises(CommandError) as refused:
        call_command("import_templates", "--check", "mine")
    assert f"CommandError: {refused.value}\n" in section("Importing")

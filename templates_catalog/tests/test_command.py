"""manage.py import_templates: what it says, what it changes, and how it ends."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from rest_framework.test import APIClient

from templates_catalog.importer import DATA_DIR, ImportRefused, import_templates
from templates_catalog.models import Template, default_resources
from templates_catalog.tests.samples import LEAST, MOST, TEMPLATES, as_yaml

pytestmark = pytest.mark.django_db


def write(directory: Path, file: str = "python.yaml", **changes: Any) -> Path:
    path = directory / file
    path.write_text(yaml.safe_dump({**LEAST, **changes}), encoding="utf-8")
    return path


def said(*arguments: object) -> list[str]:
    out = io.StringIO()
    call_command("import_templates", *map(str, arguments), stdout=out)
    return out.getvalue().splitlines()


def refused(*arguments: object) -> list[str]:
    with pytest.raises(CommandError) as error:
        said(*arguments)
    assert error.value.returncode == 1
    return str(error.value).splitlines()


def statuses() -> dict[str, str]:
    return dict(Template.objects.values_list("name", "status"))


def test_it_tells_what_became_of_each_file(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a.yaml"), write(tmp_path, "b.yaml", name="golang")
    assert said(tmp_path) == [
        f"{first}: python created",
        f"{second}: golang created",
        "templates: 2 created, 0 updated, 0 unchanged, 0 deprecated",
    ]
    write(
        tmp_path,
        "a.yaml",
        version="1.1.0",
        tags=["new"],
        description="x" * 41,
        default_port=80,
        documentation_url="https://example.org",
        environment_variables={"A": "1"},
        default_resources={"cpu": "1"},
        config={"packages": ["vim"]},
    )
    assert said(tmp_path) == [
        f"{first}: python updated: description, tags, default_port (8080 -> 80), default_resources.cpu (500m -> 1), "
        "environment_variables.A (none -> 1), config, documentation_url (none -> https://example.org), "
        "version (1.0.0 -> 1.1.0)",
        f"{second}: golang unchanged",
        "templates: 0 created, 1 updated, 1 unchanged, 0 deprecated",
    ]
    write(tmp_path, "a.yaml", config={"packages": ["vim", "nano"], "min_size": "s-1vcpu-1gb"})
    assert "config.packages, config.min_size (none -> s-1vcpu-1gb), documentation" in said(tmp_path)[0]


def test_files_and_directories_may_be_mixed(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    alone = write(tmp_path, "alone.txt", name="alone")  # one that is named is read, whatever it is called
    write(tmp_path / "set", "x.yml", name="in-set")
    write(tmp_path, "other.yaml", name="not-named")
    said(alone, tmp_path / "set")
    assert statuses() == {"alone": "active", "in-set": "active"}


def test_a_dry_run_tells_the_same_and_changes_nothing(tmp_path: Path) -> None:
    Template.objects.create(**{**LEAST, "name": "lonely"})
    Template.objects.create(**{**LEAST, "display_name": "Snake"})
    path, new = write(tmp_path), write(tmp_path, "z.yaml", name="zig")
    before = list(Template.objects.values())
    assert said("--dry-run", "--prune", tmp_path) == [
        f"{path}: python would be updated: display_name (Snake -> Python)",
        f"{new}: zig would be created",
        "no file: lonely would be deprecated",
        "templates: 1 created, 1 updated, 0 unchanged, 1 deprecated (a dry run: nothing was changed)",
    ]
    assert list(Template.objects.values()) == before


def test_pruning_deprecates_what_has_no_file_and_deletes_nothing(tmp_path: Path) -> None:
    for name, status in (("mine", "active"), ("tried", "beta"), ("old", "deprecated")):
        Template.objects.create(**{**LEAST, "name": name}, status=status, usage_count=3)
    write(tmp_path)
    assert said("--prune", tmp_path)[1:] == [
        "no file: mine deprecated",
        "no file: tried deprecated",
        "templates: 1 created, 0 updated, 0 unchanged, 2 deprecated",
    ]
    gone = dict.fromkeys(["mine", "old", "tried"], "deprecated")
    assert statuses() == {**gone, "python": "active"}
    assert Template.objects.get(pk="mine").usage_count == 3
    assert said("--prune", tmp_path)[-1] == "templates: 0 created, 0 updated, 1 unchanged, 0 deprecated"


def test_pruning_by_single_files_is_refused(tmp_path: Path) -> None:
    Template.objects.create(**{**LEAST, "name": "mine"})
    path = write(tmp_path)
    assert refused("--prune", path) == ["nothing was changed:", f"  {path}: --prune takes directories only"]
    assert statuses() == {"mine": "active"}


@pytest.mark.parametrize("kind", ["missing", "empty", "broken"])
def test_pruning_by_what_is_no_set_of_templates_changes_nothing(tmp_path: Path, kind: str) -> None:
    Template.objects.create(**{**LEAST, "name": "mine"})
    directory = tmp_path / "set"
    if kind != "missing":
        directory.mkdir()
    if kind == "broken":
        write(directory, category="snake")
    refused("--prune", directory)
    assert statuses() == {"mine": "active"}


def test_what_an_administrator_took_out_stays_out_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path)
    said(path)
    Template.objects.update(status="deprecated")
    assert said(path)[0] == f"{path}: python unchanged"
    assert statuses() == {"python": "deprecated"}
    write(tmp_path, status="active")
    assert said(path)[0] == f"{path}: python updated: status (deprecated -> active)"


@pytest.mark.parametrize("other", ["--dry-run", "--prune"])
def test_check_goes_alone(other: str) -> None:
    assert refused("--check", other) == ["--check reads files only: it goes with neither --dry-run nor --prune"]


def test_checking_tells_of_each_file_and_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert said("--check", tmp_path) == [f"{path}: python is fine", "templates: 1 fine"]
    write(tmp_path, category="snake")
    assert refused("--check", tmp_path)[1].startswith(f"  {path}:1: category: must be one of ")
    assert statuses() == {}


def no_room(template: Template) -> list[str]:
    """A check as an app above names one in settings."""
    return [f"{template.name} is too large.", "Really."] if template.default_port == 666 else []


def test_what_the_app_above_has_against_a_template_refuses_its_file(tmp_path: Path, settings: Any) -> None:
    settings.TEMPLATE_CHECK = "templates_catalog.tests.test_command.no_room"
    write(tmp_path, "a.yaml", name="good")
    path = write(tmp_path, "b.yaml", default_port=666)
    assert refused(tmp_path)[1:] == [f"  {path}: python is too large.", f"  {path}: Really."]
    assert statuses() == {}


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "import_templates", *map(str, arguments)],
        cwd=django_settings.BASE_DIR,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=90,
    )


@pytest.mark.timeout(200)
def test_as_a_program_it_ends_with_0_or_1_and_never_with_a_traceback(tmp_path: Path) -> None:
    # A database that nobody serves: checking asks none.
    nowhere = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
    fine = run("--check", **nowhere)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert f"templates: {len(list(DATA_DIR.glob('*.yaml')))} fine" in fine.stdout
    (tmp_path / "bad.yaml").write_bytes(b"\x1b: [*a, \xff")
    os.mkfifo(tmp_path / "pipe.yaml")
    bad = run("--check", tmp_path, "/dev/zero", tmp_path / "none", **nowhere)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.splitlines() == [
        "CommandError: nothing was changed:",
        f"  {tmp_path}/bad.yaml:1: is not UTF-8",
        f"  {tmp_path}/pipe.yaml: is no regular file",
        "  /dev/zero: is no regular file",
        f"  {tmp_path}/none: No such file or directory",
    ]


@given(TEMPLATES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_file_row_and_answer_say_the_same(tmp_path: Path, admin_api: APIClient, template: dict[str, Any]) -> None:
    (tmp_path / "x.yaml").write_bytes(as_yaml(template))
    import_templates(tmp_path / "x.yaml")
    assert import_templates(tmp_path / "x.yaml").names("unchanged") == [template["name"]]
    told = admin_api.get(f"/api/v1/templates/{template['name']}").json()
    defaults = Template(**LEAST).values()
    wanted = {**defaults, **template}
    wanted["default_resources"] = {**default_resources(), **wanted["default_resources"]}
    wanted["status"] = told["status"] if "status" not in template else template["status"]  # an earlier one's
    assert {key: told[key] for key in wanted} == wanted
    assert (told["id"], told["docker_image"]) == (template["name"], wanted["image"])


def test_the_most_that_a_file_can_say_is_stored(tmp_path: Path) -> None:
    import_templates(write(tmp_path, **MOST))
    assert Template.objects.get().values() == MOST


def test_a_refusal_is_one_exception_with_all_its_problems() -> None:
    with pytest.raises(ImportRefused, match=r"nowhere: No such file or directory; /none: No such file"):
        import_templates(Path("/nowhere"), Path("/none"))

"""manage.py import_templates: all of a directory is taken, or nothing with one line a problem."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db.models import F

from templates_catalog import importer
from templates_catalog.importer import DATA_DIR, FILE_MAX_BYTES, ImportRefused, import_templates
from templates_catalog.models import Template

pytestmark = pytest.mark.django_db

GOOD: dict[str, Any] = {
    "name": "python",
    "display_name": "Python",
    "description": "Python 3.",
    "category": "programming_language",
}


def write(directory: Path, file: str = "python.yaml", **changes: Any) -> Path:
    (directory / file).write_text(yaml.safe_dump({**GOOD, **changes}), encoding="utf-8")
    return directory


def problems(directory: Path) -> list[str]:
    """What the command says of a directory it refuses; and nothing was changed."""
    before = list(Template.objects.values())
    with pytest.raises(CommandError) as refused:
        call_command("import_templates", str(directory))
    assert refused.value.returncode == 1
    assert list(Template.objects.values()) == before
    first, *lines = str(refused.value).splitlines()
    assert first == "nothing was changed:"
    return [line.strip() for line in lines]


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("import_templates", *arguments, stdout=out)
    return out.getvalue().strip()


def test_the_set_that_comes_along_is_good_and_imported_once() -> None:
    files = len(list(DATA_DIR.glob("*.yaml")))
    assert said() == f"templates: {files} created, 0 updated, 0 unchanged"
    before = list(Template.objects.values())
    assert said() == f"templates: 0 created, 0 updated, {files} unchanged"
    assert list(Template.objects.values()) == before  # updated_at too


def test_what_a_file_leaves_out_has_its_default(tmp_path: Path) -> None:
    import_templates(write(tmp_path))
    template = Template.objects.get()
    assert (template.tags, template.startup_commands, template.environment_variables) == ([], [], {})
    assert template.default_resources == {"cpu": "500m", "memory": "1Gi", "storage": "10Gi"}
    assert (template.default_port, template.status, template.version) == (8080, "active", "1.0.0")
    assert template.config is template.documentation_url is template.icon_url is None


def test_a_changed_file_updates_its_template_and_keeps_its_count(tmp_path: Path) -> None:
    import_templates(write(tmp_path, tags=["a"]))
    write(tmp_path, "go.yml", name="golang")
    Template.objects.update(usage_count=7)
    report = import_templates(write(tmp_path, tags=["b"], environment_variables={"A": "1"}))
    assert (report.created, report.updated, report.unchanged) == (["golang"], ["python"], [])
    template = Template.objects.get(pk="python")
    assert (template.tags, template.environment_variables, template.usage_count) == (["b"], {"A": "1"}, 7)


def test_counts_that_grow_meanwhile_are_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_templates(write(tmp_path))
    write(tmp_path, display_name="Snake")
    save = Template.save

    def save_later(template: Template, **options: Any) -> None:
        Template.objects.filter(pk=template.pk).update(usage_count=F("usage_count") + 1)  # an environment is created
        save(template, **options)

    monkeypatch.setattr(Template, "save", save_later)
    assert import_templates(tmp_path).updated == ["python"]
    template = Template.objects.get()
    assert (template.display_name, template.usage_count) == ("Snake", 1)


def test_templates_without_a_file_stay(tmp_path: Path) -> None:
    Template.objects.create(**{**GOOD, "name": "mine"})
    import_templates(write(tmp_path))
    assert set(Template.objects.values_list("pk", flat=True)) == {"mine", "python"}


def test_every_problem_of_every_file_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", name="good-one")
    write(tmp_path, "b.yaml", name="Bad Slug", category="snake", colour="red")
    write(tmp_path, "c.yaml", name="Bad Slug", category="snake")
    (tmp_path / "d.yaml").write_text("name: [")
    found = problems(tmp_path)
    assert found[0] == "b.yaml: unknown key colour"
    assert sorted(found[1:3]) == [
        "c.yaml: category: Value 'snake' is not a valid choice.",
        "c.yaml: name: Only lower-case letters, digits, '.', '_' and '-', 50 at most.",
    ]
    assert found[3].startswith("d.yaml: line 1: ")
    assert len(found) == 4


def test_a_name_that_two_files_use_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml")
    write(tmp_path, "b.yaml")
    assert problems(tmp_path) == ["b.yaml: name: python is used by another file too"]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"name: [", "line 1: expected the node content, but found '<stream end>'"),
        (b"name: x\n\tdisplay_name: y", "line 2: found character '\\t' that cannot start any token"),
        (b"name: python\nname: nodejs\n", "line 2: the key 'name' is given twice"),
        (b"config: {packages: [a], packages: [b]}", "line 1: the key 'packages' is given twice"),
        (b"a: &a [1]\nb: [*a, *a]\n", "line 2: aliases are not allowed"),
        (b"a: &a {<<: *a}\n", "line 1: aliases are not allowed"),
        (b"? [a, b]\n: c\n", "line 1: a key must be a text"),
        (b'name: "a\\0b"', "line 1: NUL and half surrogate pairs are not allowed"),
        (b'tags: ["\\ud800"]', "line 1: NUL and half surrogate pairs are not allowed"),
        (b"version: 2024-13-45", "month must be in 1..12"),
        (b"a: !!int x", "invalid literal for int() with base 10: 'x'"),
        (b"a: !!python/object/apply:os.system [id]", "line 1: could not determine a constructor for the tag"),
        (b"a: 1\n---\nb: 2\n", "line 2: but found another document"),
        (b"- a\n", "must be a map of keys to values"),
        (b"", "must be a map of keys to values"),
        (b"just text", "must be a map of keys to values"),
        (b"name: \xff", "not UTF-8"),
        (b"name: \x01", "unacceptable character #x0001"),
        (b"[" * 3000, ""),
        (b"# " + b"x" * FILE_MAX_BYTES, "larger than 256 KiB"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_a_file_that_is_no_template_is_refused(tmp_path: Path, raw: bytes, problem: str) -> None:
    write(tmp_path, "good.yaml")
    (tmp_path / "x.yaml").write_bytes(raw)
    (found,) = problems(tmp_path)
    assert found.startswith(f"x.yaml: {problem}")


def test_a_file_of_256_kib_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "python.yaml"
    path.write_bytes(path.read_bytes().ljust(FILE_MAX_BYTES, b"#"))
    assert import_templates(tmp_path).created == ["python"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "Python"),
        ("name", "-python"),
        ("name", "a" * 51),
        ("name", "a b"),
        ("name", 7),
        ("name", None),
        ("display_name", ""),
        ("display_name", "x" * 101),
        ("display_name", ["Python"]),
        ("description", "x" * 1001),
        ("category", "snake"),
        ("status", "old"),
        ("version", 1.10),
        ("tags", "a, b"),
        ("tags", [1]),
        ("tags", ["x"] * 21),
        ("tags", ["x" * 51]),
        ("tags", None),
        ("tags", ""),
        ("tags", {}),
        ("environment_variables", None),
        ("environment_variables", []),
        ("startup_commands", {}),
        ("default_resources", {}),
        ("default_resources", None),
        ("config", []),
        ("default_port", 0),
        ("default_port", 65536),
        ("default_port", "8080"),
        ("default_port", 80.5),
        ("default_port", True),
        ("default_resources", {"cpu": 500}),
        ("default_resources", {"cpu": "much"}),
        ("default_resources", {"memory": "1GB"}),
        ("default_resources", {"gpu": "1"}),
        ("default_resources", "small"),
        ("environment_variables", ["A=1"]),
        ("environment_variables", {"A": 1}),
        ("environment_variables", {"A": True}),
        ("environment_variables", {"1A": "x"}),
        ("environment_variables", {"A-B": "x"}),
        ("environment_variables", {"DEVPOCKET_HOME": "x"}),
        ("environment_variables", {"A": "x" * 4097}),
        ("environment_variables", {f"A{n}": "x" for n in range(101)}),
        ("startup_commands", "ls"),
        ("startup_commands", ["x"] * 101),
        ("startup_commands", ["x" * 4097]),
        ("config", ["x"]),
        ("config", {"script": "x"}),
        ("config", {"packages": "vim"}),
        ("config", {"min_size": 1}),
        ("documentation_url", "javascript:alert(1)"),
        ("icon_url", "ftp://example.org/x.png"),
        ("image", ""),
        ("usage_count", 7),
        ("id", "python"),
        ("created_at", "2024-01-01"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_file_and_key(tmp_path: Path, key: str, value: Any) -> None:
    found = problems(write(tmp_path, **{key: value}))
    assert found
    for problem in found:
        assert problem.startswith("python.yaml: ")
        assert key in problem


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("name: python\ncategory: framework\n")
    assert sorted(problems(tmp_path)) == [
        "x.yaml: description: This field cannot be blank.",
        "x.yaml: display_name: This field cannot be blank.",
    ]


@pytest.mark.parametrize("missing", ["nothing-here", "a-file"])
def test_a_directory_without_templates_is_refused(tmp_path: Path, missing: str) -> None:
    (tmp_path / "a-file").write_text("x")
    assert problems(tmp_path / missing) == [f"{tmp_path / missing}: no template files (*.yaml) there"]


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert problems(tmp_path) == [f"{tmp_path}: no template files (*.yaml) there"]


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    (tmp_path / "b.yaml").symlink_to(tmp_path / "nothing")
    assert problems(tmp_path) == ["a.yaml: Is a directory", "b.yaml: No such file or directory"]


def test_a_failure_while_storing_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.yaml", name="a")
    write(tmp_path, "b.yaml", name="b")
    save = Template.save

    def save_but_b(template: Template, **options: Any) -> None:
        if template.name == "b":
            raise OSError("disk full")
        save(template, **options)

    monkeypatch.setattr(Template, "save", save_but_b)
    with pytest.raises(OSError, match="disk full"):
        importer.import_templates(tmp_path)
    assert not Template.objects.exists()


def test_the_refusal_names_its_problems() -> None:
    assert str(ImportRefused(["a: x", "b: y"])) == "a: x; b: y"

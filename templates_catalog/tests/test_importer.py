"""manage.py import_templates: all of a directory is taken, or nothing with one line a problem."""

from __future__ import annotations

import io
import os
import re
import time
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
    return [line.strip().removeprefix(f"{directory}/") for line in lines]


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("import_templates", *arguments, stdout=out)
    return out.getvalue().strip()


def test_the_set_that_comes_along_is_good_and_imported_once() -> None:
    files = len(list(DATA_DIR.glob("*.yaml")))
    assert said().splitlines()[-1] == f"templates: {files} created, 0 updated, 0 unchanged, 0 deprecated"
    before = list(Template.objects.values())
    assert said().splitlines()[-1] == f"templates: 0 created, 0 updated, {files} unchanged, 0 deprecated"
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
    found = [report.names(what) for what in ("created", "updated", "unchanged")]
    assert found == [["golang"], ["python"], []]
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
    assert import_templates(tmp_path).names("updated") == ["python"]
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
    slug = "name: must have lower-case letters, digits, '.', '_' and '-' only, and begin with a letter or digit"
    category = "category: must be one of programming_language, framework, database, devops, operating_system"
    *found, last = problems(tmp_path)
    assert found == [  # in the order of their lines, which PyYAML sorts by key
        f"b.yaml:1: {category}",
        "b.yaml:2: colour: is not known",
        f"b.yaml:5: {slug}",
        f"c.yaml:1: {category}",
        f"c.yaml:4: {slug}",
    ]
    assert last.startswith("d.yaml:2: is no YAML: ")


def test_a_name_that_two_files_use_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml")
    write(tmp_path, "b.yaml")
    assert problems(tmp_path) == [f"b.yaml:4: name: python is the name in {tmp_path}/a.yaml:4 too"]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"name: [", ":2: is no YAML: while parsing a flow node, did not find expected node content"),
        (b"name: x\n\tdisplay_name: y", ":2: is indented by a tab: YAML takes blanks only"),
        (b"a: 1\n---\nb: 2\n", ":2: begins a second document: a file has one template"),
        (b"- a\n", ":1: must be a map of keys to values"),
        (b"just text", ":1: must be a map of keys to values"),
        (b"", ":1: is empty"),
        (b"# nothing\n---\n", ":3: must be a map of keys to values"),
        (b"a: b\nname: \xff", ":2: is not UTF-8"),
        ("name: python".encode("utf-16"), ":1: is not UTF-8"),
        (b"a: b\nname: \x01", ":2: has a character that YAML does not take, 0x1"),
        (b"[" * 100_000, ":1: is nested deeper than 16 levels"),
        (b"{a: " * 50_000, ":1: is nested deeper than 16 levels"),
        (b"- " * 100_000, ":1: is nested deeper than 16 levels"),
        (b"".join(b" " * depth + b"a:\n" for depth in range(500)), ":17: is nested deeper than 16 levels"),
        (b"? " * 100_000, ":1: has a key that is no text"),
        (b"# " + b"x" * FILE_MAX_BYTES, ": is larger than 256 KiB"),
        (b"x" * 2**20, ": is larger than 256 KiB"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_a_file_that_is_no_template_has_one_problem(tmp_path: Path, raw: bytes, problem: str) -> None:
    write(tmp_path, "good.yaml")
    (tmp_path / "x.yaml").write_bytes(raw)
    assert problems(tmp_path) == [f"x.yaml{problem}"]


BASE = yaml.safe_dump(GOOD).encode()  # five lines; the next one is the fifth
NO_USE = "which templates have no use for"
OS_SYSTEM = "tag:yaml.org,2002:python/object/apply:os.system"
NO_NUMBER = "is no number or truth value that can be read: put it in quotes"
NO_TEXT = "which is no text: put it in quotes"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"name: nodejs\n", "5: name: is given twice, in line 4 too"),
        (b"config: {packages: [ab], packages: [cd]}", "5: config.packages: is given twice, in line 5 too"),
        (b"tags: &a [x]\nstartup_commands: *a\n", "6: startup_commands: is an alias (*): write out what it stands for"),
        (b"config: &a\n  cloud_init: *a\n", "6: config.cloud_init: is an alias (*): write out what it stands for"),
        (b"<<: {a: b}\n", "5: has a merge key (<<): write out what it stands for"),
        (b"? [a, b]\n: c\n", "5: has a key that is no text"),
        (b"environment_variables:\n  ON: 'x'\n", f"6: environment_variables: has the key ON, {NO_TEXT}"),
        (b"version: 2024-13-45", "5: version: is a date to YAML: put it in quotes"),
        (b"version: !!int x", f"5: version: {NO_NUMBER}"),
        (b"default_port: " + b"9" * 10_000, f"5: default_port: {NO_NUMBER}"),
        (b"version: !!python/object/apply:os.system [id]", f"5: version: has the tag {OS_SYSTEM}, {NO_USE}"),
        (b"tags: !mine [x]", f"5: tags: has the tag !mine, {NO_USE}"),
        (b"icon_url: !!binary eA==", f"5: icon_url: has the tag binary, {NO_USE}"),
        (b'tags: ["a\\0b"]', "5: tags.0: must be one line"),
        (b'startup_commands:\n- "a\\0b"', "6: startup_commands.0: must not have a NUL or half of a surrogate pair"),
        (b'icon_url: ""', "5: icon_url: must be an http or https address"),
        (b"version: 1.10", "5: version: must be a text: put it in quotes"),
        (b"default_port: '80'", "5: default_port: must be a whole number"),
        (b"config:\n  pakages: [x]\n", "6: config.pakages: is not known; did you mean packages?"),
        (b"displayName: x\n", "5: displayName: is not known; did you mean display_name?"),
        (
            b"config: {cloud_init: {write_files: [{path: /a}]}}",
            "5: config.cloud_init.write_files.0.content: is missing",
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_a_key_that_does_not_fit_is_told_with_its_line(tmp_path: Path, raw: bytes, problem: str) -> None:
    (tmp_path / "x.yaml").write_bytes(BASE + raw)
    assert problems(tmp_path) == [f"x.yaml:{problem}"]


def test_a_bomb_of_aliases_is_not_set_off(tmp_path: Path) -> None:
    levels = [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 20)]
    (tmp_path / "x.yaml").write_text("x0: &x0 [lol]\n" + "\n".join(levels))
    assert "x.yaml:2: x1.0: is an alias (*): write out what it stands for" in problems(tmp_path)


@pytest.mark.parametrize(
    "raw",
    [
        b"x: " + b"1:" * 80_000 + b"1",
        b"a: b\n" * 50_000,
        b"".join(b"k%d: v\n" % number for number in range(25_000)),
        b"tags: [" + b"7, " * 80_000 + b"]",
        b"{" + b"a, " * 80_000,
        b"display_name: '" + b"a" * 200_000 + b"\xc2\x85'",
        b"startup_commands: [" + b'"\\0", ' * 40_000 + b"]",
    ],
    ids=range(7),
)
def test_what_is_large_and_wrong_is_told_in_a_moment_and_briefly(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(raw)
    start = time.process_time()
    found = problems(tmp_path)
    assert time.process_time() - start < 10  # of the processor: seconds where a step squares, minutes
    assert 1 <= len(found) <= 210
    assert max(map(len, found)) < 300


def test_a_file_of_256_kib_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "python.yaml"
    path.write_bytes(path.read_bytes().ljust(FILE_MAX_BYTES, b"#"))
    assert import_templates(tmp_path).names("created") == ["python"]


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
        assert re.match(rf"python\.yaml:\d+: {key}(\.\S+)?: \S", problem), problem


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("name: python\ncategory: framework\n")
    assert problems(tmp_path) == ["x.yaml:1: display_name: is missing", "x.yaml:1: description: is missing"]


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".copy.yaml").write_text("x")
    assert problems(tmp_path) == [f"{tmp_path}: has no template files (*.yaml, *.yml)"]


def test_what_cannot_be_opened_is_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    (tmp_path / "b.yaml").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "c.yaml")
    (tmp_path / "d.yaml").symlink_to("/dev/zero")
    (tmp_path / "e.yaml").symlink_to(tmp_path / "e.yaml")
    assert problems(tmp_path) == [
        "a.yaml: is no regular file",
        "b.yaml: No such file or directory",
        "c.yaml: is no regular file",
        "d.yaml: is no regular file",
        "e.yaml: Too many levels of symbolic links",
    ]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/nowhere/at-all", "/nowhere/at-all: No such file or directory"),
        ("/dev/zero", "/dev/zero: is no regular file"),
        ("a\0b", "a\\x00b: is no path"),
        ("x" * 300, f"{'x' * 300}: File name too long"),
    ],
    ids=["missing", "device", "nul", "long"],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, problem: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        import_templates(Path(path))
    assert refused.value.problems == [problem]


def test_a_file_whose_name_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text("x")
    assert problems(tmp_path) == ["\\udcff.yaml:1: must be a map of keys to values"]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "again.yaml").symlink_to(tmp_path / "python.yaml")
    report = import_templates(tmp_path, tmp_path / "python.yaml", tmp_path)
    assert [change.name for _, change in report.files] == ["python"]


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

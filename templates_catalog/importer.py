"""Template files: one YAML map each, its keys the fields of `Template`. All of a directory is taken, or nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from django.core.exceptions import ValidationError
from django.db import models, transaction

from templates_catalog.models import Template

DATA_DIR = Path(__file__).parent / "data"
FILE_MAX_BYTES = 256 * 1024
KEYS = {field.name for field in Template._meta.fields} - {"usage_count", "created_at", "updated_at"}
TEXT_KEYS = {field.name for field in Template._meta.fields if isinstance(field, models.CharField)}
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# What PyYAML lets through from int(), datetime.date() and the like, for a scalar such as 2024-13-45.
CONSTRUCTOR_ERRORS = (ValueError, LookupError, AttributeError, ArithmeticError)


class ImportRefused(Exception):
    """Nothing was changed. `problems`: one sentence each, naming file and key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class ImportReport:
    created: list[str]
    updated: list[str]
    unchanged: list[str]


def _refusal(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, mark)


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases (they can blow up a small file), without a key given twice (one would be lost)
    and without characters that the database can't hold."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise _refusal("aliases are not allowed", self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_scalar(self, node: Any) -> Any:
        text = super().construct_scalar(node)
        if UNSTORABLE.search(text):
            raise _refusal("NUL and half surrogate pairs are not allowed", node.start_mark)
        return text

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refusal("a key must be a text", key_node.start_mark)
            key = self.construct_object(key_node)
            if key in seen:
                raise _refusal(f"the key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _problem_in_yaml(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def _read_map(path: Path) -> dict[Any, Any]:
    """Raises: ImportRefused, where the file isn't one YAML map."""
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            raise ImportRefused([f"{path.name}: larger than {FILE_MAX_BYTES // 1024} KiB"])
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 -- a SafeLoader
    except OSError as error:
        raise ImportRefused([f"{path.name}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ImportRefused([f"{path.name}: not UTF-8"]) from error
    except (yaml.YAMLError, RecursionError, *CONSTRUCTOR_ERRORS) as error:
        raise ImportRefused([f"{path.name}: {_problem_in_yaml(error)}"]) from error
    if not isinstance(data, dict):
        raise ImportRefused([f"{path.name}: must be a map of keys to values"])
    return data


def _wrong_types(data: dict[Any, Any]) -> list[str]:
    """Django would turn 1.10 into "1.1" and a list into its Python spelling without a word."""
    texts = [key for key in sorted(TEXT_KEYS & data.keys()) if not isinstance(data[key], str | None)]
    problems = [f"{key}: must be a text; put it in quotes if it looks like a number or date" for key in texts]
    if type(data.get("default_port", 0)) is not int:
        problems.append("default_port: must be a whole number")
    return problems


def read_template(path: Path) -> Template:
    """An unsaved Template from a file. Raises: ImportRefused."""
    data = _read_map(path)
    problems = [f"unknown key {key}" for key in sorted(str(key) for key in data.keys() - KEYS)] + _wrong_types(data)
    if problems:
        raise ImportRefused([f"{path.name}: {problem}" for problem in problems])
    template = Template(**data)
    try:
        template.clean_fields()
        template.clean()
    except ValidationError as error:
        problems = [f"{path.name}: {key}: {text}" for key, texts in error.message_dict.items() for text in texts]
        raise ImportRefused(problems) from error
    return template


def import_templates(directory: Path = DATA_DIR) -> ImportReport:
    """Create and update templates from every *.yaml of `directory`. Raises: ImportRefused, with all problems."""
    paths = sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")]) if directory.is_dir() else []
    if not paths:
        raise ImportRefused([f"{directory}: no template files (*.yaml) there"])
    templates: dict[str, Template] = {}
    problems: list[str] = []
    for path in paths:
        try:
            template = read_template(path)
        except ImportRefused as refused:
            problems += refused.problems
            continue
        if template.name in templates:
            problems.append(f"{path.name}: name: {template.name} is used by another file too")
        templates[template.name] = template
    if problems:
        raise ImportRefused(problems)
    return _store(templates)


@transaction.atomic
def _store(templates: dict[str, Template]) -> ImportReport:
    report = ImportReport([], [], [])
    present = Template.objects.in_bulk(list(templates))
    for name, template in templates.items():
        old = present.get(name)
        if old is None:
            template.save(force_insert=True)
            report.created.append(name)
        elif changed := [key for key in KEYS if getattr(old, key) != getattr(template, key)]:
            for key in changed:
                setattr(old, key, getattr(template, key))
            old.save(update_fields=[*changed, "updated_at"])  # usage_count may be counting up meanwhile
            report.updated.append(name)
        else:
            report.unchanged.append(name)
    return report

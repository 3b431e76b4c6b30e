"""Template files: one YAML map each, its keys the fields of `Template`. All of a directory is taken, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from django.core.exceptions import ValidationError
from django.db import transaction

from templates_catalog.models import Template

DATA_DIR = Path(__file__).parent / "data"
FILE_MAX_BYTES = 256 * 1024
KEYS = {field.name for field in Template._meta.get_fields()} - {
    "usage_count",
    "created_at",
    "updated_at",
    "environments",
}


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


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML without aliases (they can blow up a small file) and without a key given twice (one would be lost)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_template(path: Path) -> Template:
    """An unsaved Template from a file. Raises: ImportRefused."""
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            raise ImportRefused([f"{path.name}: larger than {FILE_MAX_BYTES // 1024} KiB"])
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 -- a SafeLoader
    except UnicodeDecodeError as error:
        raise ImportRefused([f"{path.name}: not UTF-8"]) from error
    except (yaml.YAMLError, TypeError, RecursionError) as error:  # TypeError: a key that is a list or a map
        raise ImportRefused([f"{path.name}: {' '.join(str(error).split())}"]) from error
    if not isinstance(data, dict):
        raise ImportRefused([f"{path.name}: must be a map of keys to values"])
    if unknown := sorted(str(key) for key in set(data) - KEYS):
        raise ImportRefused([f"{path.name}: unknown key {key}" for key in unknown])
    template = Template(**data)
    try:
        template.clean_fields()
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
            old.save()
            report.updated.append(name)
        else:
            report.unchanged.append(name)
    return report

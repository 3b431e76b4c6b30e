"""Every write of the catalogue. Templates are never deleted: environments go on living from those that are gone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction

from devpocket.errors import FieldError, InvalidInput, NotFound
from templates_catalog.errors import NameTaken
from templates_catalog.models import Template, default_resources, problems_above
from templates_catalog.rules import KEYS, Problem, problems

log = structlog.get_logger(__name__)

SHORT_MAX = 40  # characters of a value that a report shows


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A dotted key, and what it was and is; None where there is no such key."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """`version (1.0.0 -> 1.1.0)`; the key alone where a value is long, or no single one."""
        if all(_is_short(value) for value in (self.old, self.new)):
            return f"{self.key} ({_word(self.old)} -> {_word(self.new)})"
        return self.key


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a template, or with `dry_run` would."""

    name: str
    what: Literal["created", "updated", "unchanged", "deprecated"]
    keys: Sequence[KeyChange] = field(default=())


def _is_short(value: object) -> bool:
    is_scalar = value is None or isinstance(value, str | int | float)
    return is_scalar and len(str(value)) <= SHORT_MAX and str(value).isprintable()


def _word(value: object) -> str:
    return "none" if value is None else str(value) or "''"


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[KeyChange]:
    """Of two templates' values, into the maps, in the schema's order."""
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from differences(before, after, f"{prefix}{key}.")
        else:
            yield KeyChange(f"{prefix}{key}", before, after)


def template_from(fields: Mapping[str, Any]) -> Template:
    """An unsaved Template of fields that obey the rules. What they leave out has its default."""
    template = Template(**fields)
    template.default_resources = {**default_resources(), **template.default_resources}
    return template


def template_create(*, fields: Mapping[str, Any], actor_id: UUID) -> Template:
    """Raises: InvalidInput; NameTaken, also by a deprecated one."""
    _refuse(problems(fields))
    template = template_from(fields)
    _refuse_above(template)
    try:
        with transaction.atomic():
            template.save(force_insert=True)
    except IntegrityError as error:
        raise NameTaken(f"There is a template named {template.name} already.") from error
    log.info("template_created", template=template.name, actor=str(actor_id))
    return template


@transaction.atomic
def template_update(*, name: str, fields: Mapping[str, Any], actor_id: UUID) -> Template:
    """Replace the values of the fields that are given; the rest stays.

    Raises: NotFound, InvalidInput; then nothing was changed.
    """
    template = Template.objects.select_for_update().filter(pk=name).first()
    if template is None:
        raise NotFound("There is no such template.")
    old = template.values()
    new = {**old, **fields}
    _refuse(problems(new))
    wanted = template_from(new)
    _refuse_above(wanted)
    if changes := list(differences(old, wanted.values())):
        _save(template, wanted)
        log.info("template_updated", template=name, actor=str(actor_id), keys=[change.key for change in changes])
    return template


def template_deprecate(*, name: str, actor_id: UUID) -> None:
    """Offer it no more. Repeated, it changes nothing. Raises: NotFound."""
    _set_status(name, Template.Status.DEPRECATED, actor_id)


def template_reactivate(*, name: str, actor_id: UUID) -> None:
    """Offer it again; a beta one stays one. Raises: NotFound."""
    _set_status(name, Template.Status.ACTIVE, actor_id)


@transaction.atomic
def _set_status(name: str, status: Template.Status, actor_id: UUID) -> None:
    """Without a look at the rules: a template that breaks them can be taken out all the same."""
    template = Template.objects.select_for_update().filter(pk=name).first()
    if template is None:
        raise NotFound("There is no such template.")
    is_offered = template.status != Template.Status.DEPRECATED
    if is_offered != (status != Template.Status.DEPRECATED):
        template.status = status
        template.save(update_fields=["status", "updated_at"])
        log.info("template_updated", template=name, actor=str(actor_id), keys=["status"])


@transaction.atomic
def templates_take(
    *, templates: Collection[Template], undecided: Collection[str], prune: bool, dry_run: bool
) -> list[Change]:
    """Make the catalogue's rows what `templates` say; with `prune`, deprecate all others. All of it, or nothing.

    `undecided`: names of those whose status isn't said. There an administrator's word stays: a deploy must not
    offer again what was taken out. `dry_run`: only tell.
    """
    rows = {row.name: row for row in Template.objects.select_for_update()}
    changes = []
    for template in templates:
        row = rows.pop(template.name, None)
        if row is None:
            changes.append(Change(template.name, "created"))
            if not dry_run:
                template.save(force_insert=True)
            continue
        if template.name in undecided:
            template.status = row.status
        keys = tuple(differences(row.values(), template.values()))
        changes.append(Change(template.name, "updated" if keys else "unchanged", keys))
        if keys and not dry_run:
            _save(row, template)
    for name, row in sorted(rows.items()) if prune else ():
        if row.status != Template.Status.DEPRECATED:
            changes.append(Change(name, "deprecated"))
            if not dry_run:
                row.status = Template.Status.DEPRECATED
                row.save(update_fields=["status", "updated_at"])
    done = {change.name: change.what for change in changes if change.what != "unchanged"}
    if done and not dry_run:
        log.info("templates_imported", changes=done)
    return changes


@transaction.atomic
def templates_initialize(*, templates: Collection[Template], actor_id: UUID) -> tuple[list[str], list[str]]:
    """Create those that don't exist. Returns the names of the created and of the skipped ones."""
    present = set(Template.objects.values_list("pk", flat=True))
    missing = [template for template in templates if template.name not in present]
    Template.objects.bulk_create(missing, ignore_conflicts=True)  # two administrators at once
    created = [template.name for template in missing]
    log.info("templates_initialized", created=created, actor=str(actor_id))
    return created, [template.name for template in templates if template.name in present]


def _save(row: Template, wanted: Template) -> None:
    """Only what differs: usage_count may be counting up meanwhile."""
    changed = [key for key in KEYS if getattr(row, key) != getattr(wanted, key)]
    for key in changed:
        setattr(row, key, getattr(wanted, key))
    row.save(update_fields=[*changed, "updated_at"])


def _refuse(found: Sequence[Problem]) -> None:
    if found:
        errors: list[FieldError] = [
            {"field": problem.key, "message": _sentence(problem), "code": problem.code} for problem in found
        ]
        raise InvalidInput(errors[0]["message"], errors=errors)


def _sentence(problem: Problem) -> str:
    key = problem.key if len(problem.path) > 1 else problem.key.replace("_", " ").capitalize()
    return problem.sentence(key)


def _refuse_above(template: Template) -> None:
    if found := problems_above(template):
        errors: list[FieldError] = [
            {"field": "non_field_errors", "message": sentence, "code": "invalid"} for sentence in found
        ]
        raise InvalidInput(found[0], errors=errors)

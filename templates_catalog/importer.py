"""Template files: one YAML map each, its keys those of `schema.json`. All that is named is taken, or nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from templates_catalog.documents import Document, parse_document
from templates_catalog.models import Template, problems_above
from templates_catalog.rules import Problem, problems, shown
from templates_catalog.services import Change, template_from, templates_take

DATA_DIR = Path(__file__).parent / "data"
FILE_MAX_BYTES = 256 * 1024
SUFFIXES = {".yaml", ".yml"}


class ImportRefused(Exception):
    """Nothing was changed. `problems`: one line each, `FILE:LINE: KEY: RULE`; of a whole file, `FILE: RULE`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def label(path: Path) -> str:
    """A path as it can be written anywhere: names of files need not be text."""
    return shown(path, 1000)


@dataclass(frozen=True, slots=True)
class TemplateFile:
    path: Path
    template: Template  # unsaved
    says_status: bool


@dataclass(frozen=True, slots=True)
class ImportReport:
    """`files`: what became of the template of each file, in their order. `pruned`: names of what has no file."""

    files: list[tuple[Path, Change]]
    pruned: list[str]

    def names(self, what: str) -> list[str]:
        return [change.name for _, change in self.files if change.what == what]


def import_templates(*paths: Path, prune: bool = False, dry_run: bool = False) -> ImportReport:
    """Create and update the templates of files, and of directories' *.yaml; default: the set that comes along.

    `prune`: deprecate those without a file. `dry_run`: only tell. Raises: ImportRefused, with all problems.
    """
    files = read_templates(paths or (DATA_DIR,))
    if prune and (single := [path for path in paths if not path.is_dir()]):
        # They are never the whole set, and all others would go.
        raise ImportRefused([f"{label(path)}: --prune takes directories only" for path in single])
    changes = templates_take(
        templates=[file.template for file in files],
        undecided=[file.template.name for file in files if not file.says_status],
        prune=prune,
        dry_run=dry_run,
    )
    pruned = [change.name for change in changes[len(files) :]]
    return ImportReport(list(zip((file.path for file in files), changes, strict=False)), pruned)


def read_templates(paths: Sequence[Path] = (DATA_DIR,)) -> list[TemplateFile]:
    """Without the database. Raises: ImportRefused, with all problems of all files."""
    found: list[str] = []
    files: list[TemplateFile] = []
    owners: dict[str, str] = {}  # of names: FILE:LINE
    for path in _files(paths, found):
        try:
            document = parse_document(_read(path))
        except ImportRefused as refused:
            found += refused.problems
            continue
        told = _problems(document)
        name, line = document.data.get("name"), document.line(("name",))
        if isinstance(name, str) and all(problem.path != ("name",) for _, problem in told):
            owner = owners.setdefault(name, here := f"{label(path)}:{line}")
            if owner != here:
                told.append((line, Problem(("name",), f"{name} is the name in {owner} too")))
        if told:
            found += [_line(path, *one) for one in sorted(told, key=lambda one: one[0])]
            continue
        template = template_from(document.data)
        found += [f"{label(path)}: {sentence}" for sentence in problems_above(template)]
        files.append(TemplateFile(path, template, "status" in document.data))
    if found:
        raise ImportRefused(found)
    return files


def _files(paths: Sequence[Path], found: list[str]) -> Iterator[Path]:
    """Each file once, however often it is named. What is none goes to `found`."""
    seen: set[Path] = set()
    for path in paths:
        if "\0" in str(path):
            found.append(f"{label(path)}: is no path")
            continue
        try:
            inside = _template_files(path) if path.is_dir() else [path]
        except OSError as error:
            found.append(f"{label(path)}: {error.strerror}")
            continue
        if not inside:
            found.append(f"{label(path)}: has no template files (*.yaml, *.yml)")
        for file in inside:
            real = Path(os.path.realpath(file))
            if real not in seen:
                seen.add(real)
                yield file


def _template_files(directory: Path) -> list[Path]:
    """Not those below it, and no hidden ones: editors put copies there."""
    return sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))


def _problems(document: Document) -> list[tuple[int, Problem]]:
    """With their lines. What YAML itself has trouble with isn't looked at again: that key, or all of the file."""
    unread = {problem.path for _, problem in document.problems}
    found = problems(document.data) if document.data or not unread else []
    return document.problems + [
        (document.line(problem.path), problem)
        for problem in found
        if unread.isdisjoint(problem.path[:length] for length in range(1, len(problem.path) + 1))
    ]


def _line(path: Path, line: int, problem: Problem) -> str:
    return f"{label(path)}:{line}: {problem.key + ': ' if problem.key else ''}{problem.rule}"


def _read(path: Path) -> bytes:
    """Raises: ImportRefused, where there is no file of a sensible size. Waits for nobody: a pipe may have no writer."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImportRefused([f"{label(path)}: is no regular file"])
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):  # another one by now
                raise ImportRefused([f"{label(path)}: is no regular file"])
            raw = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ImportRefused([f"{label(path)}: {error.strerror}"]) from error
    if len(raw) > FILE_MAX_BYTES:
        raise ImportRefused([f"{label(path)}: is larger than {FILE_MAX_BYTES // 1024} KiB"])
    return raw

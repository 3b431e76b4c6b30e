"""YAML as template files are written in: one map, without what makes YAML dangerous or surprising, and with the line
of every key. Total: whatever the bytes are, there is a Document, in bounded time and depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from templates_catalog.rules import PROBLEMS_MAX, KeyPath, Problem, shown

DEPTH_MAX = 16  # a template's own is 6
NUMBER_MAX = 40  # characters: int() takes its time for thousands
# libyaml is ten times as fast. Only its events are used: its own composing recurses in C, until the stack is full.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TAG = "tag:yaml.org,2002:"
_resolver: Any = yaml.resolver.Resolver()
_constructor: Any = yaml.constructor.SafeConstructor()
NUMBERS = {
    "bool": _constructor.construct_yaml_bool,
    "int": _constructor.construct_yaml_int,
    "float": _constructor.construct_yaml_float,
}


@dataclass
class Document:
    """`data` is what could be read; where a problem is, it holds nothing that is worth another look."""

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)  # of each key and list entry, from 1
    problems: list[tuple[int, Problem]] = field(default_factory=list)  # with their lines

    def line(self, path: KeyPath) -> int:
        """Of the key, or of what it is missing from."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Unreadable(Exception):
    """What comes after it can't be read."""

    def __init__(self, line: int, path: KeyPath, rule: str) -> None:
        super().__init__(rule)
        self.line, self.path, self.rule = line, path, rule


def parse_document(raw: bytes) -> Document:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Document(problems=[(line, Problem((), "is not UTF-8"))])
    composer = _Composer(text)
    try:
        composer.compose()
    except _Unreadable as problem:
        composer.document.problems.append((problem.line, Problem(problem.path, problem.rule)))
    except yaml.reader.ReaderError as error:
        # libyaml counts bytes, PyYAML characters; but the first such character is the one that was refused.
        line = text.count("\n", 0, max(0, text.find(chr(error.character)))) + 1
        composer.document.problems.append(
            (line, Problem((), f"has a character that YAML does not take, {error.character:#x}"))
        )
    except yaml.MarkedYAMLError as error:
        composer.document.problems.append(_syntax_problem(error, text))
    except (ValueError, OverflowError):  # PyYAML's own scanner, for "\\UFFFFFFFF"
        composer.document.problems.append((1, Problem((), "has an escape that stands for no character")))
    return composer.document


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> tuple[int, Problem]:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    lines = text.splitlines()[line - 1 : line]
    indentation = lines[0][: len(lines[0]) - len(lines[0].lstrip())] if lines else ""
    if "\t" in indentation:
        return line, Problem((), "is indented by a tab: YAML takes blanks only")
    words = ", ".join(filter(None, (error.context, error.problem)))
    return line, Problem((), f"is no YAML: {shown(words, 200)}")


class _Composer:
    def __init__(self, text: str) -> None:
        self.document = Document()
        self._events: Iterator[Any] = yaml.parse(text, Loader=LOADER)

    def compose(self) -> None:
        next(self._events)  # the stream's start
        event = next(self._events)
        if isinstance(event, StreamEndEvent):
            raise _Unreadable(1, (), "is empty")
        root = next(self._events)
        value = self._value(root, ())
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, StreamEndEvent):
            raise _Unreadable(_line(after), (), "begins a second document: a file has one template")
        if isinstance(value, dict):
            self.document.data = value
        elif not self.document.problems:  # or the root is an alias, or has a tag
            raise _Unreadable(_line(root), (), "must be a map of keys to values")

    def _value(self, event: Any, path: KeyPath) -> Any:
        if isinstance(event, AliasEvent):
            return self._problem(event, path, "is an alias (*): write out what it stands for")
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if len(path) >= DEPTH_MAX:
            raise _Unreadable(_line(event), (), f"is nested deeper than {DEPTH_MAX} levels")
        is_map = isinstance(event, MappingStartEvent)
        value = self._map(path) if is_map else self._list(path)
        if event.tag not in (None, "!", f"{TAG}map" if is_map else f"{TAG}seq"):
            return self._problem(event, path, f"has the tag {shown(event.tag)}, which templates have no use for")
        return value

    def _map(self, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, path)
            inner = (*path, key if key is not None else "?")
            if key is not None and key in found:
                self._problem(event, inner, f"is given twice, in line {self.document.lines[inner]} too")
                self._value(next(self._events), inner)
                continue
            self.document.lines.setdefault(inner, _line(event))
            value = self._value(next(self._events), inner)
            if key is not None:
                found[key] = value
        return found

    def _key(self, event: Any, path: KeyPath) -> str | None:
        """None: a problem was noted."""
        if not isinstance(event, ScalarEvent):
            self._problem(event, path, "has a key that is no text")
            self._skip(event)
            return None
        kind = _kind(event)
        if kind == "str":
            return str(event.value)
        if kind == "merge":
            self._problem(event, path, "has a merge key (<<): write out what it stands for")
        else:
            self._problem(event, path, f"has the key {shown(event.value)}, which is no text: put it in quotes")
        return None

    def _skip(self, event: Any) -> None:
        """Past the end of what begins with the event, however deep it is."""
        depth = 0
        while True:
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth == 0:
                return
            event = next(self._events)

    def _list(self, path: KeyPath) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            inner = (*path, len(found))
            self.document.lines[inner] = _line(event)
            found.append(self._value(event, inner))
        return found

    def _scalar(self, event: Any, path: KeyPath) -> Any:
        kind = _kind(event)
        if kind == "str":
            return event.value
        if kind == "null":
            return None
        if kind == "timestamp":
            return self._problem(event, path, "is a date to YAML: put it in quotes")
        if kind not in NUMBERS:
            return self._problem(event, path, f"has the tag {shown(kind)}, which templates have no use for")
        if len(event.value) <= NUMBER_MAX:
            try:
                return NUMBERS[kind](yaml.ScalarNode(f"{TAG}{kind}", event.value))
            except (ValueError, LookupError, ArithmeticError):
                pass  # !!int x, !!bool maybe
        return self._problem(event, path, "is no number or truth value that can be read: put it in quotes")

    def _problem(self, event: Any, path: KeyPath, rule: str) -> None:
        if len(self.document.problems) < PROBLEMS_MAX:
            self.document.problems.append((_line(event), Problem(path, rule)))


def _kind(event: Any) -> str:
    """What YAML takes a scalar for: str, null, bool, int, float, timestamp, merge, or a tag of somebody's own."""
    tag = event.tag
    if tag in (None, "!"):
        tag = _resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
    return str(tag).removeprefix(TAG)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1

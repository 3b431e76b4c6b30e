"""What a template may look like: `schema.json`, and the little that a schema can't say.

Files, the API and the admin all ask `problems`, so that none of them takes what another refuses.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parent / "schema.json").read_text(encoding="utf-8"))
KEYS = tuple(SCHEMA["properties"])
PROBLEMS_MAX = 100  # of one template: who reads more?
UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # PostgreSQL holds neither
SHOWN_MAX = 60  # characters of a key or value that a message repeats
TYPE_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "array": "a list",
    "object": "a map of keys to values",
    "null": "null",
}

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """`rule` goes on after the key: "tags.3" "must be a text". `code`: a field's code of contract 2.3."""

    path: KeyPath
    rule: str
    code: str = "invalid"

    @property
    def key(self) -> str:
        """The dotted path; list entries are counted from 0. Empty: the template as a whole."""
        return ".".join(shown(part) for part in self.path)

    def sentence(self, subject: str) -> str:
        """With another subject than the key; empty: none."""
        words = f"{subject} {self.rule}" if subject else f"{self.rule[0].upper()}{self.rule[1:]}"
        return words if words.endswith("?") else f"{words}."


def shown(value: object, limit: int = SHOWN_MAX) -> str:
    """A key or value as a message can repeat it: short, on one line, and without control characters."""
    text = str(value)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= limit else f"{text[:limit]}..."


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A schema's pattern, where `$` is the end of the text: in Python's it lets a line feed follow."""
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", pattern))


# What jsonschema calls for some keywords, so that each problem has its own path; the messages are ours, further down.


def _pattern(_: object, pattern: str, value: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    # A text that is too long is refused for that alone: on some, matching would take its time.
    if isinstance(value, str) and len(value) <= schema.get("maxLength", len(value)):
        is_told = not value and schema.get("minLength")  # as empty, which is enough
        if not is_told and not compiled(pattern).search(value):
            yield ValidationError("")


def _required(_: object, names: list[str], value: object, schema: object) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        yield from (ValidationError("", path=[name]) for name in names if name not in value)


def _no_more_properties(
    validator: Any, rest: Any, value: object, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """`additionalProperties`, telling each key that isn't known by its own path."""
    if not isinstance(value, dict):
        return
    known = schema.get("properties", {})
    for key in [key for key in value if key not in known]:
        if rest is False:
            yield ValidationError("", path=[key], instance=key)
        else:
            yield from validator.descend(value[key], rest, path=key)


def _property_names(_: object, rule: Mapping[str, Any], value: object, schema: object) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        pattern = compiled(rule["pattern"])
        names = (name for name in value if not (isinstance(name, str) and pattern.search(name)))
        yield from (ValidationError("", path=[name], schema=rule) for name in names)


def _is_whole(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)  # 8080.0 is none: it would be stored as it is


_Validator = extend(
    Draft202012Validator,
    {
        "pattern": _pattern,
        "required": _required,
        "additionalProperties": _no_more_properties,
        "propertyNames": _property_names,
    },
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole),
)
_Validator.check_schema(SCHEMA)


def problems(data: object, schema: Mapping[str, Any] = SCHEMA) -> list[Problem]:
    """What is wrong with a template's keys and values, each place once; empty: nothing. Total, for what JSON can hold.

    `schema`: a part of the whole, for a value alone.
    """
    found: dict[KeyPath, Problem] = {}
    for error in islice(_Validator(schema).iter_errors(data), PROBLEMS_MAX):
        path = tuple(error.absolute_path)
        found.setdefault(path, _as_problem(path, error))
    for path, text in islice(_texts(data), PROBLEMS_MAX * 1000):
        if UNSTORABLE.search(text):
            found.setdefault(path, Problem(path, "must not have a NUL or half of a surrogate pair"))
    for problem in _named_twice(data) if isinstance(data, dict) else ():
        found.setdefault(problem.path, problem)
    return list(found.values())[:PROBLEMS_MAX]


def _as_problem(path: KeyPath, error: Any) -> Problem:
    limit = error.validator_value
    match error.validator:
        case "required":
            return Problem(path, "is missing", "required")
        case "additionalProperties":
            return Problem(path, f"is not known{_suggestion(path[-1], error.schema['properties'])}")
        case "type":
            return _wrong_type(path, [limit] if isinstance(limit, str) else limit, error.instance)
        case "enum":
            return Problem(path, f"must be one of {', '.join(limit)}", "unknown_choice")
        case "minLength":
            return Problem(path, "must not be empty", "blank")
        case "maxLength":
            return Problem(path, f"must have at most {limit} characters", "max_length")
        case "minItems":
            return Problem(path, "must not be empty", "min_length")
        case "maxItems" | "maxProperties":
            rule = error.schema.get("x-rule", f"must have at most {limit} entries")
            return Problem(path, rule, "max_length")
        case "minimum":
            return Problem(path, f"must be at least {limit}", "min_value")
        case "maximum":
            return Problem(path, f"must be at most {limit}", "max_value")
    return Problem(path, error.schema["x-rule"])


def _wrong_type(path: KeyPath, wanted: list[str], value: object) -> Problem:
    rule = "must be " + " or ".join(TYPE_WORDS[one] for one in wanted)
    if value is None:
        return Problem(path, rule, "null")
    if "string" in wanted and isinstance(value, bool | int | float):
        rule += ": put it in quotes"
    return Problem(path, rule)


def _suggestion(word: object, known: Iterable[str]) -> str:
    """What was perhaps meant; all there is, where that is little."""
    names = list(known)
    if isinstance(word, str) and len(word) <= SHOWN_MAX:
        # '-' for '_' and camelCase are the usual slips.
        plain = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", word).replace("-", "_").lower()
        if near := difflib.get_close_matches(plain, names, n=1):
            return f"; did you mean {near[0]}?"
    return f"; known are {', '.join(names)}" if len(names) <= 6 else ""


def _texts(data: object) -> Iterator[tuple[KeyPath, str]]:
    """Every text in it, keys too, with where it is. Without recursion: what is given may be deep."""
    todo: list[tuple[KeyPath, object]] = [((), data)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            yield from (((*path, key), key) for key in value if isinstance(key, str))
            todo += [((*path, key), item) for key, item in value.items()]
        elif isinstance(value, list):
            todo += [((*path, index), item) for index, item in enumerate(value)]


def _named_twice(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Sources and files that would overwrite one another on the machine."""
    config = data.get("config")
    cloud_init = config.get("cloud_init") if isinstance(config, dict) else None
    places: tuple[tuple[KeyPath, object, str], ...] = (
        (("config", "sources"), config.get("sources") if isinstance(config, dict) else None, "name"),
        (
            ("config", "cloud_init", "write_files"),
            cloud_init.get("write_files") if isinstance(cloud_init, dict) else None,
            "path",
        ),
    )
    for path, items, key in places:
        seen: set[str] = set()
        for index, item in enumerate(items) if isinstance(items, list) else ():
            name = item.get(key) if isinstance(item, dict) else None
            if isinstance(name, str) and name in seen:
                yield Problem((*path, index, key), "is in the list twice")
            seen |= {name} if isinstance(name, str) else set()

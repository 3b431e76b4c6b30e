"""Environment variables as settings: django-environ, with stricter types, limits, and a list of all that was asked for.

A variable that is empty counts as not set. NAME_FILE=/run/secrets/name gives a variable by file, and wins over NAME.
"""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

TRUE, FALSE = frozenset({"true", "on", "yes", "y", "1"}), frozenset({"false", "off", "no", "n", "0"})
ASSIGNMENT = re.compile(r"(#.*|(export )?[A-Za-z_0-9]+=.*|)\Z")
TYPES = {str: "text", bool: "true or false", int: "whole number", float: "number", list: "list", json.loads: "JSON"}


@dataclass
class Variable:
    """What settings ask for. `is_required`: in production; `limits`: of a number, in words."""

    name: str
    type: str
    default: Any
    is_required: bool = False
    limits: str = ""


class Env(environ.FileAwareEnv):
    """`asked` is every variable that was read, by name, in the order of reading.

    All methods raise ImproperlyConfigured with one sentence that begins with the variable's name. No value of a text
    is in it: it may be a secret.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, Variable] = {}

    def get_value(self, var: Any, cast: Any = None, default: Any = None, parse_default: Any = False) -> Any:
        """Not django-environ's: that takes `1x0` for a number, any typing error for False, and `$x` for x's value."""
        del parse_default
        cast = cast or str
        self.asked[var] = Variable(var, TYPES[cast], default)
        text = self._text(var)
        if not text:
            return default
        try:
            return _parse(cast, text)
        except ValueError:
            wanted = TYPES[cast] if cast in (bool, json.loads) else f"a {TYPES[cast]}"
            shown = "" if cast is json.loads else f", not {text!r}"
            raise ImproperlyConfigured(f"{var} must be {wanted}{shown}.") from None

    def _text(self, var: Any) -> str:
        try:
            return str(self.ENVIRON.get(var) or "").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ImproperlyConfigured(f"{var}_FILE names a file that can't be read: {why}.") from None

    def int(self, var: Any, default: Any = None, *, least: Any = None, most: Any = None) -> Any:
        """A whole number of at least 1, or of at least 0 where that is the default, unless limits are given."""
        return self._number(var, int, default, (0 if default == 0 else 1) if least is None else least, most)

    def float(self, var: Any, default: Any = None, *, least: Any = None, most: Any = None) -> Any:
        """A number above 0, or of at least 0 where that is the default, unless limits are given."""
        return self._number(var, float, default, 0 if default == 0 and least is None else least, most)

    def _number(self, var: Any, cast: Any, default: Any, least: Any, most: Any) -> Any:
        value = self.get_value(var, cast=cast, default=default)
        wanted = "above 0" if least is None else f"{least} or more" if most is None else f"{least} to {most}"
        self.asked[var].limits = wanted
        if value is not None and (
            (value <= 0 if least is None else value < least) or (most is not None and value > most)
        ):
            raise ImproperlyConfigured(f"{var} must be {wanted}, not {value}.")
        return value

    def required(self, var: Any, why: Any, *, unless: Any = False) -> Any:
        """The variable's text. It must be there, `unless` (DEBUG is on, say) it need not: "" then."""
        value = self.get_value(var, cast=str, default="")
        self._require(var, value, why, unless)
        return value

    def required_list(self, var: Any, why: Any, *, unless: Any = False) -> Any:
        """Like `required`, a list of texts."""
        value = self.get_value(var, cast=list, default=[])
        self._require(var, value, why, unless)
        return value

    def _require(self, var: Any, value: Any, why: Any, unless: Any) -> None:
        self.asked[var].is_required = True
        if not value and not unless:
            raise ImproperlyConfigured(f"{var} is not set: {why} (docs/settings.md).")

    def read_dotenv(self, path: Path) -> None:
        """Set what the file DOTENV, or else `path`, sets and the environment leaves out. There need not be a `path`."""
        given = self.str("DOTENV", "")
        path = Path(given) if given else path
        try:
            lines = [line.strip() for line in path.read_text().splitlines()]
        except FileNotFoundError:
            lines = []
        except (OSError, UnicodeDecodeError):
            raise ImproperlyConfigured(f"DOTENV: {path} can't be read.") from None
        for number, line in enumerate(lines, 1):  # django-environ would log the whole line, secret or not
            if not ASSIGNMENT.match(line):
                raise ImproperlyConfigured(f"DOTENV: line {number} of {path} is not NAME=value.")
        environ.Env.read_env(io.StringIO("\n".join(lines)), overwrite=False)


def _parse(cast: Any, text: str) -> Any:
    """Raises: ValueError."""
    if cast is bool:
        if text.lower() not in TRUE | FALSE:
            raise ValueError
        return text.lower() in TRUE
    if cast is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    value = cast(text)
    if cast is float and not math.isfinite(value):
        raise ValueError
    return value

"""Misbehaviour on demand, for tests of clients: by header, or by rules set beforehand.

A fault is one of

    lose_answer    do what was asked, then cut the connection without an answer
    hang           do nothing and never answer; after `seconds`, if given, cut the connection
    slow           wait `seconds` (default 2), then go on as usual
    status         do nothing and answer with `status` (429, 500, 503, ...; default 503)
    html           do nothing and answer 502 with a gateway's HTML page
    pending        do nothing and answer an action request with the 422 of a pending event
    refuse_attached  do nothing and answer the resize of an attached volume with 422
    action_error   the action that this request starts ends as errored and changes nothing
    action_hang    the action that this request starts stays in progress and changes nothing
    never_active   the droplet that this request creates stays `new`
    late_listing   what this request creates is missing in lists for `seconds` (default 2)
    vanish         answer as usual, then the droplet that the request names or creates is gone

A fault meets only requests to which it can happen: an `action_error` passes over everything that starts no action.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEADER = "x-localcloud-fault"
SLOW_S = 2.0
LONGEST_S = 3600
DEFAULT_SECONDS = {"slow": SLOW_S, "late_listing": SLOW_S}
# With these in the header, a value after `=` is the status, or the seconds.
HEADER_VALUES = {"status": "status", **dict.fromkeys(("slow", "hang", "late_listing"), "seconds")}

_ANY = re.compile("")
_ACTION = re.compile(r"POST /v2/(droplets|volumes)/([^/]+/)?actions (\w*)")
_NEW_DROPLET = re.compile(r"POST /v2/droplets ")
# What a fault can happen to: a method, a path, and the type of the action that is asked for.
KINDS = {
    "lose_answer": _ANY,
    "hang": _ANY,
    "slow": _ANY,
    "status": _ANY,
    "html": _ANY,
    "pending": _ACTION,
    "refuse_attached": re.compile(r"POST /v2/volumes/[^/]+/actions resize"),
    "action_error": re.compile(f"{_ACTION.pattern}|{_NEW_DROPLET.pattern}"),
    "action_hang": re.compile(f"{_ACTION.pattern}|{_NEW_DROPLET.pattern}"),
    "never_active": _NEW_DROPLET,
    "late_listing": re.compile(
        r"POST /v2/((droplets|volumes|volumes/[^/]+/snapshots) |droplets/([^/]+/)?actions snapshot)"
    ),
    "vanish": re.compile(rf"(GET|PUT|POST) /v2/droplets/\d+[/ ]|{_NEW_DROPLET.pattern}"),
}


class BadFault(ValueError):
    """A fault or rule that can't be understood."""


@dataclass(frozen=True)
class Fault:
    """What is to go wrong with one request. `seconds` is None where there is no end."""

    kind: str
    status: int = 503
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The fault as it can be asked for."""
        return {"fault": self.kind, "status": self.status, "seconds": self.seconds}

    def fits(self, method: str, path: str, action_type: str) -> bool:
        """Whether this can happen to such a request."""
        return KINDS[self.kind].match(f"{method} {path} {action_type}") is not None


@dataclass
class Rule:
    """One of some faults, by chance, for the next `count` requests that match; for all of them, if that is None."""

    id: int
    faults: tuple[Fault, ...]
    method: str | None
    path: re.Pattern[str] | None
    type: str | None
    probability: float
    count: int | None

    def as_json(self) -> dict[str, Any]:
        """The rule as the admin endpoint shows it, with what remains of its count."""
        one = self.faults[0].as_json() if len(self.faults) == 1 else {"fault": [f.as_json() for f in self.faults]}
        return {
            "id": self.id,
            **one,
            "method": self.method,
            "path": self.path.pattern if self.path else None,
            "type": self.type,
            "probability": self.probability,
            "count": self.count,
        }

    def fitting(self, method: str, path: str, action_type: str) -> list[Fault]:
        """Those of its faults that can happen to this request; none where the rule is for others."""
        if self.method not in (None, method) or self.type not in (None, action_type):
            return []
        if self.path and not self.path.search(path):
            return []
        return [fault for fault in self.faults if fault.fits(method, path, action_type)]


def parse_fault(values: Mapping[str, Any]) -> Fault:
    """Turn {"fault": kind, ...} into a Fault.

    Raises:
        BadFault: unknown kind, or a value out of range.
    """
    kind = values.get("fault")
    if not isinstance(kind, str) or kind not in KINDS:
        raise BadFault(f"fault must be one of {', '.join(sorted(KINDS))}")
    seconds = values.get("seconds")
    seconds = DEFAULT_SECONDS.get(kind) if seconds is None else seconds
    try:
        fault = Fault(kind, int(values.get("status", 503)), None if seconds is None else float(seconds))
    except (TypeError, ValueError):
        raise BadFault("status and seconds must be numbers") from None
    if not 400 <= fault.status <= 599 or not 0 <= (fault.seconds or 0) <= LONGEST_S:
        raise BadFault(f"status must be 400 to 599, seconds 0 to {LONGEST_S}")
    return fault


def parse_faults(values: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Turn a rule's {"fault": kind or list, ...} into faults; in a list, a kind alone takes the rule's own values.

    Raises:
        BadFault: no fault, an unknown kind, or a value out of range.
    """
    several = values.get("fault")
    if not isinstance(several, list):
        return (parse_fault(values),)
    if not several:
        raise BadFault("fault must not be an empty list")
    return tuple(parse_fault({**values, **(one if isinstance(one, dict) else {"fault": one})}) for one in several)


def parse_header(text: str) -> Fault:
    """Turn the header into a Fault: `lose_answer`, `status=429`, `slow=0.5`, or JSON."""
    if text.lstrip().startswith("{"):
        try:
            values = json.loads(text)
        except ValueError:
            raise BadFault("the header is not valid JSON") from None
        return parse_fault(values)
    kind, _, value = text.strip().partition("=")
    named = HEADER_VALUES.get(kind)
    return parse_fault({"fault": kind, **({named: value} if named and value else {})})


class Faults:
    """The rules in force, first come first served, in memory only. A `seed` makes what is left to chance repeatable.

    `given` counts the faults that really happened, by kind.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.given: Counter[str] = Counter()
        self._rules: list[Rule] = []
        self._next_id = 1
        self._chance = random.Random(seed)  # noqa: S311  chance, not secrecy

    def add(self, values: Mapping[str, Any]) -> Rule:
        """Put a rule in force.

        Raises:
            BadFault: it can't be understood.
        """
        faults = parse_faults(values)
        method, pattern, kind = values.get("method"), values.get("path"), values.get("type")
        try:
            count = int(values.get("count", 1) or 0)
            probability = float(values.get("probability", 1.0))
            path = re.compile(pattern) if pattern else None
        except (TypeError, ValueError, re.error):
            raise BadFault("count and probability must be numbers, path a regular expression") from None
        if count < 0 or not 0 < probability <= 1:
            raise BadFault("count must be 1 or more, or 0 for no limit; probability over 0 and at most 1")
        if not all(text is None or isinstance(text, str) for text in (method, kind)):
            raise BadFault("method and type must be strings")
        rule = Rule(self._next_id, faults, method.upper() if method else None, path, kind, probability, count or None)
        self._next_id += 1
        self._rules.append(rule)
        return rule

    def rules(self) -> list[Rule]:
        """The rules that still have something to do."""
        return list(self._rules)

    def clear(self) -> None:
        """Forget all rules; what was given stays counted."""
        self._rules.clear()

    def take(self, method: str, path: str, header: str | None = None, *, action_type: str = "") -> Fault | None:
        """The fault for this request, used up by asking: its header's, else the first matching rule's.

        Raises:
            BadFault: the header can't be understood.
        """
        if header is not None:
            fault = parse_header(header)
            return fault if fault.fits(method, path, action_type) else None
        for rule in self._rules:
            fitting = rule.fitting(method, path, action_type)
            if not fitting or self._chance.random() >= rule.probability:
                continue
            if rule.count is not None:
                rule.count -= 1
                if rule.count == 0:
                    self._rules.remove(rule)
            return fitting[0] if len(fitting) == 1 else self._chance.choice(fitting)
        return None

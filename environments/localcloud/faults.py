"""Misbehaviour on demand, for tests of clients: by header, or by rules set beforehand.

A fault is one of

    lose_answer    do what was asked, then cut the connection without an answer
    hang           do nothing and never answer
    slow           wait `seconds` (default 2), then go on as usual
    status         do nothing and answer with `status` (429, 500, 503, ...)
    action_error   the action that this request starts ends as errored and changes nothing
    never_active   the droplet that this request creates stays `new`
    vanish         answer as usual, then the droplet that the request names or creates is gone
"""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = frozenset({"lose_answer", "hang", "slow", "status", "action_error", "never_active", "vanish"})
HEADER = "x-localcloud-fault"


class BadFault(ValueError):
    """A fault or rule that can't be understood."""


@dataclass(frozen=True)
class Fault:
    """What is to go wrong with one request."""

    kind: str
    status: int = 503
    seconds: float = 2.0


@dataclass
class Rule:
    """A fault for the next `count` requests that match."""

    id: int
    fault: Fault
    method: str | None
    path: re.Pattern[str] | None
    probability: float
    count: int

    def as_json(self) -> dict[str, Any]:
        """The rule as the admin endpoint shows it, with what remains of its count."""
        return {
            "id": self.id,
            "fault": self.fault.kind,
            "status": self.fault.status,
            "seconds": self.fault.seconds,
            "method": self.method,
            "path": self.path.pattern if self.path else None,
            "probability": self.probability,
            "count": self.count,
        }


def parse_fault(values: Mapping[str, Any]) -> Fault:
    """Turn {"fault": kind, ...} into a Fault.

    Raises:
        BadFault: unknown kind, or a value out of range.
    """
    kind = values.get("fault")
    if kind not in KINDS:
        raise BadFault(f"fault must be one of {', '.join(sorted(KINDS))}")
    try:
        fault = Fault(kind, int(values.get("status", 503)), float(values.get("seconds", 2.0)))
    except (TypeError, ValueError):
        raise BadFault("status and seconds must be numbers") from None
    if not 400 <= fault.status <= 599 or not 0 <= fault.seconds <= 3600:
        raise BadFault("status must be 400 to 599, seconds 0 to 3600")
    return fault


def parse_header(text: str) -> Fault:
    """Turn the header into a Fault: `lose_answer`, `status=429`, `slow=0.5`, or a rule's JSON."""
    if text.lstrip().startswith("{"):
        try:
            values = json.loads(text)
        except ValueError:
            raise BadFault("the header is not valid JSON") from None
        return parse_fault(values)
    kind, _, value = text.strip().partition("=")
    named = {"status": "status", "slow": "seconds"}.get(kind)
    return parse_fault({"fault": kind, **({named: value} if named and value else {})})


class Faults:
    """The rules in force, first come first served. They live in memory only."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._next_id = 1

    def add(self, values: Mapping[str, Any]) -> Rule:
        """Put a rule in force.

        Raises:
            BadFault: it can't be understood.
        """
        fault = parse_fault(values)
        method, pattern = values.get("method"), values.get("path")
        try:
            count, probability = int(values.get("count", 1)), float(values.get("probability", 1.0))
            path = re.compile(pattern) if pattern else None
        except (TypeError, ValueError, re.error):
            raise BadFault("count and probability must be numbers, path a regular expression") from None
        if count < 1 or not 0 < probability <= 1 or not (method is None or isinstance(method, str)):
            raise BadFault("count must be 1 or more, probability over 0 and at most 1, method a string")
        rule = Rule(self._next_id, fault, method.upper() if method else None, path, probability, count)
        self._next_id += 1
        self._rules.append(rule)
        return rule

    def rules(self) -> list[Rule]:
        """The rules that still have something to do."""
        return list(self._rules)

    def clear(self) -> None:
        """Forget all rules."""
        self._rules.clear()

    def take(self, method: str, path: str, header: str | None) -> Fault | None:
        """The fault for this request, used up by asking: its header's, else the first matching rule's.

        Raises:
            BadFault: the header can't be understood.
        """
        if header is not None:
            return parse_header(header)
        for rule in self._rules:
            if rule.method not in (None, method) or (rule.path and not rule.path.search(path)):
                continue
            if random.random() >= rule.probability:  # noqa: S311  chance, not secrecy
                continue
            rule.count -= 1
            if rule.count == 0:
                self._rules.remove(rule)
            return rule.fault
        return None

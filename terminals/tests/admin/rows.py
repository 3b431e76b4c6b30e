"""Many rows of everything that the admin lists."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.utils import timezone

from accounts.models import Mail, Session, SSHKey, User
from environments.lifecycle import Phase
from environments.models import CloudReport, Environment, EnvironmentEvent, Snapshot
from templates_catalog.models import Template
from terminals.models import OpenTerminal, Recording, TerminalShare

BATCH = 2000


class Rows:
    """`add(n)` makes n more of each model in MAKERS, each belonging to another user and environment."""

    def __init__(self) -> None:
        self._made = 0
        self._now = timezone.now()

    def add(self, count: int, *, of: tuple[type[Model], ...] | None = None) -> None:
        numbers = range(self._made, self._made + count)
        self._made += count
        for model, make in MAKERS.items():
            if of is None or model in of:
                for batch in _batches(numbers):
                    model._default_manager.bulk_create([make(number, self._at(number)) for number in batch])

    def _at(self, number: int) -> datetime:
        return self._now - timedelta(seconds=number)


def _batches(numbers: range) -> Iterator[range]:
    for start in range(numbers.start, numbers.stop, BATCH):
        yield range(start, min(start + BATCH, numbers.stop))


def _id(kind: int, number: int) -> uuid.UUID:
    return uuid.UUID(int=(kind << 96) + number + 1)


def _user(number: int) -> uuid.UUID:
    return _id(1, number)


def _environment(number: int) -> uuid.UUID:
    return _id(2, number)


def _make_environment(number: int, at: datetime) -> Environment:
    return Environment(
        id=_environment(number),
        owner_id=_user(number),
        template_id=f"template-{number % 10}",
        name=f"Project {number}",
        slug=f"project-{number}",
        region=("nyc3", "fra1", "sgp1")[number % 3],
        size="s-1vcpu-1gb",
        image="ubuntu-24-04-x64",
        memory_mb=1024,
        vcpus=1,
        disk_gb=25,
        storage_size_gb=10,
        environment_variables={"TOKEN": "hidden-value"},
        phase=list(Phase)[number % len(Phase)],
        error_code="cloud_error" if number % len(Phase) == 0 else "",
        installation_completed=True,
        host_public_key="ssh-ed25519 unused",
        host_private_key="hidden-key",
        created_at=at,
        next_step_at=None,
    )


def _content_type() -> ContentType:
    return ContentType.objects.get_for_model(User)


MAKERS: dict[type[Model], Callable[[int, datetime], Any]] = {
    Group: lambda number, at: Group(name=f"group {number}"),
    User: lambda number, at: User(
        id=_user(number),
        username=f"user-{number}",
        email=f"user-{number}@example.org",
        full_name=f"User {number}",
        created_at=at,
    ),
    Session: lambda number, at: Session(
        user_id=_user(number), auth_time=at, last_used_at=at, expires_at=at, ip="192.0.2.1"
    ),
    SSHKey: lambda number, at: SSHKey(
        user_id=_user(number), name="key", public_key="ssh-ed25519 A", fingerprint=f"SHA256:{number}", created_at=at
    ),
    Mail: lambda number, at: Mail(kind="verify_email", address=f"user-{number}@example.org", created_at=at),
    SocialAccount: lambda number, at: SocialAccount(user_id=_user(number), provider="google", uid=str(number)),
    LogEntry: lambda number, at: LogEntry(
        user_id=_user(number),
        content_type=_content_type(),
        object_id=str(_user(number)),
        object_repr=f"user-{number}",
        action_flag=CHANGE,
        change_message="Unlocked",
        action_time=at,
    ),
    Template: lambda number, at: Template(
        name=f"template-{number}",
        display_name=f"Template {number}",
        description="One of many",
        category="framework",
        created_at=at,
    ),
    Environment: _make_environment,
    EnvironmentEvent: lambda number, at: EnvironmentEvent(
        environment_id=_environment(number), actor_id=_user(number), kind="phase_changed", phase="running", at=at
    ),
    Snapshot: lambda number, at: Snapshot(
        environment_id=_environment(number), name=f"copy-{number}", region="nyc3", created_at=at
    ),
    CloudReport: lambda number, at: CloudReport(at=at, seen=number),
    TerminalShare: lambda number, at: TerminalShare(
        id=_id(3, number),
        environment_id=_environment(number),
        created_by_id=_user(number),
        token_digest=f"digest-{number}",
        expires_at=at + timedelta(days=1),
        created_at=at,
    ),
    OpenTerminal: lambda number, at: OpenTerminal(
        process="host:1",
        channel_name="channel",
        kind="terminal",
        user_id=_user(number),
        share_id=_id(3, number) if number % 2 else None,
        environment_id=_environment(number),
        opened_at=at,
    ),
    Recording: lambda number, at: Recording(
        owner_id=_user(number), environment_id=_environment(number), environment_name="Project", started_at=at
    ),
}

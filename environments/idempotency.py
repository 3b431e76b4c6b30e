"""Creates that their sender may repeat for a day: what was asked for, what became of it, what was answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from devpocket.errors import InvalidInput
from environments.models import Environment, IdempotencyKey

KEEP = timedelta(hours=24)  # contract 5.2


@dataclass(frozen=True, slots=True)
class Repeatable:
    """`key`: its sender's name for the request. `request_hash`: SHA-256 of what was asked for."""

    key: str
    request_hash: str


def _expired() -> Q:
    return Q(created_at__lt=timezone.now() - KEEP)


def find_first(repeatable: Repeatable, *, user_id: UUID) -> IdempotencyKey | None:
    """The create that this one repeats. Raises: InvalidInput (its key was for something else)."""
    rows = IdempotencyKey.objects.filter(user_id=user_id, key=repeatable.key).exclude(_expired())
    first = rows.select_related("environment__template").first()
    if first is not None and first.request_hash != repeatable.request_hash:
        raise InvalidInput.field("Idempotency-Key", "This Idempotency-Key was used for another request.")
    return first


def first_record(repeatable: Repeatable, *, user_id: UUID, environment: Environment) -> None:
    """From now on this create is the first with its key. In its transaction, where `find_first` found none."""
    IdempotencyKey.objects.filter(_expired(), user_id=user_id, key=repeatable.key).delete()
    IdempotencyKey.objects.create(
        user_id=user_id, key=repeatable.key, request_hash=repeatable.request_hash, environment=environment
    )


@transaction.atomic
def answer_keep(answer: dict[str, Any], *, key: str, user_id: UUID) -> dict[str, Any]:
    """The answer that every repetition gets: the first that was kept, also where two were made at the same time."""
    first = IdempotencyKey.objects.select_for_update().filter(user_id=user_id, key=key).first()
    if first is None:  # a day has passed meanwhile
        return answer
    if not first.answer:
        first.answer = answer
        first.save(update_fields=["answer"])
    return dict(first.answer)


def idempotency_keys_prune() -> None:
    """Forget creates that may not be repeated any more."""
    IdempotencyKey.objects.filter(_expired()).delete()

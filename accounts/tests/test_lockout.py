"""Wrong passwords in a row lock signing in by password for a while (contract 3.2)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.models import Session, User
from accounts.recovery import password_change, password_reset
from accounts.services import Device, SignIn
from accounts.tests import mailbox
from conftest import PASSWORD
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel


def login(password: str = "wrong", name: str = "ann") -> Response:
    return APIClient().post("/api/v1/auth/login", {"username_or_email": name, "password": password})


def fail(times: int, name: str = "ann") -> None:
    for _ in range(times):
        wire.check_refusal(login(name=name), 401, "invalid_credentials")


def age(**ago: timedelta) -> None:
    """Move columns of every user into the past, as if the time had gone by."""
    for user in User.objects.all():
        for column, by in ago.items():
            setattr(user, column, getattr(user, column) - by)
        user.save()


def test_the_fifth_failure_is_still_a_wrong_password_and_locks(ann: SignIn) -> None:
    fail(5)
    for password in ("wrong", PASSWORD):
        response = login(password)
        body = wire.check_refusal(response, 403, "account_locked")
        assert "15 minutes" in body["detail"]
        assert 890 <= body["retry_after"] <= 900
        assert response["Retry-After"] == str(body["retry_after"])
        wire.check(body["context"], {"locked_until": wire.time})
        until = datetime.fromisoformat(body["context"]["locked_until"])
        assert timedelta(seconds=890) < until - timezone.now() < timedelta(seconds=901)
    assert Session.objects.count() == 1


def test_while_locked_no_password_is_hashed(ann: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(5)
    monkeypatch.delattr(Argon2PasswordHasher, "verify")
    wire.check_refusal(login(PASSWORD), 403, "account_locked")


def test_the_name_and_the_address_are_one_account(ann: SignIn) -> None:
    fail(3, "ANN")
    fail(2, "Ann@Example.org")
    wire.check_refusal(login(PASSWORD), 403, "account_locked")


def test_attempts_and_time_are_settings(ann: SignIn, settings: Any) -> None:
    settings.ACCOUNT_LOCKOUT_ATTEMPTS, settings.ACCOUNT_LOCKOUT_SECONDS = 2, 61
    fail(2)
    assert "2 minutes" in wire.check_refusal(login(PASSWORD), 403, "account_locked")["detail"]
    age(locked_until=timedelta(seconds=2))
    body = wire.check_refusal(login(PASSWORD), 403, "account_locked")
    assert "1 minute." in body["detail"]
    age(locked_until=timedelta(seconds=58.5))
    body = wire.check_refusal(login(PASSWORD), 403, "account_locked")
    assert ("1 minute." in body["detail"], body["retry_after"]) == (True, 1)


def test_the_lock_ends_by_itself(ann: SignIn) -> None:
    fail(5)
    age(locked_until=timedelta(seconds=901), last_failed_at=timedelta(seconds=901))
    fail(4)
    assert login(PASSWORD).status_code == 200


def test_a_success_begins_the_count_anew(ann: SignIn) -> None:
    fail(4)
    assert login(PASSWORD).status_code == 200
    fail(4)
    assert login(PASSWORD).status_code == 200


def test_failures_are_forgotten_a_quarter_of_an_hour_after_the_last(ann: SignIn) -> None:
    fail(4)
    age(last_failed_at=timedelta(seconds=899))
    fail(1)
    wire.check_refusal(login(PASSWORD), 403, "account_locked")

    age(locked_until=timedelta(seconds=901), last_failed_at=timedelta(seconds=901))
    fail(4)
    age(last_failed_at=timedelta(seconds=901))
    fail(4)
    assert login(PASSWORD).status_code == 200


def test_a_new_password_unlocks(ann: SignIn) -> None:
    fail(5)
    APIClient().post("/api/v1/auth/forgot-password", {"email": "ann@example.org"})
    password_reset(secret=mailbox.newest("ann@example.org").token, new_password="Another-Horse-8")
    assert login("Another-Horse-8").status_code == 200


def test_changing_the_password_unlocks(ann: SignIn) -> None:
    fail(5)
    password_change(user=ann.user, current_password=PASSWORD, new_password="Another-Horse-8", device=Device())
    fail(4)
    assert login("Another-Horse-8").status_code == 200


def test_open_sessions_live_on_while_signing_in_is_locked(ann: SignIn, client_of: Callable[[SignIn], Any]) -> None:
    fail(5)
    assert client_of(ann).get("/api/v1/auth/me").status_code == 200
    assert APIClient().post("/api/v1/auth/refresh", {"refresh_token": ann.tokens.refresh}).status_code == 200


def test_names_that_nobody_has_never_lock(db: None) -> None:
    fail(12, "nobody")


def test_a_closed_account_never_tells_of_a_lock(sign_up: Callable[..., SignIn]) -> None:
    sign_up("ann", is_active=False, locked_until=timezone.now() + timedelta(minutes=9))
    fail(7)


def test_the_lock_of_one_is_not_the_lock_of_another(ann: SignIn, ben: SignIn) -> None:
    fail(5)
    assert login(name="ben", password=PASSWORD).status_code == 200


def test_the_admin_is_no_way_around_the_lock(ann: SignIn) -> None:
    assert authenticate(username="ann", password=PASSWORD) == ann.user
    for _ in range(5):
        assert authenticate(username="ann", password="wrong") is None
    assert authenticate(username="ann", password=PASSWORD) is None
    wire.check_refusal(login(PASSWORD), 403, "account_locked")
    assert authenticate(username="ann") is None


def test_an_operator_who_signs_in_begins_the_count_anew(ann: SignIn) -> None:
    fail(4)
    assert authenticate(username="ann", password=PASSWORD) == ann.user
    fail(4)
    assert login(PASSWORD).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_twenty_wrong_sign_ins_at_once_five_are_tried(sign_up: Callable[..., SignIn]) -> None:
    ann = sign_up("ann")
    statuses = Counter(response.status_code for response in in_parallel(lambda _: login(), count=20))
    assert statuses == {401: 5, 403: 15}
    assert Session.objects.filter(user=ann.user).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_try_that_was_begun_before_the_lock_is_refused_after_it(
    sign_up: Callable[..., SignIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_up("ann")
    barrier, check = threading.Barrier(8, timeout=10), User.check_password

    def check_together(user: User, password: str) -> bool:
        barrier.wait()
        return check(user, password)

    monkeypatch.setattr(User, "check_password", check_together)
    statuses = Counter(response.status_code for response in in_parallel(lambda _: login(), count=8))
    assert statuses == {401: 5, 403: 3}


@pytest.mark.django_db(transaction=True)
def test_a_right_password_among_wrong_ones_gets_in_or_is_locked_out(sign_up: Callable[..., SignIn]) -> None:
    ann = sign_up("ann")
    answers = in_parallel(lambda index: login("wrong" if index % 4 else PASSWORD), count=16)
    statuses = [response.status_code for response in answers]
    assert set(statuses) <= {200, 401, 403}
    assert all(status in (200, 403) for status in statuses[::4])
    assert all(status in (401, 403) for status in statuses[1::4])
    assert Session.objects.filter(user=ann.user).count() == 1 + statuses.count(200)
    row = User.objects.get()
    assert row.is_locked == (login(PASSWORD).status_code == 403)

"""DELETE /users/me (contract 4.4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts import profile
from accounts.models import Mail, OneTimeToken, Session, SSHKey, User
from accounts.recovery import password_forgotten
from accounts.services import Device, SignIn, user_login, user_register
from accounts.ssh_keys import ssh_key_add
from accounts.tests import mailbox
from accounts.tests.rows import environment
from conftest import PASSWORD
from devpocket import nudges
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from environments.lifecycle import Desired, Phase
from environments.models import Environment

ME = "/api/v1/users/me"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann@phone"


def delete(sign_in: SignIn, **fields: Any) -> Response:
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {sign_in.tokens.access}")
    return client.delete(ME, fields) if fields else client.delete(ME)


def signed_in_ago(sign_in: SignIn, **ago: float) -> None:
    Session.objects.filter(pk=sign_in.session.pk).update(auth_time=timezone.now() - timedelta(**ago))


def is_open(sign_in: SignIn) -> bool:
    return User.objects.get(pk=sign_in.user.pk).is_active


def test_with_the_password_however_long_ago_the_sign_in(ann: SignIn) -> None:
    signed_in_ago(ann, days=6)
    response = delete(ann, password=PASSWORD)
    assert response.status_code == 200
    wire.check(wire.decode(response), {"message": wire.text})
    assert not is_open(ann)


@pytest.mark.parametrize("ago_s", [0, 3600])
def test_a_wrong_password_closes_nothing(ago_s: int, ann: SignIn) -> None:
    signed_in_ago(ann, seconds=ago_s)
    assert wire.field_codes(delete(ann, password="wrong")) == {"password": "invalid"}
    assert wire.field_codes(delete(ann, password="")) == {"password": "blank"}
    assert is_open(ann)


def test_without_body_after_a_recent_sign_in(ann: SignIn) -> None:
    signed_in_ago(ann, minutes=14.9)
    assert delete(ann).status_code == 200
    assert not is_open(ann)


def test_without_body_the_content_type_does_not_matter(ann: SignIn) -> None:
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {ann.tokens.access}")
    assert client.generic("DELETE", ME, content_type="").status_code == 200


@pytest.mark.parametrize("fields", [{}, {"password": None}])
def test_without_password_an_old_sign_in_is_not_enough(fields: dict[str, Any], ann: SignIn) -> None:
    signed_in_ago(ann, minutes=15.1)
    body = wire.check_refusal(delete(ann, **fields), 403, "reauthentication_required")
    assert "sign in again" in body["detail"]
    assert is_open(ann)


def test_an_account_without_password_needs_a_recent_sign_in(ann: SignIn) -> None:
    ann.user.set_unusable_password()
    ann.user.save()
    signed_in_ago(ann, minutes=16)
    wire.check_refusal(delete(ann), 403, "reauthentication_required")
    assert wire.field_codes(delete(ann, password=PASSWORD)) == {"password": "invalid"}
    signed_in_ago(ann, minutes=1)
    assert delete(ann).status_code == 200


def test_an_unverified_account_may_be_closed(sign_up: Callable[..., SignIn]) -> None:
    assert delete(sign_up("cleo"), password=PASSWORD).status_code == 200


def test_nothing_says_any_more_who_it_was(ann: SignIn) -> None:
    device = Device(user_agent="Ann's own phone", ip="203.0.113.77")
    user_login(name_or_email="ann", password=PASSWORD, device=device)
    fields = {"full_name": "Ann Lee", "avatar_url": "https://example.org/ann.png", "preferred_region": "nyc3"}
    profile.user_update(user=ann.user, **fields, record_terminals=True)
    ssh_key_add(user=ann.user, public_key=KEY, name="Ann's phone")
    password_forgotten(address="ann@example.org")
    mailbox.deliver()
    password_forgotten(address="ann@example.org")
    assert delete(ann, password=PASSWORD).status_code == 200

    user = User.objects.get(pk=ann.user.pk)
    assert (user.full_name, user.avatar_url, user.preferred_region) == (None, None, None)
    assert (user.is_active, user.is_verified, user.has_usable_password()) == (False, False, False)
    assert user.record_terminals is False
    assert user.email.endswith("@deleted.invalid")
    for model in (OneTimeToken, SSHKey, Mail):
        assert not model.objects.exists()
    with connection.cursor() as cursor:
        left = ""
        for table in ("user", "session", "refreshtoken", "mail", "onetimetoken", "sshkey", "platformkey"):
            cursor.execute(f"SELECT * FROM accounts_{table}")
            left += repr(cursor.fetchall()).lower()
    # Not "ann" alone: an unusable password is random letters, which spell it now and then.
    for trace in ("'ann'", "ann@", "ann lee", "ann's", "ann.png", "203.0.113.77", "example.org", "nyc3"):
        assert trace not in left


def test_name_and_address_are_free_at_once(ann: SignIn) -> None:
    delete(ann, password=PASSWORD)
    again = user_register(username="ann", email="ann@example.org", password=PASSWORD, device=Device())
    assert again.user.pk != ann.user.pk
    assert delete(again, password=PASSWORD).status_code == 200


def test_tokens_and_password_are_useless_at_once(ann: SignIn) -> None:
    other = user_login(name_or_email="ann", password=PASSWORD, device=Device())
    delete(ann, password=PASSWORD)
    for sign_in in (ann, other):
        wire.check_refusal(delete(sign_in, password=PASSWORD), 401, "token_invalid")
        refreshed = APIClient().post("/api/v1/auth/refresh", {"refresh_token": sign_in.tokens.refresh})
        wire.check_refusal(refreshed, 401, "token_invalid")
    login = APIClient().post("/api/v1/auth/login", {"email": "ann@example.org", "password": PASSWORD})
    wire.check_refusal(login, 401, "invalid_credentials")


def test_open_sockets_hear_of_it_after_the_commit(
    ann: SignIn, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(nudges, "_send", lambda groups, kind: sent.extend((group, kind) for group in groups))
    with django_capture_on_commit_callbacks(execute=True):
        delete(ann, password=PASSWORD)
        assert sent == []
    assert (f"session.{ann.session.pk}", "session.revoked") in sent


def test_every_machine_is_wanted_gone_and_nobody_elses(ann: SignIn, ben: SignIn) -> None:
    phases = [phase for phase in Phase if phase != Phase.TERMINATED]
    for phase in phases:
        environment(ann, phase)
    gone = environment(ann, Phase.TERMINATED, desired_state=Desired.DELETED, torn_down_at=timezone.now())
    bens = environment(ben)
    assert delete(ann, password=PASSWORD).status_code == 200
    rows = Environment.objects.filter(owner=ann.user).exclude(pk=gone.pk)
    assert rows.count() == len(phases)
    assert {(row.desired_state, row.phase, row.torn_down_at) for row in rows} == {("deleted", "terminated", None)}
    assert all(row.next_step_at is not None for row in rows)
    assert Environment.objects.get(pk=bens.pk).phase == Phase.RUNNING


def test_when_the_machines_can_not_be_queued_nothing_is_changed(ann: SignIn, settings: Any) -> None:
    settings.ACCOUNT_CLOSERS = [*settings.ACCOUNT_CLOSERS, "accounts.tests.test_deletion.broken_closer"]
    row = environment(ann)
    with pytest.raises(RuntimeError):
        profile.user_delete(user=ann.user, session=ann.session, password=PASSWORD)
    assert is_open(ann)
    assert Environment.objects.get(pk=row.pk).phase == Phase.RUNNING
    assert Session.objects.get().revoked_at is None


def broken_closer(*, user_id: object) -> None:
    raise RuntimeError("broken")


def test_guessing_the_password_is_as_slow_as_signing_in(ann: SignIn, settings: Any) -> None:
    settings.THROTTLE_SCALE = 1
    for _ in range(5):
        assert delete(ann, password="wrong").status_code == 422
    wire.check_refusal(delete(ann, password=PASSWORD), 429, "rate_limited")


@pytest.mark.django_db(transaction=True)
def test_closing_twice_at_once_is_harmless(sign_up: Callable[..., SignIn]) -> None:
    ann = sign_up("ann")
    statuses = {response.status_code for response in in_parallel(lambda _: delete(ann, password=PASSWORD), count=4)}
    assert statuses <= {200, 401, 422}
    assert 200 in statuses
    assert not is_open(ann)

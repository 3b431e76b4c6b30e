"""Passwords forgotten, set anew and changed (contract 3, 3.4, 3.5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts import profile, recovery
from accounts.models import Mail, OneTimeToken, Session, User
from accounts.services import Device, SignIn, user_login
from accounts.ssh_keys import ssh_key_add
from accounts.tests import mailbox
from conftest import PASSWORD
from devpocket.errors import InvalidInput
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from environments.tests.homes import home_of

ADDRESS = "ann@example.org"
NEW = "Another-Horse-8"
WEAK = [("short-A7", None), ("no-capitals-7", "weak_password"), ("Password123", "common_password")]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl x"


def forgot(email: Any = ADDRESS, **meta: str) -> Response:
    return APIClient(**meta).post("/api/v1/auth/forgot-password", {"email": email})


def reset(token: str, password: Any = NEW, **fields: Any) -> Response:
    return APIClient().post("/api/v1/auth/reset-password", {"token": token, "new_password": password, **fields})


def login(password: str) -> int:
    return APIClient().post("/api/v1/auth/login", {"username": "ann", "password": password}).status_code


def me(access: str) -> Response:
    return APIClient(HTTP_AUTHORIZATION=f"Bearer {access}").get("/api/v1/auth/me")


@pytest.fixture
def letter(ann: SignIn) -> mailbox.Letter:
    """The mail that Ann gets who has forgotten her password."""
    assert forgot().status_code == 200
    return mailbox.newest(ADDRESS)


# --- Forgotten


def test_known_and_unknown_addresses_get_the_same(ann: SignIn) -> None:
    seen = []
    for email in (ADDRESS, "nobody@example.org", ADDRESS, "nobody@example.org"):  # the second time too often
        with CaptureQueriesContext(connection) as queries:
            response = forgot(email, HTTP_X_REQUEST_ID="same")
        assert response.status_code == 200
        wire.check(wire.decode(response), {"message": wire.text})
        statements = [query["sql"].partition(" ")[0] for query in queries]
        seen.append((response.content, sorted(response.headers), statements))
    assert seen[0] == seen[1]
    assert seen[2] == seen[3]
    assert seen[0][:2] == seen[2][:2]


def test_only_whoever_has_the_address_gets_a_mail(letter: mailbox.Letter) -> None:
    forgot("nobody@example.org")
    assert mailbox.deliver() == []
    assert letter.url.endswith(f"/reset-password?token={letter.token}")
    assert letter.message.subject == "Set a new DevPocket password"
    assert letter.code in letter.message.alternatives[0][0]
    assert not Mail.objects.filter(address="nobody@example.org").exists()


def test_a_mailbox_is_not_flooded_and_nothing_tells_so(ann: SignIn) -> None:
    mailbox.deliver()
    for _ in range(6):
        for _ in range(2):
            assert forgot("ANN@example.org").status_code == 200
        cache.delete(recovery._entries(f"forgot:{ADDRESS}")[0])  # a minute passes
    assert len(mailbox.deliver()) == 3


@pytest.mark.django_db
@pytest.mark.parametrize(("email", "code"), [(None, "null"), ("", "blank"), ("ann", "invalid"), (7, "invalid")])
def test_forgot_wants_an_address(email: Any, code: str) -> None:
    assert wire.field_codes(forgot(email)) == {"email": code}


# --- Set anew


@pytest.mark.parametrize("by", ["link", "code"])
def test_a_new_password_by_link_or_code(by: str, letter: mailbox.Letter) -> None:
    response = reset(letter.token) if by == "link" else reset(letter.code, email="Ann@Example.org")
    assert response.status_code == 200
    wire.check(wire.decode(response), {"message": wire.text})
    assert (login(PASSWORD), login(NEW)) == (401, 200)


def test_every_session_ends_and_the_owner_hears_of_it(ann: SignIn, letter: mailbox.Letter) -> None:
    user_login(name_or_email="ann", password=PASSWORD, device=Device())
    reset(letter.token)
    wire.check_refusal(me(ann.tokens.access), 401, "token_invalid")
    refreshed = APIClient().post("/api/v1/auth/refresh", {"refresh_token": ann.tokens.refresh})
    wire.check_refusal(refreshed, 401, "token_invalid")
    assert set(Session.objects.values_list("revoked_reason", flat=True)) == {"password"}
    [notice] = mailbox.deliver()
    assert (notice.to, notice.subject) == ([ADDRESS], "Your DevPocket password was changed")
    assert NEW not in notice.body


@pytest.mark.parametrize("by", ["link", "code"])
def test_it_works_once(by: str, letter: mailbox.Letter) -> None:
    assert reset(letter.token if by == "link" else letter.code, email=ADDRESS).status_code == 200
    for secret in (letter.token, letter.code):
        wire.check_refusal(reset(secret, "Third-Horse-9x", email=ADDRESS), 400, "invalid_token")
    assert login(NEW) == 200


@pytest.mark.parametrize(("password", "code"), WEAK)
def test_after_a_weak_password_the_link_is_good_for_another_try(
    password: str, code: str | None, letter: mailbox.Letter
) -> None:
    if code is None:
        password, code = "Short-7", "min_length"
    assert wire.field_codes(reset(letter.token, password)) == {"new_password": code}
    assert wire.field_codes(reset(letter.code, password, email=ADDRESS)) == {"new_password": code}
    assert reset(letter.token).status_code == 200


def test_a_password_with_the_name_in_it_is_refused_here_too(letter: mailbox.Letter) -> None:
    assert wire.field_codes(reset(letter.token, "x-ANN-x-Secret-7")) == {"new_password": "common_password"}


def test_an_hour_for_the_link_and_half_of_it_for_the_code(letter: mailbox.Letter) -> None:
    token = OneTimeToken.objects.get(purpose="reset_password")
    assert token.link_expires_at - token.code_expires_at == timedelta(minutes=30)
    token.code_expires_at -= timedelta(minutes=30)
    token.save()
    wire.check_refusal(reset(letter.code, email=ADDRESS), 400, "invalid_token")
    token.link_expires_at -= timedelta(minutes=60)
    token.save()
    wire.check_refusal(reset(letter.token), 400, "invalid_token")
    assert login(PASSWORD) == 200


def test_five_wrong_codes_kill_the_code(letter: mailbox.Letter) -> None:
    for _ in range(5):
        wire.check_refusal(reset(mailbox.other_code(letter.code), email=ADDRESS), 400, "invalid_token")
    wire.check_refusal(reset(letter.code, email=ADDRESS), 400, "invalid_token")
    assert reset(letter.token).status_code == 200


def test_a_code_without_its_address_is_nobodys(letter: mailbox.Letter) -> None:
    wire.check_refusal(reset(letter.code), 400, "invalid_token")
    wire.check_refusal(reset(letter.code, email="nobody@example.org"), 400, "invalid_token")


def test_a_verifying_link_sets_no_password(sign_up: Callable[..., SignIn]) -> None:
    sign_up("cleo")
    wire.check_refusal(reset(mailbox.newest("cleo@example.org").token), 400, "invalid_token")


def test_a_closed_account_gets_no_new_password(ann: SignIn, letter: mailbox.Letter) -> None:
    User.objects.update(is_active=False)
    wire.check_refusal(reset(letter.token), 400, "invalid_token")
    wire.check_refusal(reset(letter.code, email=ADDRESS), 400, "invalid_token")
    cache.clear()
    forgot()
    assert mailbox.deliver() == []


def test_a_deleted_account_gets_no_new_password(ann: SignIn, letter: mailbox.Letter) -> None:
    profile.user_delete(user=ann.user, session=ann.session, password=PASSWORD)
    wire.check_refusal(reset(letter.token), 400, "invalid_token")


def test_reading_the_mail_verifies_the_address_and_ends_a_squatters_keys(sign_up: Callable[..., SignIn]) -> None:
    """Somebody else may have signed up with Ann's address, and left a key for machines that she would make."""
    squatter = sign_up("squatter", email=ADDRESS).user
    ssh_key_add(user=squatter, public_key=KEY, name=None)
    machine = home_of(squatter)
    forgot()
    assert reset(mailbox.newest(ADDRESS).token).status_code == 200
    user = User.objects.get()
    assert user.is_verified
    assert not user.ssh_keys.exists()
    machine.refresh_from_db()
    assert machine.keys_changed_at is not None  # it is told


def test_an_owner_keeps_the_keys(ann: SignIn, letter: mailbox.Letter) -> None:
    ssh_key_add(user=ann.user, public_key=KEY, name=None)
    reset(letter.token)
    assert ann.user.ssh_keys.count() == 1


def test_an_account_without_password_gets_one(ann: SignIn, letter: mailbox.Letter) -> None:
    ann.user.set_unusable_password()
    ann.user.save()
    assert reset(letter.token).status_code == 200
    assert login(NEW) == 200


@pytest.mark.django_db(transaction=True)
def test_of_parallel_resets_by_one_link_one_wins(sign_up: Callable[..., SignIn]) -> None:
    sign_up("ann")
    forgot()
    token = mailbox.newest(ADDRESS).token
    statuses = in_parallel(lambda index: reset(token, f"Another-Horse-{index}").status_code, count=6)
    assert Counter(statuses) == {200: 1, 400: 5}
    assert login(f"Another-Horse-{statuses.index(200)}") == 200


# --- Changed


CHANGE_PATHS = ["/auth/change-password", "/users/change-password", "/users/me/change-password"]


def change(
    sign_in: SignIn, current: Any = PASSWORD, new: Any = NEW, path: str = CHANGE_PATHS[0], **fields: Any
) -> Response:
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {sign_in.tokens.access}")
    return client.post(f"/api/v1{path}", {"current_password": current, "new_password": new, **fields})


@pytest.mark.parametrize("path", CHANGE_PATHS)
def test_the_caller_goes_on_with_a_new_pair_and_everybody_else_is_out(path: str, ann: SignIn) -> None:
    other = user_login(name_or_email="ann", password=PASSWORD, device=Device())
    response = change(ann, path=path)
    assert response.status_code == 200
    body = wire.decode(response)
    wire.check(body, wire.TOKEN_PAIR | {"message": wire.text})
    assert me(body["access_token"]).status_code == 200
    refreshed = APIClient().post("/api/v1/auth/refresh", {"refresh_token": body["refresh_token"]})
    assert refreshed.status_code == 200
    for old in (ann, other):
        wire.check_refusal(me(old.tokens.access), 401, "token_invalid")
    assert (login(PASSWORD), login(NEW)) == (401, 200)
    assert [message.subject for message in mailbox.deliver()] == ["Your DevPocket password was changed"]


def test_the_camel_case_spelling(ann: SignIn) -> None:
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {ann.tokens.access}")
    body = {"currentPassword": PASSWORD, "newPassword": NEW}
    assert client.post("/api/v1/auth/change-password", body).status_code == 200


def test_a_wrong_current_password_changes_nothing(ann: SignIn) -> None:
    assert wire.field_codes(change(ann, current="wrong")) == {"current_password": "invalid"}
    assert me(ann.tokens.access).status_code == 200
    assert login(PASSWORD) == 200
    assert mailbox.deliver() == mail.outbox == []


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("Short-7", "min_length"),
        ("no-capitals-7", "weak_password"),
        ("Password123", "common_password"),
        ("x-Ann-x-Secret-7", "common_password"),
        (None, "null"),
    ],
)
def test_a_new_password_that_will_not_do(new: Any, code: str, ann: SignIn) -> None:
    assert wire.field_codes(change(ann, new=new)) == {"new_password": code}
    assert me(ann.tokens.access).status_code == 200


def test_an_account_without_password_has_none_to_change(ann: SignIn) -> None:
    ann.user.set_unusable_password()
    ann.user.save()
    assert wire.field_codes(change(ann)) == {"current_password": "invalid"}


def test_a_password_that_was_set_anew_meanwhile_is_not_overwritten(ann: SignIn, letter: mailbox.Letter) -> None:
    stale = User.objects.get()
    reset(letter.token)
    with pytest.raises(InvalidInput):
        recovery.password_change(user=stale, current_password=PASSWORD, new_password="Third-Horse-9x", device=Device())
    assert login(NEW) == 200


def test_guessing_the_current_password_is_as_slow_as_signing_in(ann: SignIn, settings: Any) -> None:
    settings.THROTTLE_SCALE = 1
    for index in range(5):
        response = change(ann, current="wrong", username=f"other-{index}")  # names in the body don't help
        assert response.status_code == 422
    wire.check_refusal(change(ann), 429, "rate_limited")

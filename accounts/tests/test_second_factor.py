"""Operators' second factor, as a browser has it: set up, sign in, recover, be reset; and how often one may try."""

from __future__ import annotations

import html
import io
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services import SignIn
from conftest import PASSWORD

PAGE = "/admin/second-factor/"


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss", "boss@example.org", PASSWORD)


def sign_in(desk: Client, code: str = "", *, password: str = PASSWORD, name: str = "boss") -> Any:
    return desk.post("/admin/login/?next=/admin/", {"username": name, "password": password, "code": code})


def code_of(secret: str) -> str:
    """What an authenticator app shows now. A code is good once, so tests forget which were used."""
    _, now, _ = yield_hotp_counters_from_time()
    return format_hotp_value(hotp_value(secret, now))


def is_in(desk: Client) -> bool:
    return bool(desk.get("/admin/").status_code == 200)


def set_up(desk: Client) -> tuple[str, list[str]]:
    """As an operator who is signed in: the secret, and the recovery codes."""
    page = desk.get(PAGE)
    assert page.status_code == 200
    secret = re.search(r"<code>([A-Z2-7]{32})</code>", page.content.decode())[1]  # type: ignore[index]
    assert 'src="data:image/svg+xml;base64,' in page.content.decode()
    done = desk.post(PAGE, {"password": PASSWORD, "code": code_of(secret), "set_up": "1"})
    assert done.status_code == 200, done.content
    codes = re.findall(r"<code>(\d{8})</code>", done.content.decode())
    assert len(codes) == 10
    cache.clear()
    return secret, codes


@pytest.fixture
def desk(boss: User) -> Client:
    desk = Client()
    assert sign_in(desk).status_code == 302
    return desk


def test_who_has_set_it_up_is_asked_for_a_code(desk: Client, boss: User) -> None:
    before = Client()
    sign_in(before)
    secret, _ = set_up(desk)
    assert is_in(desk)
    assert not is_in(before)  # a session that was open without a code
    other = Client()
    for code in ("", "000000", "abc", "\u0661" * 6):
        refused = sign_in(other, code)
        assert (refused.status_code, is_in(other)) == (200, False)
        assert "recovery code" in html.unescape(refused.content.decode())
    code = code_of(secret)
    assert sign_in(other, code).status_code == 302
    assert is_in(other)
    # The same code again, by somebody who has looked over a shoulder.
    third = Client()
    assert (sign_in(third, code).status_code, is_in(third)) == (200, False)
    changes = [entry.get_change_message() for entry in LogEntry.objects.filter(object_id=str(boss.pk), user=boss)]
    assert changes == ["Set up a second factor"]


def test_wrong_codes_lock_the_account_as_wrong_passwords_do(desk: Client, boss: User) -> None:
    secret, _ = set_up(desk)
    for _attempt in range(5):
        sign_in(Client(), "000000")
    boss.refresh_from_db()
    assert boss.is_locked
    assert sign_in(Client(), code_of(secret)).status_code == 200


def test_a_recovery_code_is_good_once(desk: Client, boss: User) -> None:
    _, codes = set_up(desk)
    other = Client()
    assert sign_in(other, f"{codes[3][:4]} {codes[3][4:]}").status_code == 302
    assert is_in(other)
    cache.clear()
    assert sign_in(Client(), codes[3]).status_code == 200
    assert "9 recovery codes are left" in desk.get(PAGE).content.decode()
    assert LogEntry.objects.filter(change_message__contains="Used a recovery code", user=boss).exists()
    renewed = desk.post(PAGE, {"password": PASSWORD, "code": codes[4], "renew": "1"})
    assert len(set(re.findall(r"<code>(\d{8})</code>", renewed.content.decode())) - set(codes)) == 10
    assert sign_in(Client(), codes[5]).status_code == 200


def test_an_open_session_alone_changes_nothing(desk: Client, boss: User) -> None:
    secret = re.search(r"<code>([A-Z2-7]{32})</code>", desk.get(PAGE).content.decode())[1]  # type: ignore[index]
    wrong = ({"password": "Wrong-Horse-7", "code": code_of(secret)}, {"password": PASSWORD, "code": "000000"}, {})
    for given in wrong:
        assert desk.post(PAGE, {**given, "set_up": "1"}).status_code == 422
    assert not Authenticator.objects.exists()
    secret, _ = set_up(desk)
    for given in wrong:
        assert desk.post(PAGE, {**given, "remove": "1"}).status_code == 422
    assert Authenticator.objects.count() == 2
    boss.failed_logins = 0
    boss.save()
    assert desk.post(PAGE, {"password": PASSWORD, "code": code_of(secret), "remove": "1"}).status_code == 302
    assert not Authenticator.objects.exists()
    assert sign_in(Client()).status_code == 302


def test_it_can_be_a_must(desk: Client, settings: Any) -> None:
    settings.ADMIN_REQUIRES_TOTP = True
    assert not is_in(desk)
    assert desk.get("/admin/", follow=True).redirect_chain[-1][0] == PAGE
    assert desk.post("/admin/accounts/user/", {"action": "sign_out"}).status_code == 302  # to the sign-in
    secret, _ = set_up(desk)
    assert is_in(desk)
    assert "remove" not in desk.get(PAGE).content.decode()
    desk.post(PAGE, {"password": PASSWORD, "code": code_of(secret), "remove": "1"})
    assert Authenticator.objects.filter(type="totp").exists()


def test_an_operator_resets_another_who_has_lost_it(desk: Client, boss: User) -> None:
    User.objects.create_superuser("mate", "mate@example.org", PASSWORD)
    mates = Client()
    sign_in(mates, name="mate")
    set_up(mates)
    mate = User.objects.get(username="mate")
    reset = {"action": "reset_second_factor", "_selected_action": [str(mate.pk), str(boss.pk)]}
    set_up(desk)
    assert desk.post("/admin/accounts/user/", reset).status_code == 302
    assert not Authenticator.objects.filter(user=mate).exists()
    assert Authenticator.objects.filter(user=boss).exists()  # their own asks for a code
    assert LogEntry.objects.filter(object_id=str(mate.pk), user=boss, change_message__contains="Removed").exists()
    assert sign_in(Client(), name="mate").status_code == 302


def test_the_last_operator_is_helped_on_the_server(desk: Client, boss: User) -> None:
    set_up(desk)
    call_command("reset_second_factor", "BOSS", stdout=io.StringIO())
    assert sign_in(Client()).status_code == 302
    assert LogEntry.objects.filter(object_id=str(boss.pk), change_message__contains="on the server").exists()
    for name in ("boss", "nobody"):
        with pytest.raises(CommandError):
            call_command("reset_second_factor", name)


def test_only_operators_have_the_page(ann: SignIn) -> None:
    visitor = Client()
    assert visitor.get(PAGE)["Location"].startswith("/admin/login/")
    visitor.force_login(ann.user)
    assert visitor.get(PAGE)["Location"].startswith("/admin/login/")
    assert sign_in(visitor, name="ann").status_code == 200
    assert not is_in(visitor)


def test_its_secrets_are_encrypted_and_rotate(desk: Client, settings: Any) -> None:
    secret, codes = set_up(desk)
    settings.FIELD_ENCRYPTION_KEYS = ["a-newer-key", *settings.FIELD_ENCRYPTION_KEYS]
    call_command("rotate_encryption_keys", stdout=io.StringIO())
    settings.FIELD_ENCRYPTION_KEYS = ["a-newer-key"]
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    assert codes[0] not in stored
    assert sign_in(Client(), code_of(secret)).status_code == 302
    assert sign_in(Client(), codes[0]).status_code == 302


def test_signing_in_is_throttled_by_account_and_by_address(
    boss: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute = time.time() // 60 * 60
    monkeypatch.setattr("devpocket.throttling.time", SimpleNamespace(time=lambda: minute + 1))
    settings.THROTTLE_SCALE, settings.ACCOUNT_LOCKOUT_ATTEMPTS = 1, 1000
    assert {sign_in(Client(), password="Wrong-Horse-7").status_code for _ in range(5)} == {200}
    refused = sign_in(Client())
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60
    others = [sign_in(Client(), name=f"nobody{number}").status_code for number in range(16)]
    assert others[:14] == [200] * 14
    assert others[14:] == [429] * 2


def test_a_new_password_is_a_strong_one_and_ends_what_was_open(desk: Client, boss: User) -> None:
    other = Client()
    sign_in(other)
    phone = APIClient().post("/api/v1/auth/login", {"username_or_email": "boss", "password": PASSWORD}).json()

    def change(old: str, new: str) -> int:
        fields = {"old_password": old, "new_password1": new, "new_password2": new}
        return desk.post("/admin/password_change/", fields).status_code

    assert change("Wrong-Horse-7", "Better-Horse-8") == 200
    for weak in ("a", "Password1", "Boss-Horse-8"):
        assert change(PASSWORD, weak) == 200
    assert is_in(other)
    assert change(PASSWORD, "Better-Horse-8") == 302
    assert (is_in(desk), is_in(other)) == (True, False)
    assert APIClient(HTTP_AUTHORIZATION=f"Bearer {phone['access_token']}").get("/api/v1/auth/me").status_code == 401
    assert sign_in(Client(), password="Better-Horse-8").status_code == 302


def test_the_session_is_the_admins_alone(desk: Client) -> None:
    cookie = desk.cookies["sessionid"]
    assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/admin", "Strict", True)
    assert cookie["max-age"] == 8 * 3600
    assert desk.get("/api/v1/auth/me").status_code == 401


def test_an_account_that_is_closed_forgets_it(desk: Client, boss: User) -> None:
    set_up(desk)
    phone = APIClient().post("/api/v1/auth/login", {"username_or_email": "boss", "password": PASSWORD}).json()
    closing = {"HTTP_AUTHORIZATION": f"Bearer {phone['access_token']}"}
    assert APIClient(**closing).delete("/api/v1/users/me", {"password": PASSWORD}).status_code == 200
    assert not Authenticator.objects.exists()

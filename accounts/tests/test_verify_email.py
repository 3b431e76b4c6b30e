"""POST /auth/verify-email and /auth/resend-verification (contract 3.5, trap T13)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts import recovery
from accounts.mails import mail_queue
from accounts.models import Mail, OneTimeToken, User
from accounts.services import SignIn
from accounts.tests import mailbox
from conftest import PASSWORD
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel

ADDRESS = "cleo@example.org"


@pytest.fixture
def cleo(sign_up: Callable[..., SignIn]) -> SignIn:
    """Signed up just now, and not verified."""
    return sign_up("cleo")


def verify(token: Any, client: APIClient | None = None, **fields: Any) -> Response:
    return (client or APIClient()).post("/api/v1/auth/verify-email", {"token": token, **fields})


def is_verified() -> bool:
    return User.objects.get(username="cleo").is_verified


def age(**ago: timedelta) -> None:
    for token in OneTimeToken.objects.all():
        for column, by in ago.items():
            setattr(token, column, getattr(token, column) - by)
        token.save()


# --- The mail


@pytest.mark.django_db
def test_signing_up_queues_the_mail_with_the_account() -> None:
    body = {"username": "cleo", "email": "Cleo@Example.org", "password": PASSWORD}
    assert APIClient().post("/api/v1/auth/register", body).status_code == 201
    row = Mail.objects.get()
    assert (row.kind, row.address, row.sent_at) == ("verify_email", ADDRESS, None)
    assert mail.outbox == []
    assert APIClient().post("/api/v1/auth/register", {**body, "username": "x-y"}).status_code == 409
    assert Mail.objects.count() == 1


def test_the_mail_has_code_and_link_in_text_and_html(cleo: SignIn, settings: Any) -> None:
    settings.PUBLIC_URL = "https://pocket.example.org/"
    letter = mailbox.newest(ADDRESS)
    assert letter.url == f"https://pocket.example.org/verify-email?token={letter.token}"
    assert len(letter.token) >= 43
    assert letter.message.to == [ADDRESS]
    assert letter.message.subject == "Verify your email address for DevPocket"
    [(html, kind)] = letter.message.alternatives
    assert kind == "text/html"
    assert f">{letter.code}<" in html
    assert f'href="{letter.url}"' in html


def test_nothing_that_people_choose_is_in_the_mail(sign_up: Callable[..., SignIn]) -> None:
    """A name of six digits would be read as the code, and a name may be an advertisement to a stranger."""
    sign_up("123456", full_name="Win at https://evil.example <b>now</b>")
    letter = mailbox.newest("123456@example.org")
    whole = letter.message.body + letter.message.alternatives[0][0]
    assert "evil" not in whole
    assert "123456" not in whole.replace(letter.code, "")


def test_only_hashes_are_stored(cleo: SignIn) -> None:
    letter = mailbox.newest(ADDRESS)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_onetimetoken")
        stored = repr(cursor.fetchall())
        cursor.execute("SELECT * FROM accounts_mail")
        stored += repr(cursor.fetchall())
    assert letter.token not in stored
    assert f"'{letter.code}'" not in stored


# --- Verifying


def test_the_code_with_bearer(cleo: SignIn, client_of: Callable[[SignIn], APIClient]) -> None:
    response = verify(mailbox.newest(ADDRESS).code, client_of(cleo))
    assert response.status_code == 200
    body = wire.decode(response)
    wire.check(body, {"message": wire.text, "user": lambda user: wire.check(user, wire.USER | wire.CAMEL_USER)})
    assert body["user"]["is_verified"] is body["user"]["isVerified"] is True
    assert is_verified()


@pytest.mark.parametrize("email", [ADDRESS, "CLEO@Example.org", f" {ADDRESS} "])
def test_the_code_with_the_address(cleo: SignIn, email: str) -> None:
    assert verify(mailbox.newest(ADDRESS).code, email=email).status_code == 200


def test_the_code_alone_is_nobodys(cleo: SignIn) -> None:
    code = mailbox.newest(ADDRESS).code
    wire.check_refusal(verify(code), 400, "invalid_token")
    wire.check_refusal(verify(code, email=None), 400, "invalid_token")
    wire.check_refusal(verify(code, email="nobody@example.org"), 400, "invalid_token")
    assert not is_verified()


def test_the_link_needs_no_sign_in(cleo: SignIn) -> None:
    assert verify(f" {mailbox.newest(ADDRESS).token}\n").status_code == 200
    assert is_verified()


@pytest.mark.parametrize("first", ["code", "link"])
def test_what_was_used_is_useless_and_so_is_its_other_half(first: str, cleo: SignIn) -> None:
    letter = mailbox.newest(ADDRESS)
    assert verify(letter.code if first == "code" else letter.token, email=ADDRESS).status_code == 200
    for secret in (letter.code, letter.token):
        wire.check_refusal(verify(secret, email=ADDRESS), 400, "invalid_token")
    assert is_verified()


def test_a_code_is_good_for_half_an_hour_and_a_link_for_a_day(cleo: SignIn) -> None:
    letter = mailbox.newest(ADDRESS)
    token = OneTimeToken.objects.get()
    now = timezone.now()
    assert timedelta(minutes=29) < token.code_expires_at - now <= timedelta(minutes=30)
    assert timedelta(hours=23) < token.link_expires_at - now <= timedelta(hours=24)
    age(code_expires_at=timedelta(minutes=30))
    wire.check_refusal(verify(letter.code, email=ADDRESS), 400, "invalid_token")
    age(link_expires_at=timedelta(hours=24))
    wire.check_refusal(verify(letter.token), 400, "invalid_token")
    assert not is_verified()


def test_five_wrong_tries_kill_the_code_and_not_the_link(cleo: SignIn) -> None:
    letter = mailbox.newest(ADDRESS)
    for _ in range(5):
        wire.check_refusal(verify(mailbox.other_code(letter.code), email=ADDRESS), 400, "invalid_token")
    wire.check_refusal(verify(letter.code, email=ADDRESS), 400, "invalid_token")
    assert verify(letter.token).status_code == 200


def test_four_wrong_tries_do_not(cleo: SignIn) -> None:
    letter = mailbox.newest(ADDRESS)
    for _ in range(4):
        verify(mailbox.other_code(letter.code), email=ADDRESS)
    assert verify(letter.code, email=ADDRESS).status_code == 200


def test_a_new_mail_makes_the_older_one_useless(cleo: SignIn) -> None:
    old = mailbox.newest(ADDRESS)
    for _ in range(5):
        verify(mailbox.other_code(old.code), email=ADDRESS)
    recovery.verification_resend(address=ADDRESS)
    new = mailbox.newest(ADDRESS)
    wire.check_refusal(verify(old.token), 400, "invalid_token")
    if old.code != new.code:
        wire.check_refusal(verify(old.code, email=ADDRESS), 400, "invalid_token")
    assert verify(new.code, email=ADDRESS).status_code == 200


def test_the_code_of_another_user_is_useless(
    cleo: SignIn, sign_up: Callable[..., SignIn], client_of: Callable[[SignIn], APIClient]
) -> None:
    dora = sign_up("dora")
    mailbox.deliver()
    OneTimeToken.objects.filter(user=dora.user).update(code_hash="x" * 64)
    code = mailbox.newest(ADDRESS).code
    wire.check_refusal(verify(code, client_of(dora)), 400, "invalid_token")
    wire.check_refusal(verify(code, client_of(dora), email=ADDRESS), 400, "invalid_token")  # Bearer says who it is
    assert not User.objects.filter(is_verified=True).exists()


def test_a_link_for_a_new_password_verifies_nothing_by_this_route(cleo: SignIn) -> None:
    mail_queue(kind=Mail.Kind.RESET_PASSWORD, address=ADDRESS)
    wire.check_refusal(verify(mailbox.newest(ADDRESS).token), 400, "invalid_token")
    assert not is_verified()


def test_a_closed_account_is_not_verified(cleo: SignIn) -> None:
    letter = mailbox.newest(ADDRESS)
    User.objects.update(is_active=False)
    wire.check_refusal(verify(letter.token), 400, "invalid_token")
    wire.check_refusal(verify(letter.code, email=ADDRESS), 400, "invalid_token")


@pytest.mark.parametrize(
    ("token", "code"), [("", "blank"), (None, "null"), ("x" * 201, "max_length"), (["1"], "invalid"), ("\0", "invalid")]
)
@pytest.mark.django_db
def test_a_bad_field_is_named(token: Any, code: str) -> None:
    assert wire.field_codes(verify(token)) == {"token": code}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("by", ["link", "code"])
def test_of_parallel_uses_one_wins(by: str, sign_up: Callable[..., SignIn]) -> None:
    sign_up("cleo")
    letter = mailbox.newest(ADDRESS)
    secret = letter.token if by == "link" else letter.code
    answers = in_parallel(lambda _: verify(secret, email=ADDRESS).status_code, count=8)
    assert Counter(answers) == {200: 1, 400: 7}


@pytest.mark.django_db(transaction=True)
def test_parallel_wrong_codes_are_all_counted(sign_up: Callable[..., SignIn]) -> None:
    sign_up("cleo")
    wrong = mailbox.other_code(mailbox.newest(ADDRESS).code)
    assert set(in_parallel(lambda _: verify(wrong, email=ADDRESS).status_code, count=8)) == {400}
    assert OneTimeToken.objects.get().wrong_codes == 5


# --- Another mail


def resend(client: APIClient | None = None, **fields: Any) -> Response:
    return (client or APIClient()).post("/api/v1/auth/resend-verification", fields)


def a_minute_passes(email: str) -> None:
    """The entry of the last minute ends; those of the quarter of an hour stay."""
    cache.delete(recovery._entries(f"resend:{email}")[0])


def test_resending_with_bearer_or_address(cleo: SignIn, client_of: Callable[[SignIn], APIClient]) -> None:
    mailbox.deliver()
    for response in (resend(client_of(cleo)), resend(email="other@example.org")):
        assert response.status_code == 200
        body = wire.decode(response)
        wire.check(body, {"message": wire.text, "already_verified": wire.flag})
        assert body["already_verified"] is False
    assert [message.to for message in mailbox.deliver()] == [[ADDRESS]]


@pytest.mark.parametrize("email", [ADDRESS, "nobody@example.org"])
def test_one_a_minute_and_three_a_quarter_of_an_hour(email: str, cleo: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(recovery.timezone, "now", lambda: now)
    for _ in range(3):
        assert resend(email=email).status_code == 200
        response = resend(email=email.upper())
        body = wire.check_refusal(response, 429, "rate_limited")
        assert (body["retry_after"], response["Retry-After"]) == (60, "60")
        now += timedelta(seconds=60)
        a_minute_passes(email)
    for _ in range(2):  # being refused does not count as a mail
        assert wire.check_refusal(resend(email=email), 429, "rate_limited")["retry_after"] == 900 - 180
    now += timedelta(seconds=719)
    assert wire.check_refusal(resend(email=email), 429, "rate_limited")["retry_after"] == 1
    assert resend(email="somebody-else@example.org").status_code == 200


def test_whoever_is_verified_is_told_so(ann: SignIn, client_of: Callable[[SignIn], APIClient]) -> None:
    for _ in range(3):
        body = wire.decode(resend(client_of(ann)))
        assert body["already_verified"] is True
    assert wire.decode(resend(email="ann@example.org"))["already_verified"] is False  # nobody is told about others
    assert mailbox.deliver() == []


@pytest.mark.django_db
@pytest.mark.parametrize("fields", [{}, {"email": None}])
def test_without_bearer_the_address_is_needed(fields: dict[str, Any]) -> None:
    assert wire.field_codes(resend(**fields)) == {"email": "required"}


@pytest.mark.django_db
def test_a_stale_bearer_header_is_refused() -> None:
    wire.check_refusal(resend(APIClient(HTTP_AUTHORIZATION="Bearer stale"), email=ADDRESS), 401, "token_invalid")

"""Rate limits (contract section 10)."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.services import SignIn
from conftest import PASSWORD
from devpocket import throttling
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from devpocket.throttling import client_address, count

NOON = 1_800_000_000  # a whole number of minutes and hours


class Clock:
    def __init__(self) -> None:
        self.now: float = NOON

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Clock:
    """Limits as in production, and time in the test's hands."""
    settings.THROTTLE_SCALE = 1
    clock = Clock()
    monkeypatch.setattr(throttling, "time", SimpleNamespace(time=clock.time))
    return clock


def login(name: str = "ann", address: str = "203.0.113.1", key: str = "username_or_email", **headers: str) -> Response:
    return APIClient(REMOTE_ADDR=address, **headers).post("/api/v1/auth/login", {key: name, "password": "wrong"})


def limits(response: Response) -> tuple[int, int, int]:
    return tuple(int(response[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))  # type: ignore[return-value]


@pytest.mark.django_db
def test_the_sixth_login_in_a_minute_has_to_wait(clock: Clock) -> None:
    for used in range(1, 6):
        response = login()
        wire.check_refusal(response, 401, "invalid_credentials")
        assert limits(response) == (5, 5 - used, NOON + 60)
    clock.now += 12.5
    response = login()
    body = wire.check_refusal(response, 429, "rate_limited")
    assert body["retry_after"] == 48
    assert response["Retry-After"] == "48"
    assert limits(response) == (5, 0, NOON + 60)


@pytest.mark.django_db
def test_the_right_password_has_to_wait_too(ann: SignIn, clock: Clock) -> None:
    for _ in range(5):
        login()
    response = APIClient(REMOTE_ADDR="203.0.113.1").post(
        "/api/v1/auth/login", {"username_or_email": "ann", "password": PASSWORD}
    )
    wire.check_refusal(response, 429, "rate_limited")


@pytest.mark.django_db
def test_a_new_window_begins_at_nought(clock: Clock) -> None:
    for _ in range(6):
        login()
    clock.now += 59.9
    wire.check_refusal(login(), 429, "rate_limited")
    clock.now = NOON + 60
    response = login()
    wire.check_refusal(response, 401, "invalid_credentials")
    assert limits(response) == (5, 4, NOON + 120)


@pytest.mark.django_db
def test_other_names_and_other_addresses_are_counted_by_themselves(clock: Clock) -> None:
    for _ in range(6):
        login("ann")
    wire.check_refusal(login("ben"), 401, "invalid_credentials")
    wire.check_refusal(login("ann", address="203.0.113.2"), 401, "invalid_credentials")
    wire.check_refusal(login("ann"), 429, "rate_limited")


@pytest.mark.django_db
def test_another_spelling_is_no_other_name(clock: Clock) -> None:
    for name, key in [
        ("ann", "username"),
        ("ANN", "email"),
        (" ann", "usernameOrEmail"),
        ("Ann ", "username"),
        ("ann", "email"),
    ]:
        wire.check_refusal(login(name, key=key), 401, "invalid_credentials")
    wire.check_refusal(login("aNN"), 429, "rate_limited")


@pytest.mark.parametrize("name", [["ann"], {"a": "b"}, "half \ud800 pair", None, 7, True])
@pytest.mark.django_db
def test_names_of_any_kind_are_counted(clock: Clock, name: Any) -> None:
    client = APIClient()
    for _ in range(5):
        assert client.post("/api/v1/auth/login", **wire.body({"username_or_email": name})).status_code == 422
    wire.check_refusal(client.post("/api/v1/auth/login", **wire.body({"username_or_email": name})), 429, "rate_limited")


@pytest.mark.django_db
def test_one_address_has_thirty_tries_over_all_sign_in_routes(clock: Clock) -> None:
    for index in range(29):
        wire.check_refusal(login(f"user{index}"), 401, "invalid_credentials")
    client = APIClient(REMOTE_ADDR="203.0.113.1")
    response = client.post("/api/v1/auth/register", {"email": "a@example.org"})
    wire.check_refusal(response, 422, "invalid_input")
    assert limits(response) == (30, 0, NOON + 60)  # the tightest bucket
    response = client.post("/api/v1/auth/register", {"email": "b@example.org"})
    wire.check_refusal(response, 429, "rate_limited")
    assert limits(response) == (30, 0, NOON + 60)


def test_refreshes_are_counted_by_session(ann: SignIn, ben: SignIn, clock: Clock) -> None:
    def refresh(sign_in: SignIn) -> Response:
        return APIClient().post("/api/v1/auth/refresh", {"refresh_token": sign_in.tokens.refresh})

    for used in range(1, 31):
        response = refresh(ann)
        assert response.status_code == 200
        assert limits(response) == (30, 30 - used, NOON + 60)
    wire.check_refusal(refresh(ann), 429, "rate_limited")
    assert refresh(ben).status_code == 200


@pytest.mark.django_db
def test_unreadable_refresh_tokens_are_counted_by_address(clock: Clock) -> None:
    client = APIClient()
    for index in range(30):
        client.post("/api/v1/auth/refresh", {"refresh_token": f"garbage{index}"})
    wire.check_refusal(client.post("/api/v1/auth/refresh", {"refresh_token": ["x"]}), 429, "rate_limited")


@pytest.mark.parametrize("path", ["login", "register", "refresh"])
@pytest.mark.django_db
def test_an_unreadable_body_is_counted_and_told_so(clock: Clock, path: str) -> None:
    response = APIClient().generic("POST", f"/api/v1/auth/{path}", b"{", content_type="application/json")
    wire.check_refusal(response, 400, "malformed_json")
    limit, remaining, reset_at = limits(response)
    assert (limit - remaining, reset_at) == (1, NOON + 60)


def test_a_user_has_a_hundred_requests_a_minute_from_wherever(
    ann: SignIn, ben: SignIn, client_of: Callable[[SignIn], APIClient], clock: Clock, settings: Any
) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "general": (3, 60)}
    for used in range(1, 4):
        response = client_of(ann).get("/api/v1/auth/me", REMOTE_ADDR=f"203.0.113.{used}")
        assert response.status_code == 200
        assert limits(response) == (3, 3 - used, NOON + 60)
    wire.check_refusal(client_of(ann).get("/api/v1/templates"), 429, "rate_limited")
    assert client_of(ben).get("/api/v1/auth/me").status_code == 200


@pytest.mark.parametrize("header", [None, "Bearer stale"])
@pytest.mark.parametrize("path", ["/api/v1/auth/me", "/api/v1/nothing"])
@pytest.mark.django_db
def test_who_is_not_signed_in_is_counted_by_address(clock: Clock, settings: Any, path: str, header: str | None) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "general": (2, 60)}
    headers = {} if header is None else {"HTTP_AUTHORIZATION": header}
    client = APIClient(REMOTE_ADDR="203.0.113.1", **headers)
    for used in (1, 2):
        response = client.get(path)
        assert response.status_code in (401, 404)
        assert limits(response) == (2, 2 - used, NOON + 60)
    wire.check_refusal(client.get(path), 429, "rate_limited")
    assert client.get(path, REMOTE_ADDR="203.0.113.2").status_code in (401, 404)


@pytest.mark.parametrize(("scale", "limit"), [(1, 5), (3, 15), (0.5, 2), (0.001, 1)])
def test_the_scale_multiplies_every_limit(clock: Clock, settings: Any, scale: float, limit: int) -> None:
    settings.THROTTLE_SCALE = scale
    assert [count("auth", "x").allowed for _ in range(limit + 1)] == [True] * limit + [False]


def test_buckets_and_keys_are_counted_by_themselves(clock: Clock) -> None:
    for _ in range(3):
        count("auth", "a")
    assert count("auth", "b").remaining == 4
    assert count("refresh", "a").remaining == 29
    assert count("auth", "a").remaining == 1


def test_counting_is_exact_in_parallel(clock: Clock) -> None:
    standings = in_parallel(lambda _: count("auth_address", "x"), count=20)
    assert sorted(standing.remaining for standing in standings) == list(range(10, 30))
    standings = in_parallel(lambda _: count("auth_address", "x"), count=20)
    assert [standing.allowed for standing in standings].count(True) == 10


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "address"),
    [
        ([], "203.0.113.1", None, "203.0.113.1"),
        ([], "203.0.113.1", "198.51.100.7", "203.0.113.1"),
        (["10.0.0.1"], "203.0.113.1", "198.51.100.7", "203.0.113.1"),
        (["10.0.0.1"], "10.0.0.1", None, "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.1", "198.51.100.7", "198.51.100.7"),
        (["10.0.0.1"], "10.0.0.1", "1.2.3.4, 198.51.100.7", "198.51.100.7"),
        (["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        (["10.0.0.1/8"], "10.0.0.9", "198.51.100.7", "198.51.100.7"),
        (["10.0.0.0/8"], "10.0.0.1", "10.0.0.2", "10.0.0.2"),
        (["10.0.0.0/8"], "10.0.0.1", "nonsense", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "nonsense, 10.0.0.2", "10.0.0.2"),
        (["10.0.0.0/8"], "10.0.0.1", ",,", "10.0.0.1"),
        (["fd00::/8"], "fd00::1", "2001:db8::7", "2001:db8::7"),
        (["10.0.0.0/8", "fd00::/8"], "fd00::1", "2001:db8::7, 10.0.0.3", "2001:db8::7"),
        (["10.0.0.0/8"], "", "198.51.100.7", ""),
    ],
)
def test_only_trusted_proxies_say_where_a_request_comes_from(
    settings: Any, trusted: list[str], peer: str, forwarded: str | None, address: str
) -> None:
    settings.TRUSTED_PROXIES = trusted
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=peer, **headers)) == address


@pytest.mark.django_db
def test_a_made_up_forwarded_address_gains_no_tries(clock: Clock) -> None:
    for index in range(5):
        login(HTTP_X_FORWARDED_FOR=f"198.51.100.{index}")
    wire.check_refusal(login(HTTP_X_FORWARDED_FOR="198.51.100.99"), 429, "rate_limited")

"""POST /auth/google (contract 3.3), with an issuer of our own that signs real tokens and serves its certificates."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import jwt
import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers import registry
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.cache import cache
from django.core.management import call_command
from django.urls import NoReverseMatch, reverse
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts import google
from accounts.models import PlatformKey, Session, SSHKey, User
from accounts.one_time import Purpose, token_issue
from accounts.services import WRONG_LOGIN_TEXT, SignIn
from conftest import PASSWORD
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from environments.tests.homes import home_of

WEB, IOS, ANDROID = "web.apps.example", "ios.apps.example", "android.apps.example"
SUBJECT = "110248495921238986420"
SIGNED_IN = wire.TOKEN_PAIR | {"created": wire.flag}
LEAVE_OUT = "(left out)"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate_of(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer.test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=7))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


KEY, NEXT_KEY, STRANGERS_KEY = new_key(), new_key(), new_key()


@dataclass
class Issuer:
    """Google, as far as we see it: a page of certificates, and signed tokens."""

    certificates: dict[str, str] = field(default_factory=lambda: {"k1": certificate_of(KEY)})
    status: int = 200
    body: bytes | None = None  # instead of the certificates
    url: str = ""
    fetches: int = 0
    answers: Event = field(default_factory=Event)

    def token(self, key: Any = KEY, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        now = int(time.time())
        payload = {
            "iss": "https://accounts.google.com",
            "azp": ANDROID,
            "aud": WEB,
            "sub": SUBJECT,
            "email": "Grace.Hopper@Example.org",
            "email_verified": True,
            "name": "Grace Hopper",
            "picture": "https://lh3.example/photo=s96-c",
            "iat": now,
            "exp": now + 3600,
            "jti": "4c1b",
            **claims,
        }
        payload = {name: value for name, value in payload.items() if value != LEAVE_OUT}
        # Signed as bytes: jwt.encode refuses some of the claims that tests want.
        headers = {"kid": "k1"} if headers is None else headers
        return jwt.api_jws.encode(json.dumps(payload).encode(), key, algorithm="RS256", headers=headers)


@pytest.fixture(scope="module")
def issuer_server() -> Iterator[tuple[ThreadingHTTPServer, list[Issuer]]]:
    current: list[Issuer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer = current[-1]
            issuer.fetches += 1
            issuer.answers.wait(10)
            body = json.dumps(issuer.certificates).encode() if issuer.body is None else issuer.body
            self.send_response(issuer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server, current
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def issuer(issuer_server: tuple[ThreadingHTTPServer, list[Issuer]], settings: Any) -> Iterator[Issuer]:
    server, current = issuer_server
    issuer = Issuer(url=f"http://127.0.0.1:{server.server_port}/certs")
    issuer.answers.set()
    current.append(issuer)
    settings.GOOGLE_CLIENT_IDS = [WEB, IOS, ANDROID]
    settings.GOOGLE_CERTS_URL = issuer.url
    yield issuer
    issuer.answers.set()
    if google.fetcher._fetch is not None:
        google.fetcher._fetch.exception(5)  # none of this test's fetches is shared with the next test


def post(token: Any, key: str = "id_token", path: str = "/api/v1/auth/google", **more: Any) -> Response:
    return APIClient().post(path, **wire.body({key: token, **more}))


def signed_in(response: Response) -> dict[str, Any]:
    assert response.status_code == 200, response.content
    body = wire.decode(response)
    wire.check(body, SIGNED_IN)
    return dict(body)


def refused(token: str) -> dict[str, Any]:
    body = wire.check_refusal(post(token), 400, "google_token_invalid")
    assert body["errors"] == []
    assert not User.objects.exists()
    assert not SocialAccount.objects.exists()
    return body


# --- Whose account it is


@pytest.mark.django_db
def test_a_new_user_gets_an_account_that_is_verified_and_has_no_password(issuer: Issuer) -> None:
    body = signed_in(post(issuer.token()))
    assert body["created"] is True
    user = User.objects.get()
    assert (user.username, user.email) == ("grace-hopper", "grace.hopper@example.org")
    assert (user.full_name, user.avatar_url) == ("Grace Hopper", "https://lh3.example/photo=s96-c")
    assert (user.is_verified, user.is_active, user.plan) == (True, True, "free")
    assert not user.has_usable_password()
    assert PlatformKey.objects.filter(user=user).exists()
    assert body["user"] | {"id": str(user.pk), "is_verified": True, "avatar_url": user.avatar_url} == body["user"]
    account = SocialAccount.objects.get()
    assert (account.user, account.provider, account.uid) == (user, "google", SUBJECT)


@pytest.mark.django_db
def test_the_tokens_open_the_api_and_name_the_device(issuer: Issuer) -> None:
    body = wire.decode(
        APIClient(HTTP_USER_AGENT="Pocket/3").post("/api/v1/auth/google", **wire.body({"id_token": issuer.token()}))
    )
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    assert wire.decode(client.get("/api/v1/auth/me"))["username"] == "grace-hopper"
    assert Session.objects.get().user_agent == "Pocket/3"


@pytest.mark.django_db
def test_nothing_of_the_token_is_kept_but_name_and_picture(issuer: Issuer) -> None:
    post(issuer.token(at_hash="x", hd="example.org"))
    assert SocialAccount.objects.get().extra_data == {
        "name": "Grace Hopper",
        "picture": "https://lh3.example/photo=s96-c",
    }
    assert not EmailAddress.objects.exists()


@pytest.mark.django_db
def test_who_comes_again_is_found_by_subject_though_the_address_has_changed(issuer: Issuer) -> None:
    first = signed_in(post(issuer.token()))
    again = signed_in(post(issuer.token(email="admiral@example.org", name="Admiral")))
    assert (again["created"], again["user"]["id"]) == (False, first["user"]["id"])
    user = User.objects.get()
    assert (user.email, user.full_name) == ("grace.hopper@example.org", "Grace Hopper")


@pytest.mark.django_db
def test_the_subject_counts_more_than_the_address(issuer: Issuer, ann: SignIn) -> None:
    grace = signed_in(post(issuer.token()))
    again = signed_in(post(issuer.token(email=ann.user.email)))
    assert again["user"]["id"] == grace["user"]["id"]


def test_a_verified_account_with_the_address_is_linked_and_keeps_all_it_has(issuer: Issuer, ann: SignIn) -> None:
    SSHKey.objects.create(user=ann.user, name="k", public_key="ssh-ed25519 A", fingerprint="SHA256:a")
    body = signed_in(post(issuer.token(email="ANN@example.org")))
    assert (body["created"], body["user"]["id"]) == (False, str(ann.user.pk))
    user = User.objects.get()
    assert user.check_password(PASSWORD)
    assert user.full_name is None
    assert user.ssh_keys.count() == 1
    assert user.sessions.filter(revoked_at=None).count() == 2
    assert signed_in(post(issuer.token(email="other@example.org")))["user"]["id"] == str(user.pk)


def test_an_account_that_never_verified_its_address_is_taken_from_whoever_made_it(
    issuer: Issuer, sign_up: Callable[..., SignIn], client_of: Callable[[SignIn], APIClient]
) -> None:
    squatter = sign_up("squatter", email="grace.hopper@example.org")
    SSHKey.objects.create(user=squatter.user, name="k", public_key="ssh-ed25519 A", fingerprint="SHA256:a")
    machine = home_of(squatter.user)
    token_issue(squatter.user, Purpose.RESET_PASSWORD)
    body = signed_in(post(issuer.token()))
    assert (body["created"], body["user"]["id"]) == (False, str(squatter.user.pk))
    assert body["user"]["is_verified"] is True
    user = User.objects.get()
    assert not user.has_usable_password()
    assert (user.ssh_keys.count(), user.one_time_tokens.count()) == (0, 0)
    machine.refresh_from_db()
    assert machine.keys_changed_at is not None  # it is told, and lets the key in no more
    assert [str(session.pk) for session in user.sessions.filter(revoked_at=None)] == [
        jwt.decode(body["access_token"], options={"verify_signature": False})["sid"]
    ]
    wire.check_refusal(client_of(squatter).get("/api/v1/auth/me"), 401, "token_invalid")
    refresh = APIClient().post("/api/v1/auth/refresh", **wire.body({"refresh_token": squatter.tokens.refresh}))
    wire.check_refusal(refresh, 401, "token_invalid")
    password = wire.body({"username_or_email": "squatter", "password": PASSWORD})
    wire.check_refusal(APIClient().post("/api/v1/auth/login", **password), 401, "invalid_credentials")


@pytest.mark.parametrize("linked", [True, False])
def test_a_disabled_account_is_refused_like_a_wrong_password(issuer: Issuer, ann: SignIn, linked: bool) -> None:
    if linked:
        signed_in(post(issuer.token(email=ann.user.email)))
    User.objects.update(is_active=False, is_verified=False)
    sessions = Session.objects.count()
    body = wire.check_refusal(post(issuer.token(email=ann.user.email)), 401, "invalid_credentials")
    assert body["detail"] == WRONG_LOGIN_TEXT
    assert Session.objects.count() == sessions
    assert SocialAccount.objects.count() == linked
    assert User.objects.get().has_usable_password()


def test_wrong_passwords_do_not_lock_google_out(issuer: Issuer, ann: SignIn) -> None:
    for _ in range(6):
        APIClient().post("/api/v1/auth/login", **wire.body({"username_or_email": "ann", "password": "wrong"}))
    assert User.objects.get().is_locked
    signed_in(post(issuer.token(email=ann.user.email)))


@pytest.mark.django_db
def test_who_has_closed_their_account_may_come_back_with_a_new_one(issuer: Issuer) -> None:
    first = signed_in(post(issuer.token()))
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {first['access_token']}")
    assert client.delete("/api/v1/users/me").status_code == 200
    assert not SocialAccount.objects.exists()
    again = signed_in(post(issuer.token()))
    assert again["created"] is True
    assert again["user"]["id"] != first["user"]["id"]


@pytest.mark.django_db(transaction=True)
def test_one_new_user_who_signs_in_twenty_times_at_once_has_one_account(issuer: Issuer) -> None:
    token = issuer.token()
    bodies = in_parallel(lambda index: signed_in(post(token)), count=20)
    assert len({body["user"]["id"] for body in bodies}) == 1
    assert [body["created"] for body in bodies].count(True) == 1
    assert (User.objects.count(), SocialAccount.objects.count(), PlatformKey.objects.count()) == (1, 1, 1)
    assert Session.objects.count() == 20


@pytest.mark.django_db(transaction=True)
def test_ten_new_users_who_would_have_the_same_name_all_get_one(issuer: Issuer) -> None:
    tokens = [issuer.token(sub=f"s{index}", email=f"grace@{index}.example.org") for index in range(10)]
    bodies = in_parallel(lambda index: signed_in(post(tokens[index])), count=10)
    names = {body["user"]["username"] for body in bodies}
    assert len(names) == 10
    assert "grace" in names
    assert all(re.match(r"grace(-\d{6})?\Z", name) for name in names)


@pytest.mark.django_db(transaction=True)
def test_signing_up_and_google_at_once_make_one_account(issuer: Issuer) -> None:
    token = issuer.token(email="ann@example.org")

    def enter(index: int) -> int:
        if index % 2:
            form = {"username": "ann", "email": "ann@example.org", "password": PASSWORD}
            return int(APIClient().post("/api/v1/auth/register", **wire.body(form)).status_code)
        return int(post(token).status_code)

    statuses = in_parallel(enter, count=8)
    assert statuses[::2] == [200] * 4
    assert set(statuses[1::2]) <= {201, 409}
    assert not User.objects.get().has_usable_password()


# --- Names


@pytest.mark.parametrize(
    ("email", "name"),
    [
        ("grace.hopper@example.org", "grace-hopper"),
        ("grace_hopper+spam@example.org", "grace_hopper"),
        ("jos\u00e9.nu\u00f1ez@example.org", "jose-nunez"),
        ("\u6f22\u5b57@example.org", "user"),
        ("al@example.org", "user-al"),
        ("+x@example.org", "user"),
        ("...a...@example.org", "user-a"),
        (f"{'x' * 64}@example.org", "x" * 30),
        ('"a@b c"@example.org', "a-b-c"),
    ],
)
def test_the_username_resembles_the_address(email: str, name: str) -> None:
    assert google.username_from(email) == name


@given(st.text() | st.emails())
def test_whatever_the_address_the_username_is_valid(email: str) -> None:
    assert re.match(r"[A-Za-z0-9_-]{3,30}\Z", google.username_from(email))


@pytest.mark.django_db
@pytest.mark.parametrize("taken", ["Grace-Hopper", "grace-hopper"])
def test_a_name_that_is_taken_in_any_case_gets_digits(issuer: Issuer, sign_up: Any, taken: str) -> None:
    sign_up(taken)
    name = signed_in(post(issuer.token()))["user"]["username"]
    assert re.match(r"grace-hopper-\d{6}\Z", name)


@pytest.mark.django_db
def test_a_long_name_that_is_taken_stays_within_the_limit(issuer: Issuer) -> None:
    names = [
        signed_in(post(issuer.token(sub=domain, email=f"{'x' * 40}@{domain}.example")))["user"]["username"]
        for domain in ("a", "b", "c")
    ]
    assert [len(name) for name in names] == [30] * 3
    assert len(set(names)) == 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("claim", "kept"),
    [
        (LEAVE_OUT, None),
        (None, None),
        (7, None),
        ("  ", None),
        ("\0\n", None),
        (" Zo\u00eb\0 \ud800Q ", "Zo\u00eb Q"),
        ("n" * 101, "n" * 100),
        ("\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"),
    ],
)
def test_a_name_is_taken_over_as_far_as_it_can_be_stored(issuer: Issuer, claim: Any, kept: str | None) -> None:
    assert signed_in(post(issuer.token(name=claim)))["user"]["full_name"] == kept


@pytest.mark.django_db
@pytest.mark.parametrize(
    "claim",
    [
        LEAVE_OUT,
        None,
        7,
        "",
        "no address",
        "javascript:alert(1)",
        "http://x.example/",
        f"https://x.example/{'p' * 500}",
    ],
)
def test_a_picture_that_is_no_https_address_is_left_out(issuer: Issuer, claim: Any) -> None:
    assert signed_in(post(issuer.token(picture=claim)))["user"]["avatar_url"] is None


# --- Tokens


@pytest.mark.django_db
@pytest.mark.parametrize("audience", [WEB, IOS, ANDROID])
@pytest.mark.parametrize("name", ["https://accounts.google.com", "accounts.google.com"])
def test_each_client_id_and_both_spellings_of_the_issuer_count(issuer: Issuer, audience: str, name: str) -> None:
    signed_in(post(issuer.token(aud=audience, iss=name)))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other.apps.example"},
        {"aud": LEAVE_OUT},
        {"aud": None},
        {"aud": 7},
        {"aud": [7]},
        {"aud": []},
        {"iss": "https://accounts.google.com.evil.example"},
        {"iss": LEAVE_OUT},
        {"iss": ["https://accounts.google.com"]},
        {"exp": 1},
        {"exp": LEAVE_OUT},
        {"exp": "soon"},
        {"exp": []},
        {"exp": float("inf")},
        {"iat": LEAVE_OUT},
        {"iat": 4102444800},
        {"nbf": 4102444800},
        {"email_verified": False},
        {"email_verified": LEAVE_OUT},
        {"email_verified": None},
        {"email_verified": "false"},
        {"email_verified": "true"},
        {"email": LEAVE_OUT},
        {"email": None},
        {"email": ""},
        {"email": 7},
        {"email": "no address"},
        {"email": "a\0@example.org"},
        {"email": f"{'x' * 64}@{'y' * 200}.example"},
        {"email": "x@" + ".".join(["\u0130" * 35] * 5) + ".example"},  # twice as long in lower case
        {"sub": LEAVE_OUT},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "1\0"},
        {"sub": "\u0661"},
        {"sub": "1" * 192},
    ],
    ids=str,
)
def test_a_token_that_says_something_wrong_is_refused(issuer: Issuer, claims: dict[str, Any]) -> None:
    refused(issuer.token(**claims))


@pytest.mark.django_db
@pytest.mark.parametrize("ahead_s", [5, -3605])
def test_a_clock_may_be_some_seconds_off(issuer: Issuer, ahead_s: int) -> None:
    now = int(time.time()) + ahead_s
    signed_in(post(issuer.token(iat=now, nbf=now, exp=now + 3600)))


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge_unsigned(issuer: Issuer) -> str:
    _, payload, _ = issuer.token().split(".")
    return f"{encoded({'alg': 'none', 'kid': 'k1'})}.{payload}."


def forge_with_the_public_key_as_secret(issuer: Issuer) -> str:
    _, payload, _ = issuer.token().split(".")
    text = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{payload}"
    secret = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def forge_with_the_certificate_as_secret(issuer: Issuer) -> str:
    _, payload, _ = issuer.token().split(".")
    text = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{payload}"
    secret = issuer.certificates["k1"].encode()
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def forge_other_claims(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{issuer.token(sub='other').split('.')[1]}.{signature}"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "forge",
    [
        forge_unsigned,
        forge_with_the_public_key_as_secret,
        forge_with_the_certificate_as_secret,
        forge_other_claims,
        lambda issuer: issuer.token(key=STRANGERS_KEY),
        lambda issuer: issuer.token(headers={"kid": "unknown"}),
        lambda issuer: issuer.token(headers={}),
        lambda issuer: issuer.token(headers={"kid": "k1", "jku": "http://evil.example"}, key=STRANGERS_KEY),
        lambda issuer: issuer.token().rpartition(".")[0] + ".",
        lambda issuer: issuer.token().rpartition(".")[0],
        lambda issuer: f"{encoded({'alg': 'RS256', 'kid': 7})}.e30.e30",
        lambda issuer: f"{encoded({'alg': 'RS256', 'kid': ['k1']})}.e30.e30",
        lambda issuer: f"{encoded({'alg': ['RS256'], 'kid': 'k1'})}.e30.e30",
        lambda issuer: f"{encoded({'kid': 'k1'})}.e30.e30",
        lambda issuer: f"{encoded([])}.e30.e30",
        lambda issuer: f"{encoded(b'[' * 2900)}.e30.e30",
        lambda issuer: f"{encoded(bytes([255]))}.e30.e30",
        lambda issuer: jwt.api_jws.encode(b"[]", KEY, algorithm="RS256", headers={"kid": "k1"}),
        lambda issuer: jwt.api_jws.encode(b"[" * 2000, KEY, algorithm="RS256", headers={"kid": "k1"}),
        lambda issuer: jwt.encode({}, KEY, algorithm="RS512", headers={"kid": "k1"}),
        lambda issuer: "garbage",
        lambda issuer: "\u6f22.\u5b57.x",
        lambda issuer: "..",
        lambda issuer: 7,
    ],
)
def test_a_token_that_google_did_not_sign_is_refused(issuer: Issuer, forge: Callable[[Issuer], str]) -> None:
    refused(forge(issuer))


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_whatever_the_bytes_a_token_is_refused_and_no_bug(header: bytes, payload: bytes) -> None:
    with pytest.raises(google.GoogleTokenInvalid):
        google._verified_claims(f"{encoded(header)}.{encoded(payload)}.e30")


@pytest.mark.django_db
def test_the_same_token_is_good_for_another_sign_in(issuer: Issuer) -> None:
    """The phone's two HTTP stacks may both send it, and one whose answer was lost sends it again."""
    token = issuer.token()
    first, second = signed_in(post(token)), signed_in(post(token))
    assert (first["created"], second["created"]) == (True, False)
    assert first["access_token"] != second["access_token"]


# --- The request


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["id_token", "idToken", "token"])
@pytest.mark.parametrize("path", ["/api/v1/auth/google", "/api/v1/auth/google/"])
def test_each_spelling_of_the_field_and_of_the_route_will_do(issuer: Issuer, key: str, path: str) -> None:
    signed_in(post(issuer.token(), key, path))


@pytest.mark.django_db
@pytest.mark.parametrize("ignored", [None, "ya29.x", "", 7, {"a": 1}])
def test_an_access_token_is_ignored(issuer: Issuer, ignored: Any) -> None:
    signed_in(post(issuer.token(), access_token=ignored))


@pytest.mark.django_db
def test_a_bearer_header_is_not_looked_at(issuer: Issuer) -> None:
    client = APIClient(HTTP_AUTHORIZATION="Bearer stale")
    signed_in(client.post("/api/v1/auth/google", **wire.body({"id_token": issuer.token()})))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"id_token": None, "token": None}, "null"),
        ({"id_token": ""}, "blank"),
        ({"id_token": " "}, "blank"),
        ({"id_token": ["x"]}, "invalid"),
        ({"id_token": {"x": 1}}, "invalid"),
        ({"id_token": True}, "invalid"),
        ({"id_token": "a\0b"}, "invalid"),
        ({"id_token": "\ud800"}, "invalid"),
        ({"id_token": "x" * 4097}, "max_length"),
    ],
)
def test_a_field_that_holds_no_token_is_named(body: dict[str, Any], code: str, issuer: Issuer) -> None:
    assert wire.field_codes(APIClient().post("/api/v1/auth/google", **wire.body(body))) == {"id_token": code}
    assert issuer.fetches == 0


@pytest.mark.django_db
@pytest.mark.parametrize("body", [{}, {"id_token": "x"}])
def test_without_client_ids_google_is_not_configured(settings: Any, issuer: Issuer, body: dict[str, Any]) -> None:
    settings.GOOGLE_CLIENT_IDS = []
    response = APIClient().post("/api/v1/auth/google", **wire.body(body))
    wire.check_refusal(response, 503, "google_not_configured")
    assert issuer.fetches == 0


@pytest.mark.django_db
def test_other_methods_are_not_allowed() -> None:
    wire.check_refusal(APIClient().get("/api/v1/auth/google"), 405, "method_not_allowed")


# --- Google's keys


@pytest.mark.django_db
def test_the_certificates_are_fetched_once_for_many_sign_ins(issuer: Issuer) -> None:
    for _ in range(5):
        signed_in(post(issuer.token()))
    assert issuer.fetches == 1


@pytest.mark.django_db
def test_a_new_key_of_google_is_fetched_when_a_token_names_it(issuer: Issuer) -> None:
    signed_in(post(issuer.token()))
    cache.delete(google.ASKED_CACHE)  # a minute later
    issuer.certificates["k2"] = certificate_of(NEXT_KEY)
    signed_in(post(issuer.token(NEXT_KEY, {"kid": "k2"})))
    assert issuer.fetches == 2


@pytest.mark.django_db
def test_made_up_key_ids_cost_no_more_than_a_fetch_a_minute(issuer: Issuer) -> None:
    signed_in(post(issuer.token()))
    for fetches in (1, 2):
        for number in range(3):
            wire.check_refusal(post(issuer.token(headers={"kid": f"x{number}"})), 400, "google_token_invalid")
        assert issuer.fetches == fetches
        cache.delete(google.ASKED_CACHE)  # a minute later
    signed_in(post(issuer.token()))


def is_unreachable(response: Response) -> None:
    body = wire.check_refusal(response, 503, "service_unavailable")
    assert body["retry_after"] == google.RETRY_AFTER_S


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (404, b"{}"),
        (302, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"k1": 7}'),
        (200, b'{"k1": "no certificate"}'),
        (200, b"\xff"),
    ],
)
def test_an_answer_without_certificates_is_an_outage_of_google(issuer: Issuer, status: int, body: bytes) -> None:
    issuer.status, issuer.body = status, body
    is_unreachable(post(issuer.token()))
    issuer.status, issuer.body = 200, None
    signed_in(post(issuer.token()))


@pytest.mark.django_db
def test_nobody_listening_is_an_outage_of_google(issuer: Issuer, settings: Any) -> None:
    settings.GOOGLE_CERTS_URL = "http://127.0.0.1:1/certs"
    is_unreachable(post(issuer.token()))


@pytest.mark.django_db
def test_an_outage_does_not_concern_those_whose_key_is_known(issuer: Issuer) -> None:
    signed_in(post(issuer.token()))
    cache.delete(google.ASKED_CACHE)
    issuer.status = 500
    token = issuer.token(NEXT_KEY, {"kid": "k2"})
    is_unreachable(post(token))
    signed_in(post(issuer.token()))
    issuer.status, issuer.certificates["k2"] = 200, certificate_of(NEXT_KEY)
    signed_in(post(token))


@pytest.mark.django_db
def test_a_google_that_hangs_is_waited_for_within_a_limit_and_asked_once(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert google.FETCH_LIMIT_S <= 5
    monkeypatch.setattr(google, "FETCH_LIMIT_S", 0.1)
    issuer.answers.clear()
    began = time.monotonic()
    for _ in range(3):
        is_unreachable(post(issuer.token()))
    assert time.monotonic() - began < google.TIMEOUTS_S[1]
    issuer.answers.set()
    assert google.fetcher._fetch is not None
    assert set(google.fetcher._fetch.result(5)) == {"k1"}
    assert issuer.fetches == 1


# --- allauth around it


def test_no_page_of_allauth_is_routed() -> None:
    for name in ("account_login", "account_signup", "google_login", "google_callback", "socialaccount_connections"):
        with pytest.raises(NoReverseMatch):
            reverse(name)


@pytest.mark.django_db
def test_its_migrations_are_complete() -> None:
    call_command("makemigrations", "account", "socialaccount", check=True, dry_run=True, verbosity=0)


def test_our_check_of_tokens_is_the_one_that_allauth_uses() -> None:
    assert registry.get_class("google") is google.IdTokenProvider

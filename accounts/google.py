"""Signing in with Google (contract 3.3): django-allauth's provider, and its rows that tie a Google subject to a user.

User.email and User.is_verified stay the truth about addresses. allauth's EmailAddress has no rows: only its pages
would read them, and none of those is routed.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

import jwt
import requests
import structlog
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.google.provider import GoogleProvider
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import IntegrityError, transaction
from django.db.models.functions import Lower
from django.http import HttpRequest
from django.utils import timezone

from accounts.errors import GoogleNotConfigured, GoogleTokenInvalid, InvalidCredentials
from accounts.models import User
from accounts.selectors import find_user
from accounts.services import WRONG_LOGIN_TEXT, Device, SignIn, session_open, sessions_revoke
from accounts.ssh_keys import ssh_keys_drop
from devpocket.errors import ServiceUnavailable

log = structlog.get_logger(__name__)

# --- Google's keys

KEYS_CACHE, KEYS_KEEP_S = "google-keys", 3600  # a key that Google withdraws counts for an hour more
ASKED_CACHE, ASK_EVERY_S = "google-keys-asked", 60  # anybody can make up a key id
FETCH_LIMIT_S = 5.0
TIMEOUTS_S = (3.05, 3.0)  # to connect to one of the host's addresses, and between two bytes
RETRY_AFTER_S = 5


class KeyFetcher:
    """Fetches in a thread of its own, once for all who wait.

    requests has no limit for the whole of a request, and the host has many addresses, each with its time to connect.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="google-keys")
        self._lock = Lock()
        self._fetch: Future[dict[str, str]] | None = None

    def fetch(self, limit_s: float) -> dict[str, str]:
        """Raises: TimeoutError, and what `_fetch_keys` raises."""
        with self._lock:
            if self._fetch is None or self._fetch.done():
                self._fetch = self._pool.submit(_fetch_keys)
            fetch = self._fetch
        return fetch.result(limit_s)


fetcher = KeyFetcher()


def google_keys(kid: str) -> dict[str, str]:
    """Google's public keys, PEM by id, from the cache. An unknown `kid` has them fetched anew, once a minute at most.

    Raises: ServiceUnavailable, after FETCH_LIMIT_S at most.
    """
    keys: dict[str, str] | None = cache.get(KEYS_CACHE)
    if keys is not None and (kid in keys or not cache.add(ASKED_CACHE, True, ASK_EVERY_S)):
        return keys
    try:
        keys = fetcher.fetch(FETCH_LIMIT_S)
    except (requests.RequestException, ValueError, TimeoutError) as error:
        cache.delete(ASKED_CACHE)
        log.warning("google_keys_unreachable", error=type(error).__name__)
        message = "Google can't be reached at the moment. Please try again."
        raise ServiceUnavailable(message, retry_after_s=RETRY_AFTER_S) from error
    cache.set(KEYS_CACHE, keys, KEYS_KEEP_S)
    cache.set(ASKED_CACHE, True, ASK_EVERY_S)
    return keys


def _fetch_keys() -> dict[str, str]:
    """Raises: requests.RequestException; ValueError for an answer that is no {id: certificate in PEM}."""
    response = requests.get(settings.GOOGLE_CERTS_URL, timeout=TIMEOUTS_S, allow_redirects=False)
    response.raise_for_status()
    certificates = response.json()
    if not isinstance(certificates, dict) or not all(isinstance(text, str) for text in certificates.values()):
        raise ValueError("no object of certificates")
    return {kid: _public_key(text) for kid, text in certificates.items()}


def _public_key(certificate: str) -> str:
    key = load_pem_x509_certificate(certificate.encode()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


# --- The token

ALGORITHM = "RS256"
LEEWAY_S = 10  # clocks differ; the same as for our own tokens
SUBJECT = re.compile(r"[!-~]{1,191}\Z")  # ASCII, and as long as allauth's column; Google's have 21 digits
INVALID_TEXT = "Signing in with Google failed. Please try again."


class IdTokenProvider(GoogleProvider):
    """allauth's Google provider for phones, which bring an ID token. It checks that itself, because allauth's check

    - knows one audience, and phones have one for each platform;
    - refuses a token that is a second ahead of our clock (django-allauth issue 3682);
    - refuses a token that it has seen: phones keep one for its hour, and repeat a request whose answer was lost.
      A token is good again until it expires; what it gives is a session more, in the list where its user can end it;
    - fetches the certificates anew each time, and lets a malformed header through as KeyError or TypeError.
    """

    def verify_token(self, request: HttpRequest | None, token: dict[str, str]) -> SocialLogin:
        """Whom `id_token` speaks of, their address verified. Nothing is saved.

        Raises: GoogleTokenInvalid, ServiceUnavailable.
        """
        claims = _verified_claims(token["id_token"])
        if not SUBJECT.match(claims["sub"]):
            raise GoogleTokenInvalid(INVALID_TEXT)
        if claims.get("email_verified") is not True:
            raise GoogleTokenInvalid("Google has not verified the email address of this account.")
        if not isinstance(claims.get("email"), str):
            raise GoogleTokenInvalid(INVALID_TEXT)
        login: SocialLogin = self.sociallogin_from_response(request, claims)
        # allauth leaves out an address that is none, and lower-cases the others: some letters become two.
        if not login.email_addresses or len(login.email_addresses[0].email) > User._meta.get_field("email").max_length:
            raise GoogleTokenInvalid(INVALID_TEXT)
        return login

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """What is kept of a token: no more than is of use."""
        return {"name": parse_name(data.get("name")), "picture": parse_picture(data.get("picture"))}


def _verified_claims(token: str) -> dict[str, Any]:
    """Signature, algorithm, issuer, audience and times are right. Raises: GoogleTokenInvalid, ServiceUnavailable."""
    with _pyjwt_refusals():
        header = jwt.get_unverified_header(token)
    kid = header.get("kid")
    key = google_keys(kid).get(kid) if kid and header.get("alg") == ALGORITHM else None
    if key is None:
        raise GoogleTokenInvalid(INVALID_TEXT)
    with _pyjwt_refusals():
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            issuer=[settings.GOOGLE_ISSUER, settings.GOOGLE_ISSUER.removeprefix("https://")],  # Google writes both
            audience=settings.GOOGLE_CLIENT_IDS,
            leeway=LEEWAY_S,
            options={"require": ["iss", "aud", "sub", "exp", "iat"]},
        )
    return claims


@contextmanager
def _pyjwt_refusals() -> Iterator[None]:
    """What PyJWT refuses is an invalid token to us."""
    try:
        yield
    except jwt.PyJWTError as error:
        log.info("google_token_refused", error=type(error).__name__)
        raise GoogleTokenInvalid(INVALID_TEXT) from error


def parse_name(claim: Any) -> str | None:
    """A full name as we can store it; None where there is none."""
    if not isinstance(claim, str):
        return None
    storable = "".join(character for character in claim if unicodedata.category(character) not in ("Cc", "Cs"))
    return storable.strip()[: User._meta.get_field("full_name").max_length].strip() or None


def parse_picture(claim: Any) -> str | None:
    """An https address that fits into User.avatar_url; None for anything else."""
    if not isinstance(claim, str) or len(claim) > User._meta.get_field("avatar_url").max_length:
        return None
    try:
        URLValidator(schemes=["https"])(claim)
    except ValidationError:
        return None
    return claim


# --- The account

TRIES = 5  # each one lost means that another request made a row that this one was about to make
USERNAME_MIN, USERNAME_MAX, SUFFIX_DIGITS = 3, 30, 6


def check_configured() -> None:
    """Raises: GoogleNotConfigured."""
    if not settings.GOOGLE_CLIENT_IDS:
        raise GoogleNotConfigured("Signing in with Google is not set up on this server.")


def google_sign_in(*, id_token: str, device: Device) -> tuple[SignIn, bool]:
    """Sign in whom the token speaks of: found by Google's subject, then by address, or else with a new account.

    The second value says whether the account is new.

    Raises: GoogleNotConfigured, GoogleTokenInvalid, ServiceUnavailable; InvalidCredentials for a closed account.
    """
    check_configured()
    provider = IdTokenProvider(None, app=SocialApp(provider=GoogleProvider.id))
    login = provider.verify_token(None, {"id_token": id_token})
    for _ in range(TRIES - 1):
        with suppress(IntegrityError):
            return _sign_in(login, device)
    return _sign_in(login, device)


@transaction.atomic
def _sign_in(login: SocialLogin, device: Device) -> tuple[SignIn, bool]:
    """Raises: InvalidCredentials; IntegrityError, when another request was faster."""
    account, email = login.account, login.email_addresses[0].email
    row = {"provider": account.provider, "uid": account.uid}
    users = User.objects.select_for_update(of=("self",), no_key=True)
    user = users.filter(socialaccount__provider=account.provider, socialaccount__uid=account.uid).first()
    if user is not None:
        _refuse_closed(user)
        SocialAccount.objects.filter(**row).update(extra_data=account.extra_data, last_login=timezone.now())
        return session_open(user, device), False
    user = users.alias(lower_email=Lower("email")).filter(lower_email=email).first()
    is_new = user is None
    if user is None:
        user = User.objects.create_user(
            _free_username(email),
            email,
            full_name=account.extra_data["name"],
            avatar_url=account.extra_data["picture"],
            is_verified=True,
        )
        log.info("google_account_created", user=str(user.pk))
    else:
        _refuse_closed(user)
        if not user.is_verified:
            _take_over(user)
        log.info("google_account_linked", user=str(user.pk))
    SocialAccount.objects.create(user=user, extra_data=account.extra_data, **row)
    return session_open(user, device), is_new


def _refuse_closed(user: User) -> None:
    """Raises: InvalidCredentials. Wrong passwords, which lock the password for a while, don't count here."""
    if not user.is_active:
        raise InvalidCredentials(WRONG_LOGIN_TEXT)


def _take_over(user: User) -> None:
    """Give the account to the address's owner: whoever registered it never showed that it is theirs, and is out."""
    user.set_unusable_password()
    user.is_verified = True
    user.save(update_fields=["password", "is_verified", "updated_at"])
    user.one_time_tokens.all().delete()
    ssh_keys_drop(user=user)
    sessions_revoke(user=user, reason="google")
    log.warning("google_account_taken_over", user=str(user.pk))


def google_unlink(*, user_id: object) -> None:
    """Forget the user's Google accounts: whoever closes an account may come back with a new one (contract 4.4)."""
    SocialAccount.objects.filter(user_id=user_id).delete()


def username_from(email: str) -> str:
    """A valid username that resembles the address's local part, without what comes after a plus."""
    local = email.rpartition("@")[0].partition("+")[0]
    plain = unicodedata.normalize("NFKD", local).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-_")[:USERNAME_MAX]
    return name if len(name) >= USERNAME_MIN else f"user-{name}".rstrip("-")


def _free_username(email: str) -> str:
    """A username that nobody has; another request may still take it first."""
    name = username_from(email)
    if find_user(name) is None:
        return name
    return f"{name[: USERNAME_MAX - SUFFIX_DIGITS - 1]}-{secrets.randbelow(10**SUFFIX_DIGITS):0{SUFFIX_DIGITS}}"

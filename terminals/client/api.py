"""What the client asks over HTTP: signing in, refreshing, finding the environment. Every call blocks, for a while."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests

from terminals.client.errors import ClientError, SignInRefused, Unreachable

CONNECT_LIMIT_S, ANSWER_LIMIT_S = 5, 15
SIGN_OUT_LIMIT_S = 3
REFRESH_BEFORE_S = 30  # of the token's end, so that it does not end on the way
PAGE = 200  # the most a list gives at once (contract section 1)
BINARY = "devpocket.v1.binary"  # the sub-protocol in which output comes as it is
RETRYABLE = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Environment:
    id: str
    name: str
    slug: str
    phase: str


@dataclass(frozen=True, slots=True)
class Wish:
    """Which terminal. `session`: a further one of that name. `records`: None for what the user has set."""

    session: str = ""
    is_view: bool = False
    is_plain: bool = False  # without tmux
    records: bool | None = None

    def query(self) -> dict[str, str | int]:
        return {
            **({"session": self.session} if self.session else {}),
            **({"mode": "view"} if self.is_view else {}),
            **({"tmux": 0} if self.is_plain else {}),
            **({} if self.records is None else {"record": int(self.records)}),
        }


ANY = Wish()


class BearerAuth(requests.auth.AuthBase):
    """A header alone would lose against a ~/.netrc that names the host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Api:
    """One server and one sign-in. With a password the token can be refreshed, with a token alone it can't.

    A guest has a link's token (`share`) instead, which opens its terminal and nothing else.
    """

    def __init__(self, url: str, *, access_token: str = "", share: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
            raise ClientError(f"{url!r} is no address of a server; it looks like https://devpocket.example.org")
        if not (access_token.isascii() and access_token.isprintable()):
            raise ClientError("the access token is no token: it has characters that none has.")
        self.url = url.rstrip("/")
        self.host = parts.hostname
        self.access_token = access_token
        self._share = share
        self._refresh_token = ""
        self._fresh_until = float("inf")

    def log_in(self, name: str, password: str) -> None:
        """Raises: SignInRefused for a wrong name or password; ClientError."""
        self._take_tokens(self._ask("POST", "/auth/login", {"username_or_email": name, "password": password}))

    @property
    def can_refresh(self) -> bool:
        return bool(self._refresh_token)

    @property
    def needs_refresh(self) -> bool:
        return self.can_refresh and time.monotonic() >= self._fresh_until

    def expire(self) -> None:
        """The server does not take the access token any more."""
        self._fresh_until = float("-inf")

    def refresh(self) -> None:
        """Raises: SignInRefused, when the sign-in has ended; ClientError."""
        self._take_tokens(self._ask("POST", "/auth/refresh", {"refresh_token": self._refresh_token}))

    def sign_out(self) -> None:
        """End the sign-in that `log_in` began; where the server can't be asked, it ends by itself."""
        if self.can_refresh:
            with suppress(ClientError):
                self._ask("POST", "/auth/logout", limit_s=SIGN_OUT_LIMIT_S)

    def environments(self) -> list[Environment]:
        """All of the user's. Raises: SignInRefused; ClientError."""
        found: list[Environment] = []
        while True:
            page = self._ask("GET", f"/environments?limit={PAGE}&offset={len(found)}")
            if not isinstance(page, list):
                raise Unreachable(f"{self.url} answered something that is no list of environments.")
            found += [
                Environment(str(one["id"]), str(one["name"]), str(one.get("slug", "")), str(one.get("phase", "")))
                for one in page
            ]
            if len(page) < PAGE:
                return found

    def terminal_url(self, environment_id: str, wish: Wish = ANY, *, resume: tuple[str, int] | None = None) -> str:
        """The WebSocket's address; no token is in it. `resume`: the stream and the bytes of it that are here."""
        query = wish.query()
        if resume is not None:
            query |= {"stream": resume[0], "offset": resume[1]}
        address = f"{self.url.replace('http', 'ws', 1)}/api/v1/ws/terminal/{environment_id}"
        return f"{address}?{urlencode(query)}" if query else address

    def terminal_headers(self) -> dict[str, str]:
        """Who it is, where that is not in the sub-protocols."""
        return {} if self._share else {"Authorization": f"Bearer {self.access_token}"}

    def terminal_subprotocols(self) -> list[str]:
        """The first is the one to be confirmed."""
        return [BINARY, "share", self._share] if self._share else [BINARY]

    def _take_tokens(self, answer: Any) -> None:
        try:
            self.access_token, self._refresh_token = str(answer["access_token"]), str(answer["refresh_token"])
            self._fresh_until = time.monotonic() + int(answer["expires_in"]) - REFRESH_BEFORE_S
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"{self.url} answered a sign-in with something that is none.") from error

    def _ask(self, method: str, path: str, body: Any = None, *, limit_s: float = ANSWER_LIMIT_S) -> Any:
        try:
            answer = requests.request(
                method,
                f"{self.url}/api/v1{path}",
                json=body,
                auth=BearerAuth(self.access_token if not path.startswith(("/auth/login", "/auth/refresh")) else ""),
                timeout=(min(CONNECT_LIMIT_S, limit_s), limit_s),
                allow_redirects=False,  # a redirected POST is lost, and a token goes where it was not meant to
            )
        except requests.RequestException as error:
            raise Unreachable(f"{self.url} can't be reached ({_cause(error)}).") from error
        if answer.status_code == 204:
            return None
        try:
            content = answer.json()
        except ValueError:
            content = None
        if answer.ok and answer.status_code < 300 and content is not None:
            return content
        detail = str(content.get("detail", "")) if isinstance(content, dict) else ""
        if answer.status_code == 401:
            raise SignInRefused(detail or "The server does not take this sign-in.")
        kind = Unreachable if answer.status_code in RETRYABLE else ClientError
        raise kind(detail or f"{self.url} answered with HTTP {answer.status_code}; is it a DevPocket server?")


def _cause(error: BaseException) -> str:
    """The innermost reason that says something; requests wraps it in layers of object names."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__


def choose(environments: list[Environment], wanted: str) -> Environment:
    """By id, else by exact name, else by name or slug in any case. Raises: ClientError, naming what there is."""
    folded = wanted.casefold()
    for matches in (
        [one for one in environments if one.id == folded],
        [one for one in environments if one.name == wanted],
        [one for one in environments if folded in (one.name.casefold(), one.slug.casefold())],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ClientError(f"Several environments are called {wanted!r}, say which by its id: {_listing(matches)}")
    if not environments:
        raise ClientError(f"There is no environment {wanted!r}; you have none yet.")
    raise ClientError(f"There is no environment {wanted!r}. You have: {_listing(environments)}")


def _listing(environments: list[Environment]) -> str:
    return ", ".join(f"{one.name} ({one.id}, {one.phase})" for one in environments)

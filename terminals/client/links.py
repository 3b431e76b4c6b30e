"""Guest links, as their owner hands them on. Pure. Source: docs/api.md, Guest links."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import UUID

from terminals.client.errors import ClientError

PAGE = "/t"
# As they are made; the token becomes a sub-protocol's name, in which nothing else has a place.
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")


@dataclass(frozen=True, slots=True)
class GuestLink:
    """`url`: the server's address, empty where the link does not say."""

    url: str
    environment_id: str
    token: str = field(repr=False)


def parse_link(text: str, environment: str = "") -> GuestLink:
    """`https://host/t#<environment id>.<token>`, what follows its `#`, or a bare token of the environment with that id.

    Raises: ClientError. It never has the token in it.
    """
    address, _, secret = text.strip().rpartition("#")
    environment_id, _, token = secret.rpartition(".")
    if not TOKEN.match(token) or (address and not _is_page(address)):
        raise ClientError("this is no guest link; one looks like https://devpocket.example.org/t#<id>.<token>")
    named = _id_of(environment) if environment else ""
    if not (environment_id or named):
        raise ClientError("the link does not say of which environment it is: name that by its id.")
    found = _id_of(environment_id) if environment_id else named
    if named and named != found:
        raise ClientError(f"the link is one of another environment, {found}.")
    return GuestLink(address.removesuffix(PAGE), found, token)


def _is_page(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in ("http", "https") and parts.path.endswith(PAGE) and not parts.query


def _id_of(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise ClientError("with a guest link an environment is named by its id.") from error

"""Why the client gives up, in words for the person at the terminal."""

from __future__ import annotations


class ClientError(Exception):
    """The end, with exit status 1. Its text is one line for people."""


class Unreachable(ClientError):
    """The server gave no usable answer; asking again later may help."""


class SignInRefused(ClientError):
    """Name and password, or a token, that the server does not take."""

"""manage.py connect NAME: a terminal on one of your environments, over HTTP and WebSocket like any client."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import re
import signal
import sys
from argparse import BooleanOptionalAction
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from terminals.client.api import Api, Environment, Wish, choose
from terminals.client.console import Console
from terminals.client.errors import ClientError, SignInRefused
from terminals.client.links import parse_link
from terminals.client.session import Session
from terminals.client.view import View

LOGIN_TRIES = 3
LOOPBACK = ("localhost", "127.0.0.1", "::1")
SESSION_NAME = re.compile(r"[a-z0-9-]{1,32}\Z")
INTERRUPTED = 130
HINT = "DEVPOCKET_TOKEN is not valid (any more): set a fresh one, or unset it to sign in by password."

HELP = """Open a terminal on one of your environments.

Leave with Enter, then ~. (as in ssh); what runs there goes on. A lost connection is taken up again by itself.
With its input from a pipe or a file, it sends that and reads on until the shell ends, so end a script with "exit".

DEVPOCKET_URL is the server, DEVPOCKET_TOKEN an access token; without one it asks for name and password. A guest needs
neither: --share has the link.
Exit status: 0 left or ended, 1 refused or failed, 130 interrupted."""


class Command(BaseCommand):
    help = HELP
    requires_system_checks: list[str] = []  # a client: it needs no database and nothing of the server

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("environment", nargs="?", default="", help="its id, or its name")
        parser.add_argument("--session", default="", metavar="NAME", help="a further, independent shell of that name")
        parser.add_argument("--view", action="store_true", help="only look on: nothing is typed but ~. and its kind")
        parser.add_argument("--no-tmux", action="store_true", help="a plain shell, which ends when it is left for long")
        parser.add_argument(
            "--record", action=BooleanOptionalAction, help="record the output, or don't, whatever your settings say"
        )
        parser.add_argument("--share", default="", metavar="LINK", help="a guest link, or its token and the id")
        parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up when it has not ended by then")

    def handle(self, *args: Any, **options: Any) -> None:
        wish = _wish(options)
        for name in ("websockets", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # a line of a log would land in the remote screen
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _end)  # an exception, so that whoever has changed the terminal puts it back
        try:
            status = self._connect(options["environment"], options["share"], wish, options["timeout"])
        except SignInRefused as error:
            self._say(f"devpocket: {HINT if _token() else error}")
            status = 1
        except ClientError as error:
            self._say(f"devpocket: {error}")
            status = 1
        except KeyboardInterrupt:
            self._say("")
            status = INTERRUPTED
        sys.exit(status)

    def _connect(self, wanted: str, link: str, wish: Wish, timeout_s: float | None) -> int:
        share = parse_link(link, wanted) if link else None
        api = self._signed_in() if share is None else self._api(share.url or _default_url(), share=share.token)
        try:
            if share is None:
                environment = choose(api.environments(), wanted)
            else:
                environment = Environment(share.environment_id, name="guest link", slug="", phase="")
            console = Console()
            session = Session(api, environment, console, wish)
            try:
                with console:
                    status = asyncio.run(session.run(timeout_s=timeout_s))
            finally:
                self._say_goodbye(session.view, console)
            return status
        finally:
            api.sign_out()

    def _say_goodbye(self, view: View, console: Console) -> None:
        if view.recordings:
            self._say(f"devpocket: recorded as {', '.join(view.recordings)}.")
        if console.is_interactive and view.was_attached:
            farewell = f"{view.farewell} " if view.ended_by == "session_ended" else ""
            self._say(f"{farewell}Connection to {view.name} closed.")

    def _signed_in(self) -> Api:
        """Raises: ClientError."""
        token = _token()
        api = self._api(_default_url(), access_token=token)
        if not token:
            self._log_in(api)
        return api

    def _api(self, url: str, **credentials: str) -> Api:
        api = Api(url, **credentials)
        if url.startswith("http:") and api.host not in LOOPBACK:
            self._say(f"devpocket: warning: {url} is not encrypted; use https outside of your own machine.")
        return api

    def _log_in(self, api: Api) -> None:
        if not sys.stdin.isatty():
            raise ClientError("set DEVPOCKET_TOKEN: there is no terminal to ask for a name and a password.")
        for tries_left in reversed(range(LOGIN_TRIES)):
            try:
                return api.log_in(_ask_name(), getpass.getpass("Password: "))
            except EOFError as error:
                raise ClientError("no name and password were given.") from error
            except SignInRefused as error:
                if not tries_left:
                    raise
                self._say(str(error))

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr)


def _wish(options: dict[str, Any]) -> Wish:
    """Raises: CommandError."""
    session, is_plain, records = options["session"], options["no_tmux"], options["record"]
    if not (options["environment"] or options["share"]):
        raise CommandError("name an environment, or give a guest link with --share.")
    if session and not SESSION_NAME.match(session):
        raise CommandError("a session's name has 1 to 32 lower-case letters, digits and hyphens.")
    if session and is_plain:
        raise CommandError("--session is tmux's, so it doesn't go with --no-tmux.")
    if options["share"] and (session or is_plain or records is not None):
        raise CommandError("a guest link says which session it opens; only --view goes with --share.")
    return Wish(session, is_view=options["view"], is_plain=is_plain, records=records)


def _default_url() -> str:
    return os.environ.get("DEVPOCKET_URL") or f"http://127.0.0.1:{os.environ.get('PORT') or 8000}"


def _ask_name() -> str:
    """Raises: EOFError."""
    print("User name or e-mail: ", end="", file=sys.stderr, flush=True)  # standard output is the machine's
    if line := sys.stdin.readline():
        return line.strip()
    raise EOFError


def _token() -> str:
    return os.environ.get("DEVPOCKET_TOKEN", "").strip()


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)

"""Sessions, CSRF and messages for the pages that have them: the admin, and those of mails. The API and the web client
have none of it: callers send a Bearer token.

Each of Django's own is sync code, which costs every request a few trips to its thread and back: eight in all.
"""

from __future__ import annotations

import re
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

PAGES = re.compile(r"/(admin|verify-email|reset-password)(/|\Z)")


class ForPages:
    """Before one of Django's middlewares: leaves all else alone."""

    def __call__(self, request: HttpRequest) -> Any:
        """A response, or where Django is async what gives one."""
        if not PAGES.match(request.path_info):
            return self.get_response(request)  # type: ignore[attr-defined]
        return super().__call__(request)  # type: ignore[misc]


class PageSessions(ForPages, SessionMiddleware):
    pass


class PageCsrf(ForPages, CsrfViewMiddleware):
    async def process_view(self, request: HttpRequest, *view: Any) -> HttpResponse | None:  # type: ignore[override]
        if not PAGES.match(request.path_info):
            return None
        found: HttpResponse | None = await sync_to_async(super().process_view)(request, *view)
        return found


class PageAuthentication(ForPages, AuthenticationMiddleware):
    pass


class PageMessages(ForPages, MessageMiddleware):
    pass

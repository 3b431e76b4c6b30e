"""The cookie in which a browser keeps its refresh token, and who may use it (docs/accounts.md, "In a browser").

No script can read it, so what gets into the page can't take the sign-in away with it.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponseBase
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.errors import NotOurPage
from accounts.models import Session, User
from accounts.selectors import find_session_by_refresh_token

NAME = "devpocket_refresh"
PATH = "/api/v1/web"
HEADER = "X-DevPocket-Web"


def cookie_set(response: HttpResponseBase, refresh_token: str) -> None:
    response.set_cookie(
        NAME,
        refresh_token,
        max_age=settings.REFRESH_TOKEN_SECONDS,
        path=PATH,
        secure=not settings.DEBUG,  # development is plain HTTP
        httponly=True,
        samesite="Strict",
    )


def cookie_clear(response: HttpResponseBase) -> None:
    response.delete_cookie(NAME, path=PATH, samesite="Strict")


def is_from_our_page(request: Request) -> bool:
    """Whether a page of ours asks. Another site's can't set the header without asking first, which CORS refuses it.

    What browsers say of a request's origin is looked at as well. What says nothing of it is no browser.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    ours = (f"{request.scheme}://{request.get_host()}", *settings.CSRF_TRUSTED_ORIGINS)
    return (
        request.headers.get(HEADER) == "1"
        and (site is None or site in ("same-origin", "none"))
        and (origin is None or origin in ours)
    )


class FromOurPage(BasePermission):
    """Raises: NotOurPage."""

    def has_permission(self, request: Request, view: object) -> bool:
        if not is_from_our_page(request):
            raise NotOurPage("This address is for the web client's own page only.")
        return True


class RefreshCookieAuthentication(BaseAuthentication):
    """request.user and request.auth are those of the session that the cookie is of, while it lives; else nobody's.

    Only for what a refresh token is good for: going on with its session, and ending it.
    """

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        session = find_session_by_refresh_token(request.COOKIES.get(NAME, ""))
        return None if session is None else (session.user, session)


class RefreshCookieScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = RefreshCookieAuthentication
    name = "refreshCookie"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": NAME}

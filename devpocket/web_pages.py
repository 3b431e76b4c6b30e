"""The web client's page at its addresses, and its service worker. All else of it is static files, below /static/web/.

The page is the same for everybody: it needs no session, and what it shows it asks the API for. `make web` builds it.
"""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.http import require_safe

# What the client's own router knows beside the root, as patterns (each of its names once: they are joined to one).
# Whatever it doesn't know stays the API's 404.
ADDRESSES = [
    *("sign-in", "sign-up", "verify", "forgot", "google", "new", "t", "settings", r"settings/(?P<page>[\w-]+)"),
    *(r"machines/(?P<machine>[\w-]+)", r"machines/(?P<tab_of>[\w-]+)/(?P<tab>[\w-]+)"),
]
NOT_BUILT = """\
The web client isn't built here. `make web` builds it, in the server's directory (docs/development.md).
The API runs without it: /api/v1/info, /docs.
"""


@require_safe
def index(request: HttpRequest, **parts: str) -> HttpResponseBase:
    return _file(request, "index.html", "text/html; charset=utf-8")


@require_safe
def service_worker(request: HttpRequest) -> HttpResponseBase:
    """At the root, since a service worker is in charge of what lies below its own address."""
    return _file(request, "sw.js", "text/javascript; charset=utf-8")


def _file(request: HttpRequest, name: str, content_type: str) -> HttpResponseBase:
    """As it is now. Browsers ask each time: it names all other files by their content, which may have changed."""
    try:
        content = (settings.WEB_CLIENT / name).read_bytes()
    except FileNotFoundError:
        return HttpResponse(NOT_BUILT, status=503, content_type="text/plain; charset=utf-8")
    etag = quote_etag(hashlib.sha256(content).hexdigest()[:32])
    answer = HttpResponse(content, content_type=content_type, headers={"Cache-Control": "no-cache", "ETag": etag})
    found: HttpResponseBase = get_conditional_response(request, etag=etag, response=answer)
    return found

"""The security headers of every answer (contract section 10), by what is at its path. docs/security.md lists them.

Here and nowhere else, so that answers which no view writes (a request that is cut off, an unknown host) have them too.
"""

from __future__ import annotations

import re

from devpocket.web_pages import ADDRESSES

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",  # of requests without CORS, which CORS_ALLOWED_ORIGINS is about
    "Permissions-Policy": ", ".join(
        f"{feature}=()"
        for feature in (
            "accelerometer",
            "autoplay",
            "browsing-topics",
            "camera",
            "display-capture",
            "encrypted-media",
            "geolocation",
            "gyroscope",
            "magnetometer",
            "microphone",
            "midi",
            "payment",
            "usb",
            "xr-spatial-tracking",
        )
    ),
}

DATA = "default-src 'none'; frame-ancestors 'none'"
_PAGE = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
# Django's admin brings all its scripts and styles as files; the picture is a QR code within its page.
ADMIN = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    f"connect-src 'self'; {_PAGE}"
)
# The one <style> in drf-spectacular's page by its hash. Swagger UI's own style sheet holds its icons as data.
DOCS_STYLE = "'sha256-MMpT0iDxyjALd9PdfepImGX3DBfJPXZ4IlDWdPAgtn0='"
DOCS = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {DOCS_STYLE}; img-src 'self' data:; "
    f"font-src 'self'; connect-src 'self'; {_PAGE}"
)
FORM = f"default-src 'none'; style-src 'self'; {_PAGE}"
# The web client, and its service worker, for which its own answer's policy counts.
WEB = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    f"connect-src 'self'; manifest-src 'self'; worker-src 'self'; {_PAGE}"
)

# The first that fits decides; whatever fits none is data.
POLICIES = (
    (re.compile(r"/admin(/|\Z)"), ADMIN),
    (re.compile(r"/docs(/|\Z)"), DOCS),
    (re.compile(r"/(verify-email|reset-password)(/|\Z)"), FORM),
    (re.compile(rf"/((({'|'.join(ADDRESSES)})/?)?|sw\.js)\Z"), WEB),
)
STORED = re.compile(r"/(static|docs)(/|\Z)")  # the same for everybody; all else is for one reader, once


def content_security_policy(path: str) -> str:
    return next((policy for pattern, policy in POLICIES if pattern.match(path)), DATA)


def security_headers(path: str) -> dict[str, str]:
    """All that an answer at `path` gets, unless its view has said otherwise."""
    headers = {**HEADERS, "Content-Security-Policy": content_security_policy(path)}
    if not STORED.match(path):
        headers["Cache-Control"] = "no-store"
    return headers

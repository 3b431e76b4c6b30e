"""What this app refuses over HTTP and, with the same codes, over its WebSockets."""

from devpocket.errors import DomainError


class ShareEnded(DomainError):
    """A guest link that is unknown, too old, revoked, or whose environment or owner is gone: its holder can't tell."""

    code, http_status = "share_ended", 403

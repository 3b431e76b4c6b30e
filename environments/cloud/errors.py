"""The four things that a call to the cloud can end in, besides an answer."""

from __future__ import annotations


class CloudError(Exception):
    """Base of the four. `request_id` is the cloud's own, for its support; empty where there was no answer."""

    def __init__(self, message: str, *, status: int | None = None, request_id: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class CloudUnreachable(CloudError):
    """No usable answer (no connection, time out, 5xx, no JSON). The call may still have taken effect."""


class CloudNotFound(CloudError):
    """The thing that the call names isn't there."""


class CloudRejected(CloudError):
    """The cloud refused it; repeating it unchanged won't help. `status` 401 or 403: the token, not the request."""

    @property
    def is_about_token(self) -> bool:
        return self.status in (401, 403)

    @property
    def is_pending_event(self) -> bool:
        """Another action of the droplet still runs: 422 "Droplet already has a pending event." (FACTS, Actions)."""
        return self.status == 422 and "pending event" in str(self).lower()


class CloudThrottled(CloudError):
    """Over the token's rate limit. `retry_after_s`: seconds to wait, as the cloud said, or by ratelimit-reset."""

    def __init__(self, message: str, *, retry_after_s: float, request_id: str = "") -> None:
        super().__init__(message, status=429, request_id=request_id)
        self.retry_after_s = retry_after_s

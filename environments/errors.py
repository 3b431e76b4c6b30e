"""What this app refuses (contract sections 2.3 and 5)."""

from devpocket.errors import DomainError


class InvalidState(DomainError):
    """The environment's phase doesn't allow the action."""

    code, http_status = "invalid_state", 409


class ResizeRequired(DomainError):
    """What was asked for needs another size, which only a resize gives. context: required_size."""

    code, http_status = "resize_required", 409


class SnapshotInProgress(DomainError):
    """One snapshot of an environment is made at a time."""

    code, http_status = "snapshot_in_progress", 409


class NameTaken(DomainError):
    code, http_status = "name_taken", 409


class EnvironmentLimitReached(DomainError):
    code, http_status = "environment_limit_reached", 403


class SizeNotAllowed(DomainError):
    code, http_status = "size_not_allowed", 403


class CloudTrouble(DomainError):
    """The cloud API didn't do what this request needs now."""

    code, http_status = "cloud_error", 502

"""What this app refuses (contract sections 2.3 and 7)."""

from devpocket.errors import DomainError


class AdminRequired(DomainError):
    code, http_status = "admin_required", 403


class NameTaken(DomainError):
    code, http_status = "name_taken", 409

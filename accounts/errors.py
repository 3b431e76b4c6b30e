"""What this app refuses (contract sections 2.3 and 3)."""

from devpocket.errors import DomainError


class NotAuthenticated(DomainError):
    code, http_status = "not_authenticated", 401


class TokenInvalid(DomainError):
    code, http_status = "token_invalid", 401


class TokenExpired(DomainError):
    code, http_status = "token_expired", 401


class InvalidCredentials(DomainError):
    code, http_status = "invalid_credentials", 401


class EmailNotVerified(DomainError):
    code, http_status = "email_not_verified", 403


class UsernameTaken(DomainError):
    code, http_status = "username_taken", 409


class EmailTaken(DomainError):
    code, http_status = "email_taken", 409

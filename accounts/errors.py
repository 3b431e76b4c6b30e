"""What this app refuses (contract sections 2.3 and 3)."""

from devpocket.errors import DomainError


class NotAuthenticated(DomainError):
    code, http_status = "not_authenticated", 401


class TokenInvalid(DomainError):
    code, http_status = "token_invalid", 401


class TokenExpired(DomainError):
    code, http_status = "token_expired", 401


class NotOurPage(DomainError):
    """Asked of what is for the web client alone, by somebody who doesn't show to be it."""

    code, http_status = "permission_denied", 403


class InvalidCredentials(DomainError):
    code, http_status = "invalid_credentials", 401


class EmailNotVerified(DomainError):
    code, http_status = "email_not_verified", 403


class UsernameTaken(DomainError):
    code, http_status = "username_taken", 409


class EmailTaken(DomainError):
    code, http_status = "email_taken", 409


class AccountLocked(DomainError):
    """403 and not 401: on a 401 the phone hides the text and tries to refresh (contract 3.2)."""

    code, http_status = "account_locked", 403


class InvalidToken(DomainError):
    """A one-time code or link that is wrong, used, too old or tried too often."""

    code, http_status = "invalid_token", 400


class ReauthenticationRequired(DomainError):
    code, http_status = "reauthentication_required", 403


class TooManyMails(DomainError):
    code, http_status = "rate_limited", 429


class KeyTaken(DomainError):
    code, http_status = "name_taken", 409


class GoogleNotConfigured(DomainError):
    code, http_status = "google_not_configured", 503


class GoogleTokenInvalid(DomainError):
    code, http_status = "google_token_invalid", 400

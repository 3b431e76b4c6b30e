"""What a new password must be (contract 3.1)."""

from __future__ import annotations

from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError

from devpocket.errors import InvalidInput

NAME_MIN = 3  # a single letter would be in nearly every password


def check_password_strength(password: str, *, username: str, email: str, field: str = "password") -> None:
    """Raises: InvalidInput on `field`, with the code weak_password or common_password."""

    def refuse(message: str, code: str) -> InvalidInput:
        return InvalidInput.field(field, message, code)

    kinds = (str.islower, str.isupper, str.isdigit)
    if not all(any(is_kind(character) for character in password) for is_kind in kinds):
        text = "Password needs at least one lower-case letter, one upper-case letter and one digit."
        raise refuse(text, "weak_password")
    lowered = password.lower()
    names = (username.lower(), email.partition("@")[0].lower())
    if any(len(name) >= NAME_MIN and name in lowered for name in names):
        raise refuse("Password must not contain your username or email address.", "common_password")
    try:
        CommonPasswordValidator().validate(password)
    except ValidationError as error:
        raise refuse("This password is too common. Please choose another one.", "common_password") from error

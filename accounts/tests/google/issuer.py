"""Keys in Google's place, and tokens signed with them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

WEB, IOS, ANDROID = "web.apps.example", "ios.apps.example", "android.apps.example"
SUBJECT = "110248495921238986420"
LEAVE_OUT = "(left out)"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate_of(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer.test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=7))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


KEY, NEXT_KEY, STRANGERS_KEY = new_key(), new_key(), new_key()


@dataclass
class Issuer:
    """Google, as far as we see it: a page of certificates, and signed tokens."""

    certificates: dict[str, str] = field(default_factory=lambda: {"k1": certificate_of(KEY)})
    status: int = 200
    body: bytes | None = None  # instead of the certificates
    url: str = ""
    fetches: int = 0
    answers: Event = field(default_factory=Event)

    def token(self, key: Any = KEY, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        now = int(time.time())
        payload = {
            "iss": "https://accounts.google.com",
            "azp": ANDROID,
            "aud": WEB,
            "sub": SUBJECT,
            "email": "Grace.Hopper@Example.org",
            "email_verified": True,
            "name": "Grace Hopper",
            "picture": "https://lh3.example/photo=s96-c",
            "iat": now,
            "exp": now + 3600,
            "jti": "4c1b",
            **claims,
        }
        payload = {name: value for name, value in payload.items() if value != LEAVE_OUT}
        # Signed as bytes: jwt.encode refuses some of the claims that tests want.
        headers = {"kid": "k1"} if headers is None else headers
        return jwt.api_jws.encode(json.dumps(payload).encode(), key, algorithm="RS256", headers=headers)

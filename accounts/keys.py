"""Ed25519 pairs: those with which the platform reaches users' machines, and the machines' host keys."""

from __future__ import annotations

from dataclasses import dataclass, field

import asyncssh


@dataclass(frozen=True, slots=True)
class KeyPair:
    """`public`: one OpenSSH line. `private`: OpenSSH PEM, never shown."""

    public: str
    private: str = field(repr=False)


def generate_pair() -> KeyPair:
    key = asyncssh.generate_private_key("ssh-ed25519", comment="devpocket")
    return KeyPair(key.export_public_key().decode().strip(), key.export_private_key().decode())

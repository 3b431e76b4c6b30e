"""What cloud-init would read in a droplet's user-data.

Of `#cloud-config`: users, ssh_keys, ssh_authorized_keys, write_files, mounts, hostname, packages and runcmd; all else
is ignored. What can't be understood is left out and told of in `errors`, as cloud-init boots on with a warning.
Source: cloud-init's module reference.
"""

import base64
import binascii
import gzip
import re
import reprlib
import shlex
import zlib
from dataclasses import dataclass, field
from typing import Any

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 64 KiB take the Python one 300 ms
USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
VOLUME_DEVICE = re.compile(r"/dev/disk/by-id/scsi-0DO_Volume_([a-z][a-z0-9-]{0,63})")
DEPTH_LIMIT = 50  # libyaml's loader recurses in C: some ten thousand levels, and 64 KiB hold them, end the process
FILE_LIMIT_BYTES = 16 * 1024 * 1024  # of one unpacked write_files entry: a bomb fits into 64 KiB
_TEXT_ENCODINGS = {"", "text/plain"}
_BASE64_ENCODINGS = {"b64", "base64"}
_GZIP_ENCODINGS = {"gz", "gzip"}
_GZIP_BASE64_ENCODINGS = {"gz+b64", "gz+base64", "gzip+b64", "gzip+base64"}


@dataclass(frozen=True)
class User:
    """A user to create, and who may log in as them."""

    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file to write; `late` ones come after the mounts and users (`defer: true`)."""

    path: str
    content: bytes
    mode: int
    append: bool
    late: bool


@dataclass(frozen=True)
class Mount:
    """One line of fstab."""

    device: str
    path: str
    options: tuple[str, ...]  # type, options, dump, pass

    @property
    def volume_name(self) -> str | None:
        """The volume's name, if it is one."""
        match = VOLUME_DEVICE.fullmatch(self.device)
        return match[1] if match else None


@dataclass(frozen=True)
class Command:
    """A runcmd entry: its text for the log, and the words of one that was given as a list."""

    text: str
    argv: tuple[str, ...] | None = None


@dataclass
class Plan:
    """All that the first boot has to do."""

    hostname: str | None = None
    users: list[User] = field(default_factory=list)
    root_keys: list[str] = field(default_factory=list)
    host_keys: dict[str, str] = field(default_factory=dict)  # ed25519_private: text, ed25519_public: text, ...
    files: list[File] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def parse_user_data(text: str) -> Plan:
    """Turn user-data into a plan. Total: what can't be understood is in `errors`."""
    plan = Plan()
    first_line = text.partition("\n")[0].strip()
    if not text.strip():
        return plan
    if first_line.startswith("#!"):
        plan.commands.append(Command("/var/lib/cloud/instance/scripts/part-001"))
        return plan
    if first_line != "#cloud-config":
        plan.errors.append(f"Unhandled non-multipart (text/x-not-multipart) userdata: '{first_line[:40]}...'")
        return plan
    try:
        _check_depth(text)
        config = yaml.load(text, Loader=_Loader)  # noqa: S506  a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        plan.errors.append(f"Failed loading yaml blob. {error}")
        return plan
    if config is None:
        return plan
    if not isinstance(config, dict):
        plan.errors.append(
            f"Failed loading yaml blob. Yaml load allows (<class 'dict'>,) root types, "
            f"but got {type(config).__name__} instead"
        )
        return plan
    for key, read in _READERS.items():
        if config.get(key) is not None:
            read(plan, config[key])
    return plan


def _check_depth(text: str) -> None:
    """Raises ValueError where YAML is nested too deeply to be loaded; parsing into events does not recurse."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_LIMIT:
            raise ValueError("It is nested too deeply.")


def _scalar(value: Any) -> str | None:
    """A plain value as text, or None for a list or mapping: with aliases, 64 KiB of those are terabytes of text."""
    return str(value) if isinstance(value, str | int | float) else None


def _read_hostname(plan: Plan, value: Any) -> None:
    if isinstance(value, str) and HOST_NAME.fullmatch(value):
        plan.hostname = value
    else:
        plan.errors.append(f"hostname: {reprlib.repr(value)} is not a host name")


def _strings(plan: Plan, where: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    good = [item for item in values if isinstance(item, str)]
    if len(good) < len(values):
        plan.errors.append(f"{where}: only strings are understood")
    return good


def _read_users(plan: Plan, value: Any) -> None:
    for entry in value if isinstance(value, list) else [value]:
        user = entry if isinstance(entry, dict) else {"name": entry}
        name = user.get("name")
        if name == "default":  # the image's own user: on DigitalOcean that is root
            continue
        if not isinstance(name, str) or not USER_NAME.fullmatch(name):
            plan.errors.append(f"users: {reprlib.repr(name)} is not a user name")
            continue
        keys = user.get("ssh_authorized_keys", user.get("ssh-authorized-keys")) or []
        plan.users.append(User(name, tuple(_strings(plan, f"users: {name}", keys))))


def _read_root_keys(plan: Plan, value: Any) -> None:
    plan.root_keys += _strings(plan, "ssh_authorized_keys", value)


def _read_host_keys(plan: Plan, value: Any) -> None:
    if isinstance(value, dict):
        plan.host_keys = {str(k): v for k, v in value.items() if isinstance(v, str)}
    else:
        plan.errors.append("ssh_keys: not a mapping")


def _content(value: Any, encoding: str) -> bytes:
    """The bytes of a write_files entry.

    Raises:
        ValueError: unknown encoding, not decodable, or larger than FILE_LIMIT_BYTES.
    """
    text = "" if value is None else _scalar(value)
    if text is None and not isinstance(value, bytes):
        raise ValueError("the content is not text")
    data = value if isinstance(value, bytes) else str(text).encode()
    if encoding in _BASE64_ENCODINGS | _GZIP_BASE64_ENCODINGS:
        data = base64.b64decode(data)
    if encoding in _GZIP_ENCODINGS | _GZIP_BASE64_ENCODINGS:
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)  # 16: a gzip header
        data = unpacker.decompress(data, FILE_LIMIT_BYTES)
        if unpacker.unconsumed_tail:
            raise ValueError("it is too large")
        if not unpacker.eof:
            raise ValueError("it is cut short")
    elif encoding not in _TEXT_ENCODINGS | _BASE64_ENCODINGS:
        raise ValueError(f"unknown encoding {encoding}")
    return data


def _mode(value: Any) -> int:
    """A file mode: an octal string, or a number (which YAML has read as octal if it had a leading zero)."""
    number = value if isinstance(value, int) else int(_scalar(value) or "", 8)
    if not 0 <= number <= 0o7777:
        raise ValueError("permissions out of range")
    return number


def _read_files(plan: Plan, value: Any) -> None:
    for entry in value if isinstance(value, list) else [value]:
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str) or not path or "\0" in path:
            plan.errors.append(f"write_files: no path in {reprlib.repr(entry)}")
            continue
        if ".." in path.split("/"):
            plan.errors.append(f"write_files: {path}: refused, it leads upwards")
            continue
        try:
            content = _content(entry.get("content"), (_scalar(entry.get("encoding")) or "").lower())
            permissions = entry.get("permissions")
            mode = 0o644 if permissions is None else _mode(permissions)
        except (ValueError, binascii.Error, zlib.error, gzip.BadGzipFile) as error:
            plan.errors.append(f"write_files: {path}: {error}")
            continue
        plan.files.append(File(path, content, mode, bool(entry.get("append")), bool(entry.get("defer"))))


def _read_mounts(plan: Plan, value: Any) -> None:
    defaults = ("auto", "defaults,nofail", "0", "2")  # cloud-init's mount_default_fields
    for entry in value if isinstance(value, list) else []:
        fields = [text for text in map(_scalar, entry) if text is not None] if isinstance(entry, list) else []
        if len(fields) < 2 or not fields[1].startswith("/") or ".." in fields[1].split("/"):
            plan.errors.append(f"mounts: {reprlib.repr(entry)} is not understood")
        elif not any(character.isspace() for part in fields for character in part):
            plan.mounts.append(Mount(fields[0], fields[1], (*fields[2:6], *defaults[len(fields[2:6]) :])))


def _read_packages(plan: Plan, value: Any) -> None:
    names = []
    for entry in value if isinstance(value, list) else [value]:
        parts = [_scalar(part) for part in (entry if isinstance(entry, list) else [entry])]
        names += ["=".join(part for part in parts if part is not None)]
    if names:
        plan.commands.append(Command(shlex.join(["apt-get", "--assume-yes", "install", *names])))


def _read_commands(plan: Plan, value: Any) -> None:
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, str):
            plan.commands.append(Command(entry))
        elif isinstance(entry, list) and entry and all(isinstance(part, str | int | float) for part in entry):
            argv = tuple(str(part) for part in entry)
            plan.commands.append(Command(shlex.join(argv), argv))
        elif entry is not None:
            plan.errors.append(f"runcmd: {reprlib.repr(entry)} is neither a string nor a list")


# In the order in which they take effect.
_READERS = {
    "hostname": _read_hostname,
    "ssh_authorized_keys": _read_root_keys,
    "users": _read_users,
    "ssh_keys": _read_host_keys,
    "write_files": _read_files,
    "mounts": _read_mounts,
    "packages": _read_packages,
    "runcmd": _read_commands,
}

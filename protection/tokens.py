"""API keys and session tokens: 256 random bits, shown once, stored as a hash."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field

_KEY = re.compile(r"lathe_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_SESSION = re.compile(r"lathe_session_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A fresh key: ``text`` goes to its owner once, ``id`` and ``secret_sha256`` are stored."""

    id: str
    text: str = field(repr=False)
    secret_sha256: str = field(repr=False)


def make_api_key() -> ApiKey:
    """Return a new key.

    A plain hash suffices for storing it: nothing guesses 256 random bits.
    """
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return ApiKey(key_id, f"lathe_{key_id}_{secret}", hash_secret(secret))


def make_session_token() -> tuple[str, str]:
    """Return the token of a new session, which goes to its owner, and its stored form."""
    token = f"lathe_session_{secrets.token_urlsafe(32)}"
    return token, hash_secret(token)


def is_session_token(text: str) -> bool:
    """Return whether ``text`` has the shape of a session's token."""
    return _SESSION.fullmatch(text) is not None


def split_api_key(text: str) -> tuple[str, str] | None:
    """Return (id, secret) of a key as sent, or None when it has not the shape of one."""
    parts = _KEY.fullmatch(text)
    return None if parts is None else (parts[1], parts[2])


def hash_secret(secret: str) -> str:
    """Return the stored form of a secret: SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def secrets_equal(one: str, other: str) -> bool:
    """Compare two stored forms in constant time."""
    return secrets.compare_digest(one, other)


def random_bytes(count: int) -> bytes:
    """Return ``count`` unguessable bytes, for ids."""
    return secrets.token_bytes(count)

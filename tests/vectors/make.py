"""Computes the vectors of signed URLs from RFC 2104 and docs/formats.md, without lathe's code.

    python -m tests.vectors.make > tests/vectors/url-signatures.json

The file is append-only: what was once signed must verify for ever.
"""

import hashlib
import json
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

BLOCK_BYTES = 64

# kid, the key's bytes
KEYS = {
    "k1": bytes(range(32)),
    "20260301": hashlib.sha256(b"lathe test vector").digest(),
    "longkey123456789": bytes(range(100)),
    "0": b"\xff" * 64,
}

# kid, expires, session, track, rendition
CASES = [
    ("k1", 1893456000, "anon", "trk_01m7xr1t6zb8nnjmj4egqn9p18", f"aac-256-{'2f' * 16}"),
    ("k1", 1893456000, "anon", "trk_01m7xr1t6zb8nnjmj4egqn9p18", f"alac-{'2f' * 16}"),
    ("k1", 1893456300, "anon", "trk_01m7xr1t6zb8nnjmj4egqn9p18", f"aac-256-{'2f' * 16}"),
    ("20260301", 1893456000, "s-_Z9", "trk_01m7xr1xww9epwsv6y4n64m4zv", f"ogg-160-{'0' * 32}"),
    ("longkey123456789", 9999999999, "S" * 64, "trk_x", f"alac-hires-{'e' * 32}"),
    ("0", 1000000000, "a", "t", "r"),
]


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA256, written out as RFC 2104 has it."""
    if len(key) > BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key.ljust(BLOCK_BYTES, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def encode(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def make_vectors() -> dict[str, Any]:
    """Return the ring and every case with its message, signature and URL prefix."""
    assert all(urlsafe_b64decode(encode(key) + "===") == key for key in KEYS.values())
    cases = []
    for kid, expires, session, track, rendition in CASES:
        message = f"lathe-url-1\n{kid}\n{expires}\n{session}\n/{track}/{rendition}/"
        signature = encode(hmac_sha256(KEYS[kid], message.encode()))
        cases.append(
            {
                "kid": kid,
                "expires": expires,
                "session": session,
                "track": track,
                "rendition": rendition,
                "message": message,
                "signature": signature,
                "prefix": f"/s/{expires}.{kid}.{session}.{signature}/{track}/{rendition}/",
            }
        )
    ring = [f"{kid}:{encode(key)}" for kid, key in KEYS.items()]
    return {"format": "lathe-url-1", "ring": ring, "cases": cases}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(make_vectors(), indent=2) + "\n")

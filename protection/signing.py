"""Signed URL prefixes: one signature opens one rendition of one track until a time.

    /s/{expires}.{kid}.{session}.{signature}/{track}/{rendition}/{name}
    /s/{track}/{rendition}/{name}?t={expires}.{kid}.{session}.{signature}

``expires`` is Unix time in decimal seconds, ``kid`` names the key, ``session`` the listener's
session, and ``signature`` is HMAC-SHA256 in base64url without padding over

    lathe-url-1 LF kid LF expires LF session LF /{track}/{rendition}/

Attacker assumed: sees any number of signed URLs and may alter every character. Not promised:
that a URL is used by the listener it was made for, nor that it stops before it expires.
"""

import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from catalogue.errors import UrlExpired, UrlUntrusted
from catalogue.licensing import Grant
from catalogue.nouns import RenditionId, TrackId
from protection.keyring import KeyRing

_VERSION = "lathe-url-1"
_BLOCK_BYTES = 64
_SIGNATURE_LENGTH = 43
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_TOKEN = re.compile(
    r"([1-9][0-9]{9})\.([a-z0-9]{1,16})\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{43})"
)


class UrlSigner:
    """Signs and verifies URL prefixes with a ring of keys."""

    def __init__(self, ring: KeyRing) -> None:
        self._first_kid = ring.first_kid
        self._macs = {kid: _Mac(key) for kid, key in ring.keys.items()}
        self._no_mac = _Mac(bytes(32))

    def sign(self, grant: Grant, rendition: RenditionId) -> str:
        """Return the signed prefix ``/s/…/`` of one of the renditions that were granted.

        Raises ValueError for any other.
        """
        if not grant.covers(rendition):
            raise ValueError("the rendition is not among those granted")
        prefix = f"/{grant.track_id}/{rendition}/"
        return self.sign_prefix(grant.expires_at, grant.session, prefix)

    def sign_prefix(self, expires_at: datetime, session: str, prefix: str) -> str:
        """Return the signed form of a prefix that a grant covers."""
        expires = str(int(expires_at.timestamp()))
        (signed,) = self.sign_all(expires=expires, session=session, prefixes=[prefix.encode()])
        return signed.decode("ascii")

    def sign_all(
        self, *, expires: str, session: str, prefixes: Sequence[bytes], root: str = ""
    ) -> list[bytes]:
        """Return the signed forms of ``prefixes`` that a grant covers, below ``root``."""
        kid = self._first_kid
        head = f"{root}/s/{expires}.{kid}.{session}.".encode("ascii")
        signatures = self._macs[kid].sign_all(kid, expires, session, prefixes)
        return [
            head + signature + prefix
            for signature, prefix in zip(signatures, prefixes, strict=True)
        ]

    def verify(self, token: str, track: TrackId, rendition: RenditionId, now: datetime) -> None:
        """Return when ``token`` opens this rendition of this track now.

        Raises UrlUntrusted for anything that was not signed exactly so, and UrlExpired for what
        was, but whose time is over. Signatures are compared in constant time.
        """
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            raise UrlUntrusted("The signature does not hold.")
        expires, kid, session, signature = parts.groups()
        mac = self._macs.get(kid, self._no_mac)
        # A stranger's path may hold lone surrogates; they must fail to match, not to encode.
        prefix = f"/{track}/{rendition}/".encode("utf-8", "surrogatepass")
        (expected,) = mac.sign_all(kid, expires, session, [prefix])
        if not hmac.compare_digest(signature.encode("ascii"), expected) or kid not in self._macs:
            raise UrlUntrusted("The signature does not hold.")
        if now.timestamp() >= int(expires):
            raise UrlExpired("Its time is over.", expired_at=int(expires), track=track)


class _Mac:
    """HMAC-SHA256 (RFC 2104) with one key, which is hashed once and not for every message."""

    def __init__(self, key: bytes) -> None:
        block = (hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(
            _BLOCK_BYTES, b"\0"
        )
        self._inner = hashlib.sha256(block.translate(_INNER))
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def sign_all(
        self, kid: str, expires: str, session: str, prefixes: Sequence[bytes]
    ) -> list[bytes]:
        """Return the signatures of prefixes as they stand in URLs."""
        head = self._inner.copy()
        head.update(f"{_VERSION}\n{kid}\n{expires}\n{session}\n".encode())
        found = []
        for prefix in prefixes:
            inner, outer = head.copy(), self._outer.copy()
            inner.update(prefix)
            outer.update(inner.digest())
            encoded = binascii.b2a_base64(outer.digest(), newline=False).translate(_URL_SAFE)
            found.append(encoded[:_SIGNATURE_LENGTH])
        return found

"""Signed URL prefixes: one signature opens one rendition of one track until a time.

    /s/{expires}.{kid}.{session}.{signature}/{track}/{rendition}/{name}

``expires`` is Unix time in decimal seconds, ``kid`` names the key, ``session`` the listener's
session, and ``signature`` is HMAC-SHA256 in base64url without padding over

    lathe-url-1 LF kid LF expires LF session LF /{track}/{rendition}/

Attacker assumed: sees any number of signed URLs and may alter every character. Not promised:
that a URL is used by the listener it was made for, nor that it stops before it expires.
"""

import base64
import hmac
import re
from datetime import datetime

from catalogue.errors import UrlExpired, UrlUntrusted
from catalogue.licensing import Grant
from catalogue.nouns import RenditionId, TrackId
from protection.keyring import KeyRing

_VERSION = "lathe-url-1"
_TOKEN = re.compile(
    r"([1-9][0-9]{9})\.([a-z0-9]{1,16})\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{43})"
)


class UrlSigner:
    """Signs and verifies URL prefixes with a ring of keys."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def sign(self, grant: Grant, rendition: RenditionId) -> str:
        """Return the signed prefix ``/s/…/`` of one of the renditions that were granted.

        Raises ValueError for any other.
        """
        if not grant.covers(rendition):
            raise ValueError("the rendition is not among those granted")
        expires, kid = int(grant.expires_at.timestamp()), self._ring.signing_kid
        prefix = f"/{grant.track_id}/{rendition}/"
        signature = _signature(self._ring.keys[kid], kid, str(expires), grant.session, prefix)
        return f"/s/{expires}.{kid}.{grant.session}.{signature}{prefix}"

    def verify(self, token: str, track: TrackId, rendition: RenditionId, now: datetime) -> None:
        """Return when ``token`` opens this rendition of this track now.

        Raises UrlUntrusted for anything that was not signed exactly so, and UrlExpired for what
        was, but whose time is over. Signatures are compared in constant time.
        """
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            raise UrlUntrusted("The signature does not hold.")
        expires, kid, session, signature = parts.groups()
        key = self._ring.keys.get(kid, b"\0" * 32)
        expected = _signature(key, kid, expires, session, f"/{track}/{rendition}/")
        if not hmac.compare_digest(signature, expected) or kid not in self._ring.keys:
            raise UrlUntrusted("The signature does not hold.")
        if now.timestamp() >= int(expires):
            raise UrlExpired("Its time is over.", expired_at=int(expires), track=track)


def _signature(key: bytes, kid: str, expires: str, session: str, prefix: str) -> str:
    message = "\n".join((_VERSION, kid, expires, session, prefix))
    # A stranger's path may hold lone surrogates; they must fail to match, not to encode.
    digest = hmac.digest(key, message.encode("utf-8", "surrogatepass"), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

"""Licences: what a device is given so that its downloads open, and only there.

A licence is a JWS (RFC 7515, compact) with EdDSA over Ed25519 (RFC 8037), whose header is exactly
``{"alg":"EdDSA","kid":…,"typ":"lathe-licence+jws"}``. Its keys are wrapped twice: a set key of 32
bytes for the device (HPKE, RFC 9180: base mode, P-256, HKDF-SHA256, AES-256-GCM; ``info`` names the
licence, the device, its end, and what each track is licensed for), and each content key under the
set key (AES key wrap, RFC 3394). So renewing many tracks costs one HPKE.
"""

import hashlib
import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protection.content_keys import ContentKey
from protection.encoding import decode_bytes, encode_bytes
from protection.keyring import KeyRing
from protection.possession import DeviceKey
from protection.refusing import refuse_download

TYPE = "lathe-licence+jws"
VERSION = 1

_ALGORITHM = "EdDSA"
_INFO = "lathe-licence-1"
_SEED_BYTES, _SET_KEY_BYTES = 32, 32
_SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class LicensedTrack(NamedTuple):
    """One track of a licence: which rendition of it, sealed with which key, and until when."""

    track: str
    rendition: str
    tier: str
    chunk_count: int
    until: datetime
    key: ContentKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a licence says beside its keys; ``mark`` is that of all that are given at once.

    A device shows it for the next ones, and so tells a copy. ``generation`` is how often what the
    device may have had changed when it was made. Times are whole seconds.
    """

    id: str
    account: str
    device: str
    thumbprint: str
    mark: str
    generation: int
    territory: str
    issued_at: datetime
    renew_after: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """A licence that was verified; its keys are still wrapped."""

    terms: Terms
    _set_key: bytes = field(repr=False)
    _tracks: Mapping[str, Mapping[str, Any]] = field(repr=False)

    @property
    def key_ids(self) -> Collection[str]:
        """The content keys that it holds."""
        return self._tracks.keys()

    def unwrap(self, key_id: str, private_key: ec.EllipticCurvePrivateKey) -> LicensedTrack:
        """Return a content key and what it opens, by the device's own key for agreeing.

        Raises DownloadUntrusted: for a key that it does not name, and on any other device.
        """
        entry = self._tracks.get(key_id)
        if entry is None:
            raise refuse_download("the licence does not name the key")
        try:
            info = _info(self.terms, self._tracks.values())
            set_key = _SUITE.decrypt(self._set_key, private_key, info)
            secret = aes_key_unwrap(set_key, decode_bytes(entry["key"]))
        except (InvalidTag, InvalidUnwrap, ValueError) as fault:
            raise refuse_download("its keys are wrapped for another device") from fault
        return LicensedTrack(
            track=entry["track"],
            rendition=entry["rendition"],
            tier=entry["tier"],
            chunk_count=entry["count"],
            until=_instant(entry["exp"]),
            key=ContentKey(key_id, secret),
        )


class LicenceSigner:
    """Signs licences with the first key of a ring; every key of it is told to devices."""

    def __init__(self, ring: KeyRing) -> None:
        self._keys = {
            kid: Ed25519PrivateKey.from_private_bytes(secret[:_SEED_BYTES])
            for kid, secret in ring.keys.items()
        }
        self._kid = ring.first_kid

    def public_keys(self) -> dict[str, str]:
        """Return the public keys by id, in base64url, for devices to pin."""
        return {
            kid: encode_bytes(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
            for kid, key in self._keys.items()
        }

    def sign(self, terms: Terms, agreement: DeviceKey, tracks: Sequence[LicensedTrack]) -> str:
        """Return the licence of a device for some tracks."""
        set_key = secrets.token_bytes(_SET_KEY_BYTES)
        listed = [_list(each, set_key) for each in tracks]
        sealed = _SUITE.encrypt(set_key, agreement.key, _info(terms, listed))
        said = {
            "v": VERSION,
            "jti": terms.id,
            "sub": terms.account,
            "dev": terms.device,
            "jkt": terms.thumbprint,
            "mark": terms.mark,
            "gen": terms.generation,
            "territory": terms.territory,
            "iat": _seconds(terms.issued_at),
            "nbf": _seconds(terms.issued_at),
            "renew_after": _seconds(terms.renew_after),
            "exp": _seconds(terms.expires_at),
            "enc": encode_bytes(sealed),
            "tracks": listed,
        }
        signed = f"{_encode(_header(self._kid))}.{_encode(said)}"
        signature = self._keys[self._kid].sign(signed.encode("ascii"))
        return f"{signed}.{encode_bytes(signature)}"


def open_licence(text: str, pinned: Mapping[str, str]) -> Licence:
    """Return a licence that one of the ``pinned`` public keys signed.

    Its times are the caller's to judge. Raises DownloadUntrusted.
    """
    try:
        header, _, rest = text.partition(".")
        said, _, signature = rest.partition(".")
        named = json.loads(decode_bytes(header))
        kid = named["kid"]
        # Nothing is chosen by what the header says but one of the keys that are pinned.
        if header != _encode(_header(kid)):
            raise ValueError("another header than a licence has")
        key = Ed25519PublicKey.from_public_bytes(decode_bytes(pinned[kid]))
        key.verify(decode_bytes(signature), f"{header}.{said}".encode("ascii"))
        return _build(json.loads(decode_bytes(said)))
    except (KeyError, TypeError, ValueError, RecursionError, InvalidSignature) as fault:
        raise refuse_download("it is no licence that a pinned key signed") from fault


def _build(said: Mapping[str, Any]) -> Licence:
    if said["v"] != VERSION:
        raise ValueError("another version")
    terms = Terms(
        id=said["jti"],
        account=said["sub"],
        device=said["dev"],
        thumbprint=said["jkt"],
        mark=said["mark"],
        generation=said["gen"],
        territory=said["territory"],
        issued_at=_instant(said["iat"]),
        renew_after=_instant(said["renew_after"]),
        expires_at=_instant(said["exp"]),
    )
    tracks = {each["kid"]: each for each in said["tracks"]}
    return Licence(terms=terms, _set_key=decode_bytes(said["enc"]), _tracks=tracks)


def _info(terms: Terms, tracks: Iterable[Mapping[str, Any]]) -> bytes:
    """Return what the set key is bound to: the licence, the device, and every track's terms."""
    lines = [
        f"{each['track']} {each['rendition']} {each['tier']} {each['count']} {each['exp']} "
        f"{each['kid']}"
        for each in tracks
    ]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    words = (_INFO, terms.id, terms.device, terms.thumbprint, _seconds(terms.expires_at), digest)
    return "\n".join(map(str, words)).encode()


def _list(track: LicensedTrack, set_key: bytes) -> dict[str, Any]:
    return {
        "track": track.track,
        "rendition": track.rendition,
        "tier": track.tier,
        "count": track.chunk_count,
        "exp": _seconds(track.until),
        "kid": track.key.id,
        "key": encode_bytes(aes_key_wrap(set_key, track.key.secret)),
    }


def _header(kid: str) -> dict[str, str]:
    return {"alg": _ALGORITHM, "kid": kid, "typ": TYPE}


def _encode(value: object) -> str:
    return encode_bytes(msgspec.json.encode(value))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

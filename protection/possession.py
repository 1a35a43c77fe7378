"""Devices' public keys, and the proof that whoever speaks has the private one.

A device has two P-256 keys, as secure hardware and WebCrypto offer them: one signs and is who the
device is, the other one agrees on keys (ECDH) and is vouched for by the first. Both are sent as
uncompressed points (SEC 1, 2.3.3) in base64url; a device's thumbprint is that of its signing key
(RFC 7638). A proof is ECDSA with SHA-256, as the 64 bytes r ‖ s that WebCrypto gives, over

    lathe-device-1 LF purpose LF account LF challenge LF SHA-256 of what is said, hexadecimal

A challenge is made by the plant, is good once, for one account and for minutes.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from catalogue.errors import DeviceUnfit
from protection.encoding import decode_bytes, encode_bytes
from protection.refusing import refuse_device

CHALLENGE_BYTES = 32
"""Random bytes of a challenge."""

_VERSION = "lathe-device-1"
_POINT_BYTES, _COORDINATE_BYTES = 65, 32


class Purpose(StrEnum):
    """What a proof is for; one for one purpose is none for another."""

    REGISTER = "register"
    LICENCE = "licence"


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """One public key of a device, as ``text`` outside."""

    text: str
    key: ec.EllipticCurvePublicKey

    @property
    def thumbprint(self) -> str:
        """The SHA-256 of the key as a JWK (RFC 7638), in base64url."""
        point = decode_bytes(self.text)
        x, y = (encode_bytes(each) for each in (point[1:33], point[33:]))
        # The members that RFC 7638, 3.2 names, in order and without space.
        said = json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y}, separators=(",", ":"))
        return encode_bytes(hashlib.sha256(said.encode()).digest())


def parse_device_key(text: str) -> DeviceKey:
    """Return the public key that ``text`` spells. Raises DeviceUnfit."""
    try:
        point = decode_bytes(text)
        if len(point) != _POINT_BYTES:
            raise ValueError("not of an uncompressed point's length")
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as fault:
        raise DeviceUnfit("A key is no uncompressed P-256 point in base64url.") from fault
    return DeviceKey(text, key)


def write_device_key(key: ec.EllipticCurvePublicKey) -> str:
    """Return a public key as ``parse_device_key`` reads it."""
    return encode_bytes(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def build_statement(purpose: Purpose, account: str, challenge: str, said: bytes) -> bytes:
    """Return what a proof signs: that ``said`` is meant, now, for this account."""
    digest = hashlib.sha256(said).hexdigest()
    return "\n".join((_VERSION, purpose, account, challenge, digest)).encode()


def sign_statement(key: ec.EllipticCurvePrivateKey, statement: bytes) -> str:
    """Return the proof that a device gives."""
    r, s = decode_dss_signature(key.sign(statement, ec.ECDSA(SHA256())))
    return encode_bytes(b"".join(each.to_bytes(_COORDINATE_BYTES) for each in (r, s)))


def verify_statement(key: DeviceKey, statement: bytes, signature: str) -> None:
    """Return when a statement is signed with a device's own key. Raises DeviceUntrusted."""
    try:
        data = decode_bytes(signature)
        if len(data) != 2 * _COORDINATE_BYTES:
            raise ValueError("not of a signature's length")
        r, s = (int.from_bytes(half) for half in (data[:32], data[32:]))
        key.key.verify(encode_dss_signature(r, s), statement, ec.ECDSA(SHA256()))
    except (ValueError, InvalidSignature) as fault:
        raise refuse_device("the signature does not hold") from fault

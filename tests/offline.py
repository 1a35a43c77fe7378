"""Devices as tests have them, and what they are given."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from protection.content_keys import ContentKey
from protection.keyring import KeyRing
from protection.licences import LicensedTrack, Terms
from protection.possession import DeviceKey, parse_device_key, write_device_key
from protection.sealing import Part, Place

MIDDAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
TRACK, RENDITION = "trk_01m7xr1t6zb8nnjmj4egqn9p18", f"aac-256-{'2f' * 16}"
PLACE = Place(track=TRACK, rendition=RENDITION, tier="aac-256", part=Part.BODY, index=2, count=3)
KEY = ContentKey("00112233445566778899aabbccddeeff", bytes(range(32)))
RING = KeyRing(first_kid="l1", keys={"l1": bytes(range(32))})
LICENSED = LicensedTrack(
    track=TRACK,
    rendition=RENDITION,
    tier="aac-256",
    chunk_count=3,
    until=MIDDAY + timedelta(days=20),
    key=KEY,
)
TERMS = Terms(
    id="lic_01m7xr1t6zb8nnjmj4egqn9p18",
    account="acc_01m7xr1t6zb8nnjmj4egqn9p18",
    device="dev_01m7xr1t6zb8nnjmj4egqn9p18",
    thumbprint="3eZ3Z6z7ZbXr9n3cRrC1m0wU5l3v3b8v2n9cYy9mX0Q",
    mark="bWFyayBvZiBhIGxpY2VuY2U",
    generation=7,
    territory="US",
    issued_at=MIDDAY,
    renew_after=MIDDAY + timedelta(days=7),
    expires_at=MIDDAY + timedelta(days=30),
)


def make_private_key(number: int) -> ec.EllipticCurvePrivateKey:
    """Return the private key of that number."""
    return ec.derive_private_key(number, ec.SECP256R1())


def public_of(key: ec.EllipticCurvePrivateKey) -> DeviceKey:
    """Return the public key as a device sends it."""
    return parse_device_key(write_device_key(key.public_key()))


def other_places() -> list[Place]:
    """Return every kind of place that is not PLACE."""
    return [
        replace(PLACE, track=TRACK[:-1] + "0"),
        replace(PLACE, rendition=f"aac-128-{'2f' * 16}"),
        replace(PLACE, tier="aac-128"),
        replace(PLACE, part=Part.INIT),
        replace(PLACE, part=Part.PREROLL),
        replace(PLACE, index=1),
        replace(PLACE, index=0),
        replace(PLACE, count=4),
        replace(PLACE, count=2),
    ]

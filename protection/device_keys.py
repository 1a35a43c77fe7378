"""A device's own keys: behind an interface, for they never leave the device.

In hardware (a Secure Enclave, StrongBox, a TPM) both keys are made inside and marked as not to be
exported: ``sign`` and ``unwrap`` are then calls into it, ECDSA and ECDH with P-256, and the plant
sees no difference. The form in a file is for players without such hardware:

    {"v": 1, "public_key": …, "agreement_key": …, "salt": …, "nonce": …, "sealed": …}

where ``sealed`` is AES-256-GCM of both private numbers (32 bytes each) under Argon2id (RFC 9106) of
a passphrase, with the version and the public keys as associated data. A copy of the file and its
passphrase is a copy of the device; that is noticed when both renew their licences.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from protection.encoding import decode_bytes, encode_bytes
from protection.licences import Licence, LicensedTrack
from protection.possession import parse_device_key, sign_statement, write_device_key
from protection.refusing import refuse_download

_VERSION = "lathe-device-keys-1"
_SCALAR_BYTES, _SALT_BYTES, _NONCE_BYTES = 32, 16, 12
_MEMORY_KIB, _ITERATIONS, _LANES = 64 * 1024, 3, 1


class DeviceKeys(Protocol):
    """What a device does with its private keys."""

    public_key: str
    agreement_key: str

    @property
    def thumbprint(self) -> str:
        """What the device is known by: RFC 7638 of its signing key."""

    def sign(self, statement: bytes) -> str:
        """Return the proof of a statement: see protection.possession."""

    def unwrap(self, licence: Licence, key_id: str) -> LicensedTrack:
        """Return a content key of a licence. Raises DownloadUntrusted."""


class SoftwareKeys:
    """Keys in this process's memory. Never shown in a repr."""

    def __init__(
        self, signing: ec.EllipticCurvePrivateKey, agreement: ec.EllipticCurvePrivateKey
    ) -> None:
        self._signing, self._agreement = signing, agreement
        self.public_key = write_device_key(signing.public_key())
        self.agreement_key = write_device_key(agreement.public_key())

    @property
    def thumbprint(self) -> str:
        """See DeviceKeys.thumbprint."""
        return parse_device_key(self.public_key).thumbprint

    def sign(self, statement: bytes) -> str:
        """See DeviceKeys.sign."""
        return sign_statement(self._signing, statement)

    def unwrap(self, licence: Licence, key_id: str) -> LicensedTrack:
        """See DeviceKeys.unwrap."""
        return licence.unwrap(key_id, self._agreement)


def make_device_keys() -> SoftwareKeys:
    """Return new keys."""
    curve = ec.SECP256R1()
    return SoftwareKeys(ec.generate_private_key(curve), ec.generate_private_key(curve))


def save_device_keys(keys: SoftwareKeys, path: Path, passphrase: str) -> None:
    """Keep keys in a new file of mode 0600, sealed with a passphrase.

    Raises FileExistsError: keys are never written over.
    """
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    numbers = b"".join(
        key.private_numbers().private_value.to_bytes(_SCALAR_BYTES)
        for key in (keys._signing, keys._agreement)
    )
    said = _associated(keys.public_key, keys.agreement_key)
    sealed = AESGCM(_derive(passphrase, salt)).encrypt(nonce, numbers, said)
    text = json.dumps(
        {
            "v": 1,
            "public_key": keys.public_key,
            "agreement_key": keys.agreement_key,
            "salt": encode_bytes(salt),
            "nonce": encode_bytes(nonce),
            "sealed": encode_bytes(sealed),
        }
    )
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def load_device_keys(path: Path, passphrase: str) -> SoftwareKeys:
    """Return the keys of a file.

    Raises FileNotFoundError, and DownloadUntrusted for a wrong passphrase or an altered file.
    """
    text = path.read_text("utf-8", "replace")
    try:
        said = json.loads(text)
        if said["v"] != 1:
            raise ValueError("another version")
        cipher = AESGCM(_derive(passphrase, decode_bytes(said["salt"])))
        words = _associated(said["public_key"], said["agreement_key"])
        numbers = cipher.decrypt(decode_bytes(said["nonce"]), decode_bytes(said["sealed"]), words)
    except (InvalidTag, ValueError, KeyError, TypeError, RecursionError) as fault:
        raise refuse_download("the device's keys do not open with this passphrase") from fault
    curve = ec.SECP256R1()
    signing, agreement = (
        ec.derive_private_key(int.from_bytes(half), curve)
        for half in (numbers[:_SCALAR_BYTES], numbers[_SCALAR_BYTES:])
    )
    return SoftwareKeys(signing, agreement)


def _derive(passphrase: str, salt: bytes) -> bytes:
    kdf = Argon2id(
        salt=salt, length=32, iterations=_ITERATIONS, lanes=_LANES, memory_cost=_MEMORY_KIB
    )
    return kdf.derive(passphrase.encode("utf-8", "surrogatepass"))


def _associated(public_key: str, agreement_key: str) -> bytes:
    return f"{_VERSION}\n{public_key}\n{agreement_key}".encode()

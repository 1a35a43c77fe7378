"""Keys for a partner's licence server: readable by whoever has the private key of a certificate.

Source: DASH-IF CPIX 2.3. Keys are AES-256-CBC under a document key, with HMAC-SHA512 over what that
gives; document key and MAC key are RSA-OAEP (SHA-1, as XML Encryption has it) for the certificate.
"""

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA1

from catalogue.errors import SettingsInvalid
from protection.cenc import CencKey

_RSA_BITS, _DOCUMENT_KEY_BYTES, _MAC_KEY_BYTES, _BLOCK_BYTES = 2048, 32, 64, 16


@dataclass(frozen=True, slots=True)
class Partner:
    """Who may be given keys: by name, certificate (DER) and public key."""

    name: str
    certificate: bytes
    public_key: rsa.RSAPublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A key as it stands in the document: IV and ciphertext, and the MAC of both."""

    id: bytes
    iv: bytes
    encrypted: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a partner opens the document with, sealed for its certificate; and the keys."""

    certificate: bytes
    document_key: bytes
    mac_key: bytes
    keys: tuple[SealedKey, ...]


def read_partners(folder: Path, setting: str) -> Mapping[str, Partner]:
    """Return the partners whose certificates lie in a folder as ``NAME.pem``.

    Raises SettingsInvalid where one is no certificate of an RSA key of 2048 bits or more.
    """
    found = {}
    try:
        paths = sorted(folder.glob("*.pem"))
        texts = {path.stem: path.read_bytes() for path in paths}
    except OSError as fault:
        raise SettingsInvalid(f"{folder}: {fault.strerror}.", setting=setting) from fault
    for name, text in texts.items():
        try:
            certificate = x509.load_pem_x509_certificate(text)
            public_key = certificate.public_key()
        except ValueError as fault:
            raise SettingsInvalid(f"{name}.pem is no certificate.", setting=setting) from fault
        if not isinstance(public_key, rsa.RSAPublicKey) or public_key.key_size < _RSA_BITS:
            raise SettingsInvalid(
                f"{name}.pem has no RSA key of {_RSA_BITS} bits or more.", setting=setting
            )
        data = certificate.public_bytes(serialization.Encoding.DER)
        found[name] = Partner(name, data, public_key)
    return found


def seal_keys(partner: Partner, keys: Iterable[CencKey]) -> Delivery:
    """Return keys as only the partner can read them."""
    document_key = secrets.token_bytes(_DOCUMENT_KEY_BYTES)
    mac_key = secrets.token_bytes(_MAC_KEY_BYTES)
    oaep = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)
    return Delivery(
        certificate=partner.certificate,
        document_key=partner.public_key.encrypt(document_key, oaep),
        mac_key=partner.public_key.encrypt(mac_key, oaep),
        keys=tuple(_seal(key, document_key, mac_key) for key in keys),
    )


def _seal(key: CencKey, document_key: bytes, mac_key: bytes) -> SealedKey:
    iv = secrets.token_bytes(_BLOCK_BYTES)
    # Padded as XML Encryption has it: the last byte tells how many were added.
    padded = key.key + bytes([_BLOCK_BYTES]) * _BLOCK_BYTES
    encryptor = Cipher(algorithms.AES(document_key), modes.CBC(iv)).encryptor()
    encrypted = iv + encryptor.update(padded) + encryptor.finalize()
    return SealedKey(key.id, key.iv, encrypted, hmac.digest(mac_key, encrypted, "sha512"))

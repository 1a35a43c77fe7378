"""A partner as tests have it: a certificate, and how what is exported for it is read."""

import base64
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self
from uuid import UUID
from xml.etree import ElementTree

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

NAMES = {
    "c": "urn:dashif:org:cpix",
    "p": "urn:ietf:params:xml:ns:keyprov:pskc",
    "d": "http://www.w3.org/2000/09/xmldsig#",
    "e": "http://www.w3.org/2001/04/xmlenc#",
}
_VALUE = "e:CipherData/e:CipherValue"


@dataclass(frozen=True, slots=True)
class TestPartner:
    """A private key, and its certificate as PEM."""

    __test__ = False

    key: rsa.RSAPrivateKey
    pem: bytes

    @classmethod
    def make(cls, bits: int = 2048) -> Self:
        """Return a new one."""
        key = rsa.generate_private_key(65537, bits)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a licence server")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
            .sign(key, SHA256())
        )
        return cls(key, certificate.public_bytes(serialization.Encoding.PEM))

    def put(self, folder: Path, name: str) -> None:
        """Lay the certificate where partners are looked for."""
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.pem").write_bytes(self.pem)

    def read(self, document: bytes) -> dict[str, tuple[bytes, bytes]]:
        """Return key and IV of every key of a document, by its id in hexadecimal."""
        root = ElementTree.fromstring(document)
        (data,) = root.findall("c:DeliveryDataList/c:DeliveryData", NAMES)
        path = f"c:DocumentKey/c:Data/p:Secret/p:EncryptedValue/{_VALUE}"
        document_key = self._open(data, path)
        mac_key = self._open(data, f"c:MACMethod/p:MACKey/{_VALUE}")
        found = {}
        for key in root.findall("c:ContentKeyList/c:ContentKey", NAMES):
            (secret,) = key.findall("c:Data/p:Secret", NAMES)
            value = _decode(secret, f"p:EncryptedValue/{_VALUE}")
            mac = hmac.digest(mac_key, value, "sha512")
            assert hmac.compare_digest(mac, _decode(secret, "p:ValueMAC"))
            opened = Cipher(algorithms.AES(document_key), modes.CBC(value[:16])).decryptor()
            padded = opened.update(value[16:]) + opened.finalize()
            assert key.attrib["commonEncryptionScheme"] == "cbcs"
            iv = base64.b64decode(key.attrib["explicitIV"])
            found[UUID(key.attrib["kid"]).hex] = padded[: -padded[-1]], iv
        return found

    def _open(self, data: ElementTree.Element, path: str) -> bytes:
        oaep = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)
        return self.key.decrypt(_decode(data, path), oaep)


def _decode(parent: ElementTree.Element, path: str) -> bytes:
    (found,) = parent.findall(path, NAMES)
    assert found.text is not None
    return base64.b64decode(found.text, validate=True)

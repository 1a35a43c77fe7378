"""Keys as licence servers of Widevine, PlayReady and FairPlay take them: a CPIX document.

Source: DASH-IF CPIX 2.3, with PSKC (RFC 6030) and XML Encryption inside.
"""

import base64
from uuid import UUID
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from protection.cenc import SCHEME
from protection.cpix import Delivery, SealedKey

MEDIA_TYPE = "application/xml"

_RSA = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
_AES = "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
_HMAC = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512"


def render_cpix(delivery: Delivery) -> bytes:
    """Return the document as UTF-8 XML; its keys are in the order of the delivery."""
    root = Element(
        "CPIX",
        {
            "xmlns": "urn:dashif:org:cpix",
            "xmlns:pskc": "urn:ietf:params:xml:ns:keyprov:pskc",
            "xmlns:ds": "http://www.w3.org/2000/09/xmldsig#",
            "xmlns:enc": "http://www.w3.org/2001/04/xmlenc#",
        },
    )
    data = SubElement(SubElement(root, "DeliveryDataList"), "DeliveryData")
    certificates = SubElement(SubElement(data, "DeliveryKey"), "ds:X509Data")
    SubElement(certificates, "ds:X509Certificate").text = _encode(delivery.certificate)
    document_key = SubElement(data, "DocumentKey", Algorithm=_AES)
    _add_secret(document_key, _RSA, delivery.document_key)
    method = SubElement(data, "MACMethod", Algorithm=_HMAC)
    _add_encrypted(SubElement(method, "pskc:MACKey"), _RSA, delivery.mac_key)
    listed = SubElement(root, "ContentKeyList")
    for key in delivery.keys:
        _add_key(listed, key)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _add_key(listed: Element, key: SealedKey) -> None:
    attributes = {
        "kid": str(UUID(bytes=key.id)),
        "explicitIV": _encode(key.iv),
        "commonEncryptionScheme": SCHEME,
    }
    secret = _add_secret(SubElement(listed, "ContentKey", attributes), _AES, key.encrypted)
    SubElement(secret, "pskc:ValueMAC").text = _encode(key.mac)


def _add_secret(parent: Element, algorithm: str, value: bytes) -> Element:
    secret = SubElement(SubElement(parent, "Data"), "pskc:Secret")
    _add_encrypted(SubElement(secret, "pskc:EncryptedValue"), algorithm, value)
    return secret


def _add_encrypted(parent: Element, algorithm: str, value: bytes) -> None:
    SubElement(parent, "enc:EncryptionMethod", Algorithm=algorithm)
    data = SubElement(parent, "enc:CipherData")
    SubElement(data, "enc:CipherValue").text = _encode(value)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")

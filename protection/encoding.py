"""Bytes as text: base64url without padding (RFC 4648, 5), of which only one spelling is taken."""

import base64
import binascii

_TO_URL = bytes.maketrans(b"+/", b"-_")


def encode_bytes(data: bytes) -> str:
    """Return bytes as text."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL, b"=").decode("ascii")


def decode_bytes(text: str) -> bytes:
    """Return the bytes that ``text`` spells. Raises ValueError for any other spelling of them."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as fault:
        raise ValueError("no base64url") from fault
    if encode_bytes(data) != text:
        raise ValueError("not the one spelling of these bytes")
    return data

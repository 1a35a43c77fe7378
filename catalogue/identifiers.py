"""Names that come from outside and ids that lathe gives: parsed strictly, made from arguments."""

import re
from datetime import datetime

import pycountry

from catalogue.errors import IsrcInvalid, TerritoryUnknown

WORLDWIDE = "Worldwide"

_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}")
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def parse_isrc(text: str) -> str:
    """Return the 12 characters of an ISRC, hyphens and case set aside.

    Source: ISO 3901:2019. Raises IsrcInvalid.
    """
    isrc = text.strip().upper().replace("-", "")
    # Some letters become others, even two, in capitals.
    if not text.isascii() or not _ISRC.fullmatch(isrc):
        raise IsrcInvalid(f"{text[:40]!r} is not an ISRC.", isrc=text[:40])
    return isrc


def parse_territory(text: str) -> str:
    """Return an ISO 3166-1 alpha-2 code in capitals, or ``Worldwide``. Raises TerritoryUnknown."""
    if text.strip().lower() == WORLDWIDE.lower():
        return WORLDWIDE
    code = text.strip().upper()
    if not text.isascii() or len(code) != 2 or pycountry.countries.get(alpha_2=code) is None:
        raise TerritoryUnknown(f"{text[:40]!r} is no territory.", territory=text[:40])
    return code


def parse_home(text: str) -> str:
    """Return the ISO 3166-1 alpha-2 code of one territory, in capitals. Raises TerritoryUnknown."""
    code = parse_territory(text)
    if code == WORLDWIDE:
        raise TerritoryUnknown("Nobody is at home worldwide.", territory=WORLDWIDE)
    return code


def fold_address(text: str) -> str:
    """Return an e-mail address as it is compared, without regard to case."""
    return text.strip().casefold()


def make_id(prefix: str, *, now: datetime, random: bytes) -> str:
    """Return ``prefix_`` and 26 characters of Crockford base 32 that sort by time.

    48 bits of milliseconds and 80 bits of ``random`` (10 bytes), as in the ULID specification.
    """
    if len(random) != 10:
        raise ValueError("an id takes exactly 10 random bytes")
    number = int(now.timestamp() * 1000) << 80 | int.from_bytes(random, "big")
    digits = (_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{''.join(digits)}"

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pycountry
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue.errors import IsrcInvalid, TerritoryUnknown
from catalogue.identifiers import make_id, parse_isrc, parse_territory

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CODES = [country.alpha_2 for country in pycountry.countries]

quiet = settings(derandomize=True, deadline=None)
isrcs = st.from_regex(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}", fullmatch=True)
moments = st.integers(0, (1 << 45) - 1)
octets = st.binary(min_size=10, max_size=10)


def make(milliseconds: int, random: bytes) -> str:
    return make_id("trk", now=EPOCH + timedelta(milliseconds=milliseconds), random=random)


@quiet
@given(isrcs, st.booleans(), st.booleans())
def test_an_isrc_survives_being_written(isrc: str, hyphens: bool, lower: bool) -> None:
    written = "-".join((isrc[:2], isrc[2:5], isrc[5:7], isrc[7:])) if hyphens else isrc
    assert parse_isrc(written.lower() if lower else written) == isrc


@quiet
@given(st.text(max_size=14) | st.text("AZaz09-ßﬁ٣ ", min_size=10, max_size=16))
def test_what_is_read_as_an_isrc_was_one_in_ascii(text: str) -> None:
    try:
        isrc = parse_isrc(text)
    except IsrcInvalid:
        return
    assert text.isascii()
    assert parse_isrc(isrc) == isrc == text.strip().replace("-", "").upper()


@quiet
@given(st.sampled_from(CODES), st.sampled_from([str.upper, str.lower, str.title]))
def test_a_territory_survives_being_written(code: str, write: Callable[[str], str]) -> None:
    assert parse_territory(write(code)) == code


@quiet
@given(st.text(max_size=4))
def test_what_is_read_as_a_territory_is_one(text: str) -> None:
    try:
        code = parse_territory(text)
    except TerritoryUnknown:
        return
    assert code in CODES
    assert text.isascii()


@quiet
@given(moments, octets)
def test_an_id_holds_its_time_and_its_randomness(milliseconds: int, random: bytes) -> None:
    prefix, _, text = make(milliseconds, random).partition("_")
    number = 0
    for digit in text:
        number = number * 32 + DIGITS.index(digit)
    assert (prefix, len(text)) == ("trk", 26)
    assert number >> 80 == milliseconds
    assert number & ((1 << 80) - 1) == int.from_bytes(random, "big")


@quiet
@given(moments, moments, octets, octets)
def test_ids_sort_as_their_times(one: int, other: int, random: bytes, more: bytes) -> None:
    ids = [make(one, random), make(other, more)]
    if one != other:
        assert (ids[0] < ids[1]) is (one < other)
    assert (ids[0] == ids[1]) is ((one, random) == (other, more))

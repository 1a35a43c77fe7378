from datetime import UTC, datetime, timedelta

import pycountry
import pytest

from catalogue.errors import IsrcInvalid, TerritoryUnknown
from catalogue.identifiers import WORLDWIDE, make_id, parse_isrc, parse_territory
from protection.tokens import random_bytes

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "USRC17607839",
        "usrc17607839",
        "US-RC1-76-07839",
        "us-rc1-76-07839",
        " USRC17607839\n",
        "UsRc1-7607839",
    ],
)
def test_an_isrc_is_read_whatever_its_case_and_hyphens(text: str) -> None:
    assert parse_isrc(text) == "USRC17607839"


def test_an_isrc_may_have_digits_in_its_registrant() -> None:
    assert parse_isrc("QZ-123-26-00001") == "QZ1232600001"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "USRC1760783",
        "USRC176078390",
        "1SRC17607839",
        "U1RC17607839",
        "USRC1760783X",
        "US_RC1_76_07839",
        "US RC1 76 07839",
        "USRC17607٨39",
        "ISRC USRC17607839",
        "------------",
        "x" * 10_000,
    ],
)
def test_what_is_no_isrc_is_refused(text: str) -> None:
    with pytest.raises(IsrcInvalid) as caught:
        parse_isrc(text)
    assert caught.value.measured == {"isrc": text[:40]}
    assert len(caught.value.detail) < 100


@pytest.mark.parametrize("text", ["ßRC17607839", "ﬁRC17607839", "ſSRC17607839", "ıSRC17607839"])
def test_letters_that_become_ascii_in_capitals_make_no_isrc(text: str) -> None:
    with pytest.raises(IsrcInvalid):
        parse_isrc(text)


@pytest.mark.parametrize("text", ["us", "US", "uS", " us "])
def test_a_territory_is_read_whatever_its_case(text: str) -> None:
    assert parse_territory(text) == "US"


@pytest.mark.parametrize("text", ["Worldwide", "worldwide", "WORLDWIDE", " Worldwide "])
def test_worldwide_is_a_territory(text: str) -> None:
    assert parse_territory(text) == WORLDWIDE == "Worldwide"


def test_every_assigned_country_is_a_territory() -> None:
    codes = [country.alpha_2 for country in pycountry.countries]
    assert len(codes) > 240
    assert [parse_territory(code) for code in codes] == codes


@pytest.mark.parametrize(
    "text", ["", "U", "USA", "840", "ZZ", "XX", "UK", "EU", "world", "U S", "United States", "ﬁ"]
)
def test_what_is_no_territory_is_refused(text: str) -> None:
    with pytest.raises(TerritoryUnknown) as caught:
        parse_territory(text)
    assert caught.value.measured == {"territory": text[:40]}


def test_an_id_is_a_ulid_in_lower_case() -> None:
    # The layout of the specification: 48 bits of milliseconds, then 80 bits.
    zero = datetime(1970, 1, 1, tzinfo=UTC)
    assert make_id("trk", now=zero, random=bytes(10)) == f"trk_{'0' * 26}"
    assert make_id("job", now=zero, random=b"\xff" * 10) == f"job_{'0' * 10}{'z' * 16}"
    millisecond = zero + timedelta(milliseconds=33)
    assert make_id("x", now=millisecond, random=bytes(10)) == f"x_{'0' * 8}11{'0' * 16}"


def test_ids_sort_by_time() -> None:
    times = [NOW + timedelta(milliseconds=step) for step in (0, 1, 2, 1000, 10**6, 10**11)]
    ids = [make_id("trk", now=time, random=random_bytes(10)) for time in times]
    assert ids == sorted(ids)


def test_ids_of_one_millisecond_differ() -> None:
    assert len({make_id("trk", now=NOW, random=random_bytes(10)) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("count", [0, 9, 11])
def test_an_id_takes_ten_random_bytes(count: int) -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        make_id("trk", now=NOW, random=bytes(count))

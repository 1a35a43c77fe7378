"""Any ladder file is read as it is written, or refused by name."""

from dataclasses import asdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue.errors import LadderInvalid
from catalogue.nouns import Codec, Tier
from catalogue.rules import plan_tiers
from pipeline.tiers import choose_tiers, parse_ladder
from tests.contract.examples import make_master

quiet = settings(derandomize=True, deadline=None)

NAMES = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)
BITRATES = st.integers(8, 512)
RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000)
FIELDS = ("name", "codec", "bitrate_kbps", "mono_bitrate_kbps", "rate_hz", "hires", "colour")

lossless = st.builds(
    Tier, name=NAMES, codec=st.sampled_from([Codec.ALAC, Codec.FLAC]), hires=st.booleans()
)
aac = st.builds(
    Tier,
    name=NAMES,
    codec=st.just(Codec.AAC),
    bitrate_kbps=BITRATES,
    mono_bitrate_kbps=BITRATES,
)
vorbis = st.builds(
    Tier,
    name=NAMES,
    codec=st.just(Codec.VORBIS),
    bitrate_kbps=BITRATES,
    mono_bitrate_kbps=BITRATES,
    rate_hz=st.none() | st.sampled_from(RATES),
)
ladders = st.lists(
    lossless | aac | vorbis, min_size=1, max_size=8, unique_by=lambda tier: tier.name
)

words = st.sampled_from(
    [
        *('"aac"', '"vorbis"', '"flac"', '"mp3"', '"one"', '"a b"', '""', "true", "false", "inf"),
        *("0", "1", "8", "15", "128", "16000", "16000.0", "-96", "96.5", "[]", "[1]", "{}"),
        *("1979-05-27", "07:32:00", '["aac"]', "{a = 1}"),
    ]
)
rows = st.dictionaries(st.sampled_from(FIELDS), words, max_size=6)


def write_value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool | int) else f'"{value}"'


def write_row(values: dict[str, str]) -> str:
    lines = [f"{name} = {value}\n" for name, value in values.items()]
    return "[[tier]]\n" + "".join(lines)


def write_tier(tier: Tier) -> str:
    said = {name: value for name, value in asdict(tier).items() if value is not None}
    if not tier.codec.lossless:
        del said["hires"]
    return write_row({name: write_value(value) for name, value in said.items()})


def require_sound(tier: Tier) -> None:
    """Require of a tier that was read all that the rest of lathe relies on."""
    assert 0 < len(tier.name) <= 32
    if tier.codec.lossless:
        assert (tier.bitrate_kbps, tier.mono_bitrate_kbps, tier.rate_hz) == (None, None, None)
        return
    assert type(tier.bitrate_kbps) is int and 8 <= tier.bitrate_kbps <= 512
    assert type(tier.mono_bitrate_kbps) is int and 8 <= tier.mono_bitrate_kbps <= 512
    assert tier.rate_hz is None or (type(tier.rate_hz) is int and tier.rate_hz in RATES)
    assert tier.hires is False


@quiet
@given(ladders)
def test_a_valid_ladder_is_read_as_it_is_written(tiers: list[Tier]) -> None:
    assert parse_ladder("".join(map(write_tier, tiers))) == tuple(tiers)


@quiet
@given(st.lists(rows, min_size=1, max_size=3))
def test_tables_of_anything_are_read_soundly_or_refused(tables: list[dict[str, str]]) -> None:
    try:
        tiers = parse_ladder("".join(map(write_row, tables)))
    except LadderInvalid:
        return
    assert len({tier.name for tier in tiers}) == len(tiers) == len(tables)
    for tier in tiers:
        require_sound(tier)


@quiet
@given(words)
def test_a_tier_that_is_one_value_is_refused(value: str) -> None:
    for text in (f"tier = {value}\n", f"tier = [{value}]\n"):
        try:
            parse_ladder(text)
        except LadderInvalid:
            continue
        raise AssertionError(f"it was read: {text}")


@quiet
@given(st.text(max_size=40) | st.text('[]{}=".\n#ti er01', max_size=40))
def test_text_of_any_kind_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        tiers = parse_ladder(text)
    except LadderInvalid as fault:
        assert fault.code == "ladder-invalid"
        return
    for tier in tiers:
        require_sound(tier)


@quiet
@given(ladders, st.data())
def test_choosing_keeps_the_ladder_s_order(tiers: list[Tier], data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from([tier.name for tier in tiers])))
    chosen = choose_tiers(tiers, names)
    assert list(chosen) == [tier for tier in tiers if tier.name in names]


@quiet
@given(ladders, st.sampled_from([16, 24, None]))
def test_every_tier_is_earned_or_refused_with_a_reason(tiers: list[Tier], bits: int | None) -> None:
    master = make_master(bits=bits, lossy=bits is None, codec="flac" if bits else "mp3")
    earned, refused = plan_tiers(master, tiers)
    names = [each.tier for each in refused]
    assert earned == [tier for tier in tiers if tier.name not in names]
    assert names == [
        tier.name
        for tier in tiers
        if tier.codec.lossless and (bits is None or (tier.hires and bits == 16))
    ]
    assert all(each.reason for each in refused)

"""The ladder of tiers: data that is read from a file and validated."""

import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from catalogue.errors import LadderInvalid, TierUnknown
from catalogue.nouns import Codec, Tier
from catalogue.offline import Form

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_BITRATES_KBPS = range(8, 513)
_LOSSY_RATES_HZ = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000)
_FIELDS = {"name", "codec", "bitrate_kbps", "mono_bitrate_kbps", "rate_hz", "hires"}


def read_ladder(path: Path | None = None) -> tuple[Tier, ...]:
    """Return the tiers of the ladder at ``path``, or of lathe's own. Raises LadderInvalid."""
    if path is None:
        return parse_ladder((files("pipeline") / "ladder.toml").read_text("utf-8"))
    try:
        return parse_ladder(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as fault:
        raise LadderInvalid(f"{path}: it cannot be read: {fault}.") from fault


def parse_ladder(text: str) -> tuple[Tier, ...]:
    """Return the tiers that a ladder in TOML declares. Raises LadderInvalid."""
    try:
        rows = tomllib.loads(text).get("tier", [])
    except tomllib.TOMLDecodeError as fault:
        raise LadderInvalid(f"It is no TOML: {fault}.") from fault
    if not isinstance(rows, list):
        raise LadderInvalid("Its tiers are no tables: each begins with [[tier]].")
    tiers = tuple(_parse_tier(row) for row in rows)
    names = [tier.name for tier in tiers]
    if not names or len(set(names)) != len(names):
        raise LadderInvalid("It needs at least one tier, and no name twice.", tiers=len(names))
    return tiers


def _parse_tier(row: Any) -> Tier:
    if not isinstance(row, dict) or not {"name", "codec"} <= set(row) <= _FIELDS:
        raise LadderInvalid(f"A tier has name, codec and perhaps others of {sorted(_FIELDS)}.")
    name = row["name"]
    if not isinstance(name, str) or len(name) > 32 or not _NAME.fullmatch(name):
        raise LadderInvalid(f"{name!r} is no tier name: lower-case words joined by hyphens.")
    if name.partition("-")[0] in tuple(Form):
        raise LadderInvalid(f"Tier {name}: its first word is one that downloads are named by.")
    if row["codec"] not in list(Codec):
        raise LadderInvalid(f"Tier {name}: codec {row['codec']!r} is none that lathe cuts.")
    codec = Codec(row["codec"])
    return _parse_lossless(name, codec, row) if codec.lossless else _parse_lossy(name, codec, row)


def _parse_lossless(name: str, codec: Codec, row: dict[str, Any]) -> Tier:
    hires = row.get("hires", False)
    if not isinstance(hires, bool) or set(row) - {"name", "codec", "hires"}:
        raise LadderInvalid(f"Tier {name}: a lossless tier has only hires, true or false.")
    return Tier(name=name, codec=codec, hires=hires)


def _parse_lossy(name: str, codec: Codec, row: dict[str, Any]) -> Tier:
    bitrate = row.get("bitrate_kbps")
    if type(bitrate) is not int or bitrate not in _BITRATES_KBPS:
        raise LadderInvalid(f"Tier {name}: bitrate_kbps is a whole number from 8 to 512.")
    mono = row.get("mono_bitrate_kbps", bitrate // 2)
    if type(mono) is not int or mono not in _BITRATES_KBPS:
        raise LadderInvalid(f"Tier {name}: mono_bitrate_kbps is a whole number from 8 to 512.")
    rate_hz = row.get("rate_hz")
    known = type(rate_hz) is int and rate_hz in _LOSSY_RATES_HZ and codec is Codec.VORBIS
    if rate_hz is not None and not known:
        rates = ", ".join(map(str, _LOSSY_RATES_HZ))
        raise LadderInvalid(f"Tier {name}: rate_hz is for Vorbis, and one of {rates}.")
    if row.get("hires", False) is not False:
        raise LadderInvalid(f"Tier {name}: only a lossless tier can be hires.")
    return Tier(
        name=name, codec=codec, bitrate_kbps=bitrate, mono_bitrate_kbps=mono, rate_hz=rate_hz
    )


def choose_tiers(ladder: Sequence[Tier], names: Sequence[str] | None) -> tuple[Tier, ...]:
    """Return the tiers named, in ladder order; all of them for None. Raises TierUnknown."""
    if names is None:
        return tuple(ladder)
    unknown = sorted(set(names) - {tier.name for tier in ladder})
    if unknown:
        known = ", ".join(tier.name for tier in ladder)
        raise TierUnknown(f"{', '.join(unknown)}: the ladder has {known}.", tier=unknown[0])
    return tuple(tier for tier in ladder if tier.name in names)

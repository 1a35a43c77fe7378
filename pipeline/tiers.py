"""The ladder of tiers: data that is read from a file and validated."""

import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from catalogue.errors import LadderInvalid, TierUnknown
from catalogue.nouns import Codec, Tier

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CUT_CODECS = (Codec.AAC, Codec.ALAC, Codec.VORBIS)


def read_ladder() -> tuple[Tier, ...]:
    """Return the tiers of ``ladder.toml``, least to best. Raises LadderInvalid."""
    return parse_ladder((files("pipeline") / "ladder.toml").read_text("utf-8"))


def parse_ladder(text: str) -> tuple[Tier, ...]:
    """Return the tiers that a ladder in TOML declares. Raises LadderInvalid."""
    try:
        rows = tomllib.loads(text).get("tier", [])
    except tomllib.TOMLDecodeError as fault:
        raise LadderInvalid(f"It is no TOML: {fault}.") from fault
    tiers = tuple(_parse_tier(row) for row in rows)
    names = [tier.name for tier in tiers]
    if not names or len(set(names)) != len(names):
        raise LadderInvalid("It needs at least one tier, and no name twice.", tiers=len(names))
    return tiers


def _parse_tier(row: Any) -> Tier:
    known = {"name", "codec", "bitrate_kbps", "hires"}
    if not isinstance(row, dict) or not {"name", "codec"} <= set(row) <= known:
        raise LadderInvalid(f"A tier has name, codec and perhaps others of {sorted(known)}.")
    name, bitrate, hires = row["name"], row.get("bitrate_kbps"), row.get("hires", False)
    if not isinstance(name, str) or len(name) > 32 or not _NAME.fullmatch(name):
        raise LadderInvalid(f"{name!r} is no tier name: lower-case words joined by hyphens.")
    if row["codec"] not in _CUT_CODECS:
        raise LadderInvalid(f"Tier {name}: codec {row['codec']!r} is none that lathe cuts.")
    codec = Codec(row["codec"])
    if not isinstance(hires, bool) or (hires and not codec.lossless):
        raise LadderInvalid(f"Tier {name}: hires is true or false, and true for lossless only.")
    if codec.lossless and bitrate is not None:
        raise LadderInvalid(f"Tier {name}: a lossless tier has no bit rate.")
    if not codec.lossless and not (isinstance(bitrate, int) and 16 <= bitrate <= 512):
        raise LadderInvalid(f"Tier {name}: bitrate_kbps is a whole number from 16 to 512.")
    return Tier(name=name, codec=codec, bitrate_kbps=bitrate, hires=hires)


def choose_tiers(ladder: Sequence[Tier], names: Sequence[str] | None) -> tuple[Tier, ...]:
    """Return the tiers named, in ladder order; all of them for None. Raises TierUnknown."""
    if names is None:
        return tuple(ladder)
    unknown = sorted(set(names) - {tier.name for tier in ladder})
    if unknown:
        known = ", ".join(tier.name for tier in ladder)
        raise TierUnknown(f"{', '.join(unknown)}: the ladder has {known}.", tier=unknown[0])
    return tuple(tier for tier in ladder if tier.name in names)

"""Pure rules: which tiers a master earns, who may hear a track where, how long a URL lives."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from catalogue.errors import TerritoryNotLicensed, TerritoryUndetermined, TrackNotReady
from catalogue.identifiers import WORLDWIDE
from catalogue.nouns import Master, Tier, TierRefused, Track, TrackId

URL_LIFE = timedelta(hours=1)
URL_ROUNDING = timedelta(minutes=5)
REFRESH_AFTER = timedelta(minutes=50)

ANONYMOUS_SESSION = "anon"

SCORE_WEIGHTS = {"tempo": 0.2, "energy": 0.3, "valence": 0.3, "danceability": 0.2}
"""How much each score counts in the distance between two tracks; a tempo counts by its octaves."""


def plan_tiers(master: Master, ladder: Sequence[Tier]) -> tuple[list[Tier], list[TierRefused]]:
    """Return the tiers that ``master`` honestly fills, in ladder order, and those it does not."""
    earned: list[Tier] = []
    refused: list[TierRefused] = []
    for tier in ladder:
        reason = _refusal(master, tier)
        if reason is None:
            earned.append(tier)
        else:
            refused.append(TierRefused(tier=tier.name, reason=reason))
    return earned, refused


def _refusal(master: Master, tier: Tier) -> str | None:
    if tier.codec.lossless and master.lossy:
        return f"the master is lossy ({master.codec}): no lossless tier can be made from it"
    if tier.hires and (master.bits is None or master.bits <= 16):
        return f"the master has {master.bits} bits: a hi-res tier would only pad it"
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """Proof that the rules let this session stream this track; signing asks for one."""

    track_id: TrackId
    session: str
    territory: str
    expires_at: datetime
    refresh_after: datetime


def is_licensed(track: Track, territory: str | None) -> bool:
    """Return whether ``track`` may be streamed in ``territory``, which may not be known."""
    licensed = {right.territory for right in track.metadata.rights}
    return WORLDWIDE in licensed or territory in licensed


def grant_stream(track: Track, *, territory: str | None, session: str, now: datetime) -> Grant:
    """Return the grant to stream ``track`` in ``territory`` now.

    The expiry is at least ``URL_LIFE`` away and rounded up to ``URL_ROUNDING``, so that equal
    requests get equal URLs. Raises TrackNotReady, TerritoryUndetermined, TerritoryNotLicensed.
    """
    if not is_licensed(track, territory):
        if territory is None:
            raise TerritoryUndetermined("The track is not licensed worldwide.", track=track.id)
        raise TerritoryNotLicensed(
            f"The track is not licensed in {territory}.", track=track.id, territory=territory
        )
    if not track.renditions:
        raise TrackNotReady("No rendition of it has been published.", track=track.id)
    step = URL_ROUNDING.total_seconds()
    expires_s = -(-(now + URL_LIFE).timestamp() // step) * step
    expires_at = datetime.fromtimestamp(expires_s, UTC)
    return Grant(
        track_id=track.id,
        session=session,
        territory=territory or WORLDWIDE,
        expires_at=expires_at,
        refresh_after=expires_at - URL_LIFE + REFRESH_AFTER,
    )

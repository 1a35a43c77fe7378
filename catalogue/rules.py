"""Pure rules: which tiers a master earns, and what makes two tracks alike."""

from collections.abc import Sequence

from catalogue.nouns import Master, Tier, TierRefused

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

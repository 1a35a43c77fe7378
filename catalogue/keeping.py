"""What a listener may keep on a device, in which rendition, and until when: pure rules."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from catalogue.errors import LatheError, RoleMayNot, SubscriptionTooLow
from catalogue.licensing import Grant, Listener, reach_of, refusal_of
from catalogue.nouns import Codec, Quality, Rendition, Track, Use
from catalogue.permissions import Action, may

LICENCE_LIFE, RENEW_AFTER = timedelta(days=30), timedelta(days=7)

_LIKED = (Codec.AAC, Codec.FLAC, Codec.VORBIS, Codec.ALAC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a track may be kept: until which second, or why not."""

    until: datetime
    fault: LatheError | None = None


def choose_kept(grant: Grant) -> Rendition:
    """Return the rendition to be kept: the best that is granted, in the codec most players take."""
    return max(
        grant.renditions,
        key=lambda each: (each.tier.quality, -_LIKED.index(each.tier.codec)),
    )


def judge_kept(track: Track, quality: Quality, listener: Listener, *, now: datetime) -> Verdict:
    """Return whether a track that was downloaded in ``quality`` may still be kept.

    Never until after the right ends, however long a licence lasts.
    """
    if listener.role is None or not may(listener.role, Action.DOWNLOAD):
        told = f"The role {listener.role or 'guest'} may not download."
        action = RoleMayNot(told, role=listener.role, action=Action.DOWNLOAD)
        return Verdict(until=now, fault=action)
    fault = refusal_of(track, listener, use=Use.DOWNLOAD, now=now)
    if fault is not None:
        return Verdict(until=now, fault=fault)
    reached, ends_at = reach_of(track, listener, use=Use.DOWNLOAD, now=now)
    if quality > reached:
        told = f"Subscription and right reach {reached.label}."
        needed = SubscriptionTooLow(told, track=track.id, needed=quality.label)
        return Verdict(until=now, fault=needed)
    until = now + LICENCE_LIFE
    until = until if ends_at is None else min(until, ends_at)
    return Verdict(until=until.replace(microsecond=0))

"""Who may hear what, where, when and how well: pure rules, and the grant that proves a yes.

``judge`` asks every question in order, and is what both a refusal and an explanation are made of.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from catalogue.errors import (
    LatheError,
    RightEnded,
    RightNotBegun,
    RoleMayNot,
    SubscriptionTooLow,
    TerritoryNotLicensed,
    TerritoryUndetermined,
    TierNotLicensed,
    TrackNotFound,
    TrackNotReady,
    TrackTakenDown,
    UseNotLicensed,
)
from catalogue.identifiers import WORLDWIDE
from catalogue.nouns import (
    AccountId,
    Codec,
    Quality,
    Rendition,
    RenditionId,
    Right,
    Rung,
    Track,
    TrackId,
    Use,
    Window,
)
from catalogue.people import Account, Network, Plan, Role
from catalogue.permissions import Action, may

URL_LIFE = timedelta(hours=1)
URL_ROUNDING = timedelta(minutes=5)
REFRESH_AFTER = timedelta(minutes=50)

GUEST_SESSION = "anon"

_STEP_S = URL_ROUNDING // timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """Who asks to hear something, as far as the rules care.

    ``session`` is what signed URLs carry. ``role`` is None for a guest; ``label`` is the one that
    a listener of that role works for, ``account_id`` what an owner's tracks are known by.
    ``plan_quality`` is what the subscription to ``plan`` reaches; a label's key has none.
    """

    session: str = GUEST_SESSION
    role: Role | None = None
    label: str | None = None
    account_id: AccountId | None = None
    territory: str | None = None
    plan: Plan | None = None
    plan_quality: Quality = Quality.HIRES


def listener_of(account: Account, *, session: str, territory: str | None) -> Listener:
    """Return an account as a listener; it is at home where it says, else in ``territory``.

    A label hears what is its own at its best, whatever its plan.
    """
    is_label = account.role is Role.LABEL
    return Listener(
        session=session,
        role=account.role,
        label=account.label if is_label else None,
        account_id=account.id,
        territory=account.territory or territory,
        plan=account.plan,
        plan_quality=Quality.HIRES if is_label else account.plan.quality,
    )


def guest_of(plan: Plan, *, territory: str | None) -> Listener:
    """Return whoever has not signed in, where guests listen as if on ``plan``."""
    return Listener(territory=territory, plan=plan, plan_quality=plan.quality)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a player asks for: no better than preferred, and than its network carries.

    Limited to ``codecs`` when any are named.
    """

    preferred: Quality | None = None
    network: Network | None = None
    codecs: tuple[Codec, ...] = ()

    @property
    def quality(self) -> Quality:
        """The best quality that is wished for."""
        preferred = Quality.HIRES if self.preferred is None else self.preferred
        return preferred if self.network is None else min(preferred, self.network.quality)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """Proof that the rules let this session hear these renditions; signing asks for one.

    ``quality`` is the bound that subscription, right and wish set together.
    """

    track_id: TrackId
    session: str
    territory: str
    quality: Quality
    renditions: tuple[Rendition, ...]
    expires_at: datetime
    refresh_after: datetime

    def covers(self, rendition_id: RenditionId) -> bool:
        """Return whether a rendition is among those granted."""
        return any(rendition.id == rendition_id for rendition in self.renditions)


class Decision(NamedTuple):
    """What of a track is granted, where no rule refuses it: the same for all tracks alike.

    ``places`` are those of the renditions that are offered, among all of a track's.
    """

    quality: Quality
    places: tuple[int, ...]
    expires_at: datetime
    refresh_after: datetime

    def grant(
        self, track_id: TrackId, listener: Listener, renditions: tuple[Rendition, ...]
    ) -> Grant:
        """Return the grant of a track to a listener whom it was decided for."""
        return Grant(
            track_id=track_id,
            session=listener.session,
            territory=listener.territory or WORLDWIDE,
            quality=self.quality,
            renditions=renditions,
            expires_at=self.expires_at,
            refresh_after=self.refresh_after,
        )


class Finding(NamedTuple):
    """The answer to one question: in words, and the fault where it is a no."""

    question: str
    told: str
    fault: LatheError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Deal:
    """What a label says of a recording's rights: one window in many territories."""

    territories: Collection[str]
    excluded: Collection[str] = ()
    window: Window = field(default_factory=Window)

    def covers(self, territory: str) -> bool:
        """Return whether the deal holds in a territory."""
        named = territory in self.territories or WORLDWIDE in self.territories
        return named and territory not in self.excluded


def resolve_deals(deals: Sequence[Deal]) -> tuple[Right, ...]:
    """Return the rights that deals add up to, by territory; one with a right has all its windows.

    A territory that Worldwide deals exclude, and that no other deal covers, has one without any.
    """
    named = {each for deal in deals for each in (*deal.territories, *deal.excluded)}
    worldwide = any(WORLDWIDE in deal.territories for deal in deals)
    found = []
    for territory in sorted(named):
        windows = tuple(dict.fromkeys(deal.window for deal in deals if deal.covers(territory)))
        if windows or (worldwide and territory != WORLDWIDE):
            found.append(Right(territory=territory, windows=windows))
    return tuple(found)


def judge(track: Track, listener: Listener, *, use: Use, now: datetime) -> Iterator[Finding]:
    """Give the findings on every question, in order, up to and with the first no."""
    windows = _windows(track, listener.territory)
    asked = _Asked(track, listener, use, now, windows, len(track.renditions))
    for question, ask, tell in _QUESTIONS:
        fault = ask(asked)
        yield Finding(question, tell(asked) if fault is None else fault.detail, fault)
        if fault is not None:
            return


def may_stream(track: Track, listener: Listener, *, now: datetime) -> bool:
    """Return whether no rule keeps ``listener`` from ``track`` now, published or not."""
    return refusal_of(track, listener, use=Use.STREAM, now=now) is None


def explain(
    track: Track, listener: Listener, *, use: Use, wish: Wish, now: datetime
) -> list[Finding]:
    """Return the findings on every question, that of quality too, up to and with the first no."""
    found = list(judge(track, listener, use=use, now=now))
    if found[-1].fault is not None:
        return found
    try:
        grant = grant_stream(track, listener, use=use, wish=wish, now=now)
    except LatheError as fault:
        return [*found, Finding(question="quality", told=fault.detail, fault=fault)]
    tiers = ", ".join(rendition.tier.name for rendition in grant.renditions)
    return [*found, Finding(question="quality", told=f"{grant.quality.label}: {tiers}")]


def grant_stream(
    track: Track,
    listener: Listener,
    *,
    now: datetime,
    wish: Wish | None = None,
    use: Use = Use.STREAM,
) -> Grant:
    """Return the grant to hear ``track`` now, as well as subscription, right and wish allow.

    Raises what decide raises.
    """
    rungs = [each.rung for each in track.renditions]
    decision = decide(track, rungs, listener, now=now, wish=wish or Wish(), use=use)
    chosen = tuple(track.renditions[place] for place in decision.places)
    return decision.grant(track.id, listener, chosen)


def decide(
    track: Track,
    rungs: Sequence[Rung],
    listener: Listener,
    *,
    now: datetime,
    wish: Wish,
    use: Use = Use.STREAM,
) -> Decision:
    """Return what is granted of a track with these ``rungs``, whatever its own renditions are.

    The expiry is at least ``URL_LIFE`` away and rounded up to ``URL_ROUNDING``, so that equal
    requests get equal URLs, but never after the right ends. Raises TrackNotFound, RoleMayNot,
    TrackTakenDown, RightsMissing, SubscriptionTooLow and TrackNotReady.
    """
    windows = _windows(track, listener.territory)
    fault = _find_fault(_Asked(track, listener, use, now, windows, len(rungs)))
    if fault is not None:
        raise fault
    window, ends_at = _best_window(windows, use, now)
    licensed = _quality(window)
    places = _choose(track, rungs, listener, wish, licensed)
    expires_at = urls_end_at(now)
    refresh_after = expires_at - URL_LIFE + REFRESH_AFTER
    return Decision(
        quality=min(listener.plan_quality, licensed, wish.quality),
        places=places,
        expires_at=expires_at if ends_at is None else min(expires_at, ends_at),
        refresh_after=refresh_after if ends_at is None else min(refresh_after, ends_at),
    )


def urls_end_at(now: datetime) -> datetime:
    """Return when URLs end that are signed now, where no right ends before.

    At least ``URL_LIFE`` away, and rounded up to ``URL_ROUNDING``.
    """
    return _round_up(now + URL_LIFE)


def refusal_of(track: Track, listener: Listener, *, use: Use, now: datetime) -> LatheError | None:
    """Return why ``listener`` may not use ``track`` so now; None where no rule forbids it.

    Whether it is published is not asked.
    """
    windows = _windows(track, listener.territory)
    fault = _find_fault(_Asked(track, listener, use, now, windows, len(track.renditions)))
    return None if isinstance(fault, TrackNotReady) else fault


def reach_of(
    track: Track, listener: Listener, *, use: Use, now: datetime
) -> tuple[Quality, datetime | None]:
    """Return the best quality that plan and right reach where no rule refuses, and until when."""
    window, ends_at = _best_window(_windows(track, listener.territory), use, now)
    return min(listener.plan_quality, _quality(window)), ends_at


def next_turn(track: Track, territory: str | None, *, now: datetime) -> datetime:
    """Return until when equal requests for ``track`` from there have the same answer as ``now``."""
    turns = [track.taken_down_at]
    for window in _windows(track, territory):
        turns += [window.starts_at, window.ends_at]
    coming = [turn for turn in turns if turn is not None and turn > now]
    return min([_round_up(now), *coming])


@lru_cache(maxsize=16)
def _rounded(step: int) -> datetime:
    return datetime.fromtimestamp(step * _STEP_S, UTC)


def _round_up(moment: datetime) -> datetime:
    """Return the next moment that is a multiple of ``URL_ROUNDING``, or this one if it is."""
    return _rounded(int(-(-moment.timestamp() // _STEP_S)))


# --------------------------------------------------------------------------- the questions


class _Asked(NamedTuple):
    """All that the questions are about; ``windows`` are those of the listener's territory.

    ``published`` is how many renditions there are.
    """

    track: Track
    listener: Listener
    use: Use
    now: datetime
    windows: tuple[Window, ...]
    published: int

    @property
    def place(self) -> str:
        """Where the listener is, as it is told."""
        return self.listener.territory or WORLDWIDE


def _find_fault(asked: _Asked) -> LatheError | None:
    for _, ask, _ in _QUESTIONS:
        fault = ask(asked)
        if fault is not None:
            return fault
    return None


def _ask_owner(asked: _Asked) -> LatheError | None:
    track = asked.track
    if track.owner is None or track.owner == asked.listener.account_id:
        return None
    # To anybody else there is no such track.
    return TrackNotFound("No track has this id.", track=track.id)


def _tell_owner(asked: _Asked) -> str:
    return "a track of the catalogue" if asked.track.owner is None else "the listener's own"


def _ask_role(asked: _Asked) -> LatheError | None:
    role = asked.listener.role
    if role is None:
        return None
    if not may(role, Action.STREAM):
        return RoleMayNot(f"The role {role} may not stream.", role=role, action=Action.STREAM)
    if role is Role.LABEL and asked.listener.label != asked.track.label:
        told = "A label streams what it delivered itself."
        return RoleMayNot(told, role=role, action=Action.STREAM)
    return None


def _tell_role(asked: _Asked) -> str:
    role = asked.listener.role
    return "a guest" if role is None else f"{role} may stream"


def _ask_takedown(asked: _Asked) -> LatheError | None:
    since = asked.track.taken_down_at
    if since is None or asked.now < since:
        return None
    told = f"The track was taken down on {since:%Y-%m-%d at %H:%M} UTC."
    return TrackTakenDown(told, track=asked.track.id, taken_down_at=since.isoformat())


def _ask_territory(asked: _Asked) -> LatheError | None:
    territory, track_id = asked.listener.territory, asked.track.id
    if asked.windows:
        return None
    if territory is None:
        return TerritoryUndetermined("The track is not licensed worldwide.", track=track_id)
    told = f"The track is not licensed in {territory}."
    return TerritoryNotLicensed(told, track=track_id, territory=territory)


def _ask_period(asked: _Asked) -> LatheError | None:
    now, place, track_id = asked.now, asked.place, asked.track.id
    if any(_is_open(window, now) for window in asked.windows):
        return None
    coming = [each.starts_at for each in asked.windows if each.starts_at is not None]
    later = min((moment for moment in coming if moment > now), default=None)
    if later is not None:
        told = f"The right in {place} begins on {later:%Y-%m-%d at %H:%M} UTC."
        return RightNotBegun(told, track=track_id, territory=place, starts_at=_written(later))
    ended = max(each.ends_at for each in asked.windows if each.ends_at is not None)
    told = f"The right in {place} ended on {ended:%Y-%m-%d at %H:%M} UTC."
    return RightEnded(told, track=track_id, territory=place, ended_at=_written(ended))


def _ask_use(asked: _Asked) -> LatheError | None:
    use = asked.use
    if any(_is_open(window, asked.now) and use in window.uses for window in asked.windows):
        return None
    told = f"The right in {asked.place} does not allow to {use}."
    return UseNotLicensed(told, track=asked.track.id, territory=asked.place, use=use)


def _ask_published(asked: _Asked) -> LatheError | None:
    if asked.published:
        return None
    return TrackNotReady("No rendition of it has been published.", track=asked.track.id)


_QUESTIONS: tuple[
    tuple[str, Callable[[_Asked], LatheError | None], Callable[[_Asked], str]], ...
] = (
    ("owner", _ask_owner, _tell_owner),
    ("role", _ask_role, _tell_role),
    ("takedown", _ask_takedown, lambda _: "not taken down"),
    ("territory", _ask_territory, lambda asked: f"licensed in {asked.place}"),
    ("period", _ask_period, lambda _: "within it"),
    ("use", _ask_use, lambda asked: f"licensed to {asked.use}"),
    ("published", _ask_published, lambda asked: f"at {asked.published} tiers"),
)


# --------------------------------------------------------------------------- windows and quality


def _windows(track: Track, territory: str | None) -> tuple[Window, ...]:
    """Return the windows of a territory: its own right's, else those of the one Worldwide."""
    worldwide: tuple[Window, ...] = ()
    for right in track.metadata.rights:
        if right.territory == territory:
            return right.windows
        if right.territory == WORLDWIDE:
            worldwide = right.windows
    return worldwide


def _is_open(window: Window, now: datetime) -> bool:
    begun = window.starts_at is None or window.starts_at <= now
    return begun and (window.ends_at is None or now < window.ends_at)


def _quality(window: Window) -> Quality:
    return Quality.HIRES if window.max_quality is None else window.max_quality


def _best_window(
    windows: Sequence[Window], use: Use, now: datetime
) -> tuple[Window, datetime | None]:
    """Return the window that allows most now, and until when nothing less is allowed.

    One of them does allow the use now.
    """
    if len(windows) == 1:
        return windows[0], windows[0].ends_at
    usable = [window for window in windows if use in window.uses]
    best = max((window for window in usable if _is_open(window, now)), key=_quality)
    as_good = [window for window in usable if _quality(window) >= _quality(best)]
    end = best.ends_at
    while end is not None:
        following = [each for each in as_good if _is_open(each, end)]
        if not following:
            return best, end
        ends = [each.ends_at for each in following if each.ends_at is not None]
        end = max(ends) if len(ends) == len(following) else None
    return best, None


def _choose(
    track: Track, rungs: Sequence[Rung], listener: Listener, wish: Wish, licensed: Quality
) -> tuple[int, ...]:
    """Return the places of the renditions to be offered, in ladder order.

    Subscription and right are bounds. A wish is none: where nothing is as modest as wished, the
    most modest is offered, of each container by itself, for a player knows but one of them.
    """
    asked = [
        (place, rung)
        for place, rung in enumerate(rungs)
        if not wish.codecs or rung.codec in wish.codecs
    ]
    if not asked:
        raise TrackNotReady("It has no rendition in the codecs asked for.", track=track.id)
    within = [(place, rung) for place, rung in asked if rung.quality <= licensed]
    if not within:
        raise TierNotLicensed(
            f"The right allows {licensed.label} at most.", track=track.id, licensed=licensed.label
        )
    plan = listener.plan_quality
    reached = [(place, rung) for place, rung in within if rung.quality <= plan]
    if not reached:
        raise SubscriptionTooLow(
            f"The subscription reaches {plan.label}.",
            track=track.id,
            subscription=plan.label,
            needed=min(rung.quality for _, rung in within).label,
        )
    bounds: dict[str, Quality] = {}
    for _, rung in reached:
        bounds[rung.media_type] = min(bounds.get(rung.media_type, rung.quality), rung.quality)
    wished = wish.quality
    return tuple(
        place for place, rung in reached if rung.quality <= max(wished, bounds[rung.media_type])
    )


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

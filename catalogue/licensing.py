"""Who may hear what, where, when and how well: pure rules, and the grant that proves a yes.

``judge`` asks every question in order, and is what both a refusal and an explanation are made of.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
    questions = (
        _ask_owner,
        _ask_role,
        _ask_takedown,
        _ask_territory,
        _ask_period,
        _ask_use,
        _ask_published,
    )
    for ask in questions:
        finding = ask(track, listener, use, now)
        yield finding
        if finding.fault is not None:
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

    The expiry is at least ``URL_LIFE`` away and rounded up to ``URL_ROUNDING``, so that equal
    requests get equal URLs, but never after the right ends. Raises TrackNotFound, RoleMayNot,
    TrackTakenDown, RightsMissing, SubscriptionTooLow and TrackNotReady.
    """
    for finding in judge(track, listener, use=use, now=now):
        if finding.fault is not None:
            raise finding.fault
    wish = wish or Wish()
    window, ends_at = _best_window(_windows(track, listener.territory), use, now)
    licensed = _quality(window)
    chosen = _choose(track, listener, wish, licensed)
    expires_at = urls_end_at(now)
    refresh_after = expires_at - URL_LIFE + REFRESH_AFTER
    return Grant(
        track_id=track.id,
        session=listener.session,
        territory=listener.territory or WORLDWIDE,
        quality=min(listener.plan_quality, licensed, wish.quality),
        renditions=chosen,
        expires_at=expires_at if ends_at is None else min(expires_at, ends_at),
        refresh_after=refresh_after if ends_at is None else min(refresh_after, ends_at),
    )


def urls_end_at(now: datetime) -> datetime:
    """Return when URLs end that are signed now, where no right ends before.

    At least ``URL_LIFE`` away, and rounded up to ``URL_ROUNDING``.
    """
    step = URL_ROUNDING.total_seconds()
    return datetime.fromtimestamp(-(-(now + URL_LIFE).timestamp() // step) * step, UTC)


def refusal_of(track: Track, listener: Listener, *, use: Use, now: datetime) -> LatheError | None:
    """Return why ``listener`` may not use ``track`` so now; None where no rule forbids it.

    Whether it is published is not asked.
    """
    found = judge(track, listener, use=use, now=now)
    fault = next((finding.fault for finding in found if finding.fault is not None), None)
    return None if isinstance(fault, TrackNotReady) else fault


def reach_of(
    track: Track, listener: Listener, *, use: Use, now: datetime
) -> tuple[Quality, datetime | None]:
    """Return the best quality that plan and right reach where no rule refuses, and until when."""
    window, ends_at = _best_window(_windows(track, listener.territory), use, now)
    return min(listener.plan_quality, _quality(window)), ends_at


def next_turn(track: Track, *, now: datetime) -> datetime:
    """Return until when equal requests for ``track`` have the same answer as ``now``."""
    step = URL_ROUNDING.total_seconds()
    turns = [track.taken_down_at]
    for right in track.metadata.rights:
        for window in right.windows:
            turns += [window.starts_at, window.ends_at]
    coming = [turn for turn in turns if turn is not None and turn > now]
    return min([datetime.fromtimestamp(-(-now.timestamp() // step) * step, UTC), *coming])


# --------------------------------------------------------------------------- the questions


def _ask_owner(track: Track, listener: Listener, _: Use, __: datetime) -> Finding:
    if track.owner is None:
        return Finding(question="owner", told="a track of the catalogue")
    if track.owner == listener.account_id:
        return Finding(question="owner", told="the listener's own")
    # To anybody else there is no such track.
    told = "No track has this id."
    return Finding(question="owner", told=told, fault=TrackNotFound(told, track=track.id))


def _ask_role(track: Track, listener: Listener, _: Use, __: datetime) -> Finding:
    role = listener.role
    if role is None:
        return Finding(question="role", told="a guest")
    if not may(role, Action.STREAM):
        told = f"The role {role} may not stream."
        return Finding(
            question="role", told=told, fault=RoleMayNot(told, role=role, action=Action.STREAM)
        )
    if role is Role.LABEL and listener.label != track.label:
        told = "A label streams what it delivered itself."
        return Finding(
            question="role", told=told, fault=RoleMayNot(told, role=role, action=Action.STREAM)
        )
    return Finding(question="role", told=f"{role} may stream")


def _ask_takedown(track: Track, _: Listener, __: Use, now: datetime) -> Finding:
    since = track.taken_down_at
    if since is None or now < since:
        return Finding(question="takedown", told="not taken down")
    told = f"The track was taken down on {since:%Y-%m-%d at %H:%M} UTC."
    fault = TrackTakenDown(told, track=track.id, taken_down_at=since.isoformat())
    return Finding(question="takedown", told=told, fault=fault)


def _ask_territory(track: Track, listener: Listener, _: Use, __: datetime) -> Finding:
    territory = listener.territory
    if _windows(track, territory):
        return Finding(question="territory", told=f"licensed in {territory or WORLDWIDE}")
    fault: LatheError
    if territory is None:
        told = "The track is not licensed worldwide."
        fault = TerritoryUndetermined(told, track=track.id)
    else:
        told = f"The track is not licensed in {territory}."
        fault = TerritoryNotLicensed(told, track=track.id, territory=territory)
    return Finding(question="territory", told=told, fault=fault)


def _ask_period(track: Track, listener: Listener, _: Use, now: datetime) -> Finding:
    windows = _windows(track, listener.territory)
    place = listener.territory or WORLDWIDE
    if any(_is_open(window, now) for window in windows):
        return Finding(question="period", told="within it")
    fault: LatheError
    coming = [each.starts_at for each in windows if each.starts_at is not None]
    later = min((moment for moment in coming if moment > now), default=None)
    if later is not None:
        told = f"The right in {place} begins on {later:%Y-%m-%d at %H:%M} UTC."
        fault = RightNotBegun(told, track=track.id, territory=place, starts_at=_written(later))
    else:
        ended = max(each.ends_at for each in windows if each.ends_at is not None)
        told = f"The right in {place} ended on {ended:%Y-%m-%d at %H:%M} UTC."
        fault = RightEnded(told, track=track.id, territory=place, ended_at=_written(ended))
    return Finding(question="period", told=told, fault=fault)


def _ask_use(track: Track, listener: Listener, use: Use, now: datetime) -> Finding:
    windows = _windows(track, listener.territory)
    if any(_is_open(window, now) and use in window.uses for window in windows):
        return Finding(question="use", told=f"licensed to {use}")
    place = listener.territory or WORLDWIDE
    told = f"The right in {place} does not allow to {use}."
    fault = UseNotLicensed(told, track=track.id, territory=place, use=use)
    return Finding(question="use", told=told, fault=fault)


def _ask_published(track: Track, _: Listener, __: Use, ___: datetime) -> Finding:
    if track.renditions:
        return Finding(question="published", told=f"at {len(track.renditions)} tiers")
    told = "No rendition of it has been published."
    return Finding(question="published", told=told, fault=TrackNotReady(told, track=track.id))


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
    windows: Iterable[Window], use: Use, now: datetime
) -> tuple[Window, datetime | None]:
    """Return the window that allows most now, and until when nothing less is allowed."""
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
    track: Track, listener: Listener, wish: Wish, licensed: Quality
) -> tuple[Rendition, ...]:
    """Return the renditions to be offered, in ladder order.

    Subscription and right are bounds. A wish is none: where nothing is as modest as wished, the
    most modest is offered, of each container by itself, for a player knows but one of them.
    """
    asked = [
        (each, each.tier.quality)
        for each in track.renditions
        if not wish.codecs or each.tier.codec in wish.codecs
    ]
    if not asked:
        raise TrackNotReady("It has no rendition in the codecs asked for.", track=track.id)
    within = [(each, quality) for each, quality in asked if quality <= licensed]
    if not within:
        raise TierNotLicensed(
            f"The right allows {licensed.label} at most.", track=track.id, licensed=licensed.label
        )
    plan = listener.plan_quality
    reached = [(each, quality) for each, quality in within if quality <= plan]
    if not reached:
        raise SubscriptionTooLow(
            f"The subscription reaches {plan.label}.",
            track=track.id,
            subscription=plan.label,
            needed=min(quality for _, quality in within).label,
        )
    bounds: dict[str, Quality] = {}
    for each, quality in reached:
        bounds[each.media_type] = min(bounds.get(each.media_type, quality), quality)
    wished = wish.quality
    return tuple(
        each for each, quality in reached if quality <= max(wished, bounds[each.media_type])
    )


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

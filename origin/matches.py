"""Listeners bring their own files here: they play from the catalogue, or for their owners alone.

A file is matched with the catalogue by its sound. What is known is not kept; what is not becomes a
track that its owner hears and nobody else knows of.
"""

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalogue import errors
from catalogue.errors import JobNotFound, MetadataInvalid, SessionMissing
from catalogue.licensing import Listener, may_stream
from catalogue.nouns import Job, JobId, JobState, TrackId, WorkQueue
from catalogue.people import Account
from catalogue.permissions import Action
from origin.access import SESSION_REFUSALS, AnyListener, Caller, Parts, counted, requires
from origin.jobs import Kin
from origin.problems import Problem, describe_reason, responses
from origin.receiving import Received, describe_form, receive
from origin.services import Services
from origin.throttle import Category

router = APIRouter(
    prefix="/v1/matches",
    tags=["matches"],
    dependencies=[counted(Category.SEARCH)],
    responses=responses(errors.TooManyRequests),
)

_PAGE_MAX = 200


class FileSaid(BaseModel):
    """What a listener says of a file; the file's name stands in for its title."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    title: str = Field(default="", max_length=500)
    artist: str = Field(default="", max_length=500)


class Outcome(StrEnum):
    """What became of a file."""

    MATCHED = "matched"
    UPLOADED = "uploaded"
    FAILED = "failed"


class Match(BaseModel):
    """A file that a listener brought."""

    id: str
    state: JobState
    stage: str = Field(examples=["wait", "probe", "match", "press", "measure", "publish", "done"])
    percent: int = Field(ge=0, le=100)
    outcome: Outcome | None = Field(description="null until it is known")
    track_id: str | None = Field(
        description="what to play: the track that it matched, or the listener's own"
    )
    matched: list[Kin] = Field(
        description="every track that it is a recording of; offset_s is where in it the file begins"
    )
    reason: Problem | None = Field(description="why it failed, if it did")
    created_at: datetime
    finished_at: datetime | None


class MatchPage(BaseModel):
    """A page of matches; ``next`` continues it, null at the end."""

    matches: list[Match]
    next: str | None


async def _require_account(
    caller: Annotated[Caller, Depends(requires(Action.MATCH))],
) -> Account:
    if caller.signed_in is None:
        raise SessionMissing("No session's token was sent.")
    return caller.signed_in.account


Owner = Annotated[Account, Depends(_require_account)]

_REFUSALS = (*SESSION_REFUSALS, errors.RoleMayNot)


@router.post(
    "",
    status_code=202,
    openapi_extra=describe_form(FileSaid),
    responses=responses(
        *_REFUSALS,
        errors.RequestInvalid,
        errors.MetadataInvalid,
        errors.MasterEmpty,
        errors.TooLarge,
        errors.Unavailable,
    ),
)
async def bring(
    request: Request, response: Response, owner: Owner, listener: AnyListener, parts: Parts
) -> Match:
    """Take a file and return where its match stands."""
    async with receive(request, parts.store, parts.max_master_bytes) as received:
        job = await parts.senders.run(lambda: _accept(parts, owner, received))
    response.headers["Location"] = f"/v1/matches/{job.id}"
    return await to_thread.run_sync(_describe, parts, job, listener)


@router.get("", responses=responses(*_REFUSALS, errors.RequestInvalid))
def list_matches(
    owner: Owner,
    listener: AnyListener,
    parts: Parts,
    after: Annotated[str, Query(max_length=60)] = "",
    limit: Annotated[int, Query(ge=1, le=_PAGE_MAX)] = 50,
) -> MatchPage:
    """Return the listener's own files, in the order they came."""
    found = parts.jobs.of_owner(owner.id, after=after, limit=limit)
    last = found[-1].id if len(found) == limit else None
    return MatchPage(matches=[_describe(parts, job, listener) for job in found], next=last)


@router.get("/{match_id}", responses=responses(*_REFUSALS, errors.JobNotFound))
def get_match(
    match_id: Annotated[str, Path(max_length=60)],
    owner: Owner,
    listener: AnyListener,
    parts: Parts,
) -> Match:
    """Return where a match of the listener's own stands."""
    if parts.jobs.delivery(JobId(match_id)).owner != owner.id:
        raise JobNotFound("No job has this id.", job=match_id)
    return _describe(parts, parts.jobs.get(JobId(match_id)), listener)


def _accept(parts: Services, owner: Account, received: Received) -> Job:
    try:
        said = FileSaid.model_validate_json(received.metadata)
    except ValidationError as fault:
        first = fault.errors()[0]
        where = "/" + "/".join(str(part) for part in first["loc"])
        raise MetadataInvalid(f"{where}: {first['msg']}.", pointer=where) from fault
    return parts.intake.accept_own(
        received.master, owner.id, title=said.title, artist=said.artist, queue=WorkQueue.URGENT
    )


def _describe(parts: Services, job: Job, listener: Listener) -> Match:
    outcome = _outcome(job)
    track_id: TrackId | None = None
    if outcome is Outcome.MATCHED:
        track_id = _playable(parts, job, listener)
    elif outcome is Outcome.UPLOADED:
        track_id = job.track_id
    return Match(
        id=job.id,
        state=job.state,
        stage=job.stage,
        percent=job.percent,
        outcome=outcome,
        track_id=track_id,
        matched=[Kin.model_validate(asdict(kin)) for kin in job.resembles],
        reason=None if job.reason is None else describe_reason(job.reason),
        created_at=job.created_at,
        finished_at=job.finished_at,
    )


def _outcome(job: Job) -> Outcome | None:
    if not job.state.final:
        return None
    if job.state is not JobState.DONE:
        return Outcome.FAILED
    return Outcome.MATCHED if job.resembles else Outcome.UPLOADED


def _playable(parts: Services, job: Job, listener: Listener) -> TrackId:
    """Return the first track matched that the listener may hear now, or else the first."""
    found = [kin.track_id for kin in job.resembles]
    now = parts.now()
    heard = (each for each in found if may_stream(parts.tracks.get(each), listener, now=now))
    return next(heard, found[0])

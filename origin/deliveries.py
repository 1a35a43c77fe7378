"""Labels deliver masters here, and see where their jobs stand."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Path, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from catalogue import errors
from catalogue.errors import JobNotFound, KeyMissing, MetadataInvalid
from catalogue.identifiers import WORLDWIDE, parse_home, parse_isrc, parse_territory
from catalogue.licensing import Deal, resolve_deals
from catalogue.nouns import (
    AlbumSaid,
    Job,
    JobId,
    JobState,
    Kinship,
    Metadata,
    Use,
    Window,
    WorkQueue,
)
from catalogue.permissions import Action, may
from catalogue.port import Scope
from origin.access import LABEL_REFUSALS, AnyCaller, Label, Parts, counted, label_of
from origin.problems import Problem, describe_reason, responses
from origin.receiving import Received, describe_form, receive
from origin.services import Services
from origin.throttle import Category
from origin.tracks import QualityName

router = APIRouter(
    prefix="/v1",
    tags=["deliveries"],
    dependencies=[counted(Category.GLOBAL)],
    responses=responses(errors.TooManyRequests),
)

_TERRITORIES_MAX, _DEALS_MAX = 300, 100


class DealSaid(BaseModel):
    """Where, when, for what and how well a recording may be heard."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    territories: list[str] = Field(
        min_length=1,
        max_length=_TERRITORIES_MAX,
        examples=[["Worldwide"], ["US", "CA"]],
        description="ISO 3166-1 alpha-2 codes, or Worldwide",
    )
    excluded: list[str] = Field(
        default_factory=list, max_length=_TERRITORIES_MAX, description="not in these of Worldwide"
    )
    starts_at: AwareDatetime | None = Field(default=None, description="null: since ever")
    ends_at: AwareDatetime | None = Field(default=None, description="null: for ever")
    uses: list[Use] = Field(default_factory=lambda: list(Use), min_length=1, strict=False)
    max_quality: QualityName | None = Field(default=None, strict=False)


class AlbumMetadata(BaseModel):
    """The album that a recording is on; ``upc`` is the label's own name for it."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    upc: str = Field(pattern=r"^[0-9]{12,14}$", description="UPC or EAN")
    title: str = Field(min_length=1, max_length=500)
    disc: int = Field(default=1, ge=1, le=999)
    number: int = Field(ge=1, le=9999, description="on its disc")


class DeliveryMetadata(BaseModel):
    """What a label says of the recording it delivers."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    title: str = Field(min_length=1, max_length=500)
    artist: str = Field(min_length=1, max_length=500)
    isrc: str = Field(max_length=40, examples=["ZZLTH2600001"], description="ISO 3901")
    album: AlbumMetadata | None = None
    rights: list[DealSaid] = Field(
        min_length=1,
        max_length=_DEALS_MAX,
        description="where more than one holds, the track may be heard as the best of them says",
    )
    queue: Literal[WorkQueue.URGENT, WorkQueue.BULK] = Field(
        default=WorkQueue.URGENT, description="bulk for a back catalogue, which others go before"
    )


class Kin(BaseModel):
    """A published track that the delivered master is kin to."""

    track_id: str
    kinship: Kinship
    confidence: float = Field(ge=0, le=1, description="the probability that both are one recording")
    offset_s: float = Field(description="where in the track the delivered master begins")
    speed: float = Field(description="how much faster the delivered master runs")
    bit_error_rate: float = Field(ge=0, le=1, description="how unlike the fingerprints are")


class JobStatus(BaseModel):
    """Where a job stands."""

    id: str
    delivery_id: str
    track_id: str
    queue: WorkQueue
    state: JobState
    stage: str = Field(examples=["wait", "start", "probe", "press", "publish", "done"])
    percent: int = Field(ge=0, le=100)
    attempts: int
    heartbeat_at: datetime | None
    reason: Problem | None = Field(description="why the last attempt stopped, if it did")
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    resembles: list[Kin] = Field(description="published tracks that the master is kin to")


@router.post(
    "/deliveries",
    status_code=202,
    openapi_extra=describe_form(DeliveryMetadata),
    responses=responses(
        *LABEL_REFUSALS,
        errors.RequestInvalid,
        errors.MetadataInvalid,
        errors.IsrcInvalid,
        errors.TerritoryUnknown,
        errors.MasterEmpty,
        errors.TooLarge,
        errors.Unavailable,
    ),
)
async def deliver(request: Request, response: Response, label: Label, parts: Parts) -> JobStatus:
    """Take a master with its metadata and return the job that presses it.

    The same file under the same ISRC may be delivered again: the track keeps its id, and nothing
    is pressed twice.
    """
    staging = await to_thread.run_sync(parts.store.staging)
    async with receive(request, staging, parts.max_master_bytes) as received:
        job = await to_thread.run_sync(_accept, parts, label, received)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return _status(job)


@router.get(
    "/jobs/{job_id}",
    responses=responses(*LABEL_REFUSALS, errors.JobNotFound),
)
def get_job(
    job_id: Annotated[str, Path(max_length=60)], caller: AnyCaller, parts: Parts
) -> JobStatus:
    """Return where a job stands: stage, per cent, and why it stopped.

    A label sees its own, an operator all of them.
    """
    if caller.role is None:
        raise KeyMissing("No key was sent.")
    if not may(caller.role, Action.SEE_EVERY_JOB):
        label = label_of(caller, Scope.SEE)
        if parts.jobs.delivery(JobId(job_id)).label != label:
            raise JobNotFound("No job has this id.", job=job_id)
    return _status(parts.jobs.get(JobId(job_id)))


def _accept(parts: Services, label: str, received: Received) -> Job:
    said = _parse_metadata(received.metadata)
    metadata = _build_metadata(said)
    return parts.intake.accept(received.master, metadata, label=label, queue=said.queue)


def _parse_metadata(text: bytes) -> DeliveryMetadata:
    try:
        return DeliveryMetadata.model_validate_json(json.dumps(json.loads(text)))
    except (ValueError, RecursionError) as fault:
        if isinstance(fault, ValidationError):
            first = fault.errors()[0]
            where = "/" + "/".join(str(part) for part in first["loc"])
            raise MetadataInvalid(f"{where}: {first['msg']}.", pointer=where) from fault
        raise MetadataInvalid("The metadata is no JSON.") from fault


def _build_metadata(said: DeliveryMetadata) -> Metadata:
    deals = [_build_deal(place, deal) for place, deal in enumerate(said.rights)]
    return Metadata(
        title=said.title,
        artist=said.artist,
        isrc=parse_isrc(said.isrc),
        rights=resolve_deals(deals),
        album=None if said.album is None else AlbumSaid(**said.album.model_dump()),
    )


def _build_deal(place: int, said: DealSaid) -> Deal:
    pointer = f"/rights/{place}"
    territories = frozenset(parse_territory(code) for code in said.territories)
    excluded = frozenset(parse_home(code) for code in said.excluded)
    if excluded and territories != {WORLDWIDE}:
        raise MetadataInvalid(
            f"{pointer}/excluded: only Worldwide can leave something out.",
            pointer=f"{pointer}/excluded",
        )
    if said.starts_at and said.ends_at and said.ends_at <= said.starts_at:
        raise MetadataInvalid(
            f"{pointer}/ends_at: it lies before the begin.", pointer=f"{pointer}/ends_at"
        )
    window = Window(
        starts_at=said.starts_at,
        ends_at=said.ends_at,
        uses=tuple(use for use in Use if use in said.uses),
        max_quality=None if said.max_quality is None else said.max_quality.quality,
    )
    return Deal(territories=territories, excluded=excluded, window=window)


def _status(job: Job) -> JobStatus:
    return JobStatus(
        id=job.id,
        delivery_id=job.delivery_id,
        track_id=job.track_id,
        queue=job.queue,
        state=job.state,
        stage=job.stage,
        percent=job.percent,
        attempts=job.attempts,
        heartbeat_at=job.heartbeat_at,
        reason=None if job.reason is None else describe_reason(job.reason),
        created_at=job.created_at,
        updated_at=job.updated_at,
        finished_at=job.finished_at,
        resembles=[Kin.model_validate(asdict(kin)) for kin in job.resembles],
    )

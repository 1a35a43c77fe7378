"""Labels see where the pressing of each master stands, and stop it or have it done again."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from catalogue import errors
from catalogue.errors import JobNotFound, JobStateWrong, KeyMissing, ReportNotFound
from catalogue.nouns import Job, JobId, JobState, Kinship, WorkQueue
from catalogue.permissions import Action, may
from catalogue.port import Outlook, Scope
from catalogue.quality import QualityFinding, QualityReport, Verdict, judge_quality, worst_of
from origin.access import LABEL_REFUSALS, AnyCaller, Caller, Parts, counted, label_of
from origin.problems import Problem, describe_reason, responses
from origin.services import Services
from origin.sleeves import DrawingsShown, show_drawings
from origin.throttle import Category

router = APIRouter(
    prefix="/v1/jobs",
    tags=["deliveries"],
    dependencies=[counted(Category.GLOBAL)],
    responses=responses(errors.TooManyRequests, *LABEL_REFUSALS, errors.JobNotFound),
)

RETRIED = (JobState.FAILED, JobState.CANCELLED)
"""What a label may have done again by itself."""

Name = Annotated[str, Path(max_length=60)]


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
    stage: str = Field(examples=["wait", "start", "probe", "press", "measure", "publish", "done"])
    percent: int = Field(ge=0, le=100)
    attempts: int
    heartbeat_at: datetime | None
    heartbeat_age_s: float | None = Field(
        description="how long ago its worker last said that it lives; null: none has it"
    )
    ahead: int | None = Field(description="how many wait before it; null: it does not wait")
    ends_at: datetime | None = Field(
        description="when it ends, by how long others took; null: it has ended, or nobody knows"
    )
    reason: Problem | None = Field(description="why the last attempt stopped, if it did")
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    resembles: list[Kin] = Field(description="published tracks that the master is kin to")


def describe_job(job: Job, outlook: Outlook | None, now: datetime) -> JobStatus:
    """Return where a job stands, and what is to be expected of it."""
    beat = job.heartbeat_at if job.state is JobState.RUNNING else None
    return JobStatus(
        id=job.id,
        delivery_id=job.delivery_id.partition(".")[0],
        track_id=job.track_id,
        queue=job.queue,
        state=job.state,
        stage=job.stage,
        percent=job.percent,
        attempts=job.attempts,
        heartbeat_at=job.heartbeat_at,
        heartbeat_age_s=None if beat is None else max(0.0, (now - beat).total_seconds()),
        ahead=None if outlook is None else outlook.ahead,
        ends_at=None if outlook is None else outlook.ends_at,
        reason=None if job.reason is None else describe_reason(job.reason),
        created_at=job.created_at,
        updated_at=job.updated_at,
        finished_at=job.finished_at,
        resembles=[Kin.model_validate(asdict(kin)) for kin in job.resembles],
    )


def find_label(caller: Caller, scope: Scope) -> str | None:
    """Return whose deliveries a caller may see: a label's own; None for everybody's.

    Raises KeyMissing, KeyLacksScope and RoleMayNot.
    """
    if caller.role is None:
        raise KeyMissing("No key was sent.")
    if scope is Scope.SEE and may(caller.role, Action.SEE_EVERY_JOB):
        return None
    return label_of(caller, scope)


@router.get("/{job_id}")
def get_job(job_id: Name, caller: AnyCaller, parts: Parts) -> JobStatus:
    """Return where a job stands: stage, per cent, and why it stopped.

    A label sees its own, an operator all of them.
    """
    return _describe(parts, _find(parts, job_id, find_label(caller, Scope.SEE)))


class QualityJudged(BaseModel):
    """What was measured of a job's master, and what rules make of it; docs/quality.md has both."""

    verdict: Verdict
    findings: list[QualityFinding]
    report: QualityReport
    drawings: DrawingsShown | None = Field(description="null: it was never drawn")


@router.get("/{job_id}/quality", responses=responses(errors.ReportNotFound))
def get_quality(job_id: Name, caller: AnyCaller, parts: Parts) -> QualityJudged:
    """Return what was measured of a job's master, once it has been pressed, and what that means."""
    job = _find(parts, job_id, find_label(caller, Scope.SEE))
    delivery = parts.jobs.delivery(job.id)
    report = parts.reports.get(delivery.master_sha256)
    if report is None:
        raise ReportNotFound("Its master has not been measured.", job=job_id)
    findings = judge_quality(report, parts.policies.get(delivery.label).quality)
    sleeve = parts.sleeves.of_master(delivery.master_sha256)
    drawings = None
    if sleeve is not None:
        drawings = show_drawings(parts, job.track_id, sleeve, session=caller.session)
    return QualityJudged(
        verdict=worst_of(findings), findings=findings, report=report, drawings=drawings
    )


@router.post("/{job_id}/cancel", responses=responses(errors.JobStateWrong))
def cancel_job(job_id: Name, caller: AnyCaller, parts: Parts) -> JobStatus:
    """End a job that has not ended; what was published before stays."""
    job = _find(parts, job_id, label_of(caller, Scope.DELIVER))
    parts.desk.cancel(job.id, now=parts.now())
    return _describe(parts, parts.jobs.get(job.id))


@router.post("/{job_id}/retry", responses=responses(errors.JobStateWrong))
def retry_job(job_id: Name, caller: AnyCaller, parts: Parts) -> JobStatus:
    """Have a job that failed or was cancelled done again."""
    job = _find(parts, job_id, label_of(caller, Scope.DELIVER))
    return _describe(parts, retry(parts, job))


def retry(parts: Services, job: Job) -> Job:
    """Return a job that failed or was cancelled as it waits anew. Raises JobStateWrong."""
    if job.state not in RETRIED:
        raise JobStateWrong(f"The job is {job.state}.", job=job.id, state=job.state)
    parts.desk.revive(job.id, now=parts.now())
    revived = parts.jobs.get(job.id)
    parts.intake.send(revived)
    return revived


def _find(parts: Services, job_id: str, label: str | None) -> Job:
    job = parts.jobs.get(JobId(job_id))
    if label is not None and parts.jobs.delivery(job.id).label != label:
        raise JobNotFound("No job has this id.", job=job_id)
    return job


def _describe(parts: Services, job: Job) -> JobStatus:
    now = parts.now()
    return describe_job(job, parts.desk.outlook([job], now=now).get(job.id), now)

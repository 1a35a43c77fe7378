"""``lathe jobs``: what operators see of the job ledger, and how they steer it."""

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from catalogue.nouns import Attempt, Job, JobId, JobState, Reason, WorkQueue
from lathe.settings import read_settings

if TYPE_CHECKING:
    from lathe.wiring import Records

_PAGE = 500
_POLL_S = 0.5

_STATES = click.Choice([state.value for state in JobState])
_QUEUES = click.Choice([queue.value for queue in WorkQueue])
_as_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
_job_ids = click.argument("job_ids", nargs=-1, required=True, metavar="JOB…")


@click.group("jobs")
def command() -> None:
    """See and steer the jobs of a plant."""


@command.command("list")
@click.option("--state", "states", type=_STATES, multiple=True)
@click.option("--queue", "queues", type=_QUEUES, multiple=True)
@click.option("--limit", type=click.IntRange(1), help="How many at most.")
@_as_json
def list_jobs(
    states: tuple[str, ...],
    queues: tuple[str, ...],
    limit: int | None,
    as_json: bool,
) -> None:
    """List jobs, the oldest first."""
    chosen = [JobState(name) for name in states], [WorkQueue(name) for name in queues]
    for job in _pages(_open(), *chosen, limit):
        if as_json:
            click.echo(json.dumps(_plain(job)))
            continue
        worker = f" by {job.worker}" if job.state is JobState.RUNNING else ""
        reason = f": {job.reason.code}" if job.reason else ""
        progress = f"{job.stage} {job.percent} %"
        click.echo(f"{job.id} {job.queue} {job.state} {progress}{worker}{reason}")


@command.command("show")
@click.argument("job_id", metavar="JOB")
@_as_json
def show(job_id: str, as_json: bool) -> None:
    """Show one job, its delivery, and every attempt at it."""
    records = _open()
    job, history = records.jobs.get(JobId(job_id)), records.desk.attempts(JobId(job_id))
    delivery = records.jobs.delivery(JobId(job_id))
    if as_json:
        whole = _plain(job) | {
            "label": delivery.label,
            "file": delivery.filename,
            "master_sha256": delivery.master_sha256,
            "history": [_plain_attempt(attempt) for attempt in history],
        }
        click.echo(json.dumps(whole))
        return
    click.echo(f"{job.id}: {job.state}, {job.stage} {job.percent} %, {job.queue}")
    click.echo(f"  {delivery.filename}, {delivery.size_bytes:,} bytes, from {delivery.label}")
    click.echo(f"  track {job.track_id}, delivery {job.delivery_id}")
    for attempt in history:
        click.echo(f"  {_tell(attempt)}")
    for kin in job.resembles:
        click.echo(f"  {kin.kinship} as track {kin.track_id} ({kin.confidence:.3f})")
    if job.reason:
        _tell_reason(job.reason)


@command.command("explain")
@click.argument("job_id", metavar="JOB")
@_as_json
def explain(job_id: str, as_json: bool) -> None:
    """Say in words why a job stands where it does, and what happens next."""
    from lathe.wiring import now

    records = _open()
    job, at = records.jobs.get(JobId(job_id)), now()
    drained = {census.queue for census in records.desk.census(now=at) if census.drained}
    said = _explain(job, at, drained, timedelta(seconds=records.settings.silence_s))
    history = records.desk.attempts(job.id)
    if as_json:
        attempts = [_plain_attempt(attempt) for attempt in history]
        click.echo(json.dumps(_plain(job) | {"explanation": said, "history": attempts}))
        return
    click.echo(said)
    if job.reason:
        _tell_reason(job.reason)
    for attempt in history:
        click.echo(f"  {_tell(attempt)}")


@command.command("retry")
@_job_ids
@_as_json
def retry(job_ids: tuple[str, ...], as_json: bool) -> None:
    """Queue jobs again that failed, were cancelled, quarantined or held."""
    from lathe.wiring import now

    records = _open()
    for job_id in job_ids:
        records.desk.revive(JobId(job_id), now=now())
        _tell_change(records, job_id, "queued again", as_json)


@command.command("approve")
@_job_ids
@_as_json
def approve(job_ids: tuple[str, ...], as_json: bool) -> None:
    """Let jobs be published that are held because another label has the recording."""
    from lathe.wiring import now

    records = _open()
    for job_id in job_ids:
        records.desk.approve(JobId(job_id), now=now())
        _tell_change(records, job_id, "approved", as_json)


@command.command("cancel")
@_job_ids
@_as_json
def cancel(job_ids: tuple[str, ...], as_json: bool) -> None:
    """End jobs that have not ended; their encoders stop within two seconds."""
    from lathe.wiring import now

    records = _open()
    for job_id in job_ids:
        records.desk.cancel(JobId(job_id), now=now())
        _tell_change(records, job_id, "cancelled", as_json)


@command.command("quarantine")
@_job_ids
@click.option("--reason", "words", required=True, help="Why, for whoever reads it next.")
@_as_json
def quarantine(job_ids: tuple[str, ...], words: str, as_json: bool) -> None:
    """Set jobs aside until they are retried."""
    from catalogue.errors import JobQuarantined
    from lathe.wiring import now

    records = _open()
    reason = Reason(
        code=JobQuarantined.code,
        title="An operator set the job aside",
        detail=words,
        advice=JobQuarantined.advice,
        measured={},
    )
    for job_id in job_ids:
        records.desk.quarantine(JobId(job_id), reason=reason, now=now())
        _tell_change(records, job_id, "quarantined", as_json)


@command.command("drain")
@click.option("--queue", "queues", type=_QUEUES, multiple=True)
@click.option("--wait", is_flag=True, help="Return when nothing of these queues runs any more.")
@click.option("--resume", is_flag=True, help="Let workers take jobs again.")
@_as_json
def drain(queues: tuple[str, ...], wait: bool, resume: bool, as_json: bool) -> None:
    """Let workers take no more jobs of all queues, or of those named; what runs goes on."""
    from lathe.wiring import now

    records, chosen = _open(), [WorkQueue(name) for name in queues or WorkQueue]
    for queue in chosen:
        if resume:
            records.desk.resume(queue)
        else:
            records.desk.drain(queue, now=now())
        if as_json:
            click.echo(json.dumps({"queue": queue, "drained": not resume}))
        else:
            click.echo(f"{queue}: {'open' if resume else 'drained'}", err=True)
    while wait and not resume and _running(records, chosen):
        threading.Event().wait(_POLL_S)


@command.command("status")
@_as_json
def status(as_json: bool) -> None:
    """Say how full each queue is, and who is at work."""
    from lathe.wiring import now

    records, at = _open(), now()
    workers = records.desk.workers(since=at - timedelta(seconds=records.settings.silence_s))
    for census in records.desk.census(now=at):
        oldest_s = (at - (census.oldest_due_at or at)).total_seconds()
        if as_json:
            line = {"queue": census.queue, "states": census.states, "drained": census.drained}
            click.echo(json.dumps(line | {"oldest_due_s": oldest_s}))
            continue
        counts = ", ".join(f"{count} {state}" for state, count in sorted(census.states.items()))
        waits = f"; the oldest has waited {oldest_s:.0f} s" if census.oldest_due_at else ""
        drained = " (drained)" if census.drained else ""
        click.echo(f"{census.queue}{drained}: {counts or 'empty'}{waits}")
    if as_json:
        click.echo(json.dumps({"workers_busy": workers}))
    else:
        click.echo(f"at work: {', '.join(workers) or 'nobody'}")


def _open() -> "Records":
    from lathe.wiring import open_records

    return open_records(read_settings())


def _pages(
    records: "Records",
    states: Sequence[JobState],
    queues: Sequence[WorkQueue],
    limit: int | None,
) -> Iterator[Job]:
    after, left = "", limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        page = records.desk.page(states=states, queues=queues, after=after, limit=size)
        yield from page
        if len(page) < size:
            return
        after = page[-1].id
        left = None if left is None else left - size


def _running(records: "Records", queues: list[WorkQueue]) -> bool:
    return bool(records.desk.page(states=[JobState.RUNNING], queues=queues, after="", limit=1))


def _explain(job: Job, now: datetime, drained: set[WorkQueue], silence: timedelta) -> str:
    if job.state is JobState.QUEUED and job.queue in drained:
        return f"It waits: the {job.queue} queue is drained. `lathe jobs drain --resume` opens it."
    if job.state is JobState.QUEUED and job.due_at > now:
        wait_s = (job.due_at - now).total_seconds()
        return f"It waits {wait_s:.0f} s more, since attempt {job.attempts} did not succeed."
    if job.state is JobState.QUEUED:
        return f"It is due, and waits for a worker that takes {job.queue} jobs."
    if job.state is JobState.RUNNING and job.heartbeat_at and job.heartbeat_at < now - silence:
        return f"Its worker {job.worker} has gone silent; the next free one takes it over."
    if job.state is JobState.RUNNING:
        return f"{job.worker} is at it: {job.stage}, {job.percent} %."
    if job.state is JobState.DONE:
        return "It is done: what it made is published."
    if job.state is JobState.HELD:
        return (
            "It is held, since another label has published the same recording; "
            f"`lathe jobs approve {job.id}` publishes it all the same."
        )
    return f"It is {job.state}; `lathe jobs retry {job.id}` queues it again."


def _tell_change(records: "Records", job_id: str, words: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_plain(records.jobs.get(JobId(job_id)))))
    else:
        click.echo(f"{job_id}: {words}", err=True)


def _tell(attempt: Attempt) -> str:
    end = f"{attempt.end} at {attempt.ended_at:%Y-%m-%dT%H:%M:%SZ}" if attempt.end else "at it"
    code = f" ({attempt.code})" if attempt.code else ""
    begun = f"{attempt.started_at:%Y-%m-%dT%H:%M:%SZ}"
    who = f"{attempt.worker} {attempt.version}"
    return f"{begun} {who}: {attempt.stage} {attempt.percent} %, {end}{code}"


def _tell_reason(reason: Reason) -> None:
    measured = ", ".join(f"{name} = {value}" for name, value in reason.measured.items())
    click.echo(f"  {reason.code}: {reason.title}. {reason.detail}")
    click.echo(f"  {measured}" if measured else f"  {reason.advice}")
    if measured:
        click.echo(f"  {reason.advice}")


def _plain(job: Job) -> dict[str, Any]:
    from pydantic import TypeAdapter

    plain: dict[str, Any] = TypeAdapter(Job).dump_python(job, mode="json", exclude={"claim"})
    return plain


def _plain_attempt(attempt: Attempt) -> dict[str, Any]:
    from pydantic import TypeAdapter

    plain: dict[str, Any] = TypeAdapter(Attempt).dump_python(attempt, mode="json")
    return plain

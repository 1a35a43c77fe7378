"""The actors: what a worker does when a message names a job."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path, PurePath

import dramatiq

from catalogue.errors import InvalidInput
from catalogue.nouns import Delivery, JobId, Pressing, Tier, WorkQueue
from catalogue.port import Holds, Jobs
from pipeline.press import PressPlan, plan_press, press
from storage.keys import master_key, rendition_place
from storage.port import ObjectStore
from workers.broker import PRESS_ACTOR
from workers.ledger import HeldJob, Ledger, Moved
from workers.measures import Measures

_LONGEST_PRESS = timedelta(days=2)


def declare_press(
    broker: dramatiq.Broker,
    *,
    ledger: Ledger,
    jobs: Jobs,
    holds: Holds,
    store: ObjectStore,
    ladder: Sequence[Tier],
    lanes: int,
    now: Callable[[], datetime],
    measures: Measures,
) -> None:
    """Declare the actor that presses the master of a job and publishes what came of it."""

    def work(held: HeldJob) -> None:
        delivery = jobs.delivery(held.job.id)
        held.report("probe", 0)
        with store.as_file(master_key(delivery.master_sha256)) as path:
            try:
                plan = plan_press(path, delivery.master_sha256, ladder)
                wanted = plan.rendition_ids()
                pressing = None
                if jobs.missing(wanted):
                    pressing = make(held, delivery, path, plan)
                    wanted = [rendition.id for rendition in pressing.renditions]
            except InvalidInput as fault:
                raise _named(fault, path.name, delivery.filename) from fault
        held.report("publish", 99)
        jobs.publish(held.job.id, held.claim, current=wanted, pressing=pressing, now=now())

    def make(held: HeldJob, delivery: Delivery, path: Path, plan: PressPlan) -> Pressing:
        if held.job.queue is WorkQueue.LIGHT:
            raise Moved(delivery.queue)
        places = [rendition_place(rendition_id) for rendition_id in plan.rendition_ids()]
        holds.hold(places, held.claim, until=now() + _LONGEST_PRESS)
        held.when_lost = lambda: holds.leave(places, held.claim, now=now())
        began = time.monotonic()
        pressing = press(
            path, plan, store, lanes=lanes, report=held.report, should_stop=held.should_stop
        )
        music_s = pressing.decoded.samples / pressing.master.rate_hz
        measures.observe_press(music_s, time.monotonic() - began)
        return pressing

    def press_job(job_id: str) -> None:
        ledger.run(JobId(job_id), work)

    dramatiq.Actor(
        press_job,
        broker=broker,
        actor_name=PRESS_ACTOR,
        queue_name=WorkQueue.URGENT,
        priority=0,
        options={},
    )


def _named(fault: InvalidInput, stored_name: str, filename: str) -> InvalidInput:
    """Return the fault with the name that the label knows the file by."""
    detail = fault.detail.replace(stored_name, PurePath(filename).name)
    return type(fault)(detail, **{**fault.measured, "file": filename})

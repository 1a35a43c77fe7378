"""The actors: what a worker does when a message names a job."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import PurePath

import dramatiq

from catalogue.errors import InvalidInput
from catalogue.nouns import JobId, Tier
from catalogue.port import Jobs
from pipeline.press import plan_press, press
from storage.keys import master_key
from storage.port import ObjectStore
from workers.broker import PRESS_ACTOR, PRESS_QUEUE
from workers.ledger import HeldJob, Ledger


def declare_press(
    broker: dramatiq.Broker,
    *,
    ledger: Ledger,
    jobs: Jobs,
    store: ObjectStore,
    ladder: Sequence[Tier],
    lanes: int,
    now: Callable[[], datetime],
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
                    pressing = press(
                        path,
                        plan,
                        store,
                        lanes=lanes,
                        report=held.report,
                        should_stop=held.should_stop,
                    )
                    wanted = [rendition.id for rendition in pressing.renditions]
            except InvalidInput as fault:
                raise _named(fault, path.name, delivery.filename) from fault
        held.report("publish", 99)
        claim = held.job.claim or ""
        jobs.publish(held.job.id, claim, current=wanted, pressing=pressing, now=now())

    def press_job(job_id: str) -> None:
        ledger.run(JobId(job_id), work)

    dramatiq.Actor(
        press_job,
        broker=broker,
        actor_name=PRESS_ACTOR,
        queue_name=PRESS_QUEUE,
        priority=0,
        options={},
    )


def _named(fault: InvalidInput, stored_name: str, filename: str) -> InvalidInput:
    """Return the fault with the name that the label knows the file by."""
    detail = fault.detail.replace(stored_name, PurePath(filename).name)
    return type(fault)(detail, **{**fault.measured, "file": filename})

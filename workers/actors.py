"""The actors: what a worker does when a message names a job."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePath

import dramatiq

from catalogue.errors import InvalidInput, QualityRefused
from catalogue.nouns import Delivery, JobId, Pressing, RenditionId, Tier, WorkQueue
from catalogue.offline import Policies
from catalogue.port import Holds, Jobs, Prints, Tracks
from catalogue.quality import QualityReports, Verdict, judge_quality
from catalogue.sleeves import Sleeves
from pipeline.hearing.fingerprint import build_fingerprint, decode_items
from pipeline.press import PressPlan, plan_press, press
from pipeline.quality.drawings import Drawings
from pipeline.recognition import recognise_file
from pipeline.sleeve import make_sleeve, name_sleeve
from storage.keys import master_key, master_place, rendition_place
from storage.port import ObjectStore
from workers.broker import PRESS_ACTOR
from workers.kinship import explain_kin, find_family, recognised
from workers.ledger import HeldJob, Ledger, Moved
from workers.measures import Measures

_LONGEST_PRESS = timedelta(days=2)


def declare_press(broker: dramatiq.Broker, presser: "Presser") -> None:
    """Declare the actor that presses the master of a job."""
    dramatiq.Actor(
        presser.press_job,
        broker=broker,
        actor_name=PRESS_ACTOR,
        queue_name=WorkQueue.URGENT,
        priority=0,
        options={},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Presser:
    """Presses the masters of jobs, and publishes what comes of them."""

    ledger: Ledger
    jobs: Jobs
    tracks: Tracks
    prints: Prints
    reports: QualityReports
    sleeves: Sleeves
    policies: Policies
    holds: Holds
    store: ObjectStore
    ladder: Sequence[Tier]
    lanes: int
    now: Callable[[], datetime]
    measures: Measures

    def press_job(self, job_id: str) -> None:
        """Do a job, if it is free."""
        self.ledger.run(JobId(job_id), self._work)

    def _work(self, held: HeldJob) -> None:
        delivery = self.jobs.delivery(held.job.id)
        held.report("probe", 0)
        with self.store.as_file(master_key(delivery.master_sha256)) as path:
            try:
                if delivery.owner is not None and self._is_matched(held, delivery, path):
                    return
                plan = plan_press(path, delivery.master_sha256, self.ladder)
                wanted = plan.rendition_ids()
                pressing = None
                if self.jobs.missing(wanted):
                    pressing = self._press(held, delivery, path, plan)
                    wanted = [rendition.id for rendition in pressing.renditions]
                self._judge(delivery, pressing)
            except InvalidInput as fault:
                raise _named(fault, path.name, delivery.filename) from fault
        held.report("publish", 99)
        self._publish(held, delivery, wanted, pressing)

    def _is_matched(self, held: HeldJob, delivery: Delivery, path: Path) -> bool:
        """End the job of an owner's file that is known as a track of the catalogue."""
        held.report("match", 0)
        recognition = recognise_file(path, self.prints)
        if recognition is None:
            return False
        resembles = [
            recognised(each.track_id, recognition)
            for each in self.prints.tracks_of(recognition.master_sha256)
        ]
        if not resembles:
            return False
        place = [master_place(delivery.master_sha256)]
        self.holds.leave(place, held.claim, now=self.now())
        self.jobs.match(held.job.id, held.claim, resembles=resembles, now=self.now())
        return True

    def _press(self, held: HeldJob, delivery: Delivery, path: Path, plan: PressPlan) -> Pressing:
        if held.job.queue is WorkQueue.LIGHT:
            raise Moved(delivery.queue)
        made = [*plan.rendition_ids(), name_sleeve(plan.master)]
        places = [rendition_place(rendition_id) for rendition_id in made]
        self.holds.hold(places, held.claim, until=self.now() + _LONGEST_PRESS)
        held.when_lost = lambda: self.holds.leave(places, held.claim, now=self.now())
        began = time.monotonic()
        drawn: list[Drawings] = []
        pressing = press(
            path,
            plan,
            self.store,
            lanes=self.lanes,
            report=held.report,
            draw=drawn.append,
            should_stop=held.should_stop,
        )
        sleeve = make_sleeve(
            path, plan.master, drawn.pop(), self.store, should_stop=held.should_stop
        )
        self.sleeves.put(sleeve, now=self.now())
        music_s = pressing.decoded.samples / pressing.master.rate_hz
        self.measures.observe_press(music_s, time.monotonic() - began)
        return pressing

    def _judge(self, delivery: Delivery, pressing: Pressing | None) -> None:
        """Keep what was measured of a master. Raises QualityRefused where a rule refuses it."""
        measured = None if pressing is None else pressing.quality
        if measured is not None:
            self.reports.put(delivery.master_sha256, measured, now=self.now())
        report = measured or self.reports.get(delivery.master_sha256)
        if report is None or delivery.owner is not None:
            return
        policy = self.policies.get(delivery.label).quality
        for finding in judge_quality(report, policy):
            if finding.verdict is Verdict.REFUSE:
                raise QualityRefused(
                    f"{delivery.filename}: {finding.detail} {finding.advice}",
                    rule=finding.rule,
                    value=finding.measured,
                    limit=finding.limit,
                    at_samples=finding.at_samples,
                )

    def _publish(
        self,
        held: HeldJob,
        delivery: Delivery,
        current: Sequence[RenditionId],
        pressing: Pressing | None,
    ) -> None:
        """End the job: published, or withheld when another label has published the same."""
        job = held.job
        if delivery.owner is not None:
            self.jobs.publish(
                job.id, held.claim, current=current, pressing=pressing, now=self.now()
            )
            return
        family = find_family(self.prints, delivery.master_sha256, pressing, own=job.track_id)
        stranger = family.stranger(delivery.label)
        if stranger is not None and not job.approved:
            self.jobs.withhold(
                job.id,
                held.claim,
                reason=explain_kin(stranger),
                resembles=family.resemblances,
                now=self.now(),
            )
            return
        if pressing is not None and (same := family.same_samples(delivery.label)):
            published = self.tracks.get(same).renditions
            if {each.tier for each in pressing.renditions} <= {each.tier for each in published}:
                # One recording of one label is kept once, whatever it was packed in.
                current, pressing = [each.id for each in published], None
        hidden = None if pressing else self.prints.hidden(delivery.master_sha256)
        self.jobs.publish(
            job.id,
            held.claim,
            current=current,
            pressing=pressing,
            resembles=family.resemblances,
            revealed=None if hidden is None else build_fingerprint(decode_items(hidden)),
            now=self.now(),
        )


def _named(fault: InvalidInput, stored_name: str, filename: str) -> InvalidInput:
    """Return the fault with the name that the label knows the file by."""
    detail = fault.detail.replace(stored_name, PurePath(filename).name)
    return type(fault)(detail, **{**fault.measured, "file": filename})

"""Taking a message in: obeyed once, never after a newer one of its release, and acknowledged."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from catalogue.errors import Fault, TrackNotFound
from catalogue.messages import Messages, StoredMessage
from catalogue.nouns import Shipment, TrackId, WorkQueue
from catalogue.port import Tracks
from origin.ern.acknowledgement import acknowledge
from origin.ern.message import ErnKind, ErnMessage
from origin.ern.reader import read_message
from origin.ern.rules import NOWHERE, FindFile, Settled, settle
from workers.intake import Intake

SENDER = "lathe"


class ErnOutcome(StrEnum):
    """What became of a message."""

    APPLIED = "applied"
    REPLAYED = "replayed"
    SUPERSEDED = "superseded"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A message, what became of it, and how that is acknowledged."""

    message: ErnMessage
    outcome: ErnOutcome
    acknowledgement: bytes
    shipment: Shipment | None = None
    faults: tuple[Fault, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ErnDesk:
    """Takes messages of labels in."""

    messages: Messages
    tracks: Tracks
    intake: Intake
    now: Callable[[], datetime]

    def take(self, data: bytes, find: FindFile, *, label: str, queue: WorkQueue) -> Taken:
        """Obey a message, and return what became of it. Raises ErnUnreadable and Unavailable."""
        return self.obey(read_message(data), find, label=label, queue=queue)

    def obey(self, message: ErnMessage, find: FindFile, *, label: str, queue: WorkQueue) -> Taken:
        """Obey a message that was read. Raises Unavailable."""
        known = self.messages.find(label, message.id)
        if known is not None:
            return Taken(
                message=message,
                outcome=ErnOutcome.REPLAYED,
                acknowledgement=known.acknowledgement,
            )
        release = _release_of(message)
        newest = self.messages.newest(label, release)
        if newest is not None and newest > message.created_at:
            said = f"Superseded: a message of {newest.isoformat()} was obeyed before."
            answer = acknowledge(message, now=self.now(), sender=SENDER, said=said)
            self._keep(message, label, release, answer, applied=False)
            return Taken(message=message, outcome=ErnOutcome.SUPERSEDED, acknowledgement=answer)
        if message.kind is ErnKind.PURGE_RELEASE:
            return self._purge(message, label, release)
        return self._release(message, settle(message, find), label, release, queue)

    def _release(
        self,
        message: ErnMessage,
        settled: Settled,
        label: str,
        release: str,
        queue: WorkQueue,
    ) -> Taken:
        findings = settled.findings
        alone = {item.metadata.isrc: item for item in settled.items if item.master is None}
        known = self.tracks.named(label, [isrc for isrc in alone if isrc is not None])
        for isrc in alone:
            if isrc is not None and isrc not in known:
                missing = TrackNotFound(f"{isrc} brings no file, and none came before.")
                findings.note("/ResourceList", missing)
        faults = tuple(findings.faults)
        answer = acknowledge(
            message,
            now=self.now(),
            sender=SENDER,
            faults=faults,
            faulty=settled.faulty,
            said="\n".join(f"{pointer}: {said}" for pointer, said in findings.warnings),
        )
        if faults:
            # Not kept: the same message may be right when its files are there.
            return Taken(
                message=message,
                outcome=ErnOutcome.REFUSED,
                acknowledgement=answer,
                faults=faults,
                warnings=tuple(findings.warnings),
            )
        given_back = self._taken_back(label, settled) - settled.taken_down
        shipment = self.intake.ship(
            settled.items, label=label, queue=queue, warnings=findings.warnings
        )
        self._settle_takedowns(shipment, settled.taken_down, given_back)
        self._keep(message, label, release, answer, applied=True)
        return Taken(
            message=message,
            outcome=ErnOutcome.APPLIED,
            acknowledgement=answer,
            shipment=shipment,
            warnings=tuple(findings.warnings),
        )

    def _taken_back(self, label: str, settled: Settled) -> frozenset[str]:
        """Return the ISRCs of tracks that a message has taken down; what operators did stays."""
        isrcs = [item.metadata.isrc for item in settled.items if item.metadata.isrc is not None]
        named = self.tracks.named(label, isrcs)
        found = self.tracks.listed(list(named.values()))
        return frozenset(
            isrc
            for isrc, track_id in named.items()
            if found[track_id].taken_down_at is not None
            and found[track_id].metadata.rights == NOWHERE
        )

    def _settle_takedowns(
        self, shipment: Shipment, taken_down: frozenset[str], given_back: frozenset[str]
    ) -> None:
        now = self.now()
        for track in shipment.tracks:
            if track.isrc in taken_down:
                self.tracks.take_down(track.track_id, since=now, now=now)
            elif track.isrc in given_back:
                self.tracks.take_down(track.track_id, since=None, now=now)

    def _purge(self, message: ErnMessage, label: str, release: str) -> Taken:
        now = self.now()
        for track_id in self._purged(message, label):
            self.tracks.take_down(track_id, since=now, now=now)
        answer = acknowledge(message, now=now, sender=SENDER)
        self._keep(message, label, release, answer, applied=True)
        return Taken(message=message, outcome=ErnOutcome.APPLIED, acknowledgement=answer)

    def _purged(self, message: ErnMessage, label: str) -> list[TrackId]:
        named = self.tracks.named(label, message.purged)
        return [*named.values(), *self.tracks.on_albums(label, message.purged)]

    def _keep(
        self, message: ErnMessage, label: str, release: str, answer: bytes, *, applied: bool
    ) -> None:
        self.messages.keep(
            StoredMessage(
                id=message.id,
                label=label,
                release=release,
                created_at=message.created_at,
                received_at=self.now(),
                applied=applied,
                acknowledgement=answer,
            )
        )


def _release_of(message: ErnMessage) -> str:
    """Return what a message's label calls the release: its ICPN, else the ISRC of its recording."""
    main = message.main
    if main is not None and (main.icpn or main.isrc):
        return (main.icpn or main.isrc)[:60]
    if message.purged:
        return message.purged[0][:60]
    return message.recordings[0].isrc[:60] if message.recordings else ""

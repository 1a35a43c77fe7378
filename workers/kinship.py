"""Which published tracks a delivered master is kin to: the same file, samples or recording."""

from collections.abc import Iterator
from dataclasses import dataclass

from catalogue.errors import RecordingElsewhere
from catalogue.nouns import Kinship, Pressing, Reason, Recognition, Resemblance, Sha256, TrackId
from catalogue.port import Prints, TrackOf
from pipeline.hearing.recognise import Recogniser


@dataclass(frozen=True, kw_only=True, slots=True)
class Kin:
    """A resemblance, and the label of the track."""

    resemblance: Resemblance
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """The published tracks that a delivered master is kin to, the closest first.

    ``is_known`` is whether the track that it is delivered for is one of them: it has the recording
    already. That track is not among ``others``.
    """

    others: tuple[Kin, ...]
    is_known: bool

    @property
    def resemblances(self) -> list[Resemblance]:
        """Return what a job tells of them."""
        return [each.resemblance for each in self.others]

    def stranger(self, label: str) -> Kin | None:
        """Return a track of another label, unless the recording is known as this one's, too."""
        strangers = (each for each in self.others if each.label != label)
        return None if self.is_known else next(strangers, None)

    def same_samples(self, label: str) -> TrackId | None:
        """Return a track of ``label`` that is the same sample for sample."""
        for each in self.others:
            if each.label == label and each.resemblance.kinship is Kinship.SAME_SAMPLES:
                return each.resemblance.track_id
        return None


def find_family(
    prints: Prints, master_sha256: Sha256, pressing: Pressing | None, *, own: TrackId
) -> Family:
    """Return the published tracks that a master is kin to, which is delivered for ``own``.

    ``pressing`` is what was made of it now, or None when all of it was published before.
    """
    found: dict[TrackId, Kin] = {}
    is_known = False
    for kinship, recognition, each in _look(prints, master_sha256, pressing):
        is_known = is_known or each.track_id == own
        if each.track_id == own or each.track_id in found:
            continue
        resemblance = Resemblance(track_id=each.track_id, kinship=kinship)
        if recognition is not None:
            resemblance = recognised(each.track_id, recognition)
        found[each.track_id] = Kin(resemblance=resemblance, label=each.label)
    return Family(others=tuple(found.values()), is_known=is_known)


def recognised(track_id: TrackId, recognition: Recognition) -> Resemblance:
    """Return how a sound that was recognised in a track's master resembles that track."""
    return Resemblance(
        track_id=track_id,
        kinship=Kinship.SAME_RECORDING,
        confidence=recognition.confidence,
        offset_s=recognition.offset_s,
        speed=recognition.speed,
        bit_error_rate=recognition.bit_error_rate,
    )


def explain_kin(kin: Kin) -> Reason:
    """Return why a delivery is withheld that is kin to another label's track."""
    said = kin.resemblance
    return Reason(
        code=RecordingElsewhere.code,
        title=RecordingElsewhere.title,
        detail=f"Track {said.track_id} is the {said.kinship.replace('-', ' ')}.",
        advice=RecordingElsewhere.advice,
        measured={
            "track": said.track_id,
            "kinship": said.kinship,
            "confidence": said.confidence,
            "offset_s": said.offset_s,
            "speed": said.speed,
            "bit_error_rate": said.bit_error_rate,
        },
    )


def _look(
    prints: Prints, master_sha256: Sha256, pressing: Pressing | None
) -> Iterator[tuple[Kinship, Recognition | None, TrackOf]]:
    for each in prints.tracks_of(master_sha256):
        yield Kinship.SAME_FILE, None, each
    if pressing is None:
        return
    for twin in prints.twins(pressing.decoded.pcm_sha256):
        for each in prints.tracks_of(twin):
            yield Kinship.SAME_SAMPLES, None, each
    for recognition in Recogniser(prints).resembling(pressing.fingerprint):
        for each in prints.tracks_of(recognition.master_sha256):
            yield Kinship.SAME_RECORDING, recognition, each

"""Knowing many files again: some at once, and what was answered before is not asked again."""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from catalogue.errors import LatheError, ReportUnreadable
from catalogue.nouns import AccountId, Job, Recognition, Sha256, TrackId, WorkQueue
from catalogue.port import Prints
from lathe.masters import Found
from pipeline.recognition import recognise_file
from storage.faults import not_writable
from workers.intake import Incoming, Intake

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of one file: a track it is a recording of, nothing known, or a fault.

    ``job`` presses what is not known for its owner alone, if it has one.
    """

    path: Path
    recognition: Recognition | None = None
    tracks: tuple[TrackId, ...] = ()
    fault: Exception | None = None
    job: Job | None = None

    @property
    def outcome(self) -> str:
        """Return it in one word."""
        if self.fault is not None:
            return "failed"
        if self.job is not None:
            return "uploaded"
        return "unmatched" if self.recognition is None else "matched"

    def fields(self) -> dict[str, Any]:
        """Return it as a line of a report."""
        plain: dict[str, Any] = {"file": str(self.path), "outcome": self.outcome}
        if self.job is not None:
            plain |= {"job": self.job.id, "track": self.job.track_id}
        elif self.recognition is not None:
            plain |= {"tracks": list(self.tracks), **asdict(self.recognition)}
        if isinstance(self.fault, LatheError):
            plain |= {
                "code": self.fault.code,
                "detail": self.fault.detail,
                "measured": dict(self.fault.measured),
                "advice": self.fault.advice,
            }
        elif self.fault is not None:
            plain |= {"code": "unexpected", "detail": f"{type(self.fault).__name__}: {self.fault}"}
        return plain


class Report:
    """A file of answers, one JSON object a line, that a later run goes on with."""

    def __init__(self, file: IO[str], answered: set[str]) -> None:
        self._file, self._answered = file, answered

    def has(self, path: Path) -> bool:
        """Return whether a file was answered, and not failed, in an earlier run."""
        return str(path) in self._answered

    def write(self, answer: Answer) -> None:
        """Add an answer: all of its line is in the file before the next one is begun."""
        self._file.write(f"{json.dumps(answer.fields())}\n")
        self._file.flush()


@contextmanager
def open_report(path: Path) -> Iterator[Report]:
    """Open a report, new or begun. Raises OutputNotWritable, DiskFull and ReportUnreadable."""
    try:
        with open(path, "a+", encoding="utf-8") as file:
            answered = _read_answered(path, file)
            yield Report(file, answered)
    except OSError as fault:
        raise not_writable(str(path), fault) from fault


Upload = Callable[[Path], Job]
"""Takes in a file that is not known, and gives the job that presses it for its owner."""


def match_files(
    found: Iterable[Found],
    prints: Prints,
    *,
    jobs: int,
    stop: threading.Event,
    upload: Upload | None = None,
) -> Iterator[Answer]:
    """Give an answer for every file as soon as there is one, ``jobs`` of them at once.

    What is not known is taken in by ``upload``, if it is given.
    """
    with ThreadPoolExecutor(jobs, thread_name_prefix="match") as pool:
        futures: set[Future[Answer]] = set()
        for each in found:
            if stop.is_set():
                break
            futures.add(pool.submit(_match, each, prints, upload))
            if len(futures) >= jobs:
                done, futures = wait(futures, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in futures)


def _match(found: Found, prints: Prints, upload: Upload | None) -> Answer:
    try:
        if found.fault is not None:
            raise found.fault
        recognition = recognise_file(found.path, prints)
        heard_from = [] if recognition is None else prints.tracks_of(recognition.master_sha256)
        job = upload(found.path) if upload is not None and not heard_from else None
    except Exception as fault:
        return Answer(path=found.path, fault=fault)
    tracks = tuple(each.track_id for each in heard_from)
    return Answer(path=found.path, recognition=recognition, tracks=tracks, job=job)


def upload_for(owner: AccountId, intake: Intake) -> Upload:
    """Return what takes in copies of an owner's files, to be pressed when others need not wait."""

    def upload(path: Path) -> Job:
        copy = intake.store.staging() / uuid4().hex
        try:
            size_bytes, sha256 = _copy(path, copy)
            return intake.accept_own(
                Incoming(
                    filename=path.name,
                    size_bytes=size_bytes,
                    sha256=sha256,
                    adopt=lambda key: intake.store.adopt(key, copy),
                ),
                owner,
                title="",
                artist="",
                queue=WorkQueue.BULK,
            )
        finally:
            copy.unlink(missing_ok=True)

    return upload


def _copy(path: Path, copy: Path) -> tuple[int, Sha256]:
    """Copy a file and return its size and hash."""
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with open(path, "rb") as source, open(copy, "xb") as draft:
            while piece := source.read(_PIECE_BYTES):
                digest.update(piece)
                draft.write(piece)
                size_bytes += len(piece)
    except OSError as fault:
        raise not_writable(str(copy), fault) from fault
    return size_bytes, Sha256(digest.hexdigest())


def _read_answered(path: Path, file: IO[str]) -> set[str]:
    """Return which files a report answers, and cut off a line that was not finished."""
    answered: set[str] = set()
    file.seek(0)
    whole = 0
    while line := file.readline():
        if not line.endswith("\n"):
            break
        whole = file.tell()
        with suppress(KeyError, TypeError):
            try:
                said = json.loads(line)
            except ValueError as fault:
                raise ReportUnreadable(f"{path} holds a line that is no JSON.") from fault
            if said["outcome"] != "failed":
                answered.add(said["file"])
    os.ftruncate(file.fileno(), whole)
    file.seek(0, os.SEEK_END)
    return answered

"""Delivering a folder of masters to a running origin through its front door, as a label would."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx

from catalogue.nouns import JobId, JobState
from lathe.wiring import House, make_key, now

_POLL_S = 0.1
_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outcome:
    """What came of one delivery."""

    file: str
    track_id: str
    state: str
    reason: str
    seconds: float


def demonstrate(house: House, url: str, folder: Path, *, label: str, stop: threading.Event) -> None:
    """Deliver what ``folder/releases.json`` lists, wait for each job, and print what was made."""
    releases = json.loads((folder / "releases.json").read_text("utf-8"))
    began = time.monotonic()
    done = 0
    with _client(house, url, label) as client:
        click.echo(f"delivering {len(releases)} masters from {folder}")
        for release in releases:
            outcome = _deliver(house, client, folder, release, stop)
            if outcome is None:
                return
            done += outcome.state == "done"
            _print(client, url, outcome)
    click.echo(f"{done} of {len(releases)} published in {time.monotonic() - began:.1f} s")
    click.echo(f"open {url}/ in a browser, or give any of the URLs above to ffplay or mpv")


@contextmanager
def _client(house: House, url: str, label: str) -> Iterator[httpx.Client]:
    """Give a client with a key of its own, which is forgotten afterwards."""
    key = make_key(house, label)
    try:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S) as client:
            yield client
    finally:
        house.keys.remove(key.split("_")[1], now=now())


def _deliver(
    house: House, client: httpx.Client, folder: Path, release: dict[str, Any], stop: threading.Event
) -> _Outcome | None:
    """Deliver one master and wait for its job; None when the process stops meanwhile.

    The job is watched in the ledger: whoever asks the origin so often is told to wait.
    """
    metadata = {name: value for name, value in release.items() if name != "file"}
    began = time.monotonic()
    with open(folder / release["file"], "rb") as master:
        answer = client.post(
            "/v1/deliveries",
            files={
                "metadata": (None, json.dumps(metadata), "application/json"),
                "master": (release["file"], master, "application/octet-stream"),
            },
        )
    told = answer.json()
    if answer.status_code != 202:
        reason = f"{told['code']}: {told['detail']}"
        return _Outcome(
            file=release["file"],
            track_id="",
            state="refused",
            reason=reason,
            seconds=time.monotonic() - began,
        )
    job = house.jobs.get(JobId(told["tracks"][0]["job"]["id"]))
    while job.state in (JobState.QUEUED, JobState.RUNNING):
        if stop.wait(_POLL_S):
            return None
        job = house.jobs.get(job.id)
    reason = "" if job.reason is None else f"{job.reason.code}: {job.reason.detail}"
    return _Outcome(
        file=release["file"],
        track_id=job.track_id,
        state=job.state,
        reason=reason,
        seconds=time.monotonic() - began,
    )


def _print(client: httpx.Client, url: str, outcome: _Outcome) -> None:
    if outcome.state != "done":
        click.echo(f"{outcome.file}: {outcome.state}: {outcome.reason}")
        return
    answer = client.get(f"/v1/tracks/{outcome.track_id}/manifest")
    manifest = answer.json()
    if answer.status_code == 451:
        click.echo(f"{outcome.file}: published, but not licensed here: {manifest['detail']}")
        return
    renditions = manifest["renditions"]
    chunks = sum(len(rendition["chunks"]) for rendition in renditions)
    size_bytes = sum(rendition["size_bytes"] for rendition in renditions)
    minutes, seconds = divmod(manifest["track"]["duration_s"], 60)
    click.echo(
        f"{outcome.file}: {int(minutes)}:{seconds:06.3f}, "
        f"{' '.join(rendition['tier'] for rendition in renditions)}, {chunks} chunks, "
        f"{size_bytes:,} bytes, {outcome.seconds:.1f} s"
    )
    click.echo(f"  {url}/v1/tracks/{outcome.track_id}/master.m3u8")

"""The folder of one device: its keys, its licences, and sealed tracks.

    device.json          which device of which origin, and what it knows
    keys.json            its keys, sealed with a passphrase: protection.device_keys
    licences.json        its licences as they were given
    tracks/{key id}/     the sealed objects of a track, and manifest.json when all of them are there

Files appear whole or not at all. Nothing in it opens without the keys; whoever takes it away, or
puts an older one back, is dealt with by the licences.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from catalogue.errors import (
    ClockTurnedBack,
    DeviceNotFound,
    DownloadNotFound,
    LicenceExpired,
)
from protection.device_keys import DeviceKeys, load_device_keys
from protection.licences import Licence, LicensedTrack, open_licence
from protection.refusing import refuse_download
from protection.sealing import Sealer, place_of

LEEWAY = timedelta(minutes=5)
"""So far clocks may differ without one having been turned back."""

_KEY_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """What a device knows of itself: where it is registered, and the keys that it pins.

    ``seen_at`` is the latest time that it has known, Unix time in seconds.
    """

    origin: str
    account: str
    device: str
    pinned: Mapping[str, str] = field(default_factory=dict)
    serial: int = 0
    generation: int = 0
    seen_at: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A track that is here whole: how it is played, and where its sealed objects are."""

    key_id: str
    manifest: Mapping[str, Any]
    folder: Path

    @property
    def track_id(self) -> str:
        """The track's id."""
        return str(self.manifest["track"]["id"])


class Shelf:
    """The folder of one device, opened with its passphrase."""

    def __init__(self, folder: Path, keys: DeviceKeys) -> None:
        self.folder, self.keys = folder, keys

    @classmethod
    def open(cls, folder: Path, passphrase: str) -> "Shelf":
        """Return the shelf in a folder. Raises DeviceNotFound, and DownloadUntrusted."""
        try:
            keys = load_device_keys(folder / "keys.json", passphrase)
        except FileNotFoundError as fault:
            raise DeviceNotFound("No device was registered in this folder.") from fault
        return cls(folder, keys)

    # ----------------------------------------------------------------------- what it knows

    def registered(self) -> Registered:
        """Return what the device knows of itself. Raises DeviceNotFound."""
        try:
            return Registered(**json.loads((self.folder / "device.json").read_text("utf-8")))
        except FileNotFoundError as fault:
            raise DeviceNotFound("No device was registered in this folder.") from fault
        except (ValueError, TypeError) as fault:
            raise refuse_download("device.json was altered") from fault

    def remember(self, known: Registered) -> None:
        """Keep what the device knows of itself."""
        write_whole(self.folder / "device.json", json.dumps(asdict(known)).encode())

    def licences(self) -> list[Licence]:
        """Return the licences, verified with the pinned keys. Raises DownloadUntrusted."""
        known = self.registered()
        try:
            texts = json.loads((self.folder / "licences.json").read_text("utf-8"))
        except FileNotFoundError:
            texts = []
        found = [open_licence(str(text), known.pinned) for text in texts]
        for licence in found:
            own = licence.terms.device, licence.terms.thumbprint
            if own != (known.device, self.keys.thumbprint):
                raise refuse_download("a licence is another device's")
        return found

    def keep_licences(self, texts: Sequence[str]) -> None:
        """Keep these licences in the place of those before."""
        write_whole(self.folder / "licences.json", json.dumps(list(texts)).encode())

    def kept(self) -> Iterator[Kept]:
        """Yield the tracks that are here whole."""
        for path in sorted((self.folder / "tracks").glob("*/manifest.json")):
            manifest = json.loads(path.read_text("utf-8"))
            yield Kept(key_id=path.parent.name, manifest=manifest, folder=path.parent)

    def find(self, track_id: str) -> Kept:
        """Return a track that is here whole. Raises DownloadNotFound."""
        for kept in self.kept():
            if kept.track_id == track_id:
                return kept
        raise DownloadNotFound("The track is not on this device.", track=track_id[:60])

    def folder_of(self, key_id: str) -> Path:
        """Return where the sealed objects of a track are. Raises DownloadUntrusted."""
        if not _KEY_ID.fullmatch(key_id):
            raise refuse_download("the id of a content key is none")
        return self.folder / "tracks" / key_id

    def discard(self, key_id: str) -> None:
        """Remove a track, its manifest first."""
        folder = self.folder_of(key_id)
        if folder.is_dir():
            (folder / "manifest.json").unlink(missing_ok=True)
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()

    # ----------------------------------------------------------------------- opening

    def licensed(self, key_id: str, now: datetime) -> LicensedTrack:
        """Return what a content key opens, if a licence allows that now.

        Raises LicenceExpired, ClockTurnedBack and DownloadUntrusted.
        """
        known = self.registered()
        if now.timestamp() < known.seen_at - LEEWAY.total_seconds():
            raise ClockTurnedBack(
                "The device has known a later time than it says now.",
                seen_at=_written(known.seen_at),
                now=_written(now.timestamp()),
            )
        self.remember(replace(known, seen_at=max(known.seen_at, now.timestamp())))
        licence = next((each for each in self.licences() if key_id in each.key_ids), None)
        if licence is None:
            raise refuse_download("no licence names the key")
        if now < licence.terms.issued_at - LEEWAY:
            raise ClockTurnedBack(
                "The licence was made later than it is now.",
                issued_at=_written(licence.terms.issued_at.timestamp()),
                now=_written(now.timestamp()),
            )
        track = self.keys.unwrap(licence, key_id)
        if now >= min(track.until, licence.terms.expires_at):
            ended = min(track.until, licence.terms.expires_at)
            raise LicenceExpired(
                "Its time is over.", expired_at=_written(ended.timestamp()), track=track.track
            )
        return track

    def opened(self, kept: Kept, now: datetime) -> Iterator[bytes]:
        """Return the pieces of a track in clear: its header and its chunks, all of them, in order.

        Raises what ``licensed`` raises at once, and DownloadUntrusted as soon as a piece is not
        what it should be.
        """
        track = self.licensed(kept.key_id, now)
        return self._open_pieces(kept, track)

    def _open_pieces(self, kept: Kept, track: LicensedTrack) -> Iterator[bytes]:
        sealer = Sealer(track.key)
        for name in ("init.lso", *(f"{index:05d}.lso" for index in range(track.count))):
            place = place_of(
                name,
                track=track.track,
                rendition=track.rendition,
                tier=track.tier,
                count=track.count,
            )
            try:
                sealed = (kept.folder / name).read_bytes()
            except FileNotFoundError as fault:
                raise refuse_download("a sealed object is missing") from fault
            yield sealer.open(place, sealed)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    with open(draft, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

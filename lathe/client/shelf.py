"""The folder of one device: its keys, its licences, and sealed tracks.

    keys.json            its keys, sealed with a passphrase: protection.device_keys
    device.json          which device of which origin, and what it knows, signed with its own key
    licences.json        its licences as they were given
    tracks/{key id}/     the sealed objects of a track, and manifest.json when all of them are there

Files appear whole or not at all. Nothing in it opens without the keys; whatever was altered is
refused, and whoever puts an older state back is dealt with by the licences.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import TypeAdapter

from catalogue.errors import (
    ClockTurnedBack,
    DeviceNotFound,
    DeviceUntrusted,
    DownloadNotFound,
    LicenceExpired,
)
from protection.device_keys import DeviceKeys, load_device_keys
from protection.licences import Licence, LicensedTrack, open_licence
from protection.possession import parse_device_key, verify_statement
from protection.refusing import refuse_download
from protection.sealing import Sealer, place_of

LEEWAY = timedelta(minutes=5)
"""So far clocks may differ without one having been turned back."""

_KEY_ID = re.compile(r"[0-9a-f]{32}")
_MARK = b"lathe-device-state-1\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """What a device knows of itself: where it is registered, and the keys that it pins.

    ``mark`` is that of its licences, ``generation`` what it has learnt of, and ``seen_at`` the
    latest time that it has known, Unix time in seconds.
    """

    origin: str
    account: str
    device: str
    pinned: dict[str, str] = field(default_factory=dict)
    mark: str = ""
    generation: int = 0
    seen_at: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a manifest says of how a sealed track is played; the rest of it is for showing."""

    track_id: str
    title: str
    artist: str
    tier: str
    channels: int
    rate_hz: int
    bits: int | None
    samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A track that is here whole."""

    key_id: str
    said: Said
    folder: Path


_REGISTERED, _SAID = TypeAdapter(Registered), TypeAdapter(Said)
_LICENCES = TypeAdapter(list[str])


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

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other program change what the device knows meanwhile."""
        with open(self.folder / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    # ----------------------------------------------------------------------- what it knows

    @property
    def is_registered(self) -> bool:
        """Whether an origin knows the device."""
        return (self.folder / "device.json").exists()

    def registered(self) -> Registered:
        """Return what the device knows of itself. Raises DeviceNotFound and DownloadUntrusted."""
        try:
            text = (self.folder / "device.json").read_bytes()
        except FileNotFoundError as fault:
            raise DeviceNotFound("No device was registered in this folder.") from fault
        signature, _, said = text.partition(b"\n")
        try:
            own = parse_device_key(self.keys.public_key)
            verify_statement(own, _MARK + said, signature.decode("ascii", "replace"))
            return _REGISTERED.validate_json(said)
        except (ValueError, DeviceUntrusted) as fault:
            raise refuse_download("device.json was altered") from fault

    def remember(self, known: Registered) -> None:
        """Keep what the device knows of itself."""
        said = json.dumps(asdict(known)).encode()
        signature = self.keys.sign(_MARK + said).encode("ascii")
        write_whole(self.folder / "device.json", signature + b"\n" + said)

    def licences(self) -> list[Licence]:
        """Return the licences, verified. Raises DownloadUntrusted."""
        try:
            texts = _LICENCES.validate_json((self.folder / "licences.json").read_bytes())
        except FileNotFoundError:
            return []
        except ValueError as fault:
            raise refuse_download("licences.json was altered") from fault
        return self.verify(texts, self.registered())

    def verify(self, texts: Sequence[str], known: Registered) -> list[Licence]:
        """Return licences that a pinned key signed for this device. Raises DownloadUntrusted."""
        found = [open_licence(text, known.pinned) for text in texts]
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
            try:
                said = _SAID.validate_json(path.read_bytes())
            except ValueError:
                # It is as if it were not here.
                refuse_download("a manifest was altered")
                continue
            yield Kept(key_id=path.parent.name, said=said, folder=path.parent)

    def keep_manifest(self, key_id: str, manifest: Mapping[str, Any]) -> None:
        """Let a track be here, whose sealed objects all are. Raises DownloadUntrusted."""
        track = manifest["track"]
        names = ("tier", "channels", "rate_hz", "bits", "samples")
        plain = {name: manifest[name] for name in names}
        plain |= {"track_id": track["id"], "title": track["title"], "artist": track["artist"]}
        said = _SAID.dump_json(_SAID.validate_python(plain))
        write_whole(self.folder_of(key_id) / "manifest.json", said)

    def has(self, key_id: str) -> bool:
        """Return whether a track is here whole."""
        return (self.folder_of(key_id) / "manifest.json").exists()

    def find(self, track_id: str) -> Kept:
        """Return a track that is here whole. Raises DownloadNotFound."""
        for kept in self.kept():
            if kept.said.track_id == track_id:
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
        with self.alone():
            known = self.registered()
            if now.timestamp() < known.seen_at - LEEWAY.total_seconds():
                raise ClockTurnedBack(
                    "The device has known a later time than it says now.",
                    seen_at=_written(known.seen_at),
                    now=_written(now.timestamp()),
                )
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
            self.remember(replace(known, seen_at=max(known.seen_at, now.timestamp())))
        ends = min(track.until, licence.terms.expires_at)
        if now >= ends:
            raise LicenceExpired(
                "Its time is over.", expired_at=_written(ends.timestamp()), track=track.track
            )
        return track

    def opened(self, kept: Kept, now: datetime) -> Iterator[bytes]:
        """Return the pieces of a track in clear: its header and its chunks, all of them, in order.

        Raises what ``licensed`` raises at once, and DownloadUntrusted as soon as a piece is not
        what it should be.
        """
        return self._open_pieces(kept, self.licensed(kept.key_id, now))

    def _open_pieces(self, kept: Kept, track: LicensedTrack) -> Iterator[bytes]:
        sealer = Sealer(track.key)
        for name in ("init.lso", *(f"{index:05d}.lso" for index in range(track.chunk_count))):
            place = place_of(
                name,
                track=track.track,
                rendition=track.rendition,
                tier=track.tier,
                count=track.chunk_count,
            )
            try:
                sealed = (kept.folder / name).read_bytes()
            except OSError as fault:
                raise refuse_download("a sealed object is missing") from fault
            yield sealer.open(place, sealed)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""What a device does online: register, download, renew its licences, and learn what changed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from catalogue.errors import DeviceExists, LatheError, OriginUnavailable, Unexpected, leaves
from catalogue.offline import DeviceKind
from lathe.client.shelf import Registered, Shelf, write_whole
from protection.device_keys import make_device_keys, save_device_keys
from protection.possession import Purpose, build_statement
from protection.refusing import refuse_download

_KINDS = {leaf.code: leaf for leaf in leaves()}
_NAME = re.compile(r"(init|preroll|[0-9]{5,8})\.lso")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """How far fetching is: bytes that are here, of how many."""

    bytes_done: int
    bytes: int


class Keeper:
    """Speaks with an origin for one device, as an account that has signed in.

    ``http`` has the origin as its base URL and sends the session's token. Every method raises the
    error that the origin names, and OriginUnavailable when it cannot be reached.
    """

    def __init__(self, http: httpx.Client, now: Callable[[], datetime]) -> None:
        self._http, self._now = http, now

    def register(self, folder: Path, passphrase: str, *, name: str, kind: DeviceKind) -> Shelf:
        """Make keys in a new folder and register them; return its shelf.

        A registration that broke off is gone on with, and one that was made stays as it is.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "keys.json"
        if not path.exists():
            save_device_keys(make_device_keys(), path, passphrase)
        shelf = Shelf.open(folder, passphrase)
        if shelf.is_registered:
            return shelf
        account = self._ask("GET", "/v1/account")["id"]
        challenge = self._challenge(None)
        words = (name, kind, shelf.keys.public_key, shelf.keys.agreement_key)
        statement = build_statement(Purpose.REGISTER, account, challenge, "\n".join(words).encode())
        said = {
            "name": name,
            "kind": kind,
            "public_key": shelf.keys.public_key,
            "agreement_key": shelf.keys.agreement_key,
            "challenge": challenge,
            "signature": shelf.keys.sign(statement),
        }
        try:
            device = self._ask("POST", "/v1/devices", json=said)
        except DeviceExists:
            # It was registered, and the answer was lost.
            device = self._find(shelf)
        pinned = self._ask("GET", "/v1/licences/keys")["keys"]
        shelf.remember(
            Registered(
                origin=str(self._http.base_url),
                account=account,
                device=device["id"],
                pinned=pinned,
                seen_at=self._now().timestamp(),
            )
        )
        return shelf

    def take(self, shelf: Shelf, **wanted: Any) -> dict[str, Any]:
        """Ask for a download: see origin.downloads.DownloadWanted."""
        device = shelf.registered().device
        return self._ask("POST", "/v1/downloads", json={"device_id": device, **wanted})

    def download(self, download_id: str) -> dict[str, Any]:
        """Return how far a download is sealed."""
        return self._ask("GET", f"/v1/downloads/{download_id}")

    def fetch(
        self,
        shelf: Shelf,
        download_id: str,
        report: Callable[[Fetched], None] = lambda _: None,
    ) -> None:
        """Fetch every track of a download that is not here yet; what is here is not fetched again.

        Raises DownloadNotReady while it is being sealed.
        """
        tracks = [
            each for each in self.download(download_id)["tracks"] if each["standing"] == "active"
        ]
        total, done = sum(each["size_bytes"] for each in tracks), 0

        def note(more: int) -> None:
            nonlocal done
            done += more
            report(Fetched(bytes_done=done, bytes=total))

        for track in tracks:
            key_id = track["key_id"]
            if shelf.has(key_id):
                note(track["size_bytes"])
                continue
            path = f"/v1/downloads/{download_id}/tracks/{track['track_id']}"
            manifest = self._ask("GET", path)
            folder = shelf.folder_of(key_id)
            self._fetch_track(urljoin(str(self._http.base_url), path), manifest, folder, note)
            shelf.keep_manifest(key_id, manifest)

    def renew(self, shelf: Shelf) -> dict[str, Any]:
        """Get licences for all that the device keeps, and return what it may not keep any more.

        The origin, as TLS vouches for it, says anew which keys sign licences; those that are given
        are verified before those before are given up.
        """
        with shelf.alone():
            known = shelf.registered()
            challenge = self._challenge(known.device)
            words = f"{known.device}\n{known.mark}".encode()
            statement = build_statement(Purpose.LICENCE, known.account, challenge, words)
            said = {
                "device_id": known.device,
                "mark": known.mark,
                "challenge": challenge,
                "signature": shelf.keys.sign(statement),
            }
            given = self._ask("POST", "/v1/licences", json=said)
            told = self._ask("GET", "/v1/licences/keys")["keys"]
            pinned = replace(known, pinned=told, mark=given["mark"])
            shelf.verify(given["licences"], pinned)
            shelf.keep_licences(given["licences"])
            shelf.remember(pinned)
        return given

    def sync(self, shelf: Shelf) -> dict[str, Any]:
        """Learn what changed and what time it is, and remove what no download has any more."""
        with shelf.alone():
            known = shelf.registered()
            said = {"device_id": known.device, "since": known.generation}
            found = self._ask("GET", "/v1/downloads/sync", params=said)
            told = {each["key_id"]: bool(each["kept"]) for each in found["tracks"]}
            # Who knows nothing yet is told all that it has.
            has = bool(known.generation)
            for kept in list(shelf.kept()):
                if not told.get(kept.key_id, has):
                    shelf.discard(kept.key_id)
            seen_at = datetime.fromisoformat(found["server_time"]).timestamp()
            shelf.remember(replace(known, generation=found["generation"], seen_at=seen_at))
        return found

    def _find(self, shelf: Shelf) -> dict[str, Any]:
        """Return the device that has these keys. Raises DeviceExists."""
        for device in self._ask("GET", "/v1/devices")["devices"]:
            if device["thumbprint"] == shelf.keys.thumbprint:
                found: dict[str, Any] = device
                return found
        raise DeviceExists("Its key is known, and not this account's.")

    def _challenge(self, device: str | None) -> str:
        said = {"device_id": device}
        return str(self._ask("POST", "/v1/devices/challenges", json=said)["challenge"])

    def _fetch_track(
        self,
        url: str,
        manifest: Mapping[str, Any],
        folder: Path,
        note: Callable[[int], None],
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        preroll = [] if manifest["preroll"] is None else [manifest["preroll"]]
        for stored in (manifest["init"], *preroll, *manifest["chunks"]):
            if not _NAME.fullmatch(stored["name"]):
                raise refuse_download("the manifest names what is no sealed object")
            path = folder / stored["name"]
            size_bytes = int(stored["size_bytes"])
            if not path.exists() or path.stat().st_size != size_bytes:
                self._fetch_object(
                    urljoin(url, manifest["base_url"] + stored["name"]), path, size_bytes
                )
            note(size_bytes)

    def _fetch_object(self, url: str, path: Path, size_bytes: int) -> None:
        try:
            with self._http.stream("GET", url) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _named(answer)
                data = bytearray()
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > size_bytes:
                        break
        except httpx.TransportError as fault:
            raise OriginUnavailable("It cannot be reached.", tool=type(fault).__name__) from fault
        if len(data) != size_bytes:
            raise refuse_download("a sealed object is not as long as its manifest says")
        write_whole(path, bytes(data))

    def _ask(self, method: str, path: str, **said: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._reach(method, path, **said).json()
        return found

    def _reach(self, method: str, url: str, **said: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, url, **said)
        except httpx.TransportError as fault:
            raise OriginUnavailable("It cannot be reached.", tool=type(fault).__name__) from fault
        if not answer.is_success:
            raise _named(answer)
        return answer


def _named(answer: httpx.Response) -> LatheError:
    """Return the error that an answer names."""
    try:
        problem = answer.json()
        kind = _KINDS[problem["code"]]
        return kind(str(problem["detail"]), **dict(problem["measured"]))
    except (ValueError, KeyError, TypeError):
        told = "The origin answers what is no problem document."
        return Unexpected(told, status=answer.status_code)

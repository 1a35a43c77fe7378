"""``make bench``: what downloads cost: sealing, licences, and serving what is sealed.

Sealing is measured by itself and as workers do it (read from a local store, sealed, stored
durably), licences by themselves and as the origin gives them, all by the CPU that they take.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import create_engine, text

from benchmarks.wrk import Asked, cpu_s, in_turn, measure
from catalogue.offline import ContentKeyId, DeviceId, DeviceKind, StoredContentKey
from lathe.client import Keeper, Shelf
from lathe.settings import read_settings
from lathe.wiring import open_content_keys, open_house
from protection.content_keys import KeyWrapper, WrappedKey, make_content_key
from protection.device_keys import make_device_keys
from protection.keyring import KeyRing
from protection.licences import LicenceSigner, LicensedTrack, Terms
from protection.possession import parse_device_key
from protection.sealing import Part, Place, Sealer
from tests.audio.pressings import make_wav
from tests.e2e.servers import Listener, Plant, accepted, deliver, wait_for_job, wait_until
from workers.sealing import SealingWork

_CHUNK_BYTES = 400 << 10
_TRACKS = 500
_SAMPLES, _SHORT_SAMPLES = 210 * 44_100, 44_100
_COPIES = [
    """INSERT INTO tracks (id, label, isrc, title, artist, updated_at)
       SELECT 'trk_n' || value, 'bench', 'N' || value, 'Title', 'Artist', updated_at
       FROM tracks, json_each(:numbers) WHERE tracks.id = :track""",
    """INSERT INTO rights (track_id, territory, windows)
       SELECT 'trk_n' || value, 'US', NULL FROM json_each(:numbers)""",
    """INSERT INTO track_renditions (track_id, rendition_id, place)
       SELECT 'trk_n' || value, rendition_id, place
       FROM track_renditions, json_each(:numbers) WHERE track_id = :track""",
]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="for each kind of request")
    seconds = parser.parse_args().seconds
    _tell_sealing()
    _tell_licences()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Plant(folder / "state", TERRITORY="US") as plant:
            _tell_plant(plant, folder, seconds)


def _tell_sealing() -> None:
    sealer, data = Sealer(make_content_key()), os.urandom(_CHUNK_BYTES)
    place = Place(track="t", rendition="r", tier="flac", part=Part.BODY, index=0, count=9)
    sealed = sealer.seal(place, data)
    print(f"sealing    {_rate(lambda: sealer.seal(place, data)) * _CHUNK_BYTES / 1e9:8.1f} GB/s")
    print(f"opening    {_rate(lambda: sealer.open(place, sealed)) * _CHUNK_BYTES / 1e9:8.1f} GB/s")


def _tell_licences() -> None:
    ring = KeyRing(first_kid="k", keys={"k": bytes(32)})
    wrapper, signer, keys = KeyWrapper(ring), LicenceSigner(ring), make_device_keys()
    agreement = parse_device_key(keys.agreement_key)
    wrapped = [wrapper.wrap(make_content_key()) for _ in range(_TRACKS)]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    terms = Terms(
        id="lic",
        account="acc",
        device="dev",
        thumbprint=keys.thumbprint,
        mark="mark",
        generation=1,
        territory="US",
        issued_at=now,
        renew_after=now + timedelta(days=7),
        expires_at=now + timedelta(days=30),
    )

    def sign(stored: list[WrappedKey]) -> str:
        tracks = [
            LicensedTrack(
                track="trk_01m7xr1t6zb8nnjmj4egqn9p18",
                rendition="flac-2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f",
                tier="flac",
                chunk_count=21,
                until=terms.expires_at,
                key=wrapper.unwrap(each),
            )
            for each in stored
        ]
        return signer.sign(terms, agreement, tracks)

    print(f"wrapping   {_rate(lambda: wrapper.wrap(make_content_key())):8,.0f} keys a core-second")
    one, many = _rate(lambda: sign(wrapped[:1])), _rate(lambda: sign(wrapped))
    print(f"licences   {one:8,.0f} of one track a core-second")
    print(f"           {many:8,.0f} of {_TRACKS} tracks: {1000 / many:.1f} ms each")


def _tell_plant(plant: Plant, folder: Path, seconds: int) -> None:
    with plant.client() as label:
        master = make_wav(folder / "master.wav", samples=_SAMPLES)
        track_id = wait_for_job(label, accepted(deliver(label, master)))["track_id"]
        short = make_wav(folder / "short.wav", samples=_SHORT_SAMPLES)
        job_id = accepted(deliver(label, short, isrc="ZZTST2600002"))
        short_id = wait_for_job(label, job_id)["track_id"]
    plant.make_account("ada@example.org", "--plan", "premium", "--territory", "US")
    with plant.signed_in("ada@example.org") as ada:
        keeper = Keeper(ada, lambda: datetime.now(UTC))
        shelf = keeper.register(folder / "device", "p", name="d", kind=DeviceKind.OTHER)
        taken = keeper.take(shelf, track_id=track_id, codec="flac")
        wait_until(lambda: keeper.download(taken["id"])["ready"], "a sealed download")
        _tell_worker(plant, taken["tracks"][0]["key_id"])
        _tell_serving(plant, folder, track_id, taken, ada, seconds)
        _copy_tracks(plant, short_id)
        ids = [f"trk_n{number}" for number in range(_TRACKS - 1)]
        keeper.take(shelf, track_ids=ids, codec="flac")
        wait_until(
            lambda: all(each["ready"] for each in ada.get("/v1/downloads").json()["downloads"]),
            "sealed downloads",
        )
        _tell_renewal(plant, ada, keeper, shelf)


def _tell_renewal(plant: Plant, http: httpx.Client, keeper: Keeper, shelf: Shelf) -> None:
    """Tell what the call that gives the licences costs, and what all of a renewal does."""
    marks: list[float] = []

    def mark(told: httpx.Request | httpx.Response) -> None:
        if str(told.url).endswith("/v1/licences"):
            marks.append(cpu_s(plant.pid))

    http.event_hooks = {"request": [mark], "response": [mark]}
    before, rounds = cpu_s(plant.pid), 40
    for _ in range(rounds):
        keeper.renew(shelf)
    whole_ms = (cpu_s(plant.pid) - before) / rounds * 1000
    call_ms = (sum(marks[1::2]) - sum(marks[::2])) / rounds * 1000
    print(f"renewal    {call_ms:8.1f} ms of the origin's CPU for the licences of {_TRACKS} tracks")
    print(f"           {whole_ms:8.1f} ms with its challenge, and the keys that are pinned")


def _tell_worker(plant: Plant, key_id: str) -> None:
    """Print how fast a worker seals a rendition, for devices that share a key or have their own."""
    settings = read_settings(
        {name: value for name, value in plant.environment.items() if name.startswith("LATHE_")}
    )
    house = open_house(settings)
    wrapper = KeyWrapper(open_content_keys(settings))
    known = house.content_keys.sealed(ContentKeyId(key_id))
    assert known is not None
    work = SealingWork(
        keys=house.content_keys,
        tracks=house.tracks,
        store=house.store,
        wrapper=wrapper,
        now=lambda: datetime.now(UTC),
        shutting_down=threading.Event(),
    )
    used_s, took_s, rounds = 0.0, 0.0, 8
    for _ in range(rounds):
        own = _own_key(known, wrapper)
        # Due later, so that the plant's own workers leave it.
        house.content_keys.keys([own], now=datetime.now(UTC) + timedelta(seconds=3600))
        house.content_keys.put_off(own.id, until=datetime.now(UTC))
        began, cpu = time.monotonic(), time.process_time()
        work.seal(own.id)
        used_s += time.process_time() - cpu
        took_s += time.monotonic() - began
    gigabytes = known.size_bytes * rounds / 1e9
    print(
        f"worker     {gigabytes / used_s:8.1f} GB/s of CPU, {gigabytes / took_s:.2f} GB/s by the "
        f"clock, of {known.size_bytes / 1e6:.0f} MB: what each further device of a label costs "
        "that demands keys of their own; of all others, nothing"
    )


def _own_key(known: StoredContentKey, wrapper: KeyWrapper) -> StoredContentKey:
    wrapped = wrapper.wrap(make_content_key())
    return known._replace(
        id=ContentKeyId(wrapped.id),
        kek=wrapped.kek,
        wrapped=wrapped.wrapped,
        device_id=DeviceId(wrapped.id),
    )


def _tell_serving(
    plant: Plant,
    folder: Path,
    track_id: str,
    taken: dict[str, Any],
    ada: httpx.Client,
    seconds: int,
) -> None:
    player = Listener(ada, track_id)
    rendition = next(each for each in player.renditions if each["tier"] == "flac")
    clear = player.url(rendition, rendition["chunks"][0]["name"]).removeprefix(plant.url)
    path = f"/v1/downloads/{taken['id']}/tracks/{track_id}"
    manifest = ada.get(path).json()
    base = manifest["base_url"].removeprefix("../../../..")
    sealed = f"{base}{manifest['chunks'][0]['name']}"
    found = {}
    for words, url in (("clear", clear), ("sealed", sealed)):
        found[words] = measure(plant.url, [plant.pid], in_turn([Asked(path=url)]), seconds, folder)
    ratio = found["sealed"].answers / found["clear"].answers
    print(f"serving    {found['clear']} in clear\n           {found['sealed']} sealed: {ratio:.2f}")


def _copy_tracks(plant: Plant, track_id: str) -> None:
    engine = create_engine(f"sqlite:///{plant.state / 'catalogue.sqlite3'}")
    numbers = str(list(range(_TRACKS - 1)))
    with engine.begin() as connection:
        for statement in _COPIES:
            connection.execute(text(statement), {"numbers": numbers, "track": track_id})
    engine.dispose()


def _rate(do: Callable[[], object]) -> float:
    """Return how often something is done in a second of CPU."""
    do()
    count, began = 0, time.process_time()
    while time.process_time() - began < 1:
        do()
        count += 1
    return count / (time.process_time() - began)


if __name__ == "__main__":
    main()

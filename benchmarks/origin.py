"""``make bench``: what the origin answers for each second that its core works, beside nginx.

wrk asks real servers over loopback for as long as it is told. What counts is the servers' own CPU,
user and system, so that wrk and the client's side of the machine do not.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.wrk import Asked, Rate, add_up, in_turn, measure
from tests.audio.pressings import make_wav
from tests.e2e.edges import configuration
from tests.e2e.servers import (
    Listener,
    Plant,
    accepted,
    children_of,
    deliver,
    free_port,
    wait_for_job,
)
from tests.engines import EdgeServer, NginxServer

_SAMPLES = 30 * 44_100
_SESSIONS, _ROUNDS = 64, 4
_CHUNK_BYTES, _RANGE_BYTES = 400 << 10, 64 << 10
_NGINX = """
worker_processes 1;
pid nginx.pid;
events { worker_connections 512; }
http {
    access_log off;
    sendfile on;
    server {
        listen 127.0.0.1:%(port)d;
        location / { root %(root)s; }
    }
}
"""


def main() -> None:
    """Start servers, ask them, and print."""
    parser = argparse.ArgumentParser(description="Times the origin beside nginx.")
    parser.add_argument(
        "--seconds", type=int, default=5, help="for each kind of request, each time"
    )
    seconds = parser.parse_args().seconds
    with (
        tempfile.TemporaryDirectory() as name,
        Plant(Path(name) / "state", TERRITORY="US") as plant,
    ):
        with plant.client() as label:
            # Noise fills the tiers to what they may take, so that a chunk is of the usual size.
            master = make_wav(Path(name) / "master.wav", samples=_SAMPLES)
            job = accepted(deliver(label, master))
            track_id = wait_for_job(label, job)["track_id"]
        Path(name).chmod(0o755)
        plant.make_account("ada@example.org", "--plan", "premium")
        with plant.client(key="") as guest:
            player = Listener(guest, track_id)
        tokens = [_sign_in(plant) for _ in range(_SESSIONS)]
        rendition, chunk_name = _choose(player)
        chunk = player.url(rendition, chunk_name).removeprefix(plant.url)
        stored = plant.state / "store" / "renditions" / rendition["id"]
        folder, port = Path(name) / "nginx", free_port()
        folder.mkdir()
        nginx = NginxServer(_NGINX % {"port": port, "root": stored}, folder, port)
        edge = _make_edge(plant, Path(name) / "edge", "folder.conf", plant.state / "store")
        cached = _make_edge(plant, Path(name) / "cached", "cached.conf", None)
        span = {"Range": f"bytes=0-{_RANGE_BYTES - 1}"}
        with nginx, edge, cached:
            signed = Asked(path=chunk)
            kinds_of_chunks: list[tuple[str, NginxServer | Plant, Asked]] = [
                ("nginx, a chunk from a folder", nginx, Asked(path=f"/{chunk_name}")),
                ("edge, the same, signed", edge, signed),
                ("edge, out of its cache, signed", cached, signed),
                ("origin, the same, signed", plant, signed),
                ("origin, 64 KiB of it", plant, Asked(path=chunk, headers=span)),
            ]
            found: dict[str, list[Rate]] = {words: [] for words, _, _ in kinds_of_chunks}
            # In turns, for a machine may be faster or slower a minute later.
            for _ in range(_ROUNDS):
                for words, server, one in kinds_of_chunks:
                    pids = [server.pid, *(() if server is plant else children_of(server.pid))]
                    rate = measure(server.url, pids, in_turn([one]), seconds, Path(name))
                    found[words].append(rate)
        totals = {words: add_up(rates) for words, rates in found.items()}
        static = totals[kinds_of_chunks[0][0]]
        for words, rate in totals.items():
            ratio = "" if rate is static else f"  {rate.answers / static.answers:.2f} of nginx"
            print(f"{words:<34}{rate}{ratio}")

        def ask(asked: Sequence[Asked]) -> Rate:
            return measure(plant.url, [plant.pid], in_turn(asked), seconds, Path(name))

        kinds: list[tuple[str, str, dict[str, str]]] = [
            ("one codec", "?codecs=aac", {}),
            ("every tier", "", {}),
            ("every tier, gzip", "", {"Accept-Encoding": "gzip"}),
        ]
        for words, query, headers in kinds:
            url = f"/v1/tracks/{track_id}/manifest{query}"
            asked = [
                Asked(path=url, headers={"Authorization": f"Bearer {token}", **headers})
                for token in tokens
            ]
            print(f"origin, manifests, {words:<15}{ask(asked)}")


def _make_edge(plant: Plant, folder: Path, chunks: str, store: Path | None) -> EdgeServer:
    """Return an edge before a plant, with the configuration ``chunks``, not started yet."""
    folder.mkdir()
    port = free_port()
    text = configuration(port, plant.url.removeprefix("http://"), chunks)
    ring = (plant.state / "url-keys").read_text("utf-8")
    return EdgeServer(text, folder, port, ring=ring, store=store)


def _choose(player: Listener) -> tuple[dict[str, Any], str]:
    """Return the rendition and the name of the chunk whose size is nearest to the usual one."""
    all_of_them = (
        (abs(chunk["size_bytes"] - _CHUNK_BYTES), rendition["id"], chunk["name"])
        for rendition in player.renditions
        for chunk in rendition["chunks"]
    )
    _, chosen, name = min(all_of_them)
    return next(each for each in player.renditions if each["id"] == chosen), name


def _sign_in(plant: Plant) -> str:
    with plant.signed_in("ada@example.org") as client:
        return client.headers["Authorization"].removeprefix("Bearer ")


if __name__ == "__main__":
    main()

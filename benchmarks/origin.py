"""``make bench``: what the origin answers for each second that its core works, beside nginx.

wrk asks real servers over loopback for as long as it is told. What counts is the servers' own CPU,
user and system, so that wrk and the client's side of the machine do not.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.wrk import Asked, Rate, in_turn, measure
from tests.audio_tools import FIXTURES
from tests.e2e.servers import (
    Listener,
    Plant,
    accepted,
    children_of,
    deliver,
    free_port,
    wait_for_job,
)
from tests.e2e.test_edge import configuration
from tests.engines import EdgeServer, NginxServer

_SESSIONS = 64
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
    parser.add_argument("--seconds", type=int, default=5, help="for each kind of request")
    seconds = parser.parse_args().seconds
    with (
        tempfile.TemporaryDirectory() as name,
        Plant(Path(name) / "state", TERRITORY="US") as plant,
    ):
        with plant.client() as label:
            job = accepted(deliver(label, FIXTURES / "prelude-96.flac"))
            track_id = wait_for_job(label, job)["track_id"]
        Path(name).chmod(0o755)
        plant.make_account("ada@example.org", "--plan", "premium")
        with plant.client(key="") as guest:
            player = Listener(guest, track_id)
        tokens = [_sign_in(plant) for _ in range(_SESSIONS)]
        rendition, chunk_name = _choose(player)
        chunk = player.url(rendition, chunk_name).removeprefix(plant.url)
        stored = plant.state / "store" / "renditions" / rendition["id"]
        port = free_port()
        text = _NGINX % {"port": port, "root": stored}
        folder = Path(name) / "nginx"
        folder.mkdir()
        with NginxServer(text, folder, port) as nginx:
            plain = Asked(path=f"/{chunk_name}", headers={})
            pids = [nginx.pid, *children_of(nginx.pid)]
            static = measure(nginx.url, pids, in_turn([plain]), seconds, folder)
        print(f"nginx, a chunk from a folder      {static}")

        port, edge_folder = free_port(), Path(name) / "edge"
        edge_folder.mkdir()
        text = configuration(port, plant.url.removeprefix("http://"), "folder.conf")
        ring, store = (plant.state / "url-keys").read_text("utf-8"), plant.state / "store"
        with EdgeServer(text, edge_folder, port, ring=ring, store=store) as edge:
            pids = [edge.pid, *children_of(edge.pid)]
            checked = measure(edge.url, pids, in_turn([Asked(path=chunk)]), seconds, folder)
        print(f"edge, the same, signed            {checked}  {_ratio(checked, static)}")

        def ask(asked: Sequence[Asked]) -> Rate:
            return measure(plant.url, [plant.pid], in_turn(asked), seconds, folder)

        whole = ask([Asked(path=chunk)])
        print(f"origin, the same, signed          {whole}  {_ratio(whole, static)}")
        span = {"Range": f"bytes=0-{_RANGE_BYTES - 1}"}
        ranged = ask([Asked(path=chunk, headers=span)])
        print(f"origin, 64 KiB of it              {ranged}  {_ratio(ranged, static)}")
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


def _choose(player: Listener) -> tuple[dict[str, Any], str]:
    """Return the rendition and the name of the chunk whose size is nearest to the usual one."""
    all_of_them = (
        (abs(chunk["size_bytes"] - _CHUNK_BYTES), rendition["id"], chunk["name"])
        for rendition in player.renditions
        for chunk in rendition["chunks"]
    )
    _, chosen, name = min(all_of_them)
    return next(each for each in player.renditions if each["id"] == chosen), name


def _ratio(rate: Rate, static: Rate) -> str:
    return f"{rate.answers / static.answers:.2f} of nginx"


def _sign_in(plant: Plant) -> str:
    with plant.signed_in("ada@example.org") as client:
        return client.headers["Authorization"].removeprefix("Bearer ")


if __name__ == "__main__":
    main()

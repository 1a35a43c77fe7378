"""``make bench``: what the origin answers for each second that its core works, beside nginx.

wrk asks real servers over loopback for as long as it is told. What counts is the servers' own CPU,
user and system, so that wrk and the client's side of the machine do not.
"""

import argparse
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
_SCRIPT = """
local asked = %s
local turn = 0
request = function()
  turn = turn + 1
  local each = asked[turn %% #asked + 1]
  return wrk.format("GET", each[1], each[2])
end
"""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How many answers of what size a server gave for a second of its CPU."""

    answers: float
    size_bytes: float

    def __str__(self) -> str:
        return f"{self.answers:>9,.0f} a core-second, {self.size_bytes / 1024:6.0f} KiB each"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A path, and headers beside it."""

    path: str
    headers: dict[str, str]


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
            static = _measure(nginx.url, pids, [plain], seconds, folder)
        print(f"nginx, a chunk from a folder      {static}")

        port, edge_folder = free_port(), Path(name) / "edge"
        edge_folder.mkdir()
        text = configuration(port, plant.url.removeprefix("http://"), "folder.conf")
        ring, store = (plant.state / "url-keys").read_text("utf-8"), plant.state / "store"
        with EdgeServer(text, edge_folder, port, ring=ring, store=store) as edge:
            pids = [edge.pid, *children_of(edge.pid)]
            checked = _measure(edge.url, pids, [Asked(path=chunk, headers={})], seconds, folder)
        print(f"edge, the same, signed            {checked}  {_ratio(checked, static)}")

        def ask(asked: Sequence[Asked]) -> Rate:
            return _measure(plant.url, [plant.pid], asked, seconds, folder)

        whole = ask([Asked(path=chunk, headers={})])
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


def _measure(
    url: str, pids: Sequence[int], asked: Sequence[Asked], seconds: int, folder: Path
) -> Rate:
    script = folder / "asked.lua"
    script.write_text(_SCRIPT % _lua(asked))
    command = ["wrk", "-t1", "-c16", "-s", str(script)]
    subprocess.run([*command, "-d1", url], check=True, capture_output=True)
    before = sum(map(_cpu_s, pids))
    done = subprocess.run(
        [*command, f"-d{seconds}", url], check=True, capture_output=True, text=True
    ).stdout
    used_s = sum(map(_cpu_s, pids)) - before
    found = re.search(r"(\d+) requests in [^,]+, ([0-9.]+)([KMG]?)B read", done)
    assert found is not None, done
    assert "Non-2xx" not in done, done
    answers, scale = int(found[1]), {"": 0, "K": 10, "M": 20, "G": 30}[found[3]]
    return Rate(answers=answers / used_s, size_bytes=float(found[2]) * 2**scale / answers)


def _lua(asked: Sequence[Asked]) -> str:
    each = (
        f'{{"{one.path}", {{'
        + ", ".join(f'["{name}"] = "{value}"' for name, value in one.headers.items())
        + "}}"
        for one in asked
    )
    return "{" + ",\n".join(each) + "}"


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()

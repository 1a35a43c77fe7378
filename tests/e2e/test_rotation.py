"""URL-signing keys are rotated while a player listens: origin, edge and player."""

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urljoin

import httpx

from catalogue.errors import UrlUntrusted
from tests.audio_tools import FIXTURES
from tests.e2e.edges import configuration
from tests.e2e.servers import (
    HANG_S,
    Listener,
    QuickPlant,
    accepted,
    deliver,
    free_port,
    wait_for_job,
    wait_until,
)
from tests.e2e.test_problems import require_problem
from tests.engines import EdgeServer

OLD, NEW = f"old:{'A' * 43}", f"new:{'B' * 42}A"


def test_a_player_listens_on_while_keys_are_rotated(tmp_path: Path) -> None:
    state, port, edge_port = tmp_path / "state", str(free_port()), free_port()
    text = configuration(edge_port, f"127.0.0.1:{port}", "folder.conf")
    (tmp_path / "edge").mkdir()
    edge = EdgeServer(text, tmp_path / "edge", edge_port, ring=OLD, store=state / "store")
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(base_url=edge.url, timeout=HANG_S))
        stack.enter_context(edge)

        def start(ring: str) -> QuickPlant:
            return stack.enter_context(QuickPlant(state, URL_KEYS=ring, PORT=port))

        plant = start(OLD)
        with plant.client() as label:
            job = accepted(deliver(label, FIXTURES / "canon-1.flac"))
            track_id = wait_for_job(label, job)["track_id"]
        player = Listener(client, track_id)
        rendition = player.renditions[-1]
        chunk = player.url(rendition, rendition["chunks"][0]["name"])
        body = client.get(chunk).content
        direct = urljoin(f"http://127.0.0.1:{port}", httpx.URL(chunk).path)

        def opens(url: str) -> bool:
            return client.get(url).status_code == 200

        edge.write_ring(f"{NEW} {OLD}")
        edge.reload()
        plant.stop()
        plant = start(f"{NEW} {OLD}")
        # What was given before plays on, at the edge and at the origin, and is exchanged in time.
        for url in (chunk, direct):
            assert client.get(url).content == body
        renewed = Listener(client, track_id)
        assert renewed.manifest["expires_at"] > datetime.now(UTC).isoformat()
        token = renewed.renditions[-1]["base_url"].split("/s/")[1].split("/")[0]
        assert token.split(".")[1] == "new"
        url = renewed.url(renewed.renditions[-1], rendition["chunks"][0]["name"])
        wait_until(lambda: opens(url), "the new key at the edge")
        assert client.get(url).content == body

        edge.write_ring(NEW)
        edge.reload()
        plant.stop()
        start(NEW)
        wait_until(lambda: not opens(chunk), "the end of the old key at the edge")
        for refused in (chunk, direct):
            require_problem(client.get(refused), UrlUntrusted)
        assert client.get(url).content == body

"""Many who ask an edge for a chunk that its origin takes long to send."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.e2e.edges import CASES, RING, Upstream, configuration, in_path, in_query
from tests.e2e.servers import HANG_S, free_port
from tests.engines import EdgeServer

TAKES_S = 6.5
"""Longer than nginx waits, unless it is told to, before it sends one more to the origin."""


def test_a_chunk_that_takes_long_is_fetched_once(tmp_path: Path) -> None:
    upstream, port = Upstream(TAKES_S), free_port()
    text = configuration(port, upstream.address, "cached.conf")
    case = CASES[0]
    paths = [in_path(case["prefix"]), in_query(case["prefix"])] * 4
    with EdgeServer(text, tmp_path, port, ring=RING) as edge, ThreadPoolExecutor(8) as pool:

        def ask(path: str) -> str:
            return httpx.get(f"{edge.url}{path}", timeout=HANG_S).text

        assert list(pool.map(ask, paths)) == ["from the origin"] * len(paths)
    upstream.end()
    assert len(upstream.paths) == 1

"""Players that listen to a real origin, many at once in one process.

Each fetches manifests and chunks over HTTP as a player does: it starts with the first chunk, keeps
a few chunks ahead, switches tiers, seeks, and asks for the next track before this one ends. Its
clock may run faster than the music, to make more load of fewer players.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

_AHEAD_S = 30.0
_ACTIONS = ("none", "none", "none", "switch", "seek")


class HttpFailed(Exception):
    """An answer that is none: its status, or a connection that broke."""


@dataclass
class Seen:
    """What all players together have seen; times are in seconds of the wall."""

    starts_s: list[float] = field(default_factory=list)
    seeks_s: list[float] = field(default_factory=list)
    gapless: int = 0
    switches: int = 0
    chunks: int = 0
    size_bytes: int = 0
    underruns: int = 0
    wrong: list[str] = field(default_factory=list)
    tried_again: int = 0


class Connection:
    """One connection that is kept, and opened again when it breaks; to the next origin then."""

    def __init__(self, origins: Sequence[str], headers: str, seen: Seen) -> None:
        self._origins, self._headers, self._seen = list(origins), headers, seen
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def fetch(self, path: str, body: bytes | None = None) -> bytes:
        """Return the body of a 200; tries again where a connection breaks. Raises HttpFailed."""
        for _ in range(20):
            try:
                return await self._fetch(path, body)
            except (OSError, asyncio.IncompleteReadError):
                await self.close()
                self._origins.append(self._origins.pop(0))
                self._seen.tried_again += 1
                await asyncio.sleep(0.05)
        raise HttpFailed(f"{path.split('/')[-1]}: no connection")

    async def _fetch(self, path: str, body: bytes | None) -> bytes:
        if self._streams is None:
            place = urlsplit(self._origins[0])
            self._streams = await asyncio.open_connection(place.hostname, place.port, limit=1 << 20)
        reader, writer = self._streams
        sent = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: origin\r\n"
        if not path.startswith("/s/"):
            sent += self._headers
        if body is not None:
            sent += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{sent}\r\n".encode() + (body or b""))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.split("\r\n")
        named = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        found = await reader.readexactly(int(named["content-length"]))
        if status.split()[1] != "200":
            raise HttpFailed(f"{path.split('/')[-1]}: {status}")
        return found

    async def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Player:
    """One listener, who plays one track after the other until told to stop."""

    def __init__(
        self,
        connection: Connection,
        tracks: Sequence[str],
        chance: random.Random,
        seen: Seen,
        speed: float,
    ) -> None:
        self._connection, self._tracks = connection, tracks
        self._chance, self._seen, self._speed = chance, seen, speed
        self._manifest: dict[str, Any] = {}
        self._base = ""
        self._played_from = self._fetched_s = 0.0

    async def play(self, stop: asyncio.Event) -> None:
        """Play until ``stop``, and note everything that is seen."""
        coming: tuple[str, dict[str, Any]] | None = None
        while not stop.is_set():
            try:
                coming = await self._play_track(coming, stop)
            except HttpFailed as fault:
                self._seen.wrong.append(str(fault))
                await asyncio.sleep(0.2)
                coming = None

    async def _play_track(
        self, coming: tuple[str, dict[str, Any]] | None, stop: asyncio.Event
    ) -> tuple[str, dict[str, Any]] | None:
        """Play a track, which may have been fetched ahead; return the one after it."""
        began = perf_counter()
        track_id = self._chance.choice(self._tracks) if coming is None else coming[0]
        self._base = f"/v1/tracks/{track_id}/manifest"
        self._manifest = (
            json.loads(await self._connection.fetch(self._base)) if coming is None else coming[1]
        )
        rendition = self._chance.choice(self._manifest["renditions"])
        await self._fetch(rendition, rendition["init"])
        await self._fetch(rendition, rendition["chunks"][0])
        if coming is None:
            self._seen.starts_s.append(perf_counter() - began)
            self._begin()
        else:
            self._seen.gapless += 1
        self._hear(rendition, 0)
        place = 0
        while place + 1 < len(rendition["chunks"]) and not stop.is_set():
            await self._wait(_AHEAD_S)
            place += 1
            action = self._chance.choice(_ACTIONS)
            if action == "switch":
                rendition = self._chance.choice(self._manifest["renditions"])
                await self._fetch(rendition, rendition["init"])
                self._seen.switches += 1
            if action == "seek":
                place = self._chance.randrange(len(rendition["chunks"]))
                began = perf_counter()
                await self._fetch(rendition, rendition["chunks"][place])
                self._seen.seeks_s.append(perf_counter() - began)
                self._begin()
            else:
                await self._fetch(rendition, rendition["chunks"][place])
            self._hear(rendition, place)
        if stop.is_set():
            return None
        coming = await self._prefetch()
        await self._wait(_AHEAD_S)
        return coming

    async def _prefetch(self) -> tuple[str, dict[str, Any]]:
        track_id = self._chance.choice(self._tracks)
        said = json.dumps({"tracks": [track_id]}).encode()
        (found,) = json.loads(await self._connection.fetch("/v1/prefetch", said))["tracks"]
        if found["manifest"] is None:
            raise HttpFailed(f"prefetch: {found['problem']['code']}")
        return track_id, found["manifest"]

    async def _fetch(self, rendition: dict[str, Any], stored: dict[str, Any]) -> None:
        url = urljoin(self._base, f"{rendition['base_url']}{stored['name']}")
        body = await self._connection.fetch(url)
        self._seen.chunks += 1
        self._seen.size_bytes += len(body)
        if hashlib.sha256(body).hexdigest() != stored["sha256"]:
            self._seen.wrong.append(f"{stored['name']}: other bytes")

    def _begin(self) -> None:
        """Begin to play: nothing is ahead yet."""
        self._played_from, self._fetched_s = perf_counter(), 0.0

    def _hear(self, rendition: dict[str, Any], place: int) -> None:
        """Put a chunk behind what is fetched; it was waited for if all that had been heard."""
        if self._fetched_s and self._left_s() < 0:
            self._seen.underruns += 1
            self._begin()
        samples: int = rendition["chunks"][place]["valid_samples"]
        self._fetched_s += samples / float(rendition["rate_hz"])

    async def _wait(self, ahead_s: float) -> None:
        """Wait until no more than this is fetched ahead."""
        if (too_much_s := self._left_s() - ahead_s) > 0:
            await asyncio.sleep(too_much_s / self._speed)

    def _left_s(self) -> float:
        return self._fetched_s - (perf_counter() - self._played_from) * self._speed


async def simulate(
    origins: Sequence[str],
    tokens: Sequence[str],
    tracks: Sequence[str],
    *,
    players: int,
    seconds: float,
    speed: float = 1.0,
) -> Seen:
    """Let so many players listen for so long, and return what they saw."""
    seen, stop = Seen(), asyncio.Event()

    async def listen(number: int) -> None:
        chance = random.Random(number)
        headers = f"Authorization: Bearer {tokens[number % len(tokens)]}\r\n"
        turned = [*origins[number % len(origins) :], *origins[: number % len(origins)]]
        # They do not come all at once.
        await asyncio.sleep(chance.uniform(0, seconds / 4))
        async with Connection(turned, headers, seen) as connection:
            await Player(connection, tracks, chance, seen, speed).play(stop)

    listening = [asyncio.create_task(listen(number)) for number in range(players)]
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*listening)
    return seen

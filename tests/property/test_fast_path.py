"""The fast path answers as the plain one does, whatever is asked and however often."""

import asyncio
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message

from catalogue.fleeting.limits import MemoryLimits
from catalogue.identifiers import WORLDWIDE
from catalogue.licensing import Listener, grant_stream
from catalogue.nouns import (
    AccountId,
    JobId,
    Quality,
    Rendition,
    Right,
    SessionId,
    StoredObject,
    TrackId,
    Use,
    Window,
)
from catalogue.people import Plan, Role, Session
from catalogue.people_port import Limit, StoredAccount
from lathe.serving import build_services
from lathe.settings import Settings
from lathe.wiring import House, open_changes, open_house
from origin.app import build_app, build_plain
from origin.entrance import Entrance
from origin.fast.app import FastPath
from origin.fast.held import HeldPart
from origin.fast.http import read_lines
from origin.services import Services
from origin.shelf import Shelf
from origin.throttle import USUAL, Category, Throttle
from protection.tokens import make_session_token
from storage.keys import ObjectKey, rendition_key
from storage.local import LocalStore
from tests.contract.examples import (
    AAC,
    ALAC,
    NOON,
    OGG,
    WORKER,
    make_account,
    make_delivery,
    make_metadata,
    make_pressing,
    sha256_of,
)

AT = NOON + timedelta(minutes=2, seconds=3)
ONE, LATE, ELSEWHERE, GONE = (TrackId(f"trk_{number:026d}") for number in range(1, 5))
TRACKS = [ONE, LATE, ELSEWHERE, GONE, TrackId("trk_none"), TrackId("")]
FREE_TOKEN, FREE_HASH = make_session_token()
BEST_TOKEN, BEST_HASH = make_session_token()
OTHER_TOKEN, _ = make_session_token()


@dataclass
class Both:
    """Both ways to one origin, whose clock stands still until it is set."""

    house: House
    plain: ASGIApp
    fast: Entrance
    services: Services
    rendition: Rendition


PLENTY = {category: replace(limit, count=10**9) for category, limit in USUAL.items()}


class Clock:
    """A clock that is set by hand."""

    now = AT

    def __call__(self) -> datetime:
        return self.now


CLOCK = Clock()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    state = tmp_path_factory.mktemp("fast")
    house = open_house(
        Settings(
            state=state,
            territory="US",
            guests=Plan.VOICE,
            trusted_edges=(IPv4Network("127.0.0.0/8"),),
        )
    )
    publish(house, 1, Right(territory=WORLDWIDE))
    publish(house, 2, Right(territory="US", windows=(Window(starts_at=AT + timedelta(minutes=1)),)))
    limited = Window(max_quality=Quality.HIGH, uses=(Use.STREAM,), ends_at=AT + timedelta(hours=2))
    publish(house, 3, Right(territory="FR", windows=(limited,)), Right(territory="US"))
    publish(house, 4, Right(territory=WORLDWIDE))
    house.tracks.take_down(GONE, since=AT, now=AT)
    for name, plan, token in (("free", Plan.FREE, FREE_HASH), ("best", Plan.PREMIUM, BEST_HASH)):
        account = replace(
            make_account(),
            id=AccountId(f"acc_{name}"),
            email=f"{name}@example.org",
            plan=plan,
            role=Role.USER,
            territory="FR" if name == "free" else None,
        )
        house.accounts.add(StoredAccount(account=account, password="x"))
        session = Session(
            id=SessionId(f"ses_{name}"),
            account_id=account.id,
            device="",
            created_at=AT,
            seen_at=AT,
            expires_at=AT + timedelta(days=30),
        )
        house.sessions.open(session, token)
    services = replace(
        build_services(house, CollectorRegistry()),
        now=CLOCK,
        throttle=Throttle(house.limits, PLENTY, now=CLOCK),
    )
    changes = open_changes(house)
    fast = build_app(services, changes, cache_bytes=1 << 20)
    rendition = house.tracks.get(ONE).renditions[0]
    yield Both(house, build_plain(services), fast, services, rendition)
    changes.close()


def publish(house: House, number: int, *rights: Right) -> None:
    """Publish a track whose chunks are small and real."""
    pressing = make_pressing(OGG, AAC, ALAC, master=f"m{number}")
    renditions = tuple(map(shrink, pressing.renditions))
    pressing = replace(pressing, renditions=renditions)
    job = JobId(f"job_{number}")
    metadata = replace(make_metadata(isrc=f"ZZTST26{number:05}", title="Ode № 1"), rights=rights)
    delivery = make_delivery(number, master_sha256=pressing.master.sha256)
    house.tracks.accept(delivery, metadata, job)
    house.jobs.claim(job, "one", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    current = [each.id for each in renditions]
    house.jobs.publish(job, "one", current=current, pressing=pressing, now=NOON)
    for rendition in renditions:
        for stored in rendition.objects().values():
            house.store.put(rendition_key(rendition.id, stored.name), body_of(rendition, stored))


def body_of(rendition: Rendition, stored: StoredObject) -> bytes:
    text = sha256_of(f"{rendition.id} {stored.name}").encode()
    return (text * (stored.size_bytes // len(text) + 1))[: stored.size_bytes]


def shrink(rendition: Rendition) -> Rendition:
    chunks = tuple(
        replace(each, body=replace(each.body, size_bytes=5000 + each.index))
        for each in rendition.chunks
    )
    return replace(rendition, chunks=chunks)


Answer = tuple[int, dict[bytes, list[bytes]], bytes]


async def ask(
    app: ASGIApp, method: str, path: str, query: str, headers: Sequence[tuple[str, str]]
) -> Answer:
    """Return what an application answers; of what is zipped, what is in it."""
    sent: list[Message] = []
    scope = make_scope(method, path, query, headers)
    asked: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not asked:
            await asyncio.Event().wait()
        return asked.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    body = b"".join(message.get("body", b"") for message in rest)
    return read_answer(method, start["status"], start["headers"], body)


def make_scope(
    method: str, path: str, query: str, headers: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Return a request as a server gives it to an application."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in [*headers, ("X-Request-Id", "request-1")]
        ],
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8600),
        "state": {},
    }


def read_answer(
    method: str, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> Answer:
    """Return an answer as it is compared with others."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        # How much is left is less each time.
        found.setdefault(name.lower(), []).append(b"" if name == b"ratelimit" else value)
    if found.get(b"content-encoding") == [b"gzip"]:
        # How it is packed may differ, and what it comes to.
        assert found.pop(b"content-length") == [str(len(body)).encode()]
        body = gzip.decompress(body)
    # To HEAD a server sends no body, whatever it is given.
    return status, found, b"" if method == "HEAD" else body


def compare(both: Both, method: str, path: str, query: str, *headers: tuple[str, str]) -> int:
    """Require the same answer of both, the first time and again; return its status."""

    async def run() -> int:
        expected = await ask(both.plain, method, path, query, headers)
        for _ in range(2):
            assert await ask(both.fast, method, path, query, headers) == expected
        if method == "GET":
            recalled = both.fast.recall(make_scope(method, path, query, headers))
            if recalled is not None:
                body = recalled.body
                whole = body.read() if isinstance(body, HeldPart) else bytes(body)
                lines = read_lines(recalled.lines)
                assert read_answer(method, recalled.status, lines, whole) == expected
        return expected[0]

    return asyncio.run(run())


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


METHODS = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "DELETE"])
TOKENS = [None, FREE_TOKEN, BEST_TOKEN, OTHER_TOKEN, "nonsense", FREE_TOKEN[:-1]]
MAYBE = {
    "X-Preferred-Quality": ["low", "high", "lossless", "HIGH", ""],
    "X-Network-Type": ["2g", "wifi", "6g"],
    "Accept-Encoding": ["gzip", "gzip, br", "identity"],
    "Origin": ["https://player.example"],
    "X-Lathe-Territory": ["FR", "us", "Atlantis", ""],
}
QUERY = st.lists(
    st.sampled_from(
        [
            "codecs=aac",
            "codecs=alac,vorbis",
            "codecs=mp3",
            "quality=normal",
            "quality=",
            "network=3g",
            "network=9g",
            "other=1",
            "codecs=" + "aac," * 20,
            "quality=high",
        ]
    ),
    max_size=2,
).map("&".join)
HEADERS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in MAYBE.items()}
)
FACES = st.sampled_from(["manifest", "master.m3u8", "manifest.mpd", "features", "manifest/", "x"])
QUICK = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(
    method=METHODS,
    track=st.sampled_from(TRACKS),
    face=FACES,
    query=QUERY,
    headers=HEADERS,
    token=st.sampled_from(TOKENS),
    seconds=st.sampled_from([0, 30, 59.999, 60, 61, 177, 180, 7200]),
)
@QUICK
def test_manifests_are_the_same(
    both: Both,
    method: str,
    track: TrackId,
    face: str,
    query: str,
    headers: dict[str, str],
    token: str | None,
    seconds: float,
) -> None:
    CLOCK.now = AT + timedelta(seconds=seconds)
    said = [*headers.items(), *([] if token is None else [bearer(token)])]
    compare(both, method, f"/v1/tracks/{track}/{face}", query, *said)


@given(
    method=METHODS,
    name=st.sampled_from(
        ["init.ogg", "preroll.ogg", "00000.ogg", "00002.ogg", "00009.ogg", "media.m3u8", "", "a/b"]
    ),
    spoil=st.sampled_from(["", "", "", "token", "track", "rendition", "expired"]),
    form=st.sampled_from(["path", "query", "query and more"]),
    headers=st.fixed_dictionaries(
        {},
        optional={
            "Range": st.sampled_from(
                [
                    "bytes=0-0",
                    "bytes=10-99",
                    "bytes=-5",
                    "bytes=4990-",
                    "bytes=9999-",
                    "bytes=5-1",
                    "bytes=0-1,3-4",
                    "items=0-1",
                    "bytes=-",
                    "bytes=0-99999",
                ]
            ),
            "If-Range": st.sampled_from(['"other"', "W/x"]),
            "If-None-Match": st.sampled_from(["*", '"other"', f'"{sha256_of("00002.ogg")}"']),
            "Origin": st.just("https://player.example"),
        },
    ),
)
@QUICK
def test_chunks_are_the_same(
    both: Both, method: str, name: str, spoil: str, form: str, headers: dict[str, str]
) -> None:
    CLOCK.now = AT
    query = ""
    signed = sign(both, AT)
    path = {
        "": signed,
        "token": signed.replace(".anon.", ".anom."),
        "track": signed.replace(ONE, LATE),
        "rendition": signed.replace("ogg-160-", "ogg-161-"),
        "expired": sign(both, AT - timedelta(hours=2)),
    }[spoil]
    if form != "path":
        _, _, token, track, rendition, _ = path.split("/")
        path, query = f"/s/{track}/{rendition}/", f"t={token}{'&x=1' * (form != 'query')}"
    status = compare(both, method, path + name, query, *headers.items())
    if form == "query and more":
        spoil = "token"
    if spoil and method in ("GET", "HEAD") and name not in ("", "a/b"):
        assert status == (410 if spoil == "expired" else 403)


def sign(both: Both, at: datetime) -> str:
    track = both.house.tracks.get(ONE)
    grant = grant_stream(track, Listener(territory="US"), now=at)
    return both.services.signer.sign(grant, both.rendition.id)


@pytest.mark.parametrize("form", ["path", "query"])
def test_what_opened_once_opens_nothing_else_and_ends_with_its_time(both: Both, form: str) -> None:
    CLOCK.now = AT
    _, _, token, track, rendition, _ = sign(both, AT).split("/")
    ends = datetime.fromtimestamp(int(token.partition(".")[0]), UTC)

    def status(token: str, track: str, name: str = "00001.ogg", *, more: str = "") -> int:
        if form == "path":
            return compare(both, "GET", f"/s/{token}/{track}/{rendition}/{name}", more)
        return compare(both, "GET", f"/s/{track}/{rendition}/{name}", f"t={token}{more}")

    other = token.replace(".anon.", ".anom.")
    assert status(token, track) == status(token, track, "00002.ogg") == 200
    assert status(other, track) == status(token, LATE) == status(token[:-1], track) == 403
    assert status(token, track, more="&x=1") == (200 if form == "path" else 403)
    assert status(token, track, "99999.ogg") == 404
    CLOCK.now = ends - timedelta(seconds=1)
    assert status(token, track) == 200
    CLOCK.now = ends
    assert status(token, track) == 410
    CLOCK.now = AT
    assert status(token, track) == 200


def test_a_header_that_stands_there_twice_means_the_same(both: Both) -> None:
    CLOCK.now = AT
    for name, values in (("X-Network-Type", ("2g", "wifi")), ("Accept-Encoding", ("gzip", "br"))):
        said = [(name, value) for value in values]
        compare(both, "GET", f"/v1/tracks/{ONE}/manifest", "", *said)


def test_what_is_too_often_is_refused_by_both_in_the_same_words(both: Both) -> None:
    CLOCK.now = AT
    few = {**PLENTY, Category.STREAM: Limit(count=3, window=timedelta(minutes=1))}

    async def run(path: str, *headers: tuple[str, str]) -> list[list[Answer]]:
        found = []
        for build in (
            build_plain,
            lambda services: build_app(services, open_changes(both.house), cache_bytes=0),
        ):
            throttle = Throttle(MemoryLimits(), few, now=CLOCK)
            app = build(replace(both.services, throttle=throttle))
            found.append([await ask(app, "GET", path, "", headers) for _ in range(5)])
        return found

    for headers in ([], [bearer(BEST_TOKEN)]):
        plain, fast = asyncio.run(run(f"/v1/tracks/{ONE}/manifest", *headers))
        assert plain == fast
        assert [answer[0] for answer in plain] == [200] * 3 + [429] * 2
        assert plain[4][1][b"ratelimit-policy"] == [b'"stream";q=3;w=60']
        assert int(plain[4][1][b"retry-after"][0]) > 0


def test_most_requests_never_reach_the_framework(both: Both) -> None:
    CLOCK.now = AT
    requests = [
        (f"/v1/tracks/{ONE}/{face}", headers)
        for face in ("manifest", "master.m3u8", "manifest.mpd")
        for headers in ([], [bearer(BEST_TOKEN)], [("Accept-Encoding", "gzip"), bearer(BEST_TOKEN)])
    ]
    requests += [
        (sign(both, AT) + "00001.ogg", headers) for headers in ([], [("Range", "bytes=1-9")])
    ]

    async def unreachable(*_: Any) -> None:
        raise AssertionError("the framework was asked")

    async def run() -> list[int]:
        for path, headers in requests:
            await ask(both.fast, "GET", path, "", headers)
        changes = open_changes(both.house)
        fast = FastPath(unreachable, both.services, changes, cache_bytes=1 << 20)
        alone = Entrance(fast, both.services.measures)
        both.services.published.load(both.rendition.id)
        found = [(await ask(alone, "GET", path, "", headers))[0] for path, headers in requests]
        assert all(alone.recall(make_scope("GET", path, "", headers)) for path, headers in requests)
        return found

    assert asyncio.run(run()) == [200] * 9 + [200, 206]


@pytest.mark.parametrize("what", ["plan", "takedown", "sign-out"])
def test_the_next_request_obeys_what_changed(both: Both, what: str) -> None:
    CLOCK.now = AT
    url = f"/v1/tracks/{ELSEWHERE}/manifest"
    account = replace(make_account(), id=AccountId(f"acc_{what}"), email=f"{what}@example.org")
    both.house.accounts.add(StoredAccount(account=account, password="x"))
    token, token_sha256 = make_session_token()
    session = Session(
        id=SessionId(f"ses_{what}"),
        account_id=account.id,
        device="",
        created_at=AT,
        seen_at=AT,
        expires_at=AT + timedelta(days=30),
    )
    both.house.sessions.open(session, token_sha256)

    async def run() -> list[Answer]:
        found = [await ask(both.fast, "GET", url, "", [bearer(token)]) for _ in range(2)]
        if what == "plan":
            both.house.accounts.change(account.id, now=AT, plan=Plan.FREE)
        elif what == "takedown":
            both.house.tracks.take_down(ELSEWHERE, since=AT, now=AT)
        else:
            both.house.sessions.close_all(account.id)
        await asyncio.sleep(0.02)
        found.append(await ask(both.fast, "GET", url, "", [bearer(token)]))
        found.append(await ask(both.plain, "GET", url, "", [bearer(token)]))
        return found

    before, again, after, plain = asyncio.run(run())
    both.house.tracks.take_down(ELSEWHERE, since=None, now=AT)
    assert before == again
    assert before[0] == 200
    assert after == plain
    assert after != before
    assert plain[0] == {"plan": 200, "takedown": 410, "sign-out": 401}[what]


@pytest.mark.parametrize("headers", [[], [("Range", "bytes=0-9")]])
def test_a_store_that_is_away_is_told_in_the_same_words(
    both: Both, tmp_path: Path, headers: list[tuple[str, str]]
) -> None:
    CLOCK.now = AT
    away = tmp_path / "away"
    away.symlink_to(away)
    services = replace(both.services, shelf=Shelf(LocalStore(away)))
    both.services.published.load(both.rendition.id)
    plain = build_plain(services)
    fast = build_app(services, open_changes(both.house), cache_bytes=1 << 20)
    url = sign(both, AT) + "00000.ogg"

    async def run() -> int:
        answer = await ask(fast, "GET", url, "", headers)
        assert answer == await ask(plain, "GET", url, "", headers)
        return answer[0]

    assert asyncio.run(run()) == 503


class Counting(LocalStore):
    """A store whose reads are counted."""

    def __init__(self, root: Path, reads: list[str]) -> None:
        super().__init__(root)
        self._reads = reads

    def read(self, key: ObjectKey, *, start: int = 0, size_bytes: int | None = None) -> bytes:
        self._reads.append(f"{key} {start} {size_bytes}")
        return super().read(key, start=start, size_bytes=size_bytes)


def ask_counted(
    both: Both, requests: list[tuple[str, list[tuple[str, str]]]]
) -> tuple[list[Answer], list[str]]:
    """Return the answers to requests for a cold chunk that come at once, and what was read."""
    CLOCK.now = AT
    reads: list[str] = []
    store = Counting(both.house.settings.state / "store", reads)
    counted = replace(both.services, shelf=Shelf(store))
    both.services.published.load(both.rendition.id)
    fast = build_app(counted, open_changes(both.house), cache_bytes=1 << 20)
    url = sign(both, AT) + "00000.ogg"

    async def run() -> list[Answer]:
        return await asyncio.gather(
            *(ask(fast, method, url, "", headers) for method, headers in requests)
        )

    return asyncio.run(run()), reads


def test_requests_for_one_cold_chunk_read_it_once(both: Both) -> None:
    answers, reads = ask_counted(
        both, [("GET", []), ("GET", [("Range", "bytes=3-7")]), ("HEAD", [])] * 50
    )
    assert {answer[0] for answer in answers} == {200, 206}
    body = body_of(both.rendition, both.rendition.chunks[0].body)
    assert {answer[2] for answer in answers} == {body, body[3:8], b""}
    assert len(reads) == 2


def test_large_parts_of_one_cold_chunk_are_read_with_it_once(both: Both) -> None:
    body = body_of(both.rendition, both.rendition.chunks[0].body)
    large: list[list[tuple[str, str]]] = [
        [],
        [("Range", "bytes=0-")],
        [("Range", "bytes=1-")],
        [("Range", f"bytes=-{len(body) // 2 + 1}")],
        [("If-None-Match", '"another"')],
    ]
    answers, reads = ask_counted(both, [("GET", headers) for headers in large] * 20)
    assert [answer[0] for answer in answers[:5]] == [200, 206, 206, 206, 200]
    assert {answer[2] for answer in answers} == {body, body[1:], body[-(len(body) // 2 + 1) :]}
    assert len(reads) == 1

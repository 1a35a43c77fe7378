"""The edge checks signed URLs as the origin does, before it looks into its cache or its folder."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import httpx
import pytest

from catalogue.errors import (
    LatheError,
)
from catalogue.nouns import RenditionId, Sha256, StoredObject, TrackId
from origin.objects import plan_answer
from protection.keyring import parse_ring
from protection.signing import UrlSigner
from tests.contract.examples import make_grant
from tests.e2e.edges import (
    AWAY,
    BURST,
    CASES,
    NAME,
    OTHERS,
    PROXY,
    RING,
    SIGNER,
    Upstream,
    ask_raw,
    in_path,
    in_query,
    sign_with,
)
from tests.e2e.recorder import Recorder
from tests.e2e.servers import HANG_S, wait_until
from tests.engines import EdgeServer

MUTATIONS = 10_000
LETTERS = "aA0_-.%/:?#"


@pytest.mark.parametrize("form", [in_path, in_query])
@pytest.mark.parametrize("case", CASES)
def test_a_vector_opens(folder_edge: str, case: dict[str, Any], form: Callable[[str], str]) -> None:
    answer = httpx.get(f"{folder_edge}{form(case['prefix'])}")
    assert (answer.status_code, answer.text) == (200, case["rendition"])
    assert answer.headers["content-type"] == "audio/mp4"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["access-control-allow-origin"] == "*"
    part = httpx.get(f"{folder_edge}{form(case['prefix'])}", headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.text) == (206, case["rendition"][1:4])


@pytest.mark.parametrize("name", OTHERS)
def test_an_object_has_the_media_type_that_the_origin_says(folder_edge: str, name: str) -> None:
    prefix = CASES[0]["prefix"]
    answer = httpx.get(f"{folder_edge}{prefix}{name}")
    assert answer.status_code == 200
    stored = StoredObject(name=name, size_bytes=1, sha256=Sha256(""))
    assert answer.headers["content-type"] == plan_answer(stored, {}).headers["Content-Type"]
    forged = httpx.get(f"{folder_edge}{prefix[:-2]}x/{name}")
    assert forged.status_code == AWAY, "asked of the origin, which is away"


def mutate(dice: random.Random, path: str) -> str:
    """Return a URL that differs from one somewhere, but not in the object's name."""
    before, after = path.split(NAME)
    letters = [*before, NAME, *after]
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        place = dice.choice([i for i, each in enumerate(letters) if each != NAME])
        match dice.randrange(4):
            case 0:
                letters[place] = dice.choice(LETTERS)
            case 1:
                letters.insert(place, dice.choice(LETTERS))
            case 2 if len(letters) > 4:
                del letters[place]
            case _:
                letters[place] = f"%{ord(letters[place][-1]):02X}"
    return "".join(letters)


def mutations() -> list[str]:
    dice = random.Random(86)
    true = {form(case["prefix"]) for case in CASES for form in (in_path, in_query)}
    sent: set[str] = set()
    while len(sent) < MUTATIONS:
        sent |= {mutate(dice, dice.choice(sorted(true)))} - true
    return sorted(sent)


def of_many(turn: int) -> str:
    """Return the address of somebody who has not asked more often than others."""
    return f"203.0.{turn // BURST // 256}.{turn // BURST % 256}"


def test_ten_thousand_mutations_open_nothing(folder_edge: str) -> None:
    connection = HTTPConnection(folder_edge.removeprefix("http://"), timeout=HANG_S)
    answers = {
        path: ask_raw(connection, path, of_many(turn))[0] for turn, path in enumerate(mutations())
    }
    connection.close()
    assert 200 not in answers.values(), [path for path in answers if answers[path] == 200]
    assert set(answers.values()) == {400, AWAY}


def test_ten_thousand_mutations_get_nothing_out_of_a_cache(
    before: Callable[[str], EdgeServer], recorder: Recorder
) -> None:
    """Each goes on as it came, to whoever answers it; here by its own URL, and for ever."""
    kept = {f"{case['rendition']}/{NAME}": in_path(case["prefix"]) for case in CASES}
    with before(PROXY) as edge:
        for path in kept.values():
            assert httpx.get(f"{edge.url}{path}").text == path
        assert recorder.targets == [path.encode() for path in kept.values()]
        for case in CASES:
            opened = httpx.get(f"{edge.url}{in_query(case['prefix'])}")
            assert opened.text == kept[f"{case['rendition']}/{NAME}"]
        connection = HTTPConnection(edge.url.removeprefix("http://"), timeout=HANG_S)
        passed = []
        for turn, path in enumerate(mutations()):
            status, body = ask_raw(connection, path, of_many(turn))
            if status != 400:
                assert (status, body) == (200, path.encode())
                passed.append(path.encode())
        connection.close()
    assert recorder.targets[len(kept) :] == passed
    assert len(passed) > MUTATIONS // 2
    assert recorder.faults == []


def test_what_expired_or_is_another_ring_s_does_not_open(folder_edge: str) -> None:
    case = CASES[0]
    now = datetime.now(UTC)
    track, rendition = case["track"], RenditionId(case["rendition"])
    stranger = UrlSigner(parse_ring("k1:" + "Z" * 43, "LATHE_URL_KEYS"))
    for signer, life, status in (
        (SIGNER, timedelta(minutes=1), 200),
        (SIGNER, timedelta(minutes=-1), AWAY),
        (stranger, timedelta(minutes=1), AWAY),
    ):
        grant = make_grant(rendition, track=track, expires_at=now + life)
        signed = signer.sign(grant, rendition)
        assert httpx.get(f"{folder_edge}{signed}{NAME}").status_code == status
        token = signed.split("/")[2]
        if status == AWAY:
            with pytest.raises(LatheError):
                SIGNER.verify(token, TrackId(track), rendition, now)


def test_a_key_is_a_key_whatever_its_id_means_to_nginx(
    make_edge: Callable[[str], EdgeServer],
) -> None:
    kids = ("default", "include", "hostnames", "volatile", "n1", "k1")
    words = [f"{kid}:{letter * 42}A" for kid, letter in zip(kids, "ABCDEF", strict=True)]
    with make_edge(" ".join(words)) as edge:
        for word in words:
            assert httpx.get(f"{edge.url}{sign_with(word)}").status_code == 200
            # The same secret is no other key's, nor that of an id which nobody has.
            for kid in ("k2", *kids):
                stranger = f"{kid}:{word.partition(':')[2]}"
                if stranger != word:
                    assert httpx.get(f"{edge.url}{sign_with(stranger)}").status_code == AWAY


def test_a_ring_is_rotated_while_an_edge_answers(make_edge: Callable[[str], EdgeServer]) -> None:
    first, second = (f"{kid}:{letter * 42}A" for kid, letter in (("k1", "A"), ("k2", "B")))
    statuses: list[int] = []
    with make_edge(first) as edge:
        old, new = sign_with(first), sign_with(second)

        def opens(path: str) -> bool:
            statuses.append(httpx.get(f"{edge.url}{old}").status_code)
            return httpx.get(f"{edge.url}{path}").status_code == 200

        assert not opens(new)
        edge.write_ring(f"{second} {first}")
        edge.reload()
        wait_until(lambda: opens(new), "the new key")
        assert set(statuses) == {200}
        edge.write_ring(second)
        edge.reload()
        wait_until(lambda: not opens(old), "the end of the old key")
        assert opens(new)


def test_a_url_opens_until_the_second_it_ends_in(make_edge: Callable[[str], EdgeServer]) -> None:
    ring = f"k1:{'A' * 43}"
    with make_edge(ring) as edge:
        path = sign_with(ring, timedelta(seconds=3))
        expires = int(path.split("/")[2].split(".")[0])
        seen: list[tuple[int, float, float]] = []
        while not seen or seen[-1][1] < expires + 1:
            asked_at = datetime.now(UTC).timestamp()
            status = httpx.get(f"{edge.url}{path}").status_code
            seen.append((status, asked_at, datetime.now(UTC).timestamp()))
        assert {status for status, _, answered in seen if answered < expires} == {200}
        assert {status for status, asked, _ in seen if asked >= expires} == {AWAY}


@pytest.mark.parametrize(
    "name",
    [
        *("", "x", "00001", "00001.m4s.bak", ".m4s", "00001.m4s/", "init.m4v", "a/00001.m4s"),
        *("00001.M4S", "cover-.jpg", "cover-300.jpg.gz", "../00001.m4s", "%30%30001.m4s"),
        *("00001.m4s%00", "1.m4s?t"),
    ],
)
def test_what_is_no_name_of_an_object_is_the_origin_s(folder_edge: str, name: str) -> None:
    connection = HTTPConnection(folder_edge.removeprefix("http://"), timeout=HANG_S)
    assert ask_raw(connection, f"{CASES[0]['prefix']}{name}")[0] in (400, AWAY)
    connection.close()


@pytest.mark.parametrize(
    "ring",
    [
        *("", " ", "k1", "k1:", "k1:AAAA", f"K1:{'A' * 43}", f"k1:{'+' * 43}", f"{RING} k2:"),
        *(f"k1:{'A' * 42}", f"k1:{'A' * 45}", f"k1:{'A' * 43}==", f"k1:{'A' * 44}="),
        f"k1:{'A' * 43} k2:{'A' * 43} k1:{'B' * 42}A",
    ],
)
def test_a_ring_is_read_by_its_owner_only_and_replaced_whole_or_not_at_all(
    make_edge: Callable[[str], EdgeServer], tmp_path: Path, ring: str
) -> None:
    edge, file = make_edge(RING), tmp_path / "url-keys.conf"
    written = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CalledProcessError):
        edge.write_ring(ring)
    assert {path.name for path in tmp_path.glob("url-keys*")} == {file.name}
    assert file.read_bytes() == written


def test_a_cold_chunk_is_fetched_once_and_then_from_the_cache(
    cached: tuple[str, Upstream],
) -> None:
    url, upstream = cached
    paths = [
        f"{case['prefix']}{NAME}" for case in CASES if case["rendition"] == CASES[0]["rendition"]
    ]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda turn: httpx.get(url + paths[turn % len(paths)]), range(32)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "from the origin")}
    assert len(upstream.paths) == 1
    part = httpx.get(url + paths[0], headers={"Range": "bytes=5-7"})
    assert (part.status_code, part.text) == (206, "the")
    assert len(upstream.paths) == 1


def test_the_check_comes_before_the_cache(cached: tuple[str, Upstream]) -> None:
    url, upstream = cached
    path = f"{CASES[0]['prefix']}{NAME}"
    assert httpx.get(url + path).status_code == 200
    spoilt = path.replace(CASES[0]["signature"], "A" * 43)
    for turn in range(3):
        # It is the origin that refuses, whatever is cached.
        httpx.get(url + spoilt)
        assert len(upstream.paths) == 2 + turn
        assert upstream.paths[-1] == spoilt


@pytest.mark.parametrize("secret", ["A" * length for length in (43, 44, 46, 47, 48, 86)])
def test_an_edge_takes_what_an_origin_takes(
    make_edge: Callable[[str], EdgeServer], secret: str
) -> None:
    for padding in {"", "=" * (-len(secret) % 4)}:
        word = f"k1:{secret}{padding}"
        assert parse_ring(word, "LATHE_URL_KEYS").keys
    with make_edge(word) as edge:
        assert httpx.get(f"{edge.url}{sign_with(word)}").status_code == 200

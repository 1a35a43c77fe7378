"""Signed URLs open exactly what was granted; what they open obeys HTTP to the letter."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from catalogue import errors
from catalogue.nouns import RenditionId
from protection.keyring import load_or_make_ring
from protection.signing import UrlSigner
from tests.contract.examples import make_grant
from tests.e2e.servers import Listener, Plant
from tests.e2e.test_problems import FACES, raw, require_problem

ORIGIN_OF_A_PAGE = {"Origin": "https://player.example"}
EXPOSED = {"Content-Length", "Content-Range", "Date", "ETag", "Location", "Retry-After"}
EXPOSED |= {"RateLimit", "RateLimit-Policy", "X-Request-Id", "Tus-Resumable"}
EXPOSED |= {"Upload-Expires", "Upload-Length", "Upload-Metadata", "Upload-Offset"}
IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def prelude(listener: httpx.Client, tracks: dict[str, str]) -> Listener:
    """A track of several chunks, as a player knows it."""
    return Listener(listener, tracks["prelude.flac"])


@pytest.fixture(scope="module")
def chunk_url(prelude: Listener) -> str:
    """The signed URL of an AAC chunk."""
    return prelude.url(prelude.rendition("aac-256"), "00001.m4s")


@pytest.fixture(scope="module")
def chunk(prelude: Listener) -> bytes:
    """The bytes of that chunk."""
    return prelude.fetch(prelude.rendition("aac-256"), "00001.m4s")


# --------------------------------------------------------------------------- what is opened


def sign(plant: Plant, track: str, rendition: str, *, life: timedelta) -> str:
    """Return the path of a prefix that the origin itself could have signed."""
    now = datetime.now(UTC)
    grant = make_grant(rendition, track=track, expires_at=now + life)
    signer = UrlSigner(load_or_make_ring(plant.state / "url-keys", "LATHE_URL_KEYS"))
    return signer.sign(grant, RenditionId(rendition))


def sign_for_an_hour(plant: Plant, track: str, rendition: str) -> str:
    return sign(plant, track, rendition, life=timedelta(hours=1))


def test_an_expired_url_is_gone_and_tells_where_to_get_another(
    origin: Plant, prelude: Listener
) -> None:
    rendition = prelude.rendition("aac-256")
    for name in ("00000.m4s", "media.m3u8", "none"):
        path = sign(origin, prelude.track_id, rendition["id"], life=timedelta(seconds=-1))
        problem = require_problem(prelude.client.get(path + name), errors.UrlExpired)
        fresh = prelude.client.get(problem["refresh_url"])
        assert fresh.json()["track"]["id"] == prelude.track_id
    alive = sign_for_an_hour(origin, prelude.track_id, rendition["id"])
    assert prelude.client.get(f"{alive}00000.m4s").status_code == 200


def test_urls_last_for_at_least_an_hour(prelude: Listener) -> None:
    asked = datetime.now(UTC)
    answer = prelude.client.get(prelude.manifest_url)
    answered = datetime.now(UTC)
    expires = datetime.fromisoformat(answer.json()["expires_at"])
    assert expires - asked >= timedelta(hours=1)
    assert expires - answered < timedelta(hours=1, minutes=5)
    for rendition in answer.json()["renditions"]:
        token = rendition["base_url"].split("/s/")[1].split("/")[0]
        assert int(token.split(".")[0]) == expires.timestamp()
    assert datetime.fromisoformat(answer.json()["refresh_after"]) < expires


def test_what_is_signed_but_does_not_exist_is_not_found(origin: Plant, prelude: Listener) -> None:
    own = prelude.rendition("aac-256")
    for rendition, name in [
        (own["id"], "99999.m4s"),
        (own["id"], "init.ogg"),
        (own["id"], "preroll.ogg"),
        (own["id"], ".drafts"),
        (own["id"], "..%2f..%2f..%2furl-keys"),
        (own["id"], "..%2f" + prelude.rendition("alac")["id"] + "%2finit.mp4"),
        (f"aac-256-{'0' * 32}", "init.mp4"),
        ("masters", "init.mp4"),
    ]:
        path = sign_for_an_hour(origin, prelude.track_id, rendition) + name
        kind = errors.PathNotFound if "%2f" in name else errors.ObjectNotFound
        require_problem(raw(prelude.client, "GET", path), kind)


def test_what_only_decodes_to_what_was_signed_opens_nothing(
    prelude: Listener, chunk_url: str, chunk: bytes
) -> None:
    path = urlsplit(chunk_url).path
    assert raw(prelude.client, "GET", path).content == chunk
    slash, name = path.rindex("/"), path.rindex("00001")
    escaped = [f"{path[:at]}%{ord(path[at]):02x}{path[at + 1 :]}" for at in (3, slash, name)]
    escaped += [f"/%73{path[2:]}", f"{path[:-1]}%73", path.replace(".m4s", "%2Em4s")]
    in_query = path.split("/")
    token = in_query.pop(2)
    escaped += [f"{'/'.join(in_query).replace('00001', '0000%31')}?t={token}"]
    for each in escaped:
        for method in ("GET", "HEAD"):
            answer = raw(prelude.client, method, each)
            assert answer.status_code == 403, each
        require_problem(raw(prelude.client, "GET", each), errors.UrlUntrusted)
    assert raw(prelude.client, "GET", path).content == chunk


def test_nothing_is_opened_without_a_signature(prelude: Listener) -> None:
    for rendition in prelude.renditions:
        path = urlsplit(prelude.url(rendition, rendition["init"]["name"])).path
        token, rest = path.split("/")[2], "/".join(path.split("/")[3:])
        expires, kid, session, signature = token.split(".")
        for forged in (
            "-",
            "...",
            f"{expires}.{kid}.{session}.",
            f"{expires}.{kid}.{session}.{'A' * 43}",
            f"{expires}.none.{session}.{signature}",
            f"{expires}.{kid}.{session}.{signature}=",
            f"0{expires}.{kid}.{session}.{signature}",
            f"{int(expires) + 1}.{kid}.{session}.{signature}",
        ):
            answer = raw(prelude.client, "GET", f"/s/{forged}/{rest}")
            require_problem(answer, errors.UrlUntrusted)
        unsigned = (f"/{rest}", f"/s/{rest}", f"/renditions/{rest.partition('/')[2]}")
        for bare in unsigned:
            assert raw(prelude.client, "GET", bare).status_code in (403, 404)


def test_a_signature_opens_no_other_track_and_no_other_rendition(
    listener: httpx.Client, tracks: dict[str, str]
) -> None:
    signed = [
        (urlsplit(found.url(rendition, "init.mp4")).path.split("/"))
        for found in (Listener(listener, tracks[name]) for name in ("ode.wav", "canon-1.flac"))
        for rendition in found.renditions
        if rendition["codec"] != "vorbis"
    ]
    assert len(signed) == 8
    for ours in signed:
        assert listener.get("/".join(ours)).status_code == 200
        for theirs in signed:
            for part in (3, 4):
                mixed = [*ours[:part], theirs[part], *ours[part + 1 :]]
                if mixed != ours:
                    require_problem(listener.get("/".join(mixed)), errors.UrlUntrusted)


# --------------------------------------------------------------------------- altered URLs

PRINTABLE = "".join(chr(code) for code in range(33, 127) if chr(code) not in "#?")
Mutation = Callable[[random.Random, str, str], str]


def replace(dice: random.Random, part: str, _: str) -> str:
    place = dice.randrange(len(part))
    return part[:place] + dice.choice(PRINTABLE) + part[place + 1 :]


def insert(dice: random.Random, part: str, _: str) -> str:
    place = dice.randrange(len(part) + 1)
    return part[:place] + dice.choice(PRINTABLE) + part[place:]


def leave_out(dice: random.Random, part: str, _: str) -> str:
    place = dice.randrange(len(part))
    return part[:place] + part[place + 1 :]


def cut(dice: random.Random, part: str, _: str) -> str:
    return part[: dice.randrange(len(part))]


def double(dice: random.Random, part: str, _: str) -> str:
    place = dice.randrange(len(part))
    return part[: place + 1] + part[place:]


def turn_case(dice: random.Random, part: str, _: str) -> str:
    place = dice.randrange(len(part))
    return part[:place] + part[place].swapcase() + part[place + 1 :]


def swap_two(dice: random.Random, part: str, _: str) -> str:
    one, other = (dice.randrange(len(part)) for _ in range(2))
    letters = list(part)
    letters[one], letters[other] = letters[other], letters[one]
    return "".join(letters)


def escape(dice: random.Random, part: str, _: str) -> str:
    """Write a letter as its percent escape, which many servers read as the letter."""
    place = dice.randrange(len(part))
    return f"{part[:place]}%{ord(part[place]):02X}{part[place + 1 :]}"


def count_on(dice: random.Random, part: str, _: str) -> str:
    """Change a digit by one, as somebody does who wants another hour or another chunk."""
    places = [place for place, letter in enumerate(part) if letter.isdigit()]
    if not places:
        return part
    place = dice.choice(places)
    digit = (int(part[place]) + dice.choice((1, 9))) % 10
    return f"{part[:place]}{digit}{part[place + 1 :]}"


def splice(_: random.Random, __: str, theirs: str) -> str:
    """Put in the same part of another signed URL."""
    return theirs


MUTATIONS: list[Mutation] = [
    replace,
    insert,
    leave_out,
    cut,
    double,
    turn_case,
    swap_two,
    escape,
    count_on,
    splice,
]


def parts_of(path: str) -> list[str]:
    """Return expires, kid, session, signature, track, rendition and name of a signed path."""
    _, _, token, *rest = path.split("/")
    return [*token.split("."), *rest]


def path_of(parts: list[str]) -> str:
    return f"/s/{'.'.join(parts[:4])}/{'/'.join(parts[4:])}"


def signed_paths(listener: httpx.Client, tracks: dict[str, str]) -> list[str]:
    """Return every URL path that listeners of these tracks were given."""
    paths = []
    for track in tracks.values():
        found = Listener(listener, track)
        for rendition in found.renditions:
            named = [rendition["init"], *rendition["chunks"], *filter(None, [rendition["preroll"]])]
            names = [each["name"] for each in named]
            names += ["media.m3u8"] * (rendition["codec"] != "vorbis")
            paths += [urlsplit(found.url(rendition, name)).path for name in names]
    return paths


def test_a_thousand_altered_urls_reach_nothing(
    listener: httpx.Client, tracks: dict[str, str]
) -> None:
    dice = random.Random(20_261_121)
    paths = signed_paths(listener, tracks)
    given = set(paths)
    reached = 0
    for turn in range(1000):
        ours, theirs = (parts_of(dice.choice(paths)) for _ in range(2))
        place = turn % len(ours)
        change = MUTATIONS[turn // len(ours) % len(MUTATIONS)]
        altered = [*ours[:place], change(dice, ours[place], theirs[place]), *ours[place + 1 :]]
        path = path_of(altered)
        answer = raw(listener, "GET", path)
        if path in given:
            assert answer.status_code == 200, path
            reached += 1
        else:
            assert answer.status_code in (403, 404), path
            assert answer.headers["content-type"] == "application/problem+json"
    assert 50 < reached < 400, "changes that change nothing still lead there"


# --------------------------------------------------------------------------- ranges


def test_a_single_range_gives_those_bytes(
    listener: httpx.Client, chunk_url: str, chunk: bytes
) -> None:
    size = len(chunk)
    for asked, start, end in [
        ("0-0", 0, 1),
        ("0-99", 0, 100),
        ("100-100", 100, 101),
        ("100-", 100, size),
        (f"{size - 1}-", size - 1, size),
        (f"0-{size - 1}", 0, size),
        (f"5-{size + 5}", 5, size),
        ("-1", size - 1, size),
        ("-500", size - 500, size),
        (f"-{size + 5}", 0, size),
    ]:
        answer = listener.get(chunk_url, headers={"Range": f"bytes={asked}"})
        assert answer.status_code == 206, asked
        assert answer.content == chunk[start:end]
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert answer.headers["content-length"] == str(end - start)


def test_a_range_outside_the_object_is_told_its_size(
    listener: httpx.Client, chunk_url: str, chunk: bytes
) -> None:
    for asked in (f"{len(chunk)}-", f"{len(chunk)}-{len(chunk) + 9}", f"{10**17}-", "-0"):
        answer = listener.get(chunk_url, headers={"Range": f"bytes={asked}"})
        problem = require_problem(answer, errors.RangeUnsatisfiable)
        assert problem["measured"] == {"size_bytes": len(chunk)}
        assert answer.headers["content-range"] == f"bytes */{len(chunk)}"


def test_what_is_no_single_byte_range_is_ignored(
    listener: httpx.Client, chunk_url: str, chunk: bytes
) -> None:
    for asked in ("bytes=0-1,3-4", "bytes=9-5", "bytes=-", "bytes=a-b", "lines=1-2", "bytes 0-1"):
        answer = listener.get(chunk_url, headers={"Range": asked})
        assert (answer.status_code, answer.content) == (200, chunk), asked
        assert "content-range" not in answer.headers


def test_a_range_of_another_object_is_ignored(
    listener: httpx.Client, chunk_url: str, chunk: bytes
) -> None:
    etag = listener.head(chunk_url).headers["etag"]
    for condition, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200)):
        headers = {"Range": "bytes=0-9", "If-Range": condition}
        answer = listener.get(chunk_url, headers=headers)
        assert (answer.status_code, answer.content) == (
            status,
            chunk[:10] if status == 206 else chunk,
        )


# --------------------------------------------------------------------------- caching


def test_chunks_are_immutable_and_named_by_their_hash(prelude: Listener) -> None:
    for rendition in prelude.renditions:
        kind = "audio/ogg" if rendition["codec"] == "vorbis" else "audio/mp4"
        for declared in [rendition["init"], *rendition["chunks"]]:
            answer = prelude.client.get(prelude.url(rendition, declared["name"]))
            assert answer.headers["cache-control"] == IMMUTABLE
            assert answer.headers["etag"] == f'"{declared["sha256"]}"'
            assert answer.headers["accept-ranges"] == "bytes"
            assert answer.headers["content-type"] == kind
            assert answer.headers["content-length"] == str(declared["size_bytes"])


def test_a_chunk_that_is_known_is_not_sent_again(
    listener: httpx.Client, chunk_url: str, chunk: bytes
) -> None:
    etag = listener.head(chunk_url).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        for more in ({}, {"Range": "bytes=0-9"}, {"Range": f"bytes={len(chunk)}-"}):
            for method in ("GET", "HEAD"):
                headers = {"If-None-Match": known, **more}
                answer = listener.request(method, chunk_url, headers=headers)
                assert (answer.status_code, answer.content) == (304, b"")
                assert answer.headers["etag"] == etag
                assert answer.headers["cache-control"] == IMMUTABLE
    answer = listener.get(chunk_url, headers={"If-None-Match": '"other"'})
    assert (answer.status_code, answer.content) == (200, chunk)


def test_an_altered_url_is_refused_though_the_chunk_is_known(
    listener: httpx.Client, chunk_url: str
) -> None:
    etag = listener.head(chunk_url).headers["etag"]
    altered = chunk_url.replace(".anon.", ".anom.")
    answer = listener.get(altered, headers={"If-None-Match": etag})
    require_problem(answer, errors.UrlUntrusted)


def test_manifests_are_never_kept_and_come_gzipped_to_those_who_ask(prelude: Listener) -> None:
    for name in FACES:
        url = urljoin(prelude.manifest_url, name)
        packed = prelude.client.get(url, headers={"Accept-Encoding": "gzip"})
        plain = prelude.client.get(url, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        if name != "master.m3u8":  # too short to gain by it
            assert packed.headers["content-encoding"] == "gzip"
            assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
        assert len(packed.text) == len(plain.text)
        assert "/s/" in plain.text
        for answer in (packed, plain):
            assert answer.headers["cache-control"] == "no-store"
            assert "Accept-Encoding" in answer.headers["vary"]


def test_head_is_get_without_a_body(prelude: Listener) -> None:
    rendition = prelude.rendition("aac-256")
    urls = [prelude.url(rendition, name) for name in ("init.mp4", "00000.m4s", "preroll.m4s")]
    urls += [prelude.url(rendition, "media.m3u8"), prelude.url(rendition, "none")]
    urls += [urljoin(prelude.manifest_url, name) for name in FACES]
    urls += [prelude.manifest_url.replace("trk_", "none_"), urls[0].replace(".anon.", ".anom.")]
    asked: list[dict[str, str]] = [
        {},
        {"Range": "bytes=1-7"},
        {"Range": "bytes=99999999-"},
        {"Accept-Encoding": "identity"},
        ORIGIN_OF_A_PAGE,
    ]
    for url in urls:
        for headers in asked:
            got, head = get_and_head(prelude.client, url, {"X-Request-Id": "request-1", **headers})
            assert head.content == b""
            assert head.status_code == got.status_code
            assert lasting(head) == lasting(got), url


def get_and_head(
    client: httpx.Client, url: str, headers: dict[str, str]
) -> tuple[httpx.Response, httpx.Response]:
    """Return the answers to GET and HEAD of one and the same thing.

    A manifest changes when the expiry of its URLs moves on: then they are asked for once more.
    """
    while True:
        got = client.get(url, headers=headers)
        head = client.head(url, headers=headers)
        if client.get(url, headers=headers).content == got.content:
            return got, head


def lasting(answer: httpx.Response) -> dict[str, Any]:
    """Return the headers that do not tell one answer from the next."""
    fleeting = ("date", "ratelimit")
    return {name: value for name, value in answer.headers.items() if name not in fleeting}


# --------------------------------------------------------------------------- the token as the query


def in_query(url: str) -> str:
    """Return a URL whose token is the query instead of a part of the path."""
    before, _, after = url.partition("/s/")
    token, _, place = after.partition("/")
    return f"{before}/s/{place}?t={token}"


def test_a_token_may_be_the_query_and_nothing_else(prelude: Listener) -> None:
    rendition, other = prelude.rendition("aac-256"), prelude.rendition("alac")
    for name in ("init.mp4", "00000.m4s", "media.m3u8"):
        url = prelude.url(rendition, name)
        answer = prelude.client.get(in_query(url))
        assert answer.status_code == 200
        if name != "media.m3u8":
            assert answer.content == prelude.client.get(url).content
        foreign = in_query(prelude.url(other, name)).partition("?")[2]
        for wrong in (
            in_query(url).replace("?t=", "?"),
            in_query(url).replace("?t=", "?x=1&t="),
            f"{in_query(url)}&x=1",
            f"{in_query(url)}#x".replace("#", "%23"),
            f"{in_query(url).partition('?')[0]}?{foreign}",
            in_query(url).partition("?")[0],
        ):
            assert prelude.client.get(wrong).status_code == 403, wrong


def test_a_playlist_hands_its_query_on(prelude: Listener) -> None:
    url = in_query(prelude.url(prelude.rendition("aac-256"), "media.m3u8"))
    lines = prelude.client.get(url).text.splitlines()
    uris = [line for line in lines if not line.startswith("#")]
    uris += [line.split('"')[1] for line in lines if line.startswith("#EXT-X-MAP")]
    assert len(uris) == len(prelude.rendition("aac-256")["chunks"]) + 1
    assert {prelude.client.get(urljoin(url, uri)).status_code for uri in uris} == {200}


# --------------------------------------------------------------------------- other sites' scripts


def test_scripts_of_any_site_may_read_answers_and_errors(prelude: Listener) -> None:
    rendition = prelude.rendition("alac")
    init = prelude.url(rendition, "init.mp4")
    for url, headers, status in [
        (init, {}, 200),
        (init, {"Range": "bytes=0-9"}, 206),
        (init, {"If-None-Match": "*"}, 304),
        (init, {"Range": "bytes=99999999-"}, 416),
        (prelude.url(rendition, "media.m3u8"), {}, 200),
        (prelude.url(rendition, "none"), {}, 404),
        (init.replace(".anon.", ".anom."), {}, 403),
        (prelude.manifest_url, {}, 200),
        (prelude.manifest_url.replace("trk_", "none_"), {}, 404),
        ("/nowhere", {}, 404),
        ("/v1/jobs/none", {}, 401),
        ("/v1/tracks?limit=0", {}, 422),
    ]:
        answer = prelude.client.get(url, headers={**headers, **ORIGIN_OF_A_PAGE})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        assert exposed == EXPOSED


def test_a_script_may_ask_for_ranges_and_conditions(prelude: Listener) -> None:
    for header in ("Range", "If-None-Match", "If-Range", "Authorization", "X-Network-Type"):
        answer = prelude.client.options(
            prelude.url(prelude.rendition("alac"), "init.mp4"),
            headers={
                **ORIGIN_OF_A_PAGE,
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": header.lower(),
            },
        )
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "GET" in answer.headers["access-control-allow-methods"].split(", ")
        assert header in answer.headers["access-control-allow-headers"].split(", ")
        assert int(answer.headers["access-control-max-age"]) >= 3600
        assert "access-control-allow-credentials" not in answer.headers


def test_a_script_of_any_site_acts_by_a_token_alone_and_never_by_a_cookie(
    prelude: Listener,
) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        headers = {**ORIGIN_OF_A_PAGE, "Access-Control-Request-Method": method}
        asked = {**headers, "Access-Control-Request-Headers": "authorization, content-type"}
        answer = prelude.client.options("/v1/sessions", headers=asked)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers

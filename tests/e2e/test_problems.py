"""Everything that goes wrong at the HTTP edge is said as a problem document, and says what."""

import importlib
import json
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import origin as origin_room
from catalogue import errors
from catalogue.errors import LatheError
from origin.problems import status_of
from tests.audio_tools import BROKEN, FIXTURES, fact
from tests.e2e.servers import Plant, accepted, deliver, metadata_of, wait_for_job

TINY = FIXTURES / "tiny.wav"


def require_problem(answer: httpx.Response, kind: type[LatheError]) -> dict[str, Any]:
    """Return the problem document of an answer, which must be whole and of this kind."""
    status = status_of(kind)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem: dict[str, Any] = answer.json()
    require_described(problem, kind)
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    return problem


def require_described(problem: dict[str, Any], kind: type[LatheError]) -> None:
    """Require that a problem document, or a job's reason, is all that this error says."""
    fixed = {
        "type": f"urn:lathe:problem:{kind.code}",
        "title": kind.title,
        "status": status_of(kind),
        "code": kind.code,
        "advice": kind.advice,
    }
    assert {name: problem[name] for name in fixed} == fixed
    assert problem["detail"] not in ("", kind.title)
    assert isinstance(problem["measured"], dict)


@pytest.fixture(scope="module")
def stranger(origin: Plant) -> str:
    """The key of another label."""
    return origin.make_key("another-label")


# --------------------------------------------------------------------------- deliveries


def form(metadata: bytes | None, master: bytes | None, *more: tuple[str, bytes]) -> dict[str, Any]:
    """Return the request of a delivery, built by hand so that anything can be wrong with it."""
    parts = [("metadata", metadata), ("master", master), *more]
    body = b""
    for name, content in parts:
        if content is not None:
            head = f'--edge\r\nContent-Disposition: form-data; name="{name}"'
            filename = '; filename="x.wav"' if name == "master" else ""
            body += f"{head}{filename}\r\n\r\n".encode() + content + b"\r\n"
    body += b"--edge--\r\n"
    return {"content": body, "headers": {"Content-Type": "multipart/form-data; boundary=edge"}}


def said(**metadata: Any) -> dict[str, Any]:
    return form(json.dumps(metadata_of(**metadata)).encode(), TINY.read_bytes())


def without(name: str) -> dict[str, Any]:
    metadata = {key: value for key, value in metadata_of().items() if key != name}
    return form(json.dumps(metadata).encode(), b"RIFF")


GOOD = json.dumps(metadata_of()).encode()
WHOLE = form(GOOD, b"RIFF")
AS_FORM = WHOLE["headers"]
LONG_HEADER = b'--edge\r\nContent-Disposition: form-data; name="' + b"x" * 9000 + b'"\r\n\r\n'

DELIVERIES: dict[str, tuple[dict[str, Any], type[LatheError]]] = {
    "isrc too short": (said(isrc="ZZLTH26"), errors.MetadataInvalid),
    "isrc with a wrong letter": (said(isrc="ZZLTH26O0001"), errors.MetadataInvalid),
    "isrc empty": (said(isrc=""), errors.MetadataInvalid),
    "territory of no country": (said(territories=["ZZ"]), errors.MetadataInvalid),
    "territory of three letters": (said(territories=["USA"]), errors.MetadataInvalid),
    "one territory of several": (said(territories=["US", "Mars"]), errors.MetadataInvalid),
    "no territories": (said(territories=[]), errors.MetadataInvalid),
    "301 territories": (said(rights=[{"territories": ["US"] * 301}]), errors.MetadataInvalid),
    "territories no list": (said(rights=[{"territories": "US"}]), errors.MetadataInvalid),
    "title of spaces": (said(title="   "), errors.MetadataInvalid),
    "title a number": (said(title=7), errors.MetadataInvalid),
    "title of 501 letters": (said(title="x" * 501), errors.MetadataInvalid),
    "title a lone surrogate": (said(title="\ud800"), errors.MetadataInvalid),
    "artist null": (said(artist=None), errors.MetadataInvalid),
    "a field nobody knows": (said(loudness=-14), errors.MetadataInvalid),
    "title missing": (without("title"), errors.MetadataInvalid),
    "artist missing": (without("artist"), errors.MetadataInvalid),
    "isrc missing": (without("isrc"), errors.MetadataInvalid),
    "rights missing": (without("rights"), errors.MetadataInvalid),
    "metadata empty": (form(b"", b"RIFF"), errors.MetadataInvalid),
    "metadata no JSON": (form(b"{", b"RIFF"), errors.MetadataInvalid),
    "metadata no UTF-8": (form(b'{"title": "\xff"}', b"RIFF"), errors.MetadataInvalid),
    "metadata a list": (form(b"[]", b"RIFF"), errors.MetadataInvalid),
    "metadata nested without end": (form(b"[" * 60_000, b"RIFF"), errors.MetadataInvalid),
    "metadata of 65,537 bytes": (form(b" " * 65_537, b"RIFF"), errors.RequestInvalid),
    "metadata part missing": (form(None, b"RIFF"), errors.RequestInvalid),
    "master part missing": (form(GOOD, None), errors.RequestInvalid),
    "metadata twice": (form(GOOD, b"RIFF", ("metadata", GOOD)), errors.RequestInvalid),
    "master twice": (form(GOOD, b"RIFF", ("master", b"RIFF")), errors.RequestInvalid),
    "a part nobody knows": (form(GOOD, b"RIFF", ("notes", b"x")), errors.RequestInvalid),
    "a part without a name": (form(GOOD, b"RIFF", ("", b"x")), errors.RequestInvalid),
    "form cut short": ({**WHOLE, "content": WHOLE["content"][:-10]}, errors.RequestInvalid),
    "form empty": ({"content": b"", "headers": AS_FORM}, errors.RequestInvalid),
    "form is noise": ({"content": b"\0\1\2" * 99, "headers": AS_FORM}, errors.RequestInvalid),
    "a header too long": ({"content": LONG_HEADER, "headers": AS_FORM}, errors.RequestInvalid),
    "neither a form nor a document": ({"content": b"x"}, errors.MediaTypeUnsupported),
    "a document of a form": ({"json": metadata_of()}, errors.MetadataInvalid),
    "form without a boundary": (
        {**WHOLE, "headers": {"Content-Type": "multipart/form-data"}},
        errors.RequestInvalid,
    ),
    "master empty": (form(GOOD, b""), errors.MasterEmpty),
}


@pytest.mark.parametrize("name", DELIVERIES)
def test_a_wrong_delivery_is_refused_with_the_reason(name: str, label: httpx.Client) -> None:
    request, kind = DELIVERIES[name]
    require_problem(label.post("/v1/deliveries", **request), kind)


def test_a_refused_delivery_leaves_nothing_behind(origin: Plant, label: httpx.Client) -> None:
    before = origin.objects()
    for request, _ in DELIVERIES.values():
        label.post("/v1/deliveries", **request)
    assert origin.objects() == before


def test_what_is_wrong_with_metadata_is_pointed_at(label: httpx.Client) -> None:
    answer = label.post("/v1/deliveries", **said(rights=[{"territories": ["US", 1]}]))
    problem = require_problem(answer, errors.MetadataInvalid)
    assert problem["measured"] == {"pointer": "/rights/0/territories/1"}
    assert [fault["pointer"] for fault in problem["faults"]] == ["/rights/0/territories/1"]


@pytest.mark.parametrize("master_bytes", [10_001, 8_000_000])
def test_a_master_larger_than_accepted_is_refused_before_it_is_kept(
    master_bytes: int, state: Path
) -> None:
    with Plant(state, MAX_MASTER_BYTES="10000") as plant, plant.client() as client:
        answer = client.post("/v1/deliveries", **form(GOOD, bytes(master_bytes)))
        problem = require_problem(answer, errors.MasterTooLarge)
        assert problem["measured"] == {"max_bytes": 10_000}
        assert plant.objects() == {}
        assert deliver(client, TINY).status_code == 202


# --------------------------------------------------------------------------- broken masters

REASONS = {
    "bits-8.wav": errors.MasterDepth,
    "changes-format.flac": errors.MasterChangesFormat,
    "empty.flac": errors.MasterEmpty,
    "flipped.flac": errors.MasterCorrupt,
    "float-32.wav": errors.MasterDepth,
    "garbage.flac": errors.MasterUnreadable,
    "header-only.wav": errors.MasterHasNoSamples,
    "lying-4gb.wav": errors.MasterTruncated,
    "picture.m4a": errors.MasterHasNoAudio,
    "rate-22050.wav": errors.MasterRate,
    "six-channels.wav": errors.MasterChannels,
    "text.wav": errors.MasterUnreadable,
    "truncated.aiff": errors.MasterTruncated,
    "truncated.flac": errors.MasterTruncated,
    "truncated.m4a": errors.MasterUnreadable,
    "truncated.wav": errors.MasterTruncated,
    "wrong-md5.flac": errors.MasterChecksum,
}


def test_every_broken_fixture_has_a_reason() -> None:
    assert sorted(REASONS) == sorted(path.name for path in BROKEN.iterdir())


@pytest.mark.parametrize("file", [file for file in REASONS if file != "empty.flac"])
def test_the_job_of_a_broken_master_fails_with_its_own_reason(
    file: str, origin: Plant, label: httpx.Client, listener: httpx.Client
) -> None:
    isrc = f"ZZBRK26{sorted(REASONS).index(file):05}"
    job = wait_for_job(label, accepted(deliver(label, BROKEN / file, isrc=isrc)))
    assert (job["state"], job["attempts"]) == ("failed", 1)
    require_described(job["reason"], REASONS[file])
    assert job["reason"]["measured"]["file"] == file
    assert str(origin.state) not in json.dumps(job), "the label is told where masters are kept"
    manifest = listener.get(f"/v1/tracks/{job['track_id']}/manifest")
    require_problem(manifest, errors.TrackNotReady)


def test_a_master_without_a_byte_is_refused_at_once(label: httpx.Client) -> None:
    problem = require_problem(deliver(label, BROKEN / "empty.flac"), errors.MasterEmpty)
    assert problem["measured"] == {"size_bytes": 0}


# --------------------------------------------------------------------------- callers


@pytest.mark.parametrize(
    ("credentials", "kind"),
    [
        (None, errors.KeyMissing),
        ("", errors.KeyMissing),
        ("Basic bGF0aGU6bGF0aGU=", errors.KeyMissing),
        ("Bearer lathe", errors.KeyUnknown),
        (f"Bearer lathe_{'0' * 16}_{'A' * 43}", errors.KeyUnknown),
    ],
)
def test_labels_must_show_a_key_that_is_known(
    credentials: str | None, kind: type[LatheError], listener: httpx.Client
) -> None:
    headers = {} if credentials is None else {"Authorization": credentials}
    require_problem(listener.get("/v1/jobs/job_1", headers=headers), kind)
    delivery = said()
    delivery["headers"] = {**delivery["headers"], **headers}
    require_problem(listener.post("/v1/deliveries", **delivery), kind)


def test_a_key_with_one_letter_changed_opens_nothing(origin: Plant, listener: httpx.Client) -> None:
    for place in range(len("lathe_"), len(origin.key)):
        letter = "0" if origin.key[place] != "0" else "1"
        key = origin.key[:place] + letter + origin.key[place + 1 :]
        answer = listener.get("/v1/jobs/job_1", headers={"Authorization": f"Bearer {key}"})
        require_problem(answer, errors.KeyUnknown)


def test_another_labels_job_is_as_good_as_none(
    label: httpx.Client, stranger: str, origin: Plant
) -> None:
    job = wait_for_job(label, accepted(deliver(label, TINY, isrc="ZZTNY2600001")))
    with origin.client(stranger) as other:
        theirs = require_problem(other.get(f"/v1/jobs/{job['id']}"), errors.JobNotFound)
        none = require_problem(other.get("/v1/jobs/job_none"), errors.JobNotFound)
    assert theirs["detail"] == none["detail"]
    assert label.get(f"/v1/jobs/{job['id']}").status_code == 200


# --------------------------------------------------------------------------- paths and methods


@dataclass(frozen=True)
class Wrong:
    """A request that is refused, and the route that says so (if any)."""

    method: str
    path: str
    kind: type[LatheError]
    route: str = ""


FACES = ("manifest", "master.m3u8", "manifest.mpd")
"""The names under which a track's manifest is given."""

NOWHERE = [
    Wrong("GET", "/nowhere", errors.PathNotFound),
    Wrong("GET", "/v1", errors.PathNotFound),
    Wrong("GET", "/docs", errors.PathNotFound),
    Wrong("GET", "/v1/tracks/", errors.PathNotFound),
    Wrong("GET", "/openapi.json/", errors.PathNotFound),
    Wrong("GET", "/v1/../v1/tracks", errors.PathNotFound),
    Wrong("GET", "/s/1/2", errors.PathNotFound),
    Wrong("GET", "/s/1/2/3/4/", errors.PathNotFound),
    Wrong("GET", "/v1/jobs/none", errors.JobNotFound, "/v1/jobs/{job_id}"),
    Wrong("GET", f"/v1/jobs/{'x' * 61}", errors.RequestInvalid, "/v1/jobs/{job_id}"),
    Wrong("GET", "/v1/tracks?limit=0", errors.RequestInvalid, "/v1/tracks"),
    Wrong("GET", "/v1/tracks?limit=many", errors.RequestInvalid, "/v1/tracks"),
    Wrong("GET", f"/v1/tracks?after={'x' * 61}", errors.RequestInvalid, "/v1/tracks"),
    *(
        Wrong("GET", f"/v1/tracks/{track}/{name}", kind, f"/v1/tracks/{{track_id}}/{name}")
        for name in FACES
        for track, kind in [
            ("none", errors.TrackNotFound),
            ("%00", errors.TrackNotFound),
            ("%ff", errors.TrackNotFound),
            ("x" * 61, errors.RequestInvalid),
        ]
    ),
    Wrong(
        "GET",
        "/v1/tracks/none/manifest?codecs=opus",
        errors.RequestInvalid,
        "/v1/tracks/{track_id}/manifest",
    ),
    Wrong("GET", "/s/1/2/3/4", errors.UrlUntrusted, "/s/{token}/{track_id}/{rendition_id}/{name}"),
]


@pytest.mark.parametrize("wrong", NOWHERE, ids=lambda wrong: wrong.path[:50])
def test_what_is_not_there_is_said_and_documented(wrong: Wrong, label: httpx.Client) -> None:
    require_problem(raw(label, wrong.method, wrong.path), wrong.kind)
    if wrong.route:
        require_documented(label, wrong.method, wrong.route, wrong.kind)


def raw(client: httpx.Client, method: str, path: str) -> httpx.Response:
    """Send a request whose path goes out exactly as written."""
    return client.request(method, "/", extensions={"target": path.encode("ascii")})


def require_documented(
    client: httpx.Client, method: str, route: str, kind: type[LatheError]
) -> None:
    document = client.get("/openapi.json").json()
    answers = document["paths"][route][method.lower()]["responses"]
    assert kind.code in answers[str(status_of(kind))]["description"].split(", ")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/deliveries", {"GET", "POST"}),
        ("PUT", "/v1/deliveries", {"GET", "POST"}),
        ("POST", "/v1/jobs/none", {"GET"}),
        ("DELETE", "/v1/tracks", {"GET"}),
        ("POST", "/v1/tracks/none/manifest", {"GET", "HEAD"}),
        ("PATCH", "/v1/tracks/none/master.m3u8", {"GET", "HEAD"}),
        ("PUT", "/s/1/2/3/4", {"GET", "HEAD"}),
        ("PROPFIND", "/health/live", {"GET"}),
    ],
)
def test_a_method_that_a_path_does_not_answer_is_told_which_it_does(
    method: str, path: str, allowed: set[str], label: httpx.Client
) -> None:
    answer = label.request(method, path)
    problem = require_problem(answer, errors.MethodNotSupported)
    assert problem["measured"] == {"method": method}
    answered = set(answer.headers["allow"].split(", "))
    assert allowed <= answered <= allowed | {"HEAD"}


# --------------------------------------------------------------------------- licences


def test_a_track_is_heard_only_where_it_is_licensed(state: Path) -> None:
    plant = Plant(state, TRUSTED_EDGES='["127.0.0.0/8"]', TERRITORY="DE")
    with plant, plant.client() as client:
        delivery = deliver(client, fact("speech.flac").path, territories=["US", "CA"])
        track = wait_for_job(client, accepted(delivery))["track_id"]

        def listen(territory: str | None, name: str = "manifest") -> httpx.Response:
            headers = {} if territory is None else {"X-Lathe-Territory": territory}
            return client.get(f"/v1/tracks/{track}/{name}", headers=headers)

        for territory in ("US", "CA", "us"):
            for name in FACES:
                assert listen(territory, name).status_code == 200
        for elsewhere in ("DE", "Worldwide", None):
            for name in FACES:
                require_problem(listen(elsewhere, name), errors.TerritoryNotLicensed)
        for name in FACES:
            require_problem(listen("Atlantis", name), errors.TerritoryUnknown)
            route = f"/v1/tracks/{{track_id}}/{name}"
            require_documented(client, "GET", route, errors.TerritoryNotLicensed)
            require_documented(client, "GET", route, errors.TerritoryUnknown)


def test_nobody_hears_a_limited_track_from_an_unknown_place(state: Path) -> None:
    plant = Plant(state, TRUSTED_EDGES='["10.0.0.0/8", "::1/128"]')
    with plant, plant.client() as client:
        delivery = deliver(client, TINY, territories=["US"])
        track = wait_for_job(client, accepted(delivery))["track_id"]
        for headers in (
            {},
            {"X-Lathe-Territory": "US"},
            {"X-Lathe-Territory": "US", "X-Forwarded-For": "10.0.0.1"},
            {"X-Lathe-Territory": "US", "Forwarded": "for=10.0.0.1"},
        ):
            answer = client.get(f"/v1/tracks/{track}/manifest", headers=headers)
            require_problem(answer, errors.TerritoryUndetermined)


def test_a_listeners_own_word_about_where_they_are_is_ignored(
    listener: httpx.Client, tracks: dict[str, str]
) -> None:
    url = f"/v1/tracks/{tracks['speech.flac']}/manifest"
    for territory in ("DE", "Atlantis"):
        answer = listener.get(url, headers={"X-Lathe-Territory": territory})
        assert answer.json()["track"] == listener.get(url).json()["track"]


# --------------------------------------------------------------------------- the document


@pytest.fixture(scope="module")
def document(listener: httpx.Client) -> dict[str, Any]:
    """The OpenAPI document that the origin serves."""
    answer = listener.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return every operation by its method and path."""
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_documented(document: dict[str, Any]) -> None:
    names = [module.name for module in pkgutil.iter_modules(origin_room.__path__, "origin.")]
    routers = [getattr(importlib.import_module(name), "router", None) for name in names]
    routes: list[Any] = [route for router in routers if router for route in router.routes]
    answered = {(method, route.path) for route in routes for method in route.methods}
    assert ("POST", "/v1/deliveries") in answered
    assert set(operations(document)) == answered


def test_every_documented_error_is_one_of_the_tree_under_its_status(
    document: dict[str, Any],
) -> None:
    kinds = {leaf.code: leaf for leaf in errors.leaves()}
    documented = set()
    for operation in operations(document).values():
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                reference = {"$ref": "#/components/schemas/Problem"}
                assert answer["content"] == {"application/problem+json": {"schema": reference}}
                codes = answer["description"].split(", ")
                assert {status_of(kinds[code]) for code in codes} == {int(status)}
                documented |= set(codes)
    assert {kind.code for _, kind in DELIVERIES.values()} <= documented
    assert {"url-untrusted", "url-expired", "range-unsatisfiable", "key-missing"} <= documented


def test_every_answer_that_a_parameter_can_cause_is_documented(document: dict[str, Any]) -> None:
    for (_, path), operation in operations(document).items():
        parameters = operation.get("parameters", [])
        answers = operation["responses"]
        assert ("422" in answers) >= bool(parameters), path
        # Who signs in has nothing to show yet.
        assert ("401" in answers) == ("security" in operation or path == "/v1/sessions"), path


def test_operations_have_names_of_their_own(document: dict[str, Any], origin: Plant) -> None:
    names = [operation["operationId"] for operation in operations(document).values()]
    assert sorted(set(names)) == sorted(names)
    assert "Warning" not in origin.log


def test_every_reference_in_the_document_leads_somewhere(
    document: dict[str, Any], listener: httpx.Client
) -> None:
    def references(node: Any) -> list[str]:
        children: Callable[[], Any] = getattr(node, "values", lambda: node)
        own = [node["$ref"]] if isinstance(node, dict) and "$ref" in node else []
        if not isinstance(node, dict | list):
            return []
        return own + [each for child in children() for each in references(child)]

    found = set(references(document))
    assert "#/components/schemas/DeliveryMetadata" in found
    for reference in found:
        page, _, pointer = reference.partition("#")
        target = document if not page else listener.get(page).json()
        for step in pointer.split("/")[1:]:
            target = target[step]
        assert target


def test_health_is_told_to_anybody(listener: httpx.Client) -> None:
    live = listener.get("/health/live")
    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    ready = listener.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert set(ready.json()["components"]) == {"catalogue", "sessions", "store"}

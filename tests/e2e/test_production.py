"""The production shape: the compose file, its settings, its edge and its metrics.

No container runs here. Each service of the file has its counterpart in the tests instead: the same
program from Debian, or, for the store, another S3 server.
"""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from ruamel.yaml import YAML

from lathe.settings import PREFIX, read_settings
from protection.keyring import parse_ring
from storage.s3_bucket import parse_s3_url
from tests import engines
from tests.audio_tools import FIXTURES, decode, fact
from tests.e2e import servers
from tests.e2e.servers import (
    HANG_S,
    Listener,
    Plant,
    accepted,
    deliver,
    free_port,
    wait_for_job,
    wait_until,
)
from tests.e2e.test_players import require_heard

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COUNTERPARTS = {
    "edge": engines.EdgeServer,
    "origin": servers.Plant,
    "worker-urgent": servers.Plant.worker,
    "worker-bulk": servers.Plant.worker,
    "redis": engines.RedisServer,
    "postgres": engines.PostgresServer,
    "store": engines.SwiftServer,
    "prometheus": engines.PrometheusServer,
}
OURS = ("origin", "worker-urgent", "worker-bulk")
SECRETS = {
    "POSTGRES_PASSWORD": "catalogue-password",
    "REDIS_PASSWORD": "queue-password",
    "STORE_ACCESS_KEY": "store-name",
    "STORE_SECRET_KEY": "store-password",
    "LATHE_URL_KEYS": f"k1:{'A' * 43}",
    "LATHE_CONTENT_KEYS": f"c1:{'A' * 43}",
    "LATHE_LICENCE_KEYS": f"l1:{'A' * 43}",
}
_PART_OF_A_HISTOGRAM = re.compile(r"_(bucket|sum|count)$")
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")


class VariableMissing(Exception):
    """A variable that has no default was not given."""


def interpolate(value: Any, given: Mapping[str, str]) -> Any:
    """Replace variables as Compose does: ``${NAME:-default}``, ``${NAME:?message}``, ``$$``."""
    if isinstance(value, dict):
        return {key: interpolate(inner, given) for key, inner in value.items()}
    if isinstance(value, list):
        return [interpolate(inner, given) for inner in value]
    if not isinstance(value, str):
        return value

    def replace(found: re.Match[str]) -> str:
        dollar, name, kind, text = found.groups()
        if dollar:
            return "$"
        if not given.get(name) and kind != "-":
            raise VariableMissing(name)
        return given.get(name) or text

    return _VARIABLE.sub(replace, value)


@cache
def written() -> dict[str, Any]:
    parsed = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text("utf-8"))
    assert isinstance(parsed, dict)
    return parsed


def compose(given: Mapping[str, str] = SECRETS) -> dict[str, Any]:
    whole: dict[str, Any] = interpolate(written(), given)
    return whole


def environment_of(service: str) -> dict[str, str]:
    found: dict[str, str] = compose()["services"][service]["environment"]
    return found


def test_the_file_is_what_the_compose_specification_describes() -> None:
    schemas = files("check_jsonschema").joinpath("builtin_schemas", "vendor")
    schema = json.loads(schemas.joinpath("compose-spec.json").read_text("utf-8"))
    jsonschema.validate(compose(), schema)
    spoilt = compose()
    spoilt["services"]["origin"]["comand"] = ["serve"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spoilt, schema)


def test_every_service_has_its_counterpart_in_the_tests() -> None:
    assert set(compose()["services"]) == set(COUNTERPARTS)


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_a_service_says_whether_it_is_well_and_how_much_it_may_take(name: str) -> None:
    service = compose()["services"][name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert not service["image"].endswith(":latest") or name in OURS
    assert service["networks"] == ["plant"]
    opened = [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]
    assert bool(opened) == (name == "edge")


def test_what_is_mounted_exists_and_every_volume_is_used() -> None:
    mounted = [
        mount.split(":")[0]
        for service in compose()["services"].values()
        for mount in service.get("volumes", [])
    ]
    named = {mount for mount in mounted if not mount.startswith(".")}
    assert named == set(compose()["volumes"])
    assert all((ROOT / mount).exists() for mount in mounted if mount.startswith("."))


@pytest.mark.parametrize(
    ("script", "setting"), [("keys.sh", "LATHE_URL_KEYS"), ("proxies.sh", "EDGE_PROXIES")]
)
def test_the_image_of_the_edge_writes_what_it_includes_before_it_starts(
    script: str, setting: str
) -> None:
    (place,) = {
        place
        for mount in compose()["services"]["edge"]["volumes"]
        for source, place, *_ in [mount.split(":")]
        if source == f"./deploy/nginx/{script}"
    }
    # What the entrypoint of the image runs: executable files there whose names end so.
    assert re.fullmatch(r"/docker-entrypoint\.d/[0-9]+-[a-z-]+\.sh", place)
    assert os.access(DEPLOY / "nginx" / script, os.X_OK)
    given = SECRETS | {setting: "10.0.0.7"}
    assert compose(given)["services"]["edge"]["environment"][setting] == "10.0.0.7"


def test_nobody_is_a_proxy_unless_it_is_said() -> None:
    assert environment_of("edge")["EDGE_PROXIES"] == ""
    assert "\nEDGE_PROXIES=\n" in (DEPLOY / "example.env").read_text("utf-8")


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_has_a_default(secret: str) -> None:
    assert (DEPLOY / "example.env").read_text("utf-8").count(f"\n{secret}=\n") == 1
    others = {name: value for name, value in SECRETS.items() if name != secret}
    with pytest.raises(VariableMissing, match=secret):
        compose(others)
    assert SECRETS[secret] not in (ROOT / "docker-compose.yml").read_text("utf-8")


@pytest.mark.parametrize("service", OURS)
def test_the_settings_are_those_that_lathe_reads(service: str) -> None:
    given = environment_of(service)
    foreign = {name for name in given if not name.startswith(PREFIX)}
    assert foreign == {"PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    settings = read_settings(given)
    assert settings.logs == "json"
    assert str(settings.metrics_port) in str(compose()["services"][service]["healthcheck"]) or (
        service == "origin"
    )
    place = parse_s3_url(settings.store_url)
    assert (place.endpoint, place.path_style) == ("http://store:8333", True)
    assert settings.catalogue == "postgresql://lathe@postgres/lathe"
    assert settings.queue == "redis://:queue-password@redis:6379/0"
    parse_ring(settings.content_keys.get_secret_value(), "LATHE_CONTENT_KEYS", exact=True)
    if service == "origin":
        licence_keys = settings.licence_keys.get_secret_value()
        parse_ring(licence_keys, "LATHE_LICENCE_KEYS", exact=True)
        parse_ring(settings.url_keys.get_secret_value(), "LATHE_URL_KEYS")
        assert f":{settings.port}/health/ready" in str(compose()["services"][service])


def test_the_workers_share_all_queues_among_them() -> None:
    commands = [compose()["services"][name]["command"] for name in OURS[1:]]
    queues = [queue for command in commands for queue in command[2].split(",")]
    assert [command[:2] for command in commands] == [["worker", "--queues"]] * 2
    assert sorted(queues) == ["bulk", "light", "urgent"]


def test_another_store_is_a_matter_of_settings() -> None:
    other = SECRETS | {"LATHE_STORE": "s3://music?region=eu-central-1"}
    given = compose(other)["services"]["origin"]["environment"]
    assert parse_s3_url(read_settings(given).store_url).endpoint is None


def test_the_store_knows_the_key_that_lathe_shows() -> None:
    (identity,) = json.loads(compose()["configs"]["store-identities"]["content"])["identities"]
    (shown,) = identity["credentials"]
    given = environment_of("origin")
    assert shown == {
        "accessKey": given["AWS_ACCESS_KEY_ID"],
        "secretKey": given["AWS_SECRET_ACCESS_KEY"],
    }


def test_the_image_brings_what_the_set_up_brings() -> None:
    setup = (ROOT / "tools" / "setup").read_text("utf-8")
    (packages,) = re.findall(r'^run="(.+)"$', setup, re.MULTILINE)
    assert f"--no-install-recommends {packages} " in (ROOT / "Dockerfile").read_text("utf-8")


def test_the_installed_package_is_whole(tmp_path: Path) -> None:
    """What the image installs works without the tree that it was made from."""
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps"]
    source = tmp_path / "source"
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    source.mkdir()
    for name in allowed:
        (source / name).parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-r", str(ROOT / name), str(source / name)], check=True)
    subprocess.run([*pip, "--target", str(installed), str(source)], check=True, timeout=HANG_S)
    program = [sys.executable, "-m", "lathe.cli", "transcode", str(FIXTURES / "tiny.wav")]
    subprocess.run(
        [*program, "--out", str(tmp_path / "pressed")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        check=True,
        timeout=HANG_S,
    )
    listed = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    tree = subprocess.check_output(["git", "ls-files", *allowed], cwd=ROOT, text=True).split()
    rooms = {name for name in allowed if (ROOT / name).is_dir()}
    assert {path for path in tree if path.split("/")[0] in rooms} <= listed


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, metrics_port: int) -> Iterator[Plant]:
    state = tmp_path_factory.mktemp("production") / "state"
    trusted = '["127.0.0.0/8"]'
    with Plant(
        state, TERRITORY="US", TRUSTED_EDGES=trusted, METRICS_PORT=str(metrics_port)
    ) as plant:
        yield plant


@pytest.fixture(scope="module")
def edge(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an edge with the configuration of production but for its addresses."""
    port = free_port()
    text = (DEPLOY / "nginx" / "nginx.conf").read_text("utf-8")
    folder = tmp_path_factory.mktemp("edge")
    for name, value in {
        "server origin:8600;": f"server {plant.url.removeprefix('http://')};",
        "listen 8080;": f"listen 127.0.0.1:{port};",
    }.items():
        assert text.count(name) == 1
        text = text.replace(name, value)
    ring = (plant.state / "url-keys").read_text()
    with engines.EdgeServer(text, folder, port, ring=ring) as edge:
        yield edge.url


def test_a_label_delivers_and_a_player_plays_through_the_edge(plant: Plant, edge: str) -> None:
    headers = {"Authorization": f"Bearer {plant.key}"}
    with httpx.Client(base_url=edge, headers=headers, timeout=HANG_S) as client:
        job = wait_for_job(client, accepted(deliver(client, FIXTURES / "ode.aiff")))
        assert job["state"] == "done"
        found = Listener(client, job["track_id"])
        require_heard(decode(found.joined(found.rendition("alac"))), fact("ode.aiff"), "alac")
        url = found.url(found.rendition("alac"), found.rendition("alac")["init"]["name"])
        assert url.startswith(edge)
        signed = url.split("/s/")[1].split("/")[0]
        assert client.get(url.replace(signed, signed[:-1] + "!")).status_code == 403
        part = client.get(url, headers={"Range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, b"ftyp")


def test_what_compose_asks_edge_and_origin_is_answered(plant: Plant, edge: str) -> None:
    for name, url in (("edge", edge), ("origin", plant.url)):
        check = " ".join(compose()["services"][name]["healthcheck"]["test"])
        (path,) = re.findall(r"http://127\.0\.0\.1:[0-9]+(/[a-z/]+)", check)
        assert httpx.get(f"{url}{path}").status_code == 200
    assert httpx.get(f"{edge}/health/ready").status_code == 404


def test_the_edge_believes_nobody_who_says_where_he_is(plant: Plant, edge: str) -> None:
    with plant.client() as client:
        sent = deliver(client, FIXTURES / "tiny.wav", isrc="ZZTST2600002", territories=["DE"])
        path = f"/v1/tracks/{wait_for_job(client, accepted(sent))['track_id']}/manifest"
    claim = {"X-Lathe-Territory": "DE"}
    assert httpx.get(f"{plant.url}{path}", headers=claim).status_code == 200
    refused = httpx.get(f"{edge}{path}", headers=claim)
    assert (refused.status_code, refused.json()["code"]) == (451, "territory-not-licensed")


def test_no_request_line_is_logged_by_the_edge() -> None:
    files = sorted((DEPLOY / "nginx").glob("*.conf"))
    text = "\n".join(file.read_text("utf-8") for file in files)
    formats = dict(re.findall(r"log_format (\w+) (.*?);\n", text, re.DOTALL))
    assert set(re.findall(r"access_log /dev/stdout (\w+) ", text)) == set(formats)
    assert text.count("access_log") == len(formats) == 3
    for written in formats.values():
        told = set(re.findall(r"\$(\w+)", written))
        assert "status" in told
        assert not told & {"request", "request_uri", "uri", "args", "http_referer", "lathe_said"}


def test_prometheus_understands_the_rules(tmp_path: Path) -> None:
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8")
    for file in (DEPLOY / "prometheus").iterdir():
        (tmp_path / file.name).write_text(
            file.read_text("utf-8").replace("/etc/prometheus", str(tmp_path)), "utf-8"
        )
    assert "/etc/prometheus/rules.yml" in text
    check = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    subprocess.run(check, check=True, capture_output=True, timeout=HANG_S)


ALERTS = YAML(typ="safe").load((DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"))
NAMES = [rule["alert"] for rule in ALERTS["groups"][0]["rules"]]


def test_operators_can_read_of_every_alert() -> None:
    text = (ROOT / "docs" / "operators.md").read_text("utf-8")
    told = re.findall(r"^\| `([A-Z][a-z]+[A-Z]\w+)` \|", text, re.MULTILINE)
    assert sorted(told) == sorted(NAMES)


def judge(rules: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """Return what promtool says of rules, by the cases that there are of each alert."""
    yaml = YAML(typ="safe")
    cases = yaml.load((ROOT / "tests" / "e2e" / "alerts.yml").read_text("utf-8"))
    cases["rule_files"] = [str(folder / "rules.yml")]
    for name, content in (("rules.yml", rules), ("cases.yml", cases)):
        with open(folder / name, "w", encoding="utf-8") as out:
            yaml.dump(content, out)
    command = ["promtool", "test", "rules", str(folder / "cases.yml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)


def test_alerts_are_told_when_they_are_to_be(tmp_path: Path) -> None:
    judged = judge(ALERTS, tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("expression", ["vector(1) > 1", "vector(1)"])
@pytest.mark.parametrize("name", NAMES)
def test_the_cases_know_an_alert_that_is_never_told_or_always(
    tmp_path: Path, name: str, expression: str
) -> None:
    spoilt = copy.deepcopy(ALERTS)
    (rule,) = (rule for rule in spoilt["groups"][0]["rules"] if rule["alert"] == name)
    rule["expr"] = expression
    judged = judge(spoilt, tmp_path)
    assert judged.returncode == 1
    assert f"alertname: {name}, " in judged.stdout + judged.stderr


def dashboard() -> dict[str, Any]:
    """Return what Grafana shows."""
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "lathe.json").read_text("utf-8"))
    return found


def test_the_dashboard_shows_every_panel_in_a_place_of_its_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels})
    places = [panel["gridPos"] for panel in panels]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_prometheus_gathers_what_the_rules_ask_for(
    plant: Plant, metrics_port: int, tmp_path: Path
) -> None:
    yaml = YAML(typ="safe")
    settings = yaml.load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    jobs = settings["scrape_configs"]
    names = [name for job in jobs for name in job["dns_sd_configs"][0]["names"]]
    assert sorted(names) == sorted(OURS)
    assert {job["dns_sd_configs"][0]["port"] for job in jobs} == {9600}
    for job in jobs:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{metrics_port}"]}]
    settings["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
    settings["rule_files"] = [str(DEPLOY / "prometheus" / "rules.yml")]
    file = tmp_path / "prometheus.yml"
    with open(file, "w", encoding="utf-8") as out:
        yaml.dump(settings, out)
    with engines.PrometheusServer(file, tmp_path) as prometheus:

        def ask(query: str) -> list[dict[str, Any]]:
            answer = httpx.get(f"{prometheus.url}/api/v1/query", params={"query": query})
            found: list[dict[str, Any]] = answer.json()["data"]["result"]
            return found

        def rules() -> list[dict[str, Any]]:
            (group,) = httpx.get(f"{prometheus.url}/api/v1/rules").json()["data"]["groups"]
            found: list[dict[str, Any]] = group["rules"]
            return found

        wait_until(lambda: ask("max(lathe_catalogue_up) == 1"), "a gathered metric")
        shown = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
        for query in shown:
            answer = httpx.get(f"{prometheus.url}/api/v1/query", params={"query": query})
            assert answer.json()["status"] == "success", answer.text
        asked = {
            _PART_OF_A_HISTOGRAM.sub("", name)
            for query in [*shown, *(rule["query"] for rule in rules())]
            for name in re.findall(r"lathe_\w+", query)
        }
        text = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
        known = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
        assert asked <= known, asked - known
        wait_until(
            lambda: all(rule["health"] == "ok" for rule in rules()), "rules that can be evaluated"
        )

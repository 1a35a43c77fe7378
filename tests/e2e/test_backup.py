"""A whole plant backed up while it runs, and restored elsewhere, as docs/operators.md says."""

import os
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.audio.pressings import make_wav
from tests.audio_tools import FIXTURES, decode, fact
from tests.e2e.servers import HANG_S, Listener, Plant, accepted, deliver, wait_for_job
from tests.e2e.test_players import require_heard
from tests.engines import S3_CREDENTIALS, PostgresServer, RedisServer, SwiftServer

KEYS = {"LATHE_URL_KEYS": f"k1:{'A' * 43}"}


def postgres_tool(name: str, *words: str) -> None:
    installed = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    tool = max(installed, key=lambda path: int(path.parts[-3]))
    environment = {"PATH": os.environ["PATH"]}
    subprocess.run([str(tool), *words], env=environment, check=True, timeout=HANG_S)


def bucket_of(server: SwiftServer, name: str) -> Any:
    session = boto3.Session(
        aws_access_key_id=S3_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=S3_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    return session.resource("s3", endpoint_url=server.endpoint).Bucket(name)


def build_plant(
    state: Path, postgres: str, server: SwiftServer, bucket: str, redis: RedisServer
) -> Plant:
    named = {"CATALOGUE": postgres, "STORE": server.url(bucket), "QUEUE": redis.url}
    return Plant(state, S3_CREDENTIALS | KEYS, TERRITORY="US", **named)


@pytest.mark.parametrize("restored_to", ["s3", "folder"])
def test_a_restored_plant_plays_and_goes_on(
    restored_to: str, tmp_path: Path, postgres_server: PostgresServer, s3_server: SwiftServer
) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "other-redis").mkdir()
    old, new = f"old_{restored_to}", f"new_{restored_to}"
    old_url = postgres_server.make_database(old)
    dump, objects = tmp_path / "catalogue.dump", tmp_path / "objects"
    with RedisServer(tmp_path / "redis") as redis:
        plant = build_plant(tmp_path / "old", old_url, s3_server, f"old-{restored_to}", redis)
        key = plant.key = plant.make_key("label")
        with plant, plant.client() as label:
            with plant.worker("worker"):
                done = wait_for_job(label, accepted(deliver(label, FIXTURES / "ode.aiff")))
            waiting = accepted(
                deliver(label, make_wav(tmp_path / "next.wav", samples=9999), isrc="ZZTST2600002")
            )
            found = Listener(label, done["track_id"])
            alac = found.rendition("alac")
            signed = found.url(alac, alac["init"]["name"]).removeprefix(plant.url)
            postgres_tool("pg_dump", "-Fc", "-f", str(dump), "-d", old_url)
            for item in bucket_of(s3_server, f"old-{restored_to}").objects.all():
                place = objects / item.key
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(item.get()["Body"].read())
    new_url = postgres_server.make_database(new)
    postgres_tool("pg_restore", "--no-owner", "--exit-on-error", "-d", new_url, str(dump))
    with RedisServer(tmp_path / "other-redis") as redis:
        plant = build_plant(tmp_path / "new", new_url, s3_server, f"new-{restored_to}", redis)
        if restored_to == "folder":
            plant.environment["LATHE_STORE"] = f"file://{objects}"
        else:
            bucket = bucket_of(s3_server, f"new-{restored_to}")
            bucket.create()
            for path in sorted(objects.rglob("*")):
                if path.is_file():
                    bucket.upload_file(str(path), str(path.relative_to(objects)))
        plant = Plant(plant.state, plant.environment)
        plant.key = key
        with plant, plant.client() as label:
            found = Listener(label, done["track_id"])
            require_heard(decode(found.joined(found.rendition("alac"))), fact("ode.aiff"), "alac")
            assert label.get(signed).status_code == 200
            with plant.worker("worker"):
                assert wait_for_job(label, waiting)["state"] == "done"
                again = accepted(deliver(label, FIXTURES / "ode.aiff"))
                assert wait_for_job(label, again)["queue"] == "light"
            assert plant.run("gc", "--dry-run", "--json") == ""

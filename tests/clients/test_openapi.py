"""Schemathesis over the OpenAPI document: nothing is answered that it does not tell, and no 500."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from origin.throttle import Category
from tests.audio_tools import FIXTURES
from tests.e2e.servers import QuickPlant, accepted, deliver, wait_for_job

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
# What ends the session by which all is asked.
ENDS = r"^(DELETE /v1/sessions|DELETE /v1/account/sessions|PUT /v1/account/password)"
EXAMPLES = 12
HOOKS = Path(__file__).with_name("openapi_hooks.py")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickPlant]:
    """A plant that nobody asks too often, with a track."""
    limits = " ".join(f"{each}=100000000/min" for each in Category)
    with QuickPlant(tmp_path_factory.mktemp("openapi") / "state", LIMITS=limits) as plant:
        with plant.client() as label:
            wait_for_job(label, accepted(deliver(label, FIXTURES / "tiny.wav")))
        yield plant


def ask_all(plant: QuickPlant, authorization: str) -> None:
    """Let it ask all that there is, by whoever has the token."""
    words = ["run", f"{plant.url}/openapi.json", "--checks", ",".join(CHECKS)]
    words += ["--header", f"Authorization: {authorization}", "--seed", "1"]
    words += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)]
    words += ["--continue-on-failure", "--exclude-name-regex", ENDS, "--no-color"]
    words += ["--generation-database", "none"]
    command = [str(Path(sys.executable).parent / "schemathesis"), *words]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=plant.state, env=environment
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Traceback" not in plant.log


def test_what_an_administrator_is_answered_is_documented(plant: QuickPlant) -> None:
    plant.make_account("root@example.org", "--role", "admin")
    with plant.signed_in("root@example.org") as root:
        ask_all(plant, root.headers["Authorization"])


def test_what_a_label_is_answered_is_documented(plant: QuickPlant) -> None:
    with plant.client() as label:
        ask_all(plant, label.headers["Authorization"])

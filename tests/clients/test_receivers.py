"""Notices as the official libraries of Standard Webhooks take them, in Python and JavaScript."""

import json
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.audio_tools import FIXTURES
from tests.e2e.servers import HANG_S, QuickPlant, accepted, deliver, wait_for_job, wait_until
from tests.e2e.test_webhooks import LOOPBACK, make, receiving

RECEIVERS = Path(__file__).parent / "receivers"


def verify_in_javascript(secret: str, headers: Mapping[str, str], *bodies: bytes) -> list[str]:
    lines = [
        json.dumps({"secret": secret, "headers": headers, "body": body.decode()}) for body in bodies
    ]
    said = subprocess.check_output(
        ["node", RECEIVERS / "verify.js"], input="\n".join(lines), text=True, timeout=HANG_S
    )
    return [json.loads(line) for line in said.splitlines()]


def test_official_libraries_take_notices_and_nothing_else(tmp_path: Path) -> None:
    with ExitStack() as running:
        plant = running.enter_context(QuickPlant(tmp_path / "state", WEBHOOK_NETWORKS=LOOPBACK))
        label = running.enter_context(plant.client())
        receiver = running.enter_context(receiving())
        secret = make(label, receiver.url, "done")["secret"]
        said = deliver(label, FIXTURES / "tiny.wav", title="Ode № 1")
        wait_for_job(label, accepted(said))
        wait_until(lambda: receiver.got, "a notice")
        [(headers, body)] = receiver.got
    told = Webhook(secret).verify(body.decode(), headers)
    assert (told["type"], told["data"]["filename"]) == ("track.done", "tiny.wav")
    altered = body.replace(b"done", b"held")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(altered.decode(), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.decode(), headers | {"webhook-id": "msg_0"})
    took, refused = verify_in_javascript(secret, headers, body, altered)
    assert took == "track.done"
    assert refused == "refused: No matching signature found"

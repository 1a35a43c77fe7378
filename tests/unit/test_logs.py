import json
import logging
from collections.abc import Iterator

import pytest

from catalogue.context import bound, current
from lathe.logs import set_up

log = logging.getLogger("test.logs")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_json_line_holds_the_event_its_fields_and_what_is_worked_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up("json", logging.INFO)
    with bound(job="job_1", delivery="dlv_1"):
        log.info("held %s", "well", extra={"stage": "press"})
    line = json.loads(capsys.readouterr().err)
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "test.logs",
        "event": "held well",
        "job": "job_1",
        "delivery": "dlv_1",
        "stage": "press",
    }


def test_a_line_for_people_ends_with_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("text", logging.WARNING)
    log.info("not said")
    with bound(job="job_1"):
        log.warning("put off", extra={"code": "store-unavailable"})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING test.logs put off job=job_1 code=store-unavailable")


def test_a_traceback_stays_on_its_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json", logging.INFO)
    try:
        raise ValueError("on\nlines")
    except ValueError:
        log.exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: on\nlines" in json.loads(line)["traceback"]


def test_what_is_bound_ends_with_its_context() -> None:
    with bound(job="job_1"):
        with bound(delivery="dlv_1"):
            assert current() == {"job": "job_1", "delivery": "dlv_1"}
        assert current() == {"job": "job_1"}
    assert current() == {}

"""What is measured of masters, on the command line and of what labels deliver."""

import json
import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from PIL import Image

from catalogue import errors
from tests.audio_tools import BROKEN, FIXTURES
from tests.e2e.command_line import lathe
from tests.e2e.servers import Plant, QuickPlant, accepted, deliver, wait_for_job
from tests.e2e.test_problems import require_problem

RATE_HZ = 44_100


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with QuickPlant(tmp_path_factory.mktemp("quality") / "state") as plant:
        yield plant


def clipped(path: Path, seed: int = 0) -> Path:
    """Write a master of 2 s that stays at full scale for 5 samples, after half a second."""
    sound = np.random.default_rng(seed).standard_normal((2 * RATE_HZ, 2)) * 3000
    sound[RATE_HZ // 2 : RATE_HZ // 2 + 5, 0] = 32_767
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.clip(sound, -32_768, 32_767).astype("<i2").tobytes())
    return path


def told_of(*words: str | Path) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code of a check, and what it tells of each file."""
    done = lathe("check", "--json", *words)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_good_master_passes() -> None:
    status, [told] = told_of(FIXTURES / "prelude.flac")
    assert (status, told["verdict"], told["findings"]) == (0, "pass", [])
    report = told["report"]
    assert (report["samples"], report["declared_samples"]) == (1_560_341, 1_560_341)
    assert (report["rate_hz"], report["bits"], report["effective_bits"]) == (44_100, 16, 16)
    assert report["audio_md5"] is not None
    assert report["integrated_lufs"] == -12.86
    assert report["true_peak_dbtp"] >= report["sample_peak_dbfs"]
    assert report["tiers"] == []


def test_what_is_odd_is_told_and_what_is_refused_fails(tmp_path: Path) -> None:
    master = clipped(tmp_path / "loud.wav")
    status, [told] = told_of(master)
    assert (status, told["verdict"]) == (3, "warn")
    rules = {each["rule"]: each for each in told["findings"]}
    assert rules["clips"]["at_samples"] == RATE_HZ // 2
    assert (rules["clips"]["measured"], rules["clips"]["limit"]) == (1, 0)
    status, [told] = told_of("--rule", "clips=refuse", "--rule", "true-peak=pass", master)
    assert (status, told["verdict"]) == (1, "refuse")
    assert [each["rule"] for each in told["findings"]] == ["clips"]
    status, [told] = told_of("--rule", "clips=refuse:1", "--rule", "true-peak=pass", master)
    assert (status, told["verdict"]) == (0, "pass")


def test_several_files_are_told_of_in_words(tmp_path: Path) -> None:
    broken = next(iter(sorted(BROKEN.iterdir())))
    done = lathe("check", FIXTURES / "ode.wav", tmp_path / "none.wav", broken)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{FIXTURES / 'ode.wav'}: pass (0:10.478, 44100 Hz, 16 bits")
    assert "master-not-a-file" in done.stderr


@pytest.mark.parametrize(
    "rule", ["loudness=warn", "clips=perhaps", "clips=warn:x", "lossy=warn:1", "clips=warn:nan"]
)
def test_a_rule_that_there_is_not_is_refused(rule: str) -> None:
    done = lathe("check", "--rule", rule, FIXTURES / "tiny.wav")
    assert done.returncode == 2
    assert "--rule" in done.stderr


def test_what_is_measured_is_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    assert lathe("check", "--draw", folder, FIXTURES / "prelude.flac").returncode == 0
    name = folder / "prelude.flac"
    for kind in ("waveform", "loudness"):
        drawn = ElementTree.parse(f"{name}.{kind}.svg").getroot()
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(drawn) == 2
    with Image.open(f"{name}.spectrogram.png") as picture:
        assert (picture.format, picture.height) == ("PNG", 512)
        assert picture.width == (1_560_341 - 8192) // (44_100 // 4) + 1
        pixels = np.asarray(picture.convert("L"))
    assert pixels[-60:].mean() > pixels[:60].mean() + 20
    data = Path(f"{name}.waveform.dat").read_bytes()
    bins = -(-1_560_341 // 256)
    assert struct.unpack("<iIiiIi", data[:24]) == (2, 0, 44_100, 256, bins, 2)
    assert len(data) == 24 + bins * 2 * 2 * 2
    as_json = json.loads(Path(f"{name}.waveform.json").read_text("utf-8"))
    assert as_json["data"] == np.frombuffer(data[24:], "<i2").tolist()
    assert {each: as_json[each] for each in as_json if each != "data"} == {
        "version": 2,
        "channels": 2,
        "sample_rate": 44_100,
        "samples_per_pixel": 256,
        "bits": 16,
        "length": bins,
    }


def judged(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    answer = client.get(f"/v1/jobs/{job['id']}/quality")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_what_was_measured_of_a_delivered_master_is_shown(plant: Plant, tmp_path: Path) -> None:
    with plant.client() as label, plant.client(plant.make_key("other")) as other:
        job = wait_for_job(label, accepted(deliver(label, clipped(tmp_path / "1.wav", seed=1))))
        assert job["state"] == "done"
        found = judged(label, job)
        assert found["verdict"] == "warn"
        assert "clips" in [each["rule"] for each in found["findings"]]
        [tier] = found["report"]["tiers"]
        assert tier["tier"] == "ogg-24"
        assert -20 < tier["true_peak_dbtp"] < 6
        require_problem(other.get(f"/v1/jobs/{job['id']}/quality"), errors.JobNotFound)


def test_a_label_has_masters_refused_by_its_own_rules(plant: Plant, tmp_path: Path) -> None:
    master = clipped(tmp_path / "take 2.wav", seed=2)
    plant.run("labels", "policy", "strict", "--rule", "clips=refuse:0", "--rule", "true-peak=pass")
    assert "rule: clips=refuse:0" in plant.run("labels", "policy", "strict")
    with plant.client(plant.make_key("strict")) as label:
        for _ in range(2):
            job = wait_for_job(label, accepted(deliver(label, master)))
            assert job["state"] == "failed"
            reason = job["reason"]
            assert reason["code"] == "quality-refused"
            assert reason["measured"] == {
                "rule": "clips",
                "value": 1,
                "limit": 0,
                "at_samples": RATE_HZ // 2,
                "file": "take 2.wav",
            }
            assert reason["detail"].startswith("take 2.wav: 1 runs of 3 or more samples")
        found = judged(label, job)
        assert found["verdict"] == "refuse"
        listed = [each["id"] for each in label.get("/v1/tracks").json()["tracks"]]
        assert job["track_id"] not in listed
    plant.run("labels", "policy", "strict", "--rule", "clips=warn:0")
    with plant.client(plant.make_key("strict")) as label:
        again = wait_for_job(label, accepted(deliver(label, master)))
        assert again["state"] == "done"


def test_what_was_not_measured_yet_is_not_found(plant: Plant) -> None:
    plant.run("jobs", "drain")
    try:
        with plant.client() as label:
            job_id = accepted(deliver(label, FIXTURES / "short.flac", isrc="ZZTST2600077"))
            answer = label.get(f"/v1/jobs/{job_id}/quality")
            require_problem(answer, errors.ReportNotFound)
    finally:
        plant.run("jobs", "drain", "--resume")

"""Lathe's own programs as tests run them: real processes on free ports."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urljoin
from uuid import uuid4

import httpx

from tests.audio_tools import FIXTURES

LATHE = str(Path(sys.executable).with_name("lathe"))
PASSWORD = "correct horse battery"
PLENTY = " ".join(
    f"{category}=1000000/min"
    for category in (
        *("stream", "search", "library", "recommendations", "admin", "plays", "uploads"),
        "global",
    )
)
HANG_S = 60.0
"""Longer than anything here takes: what is not there by then never comes."""

_POLL_S = 0.02
_Found = TypeVar("_Found")


def wait_until(find: Callable[[], _Found | None], what: str) -> _Found:
    """Return what ``find`` gives as soon as it is true."""
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(_POLL_S)
    raise AssertionError(f"never came: {what}")


class Program:
    """A process of its own whose output goes to a file, where tests read it."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        user: str | None = None,
    ) -> None:
        self._command = command
        self._user = user
        self._environment = {"PATH": os.environ["PATH"], **environment}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All that the process has written since it was last started."""
        return self._log.read_text("utf-8")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it was started and has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> None:
        assert self._process is None, "it runs"
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._user,
            )

    def wait_for(self, pattern: str) -> str:
        """Return the first group of ``pattern`` once the log has it."""

        def find() -> str | None:
            found = re.search(pattern, self.log)
            assert found or self._process is None or self._process.poll() is None, self.log
            return found and found[1]

        return wait_until(find, f"{pattern} in the log")

    def stop(self) -> int:
        """End the process politely and return its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as a power cut does; its children are left to themselves."""
        status = self._end(signal.SIGKILL)
        assert status == -signal.SIGKILL, f"it had ended with {status}: {self.log[-4000:]}"

    def close(self) -> None:
        """Make sure that the process is gone."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None, "it does not run"
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(HANG_S)
        finally:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return words in pairs."""
    return list(zip(words[::2], words[1::2], strict=True))


class Plant(Program):
    """``lathe serve`` on a state folder, with settings by their names without ``LATHE_``.

    Guests hear all that the best plan reaches, and nobody asks too often but by failing to sign
    in, unless the settings say otherwise.
    """

    def __init__(
        self, state: Path, environment: Mapping[str, str] | None = None, /, **settings: str
    ) -> None:
        self.state = state
        state.mkdir(parents=True, exist_ok=True)
        named = {f"LATHE_{name}": value for name, value in settings.items()}
        plain = {
            "LATHE_STATE": str(state),
            "LATHE_PORT": "0",
            "LATHE_GUESTS": "premium",
            "LATHE_LIMITS": PLENTY,
            **named,
        }
        self.environment = plain | dict(environment or {})
        log = state.with_name(f"{state.name}-serve.log")
        super().__init__([*self._prefix(), LATHE, "serve"], self.environment, log)
        self.url = ""
        self.key = ""
        self._administrator = ""

    def start(self) -> None:
        """Start it, and return when it answers; the first start of a state shows its key."""
        super().start()
        self.url = self.wait_for(r"origin: (http://\S+)\n")
        wait_until(self._answers, "an answer to /health/ready")
        shown = re.search(r"development key .*: (lathe_\S+)\n", self.log)
        self.key = shown[1] if shown else self.key

    def _prefix(self) -> list[str]:
        """Return the words before the command."""
        return []

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def make_key(self, label: str) -> str:
        """Return a key that ``lathe keys create`` makes for a label."""
        return self.run("keys", "create", label).strip()

    @contextmanager
    def client(self, key: str | None = None) -> Iterator[httpx.Client]:
        """Give a client of the running origin with its key, another one, or (empty) none."""
        key = self.key if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(base_url=self.url, headers=headers, timeout=HANG_S) as client:
            yield client

    def worker(self, name: str, *words: str, before: Sequence[str] = ()) -> Program:
        """Return a ``lathe worker`` with the same settings, not started yet.

        ``before`` is a command that runs it.
        """
        command = [*before, LATHE, "worker", *words]
        return Program(command, self.environment, self.state / f"{name}.log")

    def run(self, *words: str, said: str = "") -> str:
        """Return what a ``lathe`` command with the same settings says on stdout, if it succeeds.

        It is ``said`` to it on stdin.
        """
        environment = {"PATH": os.environ["PATH"], **self.environment}
        return subprocess.check_output(
            [LATHE, *words], env=environment, input=said, text=True, timeout=HANG_S
        )

    def make_account(self, email: str, *options: str) -> str:
        """Return the id of an account, with options of ``lathe accounts create``.

        That makes an administrator, who makes all others.
        """
        if not self._administrator:
            self._administrator = f"{uuid4().hex}@example.org"
            made = ["accounts", "create", self._administrator, "--role", "admin"]
            self.run(*made, said=f"{PASSWORD}\n")
        said = {"email": email, "password": PASSWORD}
        said |= {name.removeprefix("--"): value for name, value in pairs(options)}
        with self.signed_in(self._administrator) as administrator:
            answer = administrator.post("/v1/accounts", json=said)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    @contextmanager
    def signed_in(self, email: str, device: str = "phone") -> Iterator[httpx.Client]:
        """Give a client that has signed in."""
        with self.client(key="") as guest:
            said = {"email": email, "password": PASSWORD, "device": device}
            answer = guest.post("/v1/sessions", json=said)
            assert answer.status_code == 201, answer.text
        with self.client(answer.json()["token"]) as client:
            yield client

    def objects(self) -> dict[str, tuple[int, bytes]]:
        """Return every file of the store: when it was written, and its bytes."""
        store = self.state / "store"
        return {
            str(path.relative_to(store)): (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(store.rglob("*"))
            if path.is_file()
        }


class QuickPlant(Plant):
    """A plant that makes little, for tests in which no encoder matters; listeners are in the US."""

    def __init__(
        self, state: Path, environment: Mapping[str, str] | None = None, /, **settings: str
    ) -> None:
        state.mkdir(parents=True, exist_ok=True)
        ladder = state / "ladder.toml"
        ladder.write_text(
            '[[tier]]\nname = "ogg-24"\ncodec = "vorbis"\nbitrate_kbps = 24\nrate_hz = 16000\n'
            'mono_bitrate_kbps = 16\n[[tier]]\nname = "flac"\ncodec = "flac"\n'
        )
        named = {"LADDER": str(ladder), "TERRITORY": "US", **settings}
        super().__init__(state, environment, **named)


class SmallPlant(Plant):
    """A plant whose state lies on a small disk of its own, which only the plant sees."""

    size_bytes = 40 << 20

    def _prefix(self) -> list[str]:
        mount = f'mount -t tmpfs -o size={self.size_bytes} none "$0" && exec "$@"'
        return ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(self.state)]

    @property
    def disk(self) -> Path:
        """The state folder, as the plant sees it."""
        return Path(f"/proc/{self.pid}/root{self.state}")


_given_ports: set[int] = set()


def free_port() -> int:
    """Return a port of the loopback that nobody listens on, and that was not given before.

    Whoever was given the last one may not listen yet, and some share a port without a word.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def command_line(pid: int) -> str:
    """Return the command line of a process, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children_of(pid: int) -> list[int]:
    """Return the ids of the processes that a process started and that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(status.rpartition(")")[2].split()[1]) == pid and command_line(int(folder.name)):
            found.append(int(folder.name))
    return found


def releases() -> list[dict[str, Any]]:
    """Return the releases that the fixtures come with: file and metadata of each."""
    found: list[dict[str, Any]] = json.loads((FIXTURES / "releases.json").read_text("utf-8"))
    return found


def metadata_of(*, territories: Sequence[str] = ("Worldwide",), **said: Any) -> dict[str, Any]:
    """Return good metadata with what is ``said`` in it, licensed in ``territories`` for ever."""
    plain = {"title": "Test", "artist": "The Players", "isrc": "ZZTST2600001"}
    return {**plain, "rights": [{"territories": list(territories)}], **said}


def deliver(client: httpx.Client, file: Path, **metadata: Any) -> httpx.Response:
    """Deliver a master as a label does."""
    with open(file, "rb") as master:
        said = json.dumps(metadata_of(**metadata))
        return client.post(
            "/v1/deliveries",
            files={
                "metadata": (None, said, "application/json"),
                "master": (file.name, master, "application/octet-stream"),
            },
        )


def get_job(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """Return where a job stands."""
    answer = client.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


def wait_for_job(
    client: httpx.Client,
    job_id: str,
    ready: Callable[[dict[str, Any]], bool] = lambda job: job["finished_at"] is not None,
) -> dict[str, Any]:
    """Return a job when it is ``ready``; by default, when nothing more happens to it."""

    def find() -> dict[str, Any] | None:
        job = get_job(client, job_id)
        return job if ready(job) else None

    return wait_until(find, f"the end of {job_id}")


def accepted(answer: httpx.Response) -> str:
    """Return the id of the job that presses the one master of a delivery."""
    assert answer.status_code == 202, answer.text
    [track] = answer.json()["tracks"]
    return str(track["job"]["id"])


class Listener:
    """What a player knows of one track: its manifest, and the objects behind its URLs."""

    def __init__(self, client: httpx.Client, track_id: str, codecs: str = "") -> None:
        self.client = client
        self.track_id = track_id
        self.manifest_url = urljoin(str(client.base_url), f"/v1/tracks/{track_id}/manifest")
        answer = client.get(self.manifest_url, params={"codecs": codecs} if codecs else {})
        assert answer.status_code == 200, answer.text
        self.manifest: dict[str, Any] = answer.json()
        self.renditions: list[dict[str, Any]] = self.manifest["renditions"]

    def rendition(self, tier: str) -> dict[str, Any]:
        return next(each for each in self.renditions if each["tier"] == tier)

    def url(self, rendition: dict[str, Any], name: str) -> str:
        return urljoin(self.manifest_url, f"{rendition['base_url']}{name}")

    def fetch(self, rendition: dict[str, Any], name: str) -> bytes:
        answer = self.client.get(self.url(rendition, name))
        assert answer.status_code == 200, answer.text
        return answer.content

    def bodies(self, rendition: dict[str, Any]) -> list[bytes]:
        return [self.fetch(rendition, chunk["name"]) for chunk in rendition["chunks"]]

    def joined(self, rendition: dict[str, Any]) -> bytes:
        """Return the init object and every body, one after the other."""
        init = self.fetch(rendition, rendition["init"]["name"])
        return init + b"".join(self.bodies(rendition))

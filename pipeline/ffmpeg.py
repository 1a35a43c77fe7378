"""The only place that starts a process: ffprobe for facts, ffmpegs that feed each other and us.

A child gets its own process group, no standard input, and pipes that are all drained at once, so
that none can block another. It ends with its parent: every output is a pipe, and a write into a
pipe that nobody reads any more kills it.
"""

import fcntl
import json
import logging
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from catalogue.errors import (
    EncoderFailed,
    MasterChangesFormat,
    MasterCorrupt,
    MasterUnreadable,
    Stopped,
    ToolKilled,
    ToolMissing,
)

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 60.0
STALL_TIMEOUT_S = 120.0
_PIPE_BYTES = 1 << 20
_STDERR_BYTES = 4096
_POLL_S = 0.25
# Between two rounds the pipes fill a little: fewer and larger reads cost less on both sides.
_GATHER_S = 0.01

# Only these demuxers may open a master: a playlist or a concatenation script would make ffmpeg
# read other files and fetch from the network.
READABLE_FORMATS = "wav,w64,aiff,flac,mov,mp3,ogg,aac"

_ENDED_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FORMAT_CHANGED = "Changing audio frame properties on the fly is not supported"
_ENCODER_REFUSED = "Error while opening encoder"
_RESAMPLER_MISSING = "Requested resampling engine is unavailable"

_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")

Consumer = Callable[[bytes], None]
_Running = AbstractContextManager["subprocess.Popen[bytes]"]


def input_options(*, strict: bool) -> dict[str, str]:
    """Return the options under which a master is opened.

    ``strict`` makes every damaged frame an error, which lossy sources often carry harmlessly.
    """
    options = {"protocol_whitelist": "file,pipe", "format_whitelist": READABLE_FORMATS}
    return options | ({"err_detect": "crccheck+explode"} if strict else {})


def input_url(path: Path) -> str:
    """Return ``path`` as ffmpeg's file protocol takes it, whatever characters it holds."""
    return f"file:{path}"


def without_path(said: bytes, path: Path) -> str:
    """Return what a tool said, with the name of the file but not where it is kept."""
    name = os.fsencode(path.name)
    for form in (input_url(path), str(path)):
        said = said.replace(os.fsencode(form), name)
    return said.decode("utf-8", "replace")


@cache
def build_identity() -> str:
    """Return what tells one ffmpeg build from another: version, configuration, library versions.

    Raises ToolMissing.
    """
    return _run(["ffmpeg", "-hide_banner", "-version"], timeout_s=PROBE_TIMEOUT_S).strip()


def probe(path: Path) -> dict[str, Any]:
    """Return ffprobe's account of the file's format and streams.

    Raises MasterUnreadable when no allowed demuxer opens it or none finishes in time.
    """
    shown = ["-show_format", "-show_streams", "-of", "json"]
    options = _words(input_options(strict=False))
    command = ["ffprobe", "-hide_banner", "-v", "error", *shown, *options, input_url(path)]
    try:
        answer = json.loads(_run(command, timeout_s=PROBE_TIMEOUT_S))
    except subprocess.CalledProcessError as fault:
        _require_unkilled("ffprobe", [fault.returncode])
        said = _last_line(without_path(fault.stderr, path))
        raise MasterUnreadable("No demuxer for an accepted format opens it.", tool=said) from fault
    except subprocess.TimeoutExpired as fault:
        raise MasterUnreadable(
            "Its header cannot be read in time.", seconds=PROBE_TIMEOUT_S
        ) from fault
    if not isinstance(answer, dict):
        raise MasterUnreadable("It cannot be probed.")
    return answer


class Pipe:
    """A pipe whose ends are closed once each, however often they are asked to."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self._open = {self.read_end, self.write_end}
        with suppress(OSError):  # An ordinary user may be refused a pipe this large.
            fcntl.fcntl(self.read_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def close(self, end: int) -> None:
        """Close one of the two ends."""
        if end in self._open:
            self._open.remove(end)
            os.close(end)


@contextmanager
def open_pipes(count: int) -> Iterator[list[Pipe]]:
    """Give ``count`` pipes, all closed afterwards."""
    pipes = [Pipe() for _ in range(count)]
    try:
        yield pipes
    finally:
        for pipe in pipes:
            pipe.close(pipe.read_end)
            pipe.close(pipe.write_end)


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One ffmpeg: its arguments, the master it opens or the pipe it reads, and those it writes.

    In the arguments a pipe is named ``pipe:N`` by the number of its end.
    """

    arguments: Sequence[str]
    master: Path | None = None
    source: Pipe | None = None
    sinks: Sequence[Pipe] = ()


def run_ffmpegs(
    commands: Sequence[Command],
    consumers: Mapping[Pipe, Consumer],
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run the commands side by side and give each consumer the bytes of its pipe as they come.

    The first command decodes the master, the others what it sends them. Raises MasterCorrupt when
    the first fails or all stall, EncoderFailed when another does, ToolMissing when this ffmpeg has
    no resampler, ToolKilled when somebody ended one, and Stopped when ``should_stop`` says so;
    every child is gone in every case.
    """
    with ExitStack() as running:
        errors = [running.enter_context(tempfile.TemporaryFile()) for _ in commands]
        processes = [
            running.enter_context(_ffmpeg(command, stderr))
            for command, stderr in zip(commands, errors, strict=True)
        ]
        for command in commands:
            for pipe in command.sinks:
                pipe.close(pipe.write_end)
            if command.source is not None:
                command.source.close(command.source.read_end)
        _drain(consumers, should_stop)
        statuses = [process.wait(timeout=STALL_TIMEOUT_S) for process in processes]
        said = [_tell(command, stderr) for command, stderr in zip(commands, errors, strict=True)]
    for status, words in zip(statuses, said, strict=True):
        if status != 0:
            log.info("ffmpeg ended badly", extra={"status": status, "stderr": words.strip()})
    _require_unkilled("ffmpeg", statuses)
    if any(_RESAMPLER_MISSING in words for words in said):
        raise ToolMissing("This ffmpeg was built without libsoxr.", program="ffmpeg")
    for status, words in zip(statuses[1:], said[1:], strict=True):
        if status != 0:
            raise EncoderFailed("It stopped before its end.", tool=_last_line(words))
    if statuses[0] != 0:
        if _ENCODER_REFUSED in said[0]:
            raise EncoderFailed("It refuses what the ladder asks for.", tool=_last_line(said[0]))
        if _FORMAT_CHANGED in said[0]:
            raise MasterChangesFormat("Its frames are not all of one rate and shape.")
        raise MasterCorrupt("The decoder gave up on it.", tool=_last_line(said[0]))


def _require_unkilled(program: str, statuses: Sequence[int]) -> None:
    """Raise ToolKilled when somebody ended one; a crash of its own is its fault or the file's."""
    for status in statuses:
        if -status in _ENDED_FROM_OUTSIDE:
            name = signal.Signals(-status).name
            raise ToolKilled(f"{program} was ended by {name}.", program=program, signal=name)


def last_packet_end(path: Path, rate_hz: int) -> int:
    """Return where the last coded packet in the file ends, in samples; nothing is decoded."""
    lines = b""

    def keep_tail(data: bytes) -> None:
        nonlocal lines
        lines = (lines + data)[-_STDERR_BYTES:]

    copy = ["-map", "0:a:0", "-c", "copy", "-enc_time_base", f"1:{rate_hz}", "-f", "framecrc"]
    with open_pipes(1) as (pipe,):
        source = [*_words(input_options(strict=False)), "-i", input_url(path)]
        arguments = [*source, *copy, f"pipe:{pipe.write_end}"]
        with suppress(MasterCorrupt):
            command = Command(arguments=arguments, master=path, sinks=[pipe])
            run_ffmpegs([command], {pipe: keep_tail})
    packets = [line.split(b",") for line in lines.splitlines() if line.startswith(b"0,")]
    return int(packets[-1][2]) + int(packets[-1][3]) if packets else 0


def _words(options: Mapping[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in (f"-{name}", value)]


def _ffmpeg(command: Command, stderr: IO[bytes]) -> _Running:
    ends = [pipe.write_end for pipe in command.sinks]
    if command.source is not None:
        ends.append(command.source.read_end)
    words = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", *command.arguments]
    return _child(words, stderr=stderr, pass_fds=ends)


def _drain(consumers: Mapping[Pipe, Consumer], should_stop: Callable[[], bool]) -> None:
    with selectors.DefaultSelector() as selector:
        for pipe in consumers:
            selector.register(pipe.read_end, selectors.EVENT_READ, pipe)
        last_bytes_at = time.monotonic()
        while selector.get_map():
            ready = selector.select(_POLL_S)
            if should_stop():
                raise Stopped("The press was asked to stop.")
            if not ready and time.monotonic() - last_bytes_at > STALL_TIMEOUT_S:
                raise MasterCorrupt("The decoder stands still.", seconds=STALL_TIMEOUT_S)
            for key, _ in ready:
                last_bytes_at = time.monotonic()
                data = os.read(key.fd, _PIPE_BYTES)
                if data:
                    consumers[key.data](data)
                else:
                    selector.unregister(key.fd)
            time.sleep(_GATHER_S)


def _run(command: Sequence[str], *, timeout_s: float) -> str:
    """Return a command's output. Raises CalledProcessError, TimeoutExpired, ToolMissing."""
    with _child(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=timeout_s)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command, None, err)
    return str(out.decode("utf-8", "replace"))


@contextmanager
def _child(
    command: Sequence[str],
    *,
    stderr: IO[bytes] | int,
    stdout: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a child and make sure that its whole process group is gone at the end."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    except FileNotFoundError as fault:
        raise ToolMissing(f"{command[0]} was not found.", program=command[0]) from fault
    try:
        yield process
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _tell(command: Command, stderr: IO[bytes]) -> str:
    """Return the end of what a command said of itself, without where its master is kept."""
    size_bytes = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size_bytes - _STDERR_BYTES))
    said = stderr.read()
    return without_path(said, command.master) if command.master else said.decode("utf-8", "replace")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _ADDRESS.sub("", lines[-1])[-300:] if lines else "(it said nothing)"

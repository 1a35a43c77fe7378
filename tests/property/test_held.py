"""What is kept to be sent leaves whole, by the kernel or not, and holds no file open."""

import gc
import os
import resource
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.fast.held import _FILES, HeldPart, cut, hold

LARGE = bytes(range(256)) * 1500


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@given(data=st.sampled_from([b"", b"abc", LARGE[: 64 << 10], LARGE]), span=st.data())
def test_what_is_kept_is_what_it_was(data: bytes, span: st.DataObject) -> None:
    body = hold(data)
    assert len(body) == len(data)
    start = span.draw(st.integers(0, len(data)))
    end = span.draw(st.integers(start, len(data)))
    part = cut(body, start, end)
    read = part.read() if isinstance(part, HeldPart) else bytes(part)
    assert read == data[start:end]
    assert len(part) == end - start


@pytest.mark.parametrize("room_bytes", [4 << 10, 64 << 10, 4 << 20])
def test_what_a_socket_does_not_take_is_left(room_bytes: int) -> None:
    own, other = socket.socketpair()
    with own, other:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room_bytes)
        own.setblocking(False)
        rest = hold(LARGE)
        assert isinstance(rest, HeldPart)
        came, turns = b"", 0
        while rest:
            rest, turns = rest.send(own.fileno()), turns + 1
            while len(came) + len(rest) < len(LARGE):
                came += other.recv(1 << 20)
        assert came == LARGE
        assert (turns > 1) == (room_bytes < len(LARGE))


def test_nobody_at_the_other_end_is_an_error() -> None:
    own, other = socket.socketpair()
    other.close()
    body = hold(LARGE)
    assert isinstance(body, HeldPart)
    with own, pytest.raises(BrokenPipeError):
        body.send(own.fileno())


def test_a_file_is_closed_with_the_last_part_of_it() -> None:
    before = open_files()
    body = hold(LARGE)
    part = cut(body, 1, len(LARGE))
    assert open_files() == before + 1
    del body
    assert isinstance(part, HeldPart)
    assert part.read() == LARGE[1:]
    del part
    assert open_files() == before


def test_one_too_many_is_kept_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    monkeypatch.setattr("origin.fast.held._MOST_FILES", len(_FILES) + 2)
    bodies = [hold(LARGE) for _ in range(4)]
    assert [isinstance(body, HeldPart) for body in bodies] == [True, True, False, False]
    del bodies[0]
    assert isinstance(hold(LARGE), HeldPart)


def test_where_no_more_files_may_be_open_bytes_are_kept() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    following = os.dup(0)
    os.close(following)
    resource.setrlimit(resource.RLIMIT_NOFILE, (following, hard))
    try:
        bodies = [hold(LARGE) for _ in range(3)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert bodies == [LARGE] * 3

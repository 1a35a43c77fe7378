"""Finding masters: in what order, and what of a hostile folder or list is left out or refused."""

import inspect
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalogue.errors import ListUnreadable
from lathe.masters import SUFFIXES, Found, find_masters, read_list
from tests.audio_tools import FIXTURES

TINY = FIXTURES / "tiny.wav"
TINY_BYTES = 48
DEPTH = 400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of masters two deep, in no order, with files beside them that are none."""
    root = tmp_path / "music"
    names = ("b.flac", "a/2.wav", "a/10.WAV", "c.mp3", "B.wav", "z/z/é.aiff", "notes.txt", "wav")
    for name in (*names, ".hidden.wav", ".git/x.wav", "a/.x.wav"):
        place(root / name)
    return root


def place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(TINY, path))


def find(*paths: Path, out: Path = Path("no-such-folder")) -> list[Found]:
    return list(find_masters(paths, out))


def told(found: list[Found], root: Path) -> dict[str, str | None]:
    """Return the code of each path's fault, or None, by its name below ``root``."""
    return {str(each.path.relative_to(root)): code_of(each) for each in found}


def code_of(found: Found) -> str | None:
    return None if found.fault is None else found.fault.code


# --------------------------------------------------------------------------- order and choice


def test_a_folder_is_walked_in_the_order_of_names(folder: Path) -> None:
    names = [str(each.path.relative_to(folder)) for each in find(folder)]
    assert names == ["B.wav", "a/10.WAV", "a/2.wav", "b.flac", "c.mp3", "z/z/é.aiff"]


def test_what_is_found_is_told_with_its_size(folder: Path) -> None:
    found = find(folder)
    assert {(each.size_bytes, each.fault) for each in found} == {(TINY_BYTES, None)}


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_kind_of_master_is_found_whatever_its_case(tmp_path: Path, suffix: str) -> None:
    paths = [place(tmp_path / f"1{suffix}"), place(tmp_path / f"2{suffix.upper()}")]
    assert [each.path for each in find(tmp_path)] == paths


def test_paths_keep_the_order_and_the_form_they_are_given_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    given = [Path("c.mp3"), Path("a"), Path("b.flac"), Path("c.mp3")]
    names = [str(each.path) for each in find(*given)]
    assert names == ["c.mp3", "a/10.WAV", "a/2.wav", "b.flac", "c.mp3"]


def test_a_file_that_is_named_needs_no_suffix_and_may_be_hidden(folder: Path) -> None:
    given = [folder / "notes.txt", folder / ".hidden.wav", folder / "wav"]
    assert [(each.path, each.fault) for each in find(*given)] == [(path, None) for path in given]


def test_an_empty_folder_has_no_masters(tmp_path: Path) -> None:
    assert find(tmp_path) == []


OUTS: dict[str, Callable[[Path], Path]] = {
    "as it is": lambda folder: folder / "out",
    "through the folder above": lambda folder: folder / ".." / folder.name / "out",
    "through a link": lambda folder: folder.parent / "link" / "out",
}


@pytest.mark.parametrize("form", OUTS)
def test_the_output_is_never_searched_however_it_is_written(folder: Path, form: str) -> None:
    """Its chunks would be taken for masters by the next run."""
    place(folder / "out" / "pressed" / "00000.ogg")
    place(folder / "a" / "out" / "1.wav")
    (folder.parent / "link").symlink_to(folder)
    names = told(find(folder, out=OUTS[form](folder)), folder)
    assert "out/pressed/00000.ogg" not in names
    assert "a/out/1.wav" in names


def test_the_output_is_never_searched_however_the_folder_is_written(folder: Path) -> None:
    place(folder / "out" / "00000.ogg")
    found = find(folder / "a" / "..", out=folder / "out")
    assert [each.path.name for each in found if "out" in each.path.parts] == []


# --------------------------------------------------------------------------- what is no master


NOTHING = {
    "missing": "none.wav",
    "below a file": "tiny.wav/below.wav",
    "too long": "x" * 300,
    "no path": "nul\0.wav",
}


@pytest.mark.parametrize("name", NOTHING.values(), ids=NOTHING)
def test_a_path_that_leads_to_nothing_is_refused(tmp_path: Path, name: str) -> None:
    place(tmp_path / "tiny.wav")
    (found,) = find(tmp_path / name)
    assert (found.path, found.size_bytes) == (tmp_path / name, 0)
    assert code_of(found) == "master-not-a-file"


def test_pipes_and_devices_are_refused_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", Path("/dev/null")):
        (found,) = find(path)
        assert code_of(found) == "master-not-a-file"
    assert told(find(tmp_path), tmp_path) == {"pipe.wav": "master-not-a-file"}


def test_links_lead_to_files_of_the_folder_only(folder: Path) -> None:
    outside = place(folder.parent / "outside.wav")
    links = {
        "l1.wav": Path("b.flac"),
        "l2.wav": outside,
        "l3.wav": Path("../outside.wav"),
        "l4.wav": Path("nothing"),
        "l5.wav": Path("a"),
        "l6.wav": Path("/dev/zero"),
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    found = {name: code for name, code in told(find(folder), folder).items() if name in links}
    assert found == {
        "l1.wav": None,
        "l2.wav": "master-outside-tree",
        "l3.wav": "master-outside-tree",
        "l4.wav": "master-not-a-file",
        "l5.wav": "master-not-a-file",
        "l6.wav": "master-outside-tree",
    }


def test_a_link_to_a_folder_is_not_followed(folder: Path) -> None:
    (folder / "up").symlink_to(folder)
    assert len(find(folder)) == 6


def test_a_link_that_leads_to_itself_stops_nothing_else(folder: Path) -> None:
    (folder / "a" / "loop.wav").symlink_to("loop.wav")
    found = told(find(folder), folder)
    assert found.pop("a/loop.wav") in ("master-not-a-file", "master-outside-tree")
    assert list(found.values()) == [None] * 6


def test_a_folder_that_is_named_may_be_a_link(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    (folder / "l.wav").symlink_to("b.flac")
    assert [each.fault for each in find(link)] == [None] * 7


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder in a folder, deeper than calls may go into one another."""
    top = tmp_path / "deep"
    top.joinpath(*["d"] * DEPTH).mkdir(parents=True)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + DEPTH)
    yield top
    sys.setrecursionlimit(limit)


def test_a_very_deep_folder_is_walked_to_its_end(deep: Path) -> None:
    master = place(deep.joinpath(*["d"] * DEPTH) / "a.wav")
    assert [each.path for each in find(deep)] == [master]


@pytest.mark.parametrize(
    "name", [b"caf\xe9.wav", b"line\nbreak.wav", b"-rf.wav", b"a:b.wav", b"%d.wav", b" .wav"]
)
def test_a_name_may_hold_any_byte(tmp_path: Path, name: bytes) -> None:
    path = place(tmp_path / os.fsdecode(name))
    assert [(os.fsencode(each.path.name), each.fault) for each in find(tmp_path)] == [(name, None)]
    assert find(path) == find(tmp_path)


# --------------------------------------------------------------------------- lists


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("\n\n\r\n", []),
        ("a.wav\n\nb.wav", ["a.wav", "b.wav"]),
        ("a.wav\r\nb.wav\r\n", ["a.wav", "b.wav"]),
        ("b.wav\na.wav\nb.wav\n", ["b.wav", "a.wav", "b.wav"]),
        ("# a.wav\n", ["# a.wav"]),
        (" a.wav \n\ta.wav\n", [" a.wav ", "\ta.wav"]),
        ("a\u2028b.wav\na\x0cb.wav\n", ["a\u2028b.wav", "a\x0cb.wav"]),
        ("nul\0.wav\n", ["nul\0.wav"]),
        ("-n.wav\n", ["-n.wav"]),
    ],
)
def test_a_list_has_a_path_a_line_as_it_stands(text: str, names: list[str]) -> None:
    assert list(read_list(io.StringIO(text, newline=None))) == [Path(name) for name in names]


def test_a_line_that_is_no_path_is_refused_without_the_others(tmp_path: Path) -> None:
    tiny = place(tmp_path / "tiny.wav")
    lines = [str(tiny), f"{tmp_path}/nul\0.wav", f"{tmp_path}/none.wav", str(tiny)]
    found = find(*read_list(io.StringIO("\n".join(lines))))
    assert [code_of(each) for each in found] == [
        None,
        "master-not-a-file",
        "master-not-a-file",
        None,
    ]


def test_a_list_that_is_no_text_is_unreadable() -> None:
    source = io.TextIOWrapper(io.BytesIO(b"a.wav\n\xff\xfe.wav\n"), encoding="utf-8")
    with pytest.raises(ListUnreadable) as caught:
        list(read_list(source))
    assert caught.value.code == "list-unreadable"


def test_masters_are_found_as_a_list_is_read(tmp_path: Path) -> None:
    """So that a list may come through a pipe that is written all the while."""
    tiny = place(tmp_path / "tiny.wav")
    read_end, write_end = os.pipe()
    with open(read_end) as source, open(write_end, "w") as sink:
        found = find_masters(read_list(source), tmp_path / "out")
        for _ in range(3):
            print(tiny, file=sink, flush=True)
            assert next(found).path == tiny

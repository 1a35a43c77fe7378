import base64
import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from catalogue.errors import SettingsInvalid, UrlUntrusted
from catalogue.nouns import RenditionId
from protection.keyring import load_or_make_ring, parse_ring
from protection.signing import UrlSigner
from tests.contract.examples import NOON, make_grant, make_track

SECRET = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
OTHER = base64.urlsafe_b64encode(b"\xfb\xff" * 20).decode().rstrip("=")
SETTING = "LATHE_URL_KEYS"
SHORT = base64.urlsafe_b64encode(bytes(31)).decode().rstrip("=")


def sign(ring: str) -> str:
    grant = make_grant("aac-256-00", track=make_track().id, expires_at=NOON + timedelta(hours=1))
    return UrlSigner(parse_ring(ring, SETTING)).sign(grant, RenditionId("aac-256-00"))


def verify(ring: str, signed: str) -> None:
    token = signed.split("/")[2]
    track = make_track().id
    UrlSigner(parse_ring(ring, SETTING)).verify(token, track, RenditionId("aac-256-00"), NOON)


def test_the_first_key_signs_and_all_are_kept() -> None:
    ring = parse_ring(f"new:{SECRET}\n old:{OTHER} ", SETTING)
    assert ring.first_kid == "new"
    assert ring.keys == {"new": bytes(range(32)), "old": b"\xfb\xff" * 20}


def test_padding_may_be_written_out() -> None:
    assert parse_ring(f"k:{SECRET}=", SETTING) == parse_ring(f"k:{SECRET}", SETTING)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        SECRET,
        f":{SECRET}",
        "k:",
        f"k:{SHORT}",
        f"K:{SECRET}",
        f"k-1:{SECRET}",
        f"{'k' * 17}:{SECRET}",
        f"k:{SECRET}!",
        f"k:{SECRET[:20]}.{SECRET[20:]}",
        f"k:{SECRET}é",
        f"k:{SECRET} k:{OTHER}",
        f"k:{SECRET} second:{SHORT}",
    ],
)
def test_a_malformed_ring_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        parse_ring(text, SETTING)
    said = f"{caught.value!r} {caught.value.detail} {dict(caught.value.measured)}"
    assert caught.value.measured == {"setting": "LATHE_URL_KEYS"}
    for secret in (SECRET, SHORT, OTHER, SECRET[:20]):
        assert secret not in said


def test_a_ring_never_shows_its_secrets() -> None:
    shown = repr(parse_ring(f"k:{SECRET}", SETTING))
    assert SECRET not in shown
    assert repr(bytes(range(32))) not in shown
    assert "k" in shown


def test_an_old_key_verifies_while_a_new_one_signs() -> None:
    before, during, after = f"old:{SECRET}", f"new:{OTHER} old:{SECRET}", f"new:{OTHER}"
    old, new = sign(before), sign(during)
    assert (old.split(".")[1], new.split(".")[1]) == ("old", "new")
    verify(during, old)
    verify(during, new)
    verify(after, new)
    with pytest.raises(UrlUntrusted):
        verify(after, old)


def test_a_key_of_the_same_name_with_other_bytes_is_another_key() -> None:
    with pytest.raises(UrlUntrusted):
        verify(f"k:{OTHER}", sign(f"k:{SECRET}"))


def test_a_ring_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "url-keys"
    before = os.umask(0)
    try:
        made = load_or_make_ring(path, SETTING)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make_ring(path, SETTING) == made
    assert [len(key) for key in made.keys.values()] == [32]
    assert list(path.parent.iterdir()) == [path]


def test_every_ring_that_is_made_is_another(tmp_path: Path) -> None:
    rings = [load_or_make_ring(tmp_path / name, SETTING) for name in ("one", "two")]
    assert rings[0].first_kid != rings[1].first_kid
    assert list(rings[0].keys.values()) != list(rings[1].keys.values())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666])
def test_a_file_that_others_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "url-keys"
    load_or_make_ring(path, SETTING)
    secret = path.read_text().split(":")[1].strip()
    path.chmod(mode)
    with pytest.raises(SettingsInvalid) as caught:
        load_or_make_ring(path, SETTING)
    assert caught.value.measured == {"mode": f"{mode:04o}"}
    assert secret not in caught.value.detail


@pytest.mark.parametrize("data", [b"", b"no ring", b"k:\xff\xfe\x00\x80"])
def test_a_file_that_holds_no_ring_is_refused_and_kept(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "url-keys"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(SettingsInvalid):
        load_or_make_ring(path, SETTING)
    assert path.read_bytes() == data


def test_a_ring_of_exact_keys_takes_no_longer_ones() -> None:
    assert parse_ring(f"k:{SECRET}", "LATHE_CONTENT_KEYS", exact=True).first_kid == "k"
    with pytest.raises(SettingsInvalid, match="Key 1 of the ring") as caught:
        parse_ring(f"k:{OTHER}", "LATHE_CONTENT_KEYS", exact=True)
    assert caught.value.measured == {"setting": "LATHE_CONTENT_KEYS"}

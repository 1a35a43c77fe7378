"""Common encryption: what is written, what the standard says of it, and back."""

import struct
from functools import partial

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cutting.boxes import build_box, find_box, walk_boxes
from pipeline.cutting.cenc import protect_fragments, protect_init
from pipeline.cutting.mp4 import build_fragment
from protection.cenc import (
    INIT_OVERHEAD_BYTES,
    SampleCipher,
    build_key_set,
    build_pssh,
    build_sinf,
    derive_cenc_key,
    parse_key_id,
)
from protection.content_keys import ContentKey
from protection.encoding import encode_bytes
from tests.offline import KEY

CENC = derive_cenc_key(KEY)
CIPHER = SampleCipher(CENC)
ENTRY = bytes(range(28)) + build_box("esds", b"how to decode")


def make_init(entry: bytes = ENTRY, name: str = "mp4a") -> bytes:
    """Return an init segment with what is needed to find a sample entry in it."""
    tables = build_box("stsd", struct.pack(">II", 0, 1), build_box(name, entry))
    media = build_box("mdia", build_box("mdhd"), build_box("minf", build_box("stbl", tables)))
    track = build_box("trak", build_box("tkhd", b"head"), media)
    return build_box("ftyp", b"iso6") + build_box("moov", build_box("mvhd"), track)


def protect(init: bytes) -> bytes:
    return protect_init(init, partial(build_sinf, key=CENC), build_pssh(CENC.id))


def fragment(*samples: bytes) -> bytes:
    return build_fragment(
        sequence=1,
        decode_time=0,
        sizes=[len(sample) for sample in samples],
        frame_samples=1024,
        last_samples=1000,
        data=b"".join(samples),
    )


def test_a_key_is_derived_and_shown_nowhere() -> None:
    info = b"lathe-cenc-1\n" + KEY.id.encode()
    derived = HKDF(SHA256(), 32, salt=None, info=info).derive(KEY.secret)
    assert (CENC.id.hex(), CENC.key + CENC.iv) == (KEY.id, derived)
    assert str(CENC.key) not in repr(CENC)
    other = derive_cenc_key(ContentKey("0" * 32, KEY.secret))
    assert other.key != CENC.key
    assert other.iv != CENC.iv


@given(samples=st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=8))
def test_samples_are_encrypted_where_they_stand(samples: list[bytes]) -> None:
    clear = fragment(*samples) + fragment(*reversed(samples))
    found = protect_fragments(clear, CIPHER.encrypt)
    assert len(found) == len(clear)
    assert protect_fragments(found, CIPHER.decrypt) == clear
    boxes, before = list(walk_boxes(found)), list(walk_boxes(clear))
    assert [each for each in boxes if each[0] == "moof"] == [
        each for each in before if each[0] == "moof"
    ]
    # As the standard says it: blocks in a chain from the constant IV, and the rest in clear.
    expected = b""
    for sample in samples:
        whole = len(sample) & ~15
        chain = Cipher(algorithms.AES(CENC.key), modes.CBC(CENC.iv)).encryptor()
        expected += chain.update(sample[:whole]) + chain.finalize() + sample[whole:]
    assert boxes[1] == ("mdat", expected)


def test_an_init_segment_tells_of_its_encryption() -> None:
    init = make_init()
    found = protect(init)
    assert len(found) == len(init) + INIT_OVERHEAD_BYTES
    entries = find_box(found, "moov/trak/mdia/minf/stbl/stsd")
    ((name, entry),) = walk_boxes(entries, start=8)
    assert name == "enca"
    assert entry[: len(ENTRY)] == ENTRY
    sinf = find_box(entry[28:], "sinf")
    assert find_box(sinf, "frma") == b"mp4a"
    assert find_box(sinf, "schm") == bytes(4) + b"cbcs" + bytes([0, 1, 0, 0])
    tenc = find_box(sinf, "schi/tenc")
    assert tenc == bytes([1, 0, 0, 0, 0, 0, 1, 0]) + CENC.id + b"\x10" + CENC.iv
    pssh = find_box(found, "moov/pssh")
    system = bytes.fromhex("1077efecc0b24d02ace33c1e52e2fb4b")
    assert pssh == bytes([1, 0, 0, 0]) + system + struct.pack(">I", 1) + CENC.id + bytes(4)


def test_what_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="does not match its run"):
        protect_fragments(build_box("mdat", b"samples of nowhere"), CIPHER.encrypt)
    with pytest.raises(ValueError, match="more than boxes"):
        protect_fragments(fragment(b"sample") + b"rest", CIPHER.encrypt)


def test_a_licence_is_a_key_set() -> None:
    assert build_key_set([CENC]) == {
        "keys": [{"kty": "oct", "kid": "ABEiM0RVZneImaq7zN3u_w", "k": encode_bytes(CENC.key)}],
        "type": "temporary",
    }
    assert parse_key_id("ABEiM0RVZneImaq7zN3u_w") == KEY.id


@pytest.mark.parametrize(
    "text", ["", "ABEi", "ABEiM0RVZneImaq7zN3u/w", "ABEiM0RVZneImaq7zN3u_x", "é" * 22]
)
def test_a_key_id_has_one_spelling(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64url|spelling|16 bytes|ASCII"):
        parse_key_id(text)

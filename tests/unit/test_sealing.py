"""Old objects, keys, proofs and licences open, and nothing opens that is not just so."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from catalogue.errors import ContentKeyLost, DeviceUnfit, DeviceUntrusted, DownloadUntrusted
from protection.content_keys import ContentKey, KeyWrapper, WrappedKey, make_content_key
from protection.encoding import decode_bytes, encode_bytes
from protection.keyring import KeyRing
from protection.licences import Licence, LicenceSigner, open_licence
from protection.possession import (
    Purpose,
    build_statement,
    parse_device_key,
    sign_statement,
    verify_statement,
)
from protection.sealing import MAGIC, OVERHEAD_BYTES, Sealer
from tests.offline import (
    KEY,
    LICENSED,
    PLACE,
    RING,
    TERMS,
    make_private_key,
    other_places,
    public_of,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "offline-1.json").read_text("utf-8")
)
SIGNER = LicenceSigner(RING)
OWN = make_private_key(12)
SAME_WORDS = "It was not sealed for here, or it was altered."


# --------------------------------------------------------------------------- what was made once


def test_what_was_sealed_opens() -> None:
    vector = VECTORS["sealed"]
    sealed = bytes.fromhex(vector["sealed"])
    key = ContentKey("0" * 32, decode_bytes(vector["key"]))
    assert Sealer(key).open(PLACE, sealed) == vector["data"].encode()
    # The same, without lathe.
    cipher = AESGCM(decode_bytes(vector["key"]))
    said, nonce = vector["associated"].encode(), bytes.fromhex(vector["nonce"])
    assert cipher.decrypt(nonce, sealed[4:], said) == vector["data"].encode()
    assert (sealed[:4], len(sealed)) == (b"LSO\x01", len(vector["data"]) + OVERHEAD_BYTES)


def test_what_was_wrapped_unwraps() -> None:
    vector = VECTORS["wrapped"]
    wrapper = KeyWrapper(KeyRing(first_kid="k1", keys={"k1": decode_bytes(vector["kek"])}))
    assert wrapper.unwrap(WrappedKey(KEY.id, "k1", bytes.fromhex(vector["wrapped"]))) == KEY


def test_a_proof_that_was_given_holds() -> None:
    vector = VECTORS["proof"]
    key = parse_device_key(vector["public_key"])
    assert key.thumbprint == vector["thumbprint"]
    verify_statement(key, vector["statement"].encode(), vector["signature"])


def test_a_licence_that_was_given_opens() -> None:
    vector = VECTORS["licence"]
    licence = open_licence(vector["licence"], vector["pinned"])
    assert licence.terms == TERMS
    private_key = make_private_key(vector["agreement_private_key"])
    assert licence.unwrap(KEY.id, private_key) == LICENSED


# --------------------------------------------------------------------------- sealed objects


@given(data=st.binary(max_size=300))
def test_what_is_sealed_opens_in_its_place(data: bytes) -> None:
    sealed = Sealer(KEY).seal(PLACE, data)
    assert Sealer(KEY).open(PLACE, sealed) == data
    assert Sealer(KEY).seal(PLACE, data) == sealed


@pytest.mark.parametrize("place", other_places(), ids=str)
def test_it_opens_nowhere_else(place: Any) -> None:
    sealed = Sealer(KEY).seal(PLACE, b"music")
    with pytest.raises(DownloadUntrusted, match=SAME_WORDS):
        Sealer(KEY).open(place, sealed)


@given(data=st.binary(min_size=1, max_size=60), at=st.integers(0, 10_000), by=st.integers(1, 255))
def test_no_byte_of_it_may_differ(data: bytes, at: int, by: int) -> None:
    sealed = bytearray(Sealer(KEY).seal(PLACE, data))
    sealed[at % len(sealed)] ^= by
    with pytest.raises(DownloadUntrusted, match=SAME_WORDS):
        Sealer(KEY).open(PLACE, bytes(sealed))


@given(size=st.integers(0, 24), more=st.binary(min_size=1, max_size=3))
def test_it_is_neither_shorter_nor_longer(size: int, more: bytes) -> None:
    sealed = Sealer(KEY).seal(PLACE, b"music")
    for other in (sealed[:size], sealed + more, more + sealed, b"", MAGIC):
        with pytest.raises(DownloadUntrusted, match=SAME_WORDS):
            Sealer(KEY).open(PLACE, other)


def test_another_key_does_not_open_it() -> None:
    sealed = Sealer(KEY).seal(PLACE, b"music")
    with pytest.raises(DownloadUntrusted, match=SAME_WORDS):
        Sealer(make_content_key()).open(PLACE, sealed)


def test_places_have_nonces_of_their_own() -> None:
    places = [PLACE, *other_places()]
    told = {(place.part, place.index) for place in places}
    assert len({place.nonce for place in places}) == len(told) == 5
    assert all(len(place.nonce) == 12 for place in places)


# --------------------------------------------------------------------------- content keys


def test_a_key_is_wrapped_anew_each_time_and_by_the_first_key() -> None:
    old = KeyRing(first_kid="a", keys={"a": bytes(32)})
    new = KeyRing(first_kid="b", keys={"b": b"\1" * 32, "a": bytes(32)})
    one, two = KeyWrapper(old).wrap(KEY), KeyWrapper(old).wrap(KEY)
    assert one.wrapped != two.wrapped
    assert KeyWrapper(new).unwrap(one) == KeyWrapper(new).unwrap(two) == KEY
    assert KeyWrapper(new).wrap(KEY).kek == "b"


def test_a_wrapped_key_opens_in_its_row_alone() -> None:
    wrapper = KeyWrapper(RING)
    stored = wrapper.wrap(KEY)
    others = [
        replace(stored, id="0" * 32),
        replace(stored, kek="another"),
        replace(stored, wrapped=stored.wrapped[:-1]),
        replace(stored, wrapped=b""),
        replace(stored, wrapped=b"\2" + stored.wrapped[1:]),
        replace(stored, wrapped=wrapper.wrap(make_content_key()).wrapped),
    ]
    for other in others:
        with pytest.raises(ContentKeyLost):
            wrapper.unwrap(other)


def test_a_ring_one_key_short_opens_nothing_of_that_key() -> None:
    stored = KeyWrapper(RING).wrap(KEY)
    shorter = KeyRing(first_kid="l2", keys={"l2": bytes(32)})
    with pytest.raises(ContentKeyLost) as caught:
        KeyWrapper(shorter).unwrap(stored)
    assert caught.value.measured == {"key": KEY.id, "kek": "l1"}


def test_no_secret_is_shown() -> None:
    stored = KeyWrapper(RING).wrap(KEY)
    licence = open_licence(SIGNER.sign(TERMS, public_of(OWN), [LICENSED]), SIGNER.public_keys())
    shown = repr([KEY, stored, LICENSED, licence, RING])
    for secret in (KEY.secret, stored.wrapped, RING.keys["l1"]):
        assert repr(secret)[2:12] not in shown
        assert secret.hex() not in shown
        assert encode_bytes(secret) not in shown


# --------------------------------------------------------------------------- proofs


def test_a_proof_is_good_for_what_it_says_alone() -> None:
    key = make_private_key(7)
    words = (Purpose.REGISTER, "acc_1", "challenge", b"said")
    proof = sign_statement(key, build_statement(*words))
    verify_statement(public_of(key), build_statement(*words), proof)
    others = [
        (Purpose.LICENCE, "acc_1", "challenge", b"said"),
        (Purpose.REGISTER, "acc_2", "challenge", b"said"),
        (Purpose.REGISTER, "acc_1", "another", b"said"),
        (Purpose.REGISTER, "acc_1", "challenge", b"said "),
    ]
    for other in others:
        with pytest.raises(DeviceUntrusted, match="The proof does not hold"):
            verify_statement(public_of(key), build_statement(*other), proof)
    with pytest.raises(DeviceUntrusted, match="The proof does not hold"):
        verify_statement(public_of(make_private_key(8)), build_statement(*words), proof)


@pytest.mark.parametrize("proof", ["", "AA", "A" * 86, "=" * 86, "é", encode_bytes(bytes(64))])
def test_what_is_no_proof_is_refused_alike(proof: str) -> None:
    with pytest.raises(DeviceUntrusted, match="The proof does not hold"):
        verify_statement(public_of(make_private_key(7)), b"statement", proof)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAAA",
        "é",
        encode_bytes(b"\4" + bytes(64)),
        encode_bytes(b"\4" + b"\xff" * 64),
        encode_bytes(b"\2" + decode_bytes(public_of(OWN).text)[1:33]),
        public_of(OWN).text + "=",
        public_of(OWN).text[:-1] + "B",
        f" {public_of(OWN).text}",
    ],
)
def test_a_key_is_a_point_in_one_spelling(text: str) -> None:
    with pytest.raises(DeviceUnfit):
        parse_device_key(text)


# --------------------------------------------------------------------------- licences


def signed() -> str:
    return SIGNER.sign(TERMS, public_of(OWN), [LICENSED])


def refuse(text: str, pinned: dict[str, str] | None = None) -> None:
    with pytest.raises(DownloadUntrusted, match=SAME_WORDS):
        open_licence(text, SIGNER.public_keys() if pinned is None else pinned)


def altered(**said: Any) -> str:
    """Return a licence whose words were changed by somebody who cannot sign."""
    header, payload, signature = signed().split(".")
    words = json.loads(decode_bytes(payload)) | said
    return f"{header}.{encode_bytes(json.dumps(words).encode())}.{signature}"


def test_a_licence_opens_on_its_own_device() -> None:
    licence = open_licence(signed(), SIGNER.public_keys())
    assert (list(licence.key_ids), licence.terms) == ([KEY.id], TERMS)
    assert licence.unwrap(KEY.id, OWN) == LICENSED


def test_it_opens_on_no_other_device() -> None:
    licence = open_licence(signed(), SIGNER.public_keys())
    with pytest.raises(DownloadUntrusted, match=SAME_WORDS):
        licence.unwrap(KEY.id, make_private_key(13))
    with pytest.raises(DownloadUntrusted, match=SAME_WORDS):
        licence.unwrap("0" * 32, OWN)


@pytest.mark.parametrize(
    "said",
    [
        {"exp": 4_000_000_000},
        {"renew_after": 4_000_000_000},
        {"mark": "another"},
        {"tracks": []},
        {"v": 2},
        {"dev": "dev_2"},
    ],
)
def test_no_word_of_it_can_be_altered(said: dict[str, Any]) -> None:
    refuse(altered(**said))


def test_keys_cannot_be_put_into_another_licence() -> None:
    later = replace(TERMS, id="lic_2", expires_at=TERMS.renew_after)
    words = json.loads(decode_bytes(signed().split(".")[1]))
    other = open_licence(SIGNER.sign(later, public_of(OWN), [LICENSED]), SIGNER.public_keys())
    taken = Licence(terms=other.terms, _set_key=decode_bytes(words["enc"]), _tracks=other._tracks)
    with pytest.raises(DownloadUntrusted, match=SAME_WORDS):
        taken.unwrap(KEY.id, OWN)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": "l1", "typ": "lathe-licence+jws"},
        {"alg": "HS256", "kid": "l1", "typ": "lathe-licence+jws"},
        {"alg": "EdDSA", "kid": "l2", "typ": "lathe-licence+jws"},
        {"alg": "EdDSA", "kid": "l1", "typ": "JWT"},
        {"alg": "EdDSA", "kid": "l1"},
        {"alg": "EdDSA", "kid": "l1", "typ": "lathe-licence+jws", "crit": ["b64"], "b64": False},
        {"alg": "EdDSA", "kid": "l1", "typ": "lathe-licence+jws", "jwk": {"kty": "OKP"}},
        {"alg": "EdDSA", "kid": ["l1"], "typ": "lathe-licence+jws"},
        [],
        "l1",
        None,
    ],
)
def test_no_header_but_the_one_is_taken(header: object) -> None:
    _, payload, signature = signed().split(".")
    text = encode_bytes(json.dumps(header, separators=(",", ":")).encode())
    for last in (signature, "", encode_bytes(bytes(64))):
        refuse(f"{text}.{payload}.{last}")


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "é.é.é", "e30.e30.", "e30.e30.e30.e30"])
def test_what_is_no_licence_is_refused_alike(text: str) -> None:
    refuse(text)


def test_another_plants_licence_is_refused() -> None:
    stranger = LicenceSigner(KeyRing(first_kid="l1", keys={"l1": bytes(32)}))
    refuse(stranger.sign(TERMS, public_of(OWN), [LICENSED]))
    refuse(signed(), {})


def test_an_older_key_of_the_ring_is_still_pinned() -> None:
    ring = KeyRing(first_kid="l2", keys={"l2": b"\5" * 32, "l1": RING.keys["l1"]})
    assert open_licence(signed(), LicenceSigner(ring).public_keys()).terms == TERMS


@given(at=st.integers(0, 100_000), by=st.integers(1, 127))
def test_no_character_of_it_may_differ(at: int, by: int) -> None:
    text = list(VECTORS["licence"]["licence"])
    text[at % len(text)] = chr(ord(text[at % len(text)]) ^ by)
    refuse("".join(text))


def test_the_log_has_what_the_answer_hides(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        refuse(altered(exp=4_000_000_000))
    reasons = [vars(each)["reason"] for each in caplog.records]
    assert reasons == ["it is no licence that a pinned key signed"]

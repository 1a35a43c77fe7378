import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalogue.errors import UrlExpired, UrlUntrusted
from catalogue.licensing import Grant
from catalogue.nouns import RenditionId, TrackId
from protection.keyring import KeyRing, parse_ring
from protection.signing import UrlSigner
from tests.contract.examples import make_grant
from tests.vectors.make import make_vectors

FILE = Path(__file__).parents[1] / "vectors" / "url-signatures.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
CASES: list[dict[str, Any]] = VECTORS["cases"]
RING = parse_ring(" ".join(VECTORS["ring"]), "LATHE_URL_KEYS")
FIRST = CASES[0]

Parts = tuple[str, TrackId, RenditionId]


def parts_of(case: dict[str, Any]) -> Parts:
    """Return the parts of a signed prefix, as the origin takes it apart."""
    _, s, token, track, rendition, end = case["prefix"].split("/")
    assert (s, end) == ("s", "")
    return token, TrackId(track), RenditionId(rendition)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def grant_of(case: dict[str, Any]) -> Grant:
    return make_grant(
        case["rendition"],
        track=case["track"],
        session=case["session"],
        expires_at=at(case["expires"]),
    )


def signer_of(kid: str) -> UrlSigner:
    """Return a signer that signs with one key of the ring and verifies with all."""
    return UrlSigner(replace(RING, first_kid=kid))


def test_the_vectors_are_what_an_independent_hmac_gives() -> None:
    assert make_vectors() == VECTORS


def test_what_was_not_granted_is_not_signed() -> None:
    with pytest.raises(ValueError, match="not among those granted"):
        signer_of(FIRST["kid"]).sign(grant_of(FIRST), RenditionId("alac-other"))


@pytest.mark.parametrize("case", CASES)
def test_a_vector_is_signed_to_the_letter(case: dict[str, Any]) -> None:
    signed = signer_of(case["kid"]).sign(grant_of(case), RenditionId(case["rendition"]))
    assert signed == case["prefix"]


@pytest.mark.parametrize("case", CASES)
def test_a_vector_verifies_until_it_expires(case: dict[str, Any]) -> None:
    signer, parts, expires = UrlSigner(RING), parts_of(case), case["expires"]
    signer.verify(*parts, at(expires - 1))
    signer.verify(*parts, at(expires) - timedelta(microseconds=1))
    for late in (expires, expires + 1, expires + 10**6):
        with pytest.raises(UrlExpired) as caught:
            signer.verify(*parts, at(late))
        assert caught.value.measured == {"expired_at": expires, "track": case["track"]}


def altered(token: str, place: int, word: str) -> str:
    words = token.split(".")
    words[place] = word
    return ".".join(words)


TOKEN = parts_of(FIRST)[0]
SIGNATURE = str(FIRST["signature"])
BAD_TOKENS = [
    "",
    ".",
    "...",
    TOKEN + "x",
    TOKEN + "\n",
    TOKEN + "=",
    " " + TOKEN,
    TOKEN[:-1],
    altered(TOKEN, 0, "1893456001"),
    altered(TOKEN, 0, "01893456000"),
    altered(TOKEN, 0, "+893456000"),
    altered(TOKEN, 0, "१८९३४५६०००"),
    altered(TOKEN, 1, "k2"),
    altered(TOKEN, 1, "K1"),
    altered(TOKEN, 1, "0"),
    altered(TOKEN, 1, ""),
    altered(TOKEN, 2, "anon2"),
    altered(TOKEN, 2, "anon\n"),
    altered(TOKEN, 2, ""),
    altered(TOKEN, 3, SIGNATURE.swapcase()),
    altered(TOKEN, 3, "A" * 43),
    altered(TOKEN, 3, str(CASES[1]["signature"])),
    altered(TOKEN, 3, "\udcff" * 43),
]


@pytest.mark.parametrize("token", BAD_TOKENS)
def test_an_altered_token_is_untrusted(token: str) -> None:
    _, track, rendition = parts_of(FIRST)
    with pytest.raises(UrlUntrusted):
        UrlSigner(RING).verify(token, track, rendition, at(FIRST["expires"] - 1))


@pytest.mark.parametrize(
    ("track", "rendition"),
    [
        (FIRST["track"], CASES[1]["rendition"]),
        (CASES[3]["track"], FIRST["rendition"]),
        (FIRST["track"] + "/", FIRST["rendition"]),
        (FIRST["track"], FIRST["rendition"] + "\n"),
        ("", ""),
        ("\udcff", FIRST["rendition"]),
    ],
)
def test_a_token_opens_no_other_path(track: str, rendition: str) -> None:
    with pytest.raises(UrlUntrusted):
        UrlSigner(RING).verify(
            TOKEN, TrackId(track), RenditionId(rendition), at(FIRST["expires"] - 1)
        )


def test_an_altered_token_is_untrusted_even_when_it_has_expired() -> None:
    token, track, rendition = parts_of(FIRST)
    with pytest.raises(UrlUntrusted):
        UrlSigner(RING).verify(altered(token, 2, "eve"), track, rendition, at(9_000_000_000))


def test_a_refusal_does_not_say_which_check_failed() -> None:
    _, track, rendition = parts_of(FIRST)
    said = set()
    for token in BAD_TOKENS:
        with pytest.raises(UrlUntrusted) as caught:
            UrlSigner(RING).verify(token, track, rendition, at(FIRST["expires"] - 1))
        said.add((caught.value.detail, *caught.value.measured.items()))
    assert len(said) == 1


def test_a_key_that_left_the_ring_opens_nothing() -> None:
    ring = KeyRing("0", {kid: key for kid, key in RING.keys.items() if kid != FIRST["kid"]})
    with pytest.raises(UrlUntrusted):
        UrlSigner(ring).verify(*parts_of(FIRST), at(FIRST["expires"] - 1))


def test_an_unknown_key_is_not_taken_for_one_of_zeros() -> None:
    zeros = KeyRing("zero", {"zero": b"\0" * 32})
    signed = UrlSigner(zeros).sign(grant_of(FIRST), RenditionId(FIRST["rendition"]))
    with pytest.raises(UrlUntrusted):
        UrlSigner(RING).verify(*parts_of({"prefix": signed}), at(FIRST["expires"] - 1))

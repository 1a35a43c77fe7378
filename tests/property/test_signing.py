import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from catalogue.errors import UrlExpired, UrlUntrusted
from catalogue.nouns import RenditionId, TrackId
from protection.keyring import KeyRing
from protection.signing import UrlSigner
from tests.contract.examples import make_grant

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIGNER = UrlSigner(KeyRing("k1", {"k1": bytes(range(32)), "k0": bytes(32), "2": b"\xff" * 32}))
ROUTE = re.compile(r"/s/([^/]+)/([^/]+)/([^/]+)/", re.DOTALL)

slugs = st.from_regex(r"[a-z0-9]{1,8}([_-][a-z0-9]{1,8}){0,3}", fullmatch=True)
sessions = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
texts = st.text(max_size=5) | st.text("0123456789abcdefABCDEF._-/%\n\0", max_size=5)
quiet = settings(derandomize=True, deadline=None, max_examples=150)


def sign(track: str, rendition: str, session: str, life: timedelta = timedelta(hours=1)) -> str:
    grant = make_grant(rendition, track=track, session=session, expires_at=NOW + life)
    return SIGNER.sign(grant, RenditionId(rendition))


def verify(prefix: str, now: datetime = NOW) -> None:
    """Verify as the origin does: the route takes the path apart, the signer decides."""
    parts = ROUTE.fullmatch(prefix)
    if parts is None:
        raise UrlUntrusted("No route leads there.")
    SIGNER.verify(parts[1], TrackId(parts[2]), RenditionId(parts[3]), now)


def is_untrusted(prefix: str) -> bool:
    """Return whether a prefix opens nothing, now and after its time."""
    for now in (NOW, NOW + timedelta(days=1)):
        try:
            verify(prefix, now)
        except UrlUntrusted:
            continue
        except UrlExpired:
            return False
        return False
    return True


@quiet
@given(slugs, slugs, sessions, st.integers(1, 10**6))
def test_what_was_signed_opens_until_it_expires(
    track: str, rendition: str, session: str, life_s: int
) -> None:
    life = timedelta(seconds=life_s)
    prefix = sign(track, rendition, session, life)
    verify(prefix, NOW)
    verify(prefix, NOW + life - timedelta(milliseconds=1))
    try:
        verify(prefix, NOW + life)
    except UrlExpired:
        return
    raise AssertionError("it opened after its time")


@quiet
@given(slugs, slugs, sessions, st.data())
def test_no_altered_url_opens_anything(
    track: str, rendition: str, session: str, data: st.DataObject
) -> None:
    prefix = sign(track, rendition, session)
    start = data.draw(st.integers(0, len(prefix)), label="start")
    end = data.draw(st.integers(start, min(len(prefix), start + 3)), label="end")
    altered = prefix[:start] + data.draw(texts, label="put in") + prefix[end:]
    assume(altered != prefix)
    assert is_untrusted(altered)


@quiet
@given(slugs, slugs, sessions, st.data())
def test_no_flipped_bit_of_a_url_opens_anything(
    track: str, rendition: str, session: str, data: st.DataObject
) -> None:
    octets = bytearray(sign(track, rendition, session).encode())
    place = data.draw(st.integers(0, len(octets) * 8 - 1), label="bit")
    octets[place // 8] ^= 1 << place % 8
    assert is_untrusted(octets.decode("utf-8", "surrogateescape"))


@quiet
@given(st.lists(st.tuples(slugs, slugs, sessions), min_size=2, max_size=2, unique=True), st.data())
def test_no_parts_of_two_urls_open_a_third(
    signed: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    urls = [re.split("([./])", sign(*parts)) for parts in signed]
    assert len(urls[0]) == len(urls[1])
    mixed = [data.draw(st.sampled_from(pair)) for pair in zip(*urls, strict=True)]
    assume(mixed not in urls)
    assert is_untrusted("".join(mixed))


@quiet
@given(st.text(max_size=120), st.text(max_size=20), st.text(max_size=20))
def test_no_made_up_token_opens_anything(token: str, track: str, rendition: str) -> None:
    try:
        SIGNER.verify(token, TrackId(unquote(track)), RenditionId(rendition), NOW)
    except UrlUntrusted:
        return
    raise AssertionError("it opened")

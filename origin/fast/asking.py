"""What players ask for, where that is written plainly; the framework makes sense of the rest."""

from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.types import Scope

from catalogue.licensing import Wish
from catalogue.people import Network
from origin.fast.http import names, read_headers
from origin.remembered import Remembered
from origin.services import TERRITORY_HEADER
from origin.tracks import CODECS_MAX, FACES, QualityName, parse_wish

PREFIX = "/v1/tracks/"

TERRITORY, FORWARDED = TERRITORY_HEADER.encode("ascii"), b"x-forwarded-for"
_PREFERRED, _NETWORK = b"x-preferred-quality", b"x-network-type"
_WANTED = names(
    [
        "Authorization",
        "X-Preferred-Quality",
        "X-Network-Type",
        "Accept-Encoding",
        TERRITORY_HEADER,
        "X-Forwarded-For",
    ]
)
_WISHES = 1024


class Asked(NamedTuple):
    """A request for a face of a manifest; ``headers`` are those that matter."""

    track_id: str
    face: str
    wish: Wish
    peer: str
    headers: dict[bytes, bytes]

    @property
    def takes_gzip(self) -> bool:
        """Whether the answer may be packed."""
        return b"gzip" in self.headers.get(b"accept-encoding", b"")


class Reader:
    """Reads requests, and remembers the wishes that are made most."""

    def __init__(self) -> None:
        self._wishes: Remembered[tuple[bytes | None, ...], Wish] = Remembered(_WISHES)

    def read(self, scope: Scope) -> Asked | None:
        """Return what is asked for below ``/v1/tracks/``, None if that is not written plainly."""
        track_id, _, face = scope["path"][len(PREFIX) :].partition("/")
        headers = read_headers(scope, _WANTED)
        if not track_id or face not in FACES or headers is None:
            return None
        # An empty header is not the same as none.
        key = scope["query_string"], headers.get(_PREFERRED), headers.get(_NETWORK)
        wish = self._wishes.get(key)
        if wish is None:
            wish = _parse_wish(scope["query_string"], headers)
            if wish is None:
                return None
            self._wishes.put(key, wish)
        peer = scope["client"][0] if scope["client"] else ""
        return Asked(track_id, face, wish, peer, headers)


def _parse_wish(query: bytes, asked: dict[bytes, bytes]) -> Wish | None:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    said = dict(pairs)
    if len(said) < len(pairs) or len(said.get("codecs", "")) > CODECS_MAX:
        return None
    quality, network = said.get("quality"), said.get("network")
    preferred, connected = asked.get(_PREFERRED), asked.get(_NETWORK)
    try:
        # Each is looked at, as the plain way does, though one of two goes before the other.
        qualities = [QualityName(each) for each in _said(quality, preferred)]
        networks = [Network(each) for each in _said(network, connected)]
        return parse_wish(
            said.get("codecs", ""),
            qualities[0] if qualities else None,
            networks[0] if networks else None,
        )
    except ValueError:
        return None


def _said(query: str | None, header: bytes | None) -> list[str]:
    """Return what was said, in the query first."""
    told = None if header is None else header.decode("latin-1")
    return [each for each in (query, told) if each is not None]

"""What labels say of what they deliver: its form, and everything that is wrong with it at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from catalogue.errors import Fault, InvalidInput, LatheError, MetadataInvalid
from catalogue.identifiers import WORLDWIDE, parse_home, parse_isrc, parse_territory
from catalogue.licensing import Deal, resolve_deals
from catalogue.nouns import (
    AlbumDetails,
    AlbumSaid,
    Credit,
    CreditRole,
    Metadata,
    Right,
    TrackDetails,
    Use,
    Window,
    WorkQueue,
)
from origin.tracks import QualityName

_TERRITORIES_MAX, _DEALS_MAX, _TRACKS_MAX, _CREDITS_MAX, _GENRES_MAX = 300, 100, 500, 100, 20

Text = Annotated[str, Field(min_length=1, max_length=500)]
Isrc = Annotated[
    str, Field(max_length=40, examples=["ZZLTH2600001"], description="ISO 3901, hyphens or none")
]
Upc = Annotated[str, Field(pattern=r"^[0-9]{12,14}$", description="UPC or EAN")]
_Said = TypeVar("_Said", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)


class DealSaid(_Strict):
    """Where, when, for what and how well a recording may be heard."""

    territories: list[str] = Field(
        min_length=1,
        max_length=_TERRITORIES_MAX,
        examples=[["Worldwide"], ["US", "CA"]],
        description="ISO 3166-1 alpha-2 codes, or Worldwide",
    )
    excluded: list[str] = Field(
        default_factory=list, max_length=_TERRITORIES_MAX, description="not in these of Worldwide"
    )
    starts_at: AwareDatetime | None = Field(default=None, description="null: since ever")
    ends_at: AwareDatetime | None = Field(default=None, description="null: for ever")
    uses: list[Use] = Field(default_factory=lambda: list(Use), min_length=1, strict=False)
    max_quality: QualityName | None = Field(default=None, strict=False)


Deals = Annotated[
    list[DealSaid],
    Field(
        min_length=1,
        max_length=_DEALS_MAX,
        description="where more than one holds, the track may be heard as the best of them says",
    ),
]
Queue = Annotated[
    Literal[WorkQueue.URGENT, WorkQueue.BULK],
    Field(description="bulk for a back catalogue, which others go before"),
]


class AlbumMetadata(_Strict):
    """The album that a recording is on; ``upc`` is the label's own name for it."""

    upc: Upc
    title: Text
    disc: int = Field(default=1, ge=1, le=999)
    number: int = Field(ge=1, le=9999, description="on its disc")


class DeliveryMetadata(_Strict):
    """What a label says of the one recording that it delivers with it."""

    title: Text
    artist: Text
    isrc: Isrc
    album: AlbumMetadata | None = None
    rights: Deals
    queue: Queue = WorkQueue.URGENT


class CreditSaid(_Strict):
    """Who did what."""

    name: Text
    role: CreditRole = Field(default=CreditRole.MAIN, strict=False)


Credits = Annotated[list[CreditSaid], Field(max_length=_CREDITS_MAX)]
Genres = Annotated[list[Text], Field(max_length=_GENRES_MAX)]


class ReleaseSaid(_Strict):
    """The release that all tracks of a delivery are on."""

    upc: Upc
    title: Text
    artists: Credits = Field(default_factory=list)
    genres: Genres = Field(default_factory=list)
    released_on: date | None = None
    imprint: str = Field(default="", max_length=500, description="the label as it stands on it")


class TrackSaid(_Strict):
    """A recording. Without an upload, what is said of one delivered before is changed."""

    isrc: Isrc
    title: Text
    artists: Credits = Field(min_length=1)
    artist: Text | None = Field(
        default=None, description="as it is shown; null: the main artists, and who is featured"
    )
    disc: int = Field(default=1, ge=1, le=999)
    number: int | None = Field(default=None, ge=1, le=9999, description="on its disc")
    explicit: bool | None = None
    genres: Genres = Field(default_factory=list)
    upload: str | None = Field(
        default=None, max_length=60, description="the id of the upload that is its master"
    )
    rights: Deals | None = Field(default=None, description="null: those of the delivery")


class DeliveryDocument(_Strict):
    """What a label delivers in one call: a release, or recordings by themselves."""

    release: ReleaseSaid | None = None
    tracks: list[TrackSaid] = Field(min_length=1, max_length=_TRACKS_MAX)
    rights: Deals | None = Field(default=None, description="of every track without rights")
    queue: Queue = WorkQueue.URGENT


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A track of a delivery, as it is said: where, what, and which upload is its master."""

    pointer: str
    metadata: Metadata
    upload: str | None = None


@dataclass(slots=True)
class Findings:
    """What is wrong with a delivery, and what is odd, each with a JSON pointer."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def note(self, pointer: str, fault: LatheError) -> None:
        """Note a fault at ``pointer``."""
        self.faults.append(
            Fault(pointer=pointer, code=fault.code, detail=fault.detail, advice=fault.advice)
        )

    def object_to(self, pointer: str, detail: str) -> None:
        """Note at ``pointer`` what contradicts something else in the document."""
        self.note(pointer, MetadataInvalid(detail))

    def require_none(self) -> None:
        """Raise MetadataInvalid with all faults, if there are any."""
        if self.faults:
            raise _invalid(self.faults)


def read_metadata(text: bytes) -> tuple[Draft, Queue]:
    """Return what is said of one recording, and where it waits. Raises MetadataInvalid."""
    said, findings = _parse(DeliveryMetadata, text), Findings()
    album = None if said.album is None else AlbumSaid(**said.album.model_dump())
    isrc = _read_isrc(findings, "/isrc", said.isrc)
    rights = _read_deals(findings, "/rights", said.rights)
    findings.require_none()
    metadata = Metadata(title=said.title, artist=said.artist, isrc=isrc, rights=rights, album=album)
    return Draft(pointer="", metadata=metadata), said.queue


def read_document(text: bytes) -> tuple[list[Draft], Queue, Findings]:
    """Return the tracks of a delivery, where they wait, and what is wrong or odd with them.

    Raises MetadataInvalid where the document has not the form of one.
    """
    said, findings = _parse(DeliveryDocument, text), Findings()
    _warn_of_upc(findings, said.release)
    _require_different(findings, said)
    common: tuple[Right, ...] | None = None
    if said.rights is not None:
        common = _read_deals(findings, "/rights", said.rights)
    drafts = []
    for place, track in enumerate(said.tracks):
        pointer = f"/tracks/{place}"
        rights = common
        if track.rights is not None:
            rights = _read_deals(findings, f"{pointer}/rights", track.rights)
        elif common is None:
            findings.object_to(pointer, "neither it nor the delivery has rights.")
        drafts.append(_draft(findings, pointer, said.release, track, rights or ()))
    return drafts, said.queue, findings


def _draft(
    findings: Findings,
    pointer: str,
    release: ReleaseSaid | None,
    said: TrackSaid,
    rights: tuple[Right, ...],
) -> Draft:
    credited = _credits(said.artists)
    if not any(each.role is CreditRole.MAIN for each in credited):
        findings.object_to(f"{pointer}/artists", "nobody of them is a main artist.")
    metadata = Metadata(
        title=said.title,
        artist=said.artist or show_artists(credited),
        isrc=_read_isrc(findings, f"{pointer}/isrc", said.isrc),
        rights=rights,
        album=None if release is None else _album(release, said),
        details=TrackDetails(credits=credited, genres=tuple(said.genres), explicit=said.explicit),
    )
    return Draft(pointer=pointer, metadata=metadata, upload=said.upload)


def _album(release: ReleaseSaid, said: TrackSaid) -> AlbumSaid:
    released_on = None if release.released_on is None else release.released_on.isoformat()
    return AlbumSaid(
        upc=release.upc,
        title=release.title,
        disc=said.disc,
        number=said.number or 0,
        details=AlbumDetails(
            credits=_credits(release.artists),
            genres=tuple(release.genres),
            released_on=released_on,
            imprint=release.imprint,
        ),
    )


def _credits(said: Sequence[CreditSaid]) -> tuple[Credit, ...]:
    return tuple(Credit(name=each.name, role=each.role) for each in said)


def _require_different(findings: Findings, said: DeliveryDocument) -> None:
    """Note tracks that cannot be told apart, or stand at one place of the release."""
    seen: dict[tuple[str, object], str] = {}
    for place, track in enumerate(said.tracks):
        pointer = f"/tracks/{place}"
        named: list[tuple[str, str, object]] = [
            ("isrc", "isrc", track.isrc.upper().replace("-", ""))
        ]
        if track.upload is not None:
            named.append(("upload", "upload", track.upload))
        if said.release is not None and track.number is None:
            findings.object_to(f"{pointer}/number", "a track of a release has a number.")
        elif said.release is not None:
            named.append(("number", "place", (track.disc, track.number)))
        for member, kind, value in named:
            before = seen.setdefault((kind, value), f"{pointer}/{member}")
            if before != f"{pointer}/{member}":
                findings.object_to(f"{pointer}/{member}", f"it is that of {before}.")


def _warn_of_upc(findings: Findings, release: ReleaseSaid | None) -> None:
    if release is not None and not has_check_digit(release.upc):
        findings.warnings.append(("/release/upc", "Its check digit is not right."))


def show_artists(credited: Sequence[Credit]) -> str:
    """Return the artists of a recording as they are shown: the main ones, and who is featured."""
    main = [each.name for each in credited if each.role is CreditRole.MAIN]
    featured = [each.name for each in credited if each.role is CreditRole.FEATURED]
    shown = ", ".join(main) + (f" feat. {', '.join(featured)}" if featured else "")
    return shown[:500]


def has_check_digit(upc: str) -> bool:
    """Return whether the last digit of a UPC or EAN is its check digit.

    Source: GS1 General Specifications, 7.9.
    """
    weighed = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(upc[::-1]))
    return weighed % 10 == 0


def _read_isrc(findings: Findings, pointer: str, said: str) -> str:
    try:
        return parse_isrc(said)
    except InvalidInput as fault:
        findings.note(pointer, fault)
        return said


def _read_deals(findings: Findings, pointer: str, said: Sequence[DealSaid]) -> tuple[Right, ...]:
    before = len(findings.faults)
    deals = [_read_deal(findings, f"{pointer}/{place}", deal) for place, deal in enumerate(said)]
    return resolve_deals(deals) if len(findings.faults) == before else ()


def _read_deal(findings: Findings, pointer: str, said: DealSaid) -> Deal:
    territories: set[str] = set()
    for place, code in enumerate(said.territories):
        try:
            territories.add(parse_territory(code))
        except InvalidInput as fault:
            findings.note(f"{pointer}/territories/{place}", fault)
    excluded: set[str] = set()
    for place, code in enumerate(said.excluded):
        try:
            excluded.add(parse_home(code))
        except InvalidInput as fault:
            findings.note(f"{pointer}/excluded/{place}", fault)
    if excluded and territories != {WORLDWIDE}:
        findings.object_to(f"{pointer}/excluded", "only Worldwide can leave something out.")
    if said.starts_at and said.ends_at and said.ends_at <= said.starts_at:
        findings.object_to(f"{pointer}/ends_at", "it lies before the begin.")
    window = Window(
        starts_at=said.starts_at,
        ends_at=said.ends_at,
        uses=tuple(use for use in Use if use in said.uses),
        max_quality=None if said.max_quality is None else said.max_quality.quality,
    )
    return Deal(territories=frozenset(territories), excluded=frozenset(excluded), window=window)


def _parse(kind: type[_Said], text: bytes) -> _Said:
    try:
        return kind.model_validate_json(text)
    except ValidationError as fault:
        raise _invalid(list(_explain(fault))) from fault


def _explain(fault: ValidationError) -> Iterator[Fault]:
    for each in fault.errors(include_url=False, include_input=False, include_context=False):
        yield Fault(
            pointer="".join(f"/{_escape(part)}" for part in each["loc"]),
            code=MetadataInvalid.code,
            detail=f"{each['msg']}.",
            advice="Compare it with the OpenAPI document at /openapi.json.",
        )


def _escape(part: Any) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _invalid(faults: Sequence[Fault]) -> MetadataInvalid:
    first, more = faults[0], len(faults) - 1
    beside = f" And {more} more." if more else ""
    invalid = MetadataInvalid(
        f"{first.pointer or '/'}: {first.detail}{beside}", pointer=first.pointer or "/"
    )
    invalid.faults = tuple(faults)
    return invalid

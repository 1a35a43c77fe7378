"""Messages of DDEX ERN to test with, written from the structure of the standard's versions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

ICPN = "4006381333931"
VERSIONS = ("382", "41", "42", "43")


@dataclass(frozen=True, kw_only=True)
class Song:
    """A recording of a message, and its file if the message brings one."""

    isrc: str
    title: str
    file: str | None = None
    hash: tuple[str, str] | None = None
    artist: str = "The Players"
    featured: str = ""
    composer: str = "J. S. Bach"
    warning: str = "NotExplicit"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """A deal; ``about`` are releases: R0 is the main one, R1 that of the first song."""

    about: Sequence[str] = ("R0",)
    territories: Sequence[str] = ("Worldwide",)
    excluded: Sequence[str] = ()
    uses: Sequence[str] = ("OnDemandStream", "ConditionalDownload")
    start: str | None = "2020-01-01"
    end: str | None = None
    takedown: bool = False


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a message says."""

    version: str = "43"
    id: str = "MSG-1"
    created: str = "2026-11-01T12:00:00Z"
    songs: Sequence[Song] = ()
    deals: Sequence[Terms] = (Terms(),)
    icpn: str = ICPN
    title: str = "Three Pieces"
    places: Sequence[str] | None = None
    sender: str = "A Label & Sons"
    update: bool = False
    purged: Sequence[str] = field(default_factory=list)

    def xml(self) -> bytes:
        """Return it as it is sent."""
        old = self.version == "382"
        body = _purge(self) if self.purged else (_release_382(self) if old else _release_4(self))
        kind = "PurgeReleaseMessage" if self.purged else "NewReleaseMessage"
        name = f'xmlns:ern="http://ddex.net/xml/ern/{self.version}"'
        version = f' MessageSchemaVersionId="ern/{self.version}"' if old else ""
        header = (
            f"<MessageHeader><MessageThreadId>T-1</MessageThreadId>"
            f"<MessageId>{self.id}</MessageId>"
            f"<MessageSender><PartyId>PADPIDA2026000001X</PartyId>"
            f"<PartyName><FullName>{escape(self.sender)}</FullName></PartyName></MessageSender>"
            f"<MessageRecipient><PartyId>PADPIDA2026000002X</PartyId></MessageRecipient>"
            f"<MessageCreatedDateTime>{self.created}</MessageCreatedDateTime></MessageHeader>"
        )
        text = f"<ern:{kind} {name}{version}>{header}{body}</ern:{kind}>"
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def _purge(said: Message) -> str:
    ids = "".join(
        f"<PurgedRelease><ReleaseId><{_id(each)}>{each}</{_id(each)}></ReleaseId></PurgedRelease>"
        for each in said.purged
    )
    return ids


def _id(text: str) -> str:
    return "ICPN" if text.isdigit() else "ISRC"


def _places(said: Message) -> list[str]:
    return list(said.places) if said.places is not None else [f"A{n}" for n in _numbers(said)]


def _numbers(said: Message) -> range:
    return range(1, len(said.songs) + 1)


def _group(said: Message) -> str:
    items = "".join(
        f"<ResourceGroupContentItem><SequenceNumber>{number}</SequenceNumber>"
        f"<ResourceType>SoundRecording</ResourceType>"
        f"<ReleaseResourceReference>{reference}</ReleaseResourceReference>"
        f"</ResourceGroupContentItem>"
        for number, reference in enumerate(_places(said), 1)
    )
    inner = f"<ResourceGroup><SequenceNumber>1</SequenceNumber>{items}</ResourceGroup>"
    return f"<ResourceGroup>{inner}</ResourceGroup>"


def _hash_382(song: Song) -> str:
    if song.hash is None:
        return ""
    algorithm, digest = song.hash
    kind = f"<HashSumAlgorithmType>{algorithm}</HashSumAlgorithmType>"
    return f"<HashSum><HashSum>{digest}</HashSum>{kind}</HashSum>"


def _release_382(said: Message) -> str:
    recordings, releases = [], []
    for number, song in enumerate(said.songs, 1):
        technical = ""
        if song.file is not None:
            folder, _, name = song.file.rpartition("/")
            path = f"<FilePath>{escape(folder)}/</FilePath>" if folder else ""
            technical = (
                f"<TechnicalSoundRecordingDetails>"
                f"<TechnicalResourceDetailsReference>T{number}</TechnicalResourceDetailsReference>"
                f"<File><FileName>{escape(name)}</FileName>{path}{_hash_382(song)}</File>"
                f"</TechnicalSoundRecordingDetails>"
            )
        recordings.append(
            f"<SoundRecording><SoundRecordingType>MusicalWorkSoundRecording</SoundRecordingType>"
            f"<SoundRecordingId><ISRC>{song.isrc}</ISRC></SoundRecordingId>"
            f"<ResourceReference>A{number}</ResourceReference>"
            f"<ReferenceTitle><TitleText>{escape(song.title)}</TitleText></ReferenceTitle>"
            f"<SoundRecordingDetailsByTerritory><TerritoryCode>Worldwide</TerritoryCode>"
            f"{_artist_382(song.artist, 'MainArtist')}"
            f"{_artist_382(song.featured, 'FeaturedArtist')}"
            f"<ResourceContributor><PartyName><FullName>{escape(song.composer)}</FullName>"
            f"</PartyName><ResourceContributorRole>Composer</ResourceContributorRole>"
            f"</ResourceContributor><Genre><GenreText>Baroque</GenreText></Genre>"
            f"<ParentalWarningType>{song.warning}</ParentalWarningType>{technical}"
            f"</SoundRecordingDetailsByTerritory></SoundRecording>"
        )
        releases.append(
            f"<Release><ReleaseId><ISRC>{song.isrc}</ISRC></ReleaseId>"
            f"<ReleaseReference>R{number}</ReleaseReference>"
            f"<ReferenceTitle><TitleText>{escape(song.title)}</TitleText></ReferenceTitle>"
            f"<ReleaseResourceReferenceList><ReleaseResourceReference>A{number}"
            f"</ReleaseResourceReference></ReleaseResourceReferenceList>"
            f"<ReleaseType>TrackRelease</ReleaseType></Release>"
        )
    main = (
        f'<Release IsMainRelease="true"><ReleaseId><ICPN>{said.icpn}</ICPN></ReleaseId>'
        f"<ReleaseReference>R0</ReleaseReference>"
        f"<ReferenceTitle><TitleText>{escape(said.title)}</TitleText></ReferenceTitle>"
        f"<ReleaseType>Album</ReleaseType>"
        f"<ReleaseDetailsByTerritory><TerritoryCode>Worldwide</TerritoryCode>"
        f"<LabelName>Test Records</LabelName>{_artist_382('The Players', 'MainArtist')}"
        f"{_group(said)}<Genre><GenreText>Classical</GenreText></Genre>"
        f"<OriginalReleaseDate>2026-11-20</OriginalReleaseDate>"
        f"</ReleaseDetailsByTerritory></Release>"
    )
    deals = "".join(
        f"<ReleaseDeal>{_about(deal)}<Deal><DealTerms>"
        f"<CommercialModelType>SubscriptionModel</CommercialModelType>"
        f"<Usage>{_uses(deal)}</Usage>{_where(deal)}{_when(deal)}"
        f"{'<TakeDown>true</TakeDown>' if deal.takedown else ''}</DealTerms></Deal></ReleaseDeal>"
        for deal in said.deals
    )
    kind = "UpdateMessage" if said.update else "OriginalMessage"
    return (
        f"<UpdateIndicator>{kind}</UpdateIndicator>"
        f"<ResourceList>{''.join(recordings)}</ResourceList>"
        f"<ReleaseList>{main}{''.join(releases)}</ReleaseList><DealList>{deals}</DealList>"
    )


def _artist_382(name: str, role: str) -> str:
    if not name:
        return ""
    named = f"<PartyName><FullName>{escape(name)}</FullName></PartyName>"
    return f"<DisplayArtist>{named}<ArtistRole>{role}</ArtistRole></DisplayArtist>"


def _release_4(said: Message) -> str:
    names = dict.fromkeys(
        name for song in said.songs for name in (song.artist, song.featured, song.composer) if name
    )
    parties = {name: f"P{number}" for number, name in enumerate(["Test Records", *names], 1)}
    people = "".join(
        f"<Party><PartyReference>{reference}</PartyReference>"
        f"<PartyName><FullName>{escape(name)}</FullName></PartyName></Party>"
        for name, reference in parties.items()
    )
    recordings, releases = [], []
    for number, song in enumerate(said.songs, 1):
        technical = ""
        if song.file is not None:
            hashed = ""
            if song.hash is not None:
                algorithm, digest = song.hash
                hashed = (
                    f"<HashSum><Algorithm>{algorithm}</Algorithm>"
                    f"<HashSumValue>{digest}</HashSumValue></HashSum>"
                )
            file = f"<File><URI>{escape(song.file)}</URI>{hashed}</File>"
            if said.version != "41":
                file = f"<DeliveryFile><Type>AudioFile</Type>{file}</DeliveryFile>"
            technical = (
                f"<TechnicalDetails>"
                f"<TechnicalResourceDetailsReference>T{number}</TechnicalResourceDetailsReference>"
                f"{file}</TechnicalDetails>"
            )
        named = f"<ResourceId><ISRC>{song.isrc}</ISRC></ResourceId>"
        if said.version == "43":
            named = f"<SoundRecordingEdition>{named}{technical}</SoundRecordingEdition>"
            technical = ""
        recordings.append(
            f"<SoundRecording><ResourceReference>A{number}</ResourceReference>"
            f"<Type>MusicalWorkSoundRecording</Type>{named}"
            f"<DisplayTitleText>{escape(song.title)}</DisplayTitleText>"
            f"{_artist_4(parties, song.artist, 'MainArtist')}"
            f"{_artist_4(parties, song.featured, 'FeaturedArtist')}"
            f"<Contributor><ContributorPartyReference>{parties[song.composer]}"
            f"</ContributorPartyReference><Role>Composer</Role></Contributor>"
            f"<Genre><GenreText>Baroque</GenreText></Genre>"
            f"<ParentalWarningType>{song.warning}</ParentalWarningType>{technical}</SoundRecording>"
        )
        releases.append(
            f"<TrackRelease><ReleaseReference>R{number}</ReleaseReference>"
            f"<ReleaseId><ISRC>{song.isrc}</ISRC></ReleaseId>"
            f"<ReleaseResourceReference>A{number}</ReleaseResourceReference>"
            f"</TrackRelease>"
        )
    main = (
        f"<Release><ReleaseReference>R0</ReleaseReference><ReleaseType>Album</ReleaseType>"
        f"<ReleaseId><ICPN>{said.icpn}</ICPN></ReleaseId>"
        f"<DisplayTitleText>{escape(said.title)}</DisplayTitleText>"
        f"{_artist_4(parties, 'The Players', 'MainArtist')}"
        f"<ReleaseLabelReference>P1</ReleaseLabelReference>"
        f"<Genre><GenreText>Classical</GenreText></Genre>"
        f"<OriginalReleaseDate>2026-11-20</OriginalReleaseDate>{_group(said)}</Release>"
    )
    deals = "".join(
        f"<ReleaseDeal>{_about(deal)}<Deal><DealTerms>{_where(deal)}{_when(deal)}"
        f"<CommercialModelType>SubscriptionModel</CommercialModelType>{_uses(deal)}"
        f"</DealTerms></Deal></ReleaseDeal>"
        for deal in said.deals
    )
    return (
        f"<PartyList>{people}</PartyList><ResourceList>{''.join(recordings)}</ResourceList>"
        f"<ReleaseList>{main}{''.join(releases)}</ReleaseList><DealList>{deals}</DealList>"
    )


def _artist_4(parties: dict[str, str], name: str, role: str) -> str:
    if not name or name not in parties:
        return ""
    named = f"<ArtistPartyReference>{parties[name]}</ArtistPartyReference>"
    return f"<DisplayArtist>{named}<DisplayArtistRole>{role}</DisplayArtistRole></DisplayArtist>"


def _about(deal: Terms) -> str:
    return "".join(f"<DealReleaseReference>{each}</DealReleaseReference>" for each in deal.about)


def _uses(deal: Terms) -> str:
    return "".join(f"<UseType>{each}</UseType>" for each in deal.uses)


def _where(deal: Terms) -> str:
    if deal.excluded:
        return "".join(
            f"<ExcludedTerritoryCode>{each}</ExcludedTerritoryCode>" for each in deal.excluded
        )
    return "".join(f"<TerritoryCode>{each}</TerritoryCode>" for each in deal.territories)


def _when(deal: Terms) -> str:
    def moment(name: str, said: str | None) -> str:
        if said is None:
            return ""
        kind = f"{name}DateTime" if "T" in said else f"{name}Date"
        return f"<{kind}>{said}</{kind}>"

    return (
        f"<ValidityPeriod>{moment('Start', deal.start)}{moment('End', deal.end)}</ValidityPeriod>"
    )

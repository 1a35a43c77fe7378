"""What the origin needs of other rooms, handed to it by the composition root."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from catalogue.auditing import Audits
from catalogue.messages import Messages
from catalogue.offline import ContentKeys, Devices, Downloads, Policies
from catalogue.people import Plan
from catalogue.people_port import Accounts, Limits, Playbacks, Sessions
from catalogue.port import Atlas, Cards, Desk, Jobs, Keys, Shipments, Tracks
from catalogue.quality import QualityReports
from catalogue.replies import Replies
from catalogue.sleeves import Sleeves
from catalogue.webhooks import Webhooks
from origin.measures import OriginMeasures
from origin.renditions import PublishedRenditions
from origin.senders import Senders
from origin.shelf import Shelf
from origin.throttle import Throttle
from protection.content_keys import KeyWrapper
from protection.cpix import Partner
from protection.licences import LicenceSigner
from protection.signing import UrlSigner
from storage.port import ObjectStore
from workers.intake import Intake
from workers.uploads import Receiver

TERRITORY_HEADER = "x-lathe-territory"


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The origin's parts.

    ``session_life`` is how long a session lasts after its last use, ``guests`` the plan of
    listeners who are not signed in (null: there are none). ``store`` takes what is delivered,
    ``shelf`` is where listeners read, and what is sent is taken in threads of ``senders``.
    ``open_atlas`` gives the atlas of a recipe of features. ``territory`` is where listeners are
    when no trusted edge says it (null: not known), and ``trusted_edges`` are the peers whose
    ``X-Lathe-Territory`` header is believed.
    """

    keys: Keys
    accounts: Accounts
    sessions: Sessions
    limits: Limits
    audits: Audits
    throttle: Throttle
    measures: OriginMeasures
    playbacks: Playbacks
    tracks: Tracks
    cards: Cards
    shipments: Shipments
    jobs: Jobs
    desk: Desk
    intake: Intake
    receiver: Receiver
    replies: Replies
    reports: QualityReports
    messages: Messages
    webhooks: Webhooks
    sleeves: Sleeves
    published: PublishedRenditions
    store: ObjectStore
    shelf: Shelf
    signer: UrlSigner
    devices: Devices
    content_keys: ContentKeys
    downloads: Downloads
    policies: Policies
    wrapper: KeyWrapper
    licences: LicenceSigner
    partners: Mapping[str, Partner]
    now: Callable[[], datetime]
    new_id: Callable[[str], str]
    session_life: timedelta
    guests: Plan | None
    territory: str | None
    trusted_edges: tuple[IPv4Network | IPv6Network, ...]
    max_master_bytes: int
    open_atlas: Callable[[str], Atlas]
    senders: Senders = field(default_factory=Senders)

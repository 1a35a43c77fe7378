"""The audit trail: who did what to whom, written when it is done and never changed.

Who does something here and now is known from the context that the work runs in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from catalogue.context import current

Detail = str | int | bool | None | list[str]

PLANT = "plant"
"""Who does what nobody asked for."""


class Deed(StrEnum):
    """What was done."""

    SIGNED_IN = "signed-in"
    SIGN_IN_REFUSED = "sign-in-refused"
    SIGNED_OUT = "signed-out"
    CREDENTIALS_SET = "credentials-set"
    ACCOUNT_MADE = "account-made"
    ACCOUNT_CHANGED = "account-changed"
    KEY_MADE = "key-made"
    KEY_REVOKED = "key-revoked"
    RIGHTS_SET = "rights-set"
    TAKEN_DOWN = "taken-down"
    RESTORED = "restored"
    DEVICE_REGISTERED = "device-registered"
    DEVICE_REVOKED = "device-revoked"
    DEVICE_CLONED = "device-cloned"
    POLICY_SET = "policy-set"
    KEYS_EXPORTED = "keys-exported"


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One thing that was done: when, by whom (and from where, by which request), and to what.

    ``subject`` is the id of an account, a key, a device or a track, or a label, or a partner; a
    failed sign-in's is the address that was tried, folded. No detail is ever a secret.
    """

    at: datetime
    deed: Deed
    subject: str
    actor: str
    address: str | None = None
    request_id: str | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)
    number: int = 0


def record(deed: Deed, subject: str, *, now: datetime, **details: Detail) -> Record:
    """Return the record of what is being done here and now."""
    context = current()
    return Record(
        at=now,
        deed=deed,
        subject=subject,
        actor=context.get("actor", PLANT),
        address=context.get("address"),
        request_id=context.get("request_id"),
        details=details,
    )


class Audits(Protocol):
    """The audit trail. What changes the catalogue itself is recorded with the change, or neither.

    Every adapter passes the same contract suite. Methods raise Unavailable when what keeps the
    trail is away.
    """

    def add(self, entry: Record) -> None:
        """Record what was done elsewhere; its number is given by the trail."""

    def page(
        self,
        *,
        after: int,
        limit: int,
        since: datetime | None = None,
        deed: Deed | None = None,
        subject: str | None = None,
        actor: str | None = None,
    ) -> list[Record]:
        """Return up to ``limit`` records with numbers above ``after``, in order."""


_DECISIVE = {Deed.ACCOUNT_CHANGED, Deed.RIGHTS_SET, Deed.TAKEN_DOWN, Deed.RESTORED}
_PAGE = 500


def decisions_since(moment: datetime, audits: Audits, subjects: Iterable[str]) -> list[Record]:
    """Return what was changed from a moment on of what decides who may hear what.

    ``subjects`` are ids of tracks and accounts. Raises Unavailable.
    """
    found: list[Record] = []
    for subject in subjects:
        after = 0
        while page := audits.page(after=after, limit=_PAGE, since=moment, subject=subject):
            found += [entry for entry in page if entry.deed in _DECISIVE]
            after = page[-1].number
    return sorted(found, key=lambda entry: entry.number)

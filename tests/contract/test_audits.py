"""Who did what: see catalogue.auditing.Audits."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from catalogue.auditing import PLANT, Deed, Record, record
from catalogue.context import bound
from catalogue.errors import AccountExists, AccountNotFound, CatalogueUnavailable
from catalogue.identifiers import WORLDWIDE
from catalogue.nouns import AccountId, JobId, Right, TrackId, Window
from catalogue.people import Plan
from catalogue.people_port import StoredAccount
from catalogue.port import StoredKey
from tests.contract.conftest import Catalogue
from tests.contract.examples import NOON, make_account, make_delivery, make_metadata

KEY = StoredKey(id="key1", label="the-label", secret_sha256="0" * 64, created_at=NOON)
LATER = NOON + timedelta(minutes=1)
NOBODY = AccountId("acc_nobody")
BY = {"actor": "operator:root", "address": "192.0.2.1", "request_id": "request-1"}


def trail(catalogue: Catalogue, **wanted: Any) -> list[Record]:
    return catalogue.audits.page(after=0, limit=100, **wanted)


def deeds(catalogue: Catalogue) -> list[tuple[Deed, str]]:
    return [(entry.deed, entry.subject) for entry in trail(catalogue)]


def test_what_is_done_is_recorded_with_who_did_it(catalogue: Catalogue) -> None:
    account = make_account()
    with bound(**BY):
        catalogue.accounts.add(StoredAccount(account=account, password="$argon2id$secret"))
        catalogue.accounts.change(account.id, now=LATER, plan=Plan.VOICE)
        catalogue.accounts.change(account.id, now=LATER, plan=Plan.VOICE)
        catalogue.accounts.set_password(account.id, "$argon2id$other", now=LATER)
        catalogue.accounts.renew_password(account.id, "$argon2id$other")
    catalogue.keys.add(KEY)
    catalogue.keys.remove(KEY.id, now=LATER)
    catalogue.keys.remove(KEY.id, now=LATER)
    assert deeds(catalogue) == [
        (Deed.ACCOUNT_MADE, account.id),
        (Deed.ACCOUNT_CHANGED, account.id),
        (Deed.CREDENTIALS_SET, account.id),
        (Deed.KEY_MADE, KEY.id),
        (Deed.KEY_REVOKED, KEY.id),
    ]
    found = trail(catalogue)
    assert [(each.actor, each.address, each.request_id) for each in found] == [
        *[tuple(BY.values())] * 3,
        *[(PLANT, None, None)] * 2,
    ]
    assert [each.at for each in found] == [account.created_at, LATER, LATER, NOON, LATER]
    assert found[1].details["plan"] == [account.plan, "voice"]
    assert "argon" not in str(found)
    assert KEY.secret_sha256 not in str(found)


def test_rights_and_takedowns_are_recorded_when_they_change(catalogue: Catalogue) -> None:
    def accept(number: int, *rights: Right) -> TrackId:
        metadata = replace(make_metadata(isrc="ZZTST2600001"), rights=rights)
        delivery = make_delivery(number)
        return catalogue.tracks.accept(delivery, metadata, JobId(f"job_{number}")).track_id

    everywhere, until = Right(territory=WORLDWIDE), Window(ends_at=LATER)
    track_id = accept(1, everywhere)
    accept(2, everywhere)
    accept(3, Right(territory="US", windows=(until,)), everywhere)
    catalogue.tracks.take_down(track_id, since=NOON, now=NOON)
    catalogue.tracks.take_down(track_id, since=None, now=LATER)
    found = trail(catalogue, subject=track_id)
    assert [each.deed for each in found] == [
        Deed.RIGHTS_SET,
        Deed.RIGHTS_SET,
        Deed.TAKEN_DOWN,
        Deed.RESTORED,
    ]
    assert found[0].details["before"] == []
    after = found[1].details["after"]
    assert isinstance(after, list)
    assert LATER.date().isoformat() in after[0]


def test_what_fails_is_not_recorded(catalogue: Catalogue) -> None:
    account = make_account()
    stored = StoredAccount(account=account, password="x")
    catalogue.accounts.add(stored)
    failing: list[tuple[type[Exception], Callable[[], object]]] = [
        (AccountExists, lambda: catalogue.accounts.add(stored)),
        (AccountNotFound, lambda: catalogue.accounts.set_password(NOBODY, "x", now=NOON)),
    ]
    for kind, do in failing:
        with pytest.raises(kind):
            do()
    assert deeds(catalogue) == [(Deed.ACCOUNT_MADE, account.id)]


def test_the_trail_is_read_in_pages_and_by_what_is_looked_for(catalogue: Catalogue) -> None:
    for number in range(5):
        with bound(actor=f"acc_{number % 2}"):
            deed = Deed.SIGNED_IN if number < 3 else Deed.SIGNED_OUT
            now = NOON + timedelta(minutes=number)
            catalogue.audits.add(record(deed, f"acc_{number % 2}", now=now, device="phone ♪"))
    found = trail(catalogue)
    numbers = [each.number for each in found]
    assert numbers == sorted(set(numbers))
    assert found[0].details == {"device": "phone ♪"}
    assert catalogue.audits.page(after=numbers[1], limit=2) == found[2:4]
    assert trail(catalogue, deed=Deed.SIGNED_OUT) == found[3:]
    assert trail(catalogue, subject="acc_1") == trail(catalogue, actor="acc_1") == found[1::2]
    assert trail(catalogue, since=NOON + timedelta(minutes=4)) == found[4:]


def test_a_trail_that_is_away_says_so(away_catalogue: Catalogue) -> None:
    audits = away_catalogue.audits
    with pytest.raises(CatalogueUnavailable):
        audits.add(record(Deed.SIGNED_IN, "acc_1", now=NOON))
    with pytest.raises(CatalogueUnavailable):
        audits.page(after=0, limit=1)

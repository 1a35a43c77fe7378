"""Who signs in: see catalogue.port.Accounts."""

from dataclasses import replace

import pytest

from catalogue.errors import AccountExists, AccountNotFound, CatalogueUnavailable
from catalogue.nouns import AccountId
from catalogue.people import Account, Plan, Role
from catalogue.people_port import StoredAccount
from tests.contract.conftest import Catalogue
from tests.contract.examples import NOON

ADA = Account(
    id=AccountId("acc_1"),
    email="Ada@example.org",
    role=Role.USER,
    plan=Plan.FREE,
    territory="US",
    label=None,
    created_at=NOON,
)
STORED = StoredAccount(account=ADA, password="$argon2id$…")


def test_an_account_is_found_by_its_address_however_it_is_written(catalogue: Catalogue) -> None:
    catalogue.accounts.add(STORED)
    for written in ("Ada@example.org", "ADA@EXAMPLE.ORG", " ada@example.org "):
        assert catalogue.accounts.find(written) == STORED
    assert catalogue.accounts.get(ADA.id) == ADA
    assert catalogue.accounts.find("bob@example.org") is None


def test_an_address_has_one_account(catalogue: Catalogue) -> None:
    catalogue.accounts.add(STORED)
    twin = replace(ADA, id=AccountId("acc_2"), email="ada@EXAMPLE.org")
    with pytest.raises(AccountExists):
        catalogue.accounts.add(replace(STORED, account=twin))
    assert catalogue.accounts.find(ADA.email) == STORED


def test_what_is_given_is_changed_and_nothing_else(catalogue: Catalogue) -> None:
    catalogue.accounts.add(STORED)
    premium = replace(ADA, role=Role.PREMIUM, plan=Plan.PREMIUM)
    assert catalogue.accounts.change(ADA.id, now=NOON, plan=Plan.PREMIUM) == premium
    changed = replace(premium, territory="FR")
    assert catalogue.accounts.change(ADA.id, now=NOON, territory="FR") == changed
    assert catalogue.accounts.change(ADA.id, now=NOON) == catalogue.accounts.get(ADA.id) == changed
    catalogue.accounts.set_password(ADA.id, "$argon2id$other", now=NOON)
    found = catalogue.accounts.find(ADA.email)
    assert found == StoredAccount(account=changed, password="$argon2id$other")


def test_a_listener_s_role_follows_its_plan(catalogue: Catalogue) -> None:
    premium = replace(ADA, plan=Plan.PREMIUM)
    catalogue.accounts.add(replace(STORED, account=premium))
    assert catalogue.accounts.get(ADA.id).role is Role.PREMIUM
    assert catalogue.accounts.change(ADA.id, now=NOON, plan=Plan.VOICE).role is Role.USER
    staff = catalogue.accounts.change(ADA.id, now=NOON, role=Role.LABEL, label="the-label")
    assert (staff.role, staff.label, staff.plan) == (Role.LABEL, "the-label", Plan.VOICE)
    assert catalogue.accounts.change(ADA.id, now=NOON, plan=Plan.PREMIUM).role is Role.LABEL


def test_pages_follow_one_another(catalogue: Catalogue) -> None:
    for number in range(5):
        account = replace(ADA, id=AccountId(f"acc_{number}"), email=f"{number}@example.org")
        catalogue.accounts.add(replace(STORED, account=account))
    first = catalogue.accounts.page(after="", limit=3)
    second = catalogue.accounts.page(after=first[-1].id, limit=3)
    assert [each.id for each in first + second] == [f"acc_{number}" for number in range(5)]


def test_nobody_s_account_is_not_found(catalogue: Catalogue) -> None:
    nobody = AccountId("acc_none")
    for ask in (
        lambda: catalogue.accounts.get(nobody),
        lambda: catalogue.accounts.change(nobody, now=NOON, role=Role.ADMIN),
        lambda: catalogue.accounts.set_password(nobody, "x", now=NOON),
    ):
        with pytest.raises(AccountNotFound):
            ask()


def test_a_database_that_is_away_says_so(away_catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueUnavailable):
        away_catalogue.accounts.find("ada@example.org")

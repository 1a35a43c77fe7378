"""Who signs in: see catalogue.port.Accounts."""

from dataclasses import replace

import pytest

from catalogue.errors import AccountExists, AccountNotFound, CatalogueUnavailable
from catalogue.nouns import Account, AccountId, Role
from catalogue.port import StoredAccount
from tests.contract.conftest import Catalogue
from tests.contract.examples import NOON

ADA = Account(
    id=AccountId("acc_1"),
    email="Ada@example.org",
    role=Role.USER,
    territory="US",
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
    assert catalogue.accounts.change(ADA.id, role=Role.PREMIUM) == replace(ADA, role=Role.PREMIUM)
    changed = replace(ADA, role=Role.PREMIUM, territory="FR")
    assert catalogue.accounts.change(ADA.id, territory="FR") == changed
    assert catalogue.accounts.change(ADA.id) == catalogue.accounts.get(ADA.id) == changed
    catalogue.accounts.set_password(ADA.id, "$argon2id$other")
    found = catalogue.accounts.find(ADA.email)
    assert found == StoredAccount(account=changed, password="$argon2id$other")


def test_nobody_s_account_is_not_found(catalogue: Catalogue) -> None:
    nobody = AccountId("acc_none")
    for ask in (
        lambda: catalogue.accounts.get(nobody),
        lambda: catalogue.accounts.change(nobody, role=Role.ADMIN),
        lambda: catalogue.accounts.set_password(nobody, "x"),
    ):
        with pytest.raises(AccountNotFound):
            ask()


def test_a_database_that_is_away_says_so(away_catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueUnavailable):
        away_catalogue.accounts.find("ada@example.org")

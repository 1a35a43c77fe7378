"""What devices, and the policies of labels, promise: see catalogue.offline."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from catalogue.auditing import Deed
from catalogue.errors import (
    CatalogueUnavailable,
    DeviceExists,
    DeviceNotFound,
    DeviceRevoked,
    DevicesFull,
    TooManySwaps,
)
from catalogue.nouns import AccountId
from catalogue.offline import (
    REPEATS_MOST,
    Device,
    DeviceId,
    DeviceKind,
    DeviceLimits,
    LabelPolicy,
    Renewal,
    SealedFor,
)
from catalogue.people_port import StoredAccount
from tests.contract.conftest import Catalogue
from tests.contract.examples import ADA, BOB, NOON, make_account

LATER = NOON + timedelta(minutes=5)
PLENTY = DeviceLimits(at_once=5, lately=100, since=NOON - timedelta(days=30))


def make_device(number: int, account_id: AccountId = ADA, *, at: datetime = NOON) -> Device:
    return Device(
        id=DeviceId(f"dev_{number}"),
        account_id=account_id,
        name="a phone",
        kind=DeviceKind.PHONE,
        public_key=f"public {number}",
        agreement_key=f"agreement {number}",
        thumbprint=f"thumb {number}",
        created_at=at,
        seen_at=at,
    )


@pytest.fixture
def people(catalogue: Catalogue) -> Catalogue:
    """A catalogue with two accounts."""
    for account_id in (ADA, BOB):
        account = make_account(account_id)
        catalogue.accounts.add(StoredAccount(account=account, password="$argon2id$secret"))
    return catalogue


def test_a_device_is_its_account_s(people: Catalogue) -> None:
    one, two = make_device(1), make_device(2, at=LATER)
    people.devices.register(two, PLENTY)
    people.devices.register(one, PLENTY)
    people.devices.register(make_device(3, BOB), PLENTY)
    assert people.devices.of(ADA) == [one, two]
    assert people.devices.get(ADA, one.id) == one
    with pytest.raises(DeviceNotFound):
        people.devices.get(BOB, one.id)
    with pytest.raises(DeviceNotFound):
        people.devices.revoke(BOB, one.id, now=LATER)


def test_a_key_is_registered_once_whoever_has_it(people: Catalogue) -> None:
    people.devices.register(make_device(1), PLENTY)
    again = replace(make_device(2, BOB), thumbprint=make_device(1).thumbprint)
    with pytest.raises(DeviceExists):
        people.devices.register(again, PLENTY)


def test_an_account_has_so_many_at_once(people: Catalogue) -> None:
    limits = DeviceLimits(at_once=2, lately=9, since=NOON - timedelta(days=30))
    for number in (1, 2):
        people.devices.register(make_device(number), limits)
    with pytest.raises(DevicesFull) as caught:
        people.devices.register(make_device(3), limits)
    assert caught.value.measured == {"devices": 2, "most": 2}
    people.devices.register(make_device(4, BOB), limits)
    people.devices.revoke(ADA, DeviceId("dev_1"), now=LATER)
    people.devices.register(make_device(3), limits)
    assert [device.id for device in people.devices.of(ADA)] == ["dev_2", "dev_3"]


def test_an_account_swaps_so_many_lately(people: Catalogue) -> None:
    since = NOON - timedelta(days=30)
    limits = DeviceLimits(at_once=9, lately=2, since=since)
    people.devices.register(make_device(1, at=since), limits)
    for number, hours in ((2, 1), (3, 2)):
        people.devices.register(make_device(number, at=since + timedelta(hours=hours)), limits)
        people.devices.revoke(ADA, DeviceId(f"dev_{number}"), now=NOON)
    with pytest.raises(TooManySwaps) as caught:
        people.devices.register(make_device(4), limits)
    assert caught.value.measured == {"devices": 2, "most": 2, "retry_after_s": 3600}


def test_of_many_at_once_no_more_get_in_than_may(people: Catalogue) -> None:
    limits = DeviceLimits(at_once=3, lately=100, since=NOON - timedelta(days=30))
    gate = threading.Barrier(8)

    def register(number: int) -> bool:
        gate.wait()
        try:
            people.devices.register(make_device(number), limits)
        except DevicesFull:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(register, range(8))) == 3
    assert len(people.devices.of(ADA)) == 3


def test_a_device_that_was_removed_does_not_come_back(people: Catalogue) -> None:
    device = make_device(1)
    people.devices.register(device, PLENTY)
    people.devices.revoke(ADA, device.id, now=LATER)
    assert people.devices.of(ADA) == []
    with pytest.raises(DeviceRevoked):
        people.devices.get(ADA, device.id)
    with pytest.raises(DeviceNotFound):
        people.devices.revoke(ADA, device.id, now=LATER)
    with pytest.raises(DeviceExists):
        people.devices.register(device, PLENTY)


def test_a_challenge_is_good_once_for_its_account_and_for_a_while(people: Catalogue) -> None:
    devices = people.devices
    for challenge in ("one", "two", "three"):
        devices.challenge(ADA, challenge, now=NOON, until=LATER)
    assert not devices.spend(BOB, "one", now=NOON)
    assert devices.spend(ADA, "one", now=NOON)
    assert not devices.spend(ADA, "one", now=NOON)
    assert not devices.spend(ADA, "two", now=LATER)
    assert not devices.spend(ADA, "never", now=NOON)
    devices.challenge(ADA, "four", now=LATER, until=LATER + timedelta(minutes=5))
    assert not devices.spend(ADA, "three", now=NOON), "what has ended is forgotten"


def test_of_many_who_spend_one_challenge_one_does(people: Catalogue) -> None:
    people.devices.challenge(ADA, "one", now=NOON, until=LATER)
    gate = threading.Barrier(8)

    def spend(_: int) -> bool:
        gate.wait()
        return people.devices.spend(ADA, "one", now=NOON)

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(spend, range(8))) == 1


class Renewing:
    """A device that renews its licences with new challenges."""

    def __init__(self, people: Catalogue) -> None:
        self.people, self.device = people, make_device(1)
        people.devices.register(self.device, PLENTY)
        self.challenges = 0

    def challenge(self) -> str:
        self.challenges += 1
        name = f"challenge {self.challenges}"
        self.people.devices.challenge(ADA, name, now=NOON, until=LATER, device_id=self.device.id)
        return name

    def renew(self, shown: str, mark: str, challenge: str | None = None) -> Renewal:
        """Show a mark, and have another one be the newest."""
        spent = challenge or self.challenge()
        return self.people.devices.renew(self.device, spent, shown=shown, mark=mark, now=NOON)

    @property
    def known(self) -> Device:
        return self.people.devices.get(ADA, self.device.id)


@pytest.fixture
def renewing(people: Catalogue) -> Renewing:
    return Renewing(people)


def test_licences_follow_one_another(renewing: Renewing) -> None:
    steps = [("", "a"), ("a", "b"), ("b", "c")]
    assert [renewing.renew(*step) for step in steps] == [Renewal.GIVEN] * 3
    found = renewing.known
    assert (found.serial, found.mark, found.basis, found.clones) == (3, "c", "b", 0)


def test_a_lost_answer_may_be_asked_for_again_a_few_times(renewing: Renewing) -> None:
    assert renewing.renew("", "first") is Renewal.GIVEN
    for number in range(REPEATS_MOST):
        assert renewing.renew("", f"again {number}") is Renewal.GIVEN
    assert renewing.renew("", "too often") is Renewal.COPIED
    assert renewing.known.clones == 1
    assert renewing.renew(renewing.known.mark, "next") is Renewal.GIVEN
    assert renewing.known.repeats == 0


def test_a_copied_licence_is_noticed(renewing: Renewing) -> None:
    renewing.renew("", "one")
    # Two devices hold it now: one renews, and then the other one.
    assert renewing.renew("one", "two") is Renewal.GIVEN
    assert renewing.renew("one", "three") is Renewal.GIVEN
    # The first of them never has what the second was given.
    assert renewing.renew("two", "four") is Renewal.COPIED
    assert renewing.renew("never", "four") is Renewal.COPIED
    found = renewing.known
    assert (found.mark, found.clones) == ("three", 2)
    trail = renewing.people.audits.page(after=0, limit=9, deed=Deed.DEVICE_CLONED)
    details = {"account": ADA, "newest": 3}
    assert (trail[0].subject, trail[0].details) == (renewing.device.id, details)


def test_a_newer_challenge_of_a_device_ends_those_before(renewing: Renewing) -> None:
    late, new = renewing.challenge(), renewing.challenge()
    assert renewing.renew("", "a", late) is Renewal.NOT_OPEN
    assert renewing.renew("", "a", new) is Renewal.GIVEN
    assert renewing.renew("a", "b", new) is Renewal.NOT_OPEN
    assert renewing.known.mark == "a"


def test_challenges_are_for_one_thing(renewing: Renewing) -> None:
    devices = renewing.people.devices
    devices.challenge(ADA, "for a new one", now=NOON, until=LATER)
    assert renewing.renew("", "a", "for a new one") is Renewal.NOT_OPEN
    assert not devices.spend(ADA, renewing.challenge(), now=NOON)
    assert devices.spend(ADA, "for a new one", now=NOON)


def test_a_removed_device_renews_nothing(renewing: Renewing) -> None:
    challenge = renewing.challenge()
    renewing.people.devices.revoke(ADA, renewing.device.id, now=NOON)
    with pytest.raises(DeviceRevoked):
        renewing.renew("", "a", challenge)


def test_what_is_done_to_devices_is_recorded(people: Catalogue) -> None:
    device = make_device(1)
    people.devices.register(device, PLENTY)
    people.devices.revoke(ADA, device.id, now=LATER)
    trail = people.audits.page(after=0, limit=9, subject=device.id)
    assert [entry.deed for entry in trail] == [Deed.DEVICE_REGISTERED, Deed.DEVICE_REVOKED]


def test_a_label_demands_what_it_said_last(people: Catalogue) -> None:
    own = LabelPolicy(sealed_for=SealedFor.DEVICE, standard_players=True)
    assert people.policies.get("the-label") == LabelPolicy(sealed_for=SealedFor.ALL)
    people.policies.put("the-label", own, now=NOON)
    assert people.policies.get("the-label") == own
    people.policies.put("the-label", LabelPolicy(), now=NOON)
    assert people.policies.get("the-label") == LabelPolicy()
    assert people.policies.get("another") == LabelPolicy()


def test_away_is_away(away_catalogue: Catalogue) -> None:
    for ask in (
        lambda: away_catalogue.devices.of(ADA),
        lambda: away_catalogue.devices.spend(ADA, "one", now=NOON),
        lambda: away_catalogue.downloads.of(ADA),
        lambda: away_catalogue.policies.get("the-label"),
    ):
        with pytest.raises(CatalogueUnavailable):
            ask()

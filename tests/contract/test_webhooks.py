"""What a catalogue of webhooks promises: see catalogue.webhooks.Webhooks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from catalogue.errors import Unavailable, WebhookNotFound, WebhooksFull
from catalogue.nouns import AccountId, JobId, JobState
from catalogue.webhooks import HOOKS_MAX, Notice, Webhook, Webhooks
from tests.contract.conftest import Catalogue
from tests.contract.examples import NOON, REASON, WORKER, make_delivery, make_metadata
from tests.contract.test_jobs import CURRENT, PRESSING, SILENCE, accept

LABEL = "the-label"
SECOND = timedelta(seconds=1)
JOB = JobId("job_1")
HOOK = Webhook(
    id="whk_1",
    label=LABEL,
    url="https://label.example/lathe",
    states=(),
    created_at=NOON,
    kek="one",
    wrapped=b"\x01wrapped",
)
OTHER = replace(HOOK, id="whk_2", states=(JobState.DONE, JobState.FAILED))


def take(hooks: Webhooks, seconds: float = 3600, *, each: int = 100) -> list[Notice]:
    now = NOON + seconds * SECOND
    return list(hooks.take(now=now, until=now + 30 * SECOND, each=each, limit=100))


def told(hooks: Webhooks, webhook_id: str) -> list[JobState]:
    """Return the states that a webhook was to be told, the first first."""
    return [each.state for each in reversed(hooks.notices(webhook_id, before=None, limit=200))]


def claim(catalogue: Catalogue, by: str = "one", seconds: float = 0, silences: int = 3) -> None:
    now = NOON + seconds * SECOND
    catalogue.jobs.claim(
        JOB, by, worker=WORKER, now=now, stale_before=now - SILENCE, max_silences=silences
    )


def test_webhooks_are_their_labels_own(catalogue: Catalogue) -> None:
    hooks = catalogue.webhooks
    stranger = replace(HOOK, id="whk_3", label="another")
    for hook in (OTHER, HOOK, stranger):
        hooks.add(hook)
    assert hooks.listed(LABEL) == [HOOK, OTHER]
    assert hooks.listed(None) == [HOOK, OTHER, stranger]
    assert hooks.get("whk_1", label=LABEL) == hooks.get("whk_1", label=None) == HOOK
    for webhook_id, label in (("whk_3", LABEL), ("whk_9", None)):
        with pytest.raises(WebhookNotFound):
            hooks.get(webhook_id, label=label)
        with pytest.raises(WebhookNotFound):
            hooks.remove(webhook_id, label=label)
    hooks.remove("whk_1", label=LABEL)
    assert hooks.listed(LABEL) == [OTHER]


def test_a_label_has_so_many_and_no_more(catalogue: Catalogue) -> None:
    hooks = catalogue.webhooks
    for number in range(HOOKS_MAX):
        hooks.add(replace(HOOK, id=f"whk_{number}"))
    with pytest.raises(WebhooksFull):
        hooks.add(replace(HOOK, id="whk_x"))
    hooks.add(replace(HOOK, id="whk_y", label="another"))
    assert len(hooks.listed(LABEL)) == HOOKS_MAX


def test_every_change_is_noted_for_who_wants_to_know(catalogue: Catalogue) -> None:
    hooks, jobs = catalogue.webhooks, catalogue.jobs
    hooks.add(HOOK)
    hooks.add(OTHER)
    hooks.add(replace(HOOK, id="whk_3", label="another"))
    accept(catalogue, 1)
    claim(catalogue)
    jobs.beat(JOB, "one", stage="press", percent=7, now=NOON)
    jobs.retry(JOB, "one", reason=REASON, due_at=NOON, now=NOON)
    claim(catalogue, "two", 1)
    jobs.fail(JOB, "two", reason=REASON, now=NOON)
    catalogue.desk.revive(JOB, now=NOON)
    claim(catalogue, "three", 2)
    jobs.withhold(JOB, "three", reason=REASON, resembles=[], now=NOON)
    catalogue.desk.approve(JOB, now=NOON)
    claim(catalogue, "four", 3)
    jobs.publish(JOB, "four", current=CURRENT, pressing=PRESSING, now=NOON + 4 * SECOND)
    every = "queued running queued running failed queued running held queued running done"
    assert told(hooks, "whk_1") == every.split()
    assert told(hooks, "whk_2") == ["failed", "done"]
    assert told(hooks, "whk_3") == []


def test_what_operators_do_and_silence_are_noted_too(catalogue: Catalogue) -> None:
    hooks = catalogue.webhooks
    hooks.add(HOOK)
    accept(catalogue, 1)
    catalogue.desk.cancel(JOB, now=NOON)
    catalogue.desk.revive(JOB, now=NOON)
    for number in range(3):
        claim(catalogue, f"worker {number}", number * 3600, silences=2)
    states = ["queued", "cancelled", "queued", "running", "running", "quarantined"]
    assert told(hooks, "whk_1") == states


def test_what_listeners_own_is_nobodys_business(catalogue: Catalogue) -> None:
    owner = AccountId("acc_owner")
    catalogue.webhooks.add(replace(HOOK, label=owner))
    own = make_delivery(1, owner=owner, label=owner)
    catalogue.tracks.accept(own, make_metadata(), JOB)
    assert told(catalogue.webhooks, "whk_1") == []


def test_a_notice_says_what_happened_to_what(catalogue: Catalogue) -> None:
    hooks = catalogue.webhooks
    hooks.add(OTHER)
    accept(catalogue, 1)
    claim(catalogue)
    catalogue.jobs.fail(JOB, "one", reason=REASON, now=NOON + SECOND)
    [notice] = take(hooks)
    delivery = catalogue.jobs.delivery(JOB)
    assert (notice.webhook_id, notice.job_id, notice.state) == ("whk_2", JOB, JobState.FAILED)
    assert (notice.delivery_id, notice.track_id) == (delivery.id, delivery.track_id)
    assert (notice.filename, notice.isrc) == (delivery.filename, "ZZTST2600001")
    assert (notice.reason, notice.at, notice.attempts) == (REASON, NOON + SECOND, 0)


def test_what_was_taken_is_due_again_unless_something_is_said(catalogue: Catalogue) -> None:
    hooks = catalogue.webhooks
    hooks.add(HOOK)
    accept(catalogue, 1)
    [notice] = take(hooks, 0)
    assert take(hooks, 29) == []
    [again] = take(hooks, 30)
    assert again.number == notice.number
    hooks.put_off(again, answer="500", due_at=NOON + 100 * SECOND, now=NOON + 31 * SECOND)
    assert hooks.get("whk_1", label=None).failing_since == NOON + 31 * SECOND
    assert take(hooks, 99) == []
    [third] = take(hooks, 100)
    assert (third.attempts, third.answer) == (1, "500")
    hooks.put_off(third, answer="no answer", due_at=NOON + 200 * SECOND, now=NOON + 101 * SECOND)
    assert hooks.get("whk_1", label=None).failing_since == NOON + 31 * SECOND
    [last] = take(hooks, 200)
    hooks.delivered(last, answer="204", now=NOON + 201 * SECOND)
    assert hooks.get("whk_1", label=None).failing_since is None
    assert take(hooks, 9999) == []
    [kept] = hooks.notices("whk_1", before=None, limit=10)
    assert (kept.delivered_at, kept.due_at) == (NOON + 201 * SECOND, None)
    assert (kept.attempts, kept.answer) == (3, "204")


def test_what_was_given_up_can_be_had_again(catalogue: Catalogue) -> None:
    hooks = catalogue.webhooks
    hooks.add(HOOK)
    accept(catalogue, 1)
    claim(catalogue)
    queued, running = take(hooks)
    hooks.delivered(queued, answer="200", now=NOON)
    hooks.put_off(running, answer="410", due_at=None, now=NOON)
    assert take(hooks, 99_999) == []
    assert hooks.repeat("whk_1", since=NOON + SECOND, now=NOON) == 0
    assert hooks.repeat("whk_1", since=NOON, now=NOON) == 1
    [again] = take(hooks, 99_999)
    assert (again.number, again.attempts) == (running.number, 0)


def test_nobody_who_is_slow_holds_up_the_others(catalogue: Catalogue) -> None:
    hooks = catalogue.webhooks
    hooks.add(HOOK)
    for number in range(1, 6):
        accept(catalogue, number)
    hooks.add(OTHER)
    claim(catalogue)
    catalogue.jobs.fail(JOB, "one", reason=REASON, now=NOON)
    first = take(hooks, each=3)
    assert [notice.webhook_id for notice in first] == ["whk_1"] * 3 + ["whk_2"]
    assert len(take(hooks, each=100)) == 4


def test_two_couriers_never_take_the_same(catalogue: Catalogue) -> None:
    hooks = catalogue.webhooks
    hooks.add(HOOK)
    for number in range(1, 31):
        accept(catalogue, number)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda _: take(hooks, each=100), range(4))
        numbers = [notice.number for each in found for notice in each]
    assert len(numbers) == len(set(numbers)) == 30


def test_old_notices_are_forgotten_unless_they_are_due(catalogue: Catalogue) -> None:
    hooks = catalogue.webhooks
    hooks.add(HOOK)
    accept(catalogue, 1)
    claim(catalogue)
    queued, _ = take(hooks)
    hooks.delivered(queued, answer="200", now=NOON)
    hooks.expire(before=NOON)
    assert len(hooks.notices("whk_1", before=None, limit=10)) == 2
    hooks.expire(before=NOON + SECOND)
    [left] = hooks.notices("whk_1", before=None, limit=10)
    assert left.state is JobState.RUNNING
    hooks.remove("whk_1", label=None)
    assert take(hooks, 99_999) == []
    assert hooks.notices("whk_1", before=None, limit=10) == []


def test_notices_come_in_pages(catalogue: Catalogue) -> None:
    hooks = catalogue.webhooks
    hooks.add(HOOK)
    for number in range(1, 6):
        accept(catalogue, number)
    first = hooks.notices("whk_1", before=None, limit=3)
    rest = hooks.notices("whk_1", before=first[-1].number, limit=3)
    assert [each.job_id for each in (*first, *rest)] == [f"job_{n}" for n in (5, 4, 3, 2, 1)]


def test_secrets_are_wrapped_anew(catalogue: Catalogue) -> None:
    hooks = catalogue.webhooks
    hooks.add(HOOK)
    hooks.add(replace(OTHER, kek="two"))
    assert hooks.wrapped_otherwise("two") == [HOOK]
    changed = replace(HOOK, kek="two", wrapped=b"\x01anew")
    hooks.rewrap([changed])
    assert hooks.wrapped_otherwise("two") == []
    assert hooks.get(HOOK.id, label=None) == changed


NOTICE = Notice(
    number=1,
    webhook_id=HOOK.id,
    job_id=JOB,
    delivery_id=make_delivery().id,
    track_id=make_delivery().track_id,
    isrc="",
    filename="",
    state=JobState.DONE,
    reason=None,
    at=NOON,
)
METHODS: dict[str, Callable[[Webhooks], Any]] = {
    "add": lambda hooks: hooks.add(HOOK),
    "listed": lambda hooks: hooks.listed(None),
    "get": lambda hooks: hooks.get("whk_1", label=None),
    "remove": lambda hooks: hooks.remove("whk_1", label=None),
    "notices": lambda hooks: hooks.notices("whk_1", before=None, limit=1),
    "repeat": lambda hooks: hooks.repeat("whk_1", since=NOON, now=NOON),
    "take": take,
    "delivered": lambda hooks: hooks.delivered(NOTICE, answer="", now=NOON),
    "put_off": lambda hooks: hooks.put_off(NOTICE, answer="", due_at=None, now=NOON),
    "expire": lambda hooks: hooks.expire(before=NOON),
    "wrapped_otherwise": lambda hooks: hooks.wrapped_otherwise(""),
    "rewrap": lambda hooks: hooks.rewrap([HOOK]),
}


def test_every_method_is_tried_when_the_catalogue_is_away() -> None:
    assert set(METHODS) == {name for name in vars(Webhooks) if not name.startswith("_")}


@pytest.mark.parametrize("method", METHODS)
def test_webhooks_that_are_away_say_so(away_catalogue: Catalogue, method: str) -> None:
    with pytest.raises(Unavailable):
        METHODS[method](away_catalogue.webhooks)

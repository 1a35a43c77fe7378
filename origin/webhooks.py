"""Labels have notices sent to URLs of theirs, and see what became of them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from catalogue import errors
from catalogue.nouns import JobState
from catalogue.port import Scope
from catalogue.webhooks import Notice, Webhook, parse_webhook_url
from origin.access import LABEL_REFUSALS, AnyCaller, Label, Parts, counted
from origin.jobs import find_label
from origin.problems import responses
from origin.throttle import Category
from protection.webhooks import make_webhook_secret, show_secret

router = APIRouter(
    prefix="/v1/webhooks",
    tags=["deliveries"],
    dependencies=[counted(Category.GLOBAL)],
    responses=responses(errors.TooManyRequests, *LABEL_REFUSALS, errors.Unavailable),
)

Name = Annotated[str, Path(max_length=60)]


class NewWebhook(BaseModel):
    """Where notices are to be sent, and of which states; of all where none is named."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str = Field(max_length=500, examples=["https://label.example/lathe"])
    states: list[Annotated[JobState, Field(strict=False)]] = Field(default=[], max_length=20)


class WebhookShown(BaseModel):
    """A webhook."""

    id: str
    url: str
    states: list[JobState] = Field(description="empty: all of them")
    created_at: datetime
    failing_since: datetime | None = Field(description="null: the last notice was taken")


class WebhookMade(WebhookShown):
    """A webhook that was just made."""

    secret: str = Field(description="signs the notices (Standard Webhooks); shown here alone")


class WebhookList(BaseModel):
    """A label's webhooks."""

    webhooks: list[WebhookShown]


class NoticeShown(BaseModel):
    """What a webhook was told, and what became of that."""

    id: str = Field(description="as in webhook-id")
    number: int
    job_id: str
    delivery_id: str
    state: JobState
    at: datetime
    attempts: int
    due_at: datetime | None = Field(description="when it is sent next; null: not again")
    delivered_at: datetime | None = Field(description="null: it has not been taken")
    answer: str = Field(description="the last answer's status, or why there was none")


class NoticeList(BaseModel):
    """Notices, the last first; ``next`` continues them, null at the end."""

    notices: list[NoticeShown]
    next: int | None


class Repeated(BaseModel):
    """How many notices are sent again."""

    count: int


@router.post("", status_code=201, responses=responses(errors.WebhookUrlUnfit, errors.WebhooksFull))
def create_webhook(said: NewWebhook, response: Response, label: Label, parts: Parts) -> WebhookMade:
    """Have notices sent to a URL from now on, signed with a secret that is shown once.

    They tell of every change of state of a delivered master's job, in the form and with the headers
    of Standard Webhooks. One that is not answered with 2xx within 10 s is sent again, for three
    days, and later and later.
    """
    parse_webhook_url(said.url)
    webhook_id = parts.new_id("whk")
    secret = make_webhook_secret(webhook_id)
    wrapped = parts.wrapper.wrap(secret)
    webhook = Webhook(
        id=webhook_id,
        label=label,
        url=said.url,
        states=tuple(dict.fromkeys(said.states)),
        created_at=parts.now(),
        kek=wrapped.kek,
        wrapped=wrapped.wrapped,
    )
    parts.webhooks.add(webhook)
    response.headers["Location"] = f"/v1/webhooks/{webhook_id}"
    shown = _show(webhook).model_dump()
    return WebhookMade(**shown, secret=show_secret(secret))


@router.get("")
def list_webhooks(caller: AnyCaller, parts: Parts) -> WebhookList:
    """Return a label's webhooks; an operator sees those of all."""
    found = parts.webhooks.listed(find_label(caller, Scope.SEE))
    return WebhookList(webhooks=[_show(each) for each in found])


@router.get("/{webhook_id}", responses=responses(errors.WebhookNotFound))
def get_webhook(webhook_id: Name, caller: AnyCaller, parts: Parts) -> WebhookShown:
    """Return a webhook."""
    return _show(parts.webhooks.get(webhook_id, label=find_label(caller, Scope.SEE)))


@router.delete("/{webhook_id}", status_code=204, responses=responses(errors.WebhookNotFound))
def remove_webhook(webhook_id: Name, label: Label, parts: Parts) -> Response:
    """Send nothing to a webhook any more, not even what is due."""
    parts.webhooks.remove(webhook_id, label=label)
    return Response(status_code=204)


@router.get("/{webhook_id}/notices", responses=responses(errors.WebhookNotFound))
def list_notices(
    webhook_id: Name,
    caller: AnyCaller,
    parts: Parts,
    before: Annotated[int | None, Query(ge=0, lt=1 << 63)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> NoticeList:
    """Return what a webhook was told in the last 30 days, the last first."""
    webhook = parts.webhooks.get(webhook_id, label=find_label(caller, Scope.SEE))
    found = parts.webhooks.notices(webhook.id, before=before, limit=limit)
    last = found[-1].number if len(found) == limit else None
    return NoticeList(notices=[_show_notice(each) for each in found], next=last)


@router.post("/{webhook_id}/repeat", responses=responses(errors.WebhookNotFound))
def repeat_notices(
    webhook_id: Name,
    label: Label,
    parts: Parts,
    since: Annotated[AwareDatetime | None, Query(description="of what happened since then")] = None,
) -> Repeated:
    """Send again what was given up: of the last 30 days, or since a time."""
    webhook = parts.webhooks.get(webhook_id, label=label)
    moment = since or webhook.created_at
    return Repeated(count=parts.webhooks.repeat(webhook.id, since=moment, now=parts.now()))


def _show(webhook: Webhook) -> WebhookShown:
    return WebhookShown(
        id=webhook.id,
        url=webhook.url,
        states=list(webhook.states),
        created_at=webhook.created_at,
        failing_since=webhook.failing_since,
    )


def _show_notice(notice: Notice) -> NoticeShown:
    return NoticeShown(
        id=f"msg_{notice.number}",
        number=notice.number,
        job_id=notice.job_id,
        delivery_id=notice.delivery_id,
        state=notice.state,
        at=notice.at,
        attempts=notice.attempts,
        due_at=notice.due_at,
        delivered_at=notice.delivered_at,
        answer=notice.answer,
    )

"""Sending notices to webhooks: signed, at least once, and later and later again."""

import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any

from catalogue.errors import ContentKeyLost, WebhookNotFound
from catalogue.webhooks import Notice, Webhooks
from protection.content_keys import KeyWrapper
from protection.webhooks import NoticeSigner

if TYPE_CHECKING:
    from workers.posting import Answer, Letter

log = logging.getLogger(__name__)

KEPT = timedelta(days=30)
"""How long it is remembered what a webhook was told."""

_PAUSES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
_SPREAD = 0.1
# Whoever took notices and says nothing of them for so long has died.
_SILENCE = timedelta(seconds=30)
_EACH, _AT_ONCE = 4, 32


def pause_after(attempts: int) -> timedelta | None:
    """Return how long to wait after so many attempts in vain; None when it was the last.

    In all it is tried for three days.
    """
    return _PAUSES[attempts - 1] if attempts <= len(_PAUSES) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Courier:
    """Sends what is due to the webhooks of labels: see workers.posting for where that may be."""

    webhooks: Webhooks
    wrapper: KeyWrapper
    own_networks: Sequence[IPv4Network | IPv6Network]
    now: Callable[[], datetime]
    shutting_down: threading.Event

    def send_due(self) -> None:
        """Send all that is due. When the process ends, what is not answered is left to others."""
        while not self.shutting_down.is_set() and (found := self._take()):
            # Who has nothing to send never loads what sends it.
            from workers.posting import PostOffice

            ready = [(each, letter) for each in found if (letter := self._write(each)) is not None]
            office = PostOffice(own_networks=self.own_networks, shutting_down=self.shutting_down)
            answers = office.post([letter for _, letter in ready])
            for (notice, _), answer in zip(ready, answers, strict=True):
                if answer is not None:
                    self._keep(notice, answer)

    def expire(self) -> None:
        """Forget what webhooks were told long ago."""
        self.webhooks.expire(before=self.now() - KEPT)

    def _take(self) -> Sequence[Notice]:
        now = self.now()
        return self.webhooks.take(now=now, until=now + _SILENCE, each=_EACH, limit=_AT_ONCE)

    def _write(self, notice: Notice) -> "Letter | None":
        """Return a notice as it is posted; None where that cannot be, which is noted."""
        from workers.posting import Answer, Letter

        try:
            webhook = self.webhooks.get(notice.webhook_id, label=None)
            key = self.wrapper.unwrap(webhook)
        except WebhookNotFound:
            return None
        except ContentKeyLost as fault:
            log.error("a webhook's secret: %s", fault.detail, extra={"webhook": notice.webhook_id})
            self._keep(notice, Answer(words="its secret cannot be read"))
            return None
        signer, name = NoticeSigner(key.secret), f"msg_{notice.number}"
        body = json.dumps(describe_notice(notice), ensure_ascii=False).encode()
        return Letter(
            url=webhook.url,
            body=body,
            headers=lambda: signer.headers(name, body, now=self.now()),
        )

    def _keep(self, notice: Notice, answer: "Answer") -> None:
        now = self.now()
        if answer.taken:
            self.webhooks.delivered(notice, answer=str(answer), now=now)
            return
        pause = None if answer.final else pause_after(notice.attempts + 1)
        # Many that failed at once do not all come back at once.
        spread = 1 + _SPREAD * (notice.number % 100) / 100
        due_at = None if pause is None else now + pause * spread
        told = {"webhook": notice.webhook_id, "answer": str(answer)}
        log.info("a notice was put off", extra=told)
        self.webhooks.put_off(notice, answer=str(answer), due_at=due_at, now=now)


def describe_notice(notice: Notice) -> dict[str, Any]:
    """Return what a notice tells, as it is sent: docs/webhooks.md."""
    return {
        "type": f"track.{notice.state}",
        "timestamp": notice.at.isoformat(),
        "data": {
            "delivery_id": notice.delivery_id,
            "job_id": notice.job_id,
            "track_id": notice.track_id,
            "isrc": notice.isrc,
            "filename": notice.filename,
            "state": notice.state,
            "reason": None if notice.reason is None else asdict(notice.reason),
        },
    }

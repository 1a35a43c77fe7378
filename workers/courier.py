"""Sending notices to webhooks: signed, at least once, later again, and to public addresses only.

Whoever is called belongs to a label, so that the address, and not the name, decides whether it may
be called: it is looked up once, judged, and then the very address is connected to.
"""

import asyncio
import json
import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from socket import SOCK_STREAM
from typing import Any
from urllib.parse import SplitResult

import httpx

from catalogue.errors import ContentKeyLost, WebhookNotFound, WebhookUrlUnfit
from catalogue.nouns import Reason
from catalogue.webhooks import Notice, Webhook, Webhooks, parse_webhook_url
from protection.content_keys import KeyWrapper, WrappedKey
from protection.webhooks import NoticeSigner

log = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

PATIENCE = timedelta(seconds=10)
"""How long one may take to answer."""

KEPT = timedelta(days=30)
"""How long it is remembered what a webhook was told."""

_PAUSES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
_SPREAD = 0.1
# Whoever took notices and says nothing of them has died.
_SILENCE = 3 * PATIENCE
_EACH, _AT_ONCE = 4, 32
_LOOK_S = 0.2
_NAT64 = IPv6Network("64:ff9b::/96")
_DEFAULT_PORTS = {"https": 443, "http": 80}


def pause_after(attempts: int) -> timedelta | None:
    """Return how long to wait after so many attempts in vain; None when it was the last.

    In all it is tried for three days.
    """
    return _PAUSES[attempts - 1] if attempts <= len(_PAUSES) else None


def is_public(address: Address) -> bool:
    """Return whether an address is one of the open network, in whatever form it hides another."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if address.teredo is not None:
            return False
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


class _Answer:
    """What came of sending: a status of HTTP, or ``words`` for there being none."""

    def __init__(self, *, status: int | None = None, words: str = "") -> None:
        self.words = words if status is None else str(status)
        self.taken = status is not None and httpx.codes.is_success(status)
        self.ends = status == httpx.codes.GONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Courier:
    """Sends what is due to the webhooks of labels.

    ``own_networks`` may be called though they are not public, and by http as well.
    """

    webhooks: Webhooks
    wrapper: KeyWrapper
    own_networks: Sequence[Network]
    now: Callable[[], datetime]
    shutting_down: threading.Event

    def send_due(self) -> int:
        """Send all that is due, and return how many were taken by who they are for.

        When the process ends, what has not been answered is left to others.
        """
        taken = 0
        while not self.shutting_down.is_set() and (found := self._take()):
            answers = asyncio.run(self._send_all(found))
            for notice, answer in zip(found, answers, strict=True):
                if answer is not None:
                    self._keep(notice, answer)
                    taken += answer.taken
        return taken

    def expire(self) -> None:
        """Forget what webhooks were told long ago."""
        self.webhooks.expire(before=self.now() - KEPT)

    def _take(self) -> Sequence[Notice]:
        now = self.now()
        return self.webhooks.take(now=now, until=now + _SILENCE, each=_EACH, limit=_AT_ONCE)

    async def _send_all(self, found: Sequence[Notice]) -> list[_Answer | None]:
        # One for all of them: to read the certificates of authorities takes a while.
        async with httpx.AsyncClient(
            follow_redirects=False, trust_env=False, timeout=PATIENCE.total_seconds()
        ) as client:
            sending = [asyncio.ensure_future(self._send(client, notice)) for notice in found]
            while (await asyncio.wait(sending, timeout=_LOOK_S))[1]:
                if self.shutting_down.is_set():
                    for each in sending:
                        each.cancel()
            return [None if each.cancelled() else each.result() for each in sending]

    async def _send(self, client: httpx.AsyncClient, notice: Notice) -> _Answer:
        try:
            webhook = self.webhooks.get(notice.webhook_id, label=None)
            async with asyncio.timeout(PATIENCE.total_seconds()):
                return _Answer(status=await self._post(client, webhook, notice))
        except (TimeoutError, httpx.TimeoutException):
            return _Answer(words=f"no answer within {PATIENCE.seconds} s")
        except WebhookUrlUnfit as fault:
            return _Answer(words=fault.detail)
        except httpx.HTTPError as fault:
            return _Answer(words=_describe(fault))
        except ContentKeyLost:
            log.error("a webhook's secret does not unwrap", extra={"webhook": notice.webhook_id})
            return _Answer(words="its secret cannot be read")
        except WebhookNotFound:
            return _Answer(status=httpx.codes.GONE)
        except Exception:
            # Whatever one of them leads to, the others are sent.
            log.exception("a notice cannot be sent", extra={"webhook": notice.webhook_id})
            return _Answer(words="it cannot be sent")

    def _keep(self, notice: Notice, answer: _Answer) -> None:
        now = self.now()
        if answer.taken:
            self.webhooks.delivered(notice, answer=answer.words, now=now)
            return
        pause = None if answer.ends else pause_after(notice.attempts + 1)
        # Many that failed at once do not all come back at once.
        spread = 1 + _SPREAD * (notice.number % 100) / 100
        due_at = None if pause is None else now + pause * spread
        told = {"webhook": notice.webhook_id, "answer": answer.words}
        log.info("a notice was put off", extra=told)
        self.webhooks.put_off(notice, answer=answer.words, due_at=due_at, now=now)

    async def _post(self, client: httpx.AsyncClient, webhook: Webhook, notice: Notice) -> int:
        parts = parse_webhook_url(webhook.url)
        address = await self._resolve(parts)
        key = self.wrapper.unwrap(WrappedKey(webhook.id, webhook.kek, webhook.wrapped))
        body = json.dumps(describe_notice(notice), ensure_ascii=False).encode()
        host = parts.netloc
        request = client.build_request(
            "POST",
            httpx.URL(webhook.url).copy_with(host=str(address)),
            content=body,
            headers={
                "host": host,
                "content-type": "application/json",
                "user-agent": "lathe",
                **NoticeSigner(key.secret).headers(f"msg_{notice.number}", body, now=self.now()),
            },
            extensions={"sni_hostname": parts.hostname},
        )
        # What comes after the status is nobody's to read.
        response = await client.send(request, stream=True)
        await response.aclose()
        return response.status_code

    async def _resolve(self, parts: SplitResult) -> Address:
        """Return the address to call. Raises WebhookUrlUnfit."""
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                parts.hostname, port, type=SOCK_STREAM
            )
        except (OSError, UnicodeError) as fault:
            raise WebhookUrlUnfit("its host has no address") from fault
        addresses = [ip_address(entry[4][0]) for entry in found]
        if any(not self._may_call(address, parts.scheme) for address in addresses):
            raise WebhookUrlUnfit("its host's address is not public, or it is not https")
        return addresses[0]

    def _may_call(self, address: Address, scheme: str) -> bool:
        if any(address in network for network in self.own_networks):
            return True
        return scheme == "https" and is_public(address)


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
            "reason": None if notice.reason is None else _describe_reason(notice.reason),
        },
    }


def _describe_reason(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code,
        "title": reason.title,
        "detail": reason.detail,
        "advice": reason.advice,
        "measured": dict(reason.measured),
    }


def _describe(fault: httpx.HTTPError) -> str:
    """Return why nothing was answered, in words that tell nothing of what else was there."""
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "its certificate is not to be trusted"
        cause = cause.__cause__ or cause.__context__
    return "no connection"

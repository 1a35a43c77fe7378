"""Posting notices over HTTP, to addresses that may be called and to no others.

Whoever is called belongs to a label, so that the address, and not the name, decides whether it may
be called: it is looked up once, judged, and then the very address is connected to.
"""

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from socket import SOCK_STREAM
from urllib.parse import SplitResult

import httpx

from catalogue.errors import WebhookUrlUnfit
from catalogue.webhooks import parse_webhook_url

log = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

PATIENCE = timedelta(seconds=10)
"""How long one may take to answer."""

_LOOK_S = 0.2
_NAT64 = IPv6Network("64:ff9b::/96")
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """What is to be posted where; its headers are made when it is sent."""

    url: str
    body: bytes
    headers: Callable[[], Mapping[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of a letter: a status of HTTP, or ``words`` for there being none."""

    status: int | None = None
    words: str = ""

    @property
    def taken(self) -> bool:
        """Whether it was taken."""
        return self.status is not None and httpx.codes.is_success(self.status)

    @property
    def final(self) -> bool:
        """Whether nobody wants it sent again."""
        return self.status == httpx.codes.GONE

    def __str__(self) -> str:
        return self.words if self.status is None else str(self.status)


@dataclass(frozen=True, kw_only=True, slots=True)
class PostOffice:
    """Posts letters, all at once.

    ``own_networks`` may be called though they are not public, and by http as well. When the process
    ends, nobody is waited for.
    """

    own_networks: Sequence[Network]
    shutting_down: threading.Event

    def post(self, letters: Sequence[Letter]) -> list[Answer | None]:
        """Return what came of each; None of those that were broken off as the process ends."""
        return asyncio.run(self._post_all(letters))

    async def _post_all(self, letters: Sequence[Letter]) -> list[Answer | None]:
        # One for all of them: to read the certificates of authorities takes a while.
        async with httpx.AsyncClient(
            follow_redirects=False, trust_env=False, timeout=PATIENCE.total_seconds()
        ) as client:
            posting = [asyncio.ensure_future(self._post(client, letter)) for letter in letters]
            while (await asyncio.wait(posting, timeout=_LOOK_S))[1]:
                if self.shutting_down.is_set():
                    for each in posting:
                        each.cancel()
            return [None if each.cancelled() else each.result() for each in posting]

    async def _post(self, client: httpx.AsyncClient, letter: Letter) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                return Answer(status=await self._send(client, letter))
        except (TimeoutError, httpx.TimeoutException):
            return Answer(words=f"no answer within {PATIENCE.seconds} s")
        except WebhookUrlUnfit as fault:
            return Answer(words=fault.detail)
        except httpx.HTTPError as fault:
            return Answer(words=_describe(fault))
        except Exception:
            # Whatever one of them leads to, the others are sent.
            log.exception("a notice cannot be sent")
            return Answer(words="it cannot be sent")

    async def _send(self, client: httpx.AsyncClient, letter: Letter) -> int:
        parts = parse_webhook_url(letter.url)
        address = await self._resolve(parts)
        request = client.build_request(
            "POST",
            httpx.URL(letter.url).copy_with(host=str(address)),
            content=letter.body,
            headers={
                "host": parts.netloc,
                "content-type": "application/json",
                "user-agent": "lathe",
                **letter.headers(),
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


def _describe(fault: httpx.HTTPError) -> str:
    """Return why nothing was answered, in words that tell nothing of what else was there."""
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "its certificate is not to be trusted"
        cause = cause.__cause__ or cause.__context__
    return "no connection"

"""Notices: how they are signed, where they may go, and when they are sent again."""

import base64
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue.errors import WebhookUrlUnfit
from catalogue.webhooks import parse_webhook_url
from protection.webhooks import NoticeSigner, make_webhook_secret, show_secret
from workers.courier import pause_after
from workers.posting import is_public


def test_a_signature_is_that_of_standard_webhooks() -> None:
    # The example of the specification's reference implementations.
    signer = NoticeSigner(base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    now = datetime.fromtimestamp(1614265330, UTC)
    assert signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', now=now) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_secrets_are_of_32_bytes_and_seen_nowhere_by_accident() -> None:
    one, other = make_webhook_secret("whk_1"), make_webhook_secret("whk_1")
    assert one.secret != other.secret
    shown = show_secret(one)
    assert shown.startswith("whsec_")
    assert base64.b64decode(shown.removeprefix("whsec_")) == one.secret
    assert len(one.secret) == 32
    for said in (repr(one), repr(NoticeSigner(one.secret))):
        assert str(one.secret)[2:10] not in said and "secret" not in said


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
        *("::1", "::", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"),
        "2001:0:53aa:64c:0:0:80ff:fffe",
    ],
)
def test_no_address_of_the_inside_is_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_those_of_the_open_network_are(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *("https://label.example/lathe", "https://label.example:8443/a?b=c", "http://10.0.0.1/"),
        "https://[2606:4700::1111]/x",
    ],
)
def test_urls_that_can_be_called(url: str) -> None:
    assert parse_webhook_url(url).geturl() == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "label.example", "/lathe", "ftp://label.example/", "file:///etc/passwd"),
        *("https://", "https:///x", "https://ada:secret@label.example/", "https://a.example/#b"),
        *("https://a.example:0/", "https://a.example:99999/", "https://[::1/", "https://a b/"),
        *("https://a.example/\r\nx", "https://ä.example/", f"https://a.example/{'x' * 500}"),
    ],
)
def test_urls_that_cannot(url: str) -> None:
    with pytest.raises(WebhookUrlUnfit):
        parse_webhook_url(url)


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_is_refused(text: str) -> None:
    for url in (text, f"https://{text}"):
        with suppress(WebhookUrlUnfit):
            assert parse_webhook_url(url).hostname


def test_pauses_grow_and_end_after_three_days() -> None:
    pauses: list[timedelta] = []
    while (pause := pause_after(len(pauses) + 1)) is not None:
        pauses.append(pause)
    assert pauses == sorted(pauses) and len(set(pauses)) == len(pauses)
    assert pauses[0] <= timedelta(seconds=10)
    assert timedelta(days=3) < sum(pauses, timedelta(0)) < timedelta(days=4)

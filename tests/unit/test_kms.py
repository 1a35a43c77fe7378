"""AWS KMS by a recorded contract: the requests and answers of its API reference, held by botocore.

No KMS runs here; botocore's own model of the service checks both sides of every call.
"""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from catalogue.errors import KeyServiceRefused, KeyServiceUnavailable, SettingsInvalid
from protection.keyring import make_ring_key, parse_ring, seal_ring_key
from storage.kms import Kms

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET, SEALED = bytes(range(32)), b"\x01\x02\x02\x00sealed by the service"
CONTEXT = {"lathe": "content-keys", "kid": "k1"}
SETTING = "LATHE_CONTENT_KEYS"


@pytest.fixture
def recorded() -> Iterator[tuple[Kms, Stubber]]:
    """A KMS that answers what was recorded."""
    client = boto3.client(
        "kms",
        region_name="eu-central-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )
    with Stubber(client) as stubber:
        yield Kms(client), stubber
        stubber.assert_no_pending_responses()


def test_a_secret_is_made_where_nobody_sees_it(recorded: tuple[Kms, Stubber]) -> None:
    kms, stubber = recorded
    asked = {"KeyId": KEY, "NumberOfBytes": 32, "EncryptionContext": CONTEXT}
    answer = {"CiphertextBlob": SEALED, "KeyId": KEY}
    stubber.add_response("generate_data_key_without_plaintext", answer, asked)
    assert kms.make(KEY, "k1") == SEALED


def test_it_is_opened_for_its_own_id(recorded: tuple[Kms, Stubber]) -> None:
    kms, stubber = recorded
    asked = {"CiphertextBlob": SEALED, "EncryptionContext": CONTEXT}
    answer = {"KeyId": KEY, "Plaintext": SECRET, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
    stubber.add_response("decrypt", answer, asked)
    ring = parse_ring(
        f"{seal_ring_key('k1', SEALED)} {make_ring_key()}", SETTING, exact=True, unseal=kms.open
    )
    assert (ring.first_kid, ring.keys["k1"], len(ring.keys)) == ("k1", SECRET, 2)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidCiphertextException", KeyServiceRefused),
        ("AccessDeniedException", KeyServiceRefused),
        ("DisabledException", KeyServiceRefused),
        ("KMSInternalException", KeyServiceUnavailable),
        ("DependencyTimeoutException", KeyServiceUnavailable),
        ("ThrottlingException", KeyServiceUnavailable),
    ],
)
def test_its_refusals_are_named(
    recorded: tuple[Kms, Stubber], code: str, kind: type[Exception]
) -> None:
    kms, stubber = recorded
    stubber.add_client_error("decrypt", service_error_code=code, http_status_code=400)
    with pytest.raises(kind) as caught:
        kms.open("k1", SEALED)
    assert vars(caught.value)["measured"] == {"reason": code}


def test_a_service_that_is_away_is_told_of() -> None:
    class Away:
        def decrypt(self, **_: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="https://kms.eu-central-1.amazonaws.com/")

    with pytest.raises(KeyServiceUnavailable):
        Kms(Away()).open("k1", SEALED)


def test_a_ring_without_a_service_refuses_what_one_sealed() -> None:
    word = seal_ring_key("k1", SEALED)
    with pytest.raises(SettingsInvalid, match="sealed by a key service") as caught:
        parse_ring(word, "LATHE_URL_KEYS")
    assert word.split(":")[2] not in str(caught.value)


def test_what_a_service_opens_must_fit() -> None:
    with pytest.raises(SettingsInvalid, match="Key 1"):
        parse_ring(seal_ring_key("k1", SEALED), SETTING, exact=True, unseal=lambda *_: b"short")

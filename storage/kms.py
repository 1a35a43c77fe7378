"""AWS KMS as the keeper of the keys that wrap content keys: it seals them, and opens them at start.

Source: AWS Key Management Service API reference (GenerateDataKeyWithoutPlaintext, Decrypt). What is
sealed is bound to its id by the encryption context, so that one is not taken for another.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from catalogue.errors import KeyServiceRefused, KeyServiceUnavailable

_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S, _ATTEMPTS = 3, 10, 3
_SECRET_BYTES = 32
_AWAY = (
    "DependencyTimeoutException",
    "KMSInternalException",
    "KeyUnavailableException",
    "ThrottlingException",
    "LimitExceededException",
)


def open_kms() -> "Kms":
    """Return the KMS of the region and the credentials that the environment gives to boto3."""
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"max_attempts": _ATTEMPTS, "mode": "standard"},
    )
    with _reaching():
        return Kms(boto3.client("kms", config=config))


class Kms:
    """Secrets of 32 bytes that only the service can open. ``client`` is boto3's for ``kms``."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def make(self, key: str, kid: str) -> bytes:
        """Return a new secret, sealed by the service's ``key`` for the id ``kid``.

        Nobody has seen it. Raises KeyServiceUnavailable and KeyServiceRefused.
        """
        with _reaching():
            answer = self._client.generate_data_key_without_plaintext(
                KeyId=key, NumberOfBytes=_SECRET_BYTES, EncryptionContext=_context(kid)
            )
        return bytes(answer["CiphertextBlob"])

    def open(self, kid: str, sealed: bytes) -> bytes:
        """Return a secret. Raises KeyServiceUnavailable and KeyServiceRefused."""
        with _reaching():
            answer = self._client.decrypt(CiphertextBlob=sealed, EncryptionContext=_context(kid))
        return bytes(answer["Plaintext"])


def _context(kid: str) -> Mapping[str, str]:
    return {"lathe": "content-keys", "kid": kid}


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except ClientError as fault:
        code = str(fault.response.get("Error", {}).get("Code", ""))
        if code in _AWAY:
            raise KeyServiceUnavailable("It says that it is away.", reason=code) from fault
        raise KeyServiceRefused("It does not do what is asked.", reason=code) from fault
    except BotoCoreError as fault:
        raise KeyServiceUnavailable("It does not answer.", reason=type(fault).__name__) from fault

"""How notices are signed, so that whoever gets one knows who sent it, and when.

Source: Standard Webhooks 1.0.0. The signature is HMAC-SHA256 over ``id.timestamp.body``, in base64
after ``v1,``; a secret is 32 bytes, shown as ``whsec_`` and its base64.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from protection.content_keys import SECRET_BYTES, ContentKey

_SHOWN, _SCHEME = "whsec_", "v1"


@dataclass(frozen=True, slots=True)
class NoticeSigner:
    """Signs with the secret of one webhook."""

    secret: bytes = field(repr=False)

    def headers(self, message_id: str, body: bytes, *, now: datetime) -> Mapping[str, str]:
        """Return what tells a message that is sent now from a forged, altered or old one."""
        stamp = str(int(now.timestamp()))
        said = b".".join([message_id.encode(), stamp.encode(), body])
        signature = base64.b64encode(hmac.digest(self.secret, said, hashlib.sha256)).decode()
        return {
            "webhook-id": message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": f"{_SCHEME},{signature}",
        }


def make_webhook_secret(webhook_id: str) -> ContentKey:
    """Return a new secret, to be wrapped as a content key is."""
    return ContentKey(webhook_id, secrets.token_bytes(SECRET_BYTES))


def show_secret(key: ContentKey) -> str:
    """Return a secret as its owner is shown it, once."""
    return _SHOWN + base64.b64encode(key.secret).decode()

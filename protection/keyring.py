"""The ring of URL-signing keys: each has an id, one signs, all verify.

A ring is text, ``kid:secret kid:secret …`` with secrets in base64url of at least 32 bytes; the
first key signs. Rotation puts a new key in front and drops the last one after the longest life of
a URL. It comes from the environment, or, for a plant on one machine, from a file that lathe
makes itself, mode 0600.
"""

import base64
import binascii
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from catalogue.errors import SettingsInvalid

_KID = re.compile(r"[a-z0-9]{1,16}")
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyRing:
    """URL-signing keys by id; ``signing_kid`` is the one that signs. Never shown in a repr."""

    signing_kid: str
    keys: Mapping[str, bytes] = field(repr=False)


def parse_ring(text: str) -> KeyRing:
    """Return the ring that ``text`` spells. Raises SettingsInvalid, without quoting a secret."""
    keys: dict[str, bytes] = {}
    for place, word in enumerate(text.split(), start=1):
        kid, _, secret = word.partition(":")
        try:
            key = base64.b64decode(secret + "=" * (-len(secret) % 4), altchars="-_", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not _KID.fullmatch(kid) or kid in keys or len(key) < _SECRET_BYTES:
            raise SettingsInvalid(
                f"Key {place} of the ring needs an id of its own (a-z, 0-9) and 32 bytes or more "
                "in base64url.",
                setting="LATHE_URL_KEYS",
            )
        keys[kid] = key
    if not keys:
        raise SettingsInvalid("The ring holds no key.", setting="LATHE_URL_KEYS")
    return KeyRing(signing_kid=next(iter(keys)), keys=keys)


def load_or_make_ring(path: Path) -> KeyRing:
    """Return the ring in the file at ``path``, made with one fresh key when there is none.

    Raises SettingsInvalid when others than its owner may read the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
            file.write(f"{secrets.token_hex(4)}:{secret.rstrip('=')}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    with open(path, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise SettingsInvalid(
                f"{path} may be read by others: give it mode 0600.", mode=f"{mode:04o}"
            )
        return parse_ring(file.read().decode("utf-8", "replace"))

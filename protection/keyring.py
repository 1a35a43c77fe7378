"""Rings of keys: each has an id; the first makes what is new, and all open what was made before.

A ring is text, ``kid:secret kid:secret …`` with secrets in base64url of at least 32 bytes.
Rotation puts a new key in front and drops the last one when nothing is left that needs it. A ring
comes from the environment, or, for a plant on one machine, from a file that lathe makes itself,
mode 0600.
"""

import base64
import binascii
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from catalogue.errors import SettingsInvalid

_KID = re.compile(r"[a-z0-9]{1,16}")
_SECRET_BYTES = 32
_SEALED = "kms:"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id; the one of ``first_kid`` makes what is new. Never shown in a repr."""

    first_kid: str
    keys: Mapping[str, bytes] = field(repr=False)


Unseal = Callable[[str, bytes], bytes]
"""Gives the secret of the key of an id, from what a key service made of it."""


def parse_ring(
    text: str, setting: str, *, exact: bool = False, unseal: Unseal | None = None
) -> KeyRing:
    """Return the ring that ``text`` spells, which is that of a setting.

    With ``exact`` no secret may be longer than 32 bytes. A secret ``kms:…`` is what a key service
    sealed, and ``unseal`` opens it. Raises SettingsInvalid, without quoting a secret.
    """
    keys: dict[str, bytes] = {}
    for place, word in enumerate(text.split(), start=1):
        kid, _, secret = word.partition(":")
        sealed = secret.removeprefix(_SEALED)
        key = _decode(sealed)
        if sealed != secret and key and _KID.fullmatch(kid):
            if unseal is None:
                raise SettingsInvalid(
                    f"Key {place} of the ring is sealed by a key service, which this ring has not.",
                    setting=setting,
                )
            key = unseal(kid, key)
        fits = len(key) == _SECRET_BYTES or (len(key) > _SECRET_BYTES and not exact)
        if not _KID.fullmatch(kid) or kid in keys or not fits:
            raise SettingsInvalid(
                f"Key {place} of the ring needs an id of its own (a-z, 0-9) and 32 bytes "
                f"{'' if exact else 'or more '}in base64url.",
                setting=setting,
            )
        keys[kid] = key
    if not keys:
        raise SettingsInvalid("The ring holds no key.", setting=setting)
    return KeyRing(first_kid=next(iter(keys)), keys=keys)


def make_ring_key() -> str:
    """Return a new key as it stands in a ring."""
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).decode().rstrip("=")
    return f"{make_kid()}:{secret}"


def seal_ring_key(kid: str, sealed: bytes) -> str:
    """Return a key that a key service sealed, as it stands in a ring."""
    return f"{kid}:{_SEALED}{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"


def make_kid() -> str:
    """Return the id of a new key."""
    return secrets.token_hex(4)


def _decode(secret: str) -> bytes:
    """Return the bytes of a secret, none for what is no base64url."""
    try:
        return base64.b64decode(secret + "=" * (-len(secret) % 4), altchars="-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def load_or_make_ring(path: Path, setting: str, *, exact: bool = False) -> KeyRing:
    """Return the ring in the file at ``path``, made with one fresh key when there is none.

    ``setting`` and ``exact`` are those of ``parse_ring``.

    Raises SettingsInvalid when others than its owner may read the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{make_ring_key()}\n")
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
        return parse_ring(file.read().decode("utf-8", "replace"), setting, exact=exact)

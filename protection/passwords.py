"""Passwords: kept as Argon2id (RFC 9106), so that a stolen catalogue costs memory for each guess.

The stored form is that of the PHC string format, which carries its own parameters.
"""

import secrets
import unicodedata

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from catalogue.errors import PasswordUnfit

LENGTH_MIN, LENGTH_MAX = 8, 256
"""How many characters a password may have (NIST SP 800-63B asks for eight at least)."""

_MEMORY_KIB, _ITERATIONS, _LANES = 19 * 1024, 2, 1
_SALT_BYTES, _HASH_BYTES = 16, 32
_PARAMETERS = f"$argon2id$v=19$m={_MEMORY_KIB},t={_ITERATIONS},p={_LANES}$"


def require_fit(password: str) -> None:
    """Return when ``password`` can be used. Raises PasswordUnfit."""
    length = len(unicodedata.normalize("NFC", password))
    if not LENGTH_MIN <= length <= LENGTH_MAX:
        raise PasswordUnfit(f"It has {length} characters.", length=length)


def hash_password(password: str) -> str:
    """Return the stored form of a password."""
    kdf = Argon2id(
        salt=secrets.token_bytes(_SALT_BYTES),
        length=_HASH_BYTES,
        iterations=_ITERATIONS,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    )
    return str(kdf.derive_phc_encoded(_to_bytes(password)))


def is_password(password: str, stored: str | None) -> bool:
    """Return whether ``password`` is the one that is stored.

    Where nothing is stored it takes as long as where another is: whether an account exists cannot
    be told by the time.
    """
    try:
        Argon2id.verify_phc_encoded(_to_bytes(password), stored or _nobody_s())
    except InvalidKey:
        return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Return whether a stored form was made with other parameters than those of today."""
    return not stored.startswith(_PARAMETERS)


def _to_bytes(password: str) -> bytes:
    # One password may be typed as different code points on different keyboards.
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _nobody_s() -> str:
    salt, key = "A" * 22, "A" * 43
    return f"{_PARAMETERS}{salt}${key}"

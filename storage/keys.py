"""The key layout of every object, in one place.

    masters/{sha256}                       a master as received
    renditions/{rendition id}/{name}       the objects of a rendition
    renditions/sealed-{key id}/{name}      the same, sealed with a content key
    renditions/sleeve-{hash}/{name}        what goes with a master beside its sound

No part of a key is free text: ids, hashes and names are matched against their grammar here, so
that nothing a stranger typed can become a path.
"""

import re
from typing import NewType

from catalogue.errors import ObjectNotFound
from catalogue.nouns import RenditionId, Sha256

ObjectKey = NewType("ObjectKey", str)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_RENDITION = re.compile(r"[a-z0-9]+(-[a-z0-9]+){0,8}")
_NAME = re.compile(
    r"(init|preroll|[0-9]{5,8})\.(mp4|m4s|ogg|lso)"
    r"|[a-z]{1,12}(-[0-9]{1,4})?\.(jpg|png|svg|dat|json|m4a)"
)
_KEY = re.compile(rf"masters/{_SHA256.pattern}|renditions/{_RENDITION.pattern}/({_NAME.pattern})")


def master_key(sha256: Sha256) -> ObjectKey:
    """Return the key of a master as received. Raises ObjectNotFound for what is no hash."""
    return require_key(f"masters/{sha256}")


def rendition_key(rendition: RenditionId, name: str) -> ObjectKey:
    """Return the key of one object of a rendition. Raises ObjectNotFound outside the grammar."""
    return require_key(f"renditions/{rendition}/{name}")


def master_place(sha256: Sha256) -> str:
    """Return the place that a master's object is: see catalogue.port.Holds."""
    return master_key(sha256)


def rendition_place(rendition: RenditionId) -> str:
    """Return the place that holds the objects of a rendition. Raises ObjectNotFound."""
    return place_of(rendition_key(rendition, "init.mp4"))


def place_of(key: ObjectKey) -> str:
    """Return the place an object belongs to: what is collected together."""
    return "/".join(key.split("/")[:2])


def is_key(text: str) -> bool:
    """Return whether ``text`` is a key."""
    return len(text) <= 200 and _KEY.fullmatch(text) is not None


def require_key(text: str) -> ObjectKey:
    """Return ``text`` as a key. Raises ObjectNotFound when it is outside the grammar."""
    if not is_key(text):
        raise ObjectNotFound("The name is outside the grammar of keys.")
    return ObjectKey(text)

"""Wrapping keys with the ring's first key, page by page, while the plant goes on."""

from collections.abc import Callable
from dataclasses import replace

from catalogue.offline import ContentKeys, StoredContentKey
from catalogue.webhooks import Webhooks
from protection.content_keys import KeyWrapper

_PAGE = 500


def rewrap_all(
    keys: ContentKeys, wrapper: KeyWrapper, report: Callable[[int], None] = lambda _: None
) -> int:
    """Wrap every content key that another key of the ring wraps; return how many there were.

    Audio is not touched. What breaks off is gone on with, for what is done is not found again; a
    page is wrapped whole or not at all. ``report`` is told how many are done. Raises
    ContentKeyLost when the ring lacks a key that is still needed.
    """

    def wrap(key: StoredContentKey) -> StoredContentKey:
        content_key = wrapper.unwrap(key)
        return key._replace(kek=wrapper.kek, wrapped=wrapper.wrap(content_key).wrapped)

    done, after = 0, ""
    while page := keys.wrapped_otherwise(wrapper.kek, after=after, limit=_PAGE):
        keys.rewrap([wrap(key) for key in page])
        done, after = done + len(page), page[-1].id
        report(done)
    return done


def rewrap_webhooks(webhooks: Webhooks, wrapper: KeyWrapper) -> int:
    """Wrap the secrets of webhooks that another key of the ring wraps; return how many there were.

    Raises ContentKeyLost when the ring lacks a key that is still needed.
    """
    found = webhooks.wrapped_otherwise(wrapper.kek)
    changed = []
    for webhook in found:
        secret = wrapper.unwrap(webhook)
        wrapped = wrapper.wrap(secret)
        changed.append(replace(webhook, kek=wrapper.kek, wrapped=wrapped.wrapped))
    webhooks.rewrap(changed)
    return len(changed)

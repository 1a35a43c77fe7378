"""What a catalogue of messages promises: see catalogue.messages.Messages."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from catalogue.errors import Unavailable
from catalogue.messages import Messages, StoredMessage
from tests.contract.conftest import Catalogue
from tests.contract.examples import NOON

HOUR = timedelta(hours=1)
MESSAGE = StoredMessage(
    id="MSG-1",
    label="the-label",
    release="0123456789012",
    created_at=NOON,
    received_at=NOON + HOUR,
    applied=True,
    acknowledgement="<ok>ü</ok>".encode(),
)


def test_a_message_is_found_by_its_label_and_id(catalogue: Catalogue) -> None:
    messages = catalogue.messages
    assert messages.find("the-label", "MSG-1") is None
    messages.keep(MESSAGE)
    messages.keep(replace(MESSAGE, acknowledgement=b"another"))
    messages.keep(replace(MESSAGE, label="another", applied=False))
    assert messages.find("the-label", "MSG-1") == MESSAGE
    assert messages.find("another", "MSG-1") == replace(MESSAGE, label="another", applied=False)
    assert messages.find("the-label", "MSG-2") is None


def test_the_newest_message_of_a_release_is_known(catalogue: Catalogue) -> None:
    messages = catalogue.messages
    assert messages.newest("the-label", MESSAGE.release) is None
    for number, hours in enumerate((1, 3, 2)):
        messages.keep(replace(MESSAGE, id=f"{number}", created_at=NOON + hours * HOUR))
    messages.keep(replace(MESSAGE, id="9", created_at=NOON + 9 * HOUR, applied=False))
    messages.keep(replace(MESSAGE, id="8", created_at=NOON + 8 * HOUR, release="other"))
    messages.keep(replace(MESSAGE, id="7", created_at=NOON + 7 * HOUR, label="another"))
    assert messages.newest("the-label", MESSAGE.release) == NOON + 3 * HOUR


@pytest.mark.parametrize("method", [name for name in vars(Messages) if not name.startswith("_")])
def test_messages_that_are_away_say_so(away_catalogue: Catalogue, method: str) -> None:
    messages = away_catalogue.messages
    calls: dict[str, Callable[[], object]] = {
        "find": lambda: messages.find("the-label", "MSG-1"),
        "newest": lambda: messages.newest("the-label", "x"),
        "keep": lambda: messages.keep(MESSAGE),
    }
    with pytest.raises(Unavailable):
        calls[method]()

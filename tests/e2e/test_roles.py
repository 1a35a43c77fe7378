"""What each role may do over HTTP: the table of permissions, at the doors."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from catalogue.errors import JobNotFound, RoleMayNot
from catalogue.people import Role
from catalogue.permissions import Action
from tests.audio_tools import FIXTURES
from tests.e2e.servers import QuickPlant, accepted, deliver, wait_for_job
from tests.e2e.test_problems import require_problem
from tests.unit.test_permissions import CELLS

OWN_LABEL = "development"
OPTIONS = {
    Role.USER: ("--plan", "free"),
    Role.PREMIUM: ("--plan", "premium"),
    Role.LABEL: ("--role", "label", "--label", OWN_LABEL),
}
# The requests of one who may, and how each is answered.
DOORS: dict[Action, tuple[str, str, Any, int]] = {
    Action.STREAM: ("GET", "/v1/tracks/{own_track}/manifest", None, 200),
    Action.MATCH: ("GET", "/v1/matches", None, 200),
    Action.DOWNLOAD: ("POST", "/v1/devices/challenges", {}, 201),
    Action.DELIVER: ("PUT", "/v1/tracks/none/takedown", None, 404),
    Action.SEE_EVERY_JOB: ("GET", "/v1/jobs/{other_job}", None, 200),
    Action.EXPLAIN: ("GET", "/v1/tracks/{own_track}/explanation?account={account}", None, 200),
    Action.MANAGE_ACCOUNTS: ("GET", "/v1/accounts", None, 200),
    Action.EXPORT_KEYS: ("POST", "/v1/cpix", {"partner": "none", "track_ids": ["none"]}, 404),
}

MISSING = ("partner-not-found", "track-not-found")


class House:
    """A plant with an account of every role, and what two labels delivered to it."""

    def __init__(self, plant: QuickPlant, stack: ExitStack) -> None:
        self.names: dict[str, str] = {}
        for whose, key, isrc in (
            ("own", plant.key, "ZZTST2600001"),
            ("other", plant.make_key("another"), "ZZTST2600002"),
        ):
            with plant.client(key) as label:
                job = accepted(deliver(label, FIXTURES / "canon-1.flac", isrc=isrc))
                self.names[f"{whose}_job"] = job
                self.names[f"{whose}_track"] = wait_for_job(label, job)["track_id"]
        self.clients: dict[Role, httpx.Client] = {}
        for role in Role:
            email = f"{role}@example.org"
            options = OPTIONS.get(role, ("--role", role.value))
            self.names["account"] = plant.make_account(email, *options)
            self.clients[role] = stack.enter_context(plant.signed_in(email))

    def ask(self, client: httpx.Client, action: Action) -> httpx.Response:
        method, path, said, _ = DOORS[action]
        return client.request(method, path.format(**self.names), json=said)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("roles")
    with ExitStack() as stack:
        plant = stack.enter_context(QuickPlant(folder / "state", GUESTS=""))
        yield House(plant, stack)


@pytest.mark.parametrize(("role", "action", "allowed"), CELLS)
def test_a_door_opens_to_whom_the_table_says(
    house: House, role: Role, action: Action, allowed: bool
) -> None:
    answer = house.ask(house.clients[role], action)
    if allowed:
        assert answer.status_code == DOORS[action][3], answer.text
        assert answer.status_code < 300 or answer.json()["code"] in MISSING
    elif (role, action) == (Role.LABEL, Action.SEE_EVERY_JOB):
        # A label sees its own; of others it is not told that there are any.
        require_problem(answer, JobNotFound)
    else:
        require_problem(answer, RoleMayNot)


@pytest.mark.parametrize("action", list(Action))
def test_no_door_opens_to_who_has_not_signed_in(house: House, action: Action) -> None:
    with httpx.Client(base_url=house.clients[Role.USER].base_url) as guest:
        assert house.ask(guest, action).status_code == 401

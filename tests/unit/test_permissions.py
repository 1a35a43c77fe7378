"""What each role may do, cell by cell."""

import pytest

from catalogue.errors import RoleMayNot
from catalogue.people import Plan, Role
from catalogue.permissions import Action, may, require, settle_role

TABLE = """
                 user  premium  curator  label  operator  admin
stream           yes   yes      yes      yes    yes       yes
match            no    yes      yes      no     no        yes
download         no    yes      yes      no     no        yes
deliver          no    no       no       yes    no        no
see-every-job    no    no       no       no     yes       yes
explain          no    no       yes      no     yes       yes
manage-accounts  no    no       no       no     no        yes
export-keys      no    no       no       no     yes       yes
"""
HEAD, *ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [
    (Role(role), Action(row[0]), answer == "yes")
    for row in ROWS
    for role, answer in zip(HEAD, row[1:], strict=True)
]


def test_the_table_is_whole() -> None:
    cells = {(role, action) for role, action, _ in CELLS}
    assert cells == {(role, action) for role in Role for action in Action}


@pytest.mark.parametrize(("role", "action", "allowed"), CELLS)
def test_a_cell(role: Role, action: Action, allowed: bool) -> None:
    assert may(role, action) is allowed
    if allowed:
        require(role, action)
        return
    with pytest.raises(RoleMayNot) as caught:
        require(role, action)
    assert caught.value.measured == {"role": role, "action": action}


@pytest.mark.parametrize("plan", list(Plan))
def test_a_listener_s_role_follows_its_plan_and_no_other_does(plan: Plan) -> None:
    listener = Role.PREMIUM if plan is Plan.PREMIUM else Role.USER
    for role in Role:
        listens = role in (Role.USER, Role.PREMIUM)
        assert settle_role(role, plan) is (listener if listens else role)

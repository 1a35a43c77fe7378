"""What each role may do: one table, which the doors ask and the documentation shows."""

from collections.abc import Mapping
from enum import StrEnum

from catalogue.errors import RoleMayNot
from catalogue.people import Plan, Role


class Action(StrEnum):
    """Something that not everybody may do."""

    STREAM = "stream"
    MATCH = "match"
    DOWNLOAD = "download"
    DELIVER = "deliver"
    SEE_EVERY_JOB = "see-every-job"
    EXPLAIN = "explain"
    MANAGE_ACCOUNTS = "manage-accounts"
    EXPORT_KEYS = "export-keys"


PERMISSIONS: Mapping[Role, frozenset[Action]] = {
    Role.USER: frozenset({Action.STREAM}),
    Role.PREMIUM: frozenset({Action.STREAM, Action.MATCH, Action.DOWNLOAD}),
    Role.CURATOR: frozenset({Action.STREAM, Action.MATCH, Action.DOWNLOAD, Action.EXPLAIN}),
    # What a label streams is its own; see catalogue.licensing.
    Role.LABEL: frozenset({Action.STREAM, Action.DELIVER}),
    Role.OPERATOR: frozenset(
        {Action.STREAM, Action.SEE_EVERY_JOB, Action.EXPLAIN, Action.EXPORT_KEYS}
    ),
    Role.ADMIN: frozenset(
        {
            Action.STREAM,
            Action.MATCH,
            Action.DOWNLOAD,
            Action.SEE_EVERY_JOB,
            Action.EXPLAIN,
            Action.MANAGE_ACCOUNTS,
            Action.EXPORT_KEYS,
        }
    ),
}

LISTENERS = frozenset({Role.USER, Role.PREMIUM})
"""The roles that follow from a plan; all others are given."""


def may(role: Role, action: Action) -> bool:
    """Return whether ``role`` may do ``action``."""
    return action in PERMISSIONS[role]


def require(role: Role, action: Action) -> None:
    """Return when ``role`` may do ``action``. Raises RoleMayNot."""
    if not may(role, action):
        raise RoleMayNot(f"The role {role} may not {action}.", role=role, action=action)


def settle_role(role: Role, plan: Plan) -> Role:
    """Return the role that goes with a plan: a listener's follows it, any other stays."""
    if role not in LISTENERS:
        return role
    return Role.PREMIUM if plan is Plan.PREMIUM else Role.USER

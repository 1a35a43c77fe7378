"""Operators see here why somebody may hear a track somewhere, or may not."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime, BaseModel, Field

from catalogue import errors
from catalogue.auditing import decisions_since
from catalogue.identifiers import parse_home
from catalogue.licensing import explain, listener_of
from catalogue.nouns import AccountId, TrackId, Use
from catalogue.permissions import Action
from origin.access import SESSION_REFUSALS, Parts, counted, requires
from origin.problems import responses
from origin.throttle import Category
from origin.tracks import Wished

router = APIRouter(
    prefix="/v1",
    tags=["tracks"],
    dependencies=[counted(Category.ADMIN), Depends(requires(Action.EXPLAIN))],
    responses=responses(errors.TooManyRequests),
)


class Answer(BaseModel):
    """The answer to one question that the rules ask."""

    question: str = Field(
        examples=["owner", "role", "takedown", "territory", "period", "use", "quality"]
    )
    told: str
    code: str | None = Field(description="of the refusal, where the answer is no")


class Change(BaseModel):
    """What was changed of the track or the account: when, and from what to what."""

    at: AwareDatetime
    deed: str = Field(examples=["account-changed", "rights-set", "taken-down", "restored"])
    details: dict[str, Any]


class Explanation(BaseModel):
    """Every question in order, up to and with the first no, by what is recorded now.

    ``changed_since`` is what was changed of that from the moment asked about until now.
    """

    granted: bool
    territory: str | None
    at: AwareDatetime
    answers: list[Answer]
    changed_since: list[Change]


@router.get(
    "/tracks/{track_id}/explanation",
    responses=responses(
        *SESSION_REFUSALS,
        errors.RoleMayNot,
        errors.TrackNotFound,
        errors.AccountNotFound,
        errors.RequestInvalid,
        errors.TerritoryUnknown,
    ),
)
def get_explanation(
    track_id: Annotated[str, Path(max_length=60)],
    account: Annotated[str, Query(max_length=60, description="the id of an account")],
    parts: Parts,
    wish: Wished,
    territory: Annotated[
        str | None, Query(max_length=40, description="what an edge would say")
    ] = None,
    at: Annotated[AwareDatetime | None, Query(description="now if left out")] = None,
    use: Use = Use.STREAM,
) -> Explanation:
    """Return why an account may hear a track, or why not, somewhere at some time."""
    place = parts.territory if territory is None else parse_home(territory)
    asked = parts.accounts.get(AccountId(account))
    listener = listener_of(asked, session=asked.id, territory=place)
    today = parts.now()
    moment = at or today
    subjects = [track_id, asked.id]
    changes = [] if moment >= today else decisions_since(moment, parts.audits, subjects)
    findings = explain(
        parts.tracks.get(TrackId(track_id)), listener, use=use, wish=wish, now=moment
    )
    return Explanation(
        granted=findings[-1].fault is None,
        territory=listener.territory,
        at=moment,
        answers=[
            Answer(
                question=finding.question,
                told=finding.told,
                code=None if finding.fault is None else finding.fault.code,
            )
            for finding in findings
        ],
        changed_since=[
            Change(at=change.at, deed=change.deed, details=dict(change.details))
            for change in changes
        ],
    )

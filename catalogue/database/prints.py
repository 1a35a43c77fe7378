"""Fingerprints in SQL, and the index of their terms."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    ARRAY,
    BindParameter,
    Connection,
    Engine,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.selectable import TableValuedAlias

from catalogue.database.engine import insert_all, insert_new, reading, writing
from catalogue.database.schema import (
    features,
    fingerprints,
    masters,
    renditions,
    terms,
    track_renditions,
    tracks,
)
from catalogue.nouns import Features, Fingerprint, Print, Sha256, TrackId
from catalogue.port import POSITION_BITS, Recipes, TrackOf

_FEATURES = TypeAdapter(Features)
_others = terms.alias()
_LAST_POSITION = (1 << POSITION_BITS) - 1


class SqlPrints:
    """See catalogue.port.Prints."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def postings(self, wanted: Collection[int], *, most: int) -> Sequence[tuple[int, int]]:
        """See Prints.postings."""
        if not wanted:
            return []
        dialect, numbers = self._engine.dialect.name, sorted(wanted)
        given = numbers if dialect == "postgresql" else json.dumps(numbers)
        with reading(self._engine) as connection:
            asked = {"wanted": given, "before": most - 1}
            return connection.execute(_postings(dialect), asked).tuples().all()

    def read(self, numbers: Collection[int]) -> list[Print]:
        """See Prints.read."""
        query = select(fingerprints).where(fingerprints.c.number.in_(numbers))
        with reading(self._engine) as connection:
            return [
                Print(
                    number=row.number,
                    master_sha256=Sha256(row.master_sha256),
                    encoded=row.encoded,
                )
                for row in connection.execute(query)
            ]

    def tracks_of(self, master_sha256: Sha256) -> list[TrackOf]:
        """See Prints.tracks_of."""
        query = (
            select(tracks.c.id, tracks.c.label)
            .join(track_renditions, track_renditions.c.track_id == tracks.c.id)
            .join(renditions, renditions.c.id == track_renditions.c.rendition_id)
            .where(renditions.c.master_sha256 == master_sha256, tracks.c.owner.is_(None))
            .distinct()
            .order_by(tracks.c.id)
        )
        with reading(self._engine) as connection:
            return [
                TrackOf(track_id=TrackId(row.id), label=row.label)
                for row in connection.execute(query)
            ]

    def hidden(self, master_sha256: Sha256) -> str | None:
        """See Prints.hidden."""
        query = (
            select(fingerprints.c.encoded)
            .join(masters, masters.c.sha256 == fingerprints.c.master_sha256)
            .where(masters.c.sha256 == master_sha256, ~masters.c.public)
        )
        with reading(self._engine) as connection:
            found: str | None = connection.execute(query).scalar()
            return found

    def unheard(self, *, recipes: Recipes, after: str, limit: int) -> list[Sha256]:
        """See Prints.unheard."""
        own = masters.c.sha256
        heard = exists().where(
            features.c.master_sha256 == own, features.c.recipe == recipes.features
        )
        printed = exists().where(
            fingerprints.c.master_sha256 == own, fingerprints.c.recipe == recipes.fingerprint
        )
        query = select(own).where(own > after, or_(~heard, ~printed)).order_by(own).limit(limit)
        with reading(self._engine) as connection:
            return list(map(Sha256, connection.execute(query).scalars()))

    def keep(
        self,
        master_sha256: Sha256,
        *,
        features: Features,
        fingerprint: Fingerprint,
        now: datetime,
    ) -> None:
        """See Prints.keep."""
        with writing(self._engine) as connection:
            keep_heard(connection, master_sha256, features, fingerprint, now)

    def twins(self, pcm_sha256: Sha256) -> list[Sha256]:
        """See Prints.twins."""
        query = select(masters.c.sha256).where(masters.c.pcm_sha256 == pcm_sha256)
        with reading(self._engine) as connection:
            return list(
                map(Sha256, connection.execute(query.order_by(masters.c.created_at)).scalars())
            )


@cache
def _postings(dialect: str) -> Select[tuple[int, int]]:
    """Return the query for the places of ``wanted`` terms that have no more than ``before`` + 1.

    It is written once: to build it takes as long as to run it. The terms are one parameter however
    many they are, a list in PostgreSQL and JSON in SQLite.
    """
    asked: TableValuedAlias
    if dialect == "postgresql":
        wanted: BindParameter[Any] = bindparam("wanted", type_=ARRAY(Integer))
        asked = func.unnest(wanted).table_valued("value").render_derived()
    else:
        asked = func.json_each(bindparam("wanted", type_=Text)).table_valued("value")
    another = select(literal(1)).where(_others.c.term == asked.c.value).correlate(asked)
    before: BindParameter[int] = bindparam("before", type_=Integer)
    is_rare = another.limit(1).offset(before).scalar_subquery().is_(None)
    found = select(terms.c.term, terms.c.place).select_from(asked)
    return found.join(terms, terms.c.term == asked.c.value).where(is_rare)


def keep_heard(
    connection: Connection,
    master_sha256: Sha256,
    heard: Features,
    fingerprint: Fingerprint,
    now: datetime,
) -> None:
    """Keep what was heard in a master, in the place of what was heard before.

    It can be found by its fingerprint if it is public.
    """
    said = {"recipe": heard.recipe, "heard": _FEATURES.dump_python(heard, mode="json")}
    row = {"master_sha256": master_sha256, "created_at": now, **said}
    if not insert_new(connection, features, row):
        known = features.c.master_sha256 == master_sha256
        connection.execute(update(features).where(known).values(**row))
    keep_fingerprint(connection, master_sha256, fingerprint, now)


def keep_fingerprint(
    connection: Connection, master_sha256: Sha256, fingerprint: Fingerprint, now: datetime
) -> None:
    """Keep a master's fingerprint, in the place of one of another recipe; index a public one's."""
    own = fingerprints.c.master_sha256 == master_sha256
    made = {
        "recipe": fingerprint.recipe,
        "encoded": fingerprint.encoded,
        "created_at": now,
    }
    if not insert_new(connection, fingerprints, {"master_sha256": master_sha256, **made}):
        other = and_(own, fingerprints.c.recipe != fingerprint.recipe)
        if connection.execute(update(fingerprints).where(other).values(**made)).rowcount != 1:
            return
    public = select(masters.c.public).where(masters.c.sha256 == master_sha256)
    if connection.execute(public).scalar_one():
        _index(connection, master_sha256, fingerprint)


def reveal(
    connection: Connection, master_sha256: Sha256, fingerprint: Fingerprint, now: datetime
) -> None:
    """Make a master public if it is not, so that it is found by what was heard in it."""
    hidden = update(masters).where(masters.c.sha256 == master_sha256, ~masters.c.public)
    if connection.execute(hidden.values(public=True)).rowcount == 1:
        # Whoever follows what is heard meets it now.
        heard = update(features).where(features.c.master_sha256 == master_sha256)
        connection.execute(heard.values(created_at=now))
        _index(connection, master_sha256, fingerprint)


def _index(connection: Connection, master_sha256: Sha256, fingerprint: Fingerprint) -> None:
    # The postings of an outdated recipe stay: they lead to the same recording.
    own = fingerprints.c.master_sha256 == master_sha256
    number = connection.execute(select(fingerprints.c.number).where(own)).scalar_one()
    insert_all(
        connection,
        terms,
        [
            {"term": term, "place": number << POSITION_BITS | position}
            for term, position in fingerprint.terms
            if position <= _LAST_POSITION
        ],
    )

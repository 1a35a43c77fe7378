"""What each master is known by again, and which tracks a delivery resembles."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "fingerprints",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("master_sha256", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.String(length=20), nullable=False),
        sa.Column("encoded", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["master_sha256"], ["masters.sha256"], name=op.f("fk_fingerprints_master_sha256")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_fingerprints")),
        sa.UniqueConstraint("master_sha256", name=op.f("uq_fingerprints_master_sha256")),
    )
    op.create_table(
        "terms",
        sa.Column("term", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", _NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("term", "place", name=op.f("pk_terms")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_features_recipe_created_at"), "features", ["recipe", "created_at"])
    op.add_column("jobs", sa.Column("resembles", sa.JSON(), nullable=True))
    op.add_column(
        "jobs",
        sa.Column("approved", sa.Boolean(), server_default=sa.false(), nullable=False),
    )

"""What manifests need of a track in one row, and what API keys are good for."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply."""
    for table in ("albums", "tracks"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(
                sa.Column("edition", sa.Integer(), server_default="0", nullable=False)
            )
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("name", sa.String(length=200), server_default=sa.text("''"), nullable=False)
        )
        batch_op.add_column(
            sa.Column(
                "scopes",
                sa.String(length=60),
                server_default="deliver see stream",
                nullable=False,
            )
        )
        batch_op.add_column(sa.Column("used_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("revoked_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "cards",
        sa.Column("track_id", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("album_edition", sa.Integer(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("renditions", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["track_id"], ["tracks.id"], name=op.f("fk_cards_track_id")),
        sa.PrimaryKeyConstraint("track_id", name=op.f("pk_cards")),
    )

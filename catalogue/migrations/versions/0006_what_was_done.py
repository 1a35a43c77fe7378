"""Who did what, for good; and what manifests say of a rendition, written once."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "audits",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("deed", sa.String(length=24), nullable=False),
        sa.Column("subject", sa.String(length=320), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audits")),
    )
    op.create_index(op.f("ix_audits_at"), "audits", ["at"])
    op.create_index(op.f("ix_audits_subject"), "audits", ["subject"])
    op.create_table(
        "faces",
        sa.Column("rendition_id", sa.String(length=80), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("brief", sa.Text(), nullable=False),
        sa.Column("face", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["rendition_id"], ["renditions.id"], name=op.f("fk_faces_rendition_id")
        ),
        sa.PrimaryKeyConstraint("rendition_id", "version", name=op.f("pk_faces")),
    )

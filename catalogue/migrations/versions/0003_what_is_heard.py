"""What is heard in each master."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "features",
        sa.Column("master_sha256", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.String(length=20), nullable=False),
        sa.Column("heard", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["master_sha256"], ["masters.sha256"], name=op.f("fk_features_master_sha256")
        ),
        sa.PrimaryKeyConstraint("master_sha256", name=op.f("pk_features")),
    )

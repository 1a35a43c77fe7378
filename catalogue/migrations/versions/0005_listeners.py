"""Who listens, where they are signed in, what is theirs alone, and what holds when and where."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("password", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("plan", sa.String(length=12), nullable=False),
        sa.Column("territory", sa.String(length=12), nullable=True),
        sa.Column("label", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("address", name=op.f("uq_accounts_address")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_sessions_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_sessions_token_sha256")),
    )
    op.create_index(op.f("ix_sessions_account_id"), "sessions", ["account_id"])
    op.create_table(
        "albums",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("upc", sa.String(length=14), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_albums")),
        sa.UniqueConstraint("label", "upc", name=op.f("uq_albums_label_upc")),
    )
    op.add_column("tracks", sa.Column("album_id", sa.String(length=40), nullable=True))
    op.add_column("tracks", sa.Column("disc", sa.Integer(), nullable=True))
    op.add_column("tracks", sa.Column("number", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_tracks_album_id"), "tracks", ["album_id"])
    op.create_table(
        "playbacks",
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.String(length=40), nullable=False),
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_playbacks_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_playbacks")),
    )
    op.add_column("rights", sa.Column("windows", sa.JSON(), nullable=True))
    op.add_column("tracks", sa.Column("taken_down_at", sa.BigInteger(), nullable=True))
    for table in ("tracks", "deliveries"):
        op.add_column(table, sa.Column("owner", sa.String(length=40), nullable=True))
        op.create_index(op.f(f"ix_{table}_owner"), table, ["owner"])
    op.add_column(
        "deliveries",
        sa.Column("kept", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
    op.add_column(
        "masters",
        sa.Column("public", sa.Boolean(), server_default=sa.true(), nullable=False),
    )

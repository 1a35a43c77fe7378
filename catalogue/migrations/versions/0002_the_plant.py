"""Queues, attempts, drained queues, and what keeps objects from being collected."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _queue() -> sa.Column[str]:
    return sa.Column("queue", sa.String(length=12), nullable=False, server_default="urgent")


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.add_column(_queue())
        batch_op.create_index(
            batch_op.f("ix_deliveries_master_sha256"), ["master_sha256"], unique=False
        )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(_queue())
        batch_op.add_column(sa.Column("worker", sa.String(length=120), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_jobs_state_queue_due_at"), ["state", "queue", "due_at"], unique=False
        )

    op.create_table(
        "attempts",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("claim", sa.String(length=40), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("worker", sa.String(length=120), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ending", sa.String(length=12), nullable=True),
        sa.Column("code", sa.String(length=60), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_attempts_job_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_attempts")),
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempts_claim"), ["claim"], unique=False)
        batch_op.create_index(batch_op.f("ix_attempts_job_id"), ["job_id"], unique=False)

    op.create_table(
        "drained_queues",
        sa.Column("queue", sa.String(length=12), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_drained_queues")),
    )
    op.create_table(
        "holds",
        sa.Column("place", sa.String(length=120), nullable=False),
        sa.Column("holder", sa.String(length=40), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("place", "holder", name=op.f("pk_holds")),
    )
    op.create_table(
        "condemned",
        sa.Column("place", sa.String(length=120), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_condemned")),
    )

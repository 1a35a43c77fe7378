"""Writing down what webhooks are to be told, in the transaction of the change itself."""

from sqlalchemy import Connection, and_, insert, literal, null, or_, select

from catalogue.database.schema import deliveries, jobs, notices, webhooks
from catalogue.nouns import JobId


def note_change(connection: Connection, job_id: JobId) -> None:
    """Let the webhooks of a job's label be told of the state that the job has come to.

    What listeners own has no label.
    """
    own = and_(
        jobs.c.id == job_id, deliveries.c.id == jobs.c.delivery_id, deliveries.c.owner.is_(None)
    )
    # No state's name is a part of another's.
    wanted = or_(webhooks.c.states == "", webhooks.c.states.contains(jobs.c.state))
    told = select(
        webhooks.c.id,
        jobs.c.id,
        jobs.c.state,
        jobs.c.reason,
        jobs.c.updated_at,
        literal(0),
        jobs.c.updated_at,
        null(),
        literal(""),
    ).where(own, webhooks.c.label == deliveries.c.label, wanted)
    names = [
        *("webhook_id", "job_id", "state", "reason", "at"),
        *("attempts", "due_at", "delivered_at", "answer"),
    ]
    connection.execute(insert(notices).from_select(names, told))

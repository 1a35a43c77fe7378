"""The life of a job: every state, every event, and where each event leads. The only place."""

from collections.abc import Mapping
from enum import StrEnum

from catalogue.nouns import JobState


class JobEvent(StrEnum):
    """What can happen to a job."""

    CLAIM = "claim"
    TAKE_OVER = "take-over"
    RELEASE = "release"
    RETRY = "retry"
    MOVE = "move"
    PUBLISH = "publish"
    FAIL = "fail"
    QUARANTINE = "quarantine"
    CANCEL = "cancel"
    REVIVE = "revive"
    WITHHOLD = "withhold"
    APPROVE = "approve"


_QUEUED, _RUNNING, _DONE = JobState.QUEUED, JobState.RUNNING, JobState.DONE
_FAILED, _QUARANTINED, _CANCELLED = JobState.FAILED, JobState.QUARANTINED, JobState.CANCELLED
_HELD = JobState.HELD

_EDGES: Mapping[JobEvent, tuple[frozenset[JobState], JobState]] = {
    JobEvent.CLAIM: (frozenset({_QUEUED}), _RUNNING),
    JobEvent.TAKE_OVER: (frozenset({_RUNNING}), _RUNNING),
    JobEvent.RELEASE: (frozenset({_RUNNING}), _QUEUED),
    JobEvent.RETRY: (frozenset({_RUNNING}), _QUEUED),
    JobEvent.MOVE: (frozenset({_RUNNING}), _QUEUED),
    JobEvent.PUBLISH: (frozenset({_RUNNING}), _DONE),
    JobEvent.FAIL: (frozenset({_RUNNING}), _FAILED),
    JobEvent.QUARANTINE: (frozenset({_QUEUED, _RUNNING, _FAILED}), _QUARANTINED),
    JobEvent.CANCEL: (frozenset({_QUEUED, _RUNNING, _HELD}), _CANCELLED),
    JobEvent.REVIVE: (frozenset({_FAILED, _QUARANTINED, _CANCELLED, _HELD}), _QUEUED),
    JobEvent.WITHHOLD: (frozenset({_RUNNING}), _HELD),
    JobEvent.APPROVE: (frozenset({_HELD}), _QUEUED),
}


def states_before(event: JobEvent) -> frozenset[JobState]:
    """Return the states in which ``event`` can happen."""
    return _EDGES[event][0]


def state_after(event: JobEvent) -> JobState:
    """Return the state that ``event`` leads to."""
    return _EDGES[event][1]

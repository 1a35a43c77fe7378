import pytest

from catalogue.lifecycle import JobEvent, state_after, states_before
from catalogue.nouns import JobState

EDGES = {(before, state_after(event)) for event in JobEvent for before in states_before(event)}


def test_every_state_but_the_first_is_reached_and_every_event_leads_somewhere() -> None:
    assert {after for _, after in EDGES} == set(JobState)
    assert all(states_before(event) for event in JobEvent)


@pytest.mark.parametrize("state", [state for state in JobState if state.final])
def test_a_final_state_is_left_only_because_an_operator_says_so(state: JobState) -> None:
    events = {event for event in JobEvent if state in states_before(event)}
    assert events <= {JobEvent.REVIVE, JobEvent.QUARANTINE, JobEvent.APPROVE, JobEvent.CANCEL}


def test_what_is_done_stays_done() -> None:
    assert all(JobState.DONE not in states_before(event) for event in JobEvent)

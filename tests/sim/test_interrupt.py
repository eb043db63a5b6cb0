"""Ctrl-C in the midst of an event: the event is finished, then the run ends, and its tables are whole."""

import signal

import pytest

from twin.hall.reader import load_hall
from twin.policy import first_fit
from twin.results.balance import assert_balanced
from twin.sim.scenario import QUIET
from twin.sim.simulate import Settings, simulate
from twin.workload.jobs import Workload


class Interrupting(list):
    """A column of the log: Ctrl-C comes while its next entry is written, when other columns have theirs already."""

    def append(self, entry):
        if len(self) == self.at:
            signal.raise_signal(signal.SIGINT)
        super().append(entry)


@pytest.fixture
def terminal():
    """Ctrl-C means what it means at a terminal, however this suite was started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_event_is_finished_before_a_run_ends(terminal, a_job):
    def watch(world):
        world.log._kind = Interrupting(world.log._kind)
        world.log._kind.at = len(world.log._kind) + 2

    jobs = tuple(a_job(f"job-{number}", 9, 600.0, submit=100.0 * number) for number in range(1, 9))
    work = Workload("told", jobs, (), {})
    result = simulate(
        load_hall("small"), work, first_fit, QUIET, seed=0, until=3_600.0, settings=Settings(), watch=watch
    )
    assert not result.complete
    assert 0.0 < result.simulated_seconds < 1_000.0
    assert result.tables["events"]["kind"].iloc[-1] == "run_ended"
    assert_balanced(result.metrics)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

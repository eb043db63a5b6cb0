"""Decisions of the thermal-aware policy over a thousand racks, as a service would take them."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twin.places import conf_dir
from twin.policy.aware import thermal_aware
from twin.policy.check import RACKS_PER_ROW, example
from twin.policy.protocol import JobRequest
from twin.sim.policy_files import policy_document

RACKS = 1_000
CALLS = 40  # of each, of which the mean counts
ONE = JobRequest("job-1", "inference", 2, True, 10, 5_000.0)
GANG = JobRequest("job-2", "training", 72, False, 5, 5_000.0)
MICRO, MILLI = 1e6, 1e3


def mean_seconds(call: Callable[[], Any], calls: int) -> float:
    """Processor time [s] of a call, the mean of so many after a first one."""
    call()
    began = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - began) / calls


def decisions(repeats: int, racks: int = RACKS) -> list[tuple[float, float, float, float]]:
    """Scores of all racks [µs]; a decision about one rack and one about a gang [ms]; a look at new readings [ms]."""
    document = policy_document(conf_dir() / "policy", "thermal_aware")
    del document["audit"]  # for whoever runs the policy
    policy = thermal_aware(document)
    snapshot = example(racks // RACKS_PER_ROW)
    facility = snapshot.facility
    assert facility is not None
    _, state = policy(snapshot, ONE, None)
    room = policy.room(snapshot, facility, state.promised_watts)

    def once() -> tuple[float, float, float, float]:
        one = mean_seconds(lambda: policy(snapshot, ONE, state), CALLS)
        return (
            MICRO * mean_seconds(lambda: policy.formula.rate(ONE.kind, room.values, room.ages), CALLS),
            MILLI * one,
            MILLI * mean_seconds(lambda: policy(snapshot, GANG, state), CALLS),
            MILLI * (mean_seconds(lambda: policy(replace(snapshot, ages=dict(snapshot.ages)), ONE, None), CALLS) - one),
        )

    return [once() for _ in range(repeats)]

"""States in parts: read back whole, stored once, and told when a part was changed."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.audit.conftest import same_bits
from twin.audit import AuditError, SnapshotStore, StoredSnapshots, register
from twin.audit.objects import state_name
from twin.audit.parts import Part, parted, whole


@register
@dataclass(frozen=True)
class Learnt:
    means: np.ndarray


@register
@dataclass(frozen=True)
class Promises:
    turn: int
    watts: np.ndarray
    learnt: Learnt | None


@register
@dataclass(frozen=True)
class Careful:
    """Checks what it is made of, which is no part."""

    learnt: Learnt

    def __post_init__(self):
        assert isinstance(self.learnt, Learnt)


def learnt(seed=1, size=2_000):
    means = np.random.default_rng(seed).normal(size=size)
    means.flags.writeable = False
    return Learnt(means)


def test_a_state_comes_apart_and_together_again():
    kept = {}
    state = Promises(1, np.ones(3), learnt())
    outline = parted(state, lambda value: kept.setdefault("sha256:1", value) and "sha256:1")
    assert outline.learnt == Part("sha256:1") and outline.turn == 1
    assert state.learnt is kept["sha256:1"]
    again = whole(outline, kept.__getitem__)
    assert again.learnt is state.learnt and again.watts is state.watts


@pytest.mark.parametrize("state", [None, 3, ("a", 1), Learnt(np.ones(2)), Promises(1, np.ones(2), None)])
def test_what_has_no_parts_is_left_as_it_is(state):
    assert parted(state, lambda value: "none") is state


def test_a_class_that_checks_its_fields_comes_apart_too(tmp_path):
    with SnapshotStore(tmp_path / "store") as store:
        name = store.put_state(Careful(learnt()))
    found = StoredSnapshots(tmp_path / "store").value(name)
    assert type(found) is Careful and same_bits(found.learnt.means, learnt().means)


def test_what_stays_the_same_is_stored_once_and_read_back_to_the_bit(tmp_path):
    same = learnt()
    states = [Promises(turn, np.full(3, float(turn)), same) for turn in range(50)]
    states.append(Promises(50, np.zeros(3), learnt(2)))
    with SnapshotStore(tmp_path / "store") as store:
        names = [store.put_state(state) for state in states]
    assert (tmp_path / "store").stat().st_size < 4 * same.means.nbytes  # fifty times as much in one piece each
    reader = StoredSnapshots(tmp_path / "store")
    for name, state in zip(names, states, strict=True):
        found = reader.value(name)
        assert (found.turn, found.watts.tobytes()) == (state.turn, state.watts.tobytes())
        assert same_bits(found.learnt.means, state.learnt.means)
        assert state_name(state) == state_name(found) == name
    assert len(set(names)) == len(names)


def test_a_part_that_may_change_is_stored_as_it_is_each_time(tmp_path):
    open_arrays = Learnt(np.zeros(2))
    with SnapshotStore(tmp_path / "store") as store:
        first = store.put_state(Promises(0, np.zeros(1), open_arrays))
        open_arrays.means[0] = 1.0
        second = store.put_state(Promises(0, np.zeros(1), open_arrays))
    reader = StoredSnapshots(tmp_path / "store")
    assert [reader.value(name).learnt.means[0] for name in (first, second)] == [0.0, 1.0]


def test_a_part_that_is_gone_is_told(tmp_path):
    with SnapshotStore(tmp_path / "store") as store:
        name = store.put_value(replace(Promises(0, np.zeros(1), None), learnt=Part("sha256:00")))
    with pytest.raises(AuditError, match="there is no value sha256:00"):
        StoredSnapshots(tmp_path / "store").value(name)

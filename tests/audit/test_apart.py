"""An audit that another process writes: the same files, whatever becomes of either process."""

import os
import signal
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from tests.audit.conftest import full_snapshot, request
from twin.audit import Audited, AuditError, AuditLog, PolicyStamp, Recorder, SnapshotStore, read_records, register
from twin.audit.apart import _serve, apart
from twin.audit.handed import ROOM, Packer, Unpacker
from twin.audit.objects import rows_on
from twin.policy.baselines import first_fit
from twin.policy.snapshot import Block, Columns, Histories, History

TOGETHER = 3


@contextmanager
def recording(folder):
    with SnapshotStore(folder / "s") as store, AuditLog(folder / "l", source="/x") as log:
        recorder = Recorder(log, store, PolicyStamp("p", "1"))
        yield lambda name, *told: {"decided": recorder.record, "end": sys.exit}[name](*told)


def counted(snapshot, asked, state):
    return first_fit(snapshot, asked)[0], (0 if state is None else state) + 1


def in_place(snapshot, asked, state):
    state["n"] += 1
    return first_fit(snapshot, asked)[0], state


def decide(do, policy, state, jobs=11):
    place = Audited(policy, partial(do, "decided"), TOGETHER)
    for n in range(jobs):
        _, state = place(full_snapshot(first=n // 3), request(f"job-{n}"), state)
    place.catch_up()


@pytest.mark.parametrize(("policy", "state"), [(counted, None), (in_place, {"n": 0})])
def test_another_process_writes_the_same_files(tmp_path, policy, state):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    with recording(here) as do:
        decide(do, policy, dict(state) if state else None)
    with apart(partial(recording, there)) as do:
        decide(do, policy, dict(state) if state else None)
    for name in ("l", "s"):
        assert (here / name).read_bytes() == (there / name).read_bytes()
    assert len(read_records(there / "l")) == 11


def test_a_fault_of_what_cannot_be_recorded_is_raised_here_and_ends_the_log(tmp_path):
    def odd(snapshot, asked, state):
        decision = first_fit(snapshot, asked)[0]
        return (replace(decision, detail=1j) if asked.id == "job-4" else decision), None

    with pytest.raises(AuditError, match="detail"), apart(partial(recording, tmp_path)) as do:
        decide(do, odd, None)
    assert [each["subject"] for each in read_records(tmp_path / "l")] == [f"job-{n}" for n in range(4)]


def test_a_fault_is_told_by_name_also_to_who_comes_once_nobody_listens(tmp_path):
    with pytest.raises(AuditError, match="detail"), apart(partial(recording, tmp_path)) as do:
        decision = replace(first_fit(full_snapshot(), request("a"))[0], detail=1j)
        do("decided", [(full_snapshot(), request("a"), None, decision, None)])
        time.sleep(0.3)
        decide(do, counted, None)


def test_half_a_message_is_the_end_and_no_fault(tmp_path, monkeypatch):
    """As a process that is killed in the middle of handing something over leaves it."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # it runs in this process here
    (there, here), (answers, answer) = Pipe(duplex=False), Pipe(duplex=False)
    os.write(here.fileno(), struct.pack("!i", 100) + b"half")
    here.close()
    _serve(partial(recording, tmp_path), there, answer, ())
    answer.close()
    assert answers.recv() is None  # it had begun
    with pytest.raises(EOFError):
        answers.recv()


def test_a_beginning_that_fails_is_told_before_anything_is_handed_over(tmp_path):
    (tmp_path / "s").write_bytes(b"something else")
    with pytest.raises(AuditError, match="no audit store"), apart(partial(recording, tmp_path)):
        raise AssertionError("it began")


@pytest.mark.parametrize("more", [0, 4])
def test_a_process_that_somebody_ends_is_told_of(tmp_path, more):
    """Where nothing is handed over any more it is told of on leaving."""
    with pytest.raises(AuditError, match="was ended by somebody else"), apart(partial(recording, tmp_path)) as do:
        do("end", 9)
        for _ in range(more):
            time.sleep(0.1)
            decide(do, counted, None, jobs=TOGETHER)


def test_what_cannot_be_handed_over_is_refused_with_a_remedy(tmp_path):
    @register
    @dataclass(frozen=True)
    class Inside:
        n: int = 0

    def decides(snapshot, asked, state):
        return first_fit(snapshot, asked)[0], Inside()

    remedy = "use classes and functions of a module"
    with pytest.raises(AuditError, match=remedy), apart(partial(recording, tmp_path)) as do:
        decide(do, decides, None)
    assert read_records(tmp_path / "l") == []


def test_a_fault_in_the_midst_leaves_what_was_handed_over_on_record(tmp_path):
    with pytest.raises(ZeroDivisionError), apart(partial(recording, tmp_path)) as do:
        decide(do, counted, None, jobs=TOGETHER)
        raise ZeroDivisionError
    assert len(read_records(tmp_path / "l")) == TOGETHER


@pytest.mark.parametrize("how", ["os.kill(os.getpid(), signal.SIGKILL)", "os.killpg(0, signal.SIGINT)"])
def test_what_was_handed_over_by_a_process_that_is_ended_is_recorded(tmp_path, how):
    """Killed by itself, or interrupted with all of its group, as by Ctrl-C."""
    script = f"""
import os, signal, time
from functools import partial
from pathlib import Path
from tests.audit.test_apart import apart, counted, decide, recording
with apart(partial(recording, Path({str(tmp_path)!r}))) as do:
    decide(do, counted, None, jobs=7)
    {how}
    time.sleep(9)
"""
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        capture_output=True,
        text=True,
    )
    assert ended.returncode in (-signal.SIGKILL, -signal.SIGINT)
    assert "AuditError" not in ended.stderr
    for _ in range(100):  # the other process goes on until it has done what it was told
        if len(read_records(tmp_path / "l")) == 7:
            break
        time.sleep(0.1)
    assert [each["subject"] for each in read_records(tmp_path / "l")] == [f"job-{n}" for n in range(7)]


# ---------------------------------------------------------------- what is handed over


PARTS = {"rack_power_watts": slice(0, 2), "rack_flow_litres_per_minute": slice(2, 5)}


def block(arrays, begin, end):
    views = [array[begin:end] for array in arrays]
    for view in views:
        view.setflags(write=False)
    return Block(History(*views), PARTS)


def rows(count, first=0.0):
    """Arrays of a block, no row like another."""
    values = np.arange(5.0 * count).reshape(count, 5) + first
    return np.arange(float(count)) + first, values, (values % 4).astype(np.int8)


def same(one, other):
    for left, right in zip(one.histories.blocks, other.histories.blocks, strict=True):
        assert left.parts == right.parts
        for name in ("time_seconds", "values", "quality"):
            mine, theirs = getattr(left.past, name), getattr(right.past, name)
            assert mine.dtype == theirs.dtype and mine.tobytes() == theirs.tobytes() and mine.shape == theirs.shape
            assert not mine.flags.writeable


def test_histories_that_go_on_come_as_new_rows_and_any_others_whole():
    base = full_snapshot()
    packed, unpacked = Packer(), Unpacker()
    one, other, anew = rows(40 * ROOM), rows(20, 1_000.0), rows(20, 2_000.0)
    looks = [(one, 0, 9), (one, 2, 10), (one, 2, 10), (one, 3, 12), (other, 0, 6), (other, 4, 5), (one, 4, 12)]
    looks += [(one, n, n + 9) for n in range(5, 40 * ROOM - 9)]  # more than there is room for
    looks += [(one, 90, 95), (one, 80, 99), (anew, 0, 4), (anew, 9, 12), (anew, 9, 9), (anew, 9, 12)]
    looks += [((one[0], other[1], one[2]), 0, 4), ((one[0], anew[1], one[2]), 1, 5), (one, 2, 6)]
    blocks = [block(*look) for look in looks]
    last = blocks[-1].past
    uneven = Block(History(one[0][3:7], last.values, last.quality), PARTS)  # times are a row further on than values
    blocks += [uneven, block(one, 3, 7), block(one, 4, 9)]
    sizes = []
    for each in blocks:
        sent = replace(base, histories=Histories((each,)))
        data = bytes(packed(("x", sent)))
        sizes.append(len(data))
        word, got = unpacked(data)
        assert word == "x"
        same(got, sent)
    whole, new = sizes[6], sizes[20]
    assert new < whole  # one row, not nine


def test_a_later_part_is_one_of_the_same_array():
    memory = bytearray(8 * 6)
    one, other = np.frombuffer(memory), np.frombuffer(memory)
    assert rows_on(one[:3], one[2:5]) == 2 and rows_on(one[:3], one[:4]) == 0
    assert rows_on(one[2:5], one[:3]) == rows_on(one[:3], other[2:5]) == rows_on(one[:3], one[::2]) == -1
    assert rows_on(one[:3], np.zeros(3)) == rows_on(one.reshape(3, 2)[:1], one[2:4]) == -1


def test_a_snapshot_comes_whole_with_what_it_shares_with_the_one_before():
    packed, unpacked = Packer(), Unpacker()
    ages = Columns(((np.arange(5.0), PARTS),))
    first = replace(full_snapshot(), ages=ages, qualities=MappingProxyType({}), histories={})
    second = first.with_free_trays(np.arange(len(first.rack_names)))
    third = second.with_fields(queue_depth=7, ages={"rack_power_watts": np.ones(2)})
    (one, again), (two,), (three,) = (unpacked(bytes(packed(each))) for each in ((first, first), (second,), (third,)))
    assert one is again
    for sent, got in ((first, one), (second, two), (third, three)):
        for name, value in vars(sent).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(getattr(got, name), value)
        assert got.queue_depth == sent.queue_depth and got.rack_names == sent.rack_names
        assert {name: age.tolist() for name, age in got.ages.items()} == {
            name: age.tolist() for name, age in sent.ages.items()
        }
    assert two.rack_power_watts is one.rack_power_watts
    assert len(packed((third,))) < len(Packer()((third,))) / 4

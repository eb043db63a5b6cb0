"""Snapshots stored once: bit for bit, shared rows, crashes and damage."""

import errno
import json
from dataclasses import fields, replace
from io import FileIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from tests.audit.conftest import RACKS, full_snapshot, history, same_bits
from twin.audit import AuditError, SnapshotStore, StoredSnapshots, frames
from twin.audit.frames import HEADER, FrameWriter, Scan
from twin.policy import FacilitySnapshot, History, Reason
from twin.policy.check import example
from twin.policy.snapshot import Block, Histories


def stored(path, *snapshots):
    """The digests under which these are stored in ``path``."""
    with SnapshotStore(path) as store:
        return [store.put(each) for each in snapshots]


def pieces(path):
    """Headers of all pieces in a store, in order."""
    headers, found = [], []
    for frame in Scan(path):
        meta = json.loads(frame.meta)
        headers += meta.get("headers", [])
        found += [headers[number] for number, _ in meta["pieces"]]
    return found


def turned(snapshot):
    """The same snapshot with its mappings filled the other way round."""
    return replace(
        snapshot,
        **{name: dict(reversed(getattr(snapshot, name).items())) for name in ("ages", "qualities", "histories")},
    )


def test_every_field_comes_back_bit_for_bit(tmp_path):
    snapshots = [full_snapshot(first=n) for n in (0, 1, 5, 200)]
    digests = stored(tmp_path / "s", *snapshots)
    assert len(set(digests)) == 4
    reader = StoredSnapshots(tmp_path / "s")
    assert reader.snapshots() == tuple(digests)
    for digest, snapshot in zip(digests, snapshots, strict=True):
        again = reader.snapshot(digest)
        assert same_bits(snapshot, again)
        assert not again.rack_power_watts.flags.writeable


def test_a_digest_depends_on_every_field_and_on_no_order(tmp_path):
    snapshot = full_snapshot()
    (digest,) = stored(tmp_path / "s", snapshot)
    assert stored(tmp_path / "t", full_snapshot(first=3), turned(snapshot))[1] == digest  # nor on what came before
    others = {digest}
    for field in fields(FacilitySnapshot):
        value = getattr(snapshot, field.name)
        if isinstance(value, np.ndarray):
            value = value.copy()
            value[0] = value[0] + 1 if value.dtype != bool else not value[0]
        elif isinstance(value, dict):
            name = next(iter(value))
            first = value[name]
            longer = history(1, RACKS) if isinstance(first, History) else first + 1
            value = {**value, name: longer}
        elif field.name == "facility":
            value = example().facility
        elif isinstance(value, int | float):
            value = value + 1
        else:
            value = (*value[:-1], "another")
        others |= set(stored(tmp_path / f"s-{field.name}", replace(snapshot, **{field.name: value})))
    assert len(others) == 1 + len(fields(FacilitySnapshot))


def test_signs_of_zero_and_dtypes_count(tmp_path):
    snapshot = full_snapshot()
    zero = replace(snapshot, rack_power_watts=np.zeros(RACKS))
    minus = replace(snapshot, rack_power_watts=-np.zeros(RACKS))
    narrow = replace(snapshot, rack_power_watts=np.zeros(RACKS, dtype=np.float32))
    big = replace(snapshot, rack_power_watts=np.zeros(RACKS, dtype=">f8"))
    digests = stored(tmp_path / "s", zero, minus, narrow, big, zero)
    assert len(set(digests)) == 3
    assert digests[0] == digests[3] == digests[4]


def test_rows_and_static_fields_are_stored_once(tmp_path):
    stored(tmp_path / "s", *(full_snapshot(first=n) for n in range(20)))
    found = pieces(tmp_path / "s")
    rows = [header for header in found if header.startswith("row")]
    assert len(rows) == 90 + 19  # of 20 × 90: all fields are sampled at the same times
    stored(tmp_path / "t", full_snapshot(), full_snapshot(free=17))
    last = list(Scan(tmp_path / "t"))[-1]
    meta = json.loads(last.meta)
    assert list(meta["set"]) == ["rack_free_trays"]
    assert len(meta["pieces"]) == 1


def test_an_equal_snapshot_is_no_new_entry(tmp_path):
    stored(tmp_path / "s", full_snapshot(), full_snapshot(), turned(full_snapshot()))
    assert len(list(Scan(tmp_path / "s"))) == 1


def test_arrays_that_are_filled_anew_in_place_are_seen(tmp_path):
    power, past = np.full(RACKS, 7.0), history(0, RACKS)
    snapshot = replace(full_snapshot(), rack_power_watts=power, histories={"rack_power_watts": past})
    with SnapshotStore(tmp_path / "s") as store:
        first = store.put(snapshot)
        power[1] = 8.0
        second = store.put(snapshot)
        past.values[-1, 0] = 99.0
        third = store.put(snapshot)
    reader = StoredSnapshots(tmp_path / "s")
    assert reader.snapshot(first).rack_power_watts.tolist() == [7.0, 7.0, 7.0, 7.0]
    assert reader.snapshot(second).rack_power_watts.tolist() == [7.0, 8.0, 7.0, 7.0]
    assert reader.snapshot(third).histories["rack_power_watts"].values[-1, 0] == 99.0
    assert reader.snapshot(second).histories["rack_power_watts"].values[-1, 0] != 99.0


def test_the_past_that_is_told_otherwise_is_stored_anew(tmp_path):
    usual, other, doubted, zero, minus = (history(1, RACKS) for _ in range(5))
    other.values[3, 2] = -1.0
    doubted.quality[3, 2] = 1
    zero.values[3, 2], minus.values[3, 2] = 0.0, -0.0
    snapshots = [
        replace(full_snapshot(), histories=past)
        for past in (
            {"rack_power_watts": history(0, RACKS)},
            {"rack_power_watts": other},
            {"rack_power_watts": usual},
            {"rack_power_watts": doubted},
            {"rack_power_watts": zero},
            {"rack_power_watts": minus},
            {},
            {"rack_power_watts": history(0, RACKS, samples=0)},
            {"rack_power_watts": history(2, RACKS, samples=3)},
            {"rack_power_watts": history(2, RACKS + 1)},
            {"rack_power_watts": history(0, RACKS)},
        )
    ]
    digests = stored(tmp_path / "s", *snapshots)
    reader = StoredSnapshots(tmp_path / "s")
    assert len(set(digests)) == 10
    for digest, snapshot in zip(digests, snapshots, strict=True):
        assert same_bits(snapshot, reader.snapshot(digest))


numbers = st.sampled_from(["<f8", "<i8", "|i1", "|b1", "<f4"])


@given(data=st.data())
def test_any_arrays_come_back(tmp_path_factory, data):
    """Any dtype and shape, NaN and infinities, histories that overlap or do not."""
    path = tmp_path_factory.mktemp("any") / "s"
    base = full_snapshot(samples=0)
    snapshots = []
    for _ in range(data.draw(st.integers(1, 4))):
        start, count = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 5))
        snapshots.append(
            replace(
                base,
                time_seconds=data.draw(st.floats(allow_nan=False)),
                row_power_watts=data.draw(stn.arrays(numbers, stn.array_shapes(min_dims=1, max_dims=2, min_side=0))),
                ages=data.draw(st.dictionaries(st.text(max_size=3), stn.arrays(numbers, 2), max_size=3)),
                histories={"x": history(start, 2, count), "y": history(0, data.draw(st.integers(0, 2)), count)},
            )
        )
    digests = stored(path, *snapshots)
    reader = StoredSnapshots(path)
    for digest, snapshot in zip(digests, snapshots, strict=True):
        assert same_bits(snapshot, reader.snapshot(digest))


def test_a_mapping_of_unlike_things_comes_back(tmp_path):
    mixed = {"x": history(0, 2, 3), "y": np.arange(3)}
    snapshot = replace(full_snapshot(), histories=mixed, ages={"x": np.zeros(2), "": np.ones(1)}, qualities={})
    (digest,) = stored(tmp_path / "s", snapshot)
    assert same_bits(snapshot, StoredSnapshots(tmp_path / "s").snapshot(digest))


def test_histories_of_several_periods_come_back(tmp_path):
    def slow(first):
        return replace(history(first, 2, 30), time_seconds=np.arange(first, first + 30) * 60.0)

    def past(n):
        """``b`` and ``d`` are sampled six times as rarely; ``e`` joins them at the third look."""
        found = {"a": history(n, 3), "b": slow(n // 2), "c": history(n, 1), "d": slow(n // 2)}
        return found | ({"e": slow(n // 2)} if n > 2 else {})

    snapshots = [replace(full_snapshot(first=n), histories=past(n)) for n in range(6)]
    digests = stored(tmp_path / "s", *snapshots)
    reader = StoredSnapshots(tmp_path / "s")
    for digest, snapshot in zip(digests, snapshots, strict=True):
        assert same_bits(snapshot, reader.snapshot(digest))


def test_a_block_of_histories_comes_back_as_one(tmp_path):
    """Rows that lie on in one array that is closed for writing are known; what is appended is stored."""
    rows = history(0, 5, samples=8)
    parts = {"b": slice(0, 2), "a": slice(2, 5)}

    def look(first):
        cut = [each[first : first + 5] for each in (rows.time_seconds, rows.values, rows.quality)]
        for each in cut:
            each.flags.writeable = False
        return replace(full_snapshot(), histories=Histories((Block(History(*cut), parts),)))

    looks = [look(first) for first in range(4)]
    digests = stored(tmp_path / "s", *looks)
    assert len([header for header in pieces(tmp_path / "s") if header.startswith("row")]) == 8
    reader = StoredSnapshots(tmp_path / "s")
    for digest, snapshot in zip(digests, looks, strict=True):
        again = reader.snapshot(digest)
        assert same_bits(again, snapshot)
        assert stored(tmp_path / f"t{digest[7:]}", again) == [digest]


def test_rows_that_are_written_anew_where_they_lie_are_seen(tmp_path):
    """As long as they are not closed for writing, whatever History asks for."""
    rows, parts = history(0, 5, samples=8), {"a": slice(0, 5)}

    def look():
        cut = [each[:5] for each in (rows.time_seconds, rows.values, rows.quality)]
        return replace(full_snapshot(), histories=Histories((Block(History(*cut), parts),)))

    with SnapshotStore(tmp_path / "s") as store:
        first = store.put(look())
        rows.values[1, 0] = 99.0
        second = store.put(look())
    reader = StoredSnapshots(tmp_path / "s")
    assert reader.snapshot(first).histories["a"].values[1, 0] != 99.0
    assert reader.snapshot(second).histories["a"].values[1, 0] == 99.0


def test_a_history_that_is_added_to_the_same_mapping_is_seen(tmp_path):
    past = {"a": history(0, 2)}
    snapshot = replace(full_snapshot(), histories=past)
    with SnapshotStore(tmp_path / "s") as store:
        first = store.put(snapshot)
        past["b"] = history(0, 2)
        second = store.put(snapshot)
    reader = StoredSnapshots(tmp_path / "s")
    assert list(reader.snapshot(first).histories) == ["a"]
    assert list(reader.snapshot(second).histories) == ["a", "b"]


def test_values_are_kept_beside_snapshots(tmp_path):
    state = {"rungs": (1, 2.0, Reason.WAIT_FOR_TRAYS), "seen": np.arange(3)}
    with SnapshotStore(tmp_path / "s") as store:
        digests = [store.put_value(each) for each in (state, None, state)]
        store.put(full_snapshot())
        digests.append(store.put_value(full_snapshot().rack_names))  # bytes that the snapshot brought already
        digests.append(store.put_value(None))
    assert digests[0] == digests[2]
    reader = StoredSnapshots(tmp_path / "s")
    assert reader.value(digests[1]) is None
    assert reader.value(digests[3]) == full_snapshot().rack_names
    again = reader.value(digests[0])
    assert again["rungs"] == state["rungs"]
    assert same_bits(again["seen"], state["seen"])


def test_what_is_put_in_one_entry_is_written_on_leaving(tmp_path):
    path = tmp_path / "s"
    with SnapshotStore(path) as store:
        with store.entry():
            first, value = store.put(full_snapshot()), store.put_value(("a", 1))
            again = store.put_value(("a", 1))
            assert StoredSnapshots(path).snapshots() == ()
        assert len(list(Scan(path))) == 1 and again == value
        with pytest.raises(ZeroDivisionError), store.entry():
            second = store.put(full_snapshot(first=1))
            _ = 1 / 0
        third = store.put(full_snapshot(first=2))
    reader = StoredSnapshots(path)
    assert reader.value(value) == ("a", 1)
    assert reader.snapshots() == (first, second, third)
    assert same_bits(reader.snapshot(third), full_snapshot(first=2))


def test_an_entry_that_is_not_written_is_forgotten_whole(tmp_path, monkeypatch):
    path = tmp_path / "s"
    with SnapshotStore(path) as store:
        first, append = store.put(full_snapshot()), store._file.append

        def full(meta, data):
            raise AuditError("No space left on device")

        monkeypatch.setattr(store._file, "append", full)
        with pytest.raises(AuditError, match="No space left"), store.entry():
            store.put(full_snapshot(first=1))
            store.put_state(("a", 1))
        monkeypatch.setattr(store._file, "append", append)
        second, value = store.put(full_snapshot(first=1)), store.put_state(("a", 1))
    reader = StoredSnapshots(path)
    assert reader.snapshots() == (first, second)
    assert same_bits(reader.snapshot(second), full_snapshot(first=1))
    assert reader.value(value) == ("a", 1)


def test_a_store_that_is_continued_knows_what_it_has(tmp_path):
    first, second = full_snapshot(), full_snapshot(first=1)
    digests = stored(tmp_path / "s", first) + stored(tmp_path / "s", second)
    assert digests == stored(tmp_path / "t", first, second)
    assert sorted(pieces(tmp_path / "s")) == sorted(pieces(tmp_path / "t"))
    assert same_bits(StoredSnapshots(tmp_path / "s").snapshot(digests[1]), second)


# ---------------------------------------------------------------- crashes and damage


def test_a_crash_costs_the_last_entry_and_is_told(tmp_path):
    path = tmp_path / "s"
    first, second = stored(path, full_snapshot(), full_snapshot(first=1))
    whole = path.read_bytes()
    begins = list(Scan(path))[-1].offset
    for end in (begins + 1, begins + HEADER.size, begins + 60, len(whole) - 1):
        path.write_bytes(whole[:end])
        reader = StoredSnapshots(path)
        assert reader.cut == end - begins
        assert reader.snapshots() == (first,)
        with SnapshotStore(path) as store:
            assert store.recovered == end - begins
            assert store.put(full_snapshot(first=1)) == second
        assert StoredSnapshots(path).cut == 0
        assert same_bits(StoredSnapshots(path).snapshot(second), full_snapshot(first=1))


def test_a_crash_before_the_first_entry(tmp_path):
    path = tmp_path / "s"
    for beginning in (b"", b"data-hall"):
        path.write_bytes(beginning)
        assert StoredSnapshots(path).cut == len(beginning)
        assert stored(path, full_snapshot()) == stored(tmp_path / f"t{len(beginning)}", full_snapshot())
        assert len(StoredSnapshots(path).snapshots()) == 1


def test_damage_in_the_middle_is_no_crash(tmp_path):
    path = tmp_path / "s"
    stored(path, full_snapshot(), full_snapshot(first=1))
    whole = path.read_bytes()
    begins = next(iter(Scan(path))).offset
    for at in (begins, begins + 6, begins + HEADER.size + 2, begins + 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(AuditError, match=r"damaged|cannot be unpacked"):
            StoredSnapshots(path)
        with pytest.raises(AuditError, match="damaged"):
            SnapshotStore(path)


def test_content_that_was_exchanged_has_another_digest(tmp_path):
    """Whoever rewrites an entry with its checksum is found by the digest that the log refers to."""
    honest, forged = tmp_path / "s", tmp_path / "f"
    (digest,) = stored(honest, full_snapshot())
    (other,) = stored(forged, full_snapshot(free=3))
    frame = next(iter(Scan(forged)))
    meta = json.loads(frame.meta)
    meta["snapshot"] = digest
    forged.unlink()
    with FrameWriter(forged) as file:
        file.append(json.dumps(meta).encode(), frame.data)
    with pytest.raises(AuditError, match="was changed"):
        StoredSnapshots(forged).snapshot(digest)
    with pytest.raises(AuditError, match="there is no snapshot"):
        StoredSnapshots(honest).snapshot(other)
    with pytest.raises(AuditError, match="there is no value"):
        StoredSnapshots(honest).value(digest)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rack_power_watts": np.array([object()] * RACKS)}, "snapshot.rack_power_watts: arrays of dtype object"),
        ({"ages": {1: np.zeros(1)}}, "snapshot.ages: the key 1 is no text"),
        (
            {"histories": {"x": History(np.zeros(2), np.zeros(2), np.zeros(2, np.int8))}},
            "snapshot.histories/x: a history",
        ),
        ({"histories": {"x": History(np.zeros(1), np.full((1, 1), object()), np.zeros((1, 1)))}}, "dtype object"),
        ({"rack_names": (object(),)}, "type builtins.object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refused_snapshot_leaves_the_store_as_it_was(tmp_path, change, said):
    path = tmp_path / "s"
    with SnapshotStore(path) as store:
        first = store.put(full_snapshot())
        with pytest.raises(AuditError) as refused:
            store.put(replace(full_snapshot(first=1), **change))
        assert said in str(refused.value)
        second = store.put(full_snapshot(first=2))
    reader = StoredSnapshots(path)
    assert same_bits(reader.snapshot(first), full_snapshot())
    assert same_bits(reader.snapshot(second), full_snapshot(first=2))


def test_a_disk_that_fills_up_leaves_no_half_entry(tmp_path, monkeypatch):
    class Full(FileIO):
        """Takes 100 bytes of the next write, then none."""

        room = None

        def write(self, data):
            if self.room is None:
                return super().write(data)
            if self.room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken, self.room = data[: self.room], 0
            return super().write(taken)

    monkeypatch.setattr(frames, "FileIO", Full)
    path = tmp_path / "s"
    with SnapshotStore(path) as store:
        first = store.put(full_snapshot())
        store._file._file.room = 100
        for put, what in ((store.put, full_snapshot(first=1)), (store.put_value, ("a", 1))):
            with pytest.raises(AuditError, match="No space left on device"):
                put(what)
        store._file._file.room = None
        second, value = store.put(full_snapshot(first=1)), store.put_value(("a", 1))
    reader = StoredSnapshots(path)
    assert reader.cut == 0
    assert same_bits(reader.snapshot(first), full_snapshot())
    assert same_bits(reader.snapshot(second), full_snapshot(first=1))
    assert reader.value(value) == ("a", 1)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "s"
    path.write_text("a letter to the auditors, which is longer than the first line of a store")
    for reader in (StoredSnapshots, SnapshotStore):
        with pytest.raises(AuditError, match="is no audit store"):
            reader(path)
    with pytest.raises(AuditError, match="cannot be read"):
        StoredSnapshots(tmp_path / "none")
    with pytest.raises(AuditError, match="cannot be written"):
        SnapshotStore(tmp_path / "none" / "s")

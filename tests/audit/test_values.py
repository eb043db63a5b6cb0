"""Values of policies as JSON and back: nothing is lost, and what would be lost is refused."""

import enum
import math
from collections import namedtuple
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from twin.audit import AuditError, canonical, decode, encode, register
from twin.audit.canonical import parse
from twin.audit.values import immutable
from twin.policy import JobRequest, Placement, Quality, Reason, Refusal, Wait


@register
@dataclass(frozen=True)
class Rung:
    """A state as a policy outside the package may have one."""

    name: str
    since: float
    racks: tuple[Any, ...] = ()
    extra: Any = None


@register
class Colour(enum.Enum):
    RED = 1


@dataclass
class Open:
    x: int = 0


@dataclass(frozen=True)
class Unknown:
    x: int = 0


def through(value: Any) -> Any:
    """Encoded, written, read and decoded."""
    return decode(parse(canonical(encode(value))))


def alike(one: Any, other: Any) -> bool:
    """Equal in every type and bit, a NaN's payload aside."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        if math.isnan(one):
            return math.isnan(other)
        return one == other and math.copysign(1.0, one) == math.copysign(1.0, other)
    if isinstance(one, np.ndarray | np.generic):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(alike(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return set(one) == set(other) and all(alike(value, other[key]) for key, value in one.items())
    if isinstance(one, Rung):
        return alike(vars(one), vars(other))
    return bool(one == other)


keys = st.text(max_size=5) | st.integers() | st.tuples(st.text(max_size=3), st.integers(0, 9)) | st.sampled_from(Reason)
arrays = stn.arrays(
    st.sampled_from(["<f8", "<f4", "<i8", "|i1", "|b1", "<u2"]), stn.array_shapes(min_dims=0, max_dims=3, min_side=0)
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=8)
    | st.sampled_from([*Reason, *Quality, Colour.RED])
    | arrays
    | st.frozensets(st.integers() | st.text(max_size=3), max_size=4)
    | st.sets(st.integers(), max_size=4)
    | st.sampled_from([np.float64(0.1), np.float64("nan"), np.int8(-3), np.bool_(True), np.float32(0.1)])
    | st.builds(
        JobRequest, st.text(), st.text(), st.integers(), st.booleans(), st.integers(), st.floats(allow_nan=False)
    )
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.builds(
            Rung, st.text(max_size=3), st.floats() | st.integers(), st.lists(inner, max_size=3).map(tuple), inner
        )
    ),
    max_leaves=10,
)


@given(value=values)
def test_what_is_encoded_comes_back(value):
    again = through(value)
    assert alike(value, again)
    assert canonical(encode(again)) == canonical(encode(value))


@given(mapping=st.dictionaries(keys, leaves, max_size=6), data=st.data())
def test_the_order_of_a_mapping_is_not_part_of_it(mapping, data):
    turned = dict(data.draw(st.permutations(list(mapping.items()))))
    assert canonical(encode(turned)) == canonical(encode(mapping))
    assert canonical(encode(MappingProxyType(turned))) == canonical(encode(mapping))


def test_a_request_reads_as_it_is():
    form = encode(JobRequest("train-7", "training", 4, True, 0, 5_000.0))
    assert form == {
        "$type": "twin.policy.protocol.JobRequest",
        "id": "train-7",
        "kind": "training",
        "trays": 4,
        "one_rack": True,
        "priority": 0,
        "power_watts_per_tray": 5_000,
        "peak_watts_per_tray": 0,
        "role": "",
        "declared_seconds": 0,
    }
    assert type(decode(form).power_watts_per_tray) is float


def test_whole_numbers_keep_their_type():
    for value in (5_000.0, 5_000, -0.0, 0.0, 0, True, 2**60, 1e300, 1e-7, math.inf):
        assert alike(through(value), value)
        assert alike(through(Rung("x", value)).since, value)
        assert alike(through((value, [value], {"a": value})), (value, [value], {"a": value}))


@pytest.mark.parametrize(
    "decision",
    [
        Placement("a", (("A-01", 4), ("A-02", 1)), Reason.PLACED_FIRST_FIT),
        Wait("a", Reason.WAIT_FOR_TRAYS, "2 asked, 1 free"),
        Refusal("a", Reason.LARGER_THAN_HALL),
    ],
)
def test_decisions_come_back(decision):
    assert through(decision) == decision
    assert through({"last": decision})["last"].reason is decision.reason


def test_an_array_of_another_byte_order_is_the_same_numbers():
    value = np.array([1.5, -2.0], dtype=">f8")
    assert encode(value) == encode(value.astype("<f8"))
    assert encode(np.asfortranarray(np.arange(6).reshape(2, 3))) == encode(np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "type builtins.object"),
        ({"a": [1, {"b": object()}]}, "dict['a'][1]['b']: values of type builtins.object"),
        ((lambda: 0), "function"),
        (np.array([object()]), "dtype object"),
        (np.array([1.0], dtype=np.longdouble), "dtype"),
        (np.ma.masked_array([1.0], [True]), "MaskedArray"),
        (1j, "complex"),
        (Open(), "Open is not known"),
        (Unknown(), "Unknown is not known; make it known with twin.audit.register"),
        (Rung("x", 1.0, (object(),)), "Rung.racks[0]: values"),
        (namedtuple("Pair", "a b")(1, 2), "Pair"),
        (np.datetime64("2026-01-01"), "datetime64"),
    ],
)
def test_what_would_be_lost_is_refused_by_name(value, said):
    with pytest.raises(AuditError) as refused:
        encode(value)
    assert said in str(refused.value)


def test_what_can_change_is_known():
    fixed = (None, 1.0, "a", Reason.WAIT_FOR_TRAYS, frozenset({1}), Rung("x", 1.0, (Rung("y", 2.0),)))
    assert immutable(fixed)
    for open_value in ([], {}, set(), np.zeros(1), MappingProxyType({}), bytearray()):
        assert not immutable(open_value)
        assert not immutable((*fixed, Rung("x", 1.0, (open_value,))))
        assert not immutable(Rung("x", 1.0, (), open_value))


def test_only_frozen_dataclasses_become_known():
    with pytest.raises(AuditError, match="no frozen dataclass"):
        register(Open)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"$type": "os.system", "x": 1}, "os.system is not known here"),
        ({"$type": "twin.policy.no_such.Thing"}, "not known here"),
        ({"$type": "twin.policy.decisions.Reason", "x": 1}, "no dataclass"),
        ({"$type": "twin.policy.protocol.JobRequest", "id": "a"}, "has other fields here"),
        ({"$enum": "twin.policy.decisions.Reason.NO_SUCH"}, "cannot be read"),
        ({"$new": 1}, "unknown mark '$new'"),
        ({"$array": ["<f8", [2], "AAAA"]}, "cannot be read"),
    ],
)
def test_a_form_of_another_version_is_refused(form, said):
    with pytest.raises(AuditError) as refused:
        decode(form)
    assert said in str(refused.value)

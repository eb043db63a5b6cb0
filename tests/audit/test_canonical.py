"""RFC 8785 (Rundgren, Jordan and Erdtman, 2020): its own examples, and the quick way against ``rfc8785``."""

import json
import math
import struct

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from twin.audit import AuditError, canonical, digest
from twin.audit.canonical import number, parse, spelt

#: RFC 8785, appendix B: bits of an IEEE 754 double, and how it is written
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def test_the_sample_of_section_3_2_4():
    sample = json.loads(
        r'{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],'
        r'"string":"\u20ac$\u000F\u000aA\u0027\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}'
    )
    assert canonical(sample).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_the_order_of_section_3_2_3():
    names = ["€", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "ö"]
    spelt = canonical(dict.fromkeys(names, 0))
    assert list(json.loads(spelt)) == ["\r", "1", "\u0080", "ö", "€", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_the_numbers_of_appendix_b(bits, text):
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(value).decode() == text
    assert canonical([value]).decode() == f"[{text}]"


@given(value=values)
def test_the_quick_way_spells_as_the_library_does(value):
    try:
        expected = rfc8785.dumps(value)
    except rfc8785.CanonicalizationError:
        with pytest.raises(AuditError):
            canonical(value)
        return
    assert canonical(value) == expected
    assert canonical(parse(expected)) == expected


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 2**53, -(2**53), "\ud800", {1: 2}, {"\ud800": 1}, [b"x"], {"a": {1, 2}}]
)
def test_what_has_no_json_is_refused(value):
    with pytest.raises(AuditError):
        canonical(value)


def test_what_lies_deep_is_spelt_as_well():
    """orjson ends at 254 values inside one another."""
    value = 0.5
    for _ in range(300):
        value = [value]
    assert canonical(value) == spelt(value) == b"[" * 300 + b"0.5" + b"]" * 300
    with pytest.raises(AuditError):
        spelt("\ud800")


def test_a_digest_and_a_number_to_read():
    # FIPS 180-2, appendix B.1
    assert digest(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert [number(value) for value in (1, 0.5, math.nan, -math.inf)] == [1.0, 0.5, "nan", "-inf"]

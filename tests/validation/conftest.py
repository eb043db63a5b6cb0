"""Cases are judged once and looked at by several tests."""

from collections.abc import Callable
from functools import cache

import pytest

from twin.validation.case import Row, judge
from twin.validation.cases import chosen


@cache
def _judged(name: str) -> tuple[Row, ...]:
    (case,) = chosen([name])
    return tuple(judge(case))


@pytest.fixture
def judged() -> Callable[[str], tuple[Row, ...]]:
    """``judged("V4")``: the case's rows on the plant as it is."""
    return _judged

"""Results of a study's map come in the order asked, however many workers there are."""

import time

import pytest

from twin.studies.work import on_cores, one_by_one


def slow_first(number: int) -> int:
    time.sleep(0.2 if number == 0 else 0.0)
    return number * number


@pytest.mark.parametrize("run", [one_by_one, on_cores(1), on_cores(2)])
def test_results_come_in_the_order_of_the_arguments(run) -> None:
    assert list(run(slow_first, range(4))) == [0, 1, 4, 9]


def test_no_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="workers = 0: give 1 or more"):
        on_cores(0)

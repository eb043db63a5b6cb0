"""The table of cases, and how it is run."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from twin.validation import breakers, capping, coolant, cooling_loss, storage
from twin.validation.case import Case, Row, judge

CASES: tuple[Case, ...] = (
    *breakers.CASES,
    *capping.CASES,
    *coolant.CASES,
    *cooling_loss.CASES,
    *storage.CASES,
)


def chosen(names: Iterable[str]) -> tuple[Case, ...]:
    """Cases of these names, in the order of the table; all of them without a name. KeyError for an unknown name."""
    by_name = {case.name: case for case in CASES}
    wanted = {by_name[name].name for name in names}
    return tuple(case for case in CASES if not wanted or case.name in wanted)


def run(cases: Sequence[Case], started: Callable[[Case], None] = lambda case: None) -> Iterator[Row]:
    """Judge ``cases`` one after another; ``started`` is told of each before it begins."""
    for case in cases:
        started(case)
        yield from judge(case)

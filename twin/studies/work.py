"""How the runs of a study are carried out: one after another, or on the cores of this machine.

A study is handed a map: it gives a function and its arguments and takes the results in the order of the arguments, so
that neither the number of workers nor who finishes first is seen in what it concludes.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


class Map(Protocol):
    """Apply a function to each argument; results come in the order of the arguments."""

    def __call__(self, function: Callable[[Given], Made], arguments: Iterable[Given]) -> Iterator[Made]: ...


def one_by_one(function: Callable[[Given], Made], arguments: Iterable[Given]) -> Iterator[Made]:
    """In this process, one after another."""
    return map(function, arguments)


def on_cores(workers: int) -> Map:
    """On ``workers`` processes of this machine, or in this one for a single worker.

    Function and arguments have to be picklable. Raises ValueError for less than one worker.
    """
    if workers < 1:
        raise ValueError(f"workers = {workers}: give 1 or more")
    if workers == 1:
        return one_by_one

    def mapped(function: Callable[[Given], Made], arguments: Iterable[Given]) -> Iterator[Made]:
        from joblib import Parallel, delayed  # takes a while to load

        # a worker that has grown is replaced by a fresh one, and its work given to another
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        calls = (delayed(function)(argument) for argument in arguments)
        return iter(Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2*n_jobs")(calls))

    return mapped

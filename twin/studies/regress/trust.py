"""How far a judgement can be trusted: false alarms on harmless changes, and which mutations it catches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twin.studies.regress.formulas import Named
from twin.studies.regress.judgement import conclude, first_work, replay_all
from twin.studies.regress.mutations import MUTATIONS, harmless, mutated
from twin.studies.regress.settings import Settings
from twin.studies.work import Map


@dataclass(frozen=True)
class Row:
    """One changed formula and what became of it."""

    name: str
    named: bool
    outcome: str  # worse, fine, untold
    flipped: int
    decisions: int
    worlds: int  # pairs of runs that it took
    why: str


def false_alarms(
    baseline: Named, settings: Settings, *, kept: Path, mapped: Map, moved: Callable[[float], None], fast: bool,
    number: int,
) -> list[Row]:  # fmt: skip
    """``number`` harmless changes, weights ± 1 %, each judged. ``moved`` is told how many recordings are done, and then
    how many changes more."""
    changed = [harmless(baseline, seed) for seed in range(1, number + 1)]
    return _judged(baseline, changed, [False] * number, settings, kept, mapped, moved, fast)


def kill_rate(
    baseline: Named, settings: Settings, *, kept: Path, mapped: Map, moved: Callable[[float], None], fast: bool,
    number: int,
) -> list[Row]:  # fmt: skip
    """The first ``number`` mutations of the list, each judged."""
    made = [(mutated(baseline, each), each.named) for each in MUTATIONS[:number]]
    real = [(formula, named) for formula, named in made if formula is not None]
    formulas, named = [each for each, _ in real], [each for _, each in real]
    return _judged(baseline, formulas, named, settings, kept, mapped, moved, fast)


def _judged(
    baseline: Named, formulas: Sequence[Named], named: Sequence[bool], settings: Settings, kept: Path, mapped: Map,
    moved: Callable[[float], None], fast: bool,
) -> list[Row]:  # fmt: skip
    replayed = replay_all(baseline, formulas, settings.decisions, kept=kept, mapped=mapped, moved=moved)
    rows = []
    moved(first_work(settings, 0))
    for formula, is_named, found in zip(formulas, named, replayed, strict=True):
        told = conclude(
            (baseline, formula),
            settings,
            found,
            kept=kept,
            recordings=first_work(settings, 0),
            mapped=mapped,
            fast=fast,
        )
        outcome = told.outcome.name.lower()
        rows.append(Row(formula.spec, is_named, outcome, told.flipped, told.decisions, len(told.pairs), told.why))
        moved(first_work(settings, 0) + len(rows))
    return rows

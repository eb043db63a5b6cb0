"""A judgement: recorded decisions first, then paired worlds, look by look, until it is clear."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from twin.studies.regress.corpus import record
from twin.studies.regress.evidence import ALL, Finding, judge_guard
from twin.studies.regress.formulas import Named, Portable, remade
from twin.studies.regress.reading import read_incident
from twin.studies.regress.replay import Flip, Replayed, Tally, replay
from twin.studies.regress.settings import HARMS, Decisions, Guard, Settings
from twin.studies.regress.worlds import Pair, World, run_world
from twin.studies.work import Map, one_by_one

DECISIONS, WORLDS = "decisions", "worlds"
FIRST_SHARE = 0.75  # of the false alarms, for the first tier: most mistakes show there, in the fewest worlds
PER_TRAYS = 1000.0
PER = "per 1,000 trays"
UNITS = {
    "breaker_trips_total": "trips", "throttled_gpu_seconds": "GPU-s", "shutdown_events_total": "shutdowns",
    "gpu_temperature_celsius_max": "°C", "breaker_thermal_fraction_max": "of a trip", "gpu_seconds_lost": "GPU-s",
    "wait_seconds_mean": "s", "jobs_not_run": "jobs", "gpu_hours_delivered": "GPU-h",
    "latency_misses_total": "requests",
}  # fmt: skip
SHOWN_FLIPS = 5


class Outcome(StrEnum):
    """What is concluded."""

    SAME = "no regression: the two formulas are the same"
    FINE = "no regression"
    WORSE = "regression"
    UNTOLD = "could not tell"


@dataclass(frozen=True)
class Judgement:
    """What was concluded, from what, and where decisions changed."""

    outcome: Outcome
    why: str
    baseline: str
    candidate: str
    findings: tuple[Finding, ...]
    flips: tuple[Flip, ...]  # the worst
    decisions: int
    flipped: int
    groups: tuple[tuple[str, int, int], ...]  # story or incident, decisions, flips
    pairs: tuple[Pair, ...]

    @property
    def worse(self) -> tuple[Finding, ...]:
        """Claims of a regression."""
        return tuple(each for each in self.findings if each.worse)


@dataclass(frozen=True)
class Recording:
    """One recording to be gone through, for a worker."""

    story: str
    seed: int
    folder: str  # of an incident; empty for one of the shipped stories
    baseline: Portable
    candidates: tuple[Portable, ...]
    settings: Decisions
    kept: str


def judge(
    both: tuple[Named, Named],
    settings: Settings,
    *,
    kept: Path,
    incidents: Sequence[Path] = (),
    mapped: Map = one_by_one,
    moved: Callable[[float], None] = lambda done: None,
    fast: bool = False,
) -> Judgement:
    """Judge a candidate, the second of ``both``, against a baseline.

    ``incidents`` are folders of recorded incidents, which are judged beside the shipped stories; ``kept`` is where
    recordings and runs are kept. With ``fast`` the second tier is left out, and what the first does not find worse is
    fine if every guard is. ``moved`` is told how many recordings and worlds are done. Raises
    :class:`~twin.hall.errors.HallError` and what else refuses a run.
    """
    if both[0].digest == both[1].digest:
        return _concluded(Outcome.SAME, "their content has one digest", both, [], [], [], [])
    replayed = replay_all(
        both[0], both[1:], settings.decisions, kept=kept, incidents=incidents, mapped=mapped, moved=moved
    )[0]
    done = first_work(settings, len(incidents))
    return conclude(
        both, settings, replayed, kept=kept, recordings=done, mapped=mapped, moved=lambda more: moved(done + more),
        fast=fast,
    )  # fmt: skip


def conclude(
    both: tuple[Named, Named],
    settings: Settings,
    replayed: Replayed,
    *,
    kept: Path,
    recordings: int,
    mapped: Map = one_by_one,
    moved: Callable[[float], None] = lambda done: None,
    fast: bool = False,
) -> Judgement:
    """The judgement after the recordings were gone through: at once where they are clear, else with paired worlds.

    ``recordings`` is how many were gone through: the first tier is left out of account only where there were none.
    """
    tallies, flips = list(replayed.tallies), list(replayed.flips)
    share = settings.false_alarms if fast else FIRST_SHARE * settings.false_alarms
    findings = decision_findings(tallies, settings, share)
    worse = [each for each in findings if each.worse]
    if worse:
        return _concluded(Outcome.WORSE, _because(worse), both, findings, flips, tallies, [])
    if fast or not settings.worlds.stories:
        outcome = Outcome.FINE if _fine(findings) else Outcome.UNTOLD
        return _concluded(outcome, _cleared(findings), both, findings, flips, tallies, [])
    return _second(both, settings, kept, mapped, moved, findings, flips, tallies, recordings)


def _second(
    both: tuple[Named, Named], settings: Settings, kept: Path, mapped: Map, moved: Callable[[float], None],
    findings: list[Finding], flips: list[Flip], tallies: list[Tally], recordings: int,
) -> Judgement:  # fmt: skip
    """The second tier: after each look, claims are made or the next seeds are run."""
    told = settings.worlds
    names = both[0].portable, both[1].portable
    pairs: list[Pair] = []
    here: list[Finding] = []
    before = 0
    for look in told.looks:
        worlds = [
            World(story, seed, told.hours, *names, str(kept))
            for seed in range(before + 1, look + 1)
            for story in told.stories
        ]
        for pair in mapped(run_world, worlds):
            pairs.append(pair)
            moved(len(pairs))
        before = look
        here = world_findings(pairs, settings)
        worse = [each for each in here if each.worse]
        if worse:
            return _concluded(Outcome.WORSE, _because(worse), both, findings + here, flips, tallies, pairs)
        if _fine(here):
            break
    everything = findings + here
    silent = bool(recordings) and not findings  # recordings that say nothing clear nobody
    fine = _fine(here) and (_fine(findings) or not recordings)
    why = _cleared(findings if silent else everything)
    return _concluded(Outcome.FINE if fine else Outcome.UNTOLD, why, both, everything, flips, tallies, pairs)


def first_work(settings: Settings, incidents: int) -> int:
    """How many recordings the first tier goes through."""
    return settings.decisions.seeds * len(settings.decisions.stories) + incidents


def most_work(settings: Settings, incidents: int, fast: bool) -> int:
    """How many recordings and worlds a judgement may take."""
    first = first_work(settings, incidents)
    return first if fast else first + settings.worlds.looks[-1] * len(settings.worlds.stories)


def _replayed(asked: Recording) -> list[Replayed]:
    baseline, candidates = remade(asked.baseline), [remade(each) for each in asked.candidates]
    if asked.folder:
        incident = read_incident(Path(asked.folder))
        return replay(incident, incident.name, baseline, candidates, asked.settings, blocks=True)
    incident = read_incident(record(Path(asked.kept), asked.story, asked.seed, asked.settings))
    return replay(incident, asked.story, baseline, candidates, asked.settings, blocks=False)


def replay_all(
    baseline: Named,
    candidates: Sequence[Named],
    settings: Decisions,
    *,
    kept: Path,
    incidents: Sequence[Path] = (),
    mapped: Map = one_by_one,
    moved: Callable[[float], None] = lambda done: None,
) -> list[Replayed]:
    """What all recordings say of each candidate; each recording is gone through once for all of them."""
    first, rest = baseline.portable, tuple(each.portable for each in candidates)
    asked = [
        Recording(story, seed, "", first, rest, settings, str(kept))
        for story in settings.stories
        for seed in range(1, settings.seeds + 1)
    ] + [Recording("", 0, str(folder), first, rest, settings, str(kept)) for folder in incidents]
    tallies: list[list[Tally]] = [[] for _ in candidates]
    flips: list[list[Flip]] = [[] for _ in candidates]
    for done, found in enumerate(mapped(_replayed, asked), 1):
        for number, each in enumerate(found):
            tallies[number] += each.tallies
            flips[number] += each.flips
        moved(done)
    return [Replayed(tuple(tallies[number]), tuple(flips[number])) for number in range(len(candidates))]


# ---------------------------------------------------------------------- evidence


def decision_findings(tallies: Sequence[Tally], settings: Settings, share: float) -> list[Finding]:
    """Every guard over all recordings and over each story or incident; rates per 1,000 trays asked for."""
    groups = list(dict.fromkeys(each.group for each in tallies))
    guards = settings.decisions.guards
    claims = len(guards) * (len(groups) + 1)
    found = []
    for group in (ALL, *groups):
        part = [each for each in tallies if each.trays > 0.0 and group in (ALL, each.group)]
        if not part:
            continue
        for guard in guards:
            rates = [[PER_TRAYS * each.harmed[guard.name][side] / each.trays for each in part] for side in (0, 1)]
            found.append(_finding(rates, DECISIONS, guard, group, PER, share / claims, settings.misses))
    return found


def world_findings(pairs: Sequence[Pair], settings: Settings) -> list[Finding]:
    """Every guard over all worlds and over each story.

    Of stories nothing is claimed: at ten seeds at the most p is never small enough, and each claim would cost others
    their share. Each look may clear, and has its part of the misses.
    """
    told = settings.worlds
    share = (1.0 - FIRST_SHARE) * settings.false_alarms / (len(told.guards) * len(told.looks))
    misses = settings.misses / len(told.looks)
    found = []
    for group in (ALL, *told.stories):
        part = [each for each in pairs if group in (ALL, each.story)]
        for guard in told.guards:
            values = [[each.baseline[guard.metric] for each in part], [each.candidate[guard.metric] for each in part]]
            level = share if group == ALL else 0.0
            found.append(_finding(values, WORLDS, guard, group, UNITS[guard.metric], level, misses))
    return found


def _finding(
    values: Sequence[Sequence[float]], tier: str, guard: Guard, group: str, unit: str, level: float, misses: float
) -> Finding:
    return judge_guard(
        values[0],
        values[1],
        tier=tier,
        guard=guard.name,
        group=group,
        tolerance=guard.tolerance,
        unit=unit,
        reason=guard.reason,
        less_is_worse=guard.less_is_worse,
        alarm_level=level,
        miss_level=misses,
    )


def what_of(finding: Finding) -> str:
    """What a guard counts, in words."""
    return HARMS.get(finding.guard, finding.guard.replace("_", " "))


def _because(worse: Sequence[Finding]) -> str:
    worst = max(worse, key=lambda each: (each.difference.mean / max(each.tolerance, 1e-12), each.guard, each.group))
    where = "over everything" if worst.group == ALL else f"in {worst.group}"
    return (
        f"{what_of(worst)}, {where}: {worst.difference.mean:+.4g} {worst.unit} "
        f"({worst.baseline:.4g} → {worst.candidate:.4g}, tolerance {worst.tolerance:g}, p = {worst.p_worse:.2g})"
    )


def _fine(findings: Sequence[Finding]) -> bool:
    """Whether every guard is cleared over everything; no evidence clears nobody."""
    over_all = [each for each in findings if each.group == ALL]
    return bool(over_all) and all(each.fine for each in over_all)


def _cleared(findings: Sequence[Finding]) -> str:
    if not findings:
        return "no decision had its future recorded"
    open_ = [each for each in findings if each.group == ALL and not each.fine]
    if not open_:
        return "every guard is within its tolerance"
    return "not settled: " + ", ".join(
        f"{each.guard.replace('_', ' ')} ({each.difference.mean:+.4g} {each.unit}, tolerance {each.tolerance:g})"
        for each in open_
    )


def _concluded(
    outcome: Outcome, why: str, both: tuple[Named, Named], findings: list[Finding], flips: list[Flip],
    tallies: list[Tally], pairs: list[Pair],
) -> Judgement:  # fmt: skip
    groups: dict[str, tuple[int, int]] = {}
    for each in tallies:
        decisions, changed = groups.get(each.group, (0, 0))
        groups[each.group] = decisions + each.decisions, changed + each.flips
    worst = sorted(
        flips, key=lambda each: (-each.worse_by, each.group, each.recording, each.time_seconds, each.request)
    )
    shown = [each for each in worst if each.worse_by > 0.0][:SHOWN_FLIPS] or worst[:SHOWN_FLIPS]
    return Judgement(
        outcome, why, both[0].spec, both[1].spec, tuple(findings), tuple(shown),
        sum(each.decisions for each in tallies), sum(each.flips for each in tallies),
        tuple((group, *counts) for group, counts in groups.items()), tuple(pairs),
    )  # fmt: skip

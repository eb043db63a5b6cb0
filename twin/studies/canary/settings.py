"""The settings of a canary study, read whole and refused whole."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from twin.hall.errors import Fault, HallError, did_you_mean
from twin.hall.files import read_yaml
from twin.places import conf_dir
from twin.policy.canary import Strategy
from twin.studies.canary.population import KINDS, Effect
from twin.studies.canary.truth import MEASURES, Margins, Schedule

QUICK_BUILDS = 9
QUICK_RUNS, QUICK_HARMED = 60, 20
COUNTS = ("batches", "runs", "harmed")


@dataclass(frozen=True)
class TrialTimes:
    """Longest time that a canary may take, and when its rollout begins [s]."""

    seconds: float = 5_400.0
    begin_seconds: float = 60.0


@dataclass(frozen=True)
class NoEffect:
    """How many releases show whether the judge keeps to its word, and what raises heat by twice its margin [1]."""

    runs: int = 1_000
    harmed: int = 200
    power_at_twice: float = 0.24


@dataclass(frozen=True)
class CanaryStudy:
    """What is tried, where, and what counts as harm."""

    seed: int
    builds: int
    worlds: int
    strategies: tuple[Strategy, ...]
    service: str
    base: tuple[str, ...]
    mixes: Mapping[str, tuple[str, ...]]
    states: Mapping[str, tuple[str, ...]]
    truth: Schedule
    trial: TrialTimes
    margins: Margins
    no_effect: NoEffect
    near: float
    reach: tuple[float, float]
    effects: Mapping[str, Effect]

    def plain(self) -> dict[str, Any]:
        """The settings as plain values, for a manifest."""
        return {**asdict(self), "strategies": [str(each) for each in self.strategies]}

    def quick(self) -> "CanaryStudy":
        """The same with a build of each stratum, one world, three strategies and few releases: a first look."""
        first = (Strategy.RANDOM, Strategy.REPRESENTATIVE, Strategy.STRESS)
        some = tuple(each for each in self.strategies if each in first)
        asked = self.no_effect
        return replace(
            self,
            builds=min(self.builds, QUICK_BUILDS),
            worlds=1,
            strategies=some or self.strategies[:1],
            no_effect=replace(asked, runs=min(asked.runs, QUICK_RUNS), harmed=min(asked.harmed, QUICK_HARMED)),
        )


def shipped() -> Path:
    """The file with the defaults."""
    return conf_dir() / "study" / "canary.yaml"


def read_settings(path: Path, given: Mapping[str, Any]) -> CanaryStudy:
    """Settings from a file, some of its keys replaced. Raises :class:`~twin.hall.errors.HallError` with every fault."""
    return settings_of({**read_yaml(path), **given}, str(path))


def settings_of(whole: Mapping[str, Any], source: str) -> CanaryStudy:
    """Settings from plain values that stand in ``source``. Raises :class:`HallError` with every fault."""
    faults: list[Fault] = []

    def fault(key: str, value: object, problem: str, remedy: str) -> None:
        faults.append(Fault(source, key, value, problem, remedy))

    names = [each.name for each in fields(CanaryStudy)]
    for key in whole:
        if key not in names:
            fault(str(key), whole[key], "there is no such setting", did_you_mean(str(key), names))
    missing = [name for name in names if name not in whole]
    for name in missing:
        fault(name, None, "missing", f"Write it, as {shipped()} does")
    if missing:
        raise HallError(faults)
    for name, least in (("seed", 0), ("builds", 1), ("worlds", 1)):
        if not isinstance(whole[name], int) or isinstance(whole[name], bool) or whole[name] < least:
            fault(name, whole[name], "not a whole number that can be", f"Give one of at least {least}")
    strategies = whole["strategies"] if isinstance(whole["strategies"], Sequence) else ()
    for each in strategies:
        if each not in tuple(Strategy):
            fault("strategies", each, "there is no such strategy", did_you_mean(str(each), [str(s) for s in Strategy]))
    if not strategies or len(set(strategies)) < len(strategies):
        fault("strategies", strategies, "none, or one twice", "Name each once, such as random,stress")
    if not _words(whole["base"]):
        fault("base", whole["base"], "not a list of words", "Write such as - hall=reference")
    for group in ("mixes", "states"):
        if not isinstance(whole[group], Mapping) or not whole[group] or not all(map(_words, whole[group].values())):
            fault(group, whole[group], "not words by name", "Write name: [key=value, …]")
    near = whole["near"]
    if not (isinstance(near, int | float) and 0.0 <= near <= 1.0):
        fault("near", near, "not a share", "Give a number from 0 to 1")
    reach = whole["reach"]
    if not (isinstance(reach, list) and len(reach) == 2 and reach[0] < 0.5 and reach[1] > 1.5):
        fault("reach", reach, "not a range about 0.5 to 1.5", "Give such as [-0.5, 3.0]")
    made: dict[str, Any] = {}
    for key, kind in (("truth", Schedule), ("trial", TrialTimes), ("margins", Margins), ("no_effect", NoEffect)):
        try:
            made[key] = kind(**whole[key])
        except TypeError as error:
            fault(key, whole[key], str(error), f"Give {', '.join(each.name for each in fields(kind))}")
            continue
        for name, value in asdict(made[key]).items():
            if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
                fault(f"{key}.{name}", value, "not a number above 0", "Give one")
            elif name in COUNTS and not isinstance(value, int):
                fault(f"{key}.{name}", value, "not a whole number", "Give one above 0")
    if "truth" in made and not made["truth"].seconds > made["truth"].full_seconds:
        fault("truth.seconds", made["truth"].seconds, "ends before the build is everywhere", "Give more")
    effects = whole["effects"] if isinstance(whole["effects"], Mapping) else {}
    for kind in effects:
        if kind not in KINDS:
            fault(f"effects.{kind}", effects[kind], "no effect of a build", did_you_mean(str(kind), KINDS))
    read = {}
    for kind, entry in effects.items():
        try:
            read[kind] = Effect(float(entry["weight"]), {str(k): float(v) for k, v in entry["at_margin"].items()})
        except (TypeError, KeyError, ValueError, AttributeError):
            fault(f"effects.{kind}", entry, "not a weight and an effect by state", "Write weight and at_margin")
            continue
        lacking = [state for state in whole["states"] if state not in read[kind].at_margin]
        if lacking:
            fault(f"effects.{kind}.at_margin", entry["at_margin"], f"no figure for {', '.join(lacking)}", "Add it")
    if not effects:
        fault("effects", effects, "none", f"Give some of {', '.join(KINDS)}")
    if faults:
        raise HallError(faults)
    return CanaryStudy(
        seed=whole["seed"], builds=whole["builds"], worlds=whole["worlds"],
        strategies=tuple(Strategy(each) for each in strategies), service=str(whole["service"]),
        base=tuple(whole["base"]), mixes={k: tuple(v) for k, v in whole["mixes"].items()},
        states={k: tuple(v) for k, v in whole["states"].items()}, near=float(near),
        reach=(float(reach[0]), float(reach[1])), effects=read, **made,
    )  # fmt: skip


def _words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


__all__ = ["MEASURES", "CanaryStudy", "TrialTimes", "read_settings", "settings_of", "shipped"]

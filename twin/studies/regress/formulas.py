"""Formulas by what a command line says: a file, ``module:callable``, or nothing for the shipped one."""

import hashlib
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from twin.hall.errors import Fault, Faults, HallError
from twin.hall.files import read_yaml
from twin.places import conf_dir
from twin.policy.aware import ThermalAware, thermal_aware
from twin.policy.check import check_policy
from twin.policy.documents import DocumentFaults
from twin.policy.factors import Floats
from twin.policy.score import Formula, Rating, Scores, read_formula
from twin.sim.policy_files import policy_document

BASELINE = "baseline"  # stands for the shipped formula
SHIPPED = ("policy", "score", "default.yaml")
POLICY = "thermal_aware"
SHOWN_FINDINGS = 3


Portable = tuple[str, Mapping[str, Any] | None]


@dataclass(frozen=True)
class Named:
    """A formula, what it was asked for as, and the digest of what it is."""

    spec: str
    rating: Rating
    digest: str
    mapping: Mapping[str, Any] | None = None  # of a formula that is plain values

    @property
    def portable(self) -> "Portable":
        """What another process makes it of: code is loaded there again."""
        return self.spec, self.mapping


@dataclass(frozen=True)
class Coded:
    """A formula that is code: ``function(kind, values, ages)`` gives :class:`~twin.policy.score.Scores`."""

    function: Callable[[str, Mapping[str, Floats], Mapping[str, Floats]], Scores]

    def rate(self, kind: str, values: Mapping[str, Floats], ages: Mapping[str, Floats]) -> Scores:
        """Scores of all racks for a class of work."""
        return self.function(kind, values, ages)


def load(spec: str, option: str = "--candidate") -> Named:
    """The formula that ``spec`` names: ``baseline``, a YAML file, or ``module:callable``.

    The callable takes nothing and returns a formula's mapping or a :class:`Formula`, or takes ``(kind, values, ages)``
    and returns :class:`Scores` itself. Code is held to :func:`twin.policy.check.check_policy`, since a formula may
    neither fail nor change its mind. Raises :class:`~twin.hall.errors.HallError` with every fault.
    """
    if spec == BASELINE:
        spec = str(conf_dir().joinpath(*SHIPPED))
    module, colon, name = spec.partition(":")
    if colon and module and name and not spec.endswith((".yaml", ".yml")):
        return _coded(spec, module, name, option)
    path = Path(spec)
    if not path.is_file():
        problem = f"there is no file {path.name} in {path.parent}"  # whole, where a long path as a value is cut
        raise HallError(
            [Fault("command line", option, path.name, problem, "Give a formula's file, or module:callable")]
        )
    return of_mapping(read_yaml(path), spec)


def of_mapping(mapping: object, spec: str) -> Named:
    """A formula from plain values. Raises :class:`~twin.hall.errors.HallError`; ``spec`` stands for the file."""
    faults = DocumentFaults()
    formula = read_formula(mapping, "", faults)
    if faults:
        raise HallError(Fault(spec, each.key, each.value, each.problem, each.remedy) for each in faults)
    assert isinstance(mapping, Mapping)
    return Named(spec, formula, _digest(mapping), mapping)


def remade(portable: Portable) -> Named:
    """A formula in the process that needs it."""
    spec, mapping = portable
    return load(spec) if mapping is None else of_mapping(mapping, spec)


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def _coded(spec: str, module: str, name: str, option: str) -> Named:
    faults = Faults("command line")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as python -m has it
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever somebody else's module raises is a fault of what was named
        told = f"cannot be loaded ({type(error).__name__}: {error})"
        faults.add(option, spec, told, "Name what Python can import from here, as module:callable")
        faults.stop()
    if not callable(found):
        faults.add(option, spec, "not callable", "Name a function, as module:callable")
        faults.stop()
    try:
        needed = [
            each
            for each in inspect.signature(found).parameters.values()
            if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]
        made = found if needed else found()
        source = inspect.getsource(sys.modules[module])
    except Exception as error:
        faults.add(option, spec, f"raised {type(error).__name__}: {error}", "Mend it: it is called without arguments")
        faults.stop()
    if isinstance(made, Mapping):
        return of_mapping(made, spec)
    if isinstance(made, Formula):
        return Named(spec, made, _digest(repr(made)))
    rating: Rating = made if hasattr(made, "rate") else Coded(made)
    for finding in check_policy(lambda: alone(rating))[:SHOWN_FINDINGS]:
        faults.add(option, spec, str(finding), "See 'Formulas in code' in twin/docs/regress.md")
    faults.stop()
    return Named(spec, rating, _digest([spec, source]))


def document() -> dict[str, Any]:
    """The shipped thermal-aware policy's own document, without what decides after placement."""
    found = policy_document(conf_dir() / "policy", POLICY)
    return {key: value for key, value in found.items() if key not in ("audit", "ladder", "response", "rollout")}


def alone(rating: Rating) -> ThermalAware:
    """The shipped policy with this formula and without rules and exclusions: what the formula itself would do.

    A formula is read by whoever asks for scores, not behind our rules alone, so it is judged without their protection;
    power that is not there is never given away.
    """
    bare = _bare()
    return replace(bare, formula=rating, _memo=type(bare._memo)())


@lru_cache(maxsize=1)
def _bare() -> ThermalAware:
    found = document()
    found["admission"] = {**found["admission"], "rules": []}
    found["exclusions"] = []
    return thermal_aware(found)

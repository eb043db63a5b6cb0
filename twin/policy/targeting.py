"""Targeting rules of flags: the part of JsonLogic that is needed, checked when read and evaluated without surprise.

Operators: if, ==, !=, <, <=, >, >=, and, or, !, in, var, starts_with, ends_with. Where JsonLogic converts between
types, this does not: == is by type and value, and an order is only among numbers. What cannot be compared is an error
of evaluation, never false, since a missing reading must not decide.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from twin.policy.documents import DocumentFaults, is_number, nearest

#: operator -> fewest and most arguments
OPERATORS: dict[str, tuple[int, int]] = {
    "if": (2, 99),
    "==": (2, 2),
    "!=": (2, 2),
    "<": (2, 3),
    "<=": (2, 3),
    ">": (2, 2),
    ">=": (2, 2),
    "and": (1, 99),
    "or": (1, 99),
    "!": (1, 1),
    "in": (2, 2),
    "var": (1, 2),
    "starts_with": (2, 2),
    "ends_with": (2, 2),
}
YES_OR_NO = frozenset(OPERATORS) - {"if", "and", "or", "var"}
DEEPEST = 30  # levels of nesting


class TargetingError(ValueError):
    """A rule that cannot be evaluated in a context."""


def arguments(rule: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
    """Operator and arguments; a single argument may stand without brackets."""
    ((operator, given),) = rule.items()
    return operator, given if isinstance(given, list | tuple) else (given,)


def check(rule: Any, path: str, faults: DocumentFaults, depth: int = 0) -> None:
    """Note everything in ``rule`` that is not of the subset."""
    if depth > DEEPEST:
        faults.add(path, "...", f"nested deeper than {DEEPEST} levels", "Split it into several flags")
    elif isinstance(rule, list | tuple):
        for n, each in enumerate(rule):
            check(each, f"{path}[{n}]", faults, depth + 1)
    elif isinstance(rule, Mapping):
        if len(rule) != 1:
            faults.add(path, dict(rule), f"{len(rule)} operators in one place", "Write one operator per mapping")
            return
        operator, given = arguments(rule)
        if operator not in OPERATORS:
            faults.add(path, operator, "an operator that is not supported", nearest(str(operator), OPERATORS))
            return
        fewest, most = OPERATORS[operator]
        if not fewest <= len(given) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            faults.add(f"{path}.{operator}", list(given), f"{len(given)} arguments", f"Give it {wanted}")
        if operator == "var":
            _check_var(given, f"{path}.var", faults)
        else:
            for n, each in enumerate(given):
                check(each, f"{path}.{operator}[{n}]", faults, depth + 1)
    elif rule is not None and not isinstance(rule, str | bool) and not is_number(rule):
        faults.add(path, rule, "not a finite number, text, bool, null, list or rule", "Write one of these")


def _check_var(given: Sequence[Any], path: str, faults: DocumentFaults) -> None:
    name = given[0] if given else None
    if not isinstance(name, str) or not name:
        faults.add(path, name, "not the name of something in the context", 'Write such as {"var": "rack"}')
    elif name.partition(".")[0] == "$flagd":
        faults.add(
            path,
            name,
            "wall time and flagd's own properties are not known here",
            'Use {"var": "time_seconds"}, which is simulated time in a run',
        )
    if len(given) > 1 and isinstance(given[1], Mapping | list | tuple):
        faults.add(f"{path}[1]", given[1], "not a plain value to fall back on", "Write a number, text, bool or null")


def results(rule: Any) -> list[Any]:
    """What a rule can result in, as far as it is written down; comparisons give ``true`` and ``false``."""
    if not isinstance(rule, Mapping) or len(rule) != 1:
        return [rule]
    operator, given = arguments(rule)
    if operator == "if":
        ends = [given[n] for n in range(1, len(given), 2)] + ([given[-1]] if len(given) % 2 else [None])
        return [found for end in ends for found in results(end)]
    if operator in ("and", "or"):
        return [found for each in given for found in results(each)]
    if operator in YES_OR_NO:
        return [True, False]
    return []


def names(rule: Any) -> frozenset[str]:
    """What of a context a checked rule looks at, such as ``rack``; of ``a.b`` it is ``a``."""
    if isinstance(rule, list | tuple):
        return frozenset().union(*map(names, rule))
    if not isinstance(rule, Mapping):
        return frozenset()
    operator, given = arguments(rule)
    return frozenset({str(given[0]).partition(".")[0]}) if operator == "var" else names(given)


def apply(rule: Any, context: Mapping[str, Any]) -> Any:
    """The result of a checked rule in a context. Raises :class:`TargetingError` where there is none."""
    if isinstance(rule, list | tuple):
        return [apply(each, context) for each in rule]
    if not isinstance(rule, Mapping):
        return rule
    operator, given = arguments(rule)
    if operator == "var":
        return _looked_up(given, context)
    if operator == "if":
        for n in range(0, len(given) - 1, 2):
            if truthy(apply(given[n], context)):
                return apply(given[n + 1], context)
        return apply(given[-1], context) if len(given) % 2 else None
    if operator in ("and", "or"):
        found = None
        for each in given:
            found = apply(each, context)
            if truthy(found) is (operator == "or"):
                break
        return found
    values = [apply(each, context) for each in given]
    if operator == "!":
        return not truthy(values[0])
    if operator in ("==", "!="):
        return same(values[0], values[1]) is (operator == "==")
    if operator == "in":
        return _inside(values[0], values[1])
    if operator in ("starts_with", "ends_with"):
        if not (isinstance(values[0], str) and isinstance(values[1], str)):
            return False
        return values[0].startswith(values[1]) if operator == "starts_with" else values[0].endswith(values[1])
    return _ordered(operator, values)


def truthy(value: Any) -> bool:
    """JsonLogic's truth: empty texts and lists, 0, null and false are false."""
    return bool(value)


def same(one: Any, other: Any) -> bool:
    """Equal by type and value; whole and real numbers are one type, and a bool is no number."""
    if is_number(one) and is_number(other):
        return bool(one == other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def _looked_up(given: Sequence[Any], context: Mapping[str, Any]) -> Any:
    found: Any = context
    for part in str(given[0]).split("."):
        if not isinstance(found, Mapping) or part not in found:
            return given[1] if len(given) > 1 else None
        found = found[part]
    return found


def _inside(needle: Any, haystack: Any) -> bool:
    if isinstance(haystack, str):
        return isinstance(needle, str) and needle in haystack
    return isinstance(haystack, list | tuple) and any(same(needle, each) for each in haystack)


def _ordered(operator: str, values: Sequence[Any]) -> bool:
    for value in values:
        if not is_number(value):
            raise TargetingError(f"'{operator}' needs finite numbers, and {value!r} is none")
    pairs = pairwise(values)
    if operator == "<":
        return all(one < other for one, other in pairs)
    if operator == "<=":
        return all(one <= other for one, other in pairs)
    return bool(values[0] > values[1]) if operator == ">" else bool(values[0] >= values[1])

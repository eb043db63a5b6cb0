"""Site rules in CEL, the Common Expression Language; needs the extra ``cel``.

An expression is true or false over the factors of :data:`twin.policy.factors.FACTORS`, each a double: comparisons, sums
and logic, nothing else of the language, so that a rule reads what is known of a rack and nothing beside.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cel

from twin.policy.documents import nearest
from twin.policy.expressions import Expression, ExpressionRefused
from twin.policy.factors import FACTORS

CONVERSIONS = ("double",)
TRIED = (0.0, 0.5, 50.0)  # values of every factor, for which an expression must be true or false


@dataclass(frozen=True)
class CelExpression:
    """A compiled expression (:class:`twin.policy.expressions.Expression`)."""

    source: str
    factors: tuple[str, ...]
    program: cel.Program

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether it is true; what cannot be evaluated does not hold."""
        try:
            return self.program.execute(dict(values)) is True
        except (TypeError, ValueError, RuntimeError):
            return False


def compiled(source: str) -> Expression:
    """The expression of a text. Raises :class:`~twin.policy.expressions.ExpressionRefused`."""
    try:
        program = cel.compile(source)
    except ValueError as error:
        raise ExpressionRefused(f"is no CEL ({_first(error)})", "Write such as inlet_celsius < 45.0") from error
    names = sorted(program.variables())
    for name in names:
        if name not in FACTORS:
            raise ExpressionRefused(f"reads {name!r}, which is no factor", nearest(name, FACTORS))
    if not names:
        raise ExpressionRefused("reads no factor", "Write such as inlet_celsius < 45.0")
    for function in program.functions():
        if function.isidentifier() and function not in CONVERSIONS:
            raise ExpressionRefused(f"calls {function}()", "Use comparisons, sums and logic only")
    for value in TRIED:
        try:
            answer = program.execute(dict.fromkeys(names, value))
        except (TypeError, ValueError, RuntimeError) as error:
            remedy = "Factors are doubles: write 45.0, and compare numbers with numbers"
            raise ExpressionRefused(f"cannot be evaluated ({_first(error)})", remedy) from error
        if not isinstance(answer, bool):
            raise ExpressionRefused(f"is {type(answer).__name__}, neither true nor false", "Compare it with a limit")
    return CelExpression(source, tuple(names), program)


def _first(error: Exception) -> str:
    """The first sentence of what the library says."""
    return str(error).splitlines()[0].split(". ")[0]

"""An OpenFeature provider over :func:`twin.policy.evaluation.evaluate`; needs the extra ``openfeature``.

``targeting_key`` of an evaluation context is taken as the service where the context names none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from twin.policy.evaluation import Resolution, ValueType, evaluate
from twin.policy.flags import Flags, FlagState

Objects = Sequence[FlagValueType] | Mapping[str, FlagValueType]


class FlagProvider(AbstractProvider):
    """Evaluates flags under a state that ``state`` returns when asked, so that who changes flags need not know it.

    ``now`` gives simulated or real time [s] for contexts without ``time_seconds``; without it they have no time.
    """

    def __init__(
        self, flags: Flags, state: Callable[[], FlagState] = FlagState, now: Callable[[], float] | None = None
    ) -> None:
        super().__init__()
        self._flags, self._state, self._now = flags, state, now

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata(name="data-hall-twin")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """A flag whose variants are true and false."""
        return self._resolve(flag_key, default_value, evaluation_context, ValueType.BOOLEAN)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """A flag whose variants are texts."""
        return self._resolve(flag_key, default_value, evaluation_context, ValueType.STRING)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """A flag whose variants are whole numbers."""
        return self._resolve(flag_key, default_value, evaluation_context, ValueType.INTEGER)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """A flag whose variants are numbers."""
        return self._resolve(flag_key, default_value, evaluation_context, ValueType.FLOAT)

    def resolve_object_details(
        self, flag_key: str, default_value: Objects, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Objects]:
        """A flag whose variants are objects, such as degradations."""
        return self._resolve(flag_key, default_value, evaluation_context, ValueType.OBJECT)

    def _resolve(
        self, key: str, default: Any, given: EvaluationContext | None, wanted: ValueType
    ) -> FlagResolutionDetails[Any]:
        found = evaluate(self._flags, self._state(), key, self._context(given), default, wanted)
        return details_of(found)

    def _context(self, given: EvaluationContext | None) -> dict[str, Any]:
        context: dict[str, Any] = {} if self._now is None else {"time_seconds": self._now()}
        if given is not None:
            if given.targeting_key:
                context |= {"service": given.targeting_key, "targetingKey": given.targeting_key}
            context |= given.attributes
        return context


def details_of(found: Resolution) -> FlagResolutionDetails[Any]:
    """A resolution in the types of OpenFeature's library."""
    return FlagResolutionDetails(
        value=found.value,
        error_code=None if found.error is None else ErrorCode(found.error.value),
        error_message=found.message or None,
        reason=Reason(found.reason.value),
        variant=found.variant,
        flag_metadata=dict(found.metadata),
    )

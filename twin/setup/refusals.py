"""The errors by which the layers refuse input, and the sentences in them."""

from twin.hall.errors import HallError
from twin.results.rundir import RunError
from twin.setup.configuration import ConfigurationError
from twin.setup.weather import WeatherError
from twin.sim.scenario import ScenarioError
from twin.workload.faults import WorkloadError


class Refused(ValueError):
    """Several parts of a run are refused at once."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(faults))


REFUSALS = (ConfigurationError, HallError, RunError, ScenarioError, WeatherError, WorkloadError, Refused)


def sentences(error: Exception) -> list[str]:
    """Every fault of a refusal as one line: file, key, value, remedy."""
    faults = getattr(error, "faults", None)
    return [str(fault) for fault in faults] if faults else [str(error)]

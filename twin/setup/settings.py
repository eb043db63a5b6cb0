"""What the engine is told beside hall, workload, policy and story: hardware, sensors, tolerances, records, chance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twin.hall.errors import Fault, Faults, did_you_mean
from twin.hall.fields import number, read_fields
from twin.setup.configuration import SOURCE, Configuration, ConfigurationError
from twin.setup.weather import Row, WeatherError, read_weather
from twin.sim.chance import ChanceError, FaultRate, read_rates
from twin.sim.sensor_settings import read_sensors
from twin.sim.tolerances import read_tolerances
from twin.sim.world import Settings

PLANT = (
    number("reclose_seconds", "from a breaker's trip to the operator's manual reclose"),
    number("restart_stagger_seconds", "between racks that come back on one breaker"),
    number("boot_seconds", "from power to service"),
    number("device_restart_seconds", "from a device's thermal shutdown to its restart"),
    number("service_period_seconds", "between two updates of an inference service's load", low=1.0),
    number("service_deadband", "change of utilisation below which a service's power stays", high=1.0),
)
RECORD = (number("interval_seconds", "of one row of the time series", above=True),)


def settings_of(configuration: Configuration, sources: Mapping[str, str]) -> Settings:
    """The engine's settings. Keys that the groups leave out have the engine's own defaults; ``sources`` are the files
    that the groups came from, for messages.

    Raises :class:`ConfigurationError` with every fault of the groups and of the weather file.
    """
    faults = Faults(sources.get("plant", SOURCE))
    recorded = Faults(sources.get("record", SOURCE))
    plant = {key: value for key, value in configuration.plant.items() if key != "capping"}
    capping = configuration.plant.get("capping", False)
    if not isinstance(capping, bool):
        faults.add(
            "plant.capping", capping, "neither true nor false", "Write plant.capping=true or plant.capping=false"
        )
    known = [*(field.key for field in PLANT), "capping"]
    for key in list(plant):
        if key not in known:
            faults.add(f"plant.{key}", plant.pop(key), "unknown key", did_you_mean(str(key), known))
    values: dict[str, Any] = read_fields(plant, PLANT, "plant", faults, partial=True)
    record: Mapping[str, Any] = read_fields(configuration.record, RECORD, "record", recorded, partial=True)
    if "service_period_seconds" in values and values["service_period_seconds"] % 1.0:
        given = plant["service_period_seconds"]
        faults.add("plant.service_period_seconds", given, "not whole seconds", "Requests are counted by the second")
    sensed = Faults(sources.get("sensors", SOURCE))
    sensors = read_sensors(configuration.sensors, "sensors", sensed)
    banded = Faults(sources.get("tolerances", SOURCE))
    tolerances = read_tolerances(configuration.tolerances, "tolerances", banded)
    found: list[Fault] = [*faults, *sensed, *banded, *recorded]
    rates: tuple[FaultRate, ...] = ()
    try:
        rates = read_rates(configuration.faults, sources.get("faults", SOURCE))
    except ChanceError as error:
        found += error.faults
    weather: tuple[Row, ...] = ()
    if configuration.weather_path is not None:
        try:
            weather = read_weather(Path(configuration.weather_path))
        except WeatherError as error:
            found += error.faults
    if found:
        raise ConfigurationError(found)
    return Settings(
        control_period_seconds=configuration.control_period_seconds,
        control_always=configuration.control_always,
        warmup_seconds=configuration.warmup_seconds,
        record_interval_seconds=record.get("interval_seconds", Settings.record_interval_seconds),
        greatest_restarts=configuration.greatest_restarts,
        capping=capping,
        weather=weather,
        faults=rates,
        sensors=sensors,
        tolerances=tolerances,
        **values,
    )

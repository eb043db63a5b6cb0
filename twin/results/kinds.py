"""The kinds of event, each with the sentence that the report prints and the meaning of its ``value``."""

from enum import StrEnum
from typing import NamedTuple


class EventKind(StrEnum):
    """Everything that can stand in the column ``kind`` of the events table."""

    RUN_STARTED = "run_started"
    RUN_ENDED = "run_ended"
    SCENARIO_ACTION = "scenario_action"
    OPERATOR_STEP = "operator_step"
    BREAKER_TRIP = "breaker_trip"
    BREAKER_RECLOSED = "breaker_reclosed"
    FEED_LOST = "feed_lost"
    FEED_RESTORED = "feed_restored"
    RACK_DARK = "rack_dark"
    RACK_RESTORED = "rack_restored"
    SLOWDOWN_ON = "slowdown_on"
    SLOWDOWN_OFF = "slowdown_off"
    HARDWARE_SLOWDOWN_ON = "hardware_slowdown_on"
    HARDWARE_SLOWDOWN_OFF = "hardware_slowdown_off"
    DEVICE_SHUTDOWN = "device_shutdown"
    DEVICE_RESTARTED = "device_restarted"
    PUMP_LOST = "pump_lost"
    PUMP_STARTED = "pump_started"
    PUMP_RESTORED = "pump_restored"
    CAP_ON = "cap_on"
    CAP_OFF = "cap_off"
    JOB_SUBMITTED = "job_submitted"
    JOB_STARTED = "job_started"
    JOB_COMPLETED = "job_completed"
    JOB_REQUEUED = "job_requeued"
    JOB_KILLED = "job_killed"
    JOB_PREEMPTED = "job_preempted"
    JOB_REFUSED = "job_refused"
    CHECKPOINT_SAVED = "checkpoint_saved"
    EXPECTATION_MET = "expectation_met"
    EXPECTATION_UNMET = "expectation_unmet"
    BATTERY_ON = "battery_on"
    BATTERY_OFF = "battery_off"
    BATTERY_SPENT = "battery_spent"
    FAULT_DRAWN = "fault_drawn"
    PUMP_DEGRADED = "pump_degraded"
    VALVE_STUCK = "valve_stuck"
    VALVE_FREED = "valve_freed"
    EXCHANGER_FOULED = "exchanger_fouled"
    EXCHANGER_CLEANED = "exchanger_cleaned"
    FILTER_CLOGGED = "filter_clogged"
    FILTER_CLEANED = "filter_cleaned"
    WATER_LOST = "water_lost"
    WATER_RESTORED = "water_restored"
    WATER_DRIFTED = "water_drifted"
    WATER_CORRECTED = "water_corrected"
    CHILLER_TRIPPED = "chiller_tripped"
    CHILLER_RESTARTED = "chiller_restarted"
    CRAH_LOST = "crah_lost"
    CRAH_RESTORED = "crah_restored"
    WEATHER_HOT = "weather_hot"
    WEATHER_OVER = "weather_over"
    INTERFACE_WORSENED = "interface_worsened"
    INTERFACE_RENEWED = "interface_renewed"
    PHASE_LOST = "phase_lost"
    PHASE_RESTORED = "phase_restored"
    UTILITY_LOST = "utility_lost"
    UTILITY_RESTORED = "utility_restored"
    GENERATOR_STARTED = "generator_started"
    GENERATOR_FAILED = "generator_failed"
    GENERATOR_STOPPED = "generator_stopped"
    TELEMETRY_LOST = "telemetry_lost"
    TELEMETRY_RESTORED = "telemetry_restored"
    ALERT = "alert"
    RESPONSE = "response"
    FLAG_SET = "flag_set"
    FLAG_CLEARED = "flag_cleared"
    FLAG_REFUSED = "flag_refused"
    RACK_SHUT_DOWN = "rack_shut_down"
    JOB_RENEWED = "job_renewed"
    ROLLOUT_STARTED = "rollout_started"
    STAGING_TEST = "staging_test"
    CANARY_CHOSEN = "canary_chosen"
    CANARY_VERDICT = "canary_verdict"
    ROLLOUT_STAGE = "rollout_stage"
    ROLLOUT_HELD = "rollout_held"
    ROLLOUT_ROLLED_BACK = "rollout_rolled_back"
    ROLLOUT_DONE = "rollout_done"


class Meaning(NamedTuple):
    """How a kind reads: ``one`` happened to a thing; ``many`` happened to several; what ``value`` holds."""

    one: str  # "{name}" is filled in
    many: str  # "{count}" is filled in
    value: str  # meaning and unit of the column ``value``; "" for nothing


MEANINGS: dict[EventKind, Meaning] = {
    EventKind.RUN_STARTED: Meaning("the run started", "{count} runs started", ""),
    EventKind.RUN_ENDED: Meaning("the run ended", "{count} runs ended", ""),
    EventKind.SCENARIO_ACTION: Meaning("the scenario acted on {name}", "the scenario acted {count} times", ""),
    EventKind.OPERATOR_STEP: Meaning("people did something about {name}", "people did {count} things", ""),
    EventKind.BREAKER_TRIP: Meaning("breaker {name} tripped", "{count} breakers tripped", "power it carried [W]"),
    EventKind.BREAKER_RECLOSED: Meaning("breaker {name} was reclosed", "{count} breakers were reclosed", ""),
    EventKind.FEED_LOST: Meaning("{name} lost its supply", "{count} feeds lost their supply", ""),
    EventKind.FEED_RESTORED: Meaning("{name} was supplied again", "{count} feeds were supplied again", ""),
    EventKind.RACK_DARK: Meaning("rack {name} went dark", "{count} racks went dark", "power it drew before [W]"),
    EventKind.RACK_RESTORED: Meaning("rack {name} came back", "{count} racks came back", ""),
    EventKind.SLOWDOWN_ON: Meaning(
        "{name} slowed down for heat", "{count} slowdowns for heat began", "device temperature [°C]"
    ),
    EventKind.SLOWDOWN_OFF: Meaning(
        "{name} was back at full clock", "{count} slowdowns for heat ended", "device temperature [°C]"
    ),
    EventKind.HARDWARE_SLOWDOWN_ON: Meaning(
        "{name} was braked by its hardware", "{count} hardware slowdowns began", "device temperature [°C]"
    ),
    EventKind.HARDWARE_SLOWDOWN_OFF: Meaning(
        "the hardware brake of {name} was released", "{count} hardware slowdowns ended", "device temperature [°C]"
    ),
    EventKind.DEVICE_SHUTDOWN: Meaning(
        "{name} shut itself down for heat", "{count} shutdowns for heat", "device temperature [°C]"
    ),
    EventKind.DEVICE_RESTARTED: Meaning("{name} was restarted", "{count} devices were restarted", ""),
    EventKind.PUMP_LOST: Meaning("a pump of {name} was lost", "{count} pumps were lost", "pumps left running"),
    EventKind.PUMP_STARTED: Meaning("the spare pump of {name} started", "{count} spare pumps started", "pumps running"),
    EventKind.PUMP_RESTORED: Meaning("a pump of {name} ran again", "{count} times pumps ran again", "pumps running"),
    EventKind.CAP_ON: Meaning(
        "the power of {name} was capped", "{count} power caps were set", "share of dynamic power, or the clock"
    ),
    EventKind.CAP_OFF: Meaning("the power cap of {name} was lifted", "{count} power caps were lifted", ""),
    EventKind.JOB_SUBMITTED: Meaning("job {name} was submitted", "{count} jobs were submitted", "trays"),
    EventKind.JOB_STARTED: Meaning("job {name} started", "{count} jobs started", "trays"),
    EventKind.JOB_COMPLETED: Meaning("job {name} completed", "{count} jobs completed", "trays"),
    EventKind.JOB_REQUEUED: Meaning(
        "job {name} fell back to its last checkpoint and was queued again",
        "{count} times a job fell back to its last checkpoint and was queued again",
        "GPU-seconds lost",
    ),
    EventKind.JOB_KILLED: Meaning("job {name} was killed", "{count} jobs were killed", "GPU-seconds lost"),
    EventKind.JOB_PREEMPTED: Meaning(
        "job {name} was turned out and queued again",
        "{count} jobs were turned out and queued again",
        "GPU-seconds lost",
    ),
    EventKind.JOB_REFUSED: Meaning("job {name} was refused", "{count} jobs were refused", "trays"),
    EventKind.CHECKPOINT_SAVED: Meaning("job {name} saved a checkpoint", "{count} checkpoints were saved", ""),
    EventKind.EXPECTATION_MET: Meaning("as expected: {name}", "{count} expectations were met", ""),
    EventKind.EXPECTATION_UNMET: Meaning("not as expected: {name}", "{count} expectations were not met", ""),
    EventKind.BATTERY_ON: Meaning("{name} went on battery", "{count} batteries took over", "stored energy [J]"),
    EventKind.BATTERY_OFF: Meaning("{name} left its battery", "{count} batteries were left", "stored energy [J]"),
    EventKind.BATTERY_SPENT: Meaning("the battery of {name} was spent", "{count} batteries were spent", ""),
    EventKind.FAULT_DRAWN: Meaning("a fault came upon {name}", "{count} faults came by chance", ""),
    EventKind.PUMP_DEGRADED: Meaning(
        "a pump of {name} grew weak", "{count} pumps grew weak", "speed it reaches in the end, of what it is told"
    ),
    EventKind.VALVE_STUCK: Meaning("the valve of {name} stuck", "{count} valves stuck", "position"),
    EventKind.VALVE_FREED: Meaning("the valve of {name} moved again", "{count} valves moved again", "position"),
    EventKind.EXCHANGER_FOULED: Meaning(
        "the heat exchanger of {name} fouled", "{count} heat exchangers fouled", "fouling in the end [K/W]"
    ),
    EventKind.EXCHANGER_CLEANED: Meaning(
        "the heat exchanger of {name} was cleaned", "{count} heat exchangers were cleaned", "fouling [K/W]"
    ),
    EventKind.FILTER_CLOGGED: Meaning(
        "the filter of {name} clogged", "{count} filters clogged", "resistance of the main in the end, of nominal"
    ),
    EventKind.FILTER_CLEANED: Meaning(
        "the filter of {name} was changed", "{count} filters were changed", "resistance of the main, of nominal"
    ),
    EventKind.WATER_LOST: Meaning(
        "{name} lost its facility water", "{count} times facility water was lost", "flow left in the end, of nominal"
    ),
    EventKind.WATER_RESTORED: Meaning(
        "{name} had its facility water back", "{count} times facility water came back", "flow, of nominal"
    ),
    EventKind.WATER_DRIFTED: Meaning(
        "the set point of {name} drifted", "{count} times the facility water drifted", "drift in the end [K]"
    ),
    EventKind.WATER_CORRECTED: Meaning(
        "the set point of {name} was put right", "{count} times the facility water was put right", ""
    ),
    EventKind.CHILLER_TRIPPED: Meaning(
        "{name} tripped", "{count} times chillers tripped", "heat rejection left, of nominal"
    ),
    EventKind.CHILLER_RESTARTED: Meaning(
        "{name} ran again", "{count} times chillers ran again", "heat rejection, of nominal"
    ),
    EventKind.CRAH_LOST: Meaning("CRAHs of {name} stopped", "{count} times CRAHs stopped", "share left"),
    EventKind.CRAH_RESTORED: Meaning("CRAHs of {name} ran again", "{count} times CRAHs ran again", "share"),
    EventKind.WEATHER_HOT: Meaning(
        "hot weather set in", "{count} times hot weather set in", "rise of the wet bulb [K]"
    ),
    EventKind.WEATHER_OVER: Meaning("hot weather was over", "{count} times hot weather was over", ""),
    EventKind.INTERFACE_WORSENED: Meaning(
        "a thermal interface in {name} grew worse",
        "{count} thermal interfaces grew worse",
        "resistance in the end, of nominal",
    ),
    EventKind.INTERFACE_RENEWED: Meaning(
        "a thermal interface in {name} was renewed", "{count} thermal interfaces were renewed", ""
    ),
    EventKind.PHASE_LOST: Meaning("{name} lost a phase", "{count} times a phase was lost", "racks below"),
    EventKind.PHASE_RESTORED: Meaning("{name} had its phase back", "{count} times a phase came back", ""),
    EventKind.UTILITY_LOST: Meaning("{name} failed", "{count} utilities failed", ""),
    EventKind.UTILITY_RESTORED: Meaning("{name} came back", "{count} utilities came back", ""),
    EventKind.GENERATOR_STARTED: Meaning(
        "the generator of {name} took over", "{count} generators took over", "time since the utility failed [s]"
    ),
    EventKind.GENERATOR_FAILED: Meaning(
        "the generator of {name} did not start", "{count} generators did not start", ""
    ),
    EventKind.GENERATOR_STOPPED: Meaning("the generator of {name} stopped", "{count} generators stopped", ""),
    EventKind.TELEMETRY_LOST: Meaning("telemetry of {name} fell silent", "{count} times telemetry fell silent", ""),
    EventKind.TELEMETRY_RESTORED: Meaning("telemetry of {name} came back", "{count} times telemetry came back", ""),
    EventKind.ALERT: Meaning("people were alerted about {name}", "{count} alerts", ""),
    EventKind.RESPONSE: Meaning("the response ladder acted on {name}", "the response ladder acted {count} times", ""),
    EventKind.FLAG_SET: Meaning("a flag was set for {name}", "{count} flags were set", ""),
    EventKind.FLAG_CLEARED: Meaning("a flag was cleared for {name}", "{count} flags were cleared", ""),
    EventKind.FLAG_REFUSED: Meaning(
        "a person could not change a flag for {name}", "{count} times people could not change a flag", ""
    ),
    EventKind.RACK_SHUT_DOWN: Meaning(
        "rack {name} was shut down by policy", "{count} racks were shut down by policy", ""
    ),
    EventKind.JOB_RENEWED: Meaning(
        "job {name} was started again where it is", "{count} times a job was started again where it is", ""
    ),
    EventKind.ROLLOUT_STARTED: Meaning("the rollout of {name} began", "{count} rollouts began", "racks to reach"),
    EventKind.STAGING_TEST: Meaning(
        "a staging test of {name} ended", "{count} staging tests ended", "1 passed, 0 failed"
    ),
    EventKind.CANARY_CHOSEN: Meaning("canary racks of {name} were chosen", "{count} times canaries were chosen", ""),
    EventKind.CANARY_VERDICT: Meaning(
        "the canary judge spoke of {name}", "the canary judge spoke {count} times", "smallest attainable p, one-sided"
    ),
    EventKind.ROLLOUT_STAGE: Meaning("{name} went on further racks", "{count} batches of racks", "racks in the batch"),
    EventKind.ROLLOUT_HELD: Meaning("the rollout of {name} was held", "{count} times a rollout was held", ""),
    EventKind.ROLLOUT_ROLLED_BACK: Meaning("{name} was rolled back", "{count} rollouts went back", "racks it was on"),
    EventKind.ROLLOUT_DONE: Meaning("{name} is on all racks", "{count} rollouts were done", "racks it is on"),
}

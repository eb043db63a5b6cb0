"""Effects on racks and their telemetry, and on what they do: a bad interface, silence, jobs and held loads."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.policy.causes import Author, Role
from twin.results.kinds import EventKind
from twin.sim.actions import Action
from twin.sim.effects import Effect, Hands, Undo, place
from twin.sim.runner import JobRun, Pin
from twin.sim.world import TelemetryOutage
from twin.workload.jobs import Job, JobKind, Phase

HELD = 1_000_000  # gangs of held loads are numbered from here: those of one action swing together


def thermal_interface(hands: Hands, action: Action, event: int) -> Undo:
    """The interface between devices and plate of one tray grows worse: paste that dried, a plate that lifted."""
    world = hands.world
    rack = place(hands, action)
    number, factor = int(action.values["tray"]), float(action.values["factor"])
    tray = int(world.topology.rack_tray0[rack]) + number - 1
    push = hands.push(world.levers("interface", tray), lambda at: 1.0 + at * (factor - 1.0), action.values["over"])
    only = np.arange(len(world.topology.rack_names)) == rack
    trouble = hands.trouble(
        event, EventKind.INTERFACE_WORSENED, "rack", str(action.target), only, value=factor, detail=f"tray {number}",
        tray=tray,
    )  # fmt: skip

    def undo() -> None:
        push.go(0.0)
        hands.over(trouble, EventKind.INTERFACE_RENEWED)

    return undo


def telemetry_outage(hands: Hands, action: Action, event: int) -> Undo:
    """Telemetry falls silent; the plant does not notice, whoever decides by it does."""
    world = hands.world
    kind = "hall" if action.target is None else str(action.target_kind)
    outage = TelemetryOutage(kind, action.target, action.values["signals"])
    world.telemetry_outages.append(outage)
    name = action.target or "the hall"
    said = ", ".join(outage.signals) or "every signal"
    number = world.log.add(
        world.env.now, EventKind.TELEMETRY_LOST, kind, name, cause=event, opens=True, detail=said
    )  # fmt: skip

    def undo() -> None:
        world.telemetry_outages.remove(outage)
        world.log.add(world.env.now, EventKind.TELEMETRY_RESTORED, kind, name, cause=number)

    return undo


def submit_job(hands: Hands, action: Action, event: int) -> None:
    """A job arrives."""
    world, values = hands.world, action.values
    number = len(world.runs)
    seconds = float(values["seconds"])
    job = Job(
        id=values["id"] or f"story-{number}",
        kind=JobKind(values["kind"]),
        submit_seconds=max(world.env.now, 1e-9),
        trays=int(values["trays"]),
        work_seconds=seconds,
        estimate_seconds=seconds,
        startup=(),
        steady=Phase("steady", seconds, float(values["utilisation"]), float(values["swing"])),
        priority=int(values["priority"]),
        source="scenario",
    )
    pin = None
    if values["rack"] is not None:
        author = Author(Role(values["role"] or Role.OPERATOR), values["by"] or "scenario")
        pin = Pin(values["rack"], author, values["reason"] or "pinned by the scenario")
    hands.scheduler.submit(JobRun(world, job, number, hands.gpus_per_tray, pin))


def set_load(hands: Hands, action: Action, event: int) -> Undo:
    """Hold trays at one utilisation, whatever runs on them."""
    world = hands.world
    trays = trays_of(hands, action)
    before, held = world.plant.u.tray[trays].copy(), world.held[trays].copy()
    c = world.plant.c
    swing = float(action.values["swing"]) * (c.idle[trays] + c.span[trays])
    world.plant.set_load(trays, float(action.values["utilisation"]), sigma_watts=swing, gang=HELD + event)
    world.plant.u.tray["busy"][trays] = before["busy"]
    world.held[trays] = True

    def undo() -> None:
        for name in ("load", "sigma", "gang"):  # of an earlier hold
            world.plant.u.tray[name][trays[held]] = before[name][held]
        world.plant._touch_trays(trays)
        free = trays[~held]
        world.held[free] = False
        holders = {run.number: run for tray in free if (run := world.holder[tray]) is not None}
        world.plant.clear_load(free[[world.holder[tray] is None for tray in free]])
        for run in holders.values():
            run.power_again()

    return undo


def trays_of(hands: Hands, action: Action) -> NDArray[np.int64]:
    """Trays of an action's target, or of the whole hall."""
    topology = hands.world.topology
    if action.target is None:
        return np.arange(len(topology.tray_rack))
    of: dict[str, Any] = {
        "rack": np.arange(len(topology.rack_names)),
        "row": topology.rack_row,
        "loop": topology.rack_loop,
    }
    return np.flatnonzero(of[str(action.target_kind)][topology.tray_rack] == place(hands, action))


EFFECTS: dict[str, Effect] = {
    "thermal_interface": thermal_interface,
    "telemetry_outage": telemetry_outage,
    "submit_job": submit_job,
    "set_load": set_load,
}

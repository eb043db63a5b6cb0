"""The audit of a run: every decision, override, action of the ladder and change of a flag, beside the run's tables."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import twin
from twin.audit import (
    ACTION,
    FLAG,
    OVERRIDE,
    AuditLog,
    Override,
    Person,
    PolicyStamp,
    SnapshotStore,
    action_data,
    audited,
    flag_data,
    override_data,
)
from twin.audit.log import CHECKPOINTS, LOG, SNAPSHOTS
from twin.policy.causes import Author, Trigger
from twin.policy.flags import ChangeRefused, Flags
from twin.policy.playbook import Action
from twin.policy.protocol import JobRequest, Policy
from twin.setup.assembly import Parts
from twin.sim.releases import Told
from twin.sim.response import ByHand
from twin.sim.response import Told as Response
from twin.sim.runner import Pin
from twin.sim.world import Settings

DOCUMENT, SEED = "document", "seed"  # parameters of a stamp, from which the policy is made again
DEFAULT_VARIANT = "not set"
LADDER = Person("response ladder", "policy")
CONTROL = Person("rollout control", "policy")


@contextmanager
def audited_run(parts: Parts, directory: Path) -> Iterator[tuple[Policy, Settings]]:
    """Policy and settings of a run that record into ``directory``.

    Raises :class:`twin.audit.errors.AuditError` for what cannot be recorded or written.
    """
    with (
        SnapshotStore(directory / SNAPSHOTS) as store,
        AuditLog(
            directory / LOG,
            source=f"/hall/{parts.hall.name}",
            checkpoints=directory / CHECKPOINTS,
            before_checkpoint=store.sync,
        ) as log,
    ):
        settings = replace(parts.settings, pinned=_overridden(log))
        if settings.response is not None:
            told = _recorder(log, settings.response.flags)
            settings = replace(settings, response=replace(settings.response, told=told))
        if settings.rollout is not None:
            settings = replace(settings, rollout=replace(settings.rollout, told=_rollout_recorder(log)))
        yield audited(parts.policy, log, store, stamp_of(parts)), settings


def stamp_of(parts: Parts) -> PolicyStamp:
    """What a record calls the policy, and what a replay makes it of."""
    mapping = parts.configuration.policy
    name = str(mapping.get("name", mapping.get("_target_", "policy")))
    parameters: Mapping[str, Any] = {SEED: parts.configuration.seed, DOCUMENT: mapping}
    return PolicyStamp(name, twin.__version__, parameters)


def _recorder(log: AuditLog, flags: Flags) -> Callable[[Response], None]:
    def tell(what: Response) -> None:
        if isinstance(what, ChangeRefused):
            reason = f"{what.reason}: {what.detail}" if what.detail else str(what.reason)
            data = action_data(f"{what.flag} not changed", reason=reason, by=_person(what.by))
            log.append(ACTION, str(what.scope), what.time_seconds, data)
            return
        if isinstance(what, ByHand):
            data = action_data(str(what.action.do), reason=str(what.action.reason), by=_person(what.by))
            log.append(ACTION, str(what.action.scope), what.action.time_seconds, data)
            return
        if isinstance(what, Action):
            trigger = "" if what.reason.trigger is None else str(what.reason.trigger)
            data = action_data(str(what.do), reason=str(what.reason), by=LADDER, trigger=trigger)
            log.append(ACTION, str(what.scope), what.time_seconds, data)
            return
        flag = flags.flags[what.flag]
        data = flag_data(
            what.flag,
            what.new or DEFAULT_VARIANT,
            what.old or DEFAULT_VARIANT,
            at_rest=flag.default if what.new == flag.default else DEFAULT_VARIANT,
            scope=str(what.scope),
            reason=what.why,
            owner=flag.owner,
            by=_person(what.by),
            trigger=_told(what.trigger),
            action=str(what.kind),
            expires_seconds=what.expires_seconds,
        )
        log.append(FLAG, what.flag, what.time_seconds, data)

    return tell


def _overridden(log: AuditLog) -> Callable[[JobRequest, Pin, float], None]:
    """Records each job that is put on a rack by a person, whatever the policy would have said."""

    def tell(request: JobRequest, pin: Pin, time_seconds: float) -> None:
        override = Override(_person(pin.by), pin.reason, ((pin.rack, request.trays),))
        log.append(OVERRIDE, request.id, time_seconds, override_data(request, override))

    return tell


def _rollout_recorder(log: AuditLog) -> Callable[[Told], None]:
    def tell(told: Told) -> None:
        step = told.step
        racks = f" on {', '.join(step.racks)}" if step.racks else ""
        reason = f"{step.stage}: " + "; ".join(map(str, step.grounds))
        data = action_data(f"rollout {step.action}{racks}", reason=reason, by=CONTROL)
        log.append(ACTION, told.release, told.time_seconds, data)

    return tell


def _person(author: Author) -> Person:
    return Person(author.identity, str(author.role))


def _told(trigger: Trigger | None) -> str:
    return "" if trigger is None else str(trigger)

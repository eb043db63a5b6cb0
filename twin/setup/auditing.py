"""The audit of a run: every decision, override, action of the ladder and change of a flag, beside the run's tables."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import twin
from twin.audit import (
    ACTION,
    FLAG,
    OVERRIDE,
    Audited,
    AuditLog,
    Override,
    Person,
    PolicyStamp,
    Recorder,
    SnapshotStore,
    Threshold,
    action_data,
    flag_data,
    override_data,
)
from twin.audit.apart import apart, is_possible
from twin.audit.log import CHECKPOINTS, LOG, SNAPSHOTS
from twin.audit.records import Context, context_of, policy_form, snapshot_form
from twin.policy.causes import Author, Comparison, Role, Trigger
from twin.policy.decisions import Decision
from twin.policy.flags import ChangeKind, ChangeRefused, Flags
from twin.policy.playbook import Action, Because
from twin.policy.protocol import JobRequest, Policy
from twin.policy.scope import Scope
from twin.policy.snapshot import FacilitySnapshot
from twin.setup.assembly import Parts
from twin.sim.releases import Told
from twin.sim.response import ByHand
from twin.sim.response import Told as Response
from twin.sim.runner import Pin
from twin.sim.world import Settings

TOGETHER = 16  # decisions that are recorded together: a run that is killed is lost, whatever its audit holds
DOCUMENT, SEED = "document", "seed"  # parameters of a stamp, from which the policy is made again
DEFAULT_VARIANT = "not set"
LADDER = Person("response ladder", "policy")
CONTROL = Person("rollout control", "policy")
UNITS = {"celsius": "°C", "kelvin": "K", "watts": "W", "ratio": "1", "minute": "L/min"}  # by a signal's last word


@contextmanager
def audited_run(parts: Parts, directory: Path, *, other_process: bool = False) -> Iterator[tuple[Policy, Settings]]:
    """Policy and settings of a run that record into ``directory``; ``other_process`` has another one write, where there
    is a core for it.

    Raises :class:`twin.audit.errors.AuditError` for what cannot be recorded or written.
    """
    begin = partial(_recording, parts, directory)
    with apart(begin) if other_process and is_possible() else begin() as do:
        policy = Audited(parts.policy, partial(do, "decided"), TOGETHER)

        def after(name: str) -> Callable[..., None]:
            """Tells of what happened after the decisions before it were handed over."""

            def tell(*told: Any) -> None:
                policy.catch_up()
                do(name, *told)

            return tell

        settings = replace(parts.settings, pinned=after("pinned"))
        if settings.response is not None:
            settings = replace(settings, response=replace(settings.response, told=after("responded")))
        if settings.rollout is not None:
            settings = replace(settings, rollout=replace(settings.rollout, told=after("rolled_out")))
        try:
            yield policy, settings
        finally:
            policy.catch_up()


@contextmanager
def _recording(parts: Parts, directory: Path) -> Iterator[Callable[..., None]]:
    """Records by name what a run tells: what was decided, pinned, responded or rolled out."""
    with (
        SnapshotStore(directory / SNAPSHOTS) as store,
        AuditLog(
            directory / LOG,
            source=f"/hall/{parts.hall.name}",
            checkpoints=directory / CHECKPOINTS,
            before_checkpoint=store.sync,
        ) as log,
    ):
        stamp, settings = stamp_of(parts), parts.settings
        records: dict[str, Callable[..., None]] = {
            "decided": Recorder(log, store, stamp, _approved(stamp)).record,
            "pinned": _overridden(log),
            "rolled_out": _rollout_recorder(log),
        }
        if settings.response is not None:
            records["responded"] = _recorder(log, store, stamp, settings.response.flags)
        yield lambda name, *told: records[name](*told)


def stamp_of(parts: Parts) -> PolicyStamp:
    """What a record calls the policy, and what a replay makes it of."""
    mapping = parts.configuration.policy
    name = str(mapping.get("name", mapping.get("_target_", "policy")))
    parameters: Mapping[str, Any] = {SEED: parts.configuration.seed, DOCUMENT: mapping}
    return PolicyStamp(name, twin.__version__, parameters)


def _approved(stamp: PolicyStamp) -> Callable[[FacilitySnapshot, JobRequest, Decision], Context]:
    """What stands around a decision: nobody but the policy is asked."""
    approver = Person(stamp.name, str(Role.POLICY))
    return lambda snapshot, request, decision: replace(context_of(decision), approver=approver)


def _recorder(
    log: AuditLog, store: SnapshotStore, stamp: PolicyStamp, flags: Flags
) -> Callable[[Response, FacilitySnapshot | None], None]:
    form = policy_form(stamp, store.put_value(dict(stamp.parameters)))

    def tell(what: Response, seen: FacilitySnapshot | None) -> None:
        source: dict[str, Any] = {"policy": form}
        if seen is not None:
            with store.entry():
                source["snapshot"] = snapshot_form(store.put(seen), seen.time_seconds)
        if isinstance(what, ChangeRefused):
            reason = f"{what.reason}: {what.detail}" if what.detail else str(what.reason)
            data = action_data(f"{what.flag} not changed", reason=reason, by=_person(what.by), **source)
            log.append(ACTION, str(what.scope), what.time_seconds, data)
            return
        if isinstance(what, ByHand):
            data = action_data(str(what.action.do), reason=str(what.action.reason), by=_person(what.by), **source)
            log.append(ACTION, str(what.action.scope), what.action.time_seconds, data)
            return
        if isinstance(what, Action):
            data = action_data(
                str(what.do),
                reason=str(what.reason),
                by=LADDER,
                trigger=_told(what.reason.trigger),
                thresholds=_thresholds(what.reason.trigger, what.scope, back=what.reason.because is Because.RELEASED),
                **source,
            )
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
            thresholds=_thresholds(what.trigger, what.scope, back=what.kind is ChangeKind.CLEARED),
            action=str(what.kind),
            expires_seconds=what.expires_seconds,
            **source,
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


def _thresholds(trigger: Trigger | None, scope: Scope, *, back: bool) -> tuple[Threshold, ...]:
    """The limit of a trigger: passed where its signal is ``back``, not passed where it was out of bounds."""
    if trigger is None:
        return ()
    bound = "at most" if (trigger.comparison is Comparison.ABOVE) != back else "at least"
    unit = UNITS.get(trigger.signal.rpartition("_")[2], "")
    return (Threshold(trigger.rule, trigger.value, trigger.limit, bound, unit, back, str(scope)),)


def _told(trigger: Trigger | None) -> str:
    return "" if trigger is None else str(trigger)

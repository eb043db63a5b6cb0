"""One request against one look: which racks take it, and in words why they do or why it waits."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.policy.decisions import Placement, Reason, Threshold, Wait
from twin.policy.exclusion import Out
from twin.policy.facility import LOOP, RACK, Facility
from twin.policy.factors import FACTORS
from twin.policy.fit import Asked
from twin.policy.headroom import Headroom
from twin.policy.names import by_name
from twin.policy.protocol import JobRequest
from twin.policy.score import Scores
from twin.policy.snapshot import FacilitySnapshot

if TYPE_CHECKING:
    from twin.policy.aware import ThermalAware

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

KILO = 1e3


@dataclass(frozen=True)
class Judged:
    """What rules and formula say of all racks for a class of work in a role."""

    allowed: Bools
    first_rule: Ints  # that does not allow, −1 for none
    scores: Scores


@dataclass(frozen=True)
class Room:
    """What follows from a look and the promises since for work of some length: headroom, factors with ages, and what
    was judged so far."""

    room: Headroom
    values: Mapping[str, Floats]
    ages: Mapping[str, Floats]
    judged: dict[tuple[str, str], Judged]  # by class of work and role


@dataclass(eq=False)
class Choice:
    """One request against one look."""

    policy: "ThermalAware"
    snapshot: FacilitySnapshot
    facility: Facility
    request: JobRequest
    asked: Asked
    seen: Room
    judged: Judged
    excluded: Out

    @cached_property
    def out(self) -> Bools:
        """Racks that some criterion keeps out."""
        return np.asarray(np.logical_or.reduce(self.excluded.out, axis=0))

    @property
    def usable(self) -> Bools:
        """Racks with room that rules allow, that are not out, and of which enough is known."""
        return (
            self.asked.roomy
            & self.judged.allowed
            & ~self.out
            & (self.judged.scores.confidence >= self.policy.least_confidence)
        )

    def ranked(self, racks: Bools) -> Ints:
        """Racks in the order of their scores, ties by name."""
        names = by_name(self.snapshot.rack_names)
        wanted = names[racks[names]]
        return wanted[np.argsort(-self.judged.scores.score[wanted], kind="stable")]

    @cached_property
    def order(self) -> Ints:
        """Usable racks that bear all of the request, or one tray of what may be spread, the best first."""
        trays = self.request.trays if self.request.one_rack else 1
        return self.ranked(self.usable & self.asked.fitting(self.seen.room, trays))

    def one(self) -> list[tuple[int, int]] | None:
        """The best rack for all of the request."""
        return [(int(self.order[0]), self.request.trays)] if len(self.order) else None

    def several(self) -> list[tuple[int, int]] | None:
        """Racks that take the request together, the best of every loop before the second best of any."""
        order = self.order
        order = order[np.argsort(_turns(self.snapshot.rack_loop[order]), kind="stable")]
        most = self.asked.most(self.seen.room)[order]
        rest = np.cumsum(most[::-1])[::-1].tolist()  # trays that the racks from here on take at most
        left, heat = self.seen.room.limit_left_amperes.tolist(), self.seen.room.loop_left_watts.tolist()
        own = self.snapshot.rack_max_power_watts * self.policy.permitted.rack_utilisation
        within = np.fmin(self.seen.room.sustained_watts, own)[order].tolist()
        once, peak = self.seen.room.immediate_watts[order].tolist(), self.asked.peak_watts[order].tolist()
        steady, free = self.asked.steady_watts[order].tolist(), self.asked.free[order].tolist()
        limits, shares = self.facility.rack_limits[order].tolist(), self.seen.room.amperes_per_watt[order].tolist()
        loops = self.snapshot.rack_loop[order].tolist()
        chosen: list[tuple[int, int]] = []
        wanted = self.request.trays
        for at, rack in enumerate(order.tolist()):
            if rest[at] < wanted:
                return None
            each, loop = steady[at], loops[at]
            above = [(k, share) for k, share in zip(limits[at], shares[at], strict=True) if k >= 0 and share > 0.0]
            bears = within[at] if loop < 0 else min(within[at], heat[loop])
            for k, share in above:
                bears = min(bears, left[k] / share)
            fit = int(bears / each) if each > 0.0 else wanted
            if peak[at] > 0.0:
                fit = min(fit, int(once[at] / peak[at]))
            take = min(wanted, free[at], fit)
            if take <= 0:
                continue
            for k, share in above:
                left[k] -= take * each * share
            if loop >= 0:
                heat[loop] -= take * each
            chosen.append((rack, take))
            wanted -= take
            if wanted == 0:
                return chosen
        return None

    # ------------------------------------------------------------------ sentences

    def placement(self, chosen: list[tuple[int, int]]) -> Placement:
        """The decision, and what it rests on: score, confidence, headroom and rank of its worst rack."""
        names, scores, confidences = self.snapshot.rack_names, self.judged.scores.score, self.judged.scores.confidence
        racks = [rack for rack, _ in chosen]
        worst, trays = min(chosen, key=lambda each: (float(scores[each[0]]), names[each[0]]))
        left, asked = float(self.seen.room.sustained_watts[worst]), trays * float(self.asked.steady_watts[worst])
        next_best = [rack for rack in self.order[: len(racks) + 1].tolist() if rack not in racks][:1]
        confidence, least = float(confidences[racks].min()), self.policy.least_confidence
        production = self.snapshot.rack_production
        return Placement(
            self.request.id,
            tuple((names[rack], trays) for rack, trays in chosen),
            Reason.PLACED_AWARE,
            f"score {scores[worst]:.3f}, confidence {confidences[worst]:.2f}, "
            f"sustained headroom {left / KILO:.1f} kW on {names[worst]} ({self._limit(worst)})",
            float(scores[worst]),
            confidence,
            names[worst],
            1 + int(np.count_nonzero(production & (scores > scores[worst]))),
            int(np.count_nonzero(production)),
            (names[next_best[0]], float(scores[next_best[0]])) if next_best else None,
            (
                Threshold("confidence", confidence, least, "at least", "1", True, names[worst]),
                Threshold("sustained headroom", left, asked, "at least", "W", True, names[worst]),
            ),
        )

    def wait(self) -> Wait:
        """Why nothing takes it, told of the best-scored rack that has trays for it."""
        rack = int(self.ranked(self.asked.roomy)[0])
        name, trays = self.snapshot.rack_names[rack], self.request.trays if self.request.one_rack else 1
        request = self.request.id
        if self.out[rack]:
            detail = f"{name} is out until it has recovered"
            return Wait(request, Reason.WAIT_EXCLUDED, detail, self._keeping_out(rack))
        if not self.judged.allowed[rack]:
            rule = self.policy.rules.of(self.request.kind, self.request.role)[int(self.judged.first_rule[rack])]
            told, held = (
                rule.told(self.seen.values, self.seen.ages, rack),
                rule.held(self.seen.values, self.seen.ages, rack, name),
            )
            return Wait(request, Reason.WAIT_FOR_RULE, f"{told} on {name}", held)
        if self.judged.scores.confidence[rack] < self.policy.least_confidence:
            known, least = float(self.judged.scores.confidence[rack]), self.policy.least_confidence
            short = (Threshold("confidence", known, least, "at least", "1", False, name),)
            detail = f"confidence {known:.2f} on {name}, at least {least:g} asked"
            return Wait(request, Reason.WAIT_UNKNOWN, detail, short)
        at_once, long = float(self.seen.room.immediate_watts[rack]), float(self.seen.room.sustained_watts[rack])
        if np.isnan(long + at_once):
            return Wait(request, Reason.WAIT_UNKNOWN, f"headroom of {name} is not known")
        if long == -math.inf:
            return Wait(request, Reason.WAIT_FOR_HEADROOM, f"{name} has no feed that lives")
        asked, peak = trays * float(self.asked.steady_watts[rack]), trays * float(self.asked.peak_watts[rack])
        if long >= asked and at_once >= peak:  # of a gang: for a tray of it there is room
            return self._gang_waits(rack)
        sentence = f"{long / KILO:.1f} kW for long, {at_once / KILO:.1f} kW at once, {asked / KILO:.1f} kW asked"
        reason = Reason.WAIT_TRANSIENT_ONLY if at_once >= peak and long < asked else Reason.WAIT_FOR_HEADROOM
        missing = tuple(
            Threshold(f"{which} headroom", left, need, "at least", "W", False, name)
            for which, left, need in (("sustained", long, asked), ("immediate", at_once, peak))
            if left < need
        )
        return Wait(request, reason, f"{sentence} on {self._named(rack)}", missing)

    def _gang_waits(self, rack: int) -> Wait:
        """Why a gang finds no place, though its best rack would take a part of it: what all take together at most."""
        wanted, racks = self.request.trays, int(np.count_nonzero(self.usable))
        most = math.floor(self.asked.together(self.seen.room, self.snapshot, self.facility, self.usable))
        few = most < wanted
        short = (Threshold("trays together", float(most), float(wanted), "at least", "trays", False),) if few else ()
        detail = (
            f"{wanted} trays asked, {racks} racks have power for {most if few else 'fewer'} together, "
            f"the best of them {self._named(rack)}"
        )
        return Wait(self.request.id, Reason.WAIT_FOR_HEADROOM, detail, short)

    def _named(self, rack: int) -> str:
        """A rack and the limit that leaves it least."""
        return f"{self.snapshot.rack_names[rack]} ({self._limit(rack)})"

    def _keeping_out(self, rack: int) -> tuple[Threshold, ...]:
        """Levels below which a rack that is out has to stay, or to come."""
        found = []
        for each, out in zip(self.policy.exclusions, self.excluded.out[:, rack].tolist(), strict=True):
            if out:
                value, unit, name = float(self.seen.values[each.factor][rack]), FACTORS[each.factor].unit, each.name
                known = value if math.isfinite(value) else None
                passed, where = value <= each.back_below, self.snapshot.rack_names[rack]
                found.append(Threshold(name, known, each.back_below, "at most", unit, passed, where))
        return tuple(found)

    def _limit(self, rack: int) -> str:
        """The limit that leaves a rack least."""
        binding = int(self.seen.room.binding[rack])
        if binding == LOOP:
            return self.snapshot.loop_names[int(self.snapshot.rack_loop[rack])]
        return "its nameplate" if binding == RACK else self.facility.limit_names[binding]


def _turns(groups: Ints) -> Ints:
    """How often each one's group has come before it."""
    turns, before = np.zeros(len(groups), dtype=np.int64), dict.fromkeys(groups.tolist(), 0)
    for place, group in enumerate(groups.tolist()):
        turns[place] = before[group]
        before[group] += 1
    return turns

"""How much more power each rack may take: at once, and for as long as a job lasts.

*Immediate* headroom is what is left under every limit above a rack at what flows now. *Sustained* headroom is what is
left once running jobs draw what they declared and what was promised draws too: it is the smaller one. What fits the
first and not the second is *transient* only: it would be used up by work that has been placed already.

It has to last as long as the work that asks for it says that it will: what running jobs declared to draw within that
time counts, in the first of the snapshot's horizons that covers it. Half an hour is the least, and work without end,
or longer than all horizons, is held against what was declared at most ever. A promise counts in all of them.

``left_k = u I_r,k − I_k − Σ_r a_rk ΔP_r`` [A] for a limit k of rating I_r at a permitted utilisation u, with a [A/W]
from the facility and ΔP [W] what rack r has still to draw; a rack's headroom is ``min_k left_k / a_rk`` over its
limits, and no more than its nameplate and its loop have left.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twin.policy.documents import DocumentFaults, Reader
from twin.policy.facility import Facility
from twin.policy.snapshot import FacilitySnapshot, Quality

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Permitted:
    """How far limits may be used, as shares of their ratings."""

    limit_utilisation: float = 0.85  # of breakers' ratings, hottest pole or line
    loop_utilisation: float = 1.0  # of a CDU's rated heat
    rack_utilisation: float = 1.0  # of a rack's nameplate


def read_permitted(mapping: object, at: str, faults: DocumentFaults) -> Permitted:
    """Permitted shares from a plain mapping; what is wrong is added to ``faults``."""
    reader = Reader(mapping, at, faults)
    found = Permitted(
        reader.number("limit_utilisation", Permitted.limit_utilisation, low=0.0, high=1.2),
        reader.number("loop_utilisation", Permitted.loop_utilisation, low=0.0, high=1.2),
        reader.number("rack_utilisation", Permitted.rack_utilisation, low=0.0, high=1.2),
    )
    reader.done()
    return found


@dataclass(frozen=True)
class Headroom:
    """Watts that racks may still take at their inlets, shape (R,); NaN where that is not known. Below 0: none."""

    immediate_watts: Floats
    sustained_watts: Floats
    binding: Ints  # R, the limit that leaves least for long: an index of ``Facility.limit_names``, −1 rack, −2 loop
    utilisation_now: Floats  # R, of the limit above it that is used most
    utilisation_projected: Floats  # R, the same once everybody draws what was declared and promised
    limit_left_amperes: Floats  # K, sustained
    loop_left_watts: Floats  # L, sustained
    amperes_per_watt: Floats  # R×D, of racks on their limits under the present switches


DECIMALS = 3  # of headroom, W
HOLDS_SECONDS = 1_800.0  # for which headroom that is called sustained has to hold at least
EVER = -1  # the horizon of what was declared at most ever
BELIEVED_CELSIUS = (-50.0, 200.0)
LARGEST = float(np.finfo(np.float64).max)
GOOD = int(Quality.GOOD)  # an enumeration answers slowly


def readings(snapshot: FacilitySnapshot, name: str) -> Floats:
    """A field of a snapshot, NaN where it does not count: stale, missing, at its sensor's end, or beyond belief.

    Temperatures are believed between −50 and 200 °C, everything else from 0 on.
    """
    values = np.asarray(getattr(snapshot, name), dtype=np.float64)
    low, high = BELIEVED_CELSIUS if name.endswith("_celsius") else (0.0, LARGEST)
    quality = snapshot.qualities.get(name)
    known = quality is None or not np.count_nonzero(quality)  # GOOD is 0
    if known and len(values) and np.minimum.reduce(values) >= low and np.maximum.reduce(values) <= high:
        return values  # most of all calls; not a number is neither
    counts = (values >= low) & (values <= high)
    if quality is not None:
        counts &= quality == GOOD
    return np.where(counts, values, np.nan)


class Readings:
    """The fields of one snapshot as :func:`readings` has them, each looked through once."""

    def __init__(self, snapshot: FacilitySnapshot) -> None:
        self._snapshot = snapshot
        self._found: dict[str, Floats] = {}

    def __getitem__(self, name: str) -> Floats:
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = readings(self._snapshot, name)
        return found


def amperes_per_watt(facility: Facility, closed: Bools) -> Floats:
    """What a watt of each rack puts on its limits under these switches [A/W], shape (R, D).

    A rack whose one feed is dead puts all of its power on the other: twice as much as usual.
    """
    dead = (facility.breakers >= 0) & ~closed[facility.breakers]
    if not dead.any():
        return facility.usual_amperes_per_watt
    on_feed = [(dead & (facility.rack_limit_feed == feed)).any(axis=1) for feed in (0, 1)]
    has = [(facility.limited & (facility.rack_limit_feed == feed)).any(axis=1) for feed in (0, 1)]
    live = [has[feed] & ~on_feed[feed] for feed in (0, 1)]
    count, all_of_them = live[0].astype(float) + live[1], has[0].astype(float) + has[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(count > 0.0, all_of_them / count, 1.0)
    on = np.where(facility.rack_limit_feed == 0, live[0][:, None], live[1][:, None])
    return np.where(on, facility.rack_amperes_per_watt * share[:, None], 0.0)


@dataclass(frozen=True)
class Ground:
    """What headroom stands on at one look, before promises: the same for every request that is asked about it."""

    facility: Facility
    power_watts: Floats  # R
    declared_watts: Floats  # R, at most ever
    ahead_seconds: Floats  # H, horizons within which less may have been declared
    ahead_watts: Floats  # H×R, as a snapshot has it
    amperes: Floats  # K, of every limit now
    allowed_amperes: Floats  # K
    amperes_per_watt: Floats  # R×D
    counts: Bools  # R×D, is there a limit, and does the rack's power pass it
    unfed: Bools  # R
    loop: Ints  # R, 0 for none
    cooled: Bools  # R, has a loop
    members: tuple[Ints, Ints]  # racks that have, and the loop of each
    capacity_watts: Floats  # L
    nameplate_watts: Floats  # R
    limit_used: Floats  # K, current over rating now

    @cached_property
    def heat_watts(self) -> Floats:
        """Heat on every loop now [W], shape (L,)."""
        return self.heat_of(self.power_watts)

    @cached_property
    def immediate_watts(self) -> Floats:
        """Headroom at once [W], shape (R,)."""
        own = self.nameplate_watts - self.power_watts
        return _least(self, self.allowed_amperes - self.amperes, self.capacity_watts - self.heat_watts, own)[0]

    @cached_property
    def utilisation_now(self) -> Floats:
        """Of the limit above each rack that is used most now, shape (R,)."""
        return _most(self.facility, self.limit_used)

    @cached_property
    def within_watts(self) -> Floats:
        """What was declared to be drawn at most within each horizon [W], shape (H, R): never less than within a shorter
        one, and what was declared at most ever where it is not known, is no power, or more than that."""
        if self.ahead_watts.shape != (len(self.ahead_seconds), len(self.power_watts)):
            return np.zeros((0, len(self.power_watts)))
        known = (self.ahead_watts >= 0.0) & (self.ahead_watts <= self.declared_watts)
        return np.maximum.accumulate(np.where(known, self.ahead_watts, self.declared_watts), axis=0)

    @cached_property
    def _alike(self) -> list[int]:
        """For each horizon the longest that tells of the same powers."""
        within = self.within_watts
        after = np.concatenate((within[1:], self.declared_watts[None, :]))
        same = np.logical_and.reduce(within == after, axis=1).tolist()
        found = [EVER]
        for place in range(len(within) - 1, -1, -1):
            found.append(found[-1] if same[place] else place)
        return found[:0:-1]

    def horizon(self, seconds: float) -> int:
        """Which of the snapshot's horizons goes for work that lasts so long [s]; :data:`EVER` for none, and for work
        without end: 0, infinite, or not known. Of those that tell the same the longest."""
        if 0.0 < seconds < math.inf and len(self.within_watts):
            least = max(seconds, HOLDS_SECONDS)
            for place, covered in enumerate(self.ahead_seconds.tolist()):
                if covered >= least:
                    return self._alike[place]
        return EVER

    def to_come_watts(self, horizon: int = EVER) -> Floats:
        """What running jobs still have to draw [W] within a horizon, shape (R,)."""
        declared = self.declared_watts if horizon == EVER else self.within_watts[horizon]
        return np.maximum(declared - self.power_watts, 0.0)

    def heat_of(self, watts: Floats) -> Floats:
        """Heat on every loop [W], shape (L,), of powers of racks [W], shape (R,)."""
        racks, loops = self.members
        return np.asarray(np.bincount(loops, watts[racks], len(self.capacity_watts)), dtype=np.float64)


def ground(
    snapshot: FacilitySnapshot, facility: Facility, permitted: Permitted, read: Readings | None = None
) -> Ground:
    """What headroom stands on, by readings that ``read`` may have already. Those that do not count make what depends
    on them NaN."""
    read = Readings(snapshot) if read is None else read
    power, declared = read["rack_power_watts"], read["rack_declared_power_watts"]
    per_watt = amperes_per_watt(facility, np.asarray(snapshot.breaker_closed))
    now = facility.limit_amperes(read["phase_current_amperes"], read["breaker_current_amperes"])
    loop, cooled = np.maximum(snapshot.rack_loop, 0), snapshot.rack_loop >= 0
    counts = facility.limited & (per_watt > 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        used = now / facility.limit_rating_amperes
    racks = np.flatnonzero(cooled)
    capacity = permitted.loop_utilisation * facility.loop_capacity_watts
    return Ground(
        facility=facility,
        power_watts=power,
        declared_watts=declared,
        ahead_seconds=snapshot.declared_ahead_seconds,
        ahead_watts=snapshot.rack_declared_ahead_watts,
        amperes=now,
        allowed_amperes=permitted.limit_utilisation * facility.limit_rating_amperes,
        amperes_per_watt=per_watt,
        counts=counts,
        unfed=facility.fed & ~np.logical_or.reduce(counts, axis=1),
        loop=loop,
        cooled=cooled,
        members=(racks, loop[racks]),
        capacity_watts=capacity,
        nameplate_watts=permitted.rack_utilisation * read["rack_max_power_watts"],
        limit_used=used,
    )


def _least(base: Ground, amperes: Floats, heat: Floats, own: Floats) -> tuple[Floats, Ints]:
    """Headroom [W] where limits, loops and racks have so much left, and what binds."""
    every = np.full((len(own), base.counts.shape[1] + 2), np.inf)
    np.divide(amperes[base.facility.limits], base.amperes_per_watt, out=every[:, :-2], where=base.counts)
    if len(heat):
        np.copyto(every[:, -2], heat[base.loop], where=base.cooled)
    every[:, -1] = own
    which = np.argmin(every, axis=1)  # the first that is not known, where one is not
    racks = np.arange(len(own))
    found = np.round(every[racks, which], DECIMALS)  # sums depend on the order of racks in their last digits
    found[base.unfed & ~np.isnan(found)] = -np.inf
    return found, base.facility.binding[racks, which]


def headroom(base: Ground, promised_watts: Floats, horizon: int = EVER) -> Headroom:
    """Headroom of every rack, once what was given away since the look draws too.

    promised_watts: shape (R,) [W]. horizon: for which it has to last (:meth:`Ground.horizon`).
    """
    facility = base.facility
    to_come = base.to_come_watts(horizon) + promised_watts
    added = facility.added_amperes(base.amperes_per_watt, to_come)
    after = base.allowed_amperes - base.amperes - added
    after_heat = base.capacity_watts - base.heat_watts - base.heat_of(to_come)
    sustained, binding = _least(base, after, after_heat, base.nameplate_watts - base.power_watts - to_come)
    with np.errstate(divide="ignore", invalid="ignore"):
        will = (base.amperes + added) / facility.limit_rating_amperes
    return Headroom(
        base.immediate_watts,
        sustained,
        binding,
        base.utilisation_now,
        _most(facility, will),
        after,
        after_heat,
        base.amperes_per_watt,
    )


def _most(facility: Facility, share: Floats) -> Floats:
    """Greatest share among each rack's limits, NaN where one is not known, 0 for a rack without limits."""
    if not len(share):
        return np.zeros(len(facility.limits))
    return np.maximum.reduce(np.where(facility.limited, share[facility.limits], 0.0), axis=1, initial=0.0)

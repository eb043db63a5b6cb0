"""The traditional pipeline as policies: any healthy node, in name order or at random. Blind to power and heat."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.policy.decisions import Decision, Placement, Reason, Refusal, Wait
from twin.policy.names import by_name
from twin.policy.protocol import JobRequest, Policy
from twin.policy.snapshot import FacilitySnapshot

Order = Callable[[NDArray[np.bool_]], NDArray[np.int64]]  # from racks to their indices in the order to take them


def fill(snapshot: FacilitySnapshot, request: JobRequest, order: Order, reason: Reason) -> Decision:
    """Place a request on healthy production racks with room, taken in ``order``.

    A request that fits one rack and asks for it stays in one; a larger one takes whole free trays rack by rack.
    """
    usable = snapshot.rack_healthy & snapshot.rack_production & snapshot.rack_admitting
    free = snapshot.rack_free_trays * usable
    if request.one_rack:
        roomy = order(free >= request.trays)
        if len(roomy):
            return Placement(request.id, ((snapshot.rack_names[roomy[0]], request.trays),), reason)
        return _turned_down(snapshot, request, f"no rack has {request.trays} free trays")
    racks = order(free > 0)
    upto = free[racks].cumsum()
    found = int(upto[-1]) if len(upto) else 0
    if found < request.trays:
        return _turned_down(snapshot, request, f"{request.trays} asked, {found} free")
    chosen = racks[: int(upto.searchsorted(request.trays)) + 1]
    taken = free[chosen]
    taken[-1] -= int(upto[len(chosen) - 1]) - request.trays
    names = [snapshot.rack_names[rack] for rack in chosen.tolist()]
    return Placement(request.id, tuple(zip(names, taken.tolist(), strict=True)), reason)


def _turned_down(snapshot: FacilitySnapshot, request: JobRequest, waits_for: str) -> Decision:
    """A refusal where no rack, or not all of them together, will ever have room; otherwise a wait."""
    return larger_than_hall(snapshot, request) or Wait(request.id, Reason.WAIT_FOR_TRAYS, waits_for)


def larger_than_hall(snapshot: FacilitySnapshot, request: JobRequest) -> Refusal | None:
    """The refusal of what there is no room for even in an empty hall; None for everything else."""
    installed = snapshot.rack_trays[snapshot.rack_production]
    every, most = int(np.add.reduce(installed)), int(np.maximum.reduce(installed, initial=0))
    if request.trays > every or (request.one_rack and request.trays > most):
        found = f"{request.trays} trays asked, {every} installed"
        return Refusal(request.id, Reason.LARGER_THAN_HALL, found)
    return None


def first_fit(snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> tuple[Decision, Any]:
    """The first healthy racks in name order that have room."""
    racks = by_name(snapshot.rack_names)
    return fill(snapshot, request, lambda wanted: racks[wanted[racks]], Reason.PLACED_FIRST_FIT), state


def random_healthy(seed: int = 0) -> Policy:
    """A policy that takes healthy racks in an order hashed from ``seed``, the request and the rack's name."""

    def place(snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> tuple[Decision, Any]:
        def key(rack: int) -> bytes:
            text = f"{seed}/{request.id}/{snapshot.rack_names[rack]}"
            return hashlib.blake2b(text.encode(), digest_size=8).digest()

        def order(wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
            return np.array(sorted(np.flatnonzero(wanted).tolist(), key=key), dtype=np.int64)

        return fill(snapshot, request, order, Reason.PLACED_RANDOM), state

    return place


#: policies by the name that ``policy=`` takes; each maps a seed to a policy
POLICIES: dict[str, Callable[[int], Policy]] = {
    "first_fit": lambda seed: first_fit,
    "random_healthy": random_healthy,
}

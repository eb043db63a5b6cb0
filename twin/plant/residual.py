"""How well the loops' flows add up at one instant: what the pumps give against what the branches take."""

from twin.plant.arrays import Constants, Inputs, State
from twin.plant.compiled import kernel
from twin.plant.coolant import pump_flow


@kernel
def flow_residual(c: Constants, u: Inputs, x: State, row: int) -> float:
    """Largest share by which a loop's pump flow and the sum of its branch flows differ in row ``row``'s state."""
    worst = 0.0
    for loop in range(c.loop.size):
        total = 0.0
        for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
            total += x.flow[row, c.loop_idx[j]]
        k = c.loop[loop]
        lift = x.pressure[row, loop, 1] + k.main * u.loop[loop].main_factor * total**2
        pumps = 0.0
        for pump in range(k.pumps):
            pumps += pump_flow(lift, x.speed[row, loop, pump], k.head, k.pump_b)
        worst = max(worst, abs(total - pumps) / max(total, 1e-6))
    return worst

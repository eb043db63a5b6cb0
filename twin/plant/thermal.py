"""The tray kernel: device and plate of every tray of a rack, eliminated onto the rack's fluid.

``C_d dT_d/dt = q_d + g T_d − (T_d − T_p)/R``            device (die), leakage slope g
``C_p dT_p/dt = q_p + (T_d − T_p)/R − G (T_p − T_c)``    cold plate or heat sink, film conductance G(flow)
``C_c dT_c/dt = q_c + Σ G (T_p − T_c) + W (T_in − T_c)`` fluid in plates and manifold, W = ρ cp Q

Integrated by ROS2, a two-stage Rosenbrock method of order 2, L-stable with γ = 1 − 1/√2, and of order 2 for any
approximate Jacobian (Verwer, Spee, Blom & Hundsdorfer, SIAM J. Sci. Comput. 20(4), 1999):
``(I − γhA) k₁ = F(y)``, ``(I − γhA) k₂ = F(y + h k₁) − 2 k₁``, ``y ← y + h (3/2 k₁ + 1/2 k₂)``.
Every heat flow enters both of its ends with the same stage value and the same gradient, so energy is conserved to
rounding whatever the step. s = γh throughout; the arrays are the rack's tiles (:mod:`twin.plant.tiles`). The passes
are separated by the solution for the fluid, which the loop (or air zone) couples.

With d and y the residuals of device and plate, r = 1/R, A = C_d + s (r − g), B = C_p + s (r + G), each tray solves
``A k_d − s r k_p = d`` and ``−s r k_d + B k_p = y + s G k_c`` by its determinant
``D = A B − (s r)² = (C_d − s g)(C_p + s G) + s r (C_d − s g + C_p + s G)``, the form without cancellation.
"""

from math import sqrt

from twin.plant.arrays import Floats
from twin.plant.compiled import fast_inner
from twin.plant.tiles import BB, INV, IR, KD, KP, QD, QP, RD, RY, TD, TDN, TILE, TP, TPN, WIDTH, G

GAMMA = 1.0 - 1.0 / sqrt(2.0)


@fast_inner
def forward(
    m: Floats, first: int, trays: int, s: float, film: float, fluid: float, cd: float, cp: float
) -> tuple[float, float, float, float]:
    """First stage, elimination. Returns Σ k_p at k_c = 0, Σ dk_p/d(sG k_c), Σ heat to fluid [W], Σ device heat [W]."""
    sum_x = 0.0
    sum_b = 0.0
    sum_e = 0.0
    sum_q = 0.0
    plate = cp + s * film
    tile = first
    while trays > 0:
        n = min(trays, WIDTH)
        t = m[tile * TILE : (tile + 1) * TILE]
        for i in range(n):
            r = t[IR + i]
            g = t[G + i]
            td = t[TD + i]
            tp = t[TP + i]
            sr = s * r
            die = cd - s * g
            inverse = 1.0 / (die * plate + sr * (die + plate))
            q = t[QD + i] + g * td
            j = (td - tp) * r
            e = film * (tp - fluid)
            d = q - j
            y = t[QP + i] + j - e
            b = (die + sr) * inverse
            t[INV + i] = inverse
            t[BB + i] = b
            t[RD + i] = d
            t[RY + i] = y
            sum_x += b * y + sr * inverse * d
            sum_b += b
            sum_e += e
            sum_q += q
        trays -= n
        tile += 1
    return sum_x, sum_b, sum_e, sum_q


@fast_inner
def middle(
    m: Floats,
    first: int,
    trays: int,
    s: float,
    h: float,
    film: float,
    film2: float,
    k_fluid: float,
    fluid2: float,
    cd: float,
    cp: float,
) -> tuple[float, float, float, float]:
    """First stage, back substitution, and elimination of the second. Returns Σ k_p at k_c = 0, Σe, Σq, and Σ g k_d."""
    sum_x = 0.0
    sum_e = 0.0
    sum_q = 0.0
    sum_gk = 0.0
    plate = cp + s * film
    push = s * film * k_fluid
    tile = first
    while trays > 0:
        n = min(trays, WIDTH)
        t = m[tile * TILE : (tile + 1) * TILE]
        for i in range(n):
            r = t[IR + i]
            g = t[G + i]
            inverse = t[INV + i]
            b = t[BB + i]
            d = t[RD + i]
            y = t[RY + i] + push
            w = s * r * inverse
            kp = b * y + w * d
            kd = (plate * inverse + w) * d + w * y
            td = t[TD + i] + h * kd
            tp = t[TP + i] + h * kp
            q = t[QD + i] + g * td
            j = (td - tp) * r
            e = film2 * (tp - fluid2)
            d = q - j - 2.0 * cd * kd
            y = t[QP + i] + j - e - 2.0 * cp * kp
            t[KD + i] = kd
            t[KP + i] = kp
            t[RD + i] = d
            t[RY + i] = y
            sum_x += b * y + w * d
            sum_e += e
            sum_q += q
            sum_gk += g * kd
        trays -= n
        tile += 1
    return sum_x, sum_e, sum_q, sum_gk


@fast_inner
def backward(
    m: Floats,
    first: int,
    trays: int,
    s: float,
    h: float,
    film: float,
    k_fluid: float,
    cp: float,
    up: float,
    down: float,
) -> tuple[int, float, float]:
    """Second stage, back substitution and update; leaves the error estimate [K] of each tray in field RY.

    Returns the number of devices that are not between ``down`` and ``up`` [°C], Σ g k_d of stage 2, and the sum of the
    new temperatures (not finite if any is not).
    """
    past = 0
    sum_gk = 0.0
    total = 0.0
    plate = cp + s * film
    push = s * film * k_fluid
    tile = first
    while trays > 0:
        n = min(trays, WIDTH)
        t = m[tile * TILE : (tile + 1) * TILE]
        for i in range(n):
            inverse = t[INV + i]
            d = t[RD + i]
            y = t[RY + i] + push
            w = s * t[IR + i] * inverse
            kp = t[BB + i] * y + w * d
            kd = (plate * inverse + w) * d + w * y
            kd1 = t[KD + i]
            kp1 = t[KP + i]
            ed = abs(0.5 * h * (kd1 + kd))
            ep = abs(0.5 * h * (kp1 + kp))
            td = t[TD + i] + h * (1.5 * kd1 + 0.5 * kd)
            tp = t[TP + i] + h * (1.5 * kp1 + 0.5 * kp)
            t[TDN + i] = td
            t[TPN + i] = tp
            t[RY + i] = ed if ed > ep else ep
            past += (td >= up) | (td <= down)
            sum_gk += t[G + i] * kd
            total += td + tp
        trays -= n
        tile += 1
    return past, sum_gk, total

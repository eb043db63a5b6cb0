"""The tray kernel: device and plate of every tray of a rack, eliminated onto the rack's fluid.

``C_d dT_d/dt = q_d + g T_d − (T_d − T_p)/R``            device (die), leakage slope g
``C_p dT_p/dt = q_p + (T_d − T_p)/R − G (T_p − T_c)``    cold plate or heat sink, film conductance G(flow)
``C_c dT_c/dt = q_c + Σ G (T_p − T_c) + W (T_in − T_c)`` fluid in plates and manifold, W = ρ cp Q

Integrated by ROS2, a two-stage Rosenbrock method of order 2, L-stable with γ = 1 − 1/√2, and of order 2 for any
approximate Jacobian (Verwer, Spee, Blom & Hundsdorfer, SIAM J. Sci. Comput. 20(4), 1999):
``(I − γhA) k₁ = F(y)``, ``(I − γhA) k₂ = F(y + h k₁) − 2 k₁``, ``y ← y + h (3/2 k₁ + 1/2 k₂)``.
Every heat flow enters both of its ends with the same stage value and the same gradient, so energy is conserved to
rounding whatever the step. The functions below do one rack each; the three passes are separated by the solution for
the fluid, which the loop (or air zone) couples. s = γh throughout; arrays are indexed by tray.
"""

from math import sqrt

from twin.plant.arrays import Floats
from twin.plant.compiled import fast_inner

GAMMA = 1.0 - 1.0 / sqrt(2.0)


@fast_inner
def forward(
    i0: int,
    i1: int,
    s: float,
    film: float,
    fluid: float,
    cd: float,
    cp: float,
    td: Floats,
    tp: Floats,
    ir: Floats,
    g: Floats,
    qd: Floats,
    qp: Floats,
    aa: Floats,
    bb: Floats,
    rd: Floats,
    bx: Floats,
) -> tuple[float, float, float, float]:
    """First stage, elimination. Returns ΣB x, ΣB, Σ plate-to-fluid heat [W], Σ device heat [W]."""
    sum_x = 0.0
    sum_b = 0.0
    sum_e = 0.0
    sum_q = 0.0
    for i in range(i0, i1):
        r = ir[i]
        a = 1.0 / (cd + s * (r - g[i]))
        w = s * r * a
        b = 1.0 / (cp + s * (r + film) - s * r * w)
        q = qd[i] + g[i] * td[i]
        j = (td[i] - tp[i]) * r
        e = film * (tp[i] - fluid)
        d = q - j
        x = b * (qp[i] + j - e + w * d)
        aa[i] = a
        bb[i] = b
        rd[i] = d
        bx[i] = x
        sum_x += x
        sum_b += b
        sum_e += e
        sum_q += q
    return sum_x, sum_b, sum_e, sum_q


@fast_inner
def middle(
    i0: int,
    i1: int,
    s: float,
    h: float,
    film: float,
    film2: float,
    k_fluid: float,
    fluid2: float,
    cd: float,
    cp: float,
    td: Floats,
    tp: Floats,
    ir: Floats,
    g: Floats,
    qd: Floats,
    qp: Floats,
    aa: Floats,
    bb: Floats,
    rd: Floats,
    bx: Floats,
    kd1: Floats,
    kp1: Floats,
) -> tuple[float, float, float, float]:
    """First stage, back substitution, and elimination of the second. Returns ΣB x, Σe, Σq of stage 2, and Σ g k_d."""
    sum_x = 0.0
    sum_e = 0.0
    sum_q = 0.0
    sum_gk = 0.0
    sgk = s * film * k_fluid
    for i in range(i0, i1):
        r = ir[i]
        kp = bx[i] + bb[i] * sgk
        kd = aa[i] * (rd[i] + s * r * kp)
        td2 = td[i] + h * kd
        tp2 = tp[i] + h * kp
        q = qd[i] + g[i] * td2
        j = (td2 - tp2) * r
        e = film2 * (tp2 - fluid2)
        d = q - j - 2.0 * cd * kd
        x = bb[i] * (qp[i] + j - e - 2.0 * cp * kp + s * r * aa[i] * d)
        kd1[i] = kd
        kp1[i] = kp
        rd[i] = d
        bx[i] = x
        sum_x += x
        sum_e += e
        sum_q += q
        sum_gk += g[i] * kd
    return sum_x, sum_e, sum_q, sum_gk


@fast_inner
def backward(
    i0: int,
    i1: int,
    s: float,
    h: float,
    film: float,
    k_fluid: float,
    td: Floats,
    tp: Floats,
    ir: Floats,
    g: Floats,
    aa: Floats,
    bb: Floats,
    rd: Floats,
    bx: Floats,
    kd1: Floats,
    kp1: Floats,
    up: Floats,
    down: Floats,
    tdn: Floats,
    tpn: Floats,
) -> tuple[float, float, int, float, float]:
    """Second stage, back substitution and update.

    Returns the error estimate [K], the hottest device [°C], the number of devices past a guard level, Σ g k_d of
    stage 2, and the sum of the new temperatures (not finite if any is not).
    """
    error = 0.0
    hottest = -1e300
    past = 0
    sum_gk = 0.0
    total = 0.0
    sgk = s * film * k_fluid
    for i in range(i0, i1):
        kp = bx[i] + bb[i] * sgk
        kd = aa[i] * (rd[i] + s * ir[i] * kp)
        ed = abs(0.5 * h * (kd1[i] + kd))
        ep = abs(0.5 * h * (kp1[i] + kp))
        t = td[i] + h * (1.5 * kd1[i] + 0.5 * kd)
        u = tp[i] + h * (1.5 * kp1[i] + 0.5 * kp)
        tdn[i] = t
        tpn[i] = u
        error = max(error, max(ed, ep))
        hottest = max(hottest, t)
        past += (t >= up[i]) | (t <= down[i])
        sum_gk += g[i] * kd
        total += t + u
    return error, hottest, past, sum_gk, total

"""Power swings of synchronous jobs: what is left of them on every breaker.

Trays of one gang swing together (their deviations add), gangs apart from one another (their variances add), and a
rack's storage takes its share of a gang's swing first. Every rack keeps a short list of the gangs that swing in it, so
that a change looks at the trays of its own racks only.
"""

from math import sqrt

from twin.plant.arrays import Constants, Derived, Inputs, Work
from twin.plant.compiled import inner, kernel


@kernel
def smoothed_swing(sigma: float, hertz: float, joules: float) -> float:
    """Standard deviation [W] left of a square power wave of ``sigma`` [W] after storage of ``joules`` [J].

    A square wave of amplitude ±σ at f moves σ/(2f) joules per half period; storage takes its share of the amplitude.
    """
    if sigma <= 0.0:
        return 0.0
    return sigma * max(0.0, 1.0 - joules * 2.0 * hertz / sigma)


@inner
def list_gangs(c: Constants, u: Inputs, d: Derived, r: int) -> None:
    """Note which gangs swing in rack ``r``, and by how much [W] at its AC inlet after its storage."""
    i0 = c.tray0[r]
    count = 0
    if d.powered[r] > 0.0:
        for i in range(i0, c.tray0[r + 1]):
            tray = u.tray[i]
            if tray.gang < 0 or tray.on == 0 or tray.sigma <= 0.0:
                continue
            k = 0
            while k < count and d.gang[i0 + k].name != tray.gang:
                k += 1
            if k == count:
                d.gang[i0 + k].name = tray.gang
                d.gang[i0 + k].hertz = tray.swing_hertz
                d.gang[i0 + k].watts = 0.0
                count += 1
            d.gang[i0 + k].watts += tray.sigma / c.rack[r].shelf_eta
    d.gangs[r] = count
    for k in range(count):
        gang = d.gang[i0 + k]
        d.gang[i0 + k].watts = smoothed_swing(gang.watts, gang.hertz, c.rack[r].smoothing)


@inner
def swing_variances(c: Constants, d: Derived, w: Work) -> None:
    """Relative variance of every breaker's current and what it adds, from the racks' lists of gangs and node powers."""
    entries = 0
    for r in range(c.tray0.size - 1):
        entries += d.gangs[r]
    table = 1  # places of the hash table: a power of two, more than twice as many as there are entries
    while table <= 2 * entries:
        table *= 2
    for place in range(table):
        w.gang_table[place] = -1
    # gather the racks of each gang into a chain, gangs in order of their first rack
    gangs = 0
    for r in range(c.tray0.size - 1):
        for j in range(c.tray0[r], c.tray0[r] + d.gangs[r]):
            name = d.gang[j].name
            place = (name * 2654435761) & (table - 1)
            while w.gang_table[place] >= 0 and d.gang[w.gang_first[w.gang_table[place]]].name != name:
                place = (place + 1) & (table - 1)
            w.gang_next[j] = -1
            w.gang_rack[j] = r
            if w.gang_table[place] < 0:
                w.gang_table[place] = gangs
                w.gang_first[gangs] = j
                w.gang_last[gangs] = j
                gangs += 1
            else:
                g = w.gang_table[place]
                w.gang_next[w.gang_last[g]] = j
                w.gang_last[g] = j
    variance, amplitude = w.swing[0], w.swing[1]
    for n in range(c.node.size):
        variance[n] = 0.0
    for g in range(gangs):
        touched = 0
        j = w.gang_first[g]
        while j >= 0:
            r = w.gang_rack[j]
            for f in range(2):
                n = c.rack_feed[r, f] if d.share[r, f] > 0.0 else -1
                while n >= 0:
                    if amplitude[n] == 0.0:
                        w.gang_node[touched] = n
                        touched += 1
                    amplitude[n] += d.share[r, f] * d.gang[j].watts + 1e-300  # more than nothing: met already
                    n = c.parent[n]
            j = w.gang_next[j]
        for k in range(touched):
            n = w.gang_node[k]
            variance[n] += amplitude[n] ** 2
            amplitude[n] = 0.0
    for b in range(d.cv2.size):
        n = c.breaker[b].node
        d.cv2[b] = variance[n] / w.node_p[n] ** 2 if w.node_p[n] > 1.0 else 0.0
        d.swell[b] = sqrt(1.0 + d.cv2[b])

"""Power swings of synchronous jobs: what is left of them on every breaker.

Trays of one gang swing together (their deviations add), gangs apart from one another (their variances add), and a
rack's storage takes its share of a gang's swing first. Every rack keeps a short list of the gangs that swing in it, and
the entries of one gang are chained from rack to rack, so that a change looks at its own racks and gangs only.
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
def _place_of(d: Derived, w: Work, name: int) -> int:
    """Where a gang stands in the table, or would: a hash of its number, and on to the first place that fits."""
    mask = w.gang_table.size - 1
    place = (name * 2654435761) & mask
    while w.gang_table[place] >= 0 and d.gang[w.gang_table[place]].name != name:
        place = (place + 1) & mask
    return place


@inner
def _vacate(d: Derived, w: Work, place: int) -> None:
    """Empty a place of the table, and move up what stood further on for its sake (Knuth, TAOCP 3, algorithm 6.4 R)."""
    mask = w.gang_table.size - 1
    hole = place
    while w.gang_table[place] >= 0:
        w.gang_table[hole] = -1
        while True:
            place = (place + 1) & mask
            if w.gang_table[place] < 0:
                break
            home = (d.gang[w.gang_table[place]].name * 2654435761) & mask
            if (place - home) & mask >= (place - hole) & mask:
                w.gang_table[hole] = w.gang_table[place]
                hole = place
                break


@inner
def _count(c: Constants, d: Derived, w: Work, first: int, sign: float) -> None:
    """Add the variance of the gang whose chain begins with entry ``first`` to every node above it, for a ``sign`` of 1;
    for −1 take off that of its entries that were counted."""
    variance, amplitude = w.swing[0], w.swing[1]
    touched = 0
    j = first
    while j >= 0:
        r = w.gang[j].rack
        if sign > 0.0 or w.gang[j].counted:
            for f in range(2):
                n = c.rack_feed[r, f] if d.share[r, f] > 0.0 else -1
                while n >= 0:
                    if amplitude[n] == 0.0:
                        w.gang_node[touched] = n
                        touched += 1
                    amplitude[n] += d.share[r, f] * d.gang[j].watts + 1e-300  # more than nothing: met already
                    n = c.parent[n]
            w.gang[j].counted = 1 if sign > 0.0 else 0
        j = w.gang[j].after
    for k in range(touched):
        n = w.gang_node[k]
        variance[n] += sign * amplitude[n] ** 2
        amplitude[n] = 0.0


@inner
def _ask(w: Work, r: int) -> None:
    """Note that gangs of rack ``r`` are to be counted."""
    if not w.asked[r]:
        w.asked[r] = 1
        w.asking[w.asks[0]] = r
        w.asks[0] += 1


@inner
def _leave(c: Constants, d: Derived, w: Work, r: int) -> None:
    """Take the entries of rack ``r`` out of their chains, and their gangs off the nodes."""
    for j in range(c.tray0[r], c.tray0[r] + d.gangs[r]):
        place = _place_of(d, w, d.gang[j].name)
        if w.gang[j].counted:
            _count(c, d, w, w.gang_table[place], -1.0)
            other = w.gang_table[place]
            while other >= 0:
                _ask(w, w.gang[other].rack)
                other = w.gang[other].after
        before, after = w.gang[j].before, w.gang[j].after
        if after >= 0:
            w.gang[after].before = before
        if before >= 0:
            w.gang[before].after = after
        elif after >= 0:
            w.gang_table[place] = after
        else:
            _vacate(d, w, place)


@inner
def _join(c: Constants, d: Derived, w: Work, r: int) -> None:
    """Put the entries of rack ``r`` into the chains of their gangs."""
    for j in range(c.tray0[r], c.tray0[r] + d.gangs[r]):
        place = _place_of(d, w, d.gang[j].name)
        first = w.gang_table[place]
        w.gang[j].rack, w.gang[j].counted = r, 0
        w.gang[j].before, w.gang[j].after = -1, first
        if first >= 0:
            w.gang[first].before = j
        w.gang_table[place] = j
    _ask(w, r)


@inner
def list_gangs(c: Constants, u: Inputs, d: Derived, w: Work, r: int) -> None:
    """Note which gangs swing in rack ``r``, and by how much [W] at its AC inlet after its storage."""
    _leave(c, d, w, r)
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
    _join(c, d, w, r)


@inner
def swing_variances(c: Constants, d: Derived, w: Work, anew: bool) -> None:
    """Relative variance of every breaker's current and what it adds, from the racks' lists of gangs and node powers.

    Gangs that changed are counted again, and all of them where the tree did (``anew``).
    """
    variance = w.swing[0]
    if anew:
        for n in range(c.node.size):
            variance[n] = 0.0
        for r in range(c.tray0.size - 1):
            for j in range(c.tray0[r], c.tray0[r] + d.gangs[r]):
                w.gang[j].counted = 0
            _ask(w, r)
    for k in range(w.asks[0]):
        r = w.asking[k]
        w.asked[r] = 0
        for j in range(c.tray0[r], c.tray0[r] + d.gangs[r]):
            if not w.gang[j].counted:
                first = w.gang_table[_place_of(d, w, d.gang[j].name)]
                _count(c, d, w, first, -1.0)
                _count(c, d, w, first, 1.0)
    w.asks[0] = 0
    for b in range(d.cv2.size):
        n = c.breaker[b].node
        # what came and went may leave a rounding below nothing
        d.cv2[b] = max(0.0, variance[n]) / w.node_p[n] ** 2 if w.node_p[n] > 1.0 else 0.0
        d.swell[b] = sqrt(1.0 + d.cv2[b])

"""Three-band capping in the rack managers: off by default, and what it saves when it is on."""

import pytest

from twin.policy import first_fit
from twin.results.kinds import EventKind
from twin.sim.capping import Controller, hold
from twin.sim.world import Settings

CAPS = (EventKind.CAP_ON, EventKind.CAP_OFF, EventKind.BREAKER_TRIP)
LOST, BACK = 1_200.0, 3_300.0
LOAD = 0.6


class Watching:
    """First fit that keeps the current over the rating of the row's feed B at every request."""

    def __init__(self) -> None:
        self.ratio: dict[str, float] = {}

    def __call__(self, snapshot, request, state=None):
        row = snapshot.breaker_names.index("row A/feed B")
        self.ratio[request.id] = snapshot.breaker_current_amperes[row] / snapshot.breaker_rating_amperes[row]
        self.amperes = snapshot.breaker_current_amperes[row]
        return first_fit(snapshot, request, state)


@pytest.fixture
def overloaded(tell, a_job):
    """A row whose feeds carry 65 % each at full clock, so that one alone carries 130 % from LOST to BACK."""
    load = {"at": 0, "do": "set_load", "utilisation": LOAD}
    meter = Watching()
    tell(100.0, jobs=[a_job("meter", 1, submit=85.0)], timeline=[load], policy=meter)

    def make(capping: bool):
        watching = Watching()
        looks = [a_job(name, 1, 5.0, submit=at) for name, at in (("at once", LOST + 1), ("later", BACK - 301))]
        result = tell(
            BACK + 300.0,
            hall=(
                f"row_feed.breaker.rating_amperes={meter.amperes / 0.65}",
                "pdu.breaker.rating_amperes=5000",
                "ups.breaker.rating_amperes=5000",
            ),
            jobs=[a_job("gang", 18, 1e5, submit=5.0), *looks],
            timeline=[load, {"at": LOST, "do": "feed_loss", "node": "ups A", "repair": f"{BACK - LOST:.0f} s"}],
            policy=watching,
            settings=Settings(capping=capping),
        )
        return result, watching.ratio

    return make


def test_nobody_caps_unless_asked_and_the_breaker_goes(overloaded, log_of):
    result, ratio = overloaded(False)
    assert ratio["at once"] == pytest.approx(1.3, rel=1e-3)
    assert [kind for _, kind, _ in log_of(result, *CAPS)] == ["breaker_trip"]
    assert result.metrics["capped_gpu_seconds"] == 0.0


def test_capping_brings_the_feed_into_its_band_and_lets_go_when_the_other_is_back(overloaded, log_of):
    result, ratio = overloaded(True)
    assert log_of(result, *CAPS) == [
        (LOST, "cap_on", "row A/feed B"),  # at the look of that very instant: looks come every 3 s
        (BACK, "cap_off", "row A/feed B"),
    ]
    assert 0.90 < ratio["at once"] < 0.99
    assert 0.90 < ratio["later"] < 0.99
    # the gang's GPUs are capped all that time, and the hall counts it neither as heat nor as loss
    assert result.metrics["capped_gpu_seconds"] == pytest.approx((BACK - LOST) * 72, rel=0.01)
    assert result.metrics["throttled_gpu_seconds"] == 0.0
    assert result.metrics["gpu_seconds_lost"] == 0.0
    gang = result.tables["jobs"].set_index("id").loc["gang"]
    full = (BACK + 300.0 - 10.0) * 72
    assert full - (BACK - LOST) * 72 < gang["delivered_gpu_seconds"] < 0.95 * full


def test_a_policy_that_caps_everything_does_so_from_the_start_and_the_managers_never_let_go(tell, a_job, log_of):
    """Clock 0.6: GPUs draw and do what clock 0.6 does, all the time; whole-hall capping on top changes nothing."""
    demand = [a_job("gang", 18, 1e5, utilisation=0.8)]
    found = {}
    chosen_by = {"free": {}, "held": {"greatest_clock": 0.6}, "both": {"greatest_clock": 0.6, "capping": True}}
    for name, chosen in chosen_by.items():
        found[name] = tell(1_800.0, jobs=demand, settings=Settings(**chosen))
    free, held, both = found["free"], found["held"], found["both"]
    assert log_of(held, EventKind.CAP_ON, EventKind.CAP_OFF) == [(0.0, "cap_on", "small")]
    assert log_of(free, EventKind.CAP_ON, EventKind.CAP_OFF) == []
    assert held.metrics["capped_gpu_seconds"] == pytest.approx(1_800.0 * 72)
    assert held.metrics["it_energy_joules"] < free.metrics["it_energy_joules"]
    speed = held.metrics["gpu_seconds_delivered"] / free.metrics["gpu_seconds_delivered"]
    assert speed == pytest.approx(0.6**0.7, rel=1e-3)  # work per time is f^β, β = 0.7 for a job that says nothing
    for name in ("capped_gpu_seconds", "it_energy_joules", "gpu_seconds_delivered"):
        assert both.metrics[name] == pytest.approx(held.metrics[name], rel=1e-12)  # looks end stretches


def test_a_manager_that_lets_go_leaves_the_clock_where_the_policy_holds_it(bench):
    world = bench(settings=Settings(greatest_clock=0.5, capping=True)).world
    hold(world)
    node = next(n for n, name in enumerate(world.topology.node_names) if name == "row A/feed A")
    controller = Controller(world, node)
    caps = world.plant.u.tray["cap"]
    world.plant.set_load(controller.trays, 0.8)
    for share in (0.0, 1.0):
        controller._cap(share)
        assert (caps <= 0.5).all() and (caps[controller.trays] == (0.1 if share == 0.0 else 0.5)).all()

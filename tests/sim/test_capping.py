"""Three-band capping in the rack managers: off by default, and what it saves when it is on."""

import pytest

from twin.policy import first_fit
from twin.results.kinds import EventKind
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

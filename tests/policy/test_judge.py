"""The canary judge: verdicts by hand, in populations, and properties that no reading may break."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from twin.policy import Design, JudgeState, Metric, Outcome, Quality, Window, Windows, judge_canary
from twin.policy.judge import window_means
from twin.policy.spending import Spending
from twin.policy.trial import Finding, Readings

WINDOWS = Windows(Window(0.0, 600.0), Window(600.0, 1_200.0), Window(1_200.0, 4_800.0))
POWER = Metric("power", "W", margin=2.0)
HEAT = Metric("temperature", "K", margin=1.0)
SPEED = Metric("speed", "1/s", margin=1.0, worse=-1)
ONE = Design((POWER,))
THREE = Design((POWER, HEAT, SPEED))
THREE_WIDE = Design(tuple(replace(metric, margin=2.0) for metric in THREE.metrics))
ORDER = {Outcome.PASS: 0, Outcome.INCONCLUSIVE: 1, Outcome.FAIL: 2}


def _readings(changes, canaries=3, before=None):
    """Readings of racks with these changes (metric → one per rack), canaries first."""
    count = len(next(iter(changes.values())))
    level = {name: np.full(count, 100.0) for name in changes} if before is None else before
    return Readings(
        tuple(f"A-{k + 1:02d}" for k in range(count)),
        np.arange(count) < canaries,
        level,
        {name: level[name] + np.asarray(change) for name, change in changes.items()},
        WINDOWS,
    )


def _noise(seed, design=ONE, racks=27, harm=0.0, canaries=3):
    """Changes with a deviation of 1, and ``harm`` on the canaries, worse in every metric."""
    rng = np.random.default_rng(seed)
    on = np.where(np.arange(racks) < canaries, harm, 0.0)
    return {metric.name: rng.normal(size=racks) + metric.worse * on for metric in design.metrics}


def _judged(design, changes, fraction=1.0, **given):
    return judge_canary(design, "release 7", _readings(changes, **given), fraction)[0]


def _count(design, harm, trials, outcome, fractions=(1.0,), metric=None):
    """How often a fleet of 27 racks ends so. Looks see the change through less and less noise, as longer means do."""
    found = 0
    for seed in range(trials):
        rng = np.random.default_rng([seed, 77])
        path = {m.name: rng.normal(size=(len(fractions), 27)).cumsum(axis=0) for m in design.metrics}
        state = JudgeState()
        for k, fraction in enumerate(fractions):
            changes = {}
            for m in design.metrics:
                on = harm if metric in (None, m.name) else 0.0
                changes[m.name] = path[m.name][k] / (k + 1) + m.worse * np.where(np.arange(27) < 3, on, 0.0)
            verdict, state = judge_canary(design, "r", _readings(changes), fraction, state)
            if verdict.outcome is not Outcome.INCONCLUSIVE:
                break
        found += verdict.outcome is outcome
    return found


# ---------------------------------------------------------------- by hand


def test_the_default_design_states_the_smallest_p_that_it_can_reach():
    assert ONE.smallest_p == pytest.approx(1 / 2925)
    verdict = _judged(ONE, _noise(0))
    assert verdict.smallest_p == pytest.approx(0.00034188, rel=1e-4)
    assert "3 canary racks against 24 controls: 2925 labellings, all counted" in verdict.lines()[1]
    assert "smallest attainable p 0.034% one-sided, 0.068% two-sided" in verdict.lines()[1]


def test_harm_far_above_the_margin_fails_with_the_smallest_p():
    verdict, state = judge_canary(ONE, "r", _readings(_noise(1, harm=50.0)), 1.0)
    evidence = verdict.metrics[0]
    assert verdict.outcome is state.decided is Outcome.FAIL
    assert evidence.p == evidence.adjusted_p == pytest.approx(1 / 2925)
    assert 48.0 < evidence.lower < evidence.estimate < evidence.upper < 52.0
    assert verdict.findings[0][0] is Finding.HARM_SHOWN
    assert verdict.findings[0][1].startswith("power ")
    assert verdict.canaries == ("A-01", "A-02", "A-03")
    assert len(verdict.controls) == 24


def test_no_harm_under_a_wide_margin_passes_and_its_bound_says_so():
    verdict = _judged(Design((replace(POWER, margin=5.0),)), _noise(2))
    assert verdict.outcome is Outcome.PASS
    assert verdict.metrics[0].upper < 5.0
    assert verdict.findings == ((Finding.HARM_BOUNDED, "power"),)


def test_harm_at_the_margin_is_neither_shown_nor_bounded():
    verdict = _judged(ONE, _noise(3, harm=2.0))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.metrics[0].lower < 2.0 < verdict.metrics[0].upper


def test_harm_is_the_difference_of_mean_changes_and_not_of_levels():
    """Canaries stand 1000 W above their controls all along; they change by 4, 5, 6 and the controls by 1."""
    before = {"power": np.where(np.arange(27) < 3, 1_100.0, 100.0)}
    changes = {"power": np.r_[4.0, 5.0, 6.0, np.ones(24)]}
    evidence = _judged(ONE, changes, before=before).metrics[0]
    assert evidence.estimate == pytest.approx(4.0)
    assert evidence.change == pytest.approx(4.0)


@pytest.mark.parametrize(("carried", "harm"), [(1.0, 4.0), (0.5, 504.0), (0.0, 1_004.0)])
def test_of_before_only_that_is_taken_off_which_a_rack_carries_along(carried, harm):
    """The racks of the test above: 1,105 after is 1,105 − c 1,100 for canaries, 101 − c 100 for their controls."""
    before = {"power": np.where(np.arange(27) < 3, 1_100.0, 100.0)}
    changes = {"power": np.r_[4.0, 5.0, 6.0, np.ones(24)]}
    evidence = _judged(Design((replace(POWER, carried=carried),)), changes, before=before).metrics[0]
    assert evidence.estimate == pytest.approx(harm)


def test_no_more_than_all_of_before_is_carried():
    with pytest.raises(ValueError, match=r"metric power: carried = 1\.5: give a number from 0 to 1"):
        replace(POWER, carried=1.5)


def test_where_less_is_worse_a_loss_is_harm():
    verdict = _judged(Design((SPEED,)), {"speed": np.r_[np.full(3, -30.0), np.zeros(24)]})
    assert verdict.outcome is Outcome.FAIL
    assert verdict.metrics[0].estimate == pytest.approx(30.0)
    assert verdict.metrics[0].change == pytest.approx(-30.0)
    gain = _judged(Design((SPEED,)), {"speed": np.r_[np.full(3, 30.0), np.zeros(24)]})
    assert gain.outcome is Outcome.PASS


def test_a_metric_is_adjusted_by_its_share_of_the_level():
    """Primary ½, the two others ¼ each. Only heat is harmed: p/¼ = 4 p."""
    changes = _noise(4, THREE)
    changes["temperature"][:3] += 50.0
    verdict = _judged(THREE, changes)
    assert verdict.outcome is Outcome.FAIL
    assert [f[1].split()[0] for f in verdict.findings] == ["temperature"]
    assert verdict.metrics[1].adjusted_p == pytest.approx(4 / 2925)
    assert [e.smallest_adjusted_p for e in verdict.metrics] == pytest.approx([2 / 2925, 4 / 2925, 4 / 2925])


def test_one_metric_that_is_not_bounded_keeps_a_release_from_passing():
    wide = Design((replace(POWER, margin=9.0), HEAT))
    changes = {"power": np.zeros(27), "temperature": np.r_[np.ones(3), np.zeros(24)]}
    verdict = _judged(wide, changes)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.findings == ((Finding.NOT_BOUNDED, "temperature"),)


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize("before", [(0.0, 600.0), (599.0, 1_200.0), (-100.0, 1.0), (100.0, 200.0)])
def test_the_window_that_chose_the_racks_is_never_before(before):
    with pytest.raises(ValueError, match="overlaps the one that chose the racks"):
        Windows(Window(0.0, 600.0), Window(*before), Window(1_200.0, 4_800.0))


def test_windows_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="overlaps the one that chose"):
        Windows(Window(1_500.0, 1_600.0), Window(600.0, 1_200.0), Window(1_200.0, 4_800.0))
    with pytest.raises(ValueError, match="must end when after"):
        Windows(Window(0.0, 600.0), Window(600.0, 1_201.0), Window(1_200.0, 4_800.0))
    for begin, end in ((5.0, 5.0), (6.0, 5.0), (math.nan, 5.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="window"):
            Window(begin, end)


def test_regression_to_the_mean_is_why():
    """Racks chosen for a low reading rise by themselves: judged on that reading, harmless releases fail."""
    failed = {"chosen by it": 0, "read afresh": 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        selection, fresh, after = rng.normal(size=(3, 120)) * 3.0
        order = np.r_[np.argsort(selection)[:3], np.sort(np.argsort(selection)[3:])[:24]]
        for name, before in (("chosen by it", selection), ("read afresh", fresh)):
            readings = _readings({"power": (after - before)[order]}, before={"power": before[order]})
            verdict, _ = judge_canary(ONE, "r", readings, 1.0)
            failed[name] += verdict.outcome is Outcome.FAIL
    assert failed["chosen by it"] > 60
    assert failed["read afresh"] <= stats.binom.isf(0.001, 200, 0.02)


def test_a_window_mean_takes_good_readings_inside_and_wants_half_of_them():
    time = np.arange(0.0, 60.0, 10.0)
    values = np.repeat([[9.0], [1.0], [2.0], [3.0], [6.0], [9.0]], 3, axis=1)
    values[2, 2] = np.nan
    quality = np.zeros(values.shape, dtype=np.int8)
    quality[1:4, 1] = Quality.STALE
    means = window_means(time, values, quality, Window(10.0, 50.0))
    assert means[0] == 3.0
    assert math.isnan(means[1])  # one of four
    assert means[2] == pytest.approx(10.0 / 3.0)
    assert np.isnan(window_means(time, values, quality, Window(70.0, 80.0))).all()


# ---------------------------------------------------------------- looks


def test_looks_share_alpha_and_a_decision_ends_them():
    state = JudgeState()
    levels = []
    for fraction in (0.5, 0.75, 1.0):
        verdict, state = judge_canary(ONE, "r", _readings(_noise(3, harm=2.0)), fraction, state)
        levels.append(verdict.level)
    assert verdict.looks == (0.5, 0.75, 1.0)
    spent = 2.0 * stats.norm.sf(stats.norm.isf(0.01) / np.sqrt([0.5, 0.75, 1.0]))
    assert levels == pytest.approx(np.diff(spent, prepend=0.0), rel=1e-9)
    assert sum(levels) == pytest.approx(verdict.alpha_spent) == pytest.approx(0.02)
    assert verdict.beta_spent == pytest.approx(0.05)
    _, ended = judge_canary(ONE, "r", _readings(_noise(1, harm=50.0)), 0.5)
    with pytest.raises(ValueError, match="no further looks"):
        judge_canary(ONE, "r", _readings(_noise(1)), 1.0, ended)
    with pytest.raises(ValueError, match="give a later one"):
        judge_canary(ONE, "r", _readings(_noise(1)), 1.0, state)


def test_a_look_whose_level_no_p_can_reach_spends_nothing_and_cannot_pass():
    verdict, state = judge_canary(ONE, "r", _readings({"power": np.zeros(27)}), 0.25)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert Finding.NO_LEVEL in [f for f, _ in verdict.findings]
    assert (verdict.level, verdict.alpha_spent) == (0.0, 0.0)
    verdict, _ = judge_canary(ONE, "r", _readings({"power": np.zeros(27)}), 1.0, state)
    assert verdict.level == pytest.approx(0.02)
    assert verdict.outcome is Outcome.PASS


def test_one_canary_against_24_can_never_fail_and_so_never_passes():
    """Smallest p 1/25 = 4 %, above 2 %."""
    lone = replace(ONE, canaries=1)
    for harm in (0.0, 100.0):
        verdict = _judged(lone, _noise(5, racks=25, harm=harm, canaries=1), canaries=1)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.smallest_p == pytest.approx(0.04)
        assert Finding.NO_LEVEL in [f for f, _ in verdict.findings]


def test_fewer_canaries_than_the_design_do_not_pass():
    verdict = _judged(ONE, {"power": np.zeros(26)}, canaries=2)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert (Finding.FEW_CANARIES, "2 of 3") in verdict.findings


def test_with_fewer_than_15_controls_there_is_one_look_at_one_metric():
    changes = _noise(6, THREE, racks=17)  # 14 controls
    changes["temperature"][:3] += 50.0
    evenly = replace(THREE, spending=Spending.POCOCK)  # whose level at half, 1.2 %, 17 racks could reach
    verdict, state = judge_canary(evenly, "r", _readings(changes), 0.5)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert (verdict.level, verdict.alpha_spent) == (0.0, 0.0)
    verdict, _ = judge_canary(evenly, "r", _readings(changes), 1.0, state)
    assert [e.judged for e in verdict.metrics] == [True, False, False]
    assert verdict.outcome is not Outcome.FAIL  # harm of a metric that may not be looked at is told, not judged
    assert verdict.metrics[1].p == pytest.approx(1 / 680)
    assert verdict.metrics[0].adjusted_p == verdict.metrics[0].p
    assert verdict.level == pytest.approx(0.02)
    assert Finding.FEW_CONTROLS in [f for f, _ in verdict.findings]
    assert all(e.judged for e in _judged(THREE, _noise(6, THREE, racks=18)).metrics)


# ---------------------------------------------------------------- populations


@pytest.mark.parametrize("alpha", [0.02, 0.05])
def test_one_look_at_one_metric_errs_as_often_as_it_says(alpha):
    """2,000 fleets without effect and no margin: failures within the exact binomial interval of the attained level."""
    design = Design((replace(POWER, margin=0.0),), alpha=alpha)
    failed = _count(design, 0.0, 2_000, Outcome.FAIL)
    attained = math.floor(design.alpha * 2925) / 2925
    assert attained <= design.alpha
    low, high = stats.binom.interval(0.999, 2_000, attained)
    assert low <= failed <= high


@pytest.mark.parametrize("spending", list(Spending))
def test_three_looks_at_three_metrics_err_no_more_often_than_alpha(spending):
    design = Design(tuple(replace(m, margin=0.0) for m in THREE.metrics), alpha=0.05, spending=spending)
    failed = _count(design, 0.0, 1_000, Outcome.FAIL, (1 / 3, 2 / 3, 1.0))
    assert 5 <= failed <= stats.binom.isf(0.001, 1_000, 0.05)


def test_harm_at_the_margin_passes_as_often_as_it_says_at_one_look_at_one_metric():
    attained = math.floor(ONE.beta * 2925) / 2925
    low, high = stats.binom.interval(0.999, 2_000, attained)
    assert low <= _count(ONE, ONE.metrics[0].margin, 2_000, Outcome.PASS) <= high


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 1.0]), st.floats(0.0, 4.0))
@settings(max_examples=60, deadline=None)
def test_a_verdict_is_what_its_evidence_says(seed, fraction, harm):
    verdict = _judged(THREE_WIDE, _noise(seed, THREE_WIDE, harm=harm), fraction)
    failed = any(e.adjusted_p <= verdict.level for e in verdict.metrics)
    bounded = all(e.upper < e.metric.margin for e in verdict.metrics)
    expected = Outcome.FAIL if failed else Outcome.PASS if bounded else Outcome.INCONCLUSIVE
    assert verdict.outcome is expected
    for e in verdict.metrics:
        assert (e.lower > e.metric.margin) == (e.p <= verdict.level)
        assert (e.upper < e.metric.margin) == (e.p_harm <= verdict.beta_level)


def test_harm_at_the_margin_passes_no_more_often_than_beta():
    passed = _count(THREE, 2.0, 800, Outcome.PASS, (0.5, 1.0), metric="power")
    assert passed <= stats.binom.isf(0.001, 800, THREE.beta)


def test_harm_at_twice_the_margin_is_detected_and_no_harm_passes():
    """The margin is 2 deviations of one rack's change at the first of two looks; three metrics share the level."""
    trials = 300
    shares = {
        "fails, primary harmed": _count(THREE_WIDE, 4.0, trials, Outcome.FAIL, (0.5, 1.0), "power") / trials,
        "fails, another harmed": _count(THREE_WIDE, 4.0, trials, Outcome.FAIL, (0.5, 1.0), "speed") / trials,
        "passes, none harmed": _count(THREE_WIDE, 0.0, trials, Outcome.PASS, (0.5, 1.0)) / trials,
    }
    print(shares)
    assert shares["fails, primary harmed"] >= 0.9
    assert shares["fails, another harmed"] >= 0.8
    assert shares["passes, none harmed"] >= 0.9


def test_power_at_one_look_is_near_that_of_a_t_test():
    """Harm 2 deviations above the margin, alpha 0.02, one metric: counting labellings loses little."""
    trials = 500
    power = _count(ONE, 4.0, trials, Outcome.FAIL) / trials
    print(f"power {power}")
    effect = 2.0 / math.sqrt(1 / 3 + 1 / 24)
    normal = stats.nct.sf(stats.t.isf(0.02, 25), 25, effect)
    assert power == pytest.approx(normal, abs=0.06)
    assert power >= 0.78


# ---------------------------------------------------------------- missing readings


def test_a_canary_without_a_reading_is_left_out_with_a_reason_and_cannot_pass():
    readings = _readings({"power": np.zeros(27)})
    readings.after["power"][1] = np.nan
    verdict, _ = judge_canary(ONE, "r", readings, 1.0)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.excluded == (("A-02", "power after is nan"),)
    assert verdict.canaries == ("A-01", "A-03")
    assert (Finding.CANARY_MISSING, "A-02") in verdict.findings
    assert "A-02 left out: power after is nan" in verdict.lines()


def test_harm_is_shown_by_the_canaries_that_are_left():
    readings = _readings(_noise(1, harm=50.0))
    readings.before["power"][0] = math.inf
    verdict, _ = judge_canary(ONE, "r", readings, 1.0)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.smallest_p == pytest.approx(1 / math.comb(26, 2))


def test_a_control_may_be_spared_only_if_the_design_says_so_and_then_counts_against_a_pass():
    changes = {"power": np.r_[np.zeros(3), np.linspace(-1.0, 1.0, 24)]}
    readings = _readings(changes)
    readings.after["power"][20] = np.nan
    assert judge_canary(ONE, "r", readings, 1.0)[0].outcome is Outcome.INCONCLUSIVE
    spared = replace(ONE, controls_spared=1)
    verdict, _ = judge_canary(spared, "r", readings, 1.0)
    assert verdict.outcome is Outcome.PASS
    least = changes | {"power": np.where(np.arange(27) == 20, -1.0, changes["power"])}
    assert verdict.metrics[0].upper == pytest.approx(
        max(_judged(ONE, least).metrics[0].upper, judge_canary(ONE, "r", readings, 1.0)[0].metrics[0].upper)
    )


def test_a_metric_that_was_never_read_leaves_nothing_to_test():
    readings = _readings({"power": np.zeros(27)})
    verdict, state = judge_canary(THREE, "r", readings, 1.0)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.metrics == ()
    assert len(verdict.excluded) == 27
    assert math.isnan(verdict.smallest_p)
    assert state.alpha.alpha == 0.0
    assert Finding.NOTHING_LEFT in [f for f, _ in verdict.findings]


def test_a_reading_below_what_can_be_is_not_believed():
    design = Design((replace(POWER, least=0.0),))
    readings = _readings({"power": np.zeros(27)})
    readings.before["power"][2] = -1.0
    verdict, _ = judge_canary(design, "r", readings, 1.0)
    assert verdict.excluded == (("A-03", "power before is -1"),)
    assert verdict.outcome is Outcome.INCONCLUSIVE


@given(st.integers(0, 2**32 - 1), st.integers(0, 26), st.sampled_from([np.nan, np.inf, -np.inf]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_missing_reading_makes_a_pass(seed, rack, value, after):
    readings = _readings(_noise(seed, harm=float(seed % 4)))
    (readings.after if after else readings.before)["power"][rack] = value
    assert judge_canary(ONE, "r", readings, 1.0)[0].outcome is not Outcome.PASS


# ---------------------------------------------------------------- properties


@given(st.integers(0, 2**32 - 1), st.permutations(range(27)), st.floats(0.0, 5.0))
@settings(max_examples=40, deadline=None)
def test_the_order_of_racks_changes_nothing(seed, order, harm):
    readings = _readings(_noise(seed, THREE, harm=harm))
    shuffled = Readings(
        tuple(readings.racks[k] for k in order),
        readings.canary[order],
        {name: y[order] for name, y in readings.before.items()},
        {name: y[order] for name, y in readings.after.items()},
        WINDOWS,
    )
    assert judge_canary(THREE, "r", shuffled, 1.0) == judge_canary(THREE, "r", readings, 1.0)


@given(st.integers(0, 2**32 - 1), st.floats(-1e6, 1e6), st.floats(0.0, 5.0))
@settings(max_examples=40, deadline=None)
def test_a_change_that_all_racks_share_changes_nothing(seed, constant, harm):
    changes = _noise(seed, harm=harm)
    one, other = _judged(ONE, changes), _judged(ONE, {"power": changes["power"] + constant})
    assert one.outcome is other.outcome
    assert other.metrics[0].p == one.metrics[0].p
    assert other.metrics[0].p_harm == one.metrics[0].p_harm
    assert other.metrics[0].estimate == pytest.approx(one.metrics[0].estimate, abs=1e-8)
    assert other.metrics[0].upper == pytest.approx(one.metrics[0].upper, abs=1e-8)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.floats(0.0, 6.0), min_size=3, max_size=3),
    st.sampled_from(["power", "temperature", "speed"]),
    st.sampled_from([0.5, 1.0]),
)
@settings(max_examples=80, deadline=None)
def test_more_harm_on_any_canary_never_makes_a_verdict_milder(seed, more, name, fraction):
    changes = _noise(seed, THREE, harm=float(seed % 5))
    worse = {metric.name: metric.worse for metric in THREE.metrics}[name]
    harmed = changes | {name: changes[name] + worse * np.r_[more, np.zeros(24)]}
    before, after = _judged(THREE, changes, fraction), _judged(THREE, harmed, fraction)
    assert ORDER[after.outcome] >= ORDER[before.outcome]
    for one, other in zip(before.metrics, after.metrics, strict=True):
        assert other.upper >= one.upper - 1e-9
        assert other.p <= one.p
        assert other.p_harm >= one.p_harm


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 1_000.0))
@settings(max_examples=30, deadline=None)
def test_units_do_not_matter(seed, unit):
    changes = _noise(seed, harm=2.5)
    scaled = Design((replace(POWER, margin=POWER.margin * unit),))
    one = _judged(ONE, changes)
    before = {"power": np.full(27, 100.0 * unit)}
    other = _judged(scaled, {"power": changes["power"] * unit}, before=before)
    assert other.outcome is one.outcome
    assert other.metrics[0].p == one.metrics[0].p


def test_a_judge_is_deterministic_and_leaves_its_arguments_alone():
    readings = _readings(_noise(8, THREE, harm=1.0))
    kept = {name: y.copy() for name, y in readings.after.items()}
    drawn = replace(THREE, exact_at_most=100, draws=999)
    assert judge_canary(drawn, "r", readings, 1.0) == judge_canary(drawn, "r", readings, 1.0)
    verdict, _ = judge_canary(drawn, "r", readings, 1.0)
    assert (verdict.exact, verdict.smallest_p, drawn.smallest_p) == (False, 0.001, 0.001)
    assert "drawn" in verdict.lines()[1]
    assert all((readings.after[name] == kept[name]).all() for name in kept)


# ---------------------------------------------------------------- refusals


def test_a_design_is_refused_with_all_that_is_wrong():
    with pytest.raises(ValueError) as refused:
        Design((POWER, POWER), alpha=0.0, beta=1.5, primary_weight=math.nan, canaries=0, controls_spared=-1)
    for words in ("a name twice", "alpha = 0.0", "beta = 1.5", "primary_weight = nan", "canaries = 0", "spared = -1"):
        assert words in str(refused.value)
    with pytest.raises(ValueError, match="at least one"):
        Design(())
    for margin in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="margin"):
            Metric("power", "W", margin)
    with pytest.raises(ValueError, match="worse"):
        Metric("power", "W", 1.0, worse=0)


def test_readings_that_do_not_fit_are_refused():
    good = _readings({"power": np.zeros(27)})
    with pytest.raises(ValueError, match="named twice"):
        replace(good, racks=("A-01", *good.racks[:-1]))
    with pytest.raises(ValueError, match="one value per rack"):
        replace(good, after={"power": np.zeros(26)})

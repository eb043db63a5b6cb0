"""The table of mutations: what is broken on purpose, where, and the tests that must notice.

``old`` is a regular expression that must match exactly once in ``file``; ``new`` replaces the match (``\\1`` and so on
stand for its groups). Tests are words of a pytest command line; they run in this order until one fails, so that those
which compile little stand first.
"""

from typing import NamedTuple

ORACLE = "tests/plant/test_oracle.py"
TELLS = f"{ORACLE}::test_the_plant_tells_what_the_oracle_tells"
RESTS = f"{ORACLE}::test_equilibrium_is_one_by_another_account"
POWERS = f"{ORACLE}::test_power_of_large_halls_is_what_the_oracle_says[mixed]"
POWER = "tests/plant/test_power.py"
BREAKERS = "tests/plant/test_breakers.py"
COOLANT = "tests/plant/test_coolant.py"
HYDRAULICS = "tests/plant/test_hydraulics.py"
POLICY = "tests/policy"
RULES = f"{POLICY}/test_rules_and_scores.py"
LADDER = f"{POLICY}/test_ladder.py"
FLOWS = f"{HYDRAULICS}::test_a_loop_of_unlike_racks_agrees_with_the_root_finder"


class Mutation(NamedTuple):
    name: str
    file: str  # below twin/
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS = (
    Mutation(
        "drop leakage",
        "plant/arrays.py",
        r'leak=tray\("leakage_watts_per_kelvin"\)',
        r'leak=0.0 * tray("leakage_watts_per_kelvin")',
        (POWERS, f"{TELLS}[load up]"),
    ),
    Mutation(
        "swap two branches' flows",
        "plant/pumps.py",
        r"flow\[c\.loop_idx\[lo \+ j\]\] = branch_flow\(",
        r"flow[c.loop_idx[lo + (j ^ 1 if j < n - n % 2 else j)]] = branch_flow(",
        (FLOWS, f"{TELLS}[a valve half shut]"),
    ),
    Mutation(
        "forget the breaker's cooling",
        "plant/breakers.py",
        r"return theta \* \(1\.0 - a \* zero\) \+ a \*",
        r"return theta + a *",
        (f"{BREAKERS}::test_memory_of_a_trip", f"{TELLS}[a feed that is lost trips the other; memory]"),
    ),
    Mutation(
        "forget a table breaker's recovery",
        "plant/breakers.py",
        r"return damage \+ damage \* expm1\(-seconds / tau\)",
        r"return damage",
        (f"{BREAKERS}::test_damage_adds_up_and_recovers", f"{TELLS}[damage by a table, and recovery]"),
    ),
    Mutation(
        "halve a heat capacity",
        "plant/arrays.py",
        r"_fill\(rack, classes, RACK_FIELDS\)",
        r'_fill(rack, classes, RACK_FIELDS); rack["cp"] *= 0.5',
        (f"{TELLS}[load up]", f"{TELLS}[loads in air]"),
    ),
    Mutation(
        "ignore recirculation",
        "plant/arrays.py",
        r'rack\["recirculation"\] = \[.*\]',
        r'rack["recirculation"] = 0.0',
        (f"{RESTS}[air]", f"{TELLS}[loads in air]"),
    ),
    Mutation(
        "use mean instead of RMS current",
        "plant/power.py",
        r"sqrt\(hottest\) \* d\.swell\[b\]",
        r"sqrt(hottest)",
        (f"{POWER}::test_one_gang_adds_deviations_and_two_add_variances",),
    ),
    Mutation(
        "lose one phase's share",
        "plant/power.py",
        r"for k in range\(3\):(\n +)angle =",
        r"for k in range(2):\1angle =",
        (f"{POWER}::test_balanced_load", POWERS),
    ),
    Mutation(
        "let flow reverse through a stopped pump",
        "plant/coolant.py",
        r"return sqrt\(lift / resistance\) if lift > 0\.0 else 0\.0",
        r"return sqrt(lift / resistance) if lift > 0.0 else -sqrt(-lift / resistance)",
        (f"{HYDRAULICS}::test_a_slow_pump_is_shut_by_a_fast_one", f"{COOLANT}::test_a_stopped_pump_lets_nothing_back"),
    ),
    Mutation(
        "plate resistance independent of flow",
        "plant/coolant.py",
        r"return max\(flow / nominal, floor\) \*\* FILM_EXPONENT / resistance",
        r"return 1.0 / resistance",
        (f"{COOLANT}::test_film_law", f"{TELLS}[a valve half shut]"),
    ),
    Mutation(
        "drop the film's floor",
        "plant/coolant.py",
        r"max\(flow / nominal, floor\) \*\* FILM_EXPONENT",
        r"max(flow / nominal, 0.0) ** FILM_EXPONENT",
        (f"{COOLANT}::test_film_law", f"{TELLS}[a valve shut for good]"),
    ),
    Mutation(
        "exchanger in parallel flow",
        "plant/coolant.py",
        r"e = exp\(-ntu \* \(1\.0 - capacity_ratio\)\)\n    return \(1\.0 - e\) / \(1\.0 - capacity_ratio \* e\)",
        r"return (1.0 - exp(-ntu * (1.0 + capacity_ratio))) / (1.0 + capacity_ratio)",
        (f"{COOLANT}::test_effectiveness_agrees_with_ht", f"{RESTS}[small]"),
    ),
    Mutation(
        "fouling forgotten",
        "plant/coolant.py",
        r"1\.0 / film2 \+ fouling\)",
        r"1.0 / film2)",
        (f"{COOLANT}::test_exchanger_agrees_with_ht_at_any_flow",),
    ),
    Mutation(
        "coolant of one viscosity",
        "plant/pumps.py",
        r"return pg25_viscosity\(temperature\) / pg25_viscosity\(REFERENCE_VISCOSITY_CELSIUS\)",
        r"return 1.0",
        (FLOWS, f"{TELLS}[supply set point, far]"),
    ),
    Mutation(
        "a branch's resistance ignores its valve",
        "plant/pumps.py",
        r"branch_valve / \(x \* x\)",
        r"branch_valve",
        (FLOWS, f"{TELLS}[a valve half shut]"),
    ),
    Mutation(
        "pump heat dropped",
        "plant/pumps.py",
        r"return lift \* total / c\.loop\[loop\]\.pump_eta",
        r"return 0.0 * lift * total / c.loop[loop].pump_eta",
        (f"{RESTS}[small]", f"{TELLS}[one pump lost]"),
    ),
    Mutation(
        "pumps stop at once",
        "plant/pumps.py",
        r"out\[k\] = -speeds\[k\] / c\.loop\[loop\]\.coast",
        r"out[k] = -10.0 * speeds[k] / c.loop[loop].coast",
        (f"{TELLS}[all pumps lost for nine seconds]",),
    ),
    Mutation(
        "hysteresis removed",
        "plant/hardware.py",
        r'level - part\["release"\]',
        r"level",
        (f"{TELLS}[throttled, then released]",),
    ),
    Mutation(
        "slowdown at full power",
        "plant/server.py",
        r"return min\(cap, max\(lowest, 1\.0 - per_kelvin \* \(temperature - release_level\)\)\)",
        r"return cap",
        (POWERS, f"{TELLS}[throttled, then released]"),
    ),
    Mutation(
        "cube of the clock forgotten",
        "plant/server.py",
        r"\(1\.0 - linear_share\) \* clock \* clock \* clock\)",
        r"(1.0 - linear_share) * clock)",
        (POWERS, f"{TELLS}[caps]"),
    ),
    Mutation(
        "a broken line goes on carrying",
        "plant/power.py",
        r"return weights\[0\] \* float\(a \* b\), weights\[1\] \* float\(b \* c\), weights\[2\] \* float\(c \* a\)",
        r"return weights[0], weights[1], weights[2]",
        (POWERS,),
    ),
    Mutation(
        "a weak pump at full speed",
        "plant/pumps.py",
        r"out\[k\] = \(u\.pump_health\[loop, k\] \* command - speeds\[k\]\)",
        r"out[k] = (command - speeds[k])",
        (f"{TELLS}[a filter clogs, a pump weakens]",),
    ),
    Mutation(
        "feed failover lost",
        "plant/power.py",
        r"d\.share\[r, f\] /= live",
        r"d.share[r, f] /= 2.0",
        (POWERS, f"{POWER}::test_a_lost_feed_doubles_the_survivor_at_once"),
    ),
    Mutation(
        "losses of a UPS with the wrong sign",
        "plant/arrays.py",
        r'node\["fixed"\], node\["battery"\] = topology\.node_fixed_loss,',
        r'node["fixed"], node["battery"] = -topology.node_fixed_loss,',
        (POWERS, f"{POWER}::test_losses_on_the_way_up"),
    ),
    Mutation(
        "currents turned the wrong way by the power factor",
        "plant/power.py",
        r"im = magnitude \* \(sin\(angle\) - reactive \* cos\(angle\)\)",
        r"im = magnitude * (sin(angle) + reactive * cos(angle))",
        (f"{POWER}::test_the_phasor_sum_delivers_the_power",),
    ),
    Mutation(
        "heat rejection without an end",
        "plant/facility.py",
        r"rejected >= capacity",
        r"rejected >= 1e30",
        (f"{TELLS}[heat rejection lost]",),
    ),
    Mutation(
        "believe readings however old",
        "policy/admission.py",
        r"    allowed &= np\.array\(\[ages\[factor\] for factor in factors\]\) <= greatest_age\n",
        "",
        (f"{RULES}::test_what_is_not_known_or_too_old_allows_nothing",),
    ),
    Mutation(
        "forget what was promised",
        "policy/aware.py",
        r"promised\[rack\] \+= trays \* asked\.steady_watts\[rack\]",
        "promised[rack] += 0.0",
        (f"{POLICY}/test_aware.py::test_a_burst_within_one_look_does_not_herd",),
    ),
    Mutation(
        "turn gangs away by half of what each rack bears",
        "policy/fit.py",
        r"np\.minimum\(fit, np\.floor\(bears\), out=fit\)",
        "np.minimum(fit, np.floor(0.5 * bears), out=fit)",
        (f"{POLICY}/test_aware.py::test_the_largest_gang_that_racks_take_together_is_taken",),
    ),
    Mutation(
        "tell a gang to be short of power that it could have",
        "policy/fit.py",
        r"float\(np\.fmin\.reduce\(np\.add\.reduce\(bears, axis=1\)\)\) \+ ROUNDING",
        "0.9 * float(np.fmin.reduce(np.add.reduce(bears, axis=1)))",
        (f"{POLICY}/test_aware.py::test_what_a_gang_is_short_of_is_told_by_rows_and_loops_not_rack_by_rack",),
    ),
    Mutation(
        "take another field's past for the inlet's",
        "policy/factors.py",
        r"shared, slice\(end, end := end \+ past\.values\.shape\[1\]\)",
        "shared, slice(0, end := past.values.shape[1])",
        (f"{POLICY}/test_factors.py::test_what_is_looked_through_together_tells_what_each_field_tells_by_itself",),
    ),
    Mutation(
        "bring a rack back as soon as it is cool",
        "policy/exclusion.py",
        r"back = out\[place\] & fit & \(time_seconds - since >= each\.dwell_seconds\)",
        "back = out[place] & fit",
        (f"{RULES}::test_a_rack_is_out_above_the_threshold_and_back_after_its_dwell_below_the_other",),
    ),
    Mutation(
        "take rungs without their dwell",
        "policy/ladder.py",
        r"due = fresh & \(held\.past >= table\.dwell_seconds\)",
        "due = fresh & (held.past >= 0.0)",
        (f"{LADDER}::test_59_seconds_fire_nothing_and_61_scale_back",),
    ),
    Mutation(
        "let inlet air of other racks into the mean of coolant",
        "policy/sensed.py",
        r'Means\(of_cooling\("rack_supply_temperature_celsius", True\), group, groups\)',
        'Means(signal("rack_supply_temperature_celsius"), group, groups)',
        (f"{POLICY}/test_shipped_ladder.py::test_means_of_coolant_leave_out_racks_that_have_none",),
    ),
    Mutation(
        "let a ladder rest however hot it gets",
        "sim/transducer.py",
        r" and lowest\[n\] <= shown <= highest\[n\]",
        "",
        ("tests/sim/test_response.py::test_a_ladder_that_is_only_glanced_at_is_as_one_that_is_stepped",),
    ),
    Mutation(
        "glance at devices as if all slowed down when frozen",
        "policy/resting.py",
        r", plus=facility\.rack_slowdown_celsius",
        "",
        (f"{POLICY}/test_resting.py::test_nothing_within_the_bounds_is_past_a_limit",),
    ),
    Mutation(
        "turn the sign of the judge's margin",
        "policy/judge.py",
        r"c\.p_above\(metric\.margin\)",
        "c.p_above(-metric.margin)",
        (
            f"{POLICY}/test_judge.py::test_harm_at_the_margin_is_neither_shown_nor_bounded",
            f"{POLICY}/test_judge.py::test_harm_far_above_the_margin_fails_with_the_smallest_p",
        ),
    ),
    Mutation(
        "leave the projection out of a rollout's decision",
        "policy/rollout.py",
        r"if seen\.projection == Standing\.FAIL:",
        "if False:",
        (f"{POLICY}/test_rollout.py::test_a_verdict_a_projection_and_a_failed_test_roll_back_at_once",),
    ),
    Mutation(
        "take heat of company for that of a release",
        "policy/rollout_signals.py",
        r"else min\(most, unsure\)",
        "else most",
        (
            f"{POLICY}/test_rollout_signals.py::"
            "test_witnesses_tell_and_the_others_are_believed_to_hold_and_not_to_take_back",
        ),
    ),
)

"""``twin bench``: what is asked, how a value is judged, and that every figure is computed. Nothing here is timed."""

import json
import sys
from dataclasses import replace
from functools import partial

import pytest

from twin.bench import catalogue, days, growth, kernel, startup
from twin.bench.audit import audit
from twin.bench.catalogue import MEASUREMENTS
from twin.bench.decisions import decisions
from twin.bench.figure import Asked, Measured, Verdict, gathered
from twin.bench.machine import machine
from twin.bench.process import ProcessError, Spent, said, spent, twin
from twin.cli.bench import main

SMALL = ("hall=small",)


# ---------------------------------------------------------------- what is asked


def test_what_is_asked_is_the_table_of_the_project():
    asked = {
        each.figure: (each.must, each.aim, each.unit) for m in MEASUREMENTS.values() for each in m.figures if each.must
    }
    assert asked == {
        "kernel, per tray and step": (10.0, 5.0, "ns"),
        "calm day, per tray and simulated second": (5.0, 1.0, "ns"),
        "exascale day, simulation": (5.0, 1.0, "s"),
        "exascale day, whole process": (9.0, 3.0, "s"),
        "exascale day, peak memory": (500.0, 300.0, "MB"),
        "thousand racks' day, whole process": (30.0, 10.0, "s"),
        "thousand racks' day, peak memory": (1_000.0, None, "MB"),
        "growth of a rack's cost, 64 to 4,096 racks": (20.0, 0.0, "%"),
        "16 seeds, speed-up of two workers": (1.7, 1.9, "×"),
        "twin --help": (0.5, 0.2, "s"),
        "import twin.policy, beyond NumPy": (0.05, 0.02, "s"),
        "1,000 racks scored": (200.0, None, "µs"),
        "placement of a job in one rack": (2.0, None, "ms"),
        "placement of a gang of 72 trays": (2.0, None, "ms"),
        "decision record appended": (150.0, None, "µs"),
        "a day under thermal_aware, over first_fit": (2.0, None, "×"),
        "a day under thermal_aware, whole process": (10.0, None, "s"),
        "a world of a study under thermal_aware, on one of two workers": (10.0, None, "s"),
        "30 days of the reference hall, peak memory": (1_000.0, None, "MB"),
    }


def test_an_aim_is_harder_than_a_must():
    for measurement in MEASUREMENTS.values():
        for asked in measurement.figures:
            if asked.aim is not None:
                assert asked.must is not None
                assert asked.aim > asked.must if asked.least else asked.aim < asked.must


@pytest.mark.parametrize(
    ("least", "value", "verdict"),
    [
        (False, 1.0, Verdict.AIM),
        (False, 1.1, Verdict.MUST),
        (False, 2.0, Verdict.MUST),
        (False, 2.1, Verdict.MISSED),
        (True, 2.0, Verdict.AIM),
        (True, 1.9, Verdict.MUST),
        (True, 0.9, Verdict.MISSED),
    ],
)
def test_a_value_is_judged_against_its_limits(least, value, verdict):
    must, aim = (1.0, 2.0) if least else (2.0, 1.0)
    asked = Asked("x", "s", must, aim, least)
    assert asked.verdict(value) is verdict
    assert asked.limit(must) == ("≥ 1 s" if least else "≤ 2 s")


def test_a_figure_without_limits_has_no_verdict():
    assert Asked("x", "s").verdict(1e9) is Verdict.NONE
    assert Asked("x", "s").limit(None) == ""


def test_the_median_of_the_runs_counts():
    both = gathered((Asked("a", "s", 4.0, 2.0), Asked("b", "MB")), [(1.0, 9.0), (100.0, 7.0), (3.0, 8.0)])
    assert [each.value for each in both] == [3.0, 8.0]
    assert both[0].plain() == {"figure": "a", "value": 3.0, "unit": "s", "must": 4.0, "aim": 2.0}
    assert both[0].verdict is Verdict.MUST


# ---------------------------------------------------------------- the measurements, at tiny sizes


def test_the_physics_is_measured():
    assert all(ns > 0.0 for (ns,) in kernel.kernel(2, hall="small", steps=3))
    assert all(ns > 0.0 for (ns,) in kernel.calm_day(2, hall="small", seconds=600.0))


def test_growth_is_the_larger_halls_cost_over_the_smaller_ones():
    for percent, few, many in growth.growth(2, small=8, large=16, minutes=2):
        assert percent == pytest.approx(100.0 * (many / few - 1.0))
        assert few > 0.0 and many > 0.0


def test_a_day_is_measured_as_a_process_of_which_the_simulation_is_a_part():
    took, simulated = days._run(SMALL, 0.02)
    assert 0.0 < simulated < took.wall_seconds
    assert 50.0 < took.peak_mebibytes < 5_000.0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The words of the processes that would have run; each takes 8 s divided by its workers, and 10 MB an hour."""
    words: list[tuple[str, ...]] = []

    def run(chosen, hours, environment=None):
        words.append((*chosen, f"hours={hours:g}"))
        return Spent(8.0, 10.0 * hours), 6.0

    def swept(*chosen, environment=None):
        words.append(chosen)
        return Spent(8.0 / int(next(word for word in chosen if "n_jobs" in word)[-1]), 100.0)

    monkeypatch.setattr(days, "_run", run)
    monkeypatch.setattr(days, "twin", swept)
    return words


def test_days_and_months_give_a_value_for_every_figure(told):
    assert days.exascale_day(2) == [(6.0, 8.0, 240.0)] * 2
    assert days.thousand_day(1) == [(8.0, 240.0, 6.0)]
    assert days.aware_day(1) == [(1.0, 8.0, 8.0, 8.0)]
    assert days.month(1) == [(7_200.0, 6_000.0)]
    assert (*days.EXASCALE, "hours=24") in told
    assert told[0] == (*days.EXASCALE, f"hours={days.WARM_HOURS:g}")  # warms the compile cache, and is not counted


def test_seeds_are_swept_with_one_worker_and_with_two(told):
    assert days.seeds_on_two_cores(1) == [(2.0, 8.0, 4.0)]
    one, two = told[1:]
    assert "hydra/launcher=joblib" in one and "seed=" + ",".join(map(str, range(16))) in one
    assert [word for word in two if "n_jobs" in word] == ["hydra.launcher.n_jobs=2"]


def test_a_world_of_a_study_costs_its_worker_its_part_of_the_whole(monkeypatch):
    asked = []

    def on_cores(workers):
        return lambda function, cases: iter([asked.append((workers, case)) or {"metrics": {}} for case in cases])

    clock = iter([0.0, 1.0, 10.0, 22.0])
    monkeypatch.setattr(days, "on_cores", on_cores)
    monkeypatch.setattr(days.time, "perf_counter", lambda: next(clock))
    assert days.study(1, SMALL, 0.5, worlds=6) == [(4.0, 12.0)]  # two at a time, six in 12 s
    assert [(workers, case.words, case.seed) for workers, case in asked[2:]] == [
        (2, (*SMALL, "hours=0.5"), seed) for seed in range(6)
    ]


def test_a_world_that_fails_is_told(monkeypatch):
    monkeypatch.setattr(days, "on_cores", lambda workers: lambda function, cases: ({"failed": ["oh"]} for _ in cases))
    with pytest.raises(ProcessError, match=r"hall=small hours=0\.02 seed=0: oh"):
        days.study(1, SMALL)


def test_the_audit_is_measured():
    assert all(value > 0.0 for values in audit(2, rows=2) for value in values)


def test_starting_up_is_measured():
    assert all(seconds > 0.0 for (seconds,) in startup.help_page(1))
    assert all(0.0 < alone < whole for alone, whole in startup.policy_import(1))


def test_decisions_are_timed_over_as_many_racks_as_asked():
    (values,) = decisions(1, racks=16)
    assert len(values) == len(MEASUREMENTS["decisions"].figures) and all(value > 0.0 for value in values)


def test_a_process_that_fails_is_told_with_its_last_words():
    with pytest.raises(ProcessError, match="no_such_hall"):
        twin("run", "hall=no_such_hall")
    with pytest.raises(ProcessError, match="ZeroDivisionError"):
        said("1 / 0")
    assert spent([sys.executable, "-c", "raise SystemExit(1)"], fine=(1,)).peak_mebibytes > 1.0


def test_the_machine_is_told():
    assert "cores, Python" in machine() and "numba" in machine()


# ---------------------------------------------------------------- the command


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch):
    """``measured(value)``: the kernel "takes" that many nanoseconds, and nothing else is there to measure."""

    def put(value: float) -> None:
        only = replace(MEASUREMENTS["kernel"], measure=lambda repeats: [(value,)] * repeats)
        monkeypatch.setattr(catalogue, "MEASUREMENTS", {"kernel": only})
        monkeypatch.setattr("twin.cli.bench.MEASUREMENTS", {"kernel": only})

    return put


def test_json_is_a_list_of_figures(measured, capsys):
    measured(7.0)
    assert main(["--json", "--repeats", "3"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == [
        {"figure": "kernel, per tray and step", "value": 7.0, "unit": "ns", "must": 10.0, "aim": 5.0}
    ]
    assert "cores" in err and "measuring kernel" in err


@pytest.mark.parametrize(
    ("value", "code", "verdict"), [(4.0, 0, "meets aim"), (7.0, 0, "meets must"), (11.0, 1, "misses")]
)
def test_a_missed_must_is_a_finding(measured, capsys, value, code, verdict):
    measured(value)
    assert main(["kernel"]) == code
    assert verdict in capsys.readouterr().out


def test_unknown_names_and_counts_are_refused_with_a_remedy(capsys):
    assert main(["kernal"]) == 3
    assert "kernel" in capsys.readouterr().err
    assert main(["--repeats", "0"]) == 3


def test_what_takes_long_runs_only_when_it_is_asked_for(monkeypatch, capsys):
    ran: list[str] = []

    def note(name: str, repeats: int) -> list[tuple[float, ...]]:
        ran.append(name)
        return [(0.0,) * len(MEASUREMENTS[name].figures)] * repeats

    table = {name: replace(each, measure=partial(note, name)) for name, each in MEASUREMENTS.items()}
    monkeypatch.setattr("twin.cli.bench.MEASUREMENTS", table)
    main(["--repeats", "1"])
    assert ran == [name for name in MEASUREMENTS if name != "month"]
    ran.clear()
    main(["month"])
    assert ran == ["month"]
    ran.clear()
    main(["--long", "--repeats", "1"])
    assert ran == list(MEASUREMENTS)
    capsys.readouterr()


def test_measured_values_keep_their_spread():
    assert Measured(Asked("x", "s"), (3.0, 1.0, 2.0)).value == 2.0

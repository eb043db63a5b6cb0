"""``twin capacity``: how many racks, how much power or how warm a coolant a hall bears at a stated risk, per policy."""

import argparse
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from twin.cli.complaints import FAULTS, complaint
from twin.cli.exits import Exit, refuse
from twin.cli.progress import progress
from twin.cli.run import top_keys
from twin.places import conf_dir
from twin.results.drawing import png, settle
from twin.results.rundir import RunError, plain, write_whole
from twin.setup.compose import compose_run
from twin.setup.naming import RESULTS, safe
from twin.setup.refusals import REFUSALS, sentences
from twin.studies.axes import AXES, present, searched
from twin.studies.capacity import RISKS, Capacity, Limits, Plan, gain, search, table
from twin.studies.capacity_pages import gain_sentence, risk_figure, sentence, shown
from twin.studies.ledger import Case, Ledger, Record, run_cases
from twin.studies.work import on_cores

ABOUT = """
Find the largest number of racks, power of a rack or coolant temperature at which a hall stays within limits, policy by
policy. The plant stays as it was built: breakers, CDUs, air and water of the hall as its file has it.

Values are searched by bisection. Each is run with the same seeds until the share of runs that break a limit (a trip,
throttling, latency misses) is shown to be below or above the risk that is allowed, by exact intervals; what the runs
cannot tell stays open. Runs are kept in DIR/runs.jsonl: the same command goes on where it was stopped.
"""
EXAMPLES = """
examples:
  twin capacity hall=reference workload=heavy hours=4 policy=first_fit,thermal_aware
  twin capacity axis=supply_temperature hall=small hours=1 --quick
  twin capacity axis=power_limit policy=thermal_aware --risk 0.05 --throttled 0.01
  twin capacity hall=mixed axis=supply_temperature --low 30 --high 50 --json

exit codes: 0 fine, 2 could not tell (a policy's capacity stayed open at both ends), 3 input refused, 130 interrupted
"""
POLICIES = "first_fit,thermal_aware"
MONTE_CARLO = ("tolerances=default",)  # devices that differ from each other
QUICK_LOOKS, LOOKS = (6, 20, 40), (10, 45, 80)
QUICK_RISK, RISK = 0.2, 0.1


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="twin capacity", description=ABOUT, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "words", nargs="*", metavar="KEY=VALUE",
        help=f"axis={'|'.join(AXES)} (default racks), policy=A,B (default {POLICIES}), out=DIR, "
        "and what twin run takes",
    )  # fmt: skip
    made.add_argument("--risk", type=float, help=f"share of runs that may break a limit (default {RISK})")
    made.add_argument(
        "--throttled", type=float, default=Limits.throttled, metavar="SHARE",
        help="throttled over delivered GPU-seconds that a run may have (default %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--latency", type=float, default=Limits.latency, metavar="SHARE",
        help="latency misses over requests that a run may have (default %(default)s)",
    )  # fmt: skip
    made.add_argument("--low", type=float, help="lowest value to search, in the axis's unit")
    made.add_argument("--high", type=float, help="highest value to search")
    made.add_argument("--quick", action="store_true", help=f"fewer runs, at a risk of {QUICK_RISK}")
    made.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    made.add_argument("--json", action="store_true", help="print what was found as JSON")
    return made


def main(argv: list[str]) -> int:
    """Search the capacity of a hall. Returns an exit code."""
    asked = parser().parse_intermixed_args(argv)
    given = {key: value for key, _, value in (word.partition("=") for word in asked.words)}
    axis = given.get("axis", "racks")
    policies = given.get("policy", POLICIES).split(",")
    words = [word for word in asked.words if word.partition("=")[0] not in ("axis", "policy", "out", "seed")]
    faults = _faults(asked, axis, given)
    if faults:
        return refuse(faults)
    try:
        plan = _plan(asked, axis, [*MONTE_CARLO, *words], policies, int(given.get("seed", 0)))
        name = "-".join(["capacity", axis, *(safe(word.partition("=")[2]) for word in words)])
        folder = Path(given.get("out") or Path(RESULTS) / name)
        ledger = Ledger(folder / "runs.jsonl")
        found = _search(plan, policies, ledger, asked.workers)
        written = _write(folder, plan, found)
    except FAULTS as error:
        return refuse([str(complaint(error, top_keys(conf_dir()), argv))])
    except REFUSALS as error:
        return refuse(sentences(error))
    gains = [gain(plan, later, found[0]) for later in found[1:]]
    if asked.json:
        told = {
            "axis": axis,
            "unit": AXES[axis].unit,
            "present": plan.own,
            "risk": plan.limits.risk,
            "policies": [{"policy": each.policy, "safe": each.safe, "unsafe": each.unsafe} for each in found],
            "gains": [vars(each) for each in gains],
            "points": table(plan, found).to_dict("records"),
        }
        print(json.dumps(plain(told), indent=2, ensure_ascii=False))
    else:
        show(plan, found)
        for each in gains:
            print(gain_sentence(plan, each))
        print("written: " + ", ".join(str(path) for path in written))
    if not any(point.runs for each in found for point in each.points):
        return refuse(dict.fromkeys(line for each in found for line in each.refusals))
    open_ends = any(math.isnan(each.safe) and math.isnan(each.unsafe) for each in found)
    return Exit.UNTOLD if open_ends else Exit.FINE


def _faults(asked: argparse.Namespace, axis: str, given: Mapping[str, str]) -> list[str]:
    faults = [f"command line: '{word}': write KEY=VALUE" for word in asked.words if "=" not in word]
    if axis not in AXES:
        faults.append(f"command line: axis={axis}: there is none of that name; choose {', '.join(AXES)}")
    for name in ("risk", "throttled", "latency"):
        value = getattr(asked, name)
        if value is not None and not 0.0 < value < 1.0:
            faults.append(f"command line: --{name} {value:g}: give a share between 0 and 1, such as 0.1")
    if asked.workers < 1:
        faults.append(f"command line: --workers {asked.workers}: give 1 or more")
    if not given.get("seed", "0").isdecimal():
        faults.append(f"command line: seed={given['seed']}: give the first seed, a whole number; the others follow it")
    return faults


def _plan(asked: argparse.Namespace, axis: str, words: Sequence[str], policies: Sequence[str], seed: int) -> Plan:
    """What is searched; every policy is composed once, so that faults are told before anything runs."""
    for policy in policies:
        composed = compose_run([*words, f"policy={policy}"])
        composed.parts()
    own = present(composed.configuration.hall, axis)
    values = searched(axis, own, asked.low, asked.high)
    if len(values) < 2:
        step = f"{AXES[axis].step:g} {AXES[axis].unit}"
        raise RunError(f"command line: --low, --high: there are no two values between them in steps of {step}")
    risk = asked.risk if asked.risk is not None else QUICK_RISK if asked.quick else RISK
    limits = Limits(risk, asked.throttled, asked.latency)
    looks = QUICK_LOOKS if asked.quick else LOOKS
    return Plan(tuple(words), axis, tuple(values), own, limits, _enough(looks, risk), first_seed=seed)


def _enough(looks: tuple[int, ...], risk: float) -> tuple[int, ...]:
    """Looks whose last can show a point safe at all: with no run of n that breaks a limit, (1 − risk)^n has to be below
    the chance of error of a look."""
    least = math.ceil(math.log(0.05 / len(looks)) / math.log1p(-risk))
    return looks if looks[-1] >= least else (*looks[:-1], least)


def _search(plan: Plan, policies: Sequence[str], ledger: Ledger, workers: int) -> list[Capacity]:
    mapped = on_cores(workers)
    bound = len(policies) * plan.most * (2 + 2 * math.ceil(math.log2(len(plan.values))))
    done = 0
    with progress("capacity", bound, _at_most) as moved:

        def run(cases: Iterable[Case]) -> dict[Case, Record]:
            nonlocal done
            wanted = list(cases)
            before = done
            records = run_cases(wanted, ledger, mapped, lambda count: moved(before + count))
            done += len(wanted)
            return records

        found = [search(plan, policy, run) for policy in policies]
        moved(bound)
    return found


def _at_most(reached: float, total: float) -> str:
    return f"{reached:,.0f} runs of at most {total:,.0f}"


def _write(folder: Path, plan: Plan, found: Sequence[Capacity]) -> list[Path]:
    frame = table(plan, found)
    write_whole(folder / "capacity.csv", frame.to_csv(index=False, lineterminator="\n").encode())
    figure = risk_figure(plan, found)
    settle(figure)
    png(figure, folder / "capacity.png")
    return [folder / "capacity.csv", folder / "capacity.png"]


def show(plan: Plan, found: Sequence[Capacity]) -> None:
    """Print every point of the search, and what each policy bears."""
    axis = AXES[plan.axis]
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(120, console.width)
    title = (
        f"{axis.name}: the hall has {plan.own:g} {axis.unit}; at most {plan.limits.risk:.0%} of runs may break a limit"
    )
    lines = Table(title=title, title_justify="left")
    for name in ("policy", axis.unit, "runs", *(f"with {risk}" for risk in RISKS), "GPU-h delivered", "shown"):
        lines.add_column(name, justify="left" if name in ("policy", "shown") else "right")
    for capacity in found:
        for point in capacity.points:
            shares = []
            for index in range(len(RISKS)):
                if not point.runs:
                    shares.append("–")
                    continue
                share = point.interval(index, plan.level)
                shares.append(f"{share.estimate:.0%} ({share.low:.0%}–{share.high:.0%})")
            delivered = "–" if not point.runs else f"{point.delivered_gpu_seconds / 3600:,.0f}"
            lines.add_row(capacity.policy, shown(point.value), str(point.runs), *shares, delivered, point.verdict.value)
        lines.add_section()
    console.print(lines)
    for capacity in found:
        console.print(sentence(plan, capacity), markup=False)

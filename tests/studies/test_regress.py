"""``twin regress`` from the command line to its files, on incidents made by hand, and one short simulated world."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.studies.conftest import COOL, WARM
from twin.cli.regress import main
from twin.hall.errors import HallError
from twin.places import conf_dir
from twin.policy.headroom import Permitted, ground, headroom
from twin.policy.protocol import JobRequest
from twin.policy.snapshot import Quality
from twin.studies.regress.corpus import record
from twin.studies.regress.formulas import load, of_mapping
from twin.studies.regress.harm import FLOW, PROTECTIVE, Weighing, _unknown, ahead
from twin.studies.regress.judgement import Outcome, judge
from twin.studies.regress.mutations import MUTATIONS, harmless, mutated
from twin.studies.regress.reading import read_incident
from twin.studies.regress.replay import replay
from twin.studies.regress.settings import read_settings
from twin.studies.regress.told import as_plain, junit, markdown
from twin.studies.regress.trust import kill_rate
from twin.studies.regress.worlds import Pair, World, run_world
from twin.studies.work import one_by_one

SHIPPED = conf_dir() / "policy" / "score" / "default.yaml"


def shipped() -> dict:
    return yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))


@pytest.fixture
def blind(tmp_path: Path) -> Path:
    """A formula that likes warm coolant."""
    formula = shipped()
    for terms in formula["classes"].values():
        for term in terms:
            if term["factor"] == "inlet_celsius":
                term["worst"], term["best"] = term["best"], term["worst"]
    path = tmp_path / "blind.yaml"
    path.write_text(yaml.safe_dump(formula), encoding="utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    told = capsys.readouterr()
    return code, told.out, told.err


# ---------------------------------------------------------------- the whole way


def test_a_formula_that_likes_warm_racks_is_a_regression(blind, warm_incident, settings_file, tmp_path, capsys) -> None:
    files = tmp_path / "out"
    code, out, _ = run(
        capsys, "--candidate", blind, "--incidents", warm_incident, "--settings", settings_file, "--workers", 1,
        "--cache", tmp_path / "kept", "--json", "--junit", files / "j.xml", "--markdown", files / "s.md",
    )  # fmt: skip
    assert code == 1
    told = json.loads(out)
    assert told["outcome"] == "worse"
    bad = next(each for each in told["findings"] if each["guard"] == "bad" and each["group"] == "all")
    # by hand: row B is well and has room at every look, so that every tray on row A counts
    assert (bad["baseline"], bad["candidate"], bad["outcome"]) == (0.0, 1000.0, "worse")
    flip = told["flips"][0]
    assert flip["baseline"].startswith(COOL) and flip["candidate"].startswith(WARM) and flip["what"] == "slowed"
    inlet = next(part for part in flip["factors"] if part["factor"] == "inlet_celsius")
    # inference: weight 0.2 of 1, 44 against 38 °C of a span of 15 K
    assert inlet["baseline_gain"] == pytest.approx(-0.2 * 6.0 / 15.0)
    assert inlet["candidate_gain"] == pytest.approx(0.2 * 6.0 / 15.0)
    suites = ElementTree.parse(files / "j.xml").getroot()
    failed = {case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None}
    assert failed == {"bad"} and int(suites.get("failures")) == 2  # over everything and in the incident
    summary = (files / "s.md").read_text(encoding="utf-8")
    assert "## Score formula: regression" in summary and "inlet_celsius" in summary and "| warm row |" in summary


def test_the_same_formula_passes_at_once(settings_file, tmp_path, capsys) -> None:
    code, out, _ = run(capsys, "--candidate", SHIPPED, "--settings", settings_file, "--cache", tmp_path / "kept")
    assert code == 0 and "the two formulas are the same" in out
    assert not (tmp_path / "kept").exists()


def test_too_little_to_tell_by(blind, warm_incident, settings_file, tmp_path, capsys) -> None:
    """All looks in one block are one world, which proves nothing."""
    text = settings_file.read_text().replace("block_minutes: 5", "block_minutes: 600")
    settings_file.write_text(text)
    code, out, _ = run(
        capsys, "--candidate", blind, "--incidents", warm_incident, "--settings", settings_file, "--workers", 1,
        "--cache", tmp_path / "kept",
    )  # fmt: skip
    assert code == 2 and out.startswith("could not tell: not settled: bad (+1000 per 1,000 trays, tolerance 15)")


@pytest.mark.parametrize("fast", [True, False])
def test_an_incident_of_which_no_decision_has_a_future_clears_nobody(
    fast, blind, warm_incident, settings_file, tmp_path, monkeypatch
) -> None:
    settings, both = read_settings(settings_file), (load("baseline"), load(str(blind)))
    settings = replace(
        settings,
        decisions=replace(settings.decisions, ahead_minutes=6_000.0),
        worlds=replace(settings.worlds, looks=(10,), stories=("calm",)),
    )
    quiet = {"breaker_trips_total": 0.0}
    monkeypatch.setattr(
        "twin.studies.regress.judgement.run_world", lambda world: Pair(world.story, world.seed, quiet, quiet, 1, 0, "")
    )
    found = judge(both, settings, kept=tmp_path / "kept", incidents=[warm_incident], fast=fast)
    assert (found.outcome, found.decisions) == (Outcome.UNTOLD, 0)
    assert found.why == "no decision had its future recorded"
    if not fast:  # worlds alone clear a candidate where no recording was asked for
        assert judge(both, settings, kept=tmp_path / "kept").outcome is Outcome.FINE


def test_a_study_of_the_judgement_tells_how_many_changes_it_has_judged(settings_file, tmp_path, capsys) -> None:
    """Without a recording nothing can be told of any change, and what is named is not caught."""
    moved: list[float] = []
    rows = kill_rate(
        load("baseline"), read_settings(settings_file), kept=tmp_path, mapped=one_by_one, moved=moved.append, fast=True,
        number=2,
    )  # fmt: skip
    assert [row.outcome for row in rows] == ["untold", "untold"] and moved == [0, 1, 2]
    words = ("--study", "mutations", "--number", 2, "--fast", "--settings", settings_file, "--workers", 1)
    code, out, _ = run(capsys, *words, "--cache", tmp_path)
    assert code == 1 and "2 judged: 2 untold" in out


def test_harmless_changes_pass(warm_incident, settings_file, tmp_path) -> None:
    settings, baseline = read_settings(settings_file), load("baseline")
    for seed in range(5):
        both = baseline, harmless(baseline, seed)
        found = judge(both, settings, kept=tmp_path / "kept", incidents=[warm_incident], fast=True)
        assert found.outcome is Outcome.FINE, (seed, found.why)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--candidate: missing"),
        (["--candidate", "nowhere.yaml"], "'nowhere.yaml': there is no file nowhere.yaml in ."),
        (["--candidate", "no.such.module:build"], "cannot be loaded (ModuleNotFoundError"),
        (["--candidate", "json:dumps"], "--candidate = 'json:dumps'"),
        (["--candidate", str(SHIPPED), "--incidents", "/"], "neither an incident"),
        (["--candidate", str(SHIPPED), "--workers", "0"], "--workers = 0"),
        (["--candidate", str(SHIPPED), "out=x"], "'out=DIR' goes with --record RUN"),
        (["--record", "/nowhere", "out=x"], "/nowhere"),
    ],
)
def test_what_cannot_be_judged_is_refused(words, said, settings_file, tmp_path, capsys) -> None:
    code, _, err = run(capsys, *words, "--settings", settings_file, "--cache", tmp_path / "kept")
    assert code == 3 and said in err


def test_a_faulty_formula_is_told_by_key_and_remedy(tmp_path) -> None:
    formula = shipped()
    formula["classes"]["default"][0] |= {"factor": "inlet_celsus", "best": 0.0}
    path = tmp_path / "faulty.yaml"
    path.write_text(yaml.safe_dump(formula), encoding="utf-8")
    with pytest.raises(HallError) as refused:
        load(str(path))
    told = str(refused.value)
    assert f"{path}: classes.default.terms[0].factor" in told and "Did you mean 'inlet_celsius'?" in told
    assert "equal to worst" in told


# ---------------------------------------------------------------- formulas in code


CODE = """
import numpy as np
from twin.policy.score import Scores, read_formula
from twin.policy.documents import DocumentFaults
import yaml

def build():
    return yaml.safe_load(open({path!r}))

def formula():
    return read_formula(build(), "", DocumentFaults())

def coolest(kind, values, ages):
    celsius = values["inlet_celsius"]
    known = np.isfinite(celsius) & (ages["inlet_celsius"] <= 60.0)
    score = np.where(known, np.clip((60.0 - celsius) / 40.0, 0.0, 1.0), 0.0).round(6)
    return Scores(score, known.astype(float), score[None, :])

def failing(kind, values, ages):
    raise RuntimeError("not today")
"""


def test_formulas_in_code(tmp_path, monkeypatch) -> None:
    (tmp_path / "scores_in_code.py").write_text(CODE.format(path=str(SHIPPED)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    baseline = load("baseline")
    assert load("scores_in_code:build").digest == baseline.digest
    assert load("scores_in_code:formula").rating == baseline.rating
    coolest = load("scores_in_code:coolest")
    values = {"inlet_celsius": np.array([40.0, 20.0, np.nan])}
    found = coolest.rating.rate("batch", values, {"inlet_celsius": np.array([0.0, 0.0, 0.0])})
    assert found.score.tolist() == [0.5, 1.0, 0.0]
    with pytest.raises(HallError, match="raised RuntimeError: not today"):
        load("scores_in_code:failing")


# ---------------------------------------------------------------- what makes a decision bad


def test_nobody_is_blamed_where_every_rack_goes_bad(warm_incident, settings_file) -> None:
    decisions = read_settings(settings_file).decisions
    incident = read_incident(warm_incident)
    time, asked = next(incident.together())
    request, room = asked[0].request, None
    seen = ahead(incident, time, decisions)
    assert seen.what == {place: "slowed" for place in range(4)}
    for bad, blamed in ((seen.bad, 2.0), (np.ones_like(seen.bad), 0.0)):
        weighing = Weighing(replace(seen, bad=bad))
        room = weighing.room(np.zeros(8))
        free = seen.snapshot.rack_free_trays
        assert weighing.weigh(request, (("A-01", 2),), free, room).trays["bad"] == blamed
        assert weighing.weigh(request, (("B-01", 2),), free, room).trays["bad"] == 0.0
    cool = np.arange(8) >= 4
    for closed in ("rack_production", "rack_admitting"):  # nor where the good racks take no work
        shut = Weighing(replace(seen, snapshot=replace(seen.snapshot, **{closed: ~cool})))
        assert shut.weigh(request, (("A-01", 2),), free, room).trays["bad"] == 0.0, closed
    none = np.where(np.arange(8) < 4, free, 0)  # row B is full: there was nowhere else to go
    assert Weighing(seen).weigh(request, (("A-01", 2),), none, room).trays["bad"] == 0.0


def test_waiting_counts_only_where_a_good_rack_had_room(warm_incident, settings_file) -> None:
    decisions = read_settings(settings_file).decisions
    incident = read_incident(warm_incident)
    time, asked = next(incident.together())
    weighing = Weighing(ahead(incident, time, decisions))
    room, free = weighing.room(np.zeros(8)), weighing.seen.snapshot.rack_free_trays
    request = asked[0].request
    assert weighing.weigh(request, (), free, room).trays["waited"] == 2.0
    assert weighing.weigh(request, (), np.where(np.arange(8) < 4, free, 0), room).trays["waited"] == 0.0


def test_a_margin_by_hand(warm_incident, settings_file) -> None:
    """A rack is tight when what is left after the work is less than a tenth of its nameplate."""
    decisions = read_settings(settings_file).decisions
    incident = read_incident(warm_incident)
    time, _ = next(incident.together())
    weighing = Weighing(ahead(incident, time, decisions))
    snapshot = weighing.seen.snapshot
    left = headroom(ground(snapshot, incident.facility, Permitted()), np.zeros(8)).sustained_watts
    each = (5_000.0 - 1_500.0) * 1.03
    for promised, tight in ((0.0, 0.0), (float(left[0]) - 2 * each - 13_000.0, 2.0)):
        watts = np.zeros(8)
        watts[0] = promised
        request = JobRequest("x", "inference", 2, True, 0, 5_000.0)
        harm = weighing.weigh(request, (("A-01", 2),), snapshot.rack_free_trays, weighing.room(watts))
        assert harm.trays["tight"] == tight


def test_who_takes_a_rack_beside_a_hot_one_is_told_by_hand(warm_incident, settings_file, monkeypatch) -> None:
    """A-02 will draw three quarters of its nameplate: A-01 and A-03 are beside it, and it is beside nobody like it."""
    decisions = read_settings(settings_file).decisions
    incident = read_incident(warm_incident)
    time, asked = next(incident.together())
    request = asked[0].request
    watts = np.full(8, 0.5 * 132_000.0)
    watts[[1, 6]] = 0.75 * 132_000.0, np.nan  # of one that was not measured nothing is said
    monkeypatch.setattr(type(incident), "coming_power_watts", lambda *_: watts)
    seen = replace(ahead(incident, time, decisions), bad=np.zeros(8, dtype=bool))
    assert [name for name, so in zip(seen.snapshot.rack_names, seen.crowded, strict=True) if so] == ["A-01", "A-03"]

    def blamed(rack: str, **changes: object) -> float:
        weighing = Weighing(replace(seen, **changes))
        free = seen.snapshot.rack_free_trays
        return weighing.weigh(request, ((rack, 2),), free, weighing.room(np.zeros(8))).trays["crowded"]

    assert {rack: blamed(rack) for rack in seen.snapshot.rack_names} == {
        "A-01": 2.0, "A-02": 0.0, "A-03": 2.0, "A-04": 0.0, "B-01": 0.0, "B-02": 0.0, "B-03": 0.0, "B-04": 0.0,
    }  # fmt: skip
    assert blamed("A-01", crowded=np.ones(8, dtype=bool)) == 0.0  # there was nowhere else to go
    assert blamed("A-01", unknown=~seen.crowded) == 0.0  # or nowhere that was known


def test_what_is_not_known_of_a_rack_is_told_by_hand(warm_incident, settings_file) -> None:
    """A protective reading that is lost, stale, or older than 60 s; of flow only where there is coolant."""
    incident = read_incident(warm_incident)
    time, asked = next(incident.together())
    seen = ahead(incident, time, read_settings(settings_file).decisions)
    names = [*PROTECTIVE, FLOW, "rack_valve_ratio"]
    age, quality = {name: np.full(8, 60.0) for name in names}, {name: np.zeros(8, dtype=np.int8) for name in names}
    for place, name in enumerate(PROTECTIVE):
        age[name][place] = 60.5
    quality[FLOW][3:5] = Quality.MISSING
    quality["rack_power_watts"][5:8] = Quality.STALE, Quality.MISSING, Quality.OUT_OF_RANGE
    quality["rack_valve_ratio"][7], age["rack_valve_ratio"][7] = Quality.MISSING, 900.0  # protects nothing
    loop = seen.snapshot.rack_loop.copy()
    loop[4] = -1  # cooled by air
    snapshot = replace(seen.snapshot, ages=age, qualities=quality, rack_loop=loop)
    unknown = _unknown(snapshot, 60.0)
    assert unknown.tolist() == [True, True, True, True, False, True, True, False]

    def blamed(rack: str, free: np.ndarray) -> float:
        weighing = Weighing(replace(seen, bad=np.zeros(8, dtype=bool), unknown=unknown))
        room = weighing.room(np.zeros(8))
        return weighing.weigh(asked[0].request, ((rack, 2),), free, room).trays["unknown"]

    free = seen.snapshot.rack_free_trays
    assert (blamed("A-01", free), blamed("B-04", free)) == (2.0, 0.0)
    assert blamed("A-01", np.where(unknown, free, 0)) == 0.0  # no rack that was known had room


def test_blocks_and_the_end_of_a_recording(warm_incident, settings_file) -> None:
    decisions = read_settings(settings_file).decisions
    incident = read_incident(warm_incident)
    baseline = load("baseline")
    candidate = mutated(baseline, next(each for each in MUTATIONS if "inlet temperature flipped" in each.name))
    assert candidate is not None
    whole = replay(incident, "g", baseline, [candidate, baseline], decisions, blocks=False)
    by_block = replay(incident, "g", baseline, [candidate, baseline], decisions, blocks=True)
    assert [len(each.tallies) for each in whole] == [1, 1] and len(by_block[0].tallies) == 24
    assert sum(each.decisions for each in by_block[0].tallies) == whole[0].tallies[0].decisions == 24
    assert whole[0].tallies[0].flips == len(whole[0].flips) == 24 and whole[1].tallies[0].flips == 0
    later = replace(decisions, ahead_minutes=60.0)  # the last half hour has no hour after it
    assert replay(incident, "g", baseline, [baseline], later, blocks=False)[0].tallies[0].decisions < 24


def test_five_mutations_are_named_and_all_change_something() -> None:
    baseline = load("baseline")
    assert len(MUTATIONS) >= 20 and sum(each.named for each in MUTATIONS) == 5
    digests = {made.digest for each in MUTATIONS if (made := mutated(baseline, each)) is not None}
    assert len(digests) == len(MUTATIONS)
    assert baseline.digest not in digests


# ---------------------------------------------------------------- worlds


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


def test_a_pair_of_runs_and_its_memory(kept, monkeypatch) -> None:
    baseline = load("baseline")
    turned = mutated(baseline, MUTATIONS[0])
    assert turned is not None
    world = World("calm", 1, 0.1, baseline.portable, turned.portable, str(kept))
    first = run_world(world)
    assert first.flips > 0 and first.first and first.baseline.keys() == first.candidate.keys()
    monkeypatch.setattr("twin.studies.regress.worlds.simulate", None)  # nothing is run again
    assert run_world(world) == first
    again = of_mapping(baseline.mapping, "the same by another name")
    with pytest.raises(TypeError):
        run_world(replace(world, candidate=again.portable))  # a pair that was not run


def test_a_recording_is_made_once_and_is_the_same_again(kept, tmp_path, settings_file, monkeypatch) -> None:
    decisions = replace(read_settings(settings_file).decisions, hours=0.15, requests=read_settings().decisions.requests)
    folder = record(kept, "calm", 3, decisions)
    again = record(tmp_path / "elsewhere", "calm", 3, decisions)
    for path in sorted(folder.iterdir()):
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    monkeypatch.setattr("twin.studies.regress.corpus.simulate", None)
    assert record(kept, "calm", 3, decisions) == folder
    incident = read_incident(folder)
    assert {each.request.kind for each in incident.asked} >= {"training", "inference", "batch"}


# ---------------------------------------------------------------- told


def test_told_with_odd_names(blind, warm_incident, settings_file, tmp_path) -> None:
    """Names from outside cannot break a table or the XML."""
    baseline = load("baseline")
    candidate = of_mapping(load(str(blind)).mapping, 'odd | <name> & "more"')
    found = judge((baseline, candidate), read_settings(settings_file), kept=tmp_path, incidents=[warm_incident])
    odd = replace(found, groups=(("a|b <c>", 1, 1),), flips=(replace(found.flips[0], request="<x>|y"),))
    ElementTree.fromstring(junit(odd))
    assert "a\\|b <c>" in markdown(odd)
    json.dumps(as_plain(odd), allow_nan=False)

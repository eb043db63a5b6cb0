"""What the finding says, and does not say, of tables made by hand; and the counts that settings take."""

import math
from pathlib import Path

import pandas as pd
import pytest
import yaml

from twin.cli import canary
from twin.hall.errors import HallError
from twin.studies.canary.settings import read_settings, shipped
from twin.studies.canary.summary import conclusion

PAIR = {
    "difference": 0.1, "difference_low": 0.01, "difference_high": 0.2, "only_this_right": 9, "only_random_right": 2,
    "mcnemar_p": 0.02, "mcnemar_p_adjusted": 0.12,
}  # fmt: skip


def row(name: str, accuracy: float, **more: float) -> dict[str, object]:
    return {"strategy": name, "balanced_accuracy": accuracy, **more}


def test_what_is_not_finite_is_left_out_and_too_little_is_told():
    table = pd.DataFrame([row("random", 0.7), row("stress", math.nan, **PAIR)])
    assert conclusion(table)[0].startswith("Best of 1: random, balanced accuracy 0.70")
    (said,) = conclusion(pd.DataFrame([row("stress", math.nan), row("coolest", math.nan)]))
    assert said.startswith("Too few good or too few bad builds to tell")


def test_nothing_is_said_of_random_where_it_was_not_tried():
    said = " ".join(conclusion(pd.DataFrame([row("stress", 0.8), row("coolest", 0.7)])))
    assert said == "Best of 2: stress, balanced accuracy 0.80: below 0.9."


def test_random_as_the_best_is_said():
    said = conclusion(pd.DataFrame([row("random", 0.8), row("stress", 0.7, **PAIR)]))
    assert said[1] == "No strategy tells the truth more often than canaries at random."


@pytest.mark.parametrize(("adjusted", "ending"), [(0.12, "zero is not excluded."), (0.05, "zero is excluded.")])
def test_apart_is_by_the_adjusted_test(adjusted, ending):
    table = pd.DataFrame([row("random", 0.7), row("stress", 0.8, **{**PAIR, "mcnemar_p_adjusted": adjusted})])
    assert conclusion(table)[1].endswith(f": {ending}")


def test_a_first_look_has_few_releases_unless_more_are_asked_for(monkeypatch, tmp_path):
    study = read_settings(shipped(), {}).quick()
    assert (study.no_effect.runs, study.no_effect.harmed) == (60, 20)
    held = []
    monkeypatch.setattr(canary, "hold_to_word", lambda study, *_: held.append(study.no_effect) or 0)
    monkeypatch.setattr(canary, "check_worlds", lambda study: None)
    assert canary.main(["--aa", "--quick", "runs=300", f"out={tmp_path}"]) == 0
    assert [(each.runs, each.harmed) for each in held] == [(300, 20)]


@pytest.mark.parametrize(("key", "name"), [("truth", "batches"), ("no_effect", "runs"), ("no_effect", "harmed")])
def test_counts_are_whole(key, name):
    whole = yaml.safe_load(Path(shipped()).read_text(encoding="utf-8"))
    with pytest.raises(HallError, match="not a whole number"):
        read_settings(shipped(), {key: {**whole[key], name: 2.5}})

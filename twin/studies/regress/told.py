"""What a judgement is told as: Markdown for a pull request, JUnit XML for a build, plain values for a script."""

import math
from dataclasses import asdict
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from twin.results.rundir import plain
from twin.results.wording import cell
from twin.studies.regress.evidence import ALL, Finding
from twin.studies.regress.judgement import DECISIONS, Judgement, Outcome, what_of
from twin.studies.regress.replay import Flip, Part

SHOWN_PARTS = 4
ROUNDING = 1e-6  # of any measure: a tolerance is a thousand times that
LEAST_GAIN = 5e-4  # of a score, below which a factor says nothing


def markdown(judgement: Judgement) -> str:
    """A summary for a pull request: the verdict, what got worse where and by how much, and the worst decisions."""
    return _rendered("summary.md.jinja", judgement)


def junit(judgement: Judgement) -> str:
    """JUnit XML: a test case for every guard in every group; what cannot be told is skipped with its reason."""
    return _rendered("junit.xml.jinja", judgement)


def as_plain(judgement: Judgement) -> dict[str, Any]:
    """The judgement as a script reads it."""
    found = asdict(judgement)
    found["outcome"] = judgement.outcome.name.lower()
    found["sentence"] = f"{judgement.outcome}: {judgement.why}"
    found["findings"] = [{**asdict(each), "outcome": each.word} for each in judgement.findings]
    found["groups"] = [
        {"group": group, "decisions": decisions, "flips": flips} for group, decisions, flips in judgement.groups
    ]
    made = plain(found)
    assert isinstance(made, dict)
    return made


def _rendered(template: str, judgement: Judgement) -> str:
    environment = Environment(
        loader=PackageLoader("twin.studies.regress"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=template.endswith(".xml.jinja"),
        keep_trailing_newline=True,
    )
    environment.filters |= {"figure": figure, "clock": clock, "cell": cell, "what": what_of, "unprintable": printable}
    by_group = [
        (group, [each for each in judgement.findings if each.group == group])
        for group in dict.fromkeys(each.group for each in judgement.findings)
    ]
    return environment.get_template(template).render(
        judgement=judgement,
        overall=[each for each in judgement.findings if each.group == ALL],
        worse=judgement.worse,
        by_group=by_group,
        failed=len(judgement.worse),
        skipped=len(untold(judgement)),
        untold=untold(judgement),
        Outcome=Outcome,
        DECISIONS=DECISIONS,
        ALL=ALL,
        explained=explained,
    )


def untold(judgement: Judgement) -> list[Finding]:
    """Guards over everything that are neither worse nor cleared; a single story needs no clearance of its own."""
    return [each for each in judgement.findings if each.group == ALL and not each.worse and not each.fine]


def explained(flip: Flip) -> list[Part]:
    """The factors that speak most differently in the two formulas, the most first."""
    parts = [each for each in flip.factors if abs(each.candidate_gain - each.baseline_gain) >= LEAST_GAIN]
    return sorted(parts, key=lambda each: (-abs(each.candidate_gain - each.baseline_gain), each.factor))[:SHOWN_PARTS]


def figure(value: float) -> str:
    """A number with four digits at most; a dash for none, and 0 for what sums of thousands leave by rounding."""
    if abs(value) < ROUNDING:
        return "0"
    return f"{value:.4g}" if math.isfinite(value) else "–"


def clock(seconds: float) -> str:
    """A time into a recording, h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def printable(text: object) -> str:
    """Text without what XML cannot hold."""
    return "".join(each for each in str(text) if each in "\t\n" or ord(each) >= 32)

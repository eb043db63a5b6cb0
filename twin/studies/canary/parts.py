"""The episodes of a study, each by itself: what it is made of, and its result kept under a digest of that.

A part that is on disk is not run again, so that an interrupted study goes on where it was. What it depends on is the
digest's whole input: words of the world, build, schedule, and the version of the files, code and libraries behind it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twin.policy.canary import Strategy
from twin.results.rundir import canonical_json, plain, write_whole
from twin.studies.canary.settings import TrialTimes
from twin.studies.canary.trial import trial
from twin.studies.canary.truth import Schedule, episode
from twin.studies.canary.worlds import parts_of
from twin.workload.jobs import Build

FOLDER = "parts"


@dataclass(frozen=True)
class Episode:
    """One run of the twin: a truth episode (``strategy`` None) or a canary's."""

    key: tuple[str, ...]  # what it is of, for tables and messages
    words: tuple[str, ...]
    service: str
    build: Build | None
    strategy: Strategy | None
    truth: Schedule
    trial: TrialTimes
    version: str  # of its files, the code and the libraries: what else its result depends on
    folder: str  # of the study
    judge_alone: bool = False  # without the limits of rollout control

    @property
    def digest(self) -> str:
        """What its result depends on."""
        times = asdict(self.trial) if self.strategy is not None else asdict(self.truth)
        what = {
            "words": self.words, "service": self.service, "build": None if self.build is None else asdict(self.build),
            "strategy": self.strategy, "times": times, "version": self.version,
            **({"judge_alone": True} if self.judge_alone else {}),
        }  # fmt: skip
        return hashlib.sha256(canonical_json(plain(what))).hexdigest()[:32]

    @property
    def path(self) -> Path:
        """Where its result is kept."""
        return Path(self.folder) / FOLDER / f"{self.digest}.json"


@dataclass(frozen=True)
class Done:
    """The result of an episode, or what failed in it."""

    key: tuple[str, ...]
    found: Mapping[str, Any] | None
    failed: str = ""


def kept(each: Episode) -> Done | None:
    """The result that is on disk, if it is whole."""
    try:
        return Done(each.key, json.loads(each.path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def carry_out(each: Episode) -> Done:
    """Run an episode and keep its result. What fails in it is told and ends nothing else."""
    try:
        parts = parts_of(each.words)
        if each.strategy is None:
            found = asdict(episode(parts, each.build, each.service, each.truth))
        else:
            assert each.build is not None
            times = each.trial
            found = asdict(
                trial(
                    parts, each.build, each.service, each.strategy, times.seconds, times.begin_seconds, each.judge_alone
                )
            )
    except Exception as error:  # a failed episode is reported and is not fatal
        return Done(each.key, None, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    made = plain(found)
    each.path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(each.path, json.dumps(made).encode())
    return Done(each.key, made)

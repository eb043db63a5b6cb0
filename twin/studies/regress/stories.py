"""The stories of both tiers as runs: one small hall, one workload, and what happens to it."""

from pathlib import Path

from twin.hall.errors import Fault, HallError, did_you_mean
from twin.places import conf_dir, scenarios_dir
from twin.setup.assembly import cache_dir
from twin.setup.compose import Composed, compose_run
from twin.studies.regress.settings import STORIES

#: four rows of four racks, each row on its own loop, two rows below each pair of PDUs
HALL = ("hall=small", "hall.rows=4", "hall.loop.racks=4", "hall.pdu.rows=2", "hall.backup.trays=0")
WORK = ("workload=default", "workload.load=0.45", "workload.training.gang_trays=[2,4,8]",
        "workload.training.gang_shares=[0.4,0.4,0.2]", "workload.training.duration_median_hours=0.7",
        "workload.batch.duration_median_hours=0.4")  # fmt: skip


def story_file(name: str) -> Path:
    """The file of a story: one of regression's own, or of the library. Raises :class:`HallError`."""
    own, library = conf_dir() / STORIES / f"{name}.yaml", scenarios_dir() / f"{name}.yaml"
    for path in (own, library):
        if path.is_file():
            return path
    known = sorted(path.stem for folder in (own.parent, library.parent) for path in folder.glob("*.yaml"))
    raise HallError([Fault(str(own.parent), "stories", name, "there is no such story", did_you_mean(name, known))])


def run_of(name: str, seed: int, hours: float, policy: str) -> Composed:
    """One run of a story. A story of the library brings its own hall; its short form is ``NAME_short``.

    Raises :class:`HallError` or what else refuses a run.
    """
    own = conf_dir() / STORIES / f"{name}.yaml"
    if own.is_file():
        words = [*HALL, *WORK, f"scenario={own}", f"hours={hours}"]
    else:
        story_file(name.removesuffix("_short"))
        words = [f"scenario={name}"]
    return compose_run([*words, f"policy={policy}", f"seed={seed}"])


def kept_folder() -> Path:
    """Where recordings and runs of regressions are kept between judgements."""
    return cache_dir() / "regress"

"""The commands as data: word, module that carries it out, and the line that ``twin --help`` shows.

Modules are named, not imported: a command's libraries are loaded when it is called, so that help comes at once.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One word after ``twin``. ``module`` has ``main(argv: list[str]) -> int``."""

    word: str
    module: str
    usage: str
    sentence: str


COMMANDS: tuple[Command, ...] = (
    Command("run", "twin.cli.run", "run [KEY=VALUE ...]", "simulate a hall; -m sweeps over comma-separated values"),
    Command("scenarios", "twin.cli.scenarios", "scenarios [NAME]", "list the stories, or show one"),
    Command("hall", "twin.cli.hall", "hall show|check NAME", "draw a hall, or look for weak points in its design"),
    Command("flags", "twin.cli.flags", "flags show|lint [FILE]", "show the flags of a file, or list their debt"),
    Command("ladder", "twin.cli.ladder", "ladder show [NAME]", "print what the response ladder does, rung by rung"),
    Command("compare", "twin.cli.compare", "compare RUN RUN ...", "paired differences of runs of the same worlds"),
    Command("capacity", "twin.cli.capacity", "capacity [KEY=VALUE ...]", "how much more a hall bears at a stated risk"),
    Command("canary", "twin.cli.canary", "canary [KEY=VALUE ...]", "try builds of known harm on canaries"),
    Command("report", "twin.cli.report", "report RUN", "write a run's report.html again from its tables"),
    Command(
        "incident",
        "twin.cli.incident",
        "incident RUN --at TIME",
        "what was happening then, and how it stood",
    ),
    Command("postmortem", "twin.cli.postmortem", "postmortem RUN", "what a run teaches of canary, shutdown and flags"),
    Command("init", "twin.cli.init", "init DIR", "copy conf/ and scenarios/ out to edit"),
    Command(
        "validate", "twin.cli.validate", "validate [CASE ...]", "hold the physics against standards, makers and papers"
    ),
    Command("audit", "twin.cli.audit", "audit ACTION LOG", "verify, replay, show or report: who decided what, and why"),
    Command("regress", "twin.cli.regress", "regress --candidate F", "is the new score formula worse than the old one?"),
    Command("bench", "twin.cli.bench", "bench", "measure the speed of this machine"),
)

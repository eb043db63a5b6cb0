"""The entry of ``twin`` and ``python -m twin``: finds the command, hands it its words, keeps the exit codes."""

import argparse
import difflib
import gc
import importlib
import os
import sys
import traceback

from twin import __version__
from twin.cli.commands import COMMANDS
from twin.cli.exits import Exit, refuse

EXAMPLES = """
examples:
  twin run                                        a day of the reference hall
  twin run hall=small hours=2 policy=random_healthy seed=7
  twin run -m policy=first_fit,random_healthy seed=1,2,3
  twin run scenario=pump_loss                     a story, checked against what it expects
  twin COMMAND --help                             more about one command

exit codes: 0 fine, 1 a finding, 2 could not tell, 3 input refused, 4 internal error, 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """Help and version; words after the first belong to the command, which parses them."""
    width = max(len(command.usage) for command in COMMANDS)
    lines = "\n".join(f"  {command.usage:<{width}}   {command.sentence}" for command in COMMANDS)
    made = argparse.ArgumentParser(
        prog="twin",
        usage="twin COMMAND [arguments]",
        description=f"Simulate an AI data hall: its power, its coolant, its heat and its jobs.\n\ncommands:\n{lines}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"twin {__version__}")
    return made


def unknown(word: str) -> Exit:
    """Refuse a word that is no command, with the nearest that is."""
    words = [command.word for command in COMMANDS]
    near = difflib.get_close_matches(word, words, n=1)
    if "=" in word:
        remedy = f"settings belong to a command: twin run {word}"
    elif near:
        remedy = f"did you mean 'twin {near[0]}'?"
    else:
        remedy = f"commands: {', '.join(words)}"
    return refuse([f"command: '{word}' is not one; {remedy}"])


def dispatch(argv: list[str]) -> int:
    """Run the command that ``argv`` names and return its exit code."""
    made = parser()
    if not argv or argv[0] in ("-h", "--help", "help"):
        made.print_help()
        return Exit.FINE
    if argv[0] == "--version":
        print(f"twin {__version__}")
        return Exit.FINE
    # a run keeps most of what it makes, so that looking for cycles often is a tenth of its time for nothing
    gc.set_threshold(400_000, 20, 50)
    # Arrow's own allocator keeps what it once had: 80 MB of a day's run
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    for command in COMMANDS:
        if command.word == argv[0]:
            return int(importlib.import_module(command.module).main(argv[1:]))
    return unknown(argv[0])


def main(argv: list[str] | None = None) -> int:
    """Run one command; whatever goes wrong becomes an exit code of :class:`twin.cli.exits.Exit`."""
    try:
        return dispatch(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        print("twin: interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # the reader of our output went away (a pager, head): nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FINE
    except SystemExit as left:
        # argparse leaves with 2 for wrong usage; here that is a refusal
        return Exit.FINE if left.code in (None, 0) else Exit.REFUSED
    except MemoryError:
        return refuse(["memory: there is not enough of it for this. Ask for a smaller hall, or run fewer at once."])
    except Exception:
        traceback.print_exc()
        print("twin: internal error, not a fault of your input; please report the lines above", file=sys.stderr)
        return Exit.INTERNAL


def leave() -> None:
    """Run one command as a process of its own, which ends with it."""
    code = main()
    gc.freeze()  # a last search for cycles among all that a run made would take two thirds of a second
    sys.exit(code)


if __name__ == "__main__":
    leave()

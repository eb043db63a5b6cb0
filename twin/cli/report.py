"""``twin report RUN``: a run's page written again from its tables."""

import argparse
from pathlib import Path

from twin.cli.exits import Exit, refuse


def main(argv: list[str]) -> int:
    """Write report.html of a run directory again."""
    parser = argparse.ArgumentParser(
        prog="twin report", description="Write report.html of a run again from its tables; nothing is simulated."
    )
    parser.add_argument("run", metavar="RUN", help="the directory that a run wrote")
    asked = parser.parse_args(argv)
    # pandas and Matplotlib load here, so that help does not wait for them
    from twin.results.report import write_report
    from twin.results.rundir import RunError

    try:
        page = write_report(Path(asked.run))
    except RunError as error:
        return refuse([str(error)])
    print(page)
    return Exit.FINE

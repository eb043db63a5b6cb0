"""``twin init DIR``: copies of conf/ and scenarios/ to edit."""

import argparse
import shutil
from pathlib import Path

from twin.cli.exits import Exit, refuse
from twin.places import conf_dir, scenarios_dir


def main(argv: list[str]) -> int:
    """Copy the configuration and the scenarios into a directory, which must not have them yet."""
    parser = argparse.ArgumentParser(
        prog="twin init",
        description="Copy conf/ and scenarios/ into DIR to edit them there; "
        "'twin run --config-dir DIR/conf' uses the copies.",
    )
    parser.add_argument("directory", metavar="DIR", help="where to put them; made if need be")
    directory = Path(parser.parse_args(argv).directory)
    wanted = {"conf": conf_dir(), "scenarios": scenarios_dir()}
    taken = [str(directory / name) for name in wanted if (directory / name).exists()]
    if taken:
        return refuse([f"twin init: {path} is there already. Remove it, or choose another DIR." for path in taken])
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, source in wanted.items():
            shutil.copytree(source, directory / name)
            print(f"{directory / name}: copied")
    except OSError as fault:
        return refuse([f"twin init: {directory}: cannot write ({fault.strerror or fault}). Choose another DIR."])
    print(f"use them with: twin run --config-dir {directory / 'conf'}")
    return Exit.FINE

"""Compile the plant's kernels in a process of their own, so that every run loads what it executes.

A process that has just compiled a kernel executes code that was optimised together with what it compiled before; one
that loads the kernel executes what was kept. The two may differ in the last bit of a sum, and a first run would differ
from the second.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.compiled import kernel_folder
from twin.plant.plant import Plant
from twin.plant.start import equilibrate

DONE = "complete"


def ensure_compiled() -> None:
    """See to it that the kernels are kept on disk; on a machine that has them, this looks for one file."""
    folder = kernel_folder()
    if not folder or (Path(folder) / DONE).exists():
        return
    # where it fails this process compiles for itself: right, but perhaps another last bit
    subprocess.run([sys.executable, "-m", "twin.plant.warm"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Call every kernel that a run calls, once."""
    plant = Plant(compile_topology(load_hall("small")))
    equilibrate(plant)
    plant.set_load(np.arange(18), 0.9)
    plant.allocate(np.arange(18), True)
    plant.set_pump(0, 0, False)
    plant.settle(0.0)
    plant.flow(0.0, 61.0)
    plant.open(61.0, 63.0)
    plant.now = 62.0
    plant.set_load(np.arange(18), 0.4)
    plant.catch_up()
    plant.close()
    plant.residuals(plant._ledger(), plant._held())
    (Path(kernel_folder()) / DONE).touch()


if __name__ == "__main__":
    main()

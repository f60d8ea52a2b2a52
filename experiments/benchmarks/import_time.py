"""The time that ``import laya_jax`` takes, against ``import flax`` alone, each in its own process.

    python -m experiments.benchmarks.import_time

Half a minute on two cores.
"""

import subprocess
import sys
from functools import partial

from experiments.benchmarks.timing import compare, report


def main() -> None:
    """Runs the comparison."""
    imports = {
        name: partial(subprocess.run, [sys.executable, "-c", f"import {name}"], check=True)
        for name in ("flax", "laya_jax")
    }
    report("import_time", {"import, whole process": compare(imports, 11)})


if __name__ == "__main__":
    main()

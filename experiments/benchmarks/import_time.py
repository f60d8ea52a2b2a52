"""The time that importing a head takes, against ``import flax`` alone, each in its own process.

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
        name: partial(subprocess.run, [sys.executable, "-c", code], check=True)
        for name, code in (("flax", "import flax"), ("laya_jax", "from laya_jax import LayaHead"))
    }
    report("import_time", {"import, whole process": compare(imports, 11)})


if __name__ == "__main__":
    main()

"""Time of importing a head, against ``import flax`` alone, each in a separate process.

    python -m experiments.benchmarks.import_time

Takes half a minute on two cores.
"""

import subprocess
import sys
from functools import partial

from experiments.benchmarks.timing import compare, report


def main() -> None:
    """Times both imports and writes the results."""
    imports = {
        name: partial(subprocess.run, [sys.executable, "-c", code], check=True)
        for name, code in (("flax", "import flax"), ("laya_jax", "from laya_jax import LayaHead"))
    }
    report("import_time", {"import, whole process": compare(imports, 11)})


if __name__ == "__main__":
    main()

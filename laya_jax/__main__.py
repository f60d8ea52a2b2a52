"""``python -m laya_jax`` is the command line."""

import sys

from laya_jax.cli import main

sys.exit(main())

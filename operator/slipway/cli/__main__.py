"""``python -m slipway.cli``: the same as the program ``kubectl-slipway``."""

import sys

from slipway.cli.main import main

sys.exit(main())

"""``python -m foam_viz``: see :mod:`foam_viz.cli`."""

import sys

from foam_viz.cli import main

if __name__ == "__main__":
    sys.exit(main())

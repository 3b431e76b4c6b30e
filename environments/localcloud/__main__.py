"""`python -m environments.localcloud`: see cli.py."""

import sys

from environments.localcloud.cli import main

if __name__ == "__main__":
    sys.exit(main())

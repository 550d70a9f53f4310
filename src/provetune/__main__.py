"""`python -m provetune` is the command `provetune`."""

from __future__ import annotations

import sys

from provetune.cli import main

if __name__ == "__main__":
    sys.exit(main())

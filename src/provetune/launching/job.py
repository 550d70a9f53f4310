"""What a job runs: `python -m provetune.launching.job ARGUMENTS` is `provetune ARGUMENTS`, of which places that run jobs can judge.

They take any exit code but 0 for a failure, and begin again: a verdict of hold or inconclusive is none. Their SIGTERM, which
tells of the end, is passed on, so that a checkpoint is saved.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence

VERDICTS = {3, 4}
HOPELESS = (2, 5, 6)
"""Exit codes that a second attempt ends with, too: a wrong project file, blocked data, too small hardware."""


def main(arguments: Sequence[str], program: Sequence[str] = (sys.executable, "-m", "provetune")) -> int:
    """Run to the end; 0 where there is a verdict, whichever."""
    child = subprocess.Popen([*program, *arguments])
    before = signal.signal(signal.SIGTERM, lambda number, _: child.send_signal(number))
    try:
        code = child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0 if code in VERDICTS else code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

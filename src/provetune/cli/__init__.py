"""The command line: one verb per step, the same records as everywhere else."""

from provetune.cli.entry import main
from provetune.cli.verbs import app

__all__ = ["app", "main"]

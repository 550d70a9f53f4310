"""The command line: one verb per step, the same records as everywhere else."""

from provetune.cli import compare, data_verbs, label, serve, traffic, vote
from provetune.cli.entry import main
from provetune.cli.verbs import app

__all__ = ["app", "compare", "data_verbs", "label", "main", "serve", "traffic", "vote"]

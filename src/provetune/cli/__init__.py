"""The command line: one verb per step, the same records as everywhere else."""

from provetune.cli import (
    compare,
    data_verbs,
    label,
    launch,
    look_verbs,
    plan,
    registry,
    run_verbs,
    serve,
    ship,
    start_verbs,
    studio,
    traffic,
    vote,
    watch,
)
from provetune.cli.entry import main
from provetune.cli.verbs import app, in_order

__all__ = [
    "app",
    "compare",
    "data_verbs",
    "label",
    "launch",
    "look_verbs",
    "main",
    "plan",
    "registry",
    "run_verbs",
    "serve",
    "ship",
    "start_verbs",
    "studio",
    "traffic",
    "vote",
    "watch",
]

in_order(app)

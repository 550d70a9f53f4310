"""provetune: from a file of examples to a fine-tuned language model that is proven better than prompting.

The public names below are loaded when they are first used, so `import provetune` is quick and needs no torch.
`docs/api.md` shows each of them at work.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Candidate": "provetune.records.candidate",
    "Comparison": "provetune.records.evaluation",
    "Decision": "provetune.records.evaluation",
    "Estimate": "provetune.stats.estimate",
    "Evaluation": "provetune.records.evaluation",
    "Evidence": "provetune.records.evaluation",
    "Example": "provetune.records.data",
    "GenerationSettings": "provetune.records.candidate",
    "METRICS": "provetune.metrics",
    "Message": "provetune.records.data",
    "Metric": "provetune.metrics.base",
    "ProjectSpec": "provetune.spec",
    "Prompt": "provetune.records.candidate",
    "ProvetuneError": "provetune.errors",
    "ScriptedGenerator": "provetune.models.scripted",
    "Yardstick": "provetune.scoring",
    "audit_project": "provetune.workflow.run",
    "compare": "provetune.evaluation",
    "load_spec": "provetune.spec.text",
    "measure": "provetune.scoring",
    "open_project": "provetune.workflow.project",
    "recompute": "provetune.workflow.decided",
    "run_project": "provetune.workflow.run",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'provetune' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

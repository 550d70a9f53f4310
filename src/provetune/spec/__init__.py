"""What the user wants: the project file, parsed once.

`model` holds the tree of frozen models, `data` and `train` its largest sections, `parts` the smaller ones; `text` reads YAML,
`write` writes it.
"""

from provetune.spec.data import AuditSpec, ColumnsSpec, DataSpec, FailOnSpec, SplitSpec
from provetune.spec.model import (
    BaselineSpec,
    BaseSpec,
    BudgetSpec,
    ProjectSpec,
    ProveSpec,
    TaskSpec,
    json_schema,
    resolve_metric,
    unavailable,
)
from provetune.spec.parts import PersonalDataSpec
from provetune.spec.train import LoraSpec, TrainSpec

__all__ = [
    "AuditSpec",
    "BaseSpec",
    "BaselineSpec",
    "BudgetSpec",
    "ColumnsSpec",
    "DataSpec",
    "FailOnSpec",
    "LoraSpec",
    "PersonalDataSpec",
    "ProjectSpec",
    "ProveSpec",
    "SplitSpec",
    "TaskSpec",
    "TrainSpec",
    "json_schema",
    "resolve_metric",
    "unavailable",
]

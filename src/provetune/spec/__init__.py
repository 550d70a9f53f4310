"""What the user wants: the project file, parsed once.

`model` holds the tree of frozen models, `parts` its smaller sections, `text` reads YAML, `write` writes it.
"""

from provetune.spec.model import (
    AuditSpec,
    BaselineSpec,
    BaseSpec,
    BudgetSpec,
    ColumnsSpec,
    DataSpec,
    FailOnSpec,
    LoraSpec,
    ProjectSpec,
    ProveSpec,
    SplitSpec,
    TaskSpec,
    TrainSpec,
    json_schema,
    resolve_metric,
    unavailable,
)
from provetune.spec.parts import PersonalDataSpec

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

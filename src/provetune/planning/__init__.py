"""What a tuning will need and cost, computed before anything is spent."""

from provetune.planning.choose import plan
from provetune.planning.request import Hardware, ModelShape, PlanRequest

__all__ = ["Hardware", "ModelShape", "PlanRequest", "plan"]

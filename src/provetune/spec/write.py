"""The project file as `init` writes it: the short form, for a start."""

from __future__ import annotations

from typing import Any

import yaml

from provetune.spec.data import DataSpec

MODELINES = "# yaml-language-server: $schema=.provetune/schema.json\n# $schema: .provetune/schema.json\n"
"""Tell the YAML language server and JetBrains editors where the schema is."""


def minimal_yaml(name: str, data: DataSpec, task: str, metric: str) -> str:
    """The project file that `init` writes, at most 15 lines; the paths in `data` are relative to its folder."""
    settings = data.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return f"""{MODELINES}version: 1
name: {_flow(name)}
data: {_flow(settings if len(settings) > 1 else data.path)}
base: starter             # comes with provetune; or a folder, or a hub name such as Qwen/Qwen3-0.6B
task: {task.ljust(20)}# classify | extract | generate | chat
metric: {metric.ljust(18)}# locked when the test split is sealed
prove:
  against: [zero-shot, few-shot]
  margin: 0.02            # must beat the best prompt by 2 points
budget:
  max_usd: 20
  max_hours: 2
"""


def _flow(value: Any) -> str:
    """YAML on one line; a text with line breaks is put in double quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    # inside a list, so that commas and brackets are quoted too
    return str(yaml.safe_dump([value], default_flow_style=True, default_style=style, width=float("inf"), allow_unicode=True)).strip()[1:-1]

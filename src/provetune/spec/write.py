"""The project file as `init` writes it: the short form for a start, the long form with every key of this version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import yaml

from provetune.spec.model import AVAILABLE_VALUES, DataSpec, ProjectSpec
from provetune.spec.parts import NOT_YET, SpecPart

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


def full_yaml(spec: ProjectSpec) -> str:
    """Every key that this version acts on, with the values of `spec`; reading it gives an equal spec."""
    return MODELINES + "\n".join(_lines(spec, "", "")) + "\n"


def _lines(part: SpecPart, section: str, indent: str) -> Iterator[str]:
    for name, field in type(part).model_fields.items():
        value, key = part.__dict__[name], field.alias or name
        if NOT_YET in field.metadata and value == field.get_default(call_default_factory=True):
            continue
        if isinstance(value, SpecPart):
            inner = list(_lines(value, f"{section}{key}.", f"{indent}  "))
            yield from [f"{indent}{key}:", *inner] if inner else []
        elif isinstance(value, list) and value and isinstance(value[0], SpecPart):
            yield f"{indent}{key}:"
            yield from (f"{indent}  - {_flow(_short(item))}" for item in value)
        else:
            line, choices = f"{indent}{key}: {_flow(value)}", _choices(field.annotation, section + key)
            yield f"{line.ljust(34)}  # {' | '.join(choices)}" if len(choices) > 1 else line


def _short(part: SpecPart) -> dict[str, Any]:
    return part.model_dump(by_alias=True, exclude_none=True)


def _choices(annotation: Any, path: str) -> list[str]:
    if path in AVAILABLE_VALUES:
        return list(AVAILABLE_VALUES[path])
    return [str(choice) for choice in get_args(annotation)] if get_origin(annotation) is Literal else []


def _flow(value: Any) -> str:
    """YAML on one line; a text with line breaks is put in double quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    # inside a list, so that commas and brackets are quoted too
    return str(yaml.safe_dump([value], default_flow_style=True, default_style=style, width=float("inf"), allow_unicode=True)).strip()[1:-1]

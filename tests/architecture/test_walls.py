"""The wall between layers tried: one forbidden import at a time, put into a real module in memory, and each is named."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from tests.architecture.source import Module, modules
from tests.architecture.test_layers import arrows, cycle_in, known_names, layer_faults, library_faults

# module, forbidden statement, what the fault says
FORBIDDEN = (
    ("provetune.audit.size", "from provetune.split import assign", "steps never import each other ('audit' -> 'split')"),
    ("provetune.gate", "from provetune.evaluation import compare", "steps never import each other ('gate' -> 'evaluation')"),
    ("provetune.planning.time", "import provetune.tuning.loop", "steps never import each other ('planning' -> 'tuning')"),
    ("provetune.records.data", "from provetune.store import Store", "'records' (layer 1) points up at 'store' (layer 2)"),
    ("provetune.stats.power", "from provetune.records.base import Record", "'stats' (layer 0) points up at 'records' (layer 1)"),
    ("provetune.tuning.tune", "from provetune import workflow", "'tuning' (layer 4) points up at 'workflow' (layer 5)"),
    ("provetune.metrics.judge", "from provetune.models.endpoint import Endpoint", "'metrics' and 'models' are both in layer 2"),
    ("provetune.engine.loss", "from provetune.models import transformers", "'engine' and 'models' are both in layer 2"),
    ("provetune.cli.audit", "from provetune.audit import audit", "'cli' uses steps only through workflow, found 'audit'"),
    ("provetune.workflow.run", "from provetune.cli.session import Session", "'workflow' (layer 5) points up at 'cli' (layer 6)"),
    ("provetune.metrics.likelihood", "import torch", "imports torch: only"),
    ("provetune.formats.table", "import pandas as pd", "imports pandas: used nowhere in this package"),
    ("provetune.store", "import pickle", "imports pickle: used nowhere in this package"),
    ("provetune.stats.corpus", "from sklearn.utils import resample", "imports sklearn: layer 0 uses"),
)


def with_import(name: str, statement: str, *, in_function: bool = False) -> Module:
    """The module as it stands, with one statement more at its end, at the top level or inside a function."""
    module = next(found for found in modules() if found.name == name)
    text = f"def f():\n    {statement}\n" if in_function else statement
    added = ast.parse("\n" * module.lines + text).body
    return replace(module, tree=ast.Module([*module.tree.body, *added], []))


def faults_of(module: Module) -> list[str]:
    return layer_faults([module], known_names()) + library_faults([module])


@pytest.mark.parametrize(("name", "statement", "said"), FORBIDDEN, ids=[f"{name}: {statement}" for name, statement, _ in FORBIDDEN])
def test_a_forbidden_import_is_named_with_its_place(name: str, statement: str, said: str) -> None:
    module = with_import(name, statement)
    assert faults_of(with_import(name, "import json")) == []
    (fault,) = faults_of(module)
    assert fault.startswith(f"{module.place}:{module.lines + 1}: ") and said in fault


@pytest.mark.parametrize(("name", "statement", "said"), [row for row in FORBIDDEN if "torch" not in row[1]])
def test_hiding_it_inside_a_function_does_not_help(name: str, statement: str, said: str) -> None:
    (fault,) = faults_of(with_import(name, statement, in_function=True))
    assert said in fault


def test_a_cycle_within_a_layer_is_named() -> None:
    closing = with_import("provetune.engine.packing", "from provetune.engine import generation")
    everything = [closing if module.name == closing.name else module for module in modules()]
    known = known_names()
    graph = {module.name: {target for target, _ in arrows(module, known)} - {module.name} for module in everything}
    cycle = cycle_in(graph)
    assert cycle[0] == cycle[-1] and {"provetune.engine.packing", "provetune.engine.generation"} <= set(cycle)


def test_a_surface_that_is_still_to_come_meets_the_same_wall() -> None:
    studio = Module.parse("provetune.studio.pages", "src/provetune/studio/pages.py", "from provetune.gate import decide\n")
    assert faults_of(studio) == [
        "src/provetune/studio/pages.py:1: imports provetune.gate: 'studio' uses steps only through workflow, found 'gate'"
    ]

"""Imports point down: the table of layers, the few arrows within a layer, no cycles, heavy libraries only where they belong."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from tests.architecture.source import Module, imports_of, modules

LAYERS: dict[int, tuple[str, ...]] = {
    0: ("errors", "hashing", "stats"),
    1: ("records", "spec", "chat", "protocols"),
    2: (
        *("store", "registry", "formats", "traffic", "personal_data", "suites", "jobs", "engine", "models", "metrics"),
        *("similarity", "slices", "profile", "pricing", "languages", "local_page"),
    ),
    3: ("scoring",),
    4: (
        *("load", "audit", "labelling", "split", "augment", "prompting", "planning", "tuning", "evaluation", "gate", "report"),
        *("serving", "monitoring", "launching"),
    ),
    5: ("workflow",),
    6: ("cli", "studio"),
    7: ("__main__",),
}
LAYER_OF = {member: layer for layer, members in LAYERS.items() for member in members}
WITHIN_A_LAYER = {
    ("spec", "records"),
    ("chat", "records"),
    ("protocols", "records"),
    ("models", "engine"),
    ("traffic", "personal_data"),
    ("registry", "store"),
    ("jobs", "store"),
    ("cli", "studio"),
}
SURFACE_MAY_USE = {"report", "workflow"}  # by layer 6, above layer 2

HEAVY = {"torch", "accelerate", "peft", "transformers"}
HEAVY_AT_HOME = {"engine", "models", "tuning"}
HEAVY_INSIDE_A_FUNCTION = {"metrics", "audit"}
WITHOUT_TORCH = {"provetune.models.tokenizer"}  # the core reads templates and counts tokens without torch
LAYER_0_LIBRARIES = {"numpy", "scipy"}
NOWHERE = {"pandas", "pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"}  # too heavy, or able to run code when read


def part_of(name: str) -> str:
    """`provetune.audit.leakage` -> `audit`; the package itself -> ``."""
    return name.split(".")[1] if "." in name else ""


def arrows(module: Module, known: frozenset[str]) -> Iterator[tuple[str, int]]:
    """(imported module of ours, line); `from package import submodule` points at the submodule."""
    for found in imports_of(module):
        if found.target.split(".")[0] != "provetune":
            continue
        if found.target == "provetune" and found.names == ("__version__",):
            continue  # every record says which version made it
        children = {f"{found.target}.{name}" for name in found.names}
        submodules = {child for child in children if child in known or (found.target == "provetune" and part_of(child) in LAYER_OF)}
        for target in sorted(submodules):
            yield target, found.line
        if not found.names or children - submodules:
            yield found.target, found.line


def layer_faults(checked: Iterable[Module], known: frozenset[str]) -> list[str]:
    """One readable line for each arrow that the table forbids."""
    faults = []
    for module in checked:
        part = part_of(module.name)
        if part == "":
            continue  # the public names: lazy, and imported by nobody (see below)
        if part not in LAYER_OF:
            faults.append(f"{module.place}: '{part}' is in no layer; put it into LAYERS of tests/architecture/test_layers.py")
            continue
        for target, line in arrows(module, known):
            reason = forbidden(part, part_of(target))
            if reason:
                faults.append(f"{module.place}:{line}: imports {target}: {reason}")
    return faults


def forbidden(part: str, other: str) -> str | None:
    """Why `part` may not import `other`; None where it may."""
    if other == part or (part, other) in WITHIN_A_LAYER:
        return None
    if other == "":
        return "the public names are for users; import the module that holds the name"
    if other not in LAYER_OF:
        return f"'{other}' is in no layer"
    layer, wanted = LAYER_OF[part], LAYER_OF[other]
    if layer == wanted == 4:
        return f"steps never import each other ('{part}' -> '{other}'); move what both need down a layer"
    if layer == wanted:
        return f"'{part}' and '{other}' are both in layer {layer}; move what both need down a layer"
    if wanted > layer:
        return f"'{part}' (layer {layer}) points up at '{other}' (layer {wanted})"
    if layer == 6 and wanted > 2 and other not in SURFACE_MAY_USE:
        return f"'{part}' uses steps only through workflow, found '{other}'"
    return None


def library_faults(checked: Iterable[Module]) -> list[str]:
    """One line for each third-party import in a place where it does not belong."""
    faults = []
    for module in checked:
        part = part_of(module.name)
        for found in imports_of(module):
            library = found.target.split(".")[0]
            where = f"{module.place}:{found.line}: imports {library}"
            if library in NOWHERE:
                faults.append(f"{where}: used nowhere in this package")
            if library in HEAVY and not heavy_allowed(part, found.in_function):
                faults.append(f"{where}: only {sorted(HEAVY_AT_HOME)} may, and {sorted(HEAVY_INSIDE_A_FUNCTION)} inside a function")
            if library == "torch" and module.name in WITHOUT_TORCH:
                faults.append(f"{where}: this module works without torch")
            if LAYER_OF.get(part) == 0 and library not in {*sys.stdlib_module_names, *LAYER_0_LIBRARIES, "provetune"}:
                faults.append(f"{where}: layer 0 uses the standard library, {sorted(LAYER_0_LIBRARIES)}")
    return faults


def heavy_allowed(part: str, in_function: bool) -> bool:
    return part in HEAVY_AT_HOME or (in_function and part in HEAVY_INSIDE_A_FUNCTION)


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """One cycle as a path that ends where it began; empty where there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for target in sorted(graph.get(node, ())):
            cycle = visit(target, [*path, node])
            if cycle:
                return cycle
        done.add(node)
        return []

    for start in sorted(graph):
        cycle = visit(start, [])
        if cycle:
            return cycle
    return []


def known_names() -> frozenset[str]:
    return frozenset(module.name for module in modules())


def test_every_file_is_parsed() -> None:
    assert len(modules()) > 30


def test_imports_follow_the_layers() -> None:
    faults = layer_faults(modules(), known_names())
    assert not faults, "\n" + "\n".join(faults)


def test_libraries_stay_where_they_belong() -> None:
    faults = library_faults(modules())
    assert not faults, "\n" + "\n".join(faults)


def test_no_import_cycles() -> None:
    known = known_names()
    graph = {module.name: {target for target, _ in arrows(module, known)} - {module.name} for module in modules()}
    cycle = cycle_in(graph)
    assert not cycle, " -> ".join(cycle)


def injected(name: str, text: str) -> list[str]:
    module = Module.parse(name, f"src/{name.replace('.', '/')}.py", text)
    return layer_faults([module], known_names() | {name}) + library_faults([module])


def test_an_injected_sibling_import_is_reported() -> None:
    faults = injected("provetune.audit.leakage", "import json\n\nfrom provetune.split import assign\n")
    assert faults == [
        "src/provetune/audit/leakage.py:3: imports provetune.split: "
        "steps never import each other ('audit' -> 'split'); move what both need down a layer"
    ]


def test_other_injected_faults_are_reported() -> None:
    assert "points up at 'workflow'" in injected("provetune.gate", "def f():\n    from provetune import workflow\n")[0]
    assert "both in layer 2" in injected("provetune.metrics.judge", "from ..models import starter\n")[0]
    assert "both in layer 1" in injected("provetune.records.plan", "from provetune.spec import ProjectSpec\n")[0]
    assert "only through workflow" in injected("provetune.cli.audit", "import provetune.audit\n")[0]
    assert "in no layer" in injected("provetune.helpers", "import json\n")[0]
    assert "imports torch" in injected("provetune.metrics.likelihood", "import torch\n")[0]
    assert "layer 0" in injected("provetune.stats.tests", "import sklearn.metrics\n")[0]
    assert "used nowhere" in injected("provetune.formats.table", "def f():\n    import pandas as pd\n")[0]


def test_allowed_arrows_pass() -> None:
    assert injected("provetune.metrics.likelihood", "def f():\n    import torch\n") == []
    assert injected("provetune.models.local", "import torch\nfrom provetune.engine import forward\n") == []
    assert injected("provetune.cli.report", "from provetune.report import page\nfrom provetune import studio\n") == []
    assert injected("provetune.store", "from provetune import __version__\n") == []
    assert injected("provetune.spec", "from provetune.records.base import Frozen\n") == []


def test_a_cycle_is_found() -> None:
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []

"""What is defined is used, what can be set is read, and the manners that only ever improve."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import get_args

from provetune.spec import ProjectSpec
from provetune.spec.parts import NOT_YET, SpecPart
from tests.architecture.source import PACKAGE, ROOT, Module, modules, text_of
from tests.architecture.test_layers import part_of

WORD = re.compile(r"[A-Za-z_]\w*")
CALLED_FROM_OUTSIDE = {
    *("on_log", "on_step_end", "on_epoch_end", "_prepare_dataset", "tokenize_row"),  # TRL's trainer calls them
    *("merged_model", "VllmGenerator"),  # for packages and a GPU; no verb asks for them yet
    "adapter_sha256",  # read with all fields of its class, as a key
}
"""Names that nothing of ours mentions twice, and why."""
BEING_BUILT = ("registry", "serving", "monitoring", "launching", "traffic", "jobs", "studio", "planning", "records", "stats")
"""Rooms whose last users are still to come; a room leaves this list when it is furnished, and none is added."""
ATTRIBUTES_BY_NAME = 22
"""Calls of hasattr, getattr and setattr in the package; the number may only fall."""
BROAD_EXCEPTS = 8
"""Handlers of Exception or of everything; the number may only fall."""


def words_of(text: str) -> Counter[str]:
    return Counter(WORD.findall(text))


@cache
def mentioned() -> Counter[str]:
    """How often each word stands in the package (templates and pages of the server too), the documentation, scripts and benchmarks."""
    found = words_of("")
    files = [
        path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".jinja", ".js", ".html", ".txt") and "recorded" not in path.parts
    ]
    files += [path for folder in ("docs", "scripts", "benchmarks") for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md")]
    for path in files:
        found += words_of(text_of(path) or "")
    return found


def defined(module: Module) -> Iterator[tuple[str, int]]:
    """Functions, classes, methods and fields, with their lines; what a decorator registers or Python calls is left out."""

    def walk(body: Iterable[ast.stmt]) -> Iterator[tuple[str, int]]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                registered = any(isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) for each in node.decorator_list)
                validates = any("validator" in ast.unparse(each) for each in node.decorator_list)
                if not (registered or validates or node.name.startswith("__")):
                    yield node.name, node.lineno
                if isinstance(node, ast.ClassDef):
                    yield from walk(node.body)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield node.target.id, node.lineno

    yield from walk(module.tree.body)


def unused(module: Module, known: Counter[str]) -> list[str]:
    return [f"{module.place}:{line}: {name}" for name, line in defined(module) if known[name] < 2 and name not in CALLED_FROM_OUTSIDE]


def sections_not_yet(part: type[SpecPart], whole: bool = False) -> Iterator[str]:
    """Keys of the project file that stand under one that this version does not act on."""
    for name, field in part.model_fields.items():
        waits = whole or NOT_YET in field.metadata
        if waits:
            yield name
        for inner in _parts(field.annotation):
            yield from sections_not_yet(inner, waits)


def _parts(annotation: object) -> Iterator[type[SpecPart]]:
    if isinstance(annotation, type) and issubclass(annotation, SpecPart):
        yield annotation
    for each in get_args(annotation):
        yield from _parts(each)


def test_everything_that_is_defined_is_used() -> None:
    known = mentioned() + Counter(dict.fromkeys(sections_not_yet(ProjectSpec), 2))
    furnished = [module for module in modules() if part_of(module.name) not in BEING_BUILT]
    assert len(furnished) > 200
    found = [fault for module in furnished for fault in unused(module, known)]
    assert not found, "used nowhere; delete it:\n" + "\n".join(found)


def test_an_unused_name_is_reported() -> None:
    text = '''
class Kept:
    """One."""

    read: int
    idle: int

    def ask(self) -> int:
        return self.read

def lonely() -> None: ...

@app.command()
def verb() -> None: print(Kept().ask())
'''
    module = Module.parse("provetune.x", "x.py", text)
    assert unused(module, words_of(text)) == ["x.py:6: idle", "x.py:11: lonely"]


def read_attributes(outside: Iterable[Module]) -> set[str]:
    """Attributes, and texts that are one word: settings of a training are passed on by their names."""
    nodes = [node for module in outside for node in ast.walk(module.tree)]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def keys_never_read(part: type[SpecPart], read: set[str], section: str = "") -> Iterator[str]:
    for name, field in part.model_fields.items():
        inner = list(_parts(field.annotation))
        if NOT_YET in field.metadata or (inner and all(NOT_YET in each.metadata for one in inner for each in one.model_fields.values())):
            continue
        if name not in read:
            yield section + name
        for one in inner:
            yield from keys_never_read(one, read, f"{section}{name}.")


def test_every_key_of_the_project_file_is_read_by_the_code() -> None:
    read = read_attributes(module for module in modules() if not module.name.startswith("provetune.spec.parts"))
    kept_for_readers = {"owner", "purpose", "version"}  # docs/project-file.md says so
    assert set(keys_never_read(ProjectSpec, read)) <= kept_for_readers


def test_a_key_that_nothing_reads_is_reported() -> None:
    assert "train.epochs" in set(keys_never_read(ProjectSpec, {"train", "data"}))


def by_name(tree: ast.AST) -> int:
    names = ("hasattr", "getattr", "setattr")
    return sum(isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names for node in ast.walk(tree))


def broad(tree: ast.AST) -> int:
    handlers = [node.type for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    return sum(kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException")) for kind in handlers)


def test_attributes_are_known_and_errors_are_named() -> None:
    assert sum(by_name(module.tree) for module in modules()) <= ATTRIBUTES_BY_NAME, "hasattr, getattr, setattr: name the attribute"
    assert sum(broad(module.tree) for module in modules()) <= BROAD_EXCEPTS, "except Exception: name what can go wrong"


def test_a_guess_and_a_broad_handler_are_counted() -> None:
    tree = ast.parse(
        "getattr(a, 'b', None)\ntry: pass\nexcept Exception: pass\ntry: pass\nexcept ValueError: pass\ntry: pass\nexcept: pass"
    )
    assert (by_name(tree), broad(tree)) == (1, 2)

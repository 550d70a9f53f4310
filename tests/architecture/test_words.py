"""Names and words: no filler names, no machine paths, no unsafe readers, one version everywhere."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import provetune
from tests.architecture.source import PACKAGE, ROOT, Module, modules, repository_files, text_of

BANNED = {"manager", "utils", "common", "misc", "process", "handle", "data2", "info", "obj", "context", "eval"}
BANNED_IN_CLASSES = re.compile(r"Manager|Utils|Helper|Handler|Processor")
MACHINE_PATH = re.compile(r"(?<![\w.~${}/-])/(?:work|root|tmp|home/\w+)/")
REGISTRY = re.compile(r"index-url|find-links|trusted-host|https?://[\w.]*(?:pypi|pythonhosted|download\.pytorch)")
PICKLED = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib", ".ckpt")
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal"}
UNSAFE_CALLS = {"torch.load", "torch.save", "joblib.load", "joblib.dump", "numpy.load", "np.load", "yaml.load", "yaml.unsafe_load"}
LARGEST_FILE = 500_000  # bytes; weights and tokenizer of the starter model are the exception


def defined_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names that this file gives: of functions, classes, arguments, variables and import aliases."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname, node.lineno
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name, node.lineno


def banned_names(module: Module) -> list[str]:
    faults = [f"{module.place}:{line}: '{name}'" for name, line in defined_names(module.tree) if name.lower().strip("_") in BANNED]
    classes = [node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef) and BANNED_IN_CLASSES.search(node.name)]
    parts = [part for part in module.name.split(".") if part in BANNED]
    return faults + [f"{module.place}:{node.lineno}: '{node.name}'" for node in classes] + [f"{module.place}: '{part}'" for part in parts]


def test_no_filler_names() -> None:
    faults = [fault for module in modules() for fault in banned_names(module)]
    assert not faults, "names that say nothing:\n" + "\n".join(faults)


def test_a_filler_name_is_reported() -> None:
    text = "class RunManager:\n    def process(self, obj): ...\n\nfor info in (): pass\nimport x as utils\n"
    found = banned_names(Module.parse("provetune.common", "common.py", text))
    assert len(found) == 6


def own_files() -> list[Path]:
    """Everything but the tests, whose examples may name any path."""
    return [path for path in repository_files() if ROOT / "tests" not in path.parents]


def lines_with(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    found = []
    for path in files:
        for number, line in enumerate((text_of(path) or "").splitlines(), start=1):
            match = pattern.search(line)
            if match:
                found.append(f"{path.relative_to(ROOT)}:{number}: {match.group()}")
    return found


def test_no_machine_paths() -> None:
    assert len(own_files()) > 30
    found = lines_with(MACHINE_PATH, own_files())
    assert not found, "paths of one machine:\n" + "\n".join(found)


def test_every_page_that_is_named_is_here() -> None:
    found = lines_with(re.compile(r"DESIGN\.md|shared/reference|\bstyle\.md"), own_files())
    assert not found, "pages that are not in this repository:\n" + "\n".join(found)


def test_a_machine_path_is_recognised() -> None:
    assert all(MACHINE_PATH.search(f"cd {'/'}{folder}/x") for folder in ("root", "work"))
    assert not MACHINE_PATH.search("https://example.org/work/x") and not MACHINE_PATH.search("build/tmp/x")


def test_no_package_registry_is_named() -> None:
    found = lines_with(REGISTRY, [ROOT / name for name in ("pyproject.toml", "constraints.txt", "Makefile", ".ci/run")])
    assert not found, "a registry belongs to the machine's own settings:\n" + "\n".join(found)


def called(node: ast.Call) -> str:
    """Dotted name of what is called, as written."""
    return ast.unparse(node.func)


def unsafe(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in UNSAFE_CALLS:
            arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if not called(node).endswith("p.load") or arguments.get("allow_pickle") != "False":
                found.append(f"{node.lineno}: {called(node)}")
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"{node.lineno}: import {name}" for name in names if isinstance(node, ast.stmt) and name.split(".")[0] in UNSAFE_MODULES]
        if isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle") and ast.unparse(node.value) == "True":
            found.append(f"{node.value.lineno}: {node.arg}=True")
    return found


def test_nothing_that_can_run_code_is_read() -> None:
    scripts = [path for path in own_files() if path.suffix == ".py"]
    assert len(scripts) > 30
    found = [f"{path.relative_to(ROOT)}:{fault}" for path in scripts for fault in unsafe(ast.parse(path.read_text(encoding="utf-8")))]
    found += [f"{path.relative_to(ROOT)}" for path in repository_files() if path.suffix in PICKLED]
    assert not found, "weights are safetensors, tables are text:\n" + "\n".join(found)


def test_an_unsafe_reader_is_recognised() -> None:
    text = "import pickle\nx = torch.load(p)\ny = np.load(p)\nz = np.load(p, allow_pickle=False)\nf(trust_remote_code=True)"
    assert len(unsafe(ast.parse(text))) == 4


def test_no_large_files() -> None:
    weights = PACKAGE / "models" / "starter"
    large = [path for path in repository_files() if path.stat().st_size > LARGEST_FILE and weights not in path.parents]
    assert not large, f"over {LARGEST_FILE} bytes: {[path.relative_to(ROOT).as_posix() for path in large]}"


def test_one_version_everywhere() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert released[0] == declared, f"newest entry of CHANGELOG.md is {released[0]}, pyproject.toml says {declared}"
    assert provetune.__version__ == declared

"""What the architecture tests know about the source: parsed modules, their imports, the files of the repository."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "provetune"
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One parsed file; `name` is dotted, a package's `__init__.py` has the package's name."""

    name: str
    place: str
    lines: int
    tree: ast.Module
    is_package: bool = False

    @classmethod
    def parse(cls, name: str, place: str, text: str, *, is_package: bool = False) -> Module:
        return cls(name, place, len(text.splitlines()), ast.parse(text), is_package)


@dataclass(frozen=True)
class Import:
    """One imported dotted name; `names` are the candidates for a submodule (`from target import names`)."""

    target: str
    names: tuple[str, ...]
    line: int
    in_function: bool


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package, by path."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(Module.parse(name, path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"), is_package=is_package))
    return tuple(found)


def imports_of(module: Module) -> Iterator[Import]:
    """All imports of a module, relative ones resolved, those under TYPE_CHECKING included."""
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]

    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, (), child.lineno, in_function)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                target = ".".join([*base, *([child.module] if child.module else [])])
                yield Import(target, tuple(alias.name for alias in child.names), child.lineno, in_function)
            else:
                yield from walk(child, in_function or isinstance(child, FunctionNode))

    yield from walk(module.tree, False)


def functions_of(module: Module) -> Iterator[tuple[str, FunctionNode]]:
    """(qualified name, node) of every function and method, nested ones included."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, FunctionNode]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, FunctionNode):
                yield prefix + child.name, child
                yield from walk(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")
            else:
                yield from walk(child, prefix)

    yield from walk(module.tree, "")


@cache
def repository_files() -> tuple[Path, ...]:
    """Every file of the repository that git does not ignore (folders named in .gitignore and virtual environments left out)."""
    ignored = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.endswith("/")} | {".git"}

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                if path.name not in ignored and not path.name.endswith(".egg-info") and not (path / "pyvenv.cfg").exists():
                    yield from walk(path)
            elif path.suffix != ".pyc" and path.name != ".git":  # a file in a linked working tree
                yield path

    return tuple(walk(ROOT))


def text_of(path: Path) -> str | None:
    """The file's text, None for a binary file."""
    content = path.read_bytes()
    if b"\0" in content:
        return None
    return content.decode("utf-8", errors="replace")

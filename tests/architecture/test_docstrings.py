"""Every module, public class and public function says what it promises."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source import Module, modules


def undocumented(module: Module) -> Iterator[str]:
    if not ast.get_docstring(module.tree):
        yield f"{module.place}: module"

    def walk(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
        for child in node.body:
            if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or child.name.startswith("_"):
                continue
            overload = any(isinstance(item, ast.Name) and item.id in ("overload", "override") for item in child.decorator_list)
            if not ast.get_docstring(child) and not overload:
                yield f"{module.place}:{child.lineno} {prefix}{child.name}"
            if isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")

    yield from walk(module.tree, "")


def test_public_names_have_docstrings() -> None:
    missing = [name for module in modules() for name in undocumented(module)]
    assert not missing, "without docstring:\n" + "\n".join(missing)


def test_a_missing_docstring_is_reported() -> None:
    text = '"""Module."""\nclass A:\n    """Yes."""\n    def b(self): ...\n    def _c(self): ...\ndef d():\n    """Yes."""\n'
    assert list(undocumented(Module.parse("provetune.x", "x.py", text))) == ["x.py:4 A.b"]

"""Small files, small functions, few arguments, and a budget for the whole."""

from __future__ import annotations

import ast

from tests.architecture.source import FunctionNode, functions_of, modules

FILE_LINES, FILE_LINES_HARD, LONG_FILES = 300, 500, 0.05
FUNCTION_LINES, FUNCTION_LINES_HARD, LONG_FUNCTIONS = 40, 80, 0.03
ARGUMENTS = 5
SOURCE_LINES = 44_800  # all lines under src/; raised only by a commit that says why


def length(node: FunctionNode) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def arguments(node: FunctionNode) -> int:
    """Named arguments, keyword-only ones included, self and cls left out."""
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def is_command(node: FunctionNode) -> bool:
    """A Typer command's arguments are the command line's options, held by test_cli_frozen.py."""
    calls = [decorator.func for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
    return any(isinstance(call, ast.Attribute) and call.attr in ("command", "callback") for call in calls)


def test_files_are_short() -> None:
    hard = [f"{module.place}: {module.lines} lines, at most {FILE_LINES_HARD}" for module in modules() if module.lines > FILE_LINES_HARD]
    assert not hard, "\n" + "\n".join(hard)
    long = [f"{module.place}: {module.lines} lines" for module in modules() if module.lines > FILE_LINES]
    assert len(long) <= LONG_FILES * len(modules()), f"over {FILE_LINES} lines:\n" + "\n".join(long)


def test_functions_are_short() -> None:
    sizes = [(f"{module.place}:{node.lineno} {name}", length(node)) for module in modules() for name, node in functions_of(module)]
    assert len(sizes) > 100
    hard = [f"{place}: {lines} lines, at most {FUNCTION_LINES_HARD}" for place, lines in sizes if lines > FUNCTION_LINES_HARD]
    assert not hard, "\n" + "\n".join(hard)
    long = [f"{place}: {lines} lines" for place, lines in sizes if lines > FUNCTION_LINES]
    assert len(long) < LONG_FUNCTIONS * len(sizes), f"{len(long)} of {len(sizes)} functions over {FUNCTION_LINES} lines:\n" + "\n".join(
        long
    )


def test_functions_take_few_arguments() -> None:
    many = [
        f"{module.place}:{node.lineno} {name}: {arguments(node)} arguments, at most {ARGUMENTS}"
        for module in modules()
        for name, node in functions_of(module)
        if arguments(node) > ARGUMENTS and not is_command(node)
    ]
    assert not many, "\n" + "\n".join(many)


def test_the_source_stays_within_its_budget() -> None:
    total = sum(module.lines for module in modules())
    assert total <= SOURCE_LINES, f"{total} lines under src/, the budget is {SOURCE_LINES}: delete something, or raise it and say why"


def test_arguments_are_counted_as_promised() -> None:
    tree = ast.parse("def f(self, a, /, b, *, c): ...\ndef g(a, *rest, b=1, **more): ...")
    assert [arguments(node) for node in tree.body if isinstance(node, ast.FunctionDef)] == [3, 2]

"""Small files, small functions, few arguments, and a budget for the whole."""

from __future__ import annotations

import ast

from tests.architecture.source import FunctionNode, functions_of, modules

FILE_LINES, FILE_LINES_HARD, LONG_FILES = 300, 400, 0.01
FUNCTION_LINES, FUNCTION_LINES_HARD, LONG_FUNCTIONS = 40, 72, 0.01
ARGUMENTS = 5
SOURCE_LINES = 53_640  # all lines under src/; raised only by a commit that says why


ORDER_LINES = 150
"""A file of the flow reads top to bottom in so many lines."""
LONGER_ORDERS = {
    "bake_off.py": 165,
    "bases.py": 179,
    "fairness.py": 157,
    "folds.py": 220,
    "label.py": 151,
    "outlook.py": 255,
    "probe.py": 187,
    "project.py": 194,
    "prompt_search.py": 153,
    "steps.py": 224,
    "tuned.py": 156,
    "vote.py": 189,
}
"""Those that are longer; the numbers may only fall."""


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


def long_orders(lines: dict[str, int], allowed: dict[str, int]) -> list[str]:
    faults = [
        f"{name}: {count} lines, at most {allowed.get(name, ORDER_LINES)}"
        for name, count in lines.items()
        if count > allowed.get(name, ORDER_LINES)
    ]
    return faults + [
        f"{name}: not longer than {ORDER_LINES} any more; take it from the list" for name in allowed if lines.get(name, 0) <= ORDER_LINES
    ]


def test_files_of_the_flow_read_top_to_bottom() -> None:
    lines = {module.place.rpartition("/")[2]: module.lines for module in modules() if module.name.startswith("provetune.workflow.")}
    assert len(lines) > 40
    faults = long_orders(lines, LONGER_ORDERS)
    assert not faults, "workflow/ is order; what a step or a noun could say belongs there:\n" + "\n".join(faults)


def test_a_long_order_is_reported() -> None:
    assert long_orders({"a.py": 151, "b.py": 150, "c.py": 160, "d.py": 10}, {"c.py": 160, "d.py": 170}) == [
        "a.py: 151 lines, at most 150",
        "d.py: not longer than 150 any more; take it from the list",
    ]


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

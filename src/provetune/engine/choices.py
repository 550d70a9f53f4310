"""Completions that must be one of a list of texts: a tree of their tokens, walked greedily."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Node:
    """What may come next after the tokens so far; `rest` where only one choice is left: the tokens that complete it."""

    following: dict[int, Node] = field(default_factory=dict)
    ends: bool = False
    rest: list[int] | None = None


def choice_tree(choices: Sequence[Sequence[int]]) -> Node:
    """The tree of token sequences; a sequence may be the beginning of another.

    >>> root = choice_tree([[5, 6], [5, 7, 8]])
    >>> sorted(root.following), sorted(root.following[5].following), root.following[5].following[7].rest
    ([5], [6, 7], [8])
    """
    root = Node()
    for choice in choices:
        node = root
        for token in choice:
            node = node.following.setdefault(token, Node())
        node.ends = True
    _find_single_ways(root)
    return root


def _find_single_ways(node: Node) -> int:
    """Set `rest` below `node`; the number of choices that pass through it."""
    counts = {token: _find_single_ways(child) for token, child in node.following.items()}
    total = sum(counts.values()) + node.ends
    if total == 1:
        token = next(iter(node.following), None)
        node.rest = [] if token is None else [token, *(node.following[token].rest or [])]
    return total

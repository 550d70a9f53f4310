"""Completions that must be one of a list of texts: a tree of their tokens, walked greedily."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


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


class ChoiceWalk:
    """The way of one completion through a tree: as soon as one choice is left, its other tokens are forced."""

    error: str | None = None

    def __init__(self, root: Node, stop_ids: frozenset[int]) -> None:
        self._node, self._stop_ids = root, stop_ids

    @property
    def forced(self) -> list[int]:
        """Tokens that complete the only choice left."""
        return self._node.rest or []

    @property
    def complete(self) -> bool:
        """One choice is left."""
        return self._node.rest is not None

    def allowed(self, width: int) -> NDArray[np.bool_]:
        """Which of `width` tokens lead on to a choice; a stop token where one ends."""
        found = np.zeros(width, dtype=np.bool_)
        found[list(self._node.following)] = True
        found[list(self._stop_ids)] |= self._node.ends
        return found

    def take(self, token: int) -> None:
        """Follow `token`."""
        self._node = self._node.following[token]

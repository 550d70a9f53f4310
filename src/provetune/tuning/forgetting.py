"""What is trained on beside the task's rows, so that the base's abilities are kept: texts that it wrote, or rows of an earlier task."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from provetune.chat import TokenRow, encode_training
from provetune.engine.pull import Pull
from provetune.errors import DataError
from provetune.hashing import fingerprint
from provetune.protocols import Tokenizer
from provetune.records.data import Example, Message


@dataclass(frozen=True)
class BesideTexts:
    """Conversations to train on beside the task's rows, as `share` of the rows of every step, counted by where they are from.

    `left_out` counts by reason those that are among `counts` and not among `talks`. With a `pull` above 0 the model is held to the base
    there by so many times KL, else the texts are learned.
    """

    talks: Sequence[tuple[Message, ...]]
    share: float
    pull: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """All that decides what is learned from them."""
        talks = [[message.model_dump(mode="json") for message in talk] for talk in self.talks]
        return fingerprint([talks, self.share, self.pull])

    def encoded(self, tokenizer: Tokenizer, task_rows: int, base: Any) -> Beside:
        """As the loop takes them; `base` as in `Pull`. Texts longer than the context are left out. DataError where none is left."""
        rows = [row for talk in self.talks if len(row := encode_training(talk, tokenizer)) <= tokenizer.context_length]
        if not rows:
            raise DataError(
                f"found {len(self.talks)} texts to train on beside the rows, none of which fits the context; set train.forgetting: scale"
            )
        return Beside(rows, rows_per_step(self.share, task_rows), pull=Pull(1.0, base) if self.pull else None, weight=self.pull or 1.0)


@dataclass(frozen=True)
class Beside:
    """Rows of which every optimizer step sees `rows_per_step`, as a second loss beside the task's.

    With `pull` it is KL(base || model) at their labels times `pull.weight`, else their negative log-likelihood; a mean over the labels.
    Its gradient is clipped apart from the task's, so that neither drowns the other, and then counts `weight` times: before, a weight
    would be clipped away.
    """

    rows: Sequence[TokenRow]
    rows_per_step: int
    pull: Pull | None = None
    weight: float = 1.0

    @property
    def key(self) -> str:
        """All that decides the gradient, beside the model."""
        rows = hashlib.sha256(b"".join(row.ids.tobytes() + row.labelled.tobytes() for row in self.rows)).hexdigest()
        return fingerprint([rows, self.rows_per_step, None if self.pull is None else self.pull.weight, self.weight])

    def numbers(self, seed: int, step: int) -> list[int]:
        """Which rows a step sees: in the order of a shuffle, begun anew when all were seen.

        >>> rows = [TokenRow(np.array([1, 2]), np.array([False, True]))] * 3
        >>> seen = [Beside(rows, rows_per_step=2).numbers(seed=0, step=step) for step in range(3)]
        >>> sorted(number for numbers in seen for number in numbers)
        [0, 0, 1, 1, 2, 2]
        """
        count = len(self.rows)
        places = range(step * self.rows_per_step, (step + 1) * self.rows_per_step)
        return [int(np.random.default_rng([seed, 1, place // count]).permutation(count)[place % count]) for place in places]


def drawn_from(earlier: Sequence[Sequence[Example]], count: int, seed: int) -> list[Example]:
    """At most `count` rows of earlier tasks, or of general mixes, as many of each as there are; drawn once, without repetition.

    What a model learned in earlier releases is kept by training on a few of their rows again (Rolnick et al. 2019, arXiv 1811.11682).
    """
    orders = [np.random.default_rng([seed, place]).permutation(len(rows)).tolist() for place, rows in enumerate(earlier)]
    longest = max(map(len, orders), default=0)
    turns = [(place, order[turn]) for turn in range(longest) for place, order in enumerate(orders) if turn < len(order)]
    return [earlier[place][number] for place, number in turns[:count]]


def rows_per_step(share: float, task_rows: int) -> int:
    """Rows beside `task_rows` rows of the task that are `share` of all; at least one.

    >>> rows_per_step(0.1, 16), rows_per_step(0.5, 16)
    (2, 16)
    """
    return max(1, round(share * task_rows / (1 - share)))

"""Completions as they grow: one step chooses the next token of every row from the model's scores.

Free or guided (by a tree of choices or by a grammar), the likeliest token or a drawn one. A row never depends on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from provetune.engine.choices import ChoiceWalk, Node
from provetune.engine.grammar import Grammar, GrammarWalk
from provetune.engine.sampling import Sampling, draw

Walk = ChoiceWalk | GrammarWalk
"""A way through the completions that are allowed."""


@dataclass(frozen=True)
class Rules:
    """How completions are written, and when one ends: at a stop token, or once the model was asked for `max_new_tokens`.

    With `choices` a completion is one of theirs, with `grammar` a value of its schema; an ending that is the only one possible
    is added whole. Without `sampling` every token is the likeliest one allowed.
    """

    stop_ids: frozenset[int]
    max_new_tokens: int
    choices: Node | None = None
    grammar: Grammar | None = None
    sampling: Sampling | None = None


@dataclass(frozen=True)
class Written:
    """New tokens of one prompt, without the stop token; `stopped`: it came to its end; `error`: why nothing could follow."""

    ids: list[int]
    stopped: bool
    error: str | None = None


class Writer:
    """The completion of one row as it grows; `row` is the place of its prompt among all prompts."""

    def __init__(self, rules: Rules, row: int) -> None:
        self.rules, self.row = rules, row
        self.ids: list[int] = []
        self.stopped = False
        self.error: str | None = None
        self.walk: Walk | None = None
        if rules.choices is not None:
            self.walk = ChoiceWalk(rules.choices, rules.stop_ids)
        elif rules.grammar is not None:
            self.walk = rules.grammar.start()
        self.numbers = None if rules.sampling is None else rules.sampling.numbers(row)
        self._forced: list[int] = []
        self._look_ahead()

    @property
    def done(self) -> bool:
        """Nothing more is to be written."""
        return self.stopped or self.error is not None or len(self.ids) >= self.rules.max_new_tokens

    @property
    def asks(self) -> bool:
        """The next token depends on the model."""
        return not self.done and not self._forced

    @property
    def written(self) -> Written:
        """What has been written so far."""
        return Written(self.ids, self.stopped, self.error)

    def allowed(self, width: int) -> NDArray[np.bool_]:
        """Which of the model's `width` tokens may come next; where none may, the row ends here with an error."""
        assert self.walk is not None
        found = self.walk.allowed(width)
        self.error = self.walk.error or (None if found.any() else "the model has no token that may come next")
        return found

    def take(self, token: int) -> int:
        """Add the token that is forced next, else `token`; returns which. A row that is done stays as it is."""
        if self.done:
            return token
        if self._forced:
            return self.take_forced(1)[0]
        self.stopped = token in self.rules.stop_ids
        if not self.stopped:
            self.ids.append(token)
            if self.walk is not None:
                self.walk.take(token)
                self._look_ahead()
        return token

    def take_forced(self, limit: int | None = None) -> list[int]:
        """Add the tokens that are forced next, at most `limit`; returns them. The model must read them like any others."""
        room = max(0, self.rules.max_new_tokens - len(self.ids))
        tokens = self._forced[: room if limit is None else min(limit, room)]
        self._forced = self._forced[len(tokens) :]
        self.ids += tokens
        return tokens

    def _look_ahead(self) -> None:
        if self.walk is None:
            return
        self.error = self.walk.error
        if self.walk.complete:
            self.ids += self.walk.forced
            self.stopped = True
        else:
            self._forced = list(self.walk.forced)


def choose(writers: Sequence[Writer], logits: torch.Tensor) -> list[int]:
    """Take the next token of every row from `logits` `[rows, vocabulary]`; returns them, any token where a row is done."""
    guided = [place for place, writer in enumerate(writers) if writer.asks and writer.walk]
    if guided:
        barred = np.zeros(logits.shape, dtype=np.bool_)
        for place in guided:
            np.logical_not(writers[place].allowed(logits.shape[1]), out=barred[place])
        logits = logits.masked_fill(torch.from_numpy(barred).to(logits.device), -torch.inf)
    drawn = {place: (w.rules.sampling, w.numbers.random()) for place, w in enumerate(writers) if w.asks and w.rules.sampling and w.numbers}
    tokens: list[int] = logits.argmax(-1).tolist() if len(drawn) < len(writers) else [0] * len(writers)
    if drawn:
        settings, uniform = zip(*drawn.values(), strict=True)
        rows = logits if len(drawn) == len(writers) else logits[list(drawn)]
        for place, token in zip(drawn, draw(rows, settings, uniform), strict=True):
            tokens[place] = token
    return [writer.take(token) for writer, token in zip(writers, tokens, strict=True)]

"""Continuous batching: requests join and leave between two steps of decoding; a beginning that many share is read once.

Rows whose prompts begin with the same kept prefix live in one lane. Which prefixes are kept is learned from the prompts that
came lately: the one that saves most tokens. A row never depends on what is written beside it.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from provetune.engine import padded
from provetune.engine.cache import Branches, Slots, fill, read_prefix, run
from provetune.engine.forward import packed_path
from provetune.engine.generation import FILL_TOKENS, as_rows, slots_for
from provetune.engine.head import Head
from provetune.engine.writing import Rules, Writer, choose

LANES = 4
"""Prefixes that are kept at a time, the empty one beside them."""
RECENT = 32
"""Prompts among which a common beginning is looked for."""
MIN_SAVED = 32
"""Tokens that a new prefix must save a row, beyond the one that is kept already."""
SMALLEST = 128
"""Least room of a row, in tokens; then the powers of two above."""
WAIT_S = 0.02
"""Longest that a row waits for others to be read in with it while some are being written."""
PADDED_ROWS = 16


@dataclass
class Wish:
    """One completion that is wanted: `row` numbers the draws of one seed. `top` alternatives are reported for each token."""

    prompt: Sequence[int]
    rules: Rules
    row: int = 0
    top: int = 0


@dataclass
class Scored:
    """A token, its log-probability before any constraint (0 where it was forced and never asked for), and the likeliest ones."""

    token: int
    logprob: float
    top: list[tuple[int, float]]


class Row:
    """A completion under way; `scored` grows beside `writer.ids`. Set `left` to have it dropped at the next step."""

    def __init__(self, wish: Wish) -> None:
        self.wish, self.writer = wish, Writer(wish.rules, wish.row)
        self.scored: list[Scored] = []
        self.left = False
        self.since = time.monotonic()

    @property
    def done(self) -> bool:
        """Nothing more will come."""
        return self.left or self.writer.done


@dataclass
class _Lane:
    """Rows behind one prefix: `tokens[k]` is the last one of row k, not read yet."""

    ids: tuple[int, ...]
    slots: Slots
    rows: list[Row] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    used: int = 0


class Batch:
    """All completions of one model that are under way. Not for several threads: one calls `join` and `step` in turn."""

    def __init__(self, model: Any) -> None:
        self.model, self._head = model.eval(), Head.of(model)
        self.waiting: deque[Row] = deque()
        self._lanes: list[_Lane] = [self._lane(())]
        self._recent: deque[Sequence[int]] = deque(maxlen=RECENT)
        self._clock = itertools.count(1)
        self.prefix_tokens = 0  # tokens of prompts that were not read again

    @property
    def under_way(self) -> int:
        """Rows that wait or are being written."""
        return len(self.waiting) + sum(len(lane.rows) for lane in self._lanes)

    def join(self, wish: Wish) -> Row:
        """Begin a completion at the next step; its prompt is at least one token long."""
        row = Row(wish)
        self.waiting.append(row)
        return row

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """One more token for every row; rows that got some, finished ones among them for the last time."""
        for row in [row for row in self.waiting if row.done]:
            self.waiting.remove(row)
        if self.waiting and not packed_path(self.model, as_rows([self.waiting[0].wish.prompt])):
            return self._padded()
        moved = dict.fromkeys(self._admit())
        for lane in self._lanes:
            self._drop(lane)
            if lane.rows:
                step = Branches.step(lane.slots)
                states = run(self.model, lane.tokens, step.positions, step)
                lane.slots.lengths = [length + 1 for length in lane.slots.lengths]
                lane.tokens = _take(lane.rows, self._head.logits(states))
                moved |= dict.fromkeys(lane.rows)
                self._drop(lane)
        return list(moved)

    def _drop(self, lane: _Lane) -> None:
        """Give the room of finished rows to others."""
        finished = [place for place, row in enumerate(lane.rows) if row.done]
        for source, target in lane.slots.free(finished) if finished else []:
            lane.rows[target], lane.tokens[target] = lane.rows[source], lane.tokens[source]
        del lane.rows[len(lane.slots.lengths) :], lane.tokens[len(lane.slots.lengths) :]

    def _admit(self) -> list[Row]:
        """Read waiting rows in, one lane's at a time, where it is worth a pass."""
        active = sum(len(lane.rows) for lane in self._lanes)
        if not self.waiting:
            return []
        if active and len(self.waiting) < max(1, active // 8) and time.monotonic() - self.waiting[0].since < WAIT_S:
            return []
        lane = self._lane_of(self.waiting[0].wish.prompt)
        fresh: list[Row] = []
        tokens = 0
        for row in list(self.waiting):
            own = len(row.wish.prompt) - len(lane.ids)
            if tokens and tokens + own > FILL_TOKENS:
                break
            if fresh and self._best(row.wish.prompt) is not lane:
                continue
            if not self._room(lane, own + row.wish.rules.max_new_tokens, len(fresh)):
                break
            self.waiting.remove(row)
            fresh.append(row)
            tokens += own
        if fresh:
            self.prefix_tokens += len(lane.ids) * len(fresh)
            states = fill(self.model, lane.slots, [row.wish.prompt[len(lane.ids) :] for row in fresh])
            lane.tokens += _take(fresh, self._head.logits(states))
            lane.rows += fresh
        return fresh

    def _room(self, lane: _Lane, tokens: int, joining: int) -> bool:
        """Whether one more row of so many tokens fits; makes longer rows where they are needed."""
        taken = len(lane.rows) + joining
        wanted = max(SMALLEST, 1 << (tokens - 1).bit_length())
        capacity = wanted if not taken else max(lane.slots.capacity, wanted)
        count = slots_for(self.model, capacity)
        if taken >= count:
            return False
        if capacity != lane.slots.capacity:
            lane.slots.resize(count, capacity)
        return True

    def _best(self, prompt: Sequence[int]) -> _Lane:
        """The lane with the longest prefix of this prompt; a row keeps at least one token of its own."""
        fitting = [lane for lane in self._lanes if len(lane.ids) < len(prompt) and tuple(prompt[: len(lane.ids)]) == lane.ids]
        return max(fitting, key=lambda lane: len(lane.ids))

    def _lane_of(self, prompt: Sequence[int]) -> _Lane:
        """The best lane, a new one where what came lately begins with much more of this prompt."""
        best = self._best(prompt)
        alike = sorted((_alike(prompt, other) for other in self._recent), reverse=True)
        self._recent.append(prompt)
        worth = [((place + 1) * (length - len(best.ids)), length) for place, length in enumerate(alike)]
        saved, length = max(worth, default=(0, 0))
        if saved >= 2 * MIN_SAVED and length >= len(best.ids) + MIN_SAVED and self._free_a_lane():
            best = self._lane(tuple(prompt[:length]))
            self._lanes.append(best)
        best.used = next(self._clock)
        return best

    def _free_a_lane(self) -> bool:
        """Make room for a prefix; False where all kept ones are in use."""
        if len(self._lanes) <= LANES:
            return True
        idle = [lane for lane in self._lanes[1:] if not lane.rows]
        if idle:
            self._lanes.remove(min(idle, key=lambda lane: lane.used))
        return bool(idle)

    @torch.inference_mode()
    def _lane(self, ids: tuple[int, ...]) -> _Lane:
        prefix = read_prefix(self.model, ids)
        return _Lane(ids, Slots(prefix, slots_for(self.model, SMALLEST), SMALLEST, self.model.device))

    def _padded(self) -> list[Row]:
        """The way of models whose attention cannot be replaced: rows that wait are written together, and others wait for them."""
        rows = [self.waiting.popleft() for _ in range(min(PADDED_ROWS, len(self.waiting)))]
        padded.decode(self.model, [list(row.wish.prompt) for row in rows], [row.writer for row in rows])
        for row in rows:
            row.scored += [Scored(token, 0.0, []) for token in row.writer.ids]
        return rows


def _take(rows: Sequence[Row], logits: torch.Tensor) -> list[int]:
    """The next token of every row, with its log-probability noted."""
    before = [len(row.writer.ids) for row in rows]
    asked = [row.writer.asks for row in rows]
    tokens = choose([row.writer for row in rows], logits)
    chosen = logits.gather(1, torch.tensor(tokens, device=logits.device)[:, None])[:, 0].float()
    totals = logits.float().logsumexp(-1)
    logprobs = (chosen - totals).tolist()
    for place, row in enumerate(rows):
        top = _likeliest(logits[place], float(totals[place]), row.wish.top) if row.wish.top else []
        for number, token in enumerate(row.writer.ids[before[place] :]):
            first = number == 0 and asked[place]
            row.scored.append(Scored(token, logprobs[place] if first else 0.0, top if first else []))
    return tokens


def _likeliest(logits: torch.Tensor, total: float, count: int) -> list[tuple[int, float]]:
    values, tokens = logits.float().topk(min(count, len(logits)))
    return [(int(token), float(value) - total) for value, token in zip(values, tokens, strict=True)]


def _alike(a: Sequence[int], b: Sequence[int]) -> int:
    """Tokens that two prompts begin with alike, short of the last of either."""
    length = min(len(a), len(b)) - 1
    same: NDArray[np.bool_] = np.asarray(a[:length]) == np.asarray(b[:length])
    return length if same.all() else int(np.argmin(same))

"""One loaded model that answers many callers at once: a thread of its own decodes, callers on any thread are told of each piece."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from provetune.engine.live import Batch, Row, Scored, Wish
from provetune.engine.writing import Rules
from provetune.errors import ModelError
from provetune.models.asking import ask
from provetune.models.transformers import TransformersGenerator
from provetune.protocols import Completion, Tokenizer
from provetune.records.candidate import Candidate, GenerationSettings
from provetune.records.data import Example

End = Literal["stop", "length", "error", "cancelled"]
RULES_KEPT = 64
TOGETHER = 64
"""Requests whose choices are scored in one pass, at most."""


@dataclass(frozen=True)
class Piece:
    """What was written since the last piece; `end` is given with the last one, `tokens` are those of the completion so far."""

    text: str
    tokens: int
    scored: tuple[Scored, ...] = ()
    end: End | None = None
    error: str | None = None


Emit = Callable[[Piece], None]


@dataclass(frozen=True)
class LiveRequest:
    """A completion that is wanted. `stop` are texts that end it, `draw` numbers the completions of one seed.

    Without `every_piece` one piece comes, at the end.
    """

    ids: Sequence[int]
    settings: GenerationSettings
    stop: tuple[str, ...] = ()
    draw: int = 0
    top: int = 0
    every_piece: bool = False


@dataclass
class Ticket:
    """A request under way; `cancel` ends it at the next step."""

    request: LiveRequest
    emit: Emit
    rules: Rules
    row: Row | None = None
    cancelled: bool = False

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self.cancelled = True
        if self.row is not None:
            self.row.left = True


@dataclass
class _Scoring:
    """A request for the likeliest choice."""

    candidate: Candidate
    example: Example
    emit: Callable[[Completion], None]


@dataclass
class _Reading:
    """The text of a row as far as it cannot change any more: `sent` went out, `held` may be the beginning of a stop text."""

    tokenizer: Tokenizer
    stop: tuple[str, ...]
    sent: str = ""
    held: str = ""
    stopped: bool = False
    scored: int = 0
    _begin: int = field(default=0, repr=False)
    _read: int = field(default=0, repr=False)

    def more(self, ids: Sequence[int], *, last: bool) -> str:
        """What can be said now that these are the tokens."""
        before = self.tokenizer.decode(ids[self._begin : self._read])
        now = self.tokenizer.decode(ids[self._begin :])
        if last:
            whole = self.tokenizer.decode(ids)
            known = self.sent + self.held
            self.held += whole[len(known) :] if whole.startswith(known) else now[len(before) :]
        elif len(now) > len(before) and not now.endswith("\ufffd"):  # half a letter waits for its other bytes
            self.held += now[len(before) :]
            self._begin, self._read = self._read, len(ids)
        return self._released(last)

    def _released(self, last: bool) -> str:
        found = [place for text in self.stop if (place := self.held.find(text)) >= 0]
        if found:
            self.stopped, self.held = True, self.held[: min(found)]
        keep = 0 if last or self.stopped else max((_overlap(self.held, text) for text in self.stop), default=0)
        out, self.held = self.held[: len(self.held) - keep], self.held[len(self.held) - keep :]
        self.sent += out
        return out


def _overlap(text: str, stop: str) -> int:
    """Letters at the end of `text` that a stop text may begin with."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)


class LiveModel:
    """Owns the thread that decodes. `generator` may be used on that thread alone, through `score`."""

    def __init__(self, model: Any, tokenizer: Tokenizer) -> None:
        self.generator, self.tokenizer = TransformersGenerator(model, tokenizer), tokenizer
        self._batch = Batch(model)
        self._inbox: queue.SimpleQueue[Ticket | _Scoring | None] = queue.SimpleQueue()
        self._open: dict[Row, tuple[Ticket, _Reading]] = {}
        self._rules: OrderedDict[str, Rules] = OrderedDict()
        self._rules_lock = threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="decoding", daemon=True)
        self._thread.start()

    def rules(self, settings: GenerationSettings) -> Rules:
        """How completions under these settings are written; a schema is compiled once. Raises SpecError for one that cannot be held."""
        key = settings.model_dump_json()
        with self._rules_lock:
            if key not in self._rules:
                self._rules[key] = self.generator.rules(settings)
            self._rules.move_to_end(key)
            while len(self._rules) > RULES_KEPT:
                self._rules.popitem(last=False)
            return self._rules[key]

    def submit(self, request: LiveRequest, emit: Emit) -> Ticket:
        """Begin a completion; `emit` is called from the decoding thread and must return at once."""
        ticket = Ticket(request, emit, self.rules(request.settings))
        self._put(ticket)
        return ticket

    def score(self, candidate: Candidate, example: Example, emit: Callable[[Completion], None]) -> None:
        """Choose the likeliest of the candidate's choices for an example; `emit` is called from the decoding thread."""
        self._put(_Scoring(candidate, example, emit))

    def close(self) -> None:
        """End the thread; whoever still waits gets an error."""
        self._closing = True
        self._inbox.put(None)
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread that decodes is running."""
        return self._thread.is_alive()

    @property
    def under_way(self) -> int:
        """Completions that wait or are being written."""
        return self._batch.under_way

    @property
    def prefix_tokens(self) -> int:
        """Tokens of prompts so far that were kept and not read again."""
        return self._batch.prefix_tokens

    def _put(self, item: Ticket | _Scoring) -> None:
        if self._closing:
            raise ModelError("the model is being closed; ask again, another one answers")
        self._inbox.put(item)

    def _work(self) -> None:
        scorings: list[_Scoring] = []
        while not self._closing:
            item = None if self._batch.under_way or scorings else self._inbox.get()
            while item is not None or not self._inbox.empty():
                item = item or self._inbox.get()
                if isinstance(item, Ticket):
                    self._begin(item)
                elif item is not None:
                    scorings.append(item)
                item = None
            self._score(scorings[:TOGETHER])
            scorings = scorings[TOGETHER:]
            self._step()
        self._fail("the model was closed")

    def _begin(self, ticket: Ticket) -> None:
        wish = ticket.request
        ticket.row = self._batch.join(Wish(wish.ids, ticket.rules, wish.draw, wish.top))
        ticket.row.left = ticket.cancelled
        self._open[ticket.row] = ticket, _Reading(self.tokenizer, wish.stop)

    def _step(self) -> None:
        try:
            moved = self._batch.step() if self._batch.under_way else []
        except (RuntimeError, MemoryError) as error:  # out of memory, mostly: these requests fail, the next ones are tried
            self._batch = Batch(self._batch.model)
            self._fail(f"the model failed ({type(error).__name__})")
            return
        for row in moved:
            self._report(row)
        for row in [row for row in self._open if row.left]:
            self._end(row, "cancelled", None)

    def _report(self, row: Row) -> None:
        if row not in self._open:
            return
        ticket, reading = self._open[row]
        writer, done = row.writer, row.done
        if not done and not ticket.request.every_piece and not reading.stop:
            return
        text = reading.more(writer.ids, last=done)
        if reading.stopped:
            row.left = True
            self._end(row, "stop", None, text)
        elif done:
            end: End = "error" if writer.error else "stop" if writer.stopped else "length"
            self._end(row, end, writer.error, text)
        elif ticket.request.every_piece and text:
            ticket.emit(self._piece(row, reading, text))

    def _piece(self, row: Row, reading: _Reading, text: str, end: End | None = None, error: str | None = None) -> Piece:
        scored = tuple(row.scored[reading.scored :])
        reading.scored = len(row.scored)
        whole = text if self._open[row][0].request.every_piece else reading.sent
        return Piece(whole, len(row.writer.ids), scored, end, error)

    def _end(self, row: Row, end: End, error: str | None, text: str = "") -> None:
        ticket, reading = self._open[row]
        ticket.emit(self._piece(row, reading, text, end, error))
        del self._open[row]

    def _score(self, scorings: Sequence[_Scoring]) -> None:
        for candidate in dict.fromkeys(one.candidate.fingerprint for one in scorings):
            group = [one for one in scorings if one.candidate.fingerprint == candidate]
            try:
                found = ask(group[0].candidate, self.generator, [one.example for one in group], lambda *_: None).completions
            except (RuntimeError, MemoryError) as error:
                found = [Completion(None, 0, 0, False, f"the model failed ({type(error).__name__})")] * len(group)
            for one, completion in zip(group, found, strict=True):
                one.emit(completion)

    def _fail(self, reason: str) -> None:
        for row in list(self._open):
            self._end(row, "error", reason)

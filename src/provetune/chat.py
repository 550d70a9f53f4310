"""One place that turns messages into tokens: for training, evaluation and serving alike.

The loss mask is never taken from the template's own markers. Each assistant turn is rendered twice, open
and complete; what the second adds to the first is what the model must write. The prompt part of a row is
therefore exactly what a server would send, token by token.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from provetune.errors import DataError, ModelError, ProvetuneError
from provetune.hashing import fingerprint
from provetune.records.candidate import Prompt, Shot
from provetune.records.data import Example, Message

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class ChatTokenizer(Protocol):
    """The part of a tokenizer that rendering needs; `protocols.Tokenizer` is one."""

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an assistant turn."""
        ...

    def render(self, messages: Sequence[Message], open_turn: bool) -> str:
        """The template's text."""
        ...

    def encode(self, text: str) -> list[int]:
        """Ids of rendered text, adding nothing."""
        ...


class BatchTokenizer(ChatTokenizer, Protocol):
    """A tokenizer that takes many texts at once."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, as `encode` gives them."""
        ...


_TAIL = 64
_Piece = tuple[str, bool]
"""Rendered text, and whether it is learned."""


@dataclass(frozen=True)
class TokenRow:
    """One rendered conversation: `ids[t]` is trained on where `labelled[t]` is true.

    Shapes: both `[length]`. The first token can never be trained on: nothing precedes it.
    """

    ids: IntArray
    labelled: BoolArray

    def __post_init__(self) -> None:
        if self.ids.shape != self.labelled.shape:
            raise ValueError(f"ids {self.ids.shape} and labelled {self.labelled.shape} differ in shape")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def label_count(self) -> int:
        """Number of tokens that the loss is taken on."""
        return int(self.labelled[1:].sum())


def tools_of(messages: Sequence[Message]) -> tuple[str, ...]:
    """The functions that may be called in a conversation, one JSON Schema text each."""
    return next((message.tools for message in messages if message.tools), ())


def with_tools(messages: Sequence[Message], tools: tuple[str, ...]) -> tuple[Message, ...]:
    """The conversation with these tools on its first message and none elsewhere."""
    wanted = [tools, *([()] * (len(messages) - 1))]
    return tuple(m if m.tools == own else m.model_copy(update={"tools": own}) for m, own in zip(messages, wanted, strict=True))


def prompt_messages(prompt: Prompt, example: Example, shots: Sequence[Shot] = ()) -> tuple[Message, ...]:
    """What is sent for one example: system line, shots, then the example's own turns, with the example's own tools.

    The example's own system line always stands; what the prompt brings is added below it. `shots` are this example's own, where the
    prompt gives each row others.
    """
    own = example.prompt_messages
    lines = [m.content for m in own if m.role == "system"] + ([prompt.system] if prompt.system is not None else [])
    head = (Message(role="system", content="\n\n".join(lines)),) if lines else ()
    body = _with_turn(tuple(m for m in own if m.role != "system"), prompt.turn)
    return with_tools(head + tuple(turn for shot in (*prompt.shots, *shots) for turn in shot) + body, tools_of(own))


def _with_turn(body: tuple[Message, ...], turn: str | None) -> tuple[Message, ...]:
    """The conversation with `turn` below the last thing that the user says."""
    place = max((place for place, message in enumerate(body) if message.role == "user"), default=None)
    if turn is None or place is None:
        return body
    longer = body[place].model_copy(update={"content": f"{body[place].content}\n\n{turn}"})
    return (*body[:place], longer, *body[place + 1 :])


def shot_of(prompt: Prompt, example: Example) -> Shot:
    """An example as it stands before others under this prompt: asked as they are asked, answered behind the marker."""
    asked = example.prompt_text if prompt.turn is None else f"{example.prompt_text}\n\n{prompt.turn}"
    answered = example.target if prompt.answer_marker is None else f"{prompt.answer_marker} {example.target}"
    return Message(role="user", content=asked), Message(role="assistant", content=answered)


def answer_of(prompt: Prompt, completion: str, *, one_line: bool = False) -> str | None:
    """What counts of a completion: all of it, or what stands after the prompt's last answer marker; None where there is no marker.

    Emphasis around the answer is no part of it. With `one_line` the answer ends with its first line.

    >>> prompt = Prompt(strategy="chain-of-thought", answer_marker="Answer:")
    >>> answer_of(prompt, "Twice two. **Answer:** four"), answer_of(prompt, "It is four.")
    ('four', None)
    """
    if prompt.answer_marker is None:
        return completion
    parts = re.split(re.escape(prompt.answer_marker), completion, flags=re.IGNORECASE)
    answer = parts[-1].strip(" \t\r\n*") if len(parts) > 1 else None
    return answer.partition("\n")[0].strip(" \t\r*") if one_line and answer is not None else answer


def left_out(messages: Sequence[Message], text: str) -> str | None:
    """The first part of the conversation that the rendered `text` lacks, in words; None where it lacks nothing.

    Looked for are contents, names of speakers, declared tools, and names and texts of tool calls, each as often as it stands in the
    messages. Not looked for: ids of calls and names beside tool results (the order says them), and reasoning before `</think>`, which
    templates leave out of earlier turns on purpose. Blanks and JSON escapes may differ.
    """
    parts = [part for place, message in enumerate(messages, start=1) for part in _parts(message, place)]
    for wanted, count in Counter(part for part, _ in parts).items():
        if not _stands_in(text, wanted, count):
            return next(where for part, where in parts if part == wanted)
    return None


def _parts(message: Message, place: int) -> Iterator[tuple[str, str]]:
    """What must be seen of a message, and what it is called."""
    turn = f"of turn {place} ({message.role})"
    content = message.content.rpartition("</think>")[2].strip()
    if content:
        yield content, f"the content {turn}"
    if message.name is not None and message.role != "tool":
        yield message.name, f"the name {message.name!r} {turn}"
    for tool in message.tools:
        name = json.loads(tool)["function"]["name"]
        yield name, f"the tool {name!r}"
    for call in message.tool_calls:
        yield call.name, f"the tool call {call.name!r} {turn}"
        for key, value in json.loads(call.arguments).items():
            if isinstance(value, str) and value.strip():
                yield value.strip(), f"the argument {key!r} of the tool call {call.name!r} {turn}"


def _stands_in(text: str, wanted: str, count: int) -> bool:
    if text.count(wanted) >= count or text.count(json.dumps(wanted, ensure_ascii=False)[1:-1]) >= count:
        return True
    return "".join(text.split()).count("".join(wanted.split())) >= count


def encode_prompt(messages: Sequence[Message], tokenizer: ChatTokenizer) -> list[int]:
    """Ids of a conversation that waits for an assistant turn."""
    return tokenizer.encode(tokenizer.render(messages, open_turn=True))


def encode_training(messages: Sequence[Message], tokenizer: ChatTokenizer, source: str = "") -> TokenRow:
    """Ids of a whole conversation, with every assistant turn of weight 1 labelled up to its stop token.

    Raises ModelError when the template rewrites earlier turns (what was sent is then not a prefix of what
    was trained), DataError when the row has no assistant turn to train on.
    """
    turns = _turns(messages, tokenizer, source)
    ids = [
        _after(tail, tokenizer.encode(tail + text), text, tokenizer)
        for tail, (text, _) in zip(_tails(turns, tokenizer), turns, strict=True)
    ]
    return _token_row(ids, turns, tokenizer.stop_ids, source)


def encode_training_rows(examples: Sequence[Example], tokenizer: BatchTokenizer) -> list[TokenRow | ProvetuneError]:
    """`encode_training` of many rows at once: for each its tokens, or the error that it raises alone."""
    rows: list[list[_Piece] | ProvetuneError] = []
    for example in examples:
        try:
            rows.append(_turns(example.messages, tokenizer, example.source))
        except ProvetuneError as error:
            rows.append(error)
    texts = [(tail, text) for row in rows if isinstance(row, list) for tail, (text, _) in zip(_tails(row, tokenizer), row, strict=True)]
    encoded = tokenizer.encode_batch([tail + text for tail, text in texts])
    ids = (_after(tail, found, text, tokenizer) for (tail, text), found in zip(texts, encoded, strict=True))
    found: list[TokenRow | ProvetuneError] = []
    for example, row in zip(examples, rows, strict=True):
        try:
            found.append(_token_row(list(islice(ids, len(row))), row, tokenizer.stop_ids, example.source) if isinstance(row, list) else row)
        except ProvetuneError as error:
            found.append(error)
    return found


def _turns(messages: Sequence[Message], tokenizer: ChatTokenizer, source: str) -> list[_Piece]:
    """For each assistant turn what stands before it since the last one, and what the model must write."""
    pieces: list[_Piece] = []
    done = ""
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        before = tokenizer.render(messages[:index], open_turn=True)
        after = tokenizer.render(messages[: index + 1], open_turn=False)
        if not (before.startswith(done) and after.startswith(before)):
            raise ModelError(
                f"{source}: the chat template rewrites earlier turns once turn {index + 1} is there, so a row cannot be "
                "trained as it will be served; wanted a template that only appends. Split the row into one row per assistant turn"
            )
        pieces += [(before[len(done) :], False), (after[len(before) :], message.weight == 1)]
        done = after
    return pieces


_MARKS: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def _marks_beginnings(tokenizer: ChatTokenizer) -> bool:
    """Whether a word that begins a text gets other tokens than within one, as tokenizers of SentencePiece's make have it."""
    if tokenizer not in _MARKS:
        _MARKS[tokenizer] = tokenizer.encode("a\nx") != [*tokenizer.encode("a\n"), *tokenizer.encode("x")]
    return _MARKS[tokenizer]


def _tails(pieces: Sequence[_Piece], tokenizer: ChatTokenizer) -> list[str]:
    """What stands right before each piece, as far as it decides on the tokens of the piece."""
    if not _marks_beginnings(tokenizer):
        return [""] * len(pieces)
    ends = accumulate((text for text, _ in pieces[:-1]), initial="")
    return [end[-_TAIL:] for end in ends]


def _after(tail: str, ids: list[int], text: str, tokenizer: ChatTokenizer) -> list[int]:
    """The part of the `ids` of tail + text that is the text's; where the tail's cannot be told apart, ids of the text alone."""
    before = tokenizer.encode(tail) if tail else []
    return ids[len(before) :] if ids[: len(before)] == before else tokenizer.encode(text)


def _token_row(ids: Sequence[Sequence[int]], pieces: Sequence[_Piece], stop_ids: frozenset[int], source: str) -> TokenRow:
    labelled: list[bool] = []
    for tokens, (_, learned) in zip(ids, pieces, strict=True):
        end = max((i + 1 for i, token in enumerate(tokens) if token in stop_ids), default=len(tokens)) if learned else 0
        labelled += [True] * end + [False] * (len(tokens) - end)
    if not any(labelled[1:]):
        raise DataError(f"{source}: no assistant turn to train on; wanted at least one with weight 1")
    return TokenRow(np.fromiter(chain.from_iterable(ids), dtype=np.int64, count=len(labelled)), np.array(labelled, dtype=bool))


def template_fingerprint(tokenizer: ChatTokenizer) -> str:
    """Changes whenever the template or the tokenizer renders a small probe conversation differently."""
    probe = [
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello  World\n1234 déjà"),
        Message(role="assistant", content="Yes."),
        Message(role="user", content="Why?"),
    ]
    for turns in (probe, probe[1:]):
        try:
            text = tokenizer.render(turns, open_turn=True)
            break
        except ModelError:  # some templates know no system line, some drop earlier turns
            continue
    else:
        text = tokenizer.render(probe[1:2], open_turn=True)
    return fingerprint([text, tokenizer.encode(text)])


def turn_ids(text: str, tokenizer: ChatTokenizer) -> list[int]:
    """An assistant turn as it is trained: its tokens and the one that ends it."""
    turns = (Message(role="user", content="?"), Message(role="assistant", content=text))
    row = encode_training(turns, tokenizer)
    return [int(token) for token in row.ids[row.labelled]]

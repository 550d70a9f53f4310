"""One place that turns messages into tokens: for training, evaluation and serving alike.

The loss mask is never taken from the template's own markers. Each assistant turn is rendered twice, open
and complete; what the second adds to the first is what the model must write. The prompt part of a row is
therefore exactly what a server would send, token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from provetune.errors import DataError, ModelError
from provetune.hashing import fingerprint
from provetune.records.candidate import Prompt
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


def prompt_messages(prompt: Prompt, example: Example) -> tuple[Message, ...]:
    """What is sent for one example: system line, shots, then the example's own turns.

    The example's own system line always stands; what the prompt brings is added below it.
    """
    own = example.prompt_messages
    lines = [m.content for m in own if m.role == "system"] + ([prompt.system] if prompt.system is not None else [])
    head = (Message(role="system", content="\n\n".join(lines)),) if lines else ()
    body = tuple(m for m in own if m.role != "system")
    return head + tuple(turn for shot in prompt.shots for turn in shot) + body


def encode_prompt(messages: Sequence[Message], tokenizer: ChatTokenizer) -> list[int]:
    """Ids of a conversation that waits for an assistant turn."""
    return tokenizer.encode(tokenizer.render(messages, open_turn=True))


def encode_training(messages: Sequence[Message], tokenizer: ChatTokenizer, source: str = "") -> TokenRow:
    """Ids of a whole conversation, with every assistant turn of weight 1 labelled up to its stop token.

    Raises ModelError when the template rewrites earlier turns (what was sent is then not a prefix of what
    was trained), DataError when the row has no assistant turn to train on.
    """
    ids: list[int] = []
    labelled: list[bool] = []
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
        prompt = tokenizer.encode(before[len(done) :])
        completion = tokenizer.encode(after[len(before) :])
        end = max((i + 1 for i, token in enumerate(completion) if token in tokenizer.stop_ids), default=len(completion))
        ids += prompt + completion
        labelled += [False] * len(prompt)
        labelled += [message.weight == 1 and i < end for i in range(len(completion))]
        done = after
    if not any(labelled[1:]):
        raise DataError(f"{source}: no assistant turn to train on; wanted at least one with weight 1")
    return TokenRow(np.array(ids, dtype=np.int64), np.array(labelled, dtype=bool))


def template_fingerprint(tokenizer: ChatTokenizer) -> str:
    """Changes whenever the template or the tokenizer renders a small probe conversation differently."""
    probe = [
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello  World\n1234 déjà"),
        Message(role="assistant", content="Yes."),
        Message(role="user", content="Why?"),
    ]
    text = tokenizer.render(probe, open_turn=True)
    return fingerprint([text, tokenizer.encode(text)])

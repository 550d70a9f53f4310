"""Rows with nothing wrong with them, a tokenizer of letters, and short ways to ask one check."""

from __future__ import annotations

from collections.abc import Sequence

from provetune.audit import CHECKS, AuditInput
from provetune.chat import TokenRow, encode_training
from provetune.errors import ModelError
from provetune.records.data import Example, Finding, Message
from provetune.similarity import example_groups
from provetune.spec import TaskSpec

CLASSIFY = TaskSpec(type="classify")
TOPICS = ["cards", "loans", "fees", "cash"]
NOUNS = ["vault", "meadow", "pigeon", "lantern", "harbour", "quartz", "violin", "bakery", "tunnel", "orchid", "kettle", "glacier", "parrot"]
VERBS = ["opens", "borrows", "repairs", "forgets", "paints", "counts", "hides"]


class Letters:
    """A tokenizer of one token a character; 1 begins a turn, 2 ends it."""

    context_length = 120
    stop_ids = frozenset({2})

    def render(self, messages: Sequence[Message], open_turn: bool) -> str:
        text = "".join(f"\x01{message.role}:{message.content}\x02" for message in messages)
        return text + ("\x01assistant:" if open_turn else "")

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(number) for number in ids if number > 2)

    def to_json(self) -> str:
        raise ModelError("a tokenizer of letters has no file")


TOKENIZER = Letters()


def encode(example: Example) -> TokenRow:
    return encode_training(example.messages, TOKENIZER)


def example(number: int, prompt: str, target: str, system: str | None = None) -> Example:
    head = () if system is None else (Message(role="system", content=system),)
    turns = (*head, Message(role="user", content=prompt), Message(role="assistant", content=target))
    return Example(id=f"r{number}", messages=turns, label=target.strip())


def clean() -> list[Example]:
    """80 rows of four labels, all different."""
    prompts = [f"{noun} {verb} {NOUNS[(place * 5 + 3) % 13]}" for place, noun in enumerate(NOUNS) for verb in VERBS]
    return [example(number, prompt, TOPICS[number % 4]) for number, prompt in enumerate(prompts[:80])]


def inputs(examples: list[Example], test_examples: list[Example] | None = None) -> AuditInput:
    return AuditInput(examples, CLASSIFY, TOKENIZER, encode, example_groups(examples), test_examples)


def found(name: str, given: AuditInput) -> list[Finding]:
    return CHECKS[name](given)


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]

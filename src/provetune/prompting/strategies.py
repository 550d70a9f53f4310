"""The strategies that a tuned model has to beat, as prompts: parts joined by `+`, put together from texts that a user may edit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from provetune.chat import shot_of
from provetune.errors import SpecError
from provetune.prompting.picking import PICKS
from provetune.prompting.templates import fill, load_templates
from provetune.protocols import Embedder, Tokenizer
from provetune.records.candidate import PARTS, Pick, Prompt, SimilarShots, strategy_name
from provetune.records.data import Example, Message

ANSWER_MARKER = "Answer:"
ROLES = {
    "classify": "an expert at sorting messages",
    "extract": "an expert at reading facts out of messages",
    "generate": "an expert writer",
    "chat": "a knowledgeable and precise assistant",
}
"""Who the model is told to be where the project says nothing."""
MORE_THAN_A_TEXT = {"zero-shot", "few-shot", "chain-of-thought", "described"}
"""Parts with code of their own; every other part is the text of its name (`templates/<part>.txt`) above the instruction."""


@dataclass(frozen=True)
class PromptRequest:
    """What a strategy may use: the task, its labels, training rows, and the room in tokens for system line and shots together.

    `pick` says how shots are picked, `backwards` turns their order around; `embedder` and `pool_sha256`, the content hash of the
    training rows, are for picks by meaning. `descriptions` are those of labels, `schema` is a JSON Schema as text.
    """

    task: str
    labels: tuple[str, ...]
    train: Sequence[Example]
    tokenizer: Tokenizer
    room: int
    shots: int = 8
    seed: int = 7
    pick: Pick = "balanced"
    backwards: bool = False
    embedder: Embedder | None = None
    pool_sha256: str = ""
    role: str | None = None
    descriptions: Mapping[str, str] = field(default_factory=dict)
    schema: str | None = None
    templates: Mapping[str, str] = field(default_factory=load_templates)


def prompt_of(strategy: str, request: PromptRequest) -> Prompt:
    """The prompt of a strategy such as `few-shot` or `role+chain-of-thought`.

    Raises SpecError where something that a part needs is missing, or where not one of the shots has room.
    """
    try:
        parts = set(strategy_name(strategy).split("+"))
    except ValueError as error:
        raise SpecError(f"strategy {strategy!r}: {error}") from error
    reasoned = "chain-of-thought" in parts
    above = [_text(request, part) for part in PARTS if part in parts - MORE_THAN_A_TEXT]
    lines = [*above, instruction(request, described="described" in parts, reasoned=reasoned)]
    prompt = Prompt(
        strategy=strategy,
        system="\n\n".join(lines),
        turn=_text(request, "chain-of-thought") if reasoned else None,
        answer_marker=ANSWER_MARKER if reasoned else None,
    )
    below = 0 if prompt.turn is None else len(request.tokenizer.encode(f"\n\n{prompt.turn}"))
    roomy = replace(request, room=request.room - below)
    if "few-shot" not in parts:
        if reasoned and len(request.tokenizer.encode(prompt.system or "")) > roomy.room:
            raise _no_room(prompt, roomy, "the instruction")
        return prompt
    return _with_similar_shots(prompt, roomy) if request.pick == "similar" else _with_shots(prompt, roomy)


def instruction(request: PromptRequest, *, described: bool = False, reasoned: bool = False) -> str:
    """What a prompted candidate is told below the user's own system line: the answer's form, and all labels or fields.

    `described` explains each of them, `reasoned` leaves room for thoughts before the answer.
    """
    name = request.task + ("-described" if described else "")
    if described and not (name in request.templates and _described(request)):
        raise SpecError(
            f"described: found nothing that describes a task {request.task}; wanted task.descriptions (one line for each label) "
            "or, to extract, task.schema; or another strategy"
        )
    return _text(request, f"{name}-reasoned" if reasoned and f"{name}-reasoned" in request.templates else name)


def _text(request: PromptRequest, name: str) -> str:
    values = {"role": request.role or ROLES[request.task], "marker": ANSWER_MARKER}
    if request.labels:
        values["labels"] = ", ".join(request.labels)
    if request.schema is not None:
        values["schema"] = request.schema
    if described := _described(request):
        values["descriptions"] = described
    try:
        return fill(request.templates[name], values)
    except KeyError as error:
        raise SpecError(
            f"prompts/{name}.txt fills in {{{error.args[0]}}}, which this project does not have; it has {', '.join(sorted(values))}"
        ) from error


def _described(request: PromptRequest) -> str:
    """One line for each label or field; empty where nothing describes them."""
    if request.labels and request.descriptions:
        unknown = next((label for label in request.descriptions if label not in request.labels), None)
        if unknown is not None:
            raise SpecError(f"task.descriptions: {unknown!r} is no label; wanted one of {', '.join(request.labels)}")
        told = request.descriptions
        return "\n".join(f"- {label}: {told[label]}" if label in told else f"- {label}" for label in request.labels)
    return "\n".join(_fields(json.loads(request.schema))) if request.schema is not None else ""


def _fields(schema: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """The properties of a JSON Schema, one line each, those of nested objects below them."""
    for name, part in schema.get("properties", {}).items():
        part = part if isinstance(part, dict) else {}
        many = isinstance(part.get("items"), dict)
        inner = part["items"] if many else part
        kinds = inner.get("type", [])
        kind = " or ".join([kinds] if isinstance(kinds, str) else kinds)
        notes = [f"list of {kind or 'value'}s" if many else kind]
        if "enum" in inner:
            notes.append("one of " + ", ".join(json.dumps(value, ensure_ascii=False) for value in inner["enum"]))
        notes.append("required" if name in schema.get("required", []) else "only if it is said")
        told = f": {part['description']}" if "description" in part else ""
        yield f"{indent}- {json.dumps(name, ensure_ascii=False)} ({', '.join(filter(None, notes))}){told}"
        yield from _fields(inner, f"{indent}  ")


def _with_shots(prompt: Prompt, request: PromptRequest) -> Prompt:
    """The prompt with the shots that are picked once for all rows; the longest are left out until the others fit."""
    chosen = PICKS[request.pick](request.train, request.shots, request.seed, request.embedder)
    if request.backwards:
        chosen = chosen[::-1]
    asked = len(chosen)
    while chosen:
        shots = tuple(shot_of(prompt, example) for example in chosen)
        turns = [Message(role="system", content=prompt.system or ""), *(turn for shot in shots for turn in shot)]
        if _tokens(request.tokenizer, turns) <= request.room:
            ids = tuple(example.id for example in chosen)
            return prompt.model_copy(update={"shots": shots, "shot_ids": ids, "left_out": asked - len(chosen)})
        chosen.remove(max(chosen, key=lambda example: (len(example.prompt_text) + len(example.target), example.id)))
    raise _no_room(prompt, request, f"0 of {asked} shots")


def _with_similar_shots(prompt: Prompt, request: PromptRequest) -> Prompt:
    """The prompt with the rule by which each row gets shots of its own; there is room for the shortest at least."""
    if request.embedder is None:
        raise SpecError("few-shot: pick: similar needs an embedding to find what is near")
    asked = min(request.shots, len(request.train))
    if not asked:
        raise _no_room(prompt, request, "0 of 0 shots")
    first = request.train[0]
    head = [Message(role="system", content=prompt.system or ""), *shot_of(prompt, first)]
    room = request.room - _tokens(request.tokenizer, head) + shot_tokens(prompt, first, request.tokenizer)
    shortest = sorted(request.train, key=lambda example: len(example.prompt_text) + len(example.target))[:16]
    if min(shot_tokens(prompt, example, request.tokenizer) for example in shortest) > room:
        raise _no_room(prompt, request, f"0 of {asked} shots")
    nearest: Literal["first", "last"] = "first" if request.backwards else "last"
    similar = SimilarShots(k=asked, embedder=request.embedder.name, pool_sha256=request.pool_sha256, room=room, nearest=nearest)
    return prompt.model_copy(update={"similar": similar})


def shot_tokens(prompt: Prompt, example: Example, tokenizer: Tokenizer) -> int:
    """Tokens that an example takes as a shot of this prompt."""
    head = [Message(role="system", content=".")]
    return _tokens(tokenizer, [*head, *shot_of(prompt, example)]) - _tokens(tokenizer, head)


def _tokens(tokenizer: Tokenizer, turns: Sequence[Message]) -> int:
    return len(tokenizer.encode(tokenizer.render(turns, open_turn=False)))


def _no_room(prompt: Prompt, request: PromptRequest, what: str) -> SpecError:
    found = f"room for {what}" if what.startswith("0") else f"no room for {what}"
    return SpecError(
        f"{prompt.strategy}: found {found} ({max(0, request.room)} tokens beside the longest prompt and the answer, "
        f"the instruction alone takes {len(request.tokenizer.encode(prompt.system or ''))}); choose a base model with a longer context, "
        f"or take {prompt.strategy} out of prove.against"
    )

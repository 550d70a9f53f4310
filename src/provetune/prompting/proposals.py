"""Where prompts to try come from: the strategies with other shots and other words, and a model that reads failures."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from provetune.errors import SpecError
from provetune.hashing import seed_of
from provetune.prompting.strategies import PromptRequest, prompt_of
from provetune.protocols import Generator, Progress
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.data import Example, Message

WORDINGS_PARTED_BY = "\n---\n"
FAILURES_SHOWN = 6
REWRITE_TOKENS = 400
REWRITE_TEMPERATURE = 0.7


@dataclass(frozen=True)
class Proposal:
    """A prompt to try, where it comes from in words, and the settings it needs (None: as the candidate that is searched for)."""

    prompt: Prompt
    origin: str
    generation: GenerationSettings | None = None


@dataclass(frozen=True)
class Refused:
    """A proposal that cannot be made, and why."""

    reason: str


@dataclass(frozen=True)
class Rewriting:
    """What a rewriter proposed and what it cost, the completions that showed it the failures included."""

    proposals: tuple[Proposal | Refused, ...] = ()
    completions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A training row that the prompt to be rewritten got wrong."""

    example: Example
    completion: str


@dataclass(frozen=True)
class RewriteRequest:
    """`wanted` other instructions than the candidate's prompt has. `failures` are training rows, never rows of validation."""

    candidate: Candidate
    failures: Sequence[Failure]
    labels: Sequence[str]
    wanted: int
    seed: int


def template_proposals(strategies: Sequence[str], requests: Sequence[PromptRequest], seed: int) -> Iterator[Proposal | Refused]:
    """Every strategy with every request (numbers, picks, draws and orders of shots) and every wording of its instruction.

    The wordings are those of `<task>-wordings.txt`. First each strategy as it stands under the first request, then the others in an
    order drawn by `seed`.
    """
    own = requests[0].templates[requests[0].task]
    wordings = [own, *(text.strip() for text in requests[0].templates[f"{requests[0].task}-wordings"].split(WORDINGS_PARTED_BY))]
    first = [(name, requests[0], 0) for name in strategies]
    others = [
        (name, request, wording)
        for name in strategies
        for request in (requests if "few-shot" in name else requests[:1])
        for wording in (range(len(wordings)) if not {"described", "chain-of-thought"} & set(name.split("+")) else [0])
        if wording or request is not requests[0]
    ]
    random.Random(seed_of("prompt proposals", seed)).shuffle(others)
    for name, request, wording in (*first, *others):
        worded = replace(request, templates={**request.templates, request.task: wordings[wording]})
        try:
            prompt = prompt_of(name, worded)
        except SpecError as error:
            yield Refused(str(error))
            continue
        shots = f", {request.shots} shots ({request.pick}, draw {request.seed})" if prompt.shots or prompt.similar else ""
        yield Proposal(prompt, f"{name}{shots}, wording {wording + 1}")


def rewrite(request: RewriteRequest, generator: Generator, progress: Progress) -> Rewriting:
    """Instructions in place of the prompt's own, each written by `generator` after reading some of the failures.

    Labels that a rewriting lost are put below it.
    """
    draw = random.Random(seed_of("rewriting", request.seed))
    shown = min(FAILURES_SHOWN, len(request.failures))
    questions = [_question(request.candidate.prompt, draw.sample(list(request.failures), shown)) for _ in range(request.wanted)]
    settings = GenerationSettings(max_new_tokens=REWRITE_TOKENS, temperature=REWRITE_TEMPERATURE, seed=request.seed)
    written = generator.generate(questions, settings, progress)
    return Rewriting(
        tuple(_proposal(request, completion.text or "") for completion in written),
        len(written),
        sum(c.prompt_tokens for c in written),
        sum(c.completion_tokens for c in written),
    )


def _question(prompt: Prompt, failures: Sequence[Failure]) -> tuple[Message, ...]:
    shown = "\n\n".join(
        f"Message: {f.example.prompt_text}\nWritten: {f.completion}\nShould have been: {f.example.target}" for f in failures
    )
    text = (
        f"A language model was given this instruction:\n\n{prompt.system or '(none)'}\n\nIt went wrong here:\n\n{shown}\n\n"
        "Write a better instruction for the same work. Do not repeat these messages. Reply with the instruction alone."
    )
    return (Message(role="user", content=text),)


def _proposal(request: RewriteRequest, text: str) -> Proposal | Refused:
    system = text.strip()
    if not system:
        return Refused("the rewriter wrote nothing")
    if any(label not in system for label in request.labels):
        system = f"{system}\nLabels: {', '.join(request.labels)}"
    prompt = request.candidate.prompt
    return Proposal(prompt.model_copy(update={"system": system}), f"rewritten from {prompt.strategy}", request.candidate.generation)

"""The search for the best prompt of a model, base or tuned alike: what is proposed, who is asked, and the record of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from provetune.chat import answer_of
from provetune.errors import EvidenceError, SpecError
from provetune.hashing import fingerprint, seed_of
from provetune.models.asking import ask
from provetune.prompting import PromptRequest
from provetune.prompting.proposals import Failure, Proposal, Refused, RewriteRequest, Rewriting, rewrite, template_proposals
from provetune.prompting.search import SearchBudget, SearchRequest, search_prompts
from provetune.protocols import Generator
from provetune.records.candidate import Candidate, GenerationSettings, Pick, Prompt
from provetune.records.data import Example, Message
from provetune.records.prompt_search import SEARCHED, PromptSearch, PromptSet
from provetune.store import StepKey, content_sha256
from provetune.workflow import steps
from provetune.workflow.contender import Contender
from provetune.workflow.prepare import Prepared
from provetune.workflow.project import Project
from provetune.workflow.prompts import prompt_request, with_shots

STRATEGIES = ("zero-shot", "few-shot", "role", "role+few-shot")
SHOTS: tuple[int, ...] = (8, 4, 16)
PICKS: tuple[Pick, ...] = ("balanced", "similar", "diverse", "random")
REASONING_TOKENS = 128
REWRITE_ROWS = 64
"""Training rows on which the first leader's failures are looked for."""


def searched_opponent(project: Project, prepared: Prepared) -> tuple[Contender, PromptSearch]:
    """The base model with the prompt that a search found, measured on all validation rows, and the search itself."""
    template = Candidate(
        name=SEARCHED, kind="prompt", prompt=Prompt(strategy="zero-shot"), generation=prepared.settings, model=project.model
    )
    search = prompt_search(project, prepared, template, prepared.base)
    measured = steps.evaluate(project, search.candidate, prepared.base, prepared.validation, "validation")
    return Contender(search.candidate, prepared.base, (measured,)), search


def prompt_search(project: Project, prepared: Prepared, template: Candidate, generator: Generator) -> PromptSearch:
    """Search for the best prompt of `template`, whose own prompt is tried first where it says something or was tuned with.

    Made once for the same model, rows, budget and texts; a killed search asks again for nothing that was answered. Raises SpecError as
    `search_prompts` does and on a file of `prompts.files` that holds no prompts.
    """
    spec, seed = project.spec.prompts, project.spec.data.split.seed
    thinking = any("chain-of-thought" in name.split("+") for name in _strategies(project))
    request = prompt_request(project, prepared.train, prepared.settings, REASONING_TOKENS if thinking else 0)
    sets = _imported(project)
    asked = with_shots(project, prepared.train, generator)
    inputs = {
        "candidate": template.fingerprint,
        "rows": fingerprint([content_sha256(prepared.train), content_sha256(prepared.validation)]),
        "spec": fingerprint([spec.model_dump(mode="json"), project.spec.task.model_dump(mode="json"), project.metric, seed]),
        "strategies": fingerprint(list(_strategies(project))),
        "texts": fingerprint([dict(request.templates), [found.fingerprint for found in sets.values()]]),
    }

    def make() -> PromptSearch:
        known = {example.id for example in prepared.train}
        return search_prompts(
            SearchRequest(
                template=template,
                proposals=_proposals(project, template, request, sets),
                validation=prepared.validation,
                measure=lambda candidate, rows: steps.evaluate(project, candidate, asked, rows, "validation"),
                metric=project.metric,
                budget=SearchBudget(spec.search, spec.completions, spec.rewrites),
                seed=seed,
                length=lambda prompt: _length(request, prompt),
                room=request.room,
                held_out=[e for e in (*project.examples, *(project.given_test or ())) if e.id not in known],
                rewrite=lambda leader, wanted: _rewritten(project, prepared, leader, asked, wanted),
                rewriting_completions=min(REWRITE_ROWS, len(prepared.train)) + spec.rewrites,
                confidence=project.spec.prove.confidence,
            )
        )

    return project.store.once(StepKey("prompt-search", 1, inputs), PromptSearch, make)


def _proposals(project: Project, template: Candidate, request: PromptRequest, sets: dict[str, PromptSet]) -> Iterator[Proposal | Refused]:
    """The candidate's own prompt, the user's, then those of the strategies."""
    if template.prompt.strategy == "plain":
        yield Proposal(template.prompt, "the prompt it was tuned with")
    for file, found in sets.items():
        yield from (Proposal(named.prompt, f"{file}: {named.name}") for named in found.prompts)
    grid = product(SHOTS, PICKS, (7, 8), (False, True))
    requests = [replace(request, shots=k, pick=pick, seed=seed, backwards=backwards) for k, pick, seed, backwards in grid]
    thinking = GenerationSettings(max_new_tokens=template.generation.max_new_tokens + REASONING_TOKENS)
    for proposal in template_proposals(_strategies(project), requests, project.spec.data.split.seed):
        reasoned = isinstance(proposal, Proposal) and proposal.prompt.answer_marker is not None
        yield replace(proposal, generation=thinking) if reasoned and isinstance(proposal, Proposal) else proposal


def _strategies(project: Project) -> tuple[str, ...]:
    """Ours, and those that the project names."""
    against = project.spec.prove.against
    named = [*(() if isinstance(against, str) else against), *(b.name for b in project.spec.baselines if b.endpoint is None)]
    others = {"linear", SEARCHED, *(b.called for b in project.spec.baselines)}
    return tuple(dict.fromkeys([*STRATEGIES, *(name for name in named if name not in others)]))


def _imported(project: Project) -> dict[str, PromptSet]:
    """The prompts of `prompts.files`, by file."""
    found = {}
    for file in project.spec.prompts.files:
        try:
            found[file] = PromptSet.from_json((project.folder / file).read_text(encoding="utf-8"))
        except (OSError, ValueError, EvidenceError) as error:
            raise SpecError(
                f"prompts.files: {file}: {error}; wanted a file that `provetune import promptfoo` or `provetune import dspy` wrote"
            ) from error
    return found


def _length(request: PromptRequest, prompt: Prompt) -> int:
    """Tokens that a prompt adds to each request, shots of a row's own not counted: they are cut to their room."""
    turns = [Message(role="system", content=prompt.system or ""), *(turn for shot in prompt.shots for turn in shot)]
    below = 0 if prompt.turn is None else len(request.tokenizer.encode(prompt.turn))
    return len(request.tokenizer.encode(request.tokenizer.render(turns, open_turn=False))) + below if prompt != steps.PLAIN else 0


def _rewritten(project: Project, prepared: Prepared, leader: Candidate, generator: Generator, wanted: int) -> Rewriting:
    """Rewritings by the base model, shown what the leader gets wrong on training rows."""
    seed = project.spec.data.split.seed
    rows = _sample(prepared.train, leader.prompt.shot_ids, seed)
    asked = ask(leader, generator, rows, project.progress).completions
    failures = []
    for example, completion in zip(rows, asked, strict=True):
        answer = None if completion.text is None else answer_of(leader.prompt, completion.text, one_line=bool(project.labels)) or ""
        if answer is not None and answer.strip() != example.target.strip():
            failures.append(Failure(example, answer))
    told = Rewriting(left_out=("no rewriting: the leader made no mistake on the training rows looked at",))
    if failures:
        told = rewrite(RewriteRequest(leader, failures, project.labels, wanted, seed), prepared.base, project.progress)
    return replace(
        told,
        completions=told.completions + len(rows),
        prompt_tokens=told.prompt_tokens + sum(c.prompt_tokens for c in asked),
        completion_tokens=told.completion_tokens + sum(c.completion_tokens for c in asked),
    )


def _sample(train: Sequence[Example], shown: Sequence[str], seed: int) -> list[Example]:
    rest = [example for example in train if example.id not in set(shown)]
    return random.Random(seed_of("failures", seed)).sample(rest, min(REWRITE_ROWS, len(rest)))

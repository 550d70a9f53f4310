"""What candidates are asked, and how they answer: the prompts to beat and the way of decoding, from the spec and the training rows."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from provetune.errors import Notice, SpecError
from provetune.models.embedding import embedder
from provetune.prompting import PromptRequest, WithShots, copy_templates, load_templates, prompt_of
from provetune.protocols import Embedder, Generator
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.data import Example
from provetune.records.prompt_search import SEARCHED
from provetune.spec import BaselineSpec
from provetune.store import content_sha256
from provetune.workflow.project import Project
from provetune.workflow.yardstick import json_schema

TEMPLATES = "prompts"
"""Folder of a project with texts in place of ours."""
SHOT_SEEDS = (7, 8)
"""Draws of shots that are tried on validation."""
LEAST_REASONING = 32
"""Thoughts are cut to what the context leaves, but to no fewer tokens."""


def generation_settings(project: Project, train: Sequence[Example]) -> GenerationSettings:
    """As many new tokens as the longest training target needs, and a few more, decoded as the spec says.

    Every candidate is decoded alike: where there are labels, a prompt must not lose only because it words its answer in another way.
    """
    wanted, prove = project.spec.task.max_new_tokens, project.spec.prove
    if wanted == "auto":
        longest = max(len(project.tokenizer.base.encode(text)) for text in (*project.labels, *(e.target for e in train)))
        wanted = min(512, math.ceil(1.25 * longest) + 4)
    if prove.decoding == "free":
        return GenerationSettings(max_new_tokens=wanted)
    if prove.decoding == "constrained" and not project.labels:
        return GenerationSettings(max_new_tokens=wanted, json_schema=_schema_text(project))
    scored = prove.decoding == "scored"
    return GenerationSettings(max_new_tokens=wanted, choices=project.labels, scored=scored, calibration=prove.calibration)


def prompt_candidates(project: Project, train: Sequence[Example], settings: GenerationSettings) -> dict[str, list[Candidate]]:
    """Variants of every prompt that is to be beaten or shown; the winner of each is chosen on validation.

    A strategy with thoughts writes freely, whatever is decided for the others: its answer is read after the marker.
    """
    against = project.spec.prove.against
    given = {b.called or b.name: b for b in project.spec.baselines}
    asked = [*(("zero-shot", "few-shot") if against == "best-baseline" else against), *given]
    wanted = [name for name in dict.fromkeys(asked) if name not in ("linear", SEARCHED)]
    request = prompt_request(project, train, settings)
    return {name: _variants(project, given.get(name) or BaselineSpec(name=name), request, settings) for name in wanted}


def foresee_prompts(project: Project) -> None:
    """A Notice where a prompt that is to be beaten cannot be written, as when no shot fits: a run would stop there."""
    try:
        prompt_candidates(project, project.examples, generation_settings(project, project.examples))
    except SpecError as error:
        warnings.warn(f"`provetune run` will stop: {error}", Notice, stacklevel=2)


def prompt_request(project: Project, train: Sequence[Example], settings: GenerationSettings, thoughts: int = 0) -> PromptRequest:
    """What prompts are made of; the longest row of the project, the answer and `thoughts` tokens before it take their room first."""
    texts = [project.tokenizer.render(e.prompt_messages, open_turn=True) for e in project.examples]
    own = max(map(len, project.tokenizer.encode_batch(texts)))
    return PromptRequest(
        task=project.spec.task.type,
        labels=project.labels,
        train=train,
        tokenizer=project.tokenizer.base,
        room=project.tokenizer.context_length - settings.max_new_tokens - own - thoughts,
        embedder=_embedder(project),
        pool_sha256=content_sha256(train),
        descriptions=project.spec.task.descriptions,
        schema=_schema_text(project),
        templates=load_templates(project.folder / TEMPLATES),
    )


def copied_templates(folder: Path) -> list[Path]:
    """Our texts in the project's own folder of prompts, to be edited there; what is there already stays. Returns what was written."""
    return copy_templates(folder / TEMPLATES)


def with_shots(project: Project, train: Sequence[Example], generator: Generator) -> Generator:
    """The generator, able to give each row shots of its own from the training rows, as `pick: similar` asks."""
    return WithShots(generator, train, _embedder(project), project.tokenizer)


def _variants(project: Project, baseline: BaselineSpec, request: PromptRequest, settings: GenerationSettings) -> list[Candidate]:
    backwards = baseline.order == ("drawn" if baseline.pick == "similar" else "reversed")
    own = replace(request, shots=baseline.k, pick=baseline.pick, backwards=backwards, role=baseline.role)
    if "chain-of-thought" in baseline.name.split("+"):
        prompts, thoughts = _with_thoughts(baseline, own)
        settings = GenerationSettings(max_new_tokens=settings.max_new_tokens + thoughts)
    else:
        prompts = _draws(baseline.name, own)
    name = baseline.called or baseline.name
    return [Candidate(name=name, kind="prompt", prompt=p, generation=settings, model=project.model) for p in prompts]


def _draws(strategy: str, request: PromptRequest) -> list[Prompt]:
    """The different prompts of a strategy over the draws of its shots."""
    return list(dict.fromkeys(prompt_of(strategy, replace(request, seed=seed)) for seed in SHOT_SEEDS))


def _with_thoughts(baseline: BaselineSpec, request: PromptRequest) -> tuple[list[Prompt], int]:
    """The prompts, and how many tokens of thoughts there is room for: half as many again and again until instruction and shots fit."""
    thoughts = baseline.reasoning
    while True:
        try:
            return _draws(baseline.name, replace(request, room=request.room - thoughts)), thoughts
        except SpecError:
            if thoughts <= LEAST_REASONING:
                raise
            thoughts = max(LEAST_REASONING, thoughts // 2)


def _embedder(project: Project) -> Embedder:
    given = project.spec.audit.embedding
    return embedder(None if given is None else project.folder / given)


def _schema_text(project: Project) -> str | None:
    """The task's schema as short as it goes, its keys in the order of the file: completions are held to that order."""
    schema = json_schema(project)
    return None if schema is None else json.dumps(schema, ensure_ascii=False, separators=(",", ":"))

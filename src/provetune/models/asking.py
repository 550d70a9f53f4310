"""From a candidate and examples to completions: prompts put together, shots picked, and the way of decoding that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from provetune.chat import prompt_messages, shot_of
from provetune.errors import SpecError
from provetune.protocols import Completion, Generator, Likelihoods, Progress, ShotPicker, likelihood_of
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.data import Example, Message
from provetune.stats.label_bias import FloatArray, label_probabilities, prior_of, without_prior

CONTENT_FREE = ("N/A", "[MASK]", "")
"""What is asked to learn what a model prefers whatever it is asked (Zhao et al., 2021, section 5)."""

Turns = tuple[Message, ...]


@dataclass(frozen=True)
class Asked:
    """What came back, each in the order of the examples.

    `shots` are the rows that stood in one row's prompt alone; `probabilities` those of the choices, empty where they were not scored;
    `prior` what calibration divided them by, as a mean over the rows.
    """

    completions: Sequence[Completion]
    shots: Sequence[Sequence[Example]]
    probabilities: Sequence[Sequence[float]]
    prior: tuple[float, ...] = ()


def ask(candidate: Candidate, generator: Generator, examples: Sequence[Example], progress: Progress) -> Asked:
    """Let `candidate` complete every example. SpecError where its prompt or its decoding needs what `generator` cannot do."""
    prompt, settings = candidate.prompt, candidate.generation
    shots = _picked(prompt, generator, examples)
    own = [[shot_of(prompt, shot) for shot in picked] for picked in shots]
    prompts = _prompts(prompt, examples, own)
    if not settings.scored:
        return Asked(generator.generate(prompts, settings, progress), shots, [()] * len(examples))
    found = _scored(generator, prompts, settings, progress)
    prior: FloatArray | None = None
    if settings.calibration == "batch":
        prior = prior_of(found.chances)[None] if len(found.chances) else None
    elif settings.calibration == "contextual":
        free = [
            [prompt_messages(prompt, _content_free(examples[place], text), own[place]) for text in CONTENT_FREE] for place in found.places
        ]
        prior = _context_priors(generator, free, settings, progress) if free else None
    chances = found.chances if prior is None else without_prior(found.chances, prior)
    probabilities: list[tuple[float, ...]] = [()] * len(examples)
    for place, row in zip(found.places, chances.tolist(), strict=True):
        probabilities[place] = tuple(row)
    completions = [_chosen(settings, one, chance) for one, chance in zip(found.answers, probabilities, strict=True)]
    return Asked(completions, shots, probabilities, () if prior is None else tuple(prior.mean(axis=0).tolist()))


def target_likelihoods(
    candidate: Candidate, generator: Generator, examples: Sequence[Example], progress: Progress
) -> Sequence[Likelihoods]:
    """How likely each example's target is after the candidate's prompt; without figures where `generator` cannot say."""
    own = [[shot_of(candidate.prompt, shot) for shot in picked] for picked in _picked(candidate.prompt, generator, examples)]
    try:
        asked = likelihood_of(generator)
        return asked.loglikelihood(_prompts(candidate.prompt, examples, own), [[example.target] for example in examples], progress)
    except SpecError as error:  # an endpoint or a classifier
        return [Likelihoods(None, (0,), 0, str(error))] * len(examples)


def _prompts(prompt: Prompt, examples: Sequence[Example], own: Sequence[Sequence[tuple[Message, Message]]]) -> list[Turns]:
    return [prompt_messages(prompt, example, mine) for example, mine in zip(examples, own, strict=True)]


def _picked(prompt: Prompt, generator: Generator, examples: Sequence[Example]) -> Sequence[Sequence[Example]]:
    if prompt.similar is None:
        return [()] * len(examples)
    if isinstance(generator, ShotPicker):
        return generator.pick(prompt, examples)
    raise SpecError(f"{prompt.strategy}: the shots of each row are picked from training rows, which are not at hand here")


@dataclass(frozen=True)
class _Scores:
    """`chances` `[measured, k]` of the choices, for the rows at `places`; the `answers` of all rows."""

    answers: list[Likelihoods]
    places: list[int]
    chances: FloatArray


def _scored(generator: Generator, prompts: Sequence[Turns], settings: GenerationSettings, progress: Progress) -> _Scores:
    answers = likelihood_of(generator).loglikelihood(prompts, [settings.choices] * len(prompts), progress)
    places = [place for place, one in enumerate(answers) if one.nats is not None]
    nats = np.array([answers[place].nats for place in places], dtype=float).reshape(len(places), len(settings.choices))
    return _Scores(answers, places, label_probabilities(nats) if places else nats)


def _context_priors(generator: Generator, free: Sequence[Sequence[Turns]], settings: GenerationSettings, progress: Progress) -> FloatArray:
    """The prior `[n, k]` of each row's prompt, from its content-free variants; equal prompts are asked once."""
    distinct = list(dict.fromkeys(turns for variants in free for turns in variants))
    found = _scored(generator, distinct, settings, progress)
    if len(found.places) < len(distinct):
        error = next(one.error for one in found.answers if one.nats is None)
        raise SpecError(f"calibration: contextual: a prompt without content could not be scored ({error}); use batch or none")
    row_of = {turns: row for row, turns in enumerate(distinct)}
    return np.array([prior_of(found.chances[[row_of[turns] for turns in variants]]) for variants in free])


def _content_free(example: Example, text: str) -> Example:
    """The example with `text` in place of all that is said in it, its system lines aside."""
    lines = [message for message in example.prompt_messages if message.role == "system"]
    return example.model_copy(update={"messages": (*lines, Message(role="user", content=text), example.messages[-1])})


def _chosen(settings: GenerationSettings, found: Likelihoods, chances: Sequence[float]) -> Completion:
    if not chances:
        return Completion(None, found.prompt_tokens, 0, False, found.error)
    return Completion(settings.choices[int(np.argmax(chances))], found.prompt_tokens, 0, True, kept=found.kept)

"""A classification head on the frozen base: logistic regression over its last hidden states, by the same rows, metric and record."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from provetune.chat import encode_prompt, prompt_messages
from provetune.engine.states import last_states
from provetune.errors import DataError
from provetune.hashing import folder_sha256
from provetune.models.head import Head, HeadClassifier
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.records.candidate import TrainingRun, ValidationScore
from provetune.records.data import Example
from provetune.scoring import measure
from provetune.tuning.checkpoint import flush
from provetune.tuning.faults import disk_faults
from provetune.tuning.live import peak_memory_gib
from provetune.tuning.request import TuneRequest

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Inverse strengths of the penalty; validation chooses."""
NEVER = -1e4
"""Log-odds of a label that no training row has."""
ITERATIONS = 1000


def train_head(request: TuneRequest) -> TrainingRun:
    """Fit the head at each strength, keep the one that does best on validation, write it to `request.out`.

    The last hidden state of a causal LM where the answer would begin, as in Alain and Bengio 2016 (arXiv 1610.01644). Nothing is saved
    midway: one pass over the rows is all that takes time. Raises DataError where no row fits.
    """
    started = time.monotonic()
    torch.use_deterministic_algorithms(True)
    base = TransformersGenerator(load_model(request.base_folder), request.tokenizer)
    ids = _prompts(request, request.train)
    kept = [
        place for place, row in enumerate(ids) if len(row) <= min(int(request.hyperparameters["max_length"]), base.tokenizer.context_length)
    ]
    if not kept or not request.validation:
        raise DataError(f"found {len(kept)} training and {len(request.validation)} validation rows that fit, wanted some of both")
    states = last_states(base.model, [ids[place] for place in kept], lambda done: request.progress("head: states", done, len(kept)))
    answers = [request.train[place].target for place in kept]
    seen: dict[tuple[int, ...], torch.Tensor] = {}
    heads, points = [], []
    for number, strength in enumerate(STRENGTHS, start=1):
        heads.append(fitted(states, answers, request.yardstick.labels, strength))
        asked = HeadClassifier(base, heads[-1], seen)
        found, _ = measure(request.template, asked, request.validation, request.yardstick, lambda *_: None)
        points.append(ValidationScore(step=number, loss=_loss(asked, request), score=found.summary[request.metric].value or 0.0))
    best = min(points, key=lambda point: (-point.score, point.loss, point.step))
    with disk_faults(request.out):
        _write(request, heads[best.step - 1])
    return TrainingRun(
        method="head",
        model=request.model,
        hyperparameters=request.hyperparameters,
        seed=request.seed,
        losses=(),
        validation=tuple(points),
        best_step=best.step,
        total_steps=len(STRENGTHS),
        stopped_because="all strengths of the penalty tried",
        tokens_seen=sum(len(ids[place]) for place in kept),
        labelled_tokens_seen=len(kept),
        tokens_per_s=sum(len(ids[place]) for place in kept) / max(time.monotonic() - started, 1e-9),
        duration_s=time.monotonic() - started,
        peak_memory_gib=peak_memory_gib(),
        resumed=0,
        weights_folder=str(request.out),
        weights_sha256=folder_sha256(request.out, [".safetensors"]),
        rows_used=len(kept),
        rows_left_out=len(request.train) - len(kept),
        measured_choices={"strength": STRENGTHS[best.step - 1]},
        environment=request.environment,
    )


def fitted(states: torch.Tensor, answers: Sequence[str], labels: Sequence[str], strength: float) -> Head:
    """Multinomial logistic regression over standardised states `[n, H]`, the standardisation folded into the weights."""
    known = sorted(set(answers), key=list(labels).index)
    rows = states.double().numpy()
    mean, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
    weight, bias = np.zeros((len(labels), rows.shape[1])), np.full(len(labels), NEVER)
    places = [list(labels).index(label) for label in known]
    if len(known) == 1:
        bias[places] = 0.0
    else:
        fit = LogisticRegression(C=strength, max_iter=ITERATIONS).fit((rows - mean) / spread, [known.index(answer) for answer in answers])
        # of two labels scikit-learn gives the log-odds of the second
        coefficients, odds = (np.vstack([0 * part, part]) if len(known) == 2 else part for part in (fit.coef_, fit.intercept_[:, None]))
        weight[places] = coefficients / spread
        bias[places] = odds[:, 0] - weight[places] @ mean
    return Head(tuple(labels), torch.from_numpy(weight).float(), torch.from_numpy(bias).float())


def _prompts(request: TuneRequest, examples: Sequence[Example]) -> list[list[int]]:
    return [encode_prompt(prompt_messages(request.template.prompt, example), request.tokenizer) for example in examples]


def _loss(asked: HeadClassifier, request: TuneRequest) -> float:
    """Mean negative log-likelihood of the right label of the validation rows, in nats."""
    prompts = [prompt_messages(request.template.prompt, example) for example in request.validation]
    found = asked.loglikelihood(prompts, [[example.target] for example in request.validation], lambda *_: None)
    nats = [-one.nats[0] for one in found if one.nats is not None]
    return sum(nats) / max(1, len(nats))


def _write(request: TuneRequest, head: Head) -> None:
    partial = request.out.with_name(request.out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    head.save(partial)
    for file in partial.iterdir():
        flush(file)
    shutil.rmtree(request.out, ignore_errors=True)
    partial.rename(request.out)

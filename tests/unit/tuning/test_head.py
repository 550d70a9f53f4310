"""A classification head on the frozen base: what is fitted, saved, read back and asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from provetune.chat import encode_prompt
from provetune.engine.states import last_states
from provetune.errors import DataError, ModelError
from provetune.models.head import HEAD_FILE, Head, HeadClassifier
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.protocols import likelihood_of
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from provetune.scoring import measure
from provetune.tuning import TuneRequest, tune
from provetune.tuning.head import NEVER, STRENGTHS, fitted
from tests.models import random_prompts, save_folder, tiny_llama
from tests.unit.records_by_hand import LABELS, candidate_of

QUIET = lambda *_: None  # noqa: E731


@pytest.fixture
def head_request(tune_request: TuneRequest) -> TuneRequest:
    template = candidate_of("tuned-head", "head").model_copy(update={"generation": GenerationSettings(max_new_tokens=4, choices=LABELS)})
    return replace(tune_request, method="head", template=template, hyperparameters={"max_length": 128, "epochs": 1, "batch_size": 16})


def test_states_are_those_of_the_prompts_one_by_one() -> None:
    model, prompts = tiny_llama(), random_prompts([5, 40, 17, 33], prefix=4)
    found = last_states(model, prompts, QUIET)
    for ids, state in zip(prompts, found, strict=True):
        with torch.no_grad():
            alone = model.get_decoder()(torch.tensor([ids])).last_hidden_state[0, -1]
        assert torch.allclose(state, alone, atol=1e-4)


def test_the_fit_is_that_of_scikit_learn_on_standardised_rows() -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(3.0, 5.0, (90, 6))
    for labels in (("a", "b", "c"), ("a", "b")):
        answers = [labels[int(np.argmax(row[: len(labels)]))] for row in rows]
        scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
        wanted = LogisticRegression(C=1.0, max_iter=1000).fit(scaled, answers).predict_proba(scaled)
        head = fitted(torch.from_numpy(rows), answers, (*labels, "never seen"), 1.0)
        found = head.nats(torch.from_numpy(rows).float()).exp().numpy()
        assert np.allclose(found[:, : len(labels)], wanted, atol=1e-4) and found[:, -1].max() == 0


def test_rows_of_one_label_make_it_the_answer() -> None:
    head = fitted(torch.ones(4, 3), ["b"] * 4, ("a", "b"), 1.0)
    assert head.bias.tolist() == [NEVER, 0.0] and head.nats(torch.zeros(1, 3)).argmax() == 1


def test_it_trains_writes_whole_and_is_read_back_as_it_was_looked_at(head_request: TuneRequest) -> None:
    run = tune(head_request)
    assert run.method == "head" and run.rows_used == 12 and len(run.validation) == len(STRENGTHS) and run.losses == ()
    assert {file.name for file in head_request.out.iterdir()} == {HEAD_FILE}
    head = Head.load(head_request.out)
    assert head.labels == LABELS and head.weight.shape == (3, 64)
    generator = HeadClassifier(TransformersGenerator(load_model(head_request.base_folder), head_request.tokenizer), head)
    found, predictions = measure(head_request.template, generator, head_request.validation, head_request.yardstick, QUIET)
    best = next(point for point in run.validation if point.step == run.best_step)
    assert found.summary["accuracy"].value == best.score == max(point.score for point in run.validation)
    assert {one.text for one in predictions} <= set(LABELS)
    assert tune(replace(head_request, out=head_request.out.with_name("again"))).weights_sha256 == run.weights_sha256


def test_it_says_how_likely_labels_are_and_leaves_the_rest_to_the_base(head_request: TuneRequest) -> None:
    tune(head_request)
    base = TransformersGenerator(load_model(head_request.base_folder), head_request.tokenizer)
    head = HeadClassifier(base, Head.load(head_request.out))
    turns = (Message(role="user", content="where is it"),)
    [one] = likelihood_of(head).loglikelihood([turns], [LABELS], QUIET)
    assert one.nats is not None and sum(np.exp(one.nats)) == pytest.approx(1, abs=1e-5)
    states = last_states(base.model, [encode_prompt(turns, head_request.tokenizer)], QUIET)
    assert one.nats == pytest.approx(torch.log_softmax(states @ head.head.weight.T + head.head.bias, -1)[0].tolist(), abs=1e-5)
    other = [["yes", "no"]]
    assert head.loglikelihood([turns], other, QUIET) == base.loglikelihood([turns], other, QUIET)
    settings = GenerationSettings(max_new_tokens=3, choices=("yes", "no"))
    assert [c.text for c in head.generate([turns], settings, QUIET)] == [c.text for c in base.generate([turns], settings, QUIET)]
    long = (Message(role="user", content="x" * 600),)
    assert head.generate([long], GenerationSettings(), QUIET)[0].text is None, "not measured, not guessed"


def test_a_head_of_another_base_or_without_labels_is_refused(head_request: TuneRequest, tmp_path: Path) -> None:
    base = TransformersGenerator(tiny_llama(hidden_size=32), FolderTokenizer(save_folder(tmp_path / "base")))
    with pytest.raises(ModelError, match="states of 64 numbers, this base has 32"):
        HeadClassifier(base, Head(LABELS, torch.zeros(3, 64), torch.zeros(3)))
    Head((), torch.zeros(3, 64), torch.zeros(3)).save(tmp_path)
    with pytest.raises(ModelError, match="found 0 labels"):
        Head.load(tmp_path)
    with pytest.raises(DataError, match="found 0 training and 3 validation rows"):
        tune(replace(head_request, hyperparameters={**head_request.hyperparameters, "max_length": 3}))

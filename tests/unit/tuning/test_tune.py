"""One tuned candidate from examples to weights on disk, on a tiny model."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, CohereConfig, GPTJConfig, MistralConfig, PreTrainedConfig

from provetune.errors import DataError
from provetune.models.tokenizer import FolderTokenizer, model_ref
from provetune.models.transformers import load_model
from provetune.records.candidate import TrainingRun
from provetune.scoring import Yardstick
from provetune.tuning import TuneRequest, tune
from provetune.tuning.tune import training_rows
from tests.models import VOCABULARY, byte_tokenizer
from tests.unit.records_by_hand import LABELS, candidate_of, examples_of

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

TRAIN = examples_of([LABELS[k % 3] for k in range(12)])
VALIDATION = examples_of([LABELS[k % 3] for k in range(12, 15)])
VALUES: dict[str, float | int | str] = {"learning_rate": 0.005, "epochs": 2, "batch_size": 4, "max_length": 128}
LORA: dict[str, float | int | str] = {**VALUES, "r": 2, "alpha": 4, "dropout": 0.0, "targets": "q_proj,v_proj"}


@pytest.fixture(autouse=True)
def settings_of_the_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back what a training sets for the whole process; a socket fails the test."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a socket was opened"))
    threads = torch.get_num_threads()
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@pytest.fixture
def request_(tiny_folder: Path, tiny_tokenizer: FolderTokenizer, tmp_path: Path) -> TuneRequest:
    template = candidate_of("tuned-lora", "adapter")
    return TuneRequest(
        method="lora",
        base_folder=tiny_folder,
        model=model_ref(tiny_folder, "tiny", "main", tiny_tokenizer),
        tokenizer=tiny_tokenizer,
        template=template.model_copy(update={"generation": template.generation.model_copy(update={"max_new_tokens": 4})}),
        train=TRAIN,
        validation=VALIDATION,
        yardstick=Yardstick("classify", LABELS, "validation"),
        metric="accuracy",
        hyperparameters=LORA,
        seed=1,
        checkpoints=tmp_path / "checkpoints",
        out=tmp_path / "weights",
        max_seconds=600.0,
        environment={"python": "3"},
        progress=lambda *_: None,
    )


def test_the_record_tells_what_was_done(request_: TuneRequest) -> None:
    run = tune(request_)
    rows = training_rows(TRAIN, request_.template, request_.tokenizer, 128)
    assert (run.total_steps, len(run.losses), run.stopped_because, run.resumed) == (6, 6, "all epochs done", 0)
    assert [point.step for point in run.validation] == [3, 6] and run.best_step in (3, 6)
    assert run.tokens_seen == 2 * sum(map(len, rows)) and run.labelled_tokens_seen == 2 * sum(row.label_count for row in rows)
    assert run.measured_choices["packed"] == "yes" and run.peak_memory_gib > 0 and run.duration_s > 0
    assert TrainingRun.from_json(run.to_json()) == run


def test_the_adapter_is_whole_and_names_no_folder_of_this_machine(request_: TuneRequest, tmp_path: Path) -> None:
    tune(request_)
    tokenizer = {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert {item.name for item in request_.out.iterdir()} == {"adapter_config.json", "adapter_model.safetensors", *tokenizer}
    text = (request_.out / "adapter_config.json").read_text()
    assert json.loads(text)["base_model_name_or_path"] == "tiny"
    assert str(request_.base_folder) not in text and str(tmp_path) not in text
    deltas = [value for name, value in load_file(request_.out / "adapter_model.safetensors").items() if "lora_B" in name]
    assert deltas and all(value.abs().sum() > 0 for value in deltas)
    ids = torch.arange(6, 30)[None]
    with torch.no_grad():
        tuned, base = load_model(request_.base_folder, request_.out)(ids).logits, load_model(request_.base_folder)(ids).logits
    assert not torch.allclose(tuned, base, atol=1e-4)


def test_full_tuning_writes_a_model_of_its_own(request_: TuneRequest) -> None:
    run = tune(replace(request_, method="full", hyperparameters=VALUES))
    tensors = load_file(request_.out / "model.safetensors")
    assert {value.dtype for value in tensors.values()} == {torch.bfloat16}
    assert load_model(request_.out).config.vocab_size == VOCABULARY and run.method == "full"
    assert FolderTokenizer(request_.out).stop_ids == request_.tokenizer.stop_ids, "the folder can be used on its own"


def test_rows_that_are_too_long_are_counted(request_: TuneRequest) -> None:
    longest = max(map(len, training_rows(TRAIN, request_.template, request_.tokenizer, 128)))
    run = tune(replace(request_, hyperparameters={**request_.hyperparameters, "max_length": longest - 1}))
    assert run.rows_left_out >= 1 and run.rows_used + run.rows_left_out == len(TRAIN)


def test_a_killed_training_goes_on_to_the_same_weights(request_: TuneRequest, tmp_path: Path) -> None:
    whole = tune(request_)
    AcceleratorState._reset_state(reset_partial_state=True)

    def killed(what: str, done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    again = replace(request_, checkpoints=tmp_path / "other checkpoints", out=tmp_path / "other weights")
    with pytest.raises(KeyboardInterrupt):
        tune(replace(again, progress=killed))
    assert not again.out.exists()
    AcceleratorState._reset_state(reset_partial_state=True)
    run = tune(again)
    assert run.resumed == 1 and run.weights_sha256 == whole.weights_sha256
    assert (run.losses, run.validation, run.best_step) == (whole.losses, whole.validation, whole.best_step)
    assert run.measured_choices == whole.measured_choices


def test_rows_end_with_the_target_as_the_candidate_is_asked(request_: TuneRequest) -> None:
    rows = training_rows(TRAIN, request_.template, request_.tokenizer, 128)
    for row, example in zip(rows, TRAIN, strict=True):
        written = row.ids[row.labelled]
        assert request_.tokenizer.decode(written.tolist()) == example.target and int(written[-1]) in request_.tokenizer.stop_ids


@pytest.mark.parametrize("part", ["train", "validation"])
def test_rows_that_are_all_too_long_are_named(request_: TuneRequest, part: str) -> None:
    long = [e.model_copy(update={"messages": (e.messages[0].model_copy(update={"content": "a" * 200}), e.messages[1])}) for e in TRAIN]
    with pytest.raises(DataError, match=r"at most 128 tokens, wanted some of both; raise train\.max_length"):
        tune(replace(request_, train=long) if part == "train" else replace(request_, validation=long))


SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.mark.filterwarnings("ignore:gptj. the slower padded path is taken:provetune.errors.Notice")
@pytest.mark.parametrize(
    ("config", "packed"),
    [
        (CohereConfig.from_dict({**SMALL, "eos_token_id": 2}), "yes"),  # scales its logits
        (MistralConfig.from_dict({**SMALL, "sliding_window": 48}), "yes"),  # only the longest row is longer
        (GPTJConfig.from_dict({**SMALL, "rotary_dim": 8}), "no: its attention cannot be replaced"),
    ],
    ids=["cohere", "mistral", "gptj"],
)
def test_other_architectures_are_trained_by_the_path_they_allow(
    request_: TuneRequest, tmp_path: Path, config: PreTrainedConfig, packed: str
) -> None:
    torch.manual_seed(0)
    config.vocab_size, config.max_position_embeddings, config.initializer_range = VOCABULARY, 512, 0.1
    folder = tmp_path / "other"
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    longest = TRAIN[0].model_copy(
        update={"messages": (TRAIN[0].messages[0].model_copy(update={"content": "ab" * 40}), TRAIN[0].messages[1])}
    )
    run = tune(replace(request_, base_folder=folder, train=[*TRAIN[1:], longest]))
    assert run.measured_choices["packed"] == packed and run.total_steps == 6
    assert run.validation[-1].loss < run.validation[0].loss
    assert TrainingRun.from_json(run.to_json()) == run

"""Twenty-five complaints of people who fine-tuned with other tools, each with the guard that keeps it from happening here.

A test is named after what happened elsewhere and fails when its guard is taken out. Where the whole proof stands in another file, GUARDED
names it, and a test holds that it is there.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from pydantic import ValidationError
from safetensors.torch import load_file

from provetune.chat import TokenRow, encode_prompt, encode_training
from provetune.engine.forward import hidden_states, pack_loss, why_not_packed
from provetune.engine.likelihood import mean_nats, row_nats
from provetune.engine.packing import Group, PackSettings, pack_rows, plan_epoch
from provetune.engine.padded import padded_loss
from provetune.errors import DataError, ModelError
from provetune.formats import READERS, Notes
from provetune.models.merging import merged_model
from provetune.models.tokenizer import FolderTokenizer, model_ref
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message, ToolCall
from provetune.scoring import Yardstick
from provetune.spec import ColumnsSpec, ProveSpec, TrainSpec
from provetune.tuning import TuneRequest, tune
from provetune.tuning.faults import check_step, check_trainable
from provetune.tuning.methods import METHODS
from provetune.tuning.tune import training_rows
from tests.architecture.source import ROOT
from tests.models import TEMPLATE, byte_tokenizer, gradients, random_rows, relative_error, save_folder, tiny_llama
from tests.unit.records_by_hand import LABELS, candidate_of, examples_of

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

GUARDED: dict[int, tuple[str, ...]] = {
    1: ("tests/unit/engine/test_forward.py::test_gradients_do_not_depend_on_the_cut_into_packs",),
    8: ("tests/contracts/test_parity.py::test_every_turn_of_a_conversation_was_served_so",),
    11: ("tests/contracts/test_parity.py::test_there_are_as_many_begin_tokens_as_the_template_brings",),
    13: ("tests/unit/engine/test_forward.py::test_a_row_does_not_see_its_neighbours",),
    14: (
        "tests/unit/tuning/test_faults.py::test_killed_at_random_moments_it_ends_bit_identical",
        "tests/flows/test_kill.py::test_a_run_killed_at_random_moments_ends_like_one_left_alone",
    ),
    16: (
        "tests/unit/tuning/test_new_tokens.py::test_a_new_token_begins_as_the_mean_of_what_spelled_it_and_old_ones_stay",
        "tests/unit/tuning/test_new_tokens.py::test_what_was_trained_is_what_is_read_back_and_merged",
    ),
    17: ("tests/contracts/test_parity.py::test_an_adapter_writes_the_same_read_back_merged_and_by_the_library",),
    18: (
        "tests/contracts/test_parity.py::test_the_row_as_trained_begins_with_the_prompt_as_the_library_serves_it",
        "tests/contracts/test_parity.py::test_full_weights_write_the_same_as_a_folder_of_their_own",
    ),
    19: ("tests/unit/engine/test_generation.py::test_mixed_lengths_equal_single_prompts",),
    21: ("tests/flows/test_cli.py::test_a_run_says_its_verdict",),
    24: ("tests/unit/engine/test_forward.py::test_an_attention_that_ignores_its_window_is_noticed",),
    25: ("tests/unit/test_gate_retention.py",),
}
"""Complaint -> where more of its proof stands."""
COMPLAINTS = 25


@pytest.fixture(autouse=True)
def settings_of_the_process() -> Iterator[None]:
    """Put back what a training sets for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def request_(tiny_folder: Path, tiny_tokenizer: FolderTokenizer, tmp_path: Path) -> TuneRequest:
    """A LoRA training of six steps."""
    template = candidate_of("tuned-lora", "adapter")
    return TuneRequest(
        method="lora",
        base_folder=tiny_folder,
        model=model_ref(tiny_folder, "tiny", "main", tiny_tokenizer),
        tokenizer=tiny_tokenizer,
        template=template.model_copy(update={"generation": GenerationSettings(max_new_tokens=4)}),
        train=examples_of([LABELS[k % 3] for k in range(12)]),
        validation=examples_of([LABELS[k % 3] for k in range(12, 15)]),
        yardstick=Yardstick("classify", LABELS, "validation"),
        metric="accuracy",
        hyperparameters={
            **{"learning_rate": 0.005, "epochs": 2, "batch_size": 4, "max_length": 128},
            **{"r": 2, "alpha": 4, "dropout": 0.0, "targets": "q_proj,v_proj"},
        },
        seed=1,
        checkpoints=tmp_path / "checkpoints",
        out=tmp_path / "weights",
        max_seconds=600.0,
        environment={},
        progress=lambda *_: None,
    )


def talk(*texts: str) -> tuple[Message, ...]:
    return tuple(Message(role="assistant" if place % 2 else "user", content=text) for place, text in enumerate(texts))


def folder_with(tmp_path: Path, template: str, **changes: Any) -> FolderTokenizer:
    return FolderTokenizer(save_folder(tmp_path / "model", tokenizer=byte_tokenizer(template, **changes)))


def learned(row: TokenRow, tokenizer: FolderTokenizer) -> str:
    return tokenizer.decode(row.ids[row.labelled].tolist())


def whole_step(rows: Sequence[TokenRow], max_tokens: int) -> dict[str, torch.Tensor]:
    """Gradients of one optimizer step over all rows, cut into packs of so many tokens."""
    model = tiny_llama()
    labels = sum(row.label_count for row in rows)
    for pack in pack_rows(rows, range(len(rows)), PackSettings(max_tokens)):
        pack_loss(model, rows, pack, labels).backward()
    return gradients(model)


def test_01_the_loss_was_wrong_under_gradient_accumulation() -> None:
    """Rows of very unequal label counts, the last window a short one: any cut gives the gradient of one batch."""
    rows = random_rows([40, 6, 33, 7, 5], share=0.5)
    model = tiny_llama()
    padded_loss(model, rows, (Group(0, tuple(range(5))),), sum(row.label_count for row in rows)).backward()
    wanted = gradients(model)
    for max_tokens in (1, 45, 4096):
        found = whole_step(rows, max_tokens)
        assert max(relative_error(found[name], value) for name, value in wanted.items()) < 1e-5


def test_02_the_model_never_stopped_as_eos_was_masked_with_the_padding(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    ours = FolderTokenizer(save_folder(tmp_path / "model", tokenizer=tokenizer))
    rows = [encode_training(talk(question, answer), ours) for question, answer in (("a", "yes"), ("a longer one", "no, never"))]
    assert all(row.labelled[-1] and int(row.ids[-1]) in ours.stop_ids for row in rows)
    model = tiny_llama()
    labels = sum(row.label_count for row in rows)
    with torch.no_grad():
        alone = sum(float(padded_loss(model, [row], (Group(0, (0,)),), labels)) for row in rows)
        assert float(padded_loss(model, rows, (Group(0, (0, 1)),), labels)) == pytest.approx(alone, rel=1e-5)


def test_03_completions_were_empty_as_pad_equals_eos_in_the_generation_config(tmp_path: Path) -> None:
    wanted = TransformersGenerator(tiny_llama(), FolderTokenizer(save_folder(tmp_path / "model")))
    (tmp_path / "model" / "generation_config.json").write_text('{"pad_token_id": 2, "eos_token_id": 2, "max_new_tokens": 1}')
    found = TransformersGenerator(load_model(tmp_path / "model"), FolderTokenizer(tmp_path / "model"))
    prompts, settings = [talk("a")[:1], talk("where is it")[:1]], GenerationSettings(max_new_tokens=6)
    texts = [[one.text for one in model.generate(prompts, settings, lambda *_: None)] for model in (wanted, found)]
    assert texts[0] == texts[1] and any(texts[0])


@pytest.mark.parametrize("config", ['{"pad_token_id": 2, "eos_token_id": 2}', None])
def test_03_pad_and_eos_were_written_to_the_generation_config(request_: TuneRequest, tmp_path: Path, config: str | None) -> None:
    base = save_folder(tmp_path / "base")
    (base / "generation_config.json").unlink()
    if config is not None:
        (base / "generation_config.json").write_text(config)
    tune(replace(request_, method="full", base_folder=base, hyperparameters={**request_.hyperparameters, "epochs": 1}))
    file = request_.out / "generation_config.json"
    assert (file.read_text() if file.exists() else None) == config


GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def test_04_the_token_that_ends_a_turn_was_not_eos_and_never_trained(tmp_path: Path) -> None:
    ours = folder_with(tmp_path, GEMMA, extra=["<start_of_turn>", "<end_of_turn>"])
    ends = ours.encode("<end_of_turn>")
    assert len(ends) == 1 and set(ends) <= ours.stop_ids
    row = encode_training(talk("where", "here"), ours)
    assert int(row.ids[row.labelled][-1]) == ends[0] and learned(row, ours) == "here"
    assert model_ref(tmp_path / "model", "gemma", "main", ours).template, "a template without system lines can be named, too"


def test_05_the_mask_covered_other_words_than_the_assistants(tiny_tokenizer: FolderTokenizer) -> None:
    row = encode_training(talk("say yes", "yes", "assistant: yes <|assistant|> yes", "no\n\nyes ", "yes", "done"), tiny_tokenizer)
    turns, at = [], np.flatnonzero(row.labelled)
    for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1):
        turns.append(tiny_tokenizer.decode(row.ids[run].tolist()))
    assert turns == ["yes", "no\n\nyes ", "done"]


def test_06_the_mask_was_all_zeros_as_the_template_lacks_its_keyword(tmp_path: Path, tiny_tokenizer: FolderTokenizer) -> None:
    bare = TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    ours = folder_with(tmp_path, bare)
    wanted = encode_training(talk("a", "b"), tiny_tokenizer)
    assert bare != TEMPLATE and encode_training(talk("a", "b"), ours).labelled.tolist() == wanted.labelled.tolist()
    assert wanted.label_count == 2
    silent = (Message(role="user", content="a"), Message(role="assistant", content="b", weight=0))
    with pytest.raises(DataError, match=r"rows\.jsonl:3: no assistant turn to train on"):
        encode_training(silent, tiny_tokenizer, "rows.jsonl:3")


MARKED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}{{ eos_token }}{% else %}### Question:\n{{ m.content }}\n"
    "### Answer:\n{% endif %}{% endfor %}"
)


def test_07_all_labels_were_masked_by_a_marker_that_a_user_typed(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        TrainSpec.model_validate({"response_template": "### Answer:"})
    for number, template in enumerate((MARKED, MARKED.replace("### Answer:", "<answer>"))):
        ours = folder_with(tmp_path / str(number), template)
        assert learned(encode_training(talk("a", "billing"), ours), ours) == "billing"


THINKING = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def test_08_reasoning_was_stripped_from_what_was_trained(tmp_path: Path) -> None:
    ours = folder_with(tmp_path, THINKING)
    turns = talk("a", "<think>hm</think>b", "c", "<think>so</think>d")
    assert learned(encode_training(turns[:2], ours), ours) == "<think>hm</think>b"
    with pytest.raises(ModelError, match="rewrites earlier turns.*Split the row into one row per assistant turn"):
        encode_training(turns, ours)


def test_09_the_template_dropped_tool_calls_without_a_word(tiny_tokenizer: FolderTokenizer) -> None:
    call = ToolCall(id="1", name="refund", arguments='{"order": "A-7"}')
    turns = (Message(role="user", content="refund it"), Message(role="assistant", content="", tool_calls=(call,)))
    with pytest.raises(ModelError, match=r"drops the .*tool call 'refund'"):
        encode_training(turns, tiny_tokenizer)


def test_10_missing_keys_of_tools_were_filled_with_null(tmp_path: Path) -> None:
    def tool(name: str, **properties: Any) -> dict[str, Any]:
        return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties}}}

    tools = [[tool("a", x={"type": "string", "enum": ["p"]})], [tool("b", y={"type": "integer"}, z={"type": "number"})]]
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"messages": turns, "tools": own}) + "\n" for own in tools))
    rows = list(READERS["chat"](file, ColumnsSpec(), Notes()))
    found = [json.loads(row.messages[0].tools[0])["function"]["parameters"]["properties"] for row in rows]
    assert found == [own[0]["function"]["parameters"]["properties"] for own in tools]


def test_11_there_were_two_begin_tokens(tmp_path: Path) -> None:
    ours = folder_with(tmp_path, "{{ bos_token }}" + TEMPLATE.removeprefix("{{ bos_token }}").removeprefix("<|begin|>"), adds_begin=True)
    begin = ours.encode("<|begin|>")[0]
    rendered = ours.render(talk("a")[:1], open_turn=True)
    assert encode_prompt(talk("a")[:1], ours).count(begin) == rendered.count("<|begin|>") == 1
    assert encode_training(talk("a", "b"), ours).ids.tolist().count(begin) == 1


def test_12_the_end_of_long_rows_was_cut_off_in_silence(request_: TuneRequest) -> None:
    rows = training_rows(request_.train, request_.template, request_.tokenizer, 128)
    limit = max(map(len, rows)) - 1
    kept = training_rows(request_.train, request_.template, request_.tokenizer, limit)
    assert 0 < len(kept) < len(rows) and all(int(row.ids[-1]) in request_.tokenizer.stop_ids for row in kept)
    run = tune(replace(request_, hyperparameters={**request_.hyperparameters, "max_length": limit, "epochs": 1}))
    assert (run.rows_used, run.rows_left_out) == (len(kept), len(rows) - len(kept)), "and they are counted"


def test_13_packed_rows_saw_each_other() -> None:
    rows, model = random_rows([12, 9, 20, 15]), tiny_llama()
    states = hidden_states(model, rows, (Group(0, (0, 1, 2, 3)),))
    start = 0
    for row in rows:
        alone = hidden_states(model, [row], (Group(0, (0,)),))
        assert relative_error(states[start : start + len(row)], alone) < 1e-5
        start += len(row)
    assert row_nats(model, rows) == pytest.approx([row_nats(model, [row])[0] for row in rows], rel=1e-5)


def test_14_a_resumed_run_saw_its_rows_in_another_order() -> None:
    first = [plan_epoch(50, 8, seed=3, epoch=epoch) for epoch in range(3)]
    torch.manual_seed(99)
    np.random.default_rng().random(10)
    assert [plan_epoch(50, 8, seed=3, epoch=epoch) for epoch in range(3)] == first and first[0] != first[1]
    assert all(sorted(row for step in epoch for row in step) == list(range(50)) for epoch in first)


def test_15_the_adapter_was_empty(request_: TuneRequest) -> None:
    run = tune(request_)
    tensors = load_file(request_.out / "adapter_model.safetensors")
    deltas = [(tensors[name] @ tensors[name.replace("lora_B", "lora_A")]).norm() for name in tensors if "lora_B" in name]
    assert deltas and min(map(float, deltas)) > 0
    reloaded = load_model(request_.base_folder, request_.out)
    rows = training_rows(request_.validation, request_.template, request_.tokenizer, 128)
    best = next(point for point in run.validation if point.step == run.best_step)
    assert mean_nats(reloaded, rows) == pytest.approx(best.loss, rel=1e-5), "what was saved is what was looked at"
    assert "no gradient arrives" in str(check_step(reloaded, [], loss=2.0, norm=0.0))


def test_16_new_tokens_were_not_saved(request_: TuneRequest) -> None:
    """The vocabulary grows only where the project file names words; then their rows travel with the adapter."""
    assert TrainSpec().new_tokens == [] and request_.tokenizer.new_tokens == {}
    tune(request_)
    assert not [name for name in load_file(request_.out / "adapter_model.safetensors") if "embed" in name or "lm_head" in name]
    base, tuned = load_model(request_.base_folder), load_model(request_.base_folder, request_.out)
    assert tuned.get_input_embeddings().weight.shape == base.get_input_embeddings().weight.shape
    grown = replace(request_, tokenizer=FolderTokenizer(request_.base_folder, ["billing"]), out=request_.out.with_name("grown"))
    AcceleratorState._reset_state(reset_partial_state=True)
    tune(replace(grown, checkpoints=request_.checkpoints.with_name("grown-checkpoints")))
    assert [name for name in load_file(grown.out / "adapter_model.safetensors") if "trainable_tokens" in name]
    assert load_model(grown.base_folder, grown.out).get_input_embeddings().weight.shape[0] == len(base.get_input_embeddings().weight) + 1


def test_17_the_merged_model_was_another(request_: TuneRequest) -> None:
    tune(request_)
    ids = torch.arange(6, 40)[None]
    with torch.no_grad():
        adapter = load_model(request_.base_folder, request_.out)(ids).logits
        merged = merged_model(request_.base_folder, request_.out)(ids).logits
        base = load_model(request_.base_folder)(ids).logits
    assert relative_error(merged, adapter) < 1e-5 and relative_error(base, adapter) > 1e-3


def test_18_good_in_the_notebook_and_garbage_when_served(request_: TuneRequest) -> None:
    """Whoever serves the folder has the tokenizer and the template that were trained with."""
    tune(request_)
    alone, turns = folder_tokenizer(request_), talk("where is it", "here", "and now")
    assert encode_prompt(turns, alone) == encode_prompt(turns, request_.tokenizer) and alone.stop_ids == request_.tokenizer.stop_ids


def folder_tokenizer(request: TuneRequest) -> FolderTokenizer:
    """The tokenizer as it lies beside the tuned weights."""
    (request.out / "config.json").write_text((request.base_folder / "config.json").read_text())
    return FolderTokenizer(request.out)


def test_19_a_batch_wrote_something_else_than_a_single_prompt(tiny_tokenizer: FolderTokenizer) -> None:
    generator, settings = TransformersGenerator(tiny_llama(), tiny_tokenizer), GenerationSettings(max_new_tokens=12)
    prompts = [talk("a" * length)[:1] for length in (1, 30, 7, 90, 2, 55)]
    together = [one.text for one in generator.generate(prompts, settings, lambda *_: None)]
    assert together == [generator.generate([prompt], settings, lambda *_: None)[0].text for prompt in prompts]


def test_20_memory_ran_out_in_evaluation_as_all_logits_were_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits exist at labelled places only, and never those of all rows."""
    model, rows, seen = tiny_llama(), random_rows([60] * 40, share=0.05), []
    whole = torch.Tensor.__matmul__

    def watched(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        out = whole(a, b)
        seen.append(tuple(out.shape))
        return out

    monkeypatch.setattr(torch.Tensor, "__matmul__", watched)
    linear = torch.nn.functional.linear

    def watched_linear(*given: Any) -> torch.Tensor:
        out = linear(*given)
        seen.append(tuple(out.shape))
        return out

    monkeypatch.setattr(torch.nn.functional, "linear", watched_linear)
    found = row_nats(model, rows)
    logits = [int(np.prod(shape[:-1])) for shape in seen if shape and shape[-1] == model.config.vocab_size]
    assert len(found) == 40 and all(isinstance(value, float) for value in found)
    assert logits and max(logits) <= sum(row.label_count for row in rows) < 40 * 60 / 5


def test_21_nobody_could_see_whether_tuning_had_helped() -> None:
    assert set(ProveSpec().against) == {"zero-shot", "few-shot"}
    with pytest.raises(ValidationError):
        ProveSpec.model_validate({"against": []})


def test_22_the_same_seed_gave_another_result(request_: TuneRequest, tmp_path: Path) -> None:
    hashes = []
    for number in range(2):
        AcceleratorState._reset_state(reset_partial_state=True)
        torch.manual_seed(number)
        values = {**request_.hyperparameters, "dropout": 0.2}
        again = replace(request_, hyperparameters=values, checkpoints=tmp_path / f"c{number}", out=tmp_path / f"w{number}")
        hashes.append(tune(again).weights_sha256)
    assert hashes[0] == hashes[1]


def test_23_updates_vanished_in_sixteen_bits() -> None:
    model = METHODS["full"](tiny_llama().bfloat16(), {})
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    with pytest.raises(ModelError, match="wanted torch.float32: small updates vanish"):
        check_trainable({"w": torch.zeros(3, dtype=torch.bfloat16)})
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    padded_loss(model, random_rows([20]), (Group(0, (0,)),), 1.0).backward()
    optimizer.step()
    moved = sum(int((p != before[name]).sum()) for name, p in model.named_parameters() if p.grad is not None)
    assert moved > 0.5 * sum(int((p.grad != 0).sum()) for p in model.parameters() if p.grad is not None)


def test_24_a_quick_kernel_was_wrong_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = tiny_llama(), random_rows([12, 30, 7, 18])
    assert why_not_packed(model, rows) is None
    monkeypatch.setattr("provetune.engine.forward.pack_loss", lambda *given: 1.01 * pack_loss(*given))
    assert "packed rows give another loss than rows alone" in str(why_not_packed(model, rows))


def test_25_forgetting_was_noticed_after_the_release() -> None:
    assert ProveSpec().retention, "measured before and after, unless it is switched off by name"
    assert ProveSpec.model_validate({"retention": []}).retention == []


# -- the list itself


def test_each_complaint_has_its_test() -> None:
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    numbers = [int(node.name[5:7]) for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[5:7].isdigit()]
    assert sorted(set(numbers)) == list(range(1, COMPLAINTS + 1)) and GUARDED.keys() <= set(numbers)


@pytest.mark.parametrize("place", [place for places in GUARDED.values() for place in places])
def test_the_proof_that_stands_elsewhere_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert not name or name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

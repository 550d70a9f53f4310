"""One tuned candidate: a method, its hyper-parameters, rows in, weights and a TrainingRun out."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from provetune.chat import TokenRow, encode_training, prompt_messages
from provetune.engine.checkpointing import activation_budget, checkpoint_layers, layers_within
from provetune.engine.forward import refusal
from provetune.engine.likelihood import mean_nats
from provetune.engine.machine import fast_bf16, fastest_threads
from provetune.engine.packing import Group
from provetune.engine.padded import padded_loss
from provetune.errors import DataError, Notice, SpecError
from provetune.hashing import folder_sha256
from provetune.models.quantized import write_quantization
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.protocols import Tokenizer
from provetune.records.candidate import PREFERENCE, Candidate, LossPoint, TrainingRun, ValidationScore
from provetune.records.data import Example
from provetune.scoring import measure
from provetune.stats.estimate import Estimate
from provetune.store import STOP
from provetune.tuning.beginning import begun
from provetune.tuning.checkpoint import CheckpointFolder, flush
from provetune.tuning.faults import disk_faults
from provetune.tuning.forgetting import Beside, BesideTexts
from provetune.tuning.head import train_head
from provetune.tuning.live import Live, open_trackers, peak_memory_gib
from provetune.tuning.loop import Trainer
from provetune.tuning.methods import variants_of
from provetune.tuning.overfitting import generalisation_gap, memorising
from provetune.tuning.pissa import Start, fit_to_given_base, start_of
from provetune.tuning.ranks import Ranks, connection, join
from provetune.tuning.request import TuneRequest
from provetune.tuning.state import Hooks, LoopSettings, LoopState, ValidationPoint

if TYPE_CHECKING:
    from provetune.tuning.preference import Pair

PACK_TOKENS = PADDED_TOKENS = 1024
"""Most tokens that travel through the model at once, packed and padded."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "chat_template.jinja")
GENERATION_FILE = "generation_config.json"


def training_rows(examples: Sequence[Example], template: Candidate, tokenizer: Tokenizer, max_length: int) -> list[TokenRow]:
    """Each example as the candidate will be sent it, followed by the target; rows longer than `max_length` tokens are left out."""
    rows = []
    for example in examples:
        messages = (*prompt_messages(template.prompt, example), example.messages[-1])
        row = encode_training(messages, tokenizer, example.source)
        if len(row) <= max_length:
            rows.append(row)
    return rows


def tune(request: TuneRequest) -> TrainingRun:
    """Train (or go on from the newest checkpoint), write the best weights to `request.out`, return the record.

    Started by torchrun it is one rank of several: the first one writes, tells and measures; all return the record.
    """
    if request.method == "head":
        return train_head(request)
    max_length = min(int(request.hyperparameters["max_length"]), request.tokenizer.context_length)
    pairs = _pairs(request, max_length)
    rows = [pair.chosen for pair in pairs] or training_rows(request.train, request.template, request.tokenizer, max_length)
    validation_rows = training_rows(request.validation, request.template, request.tokenizer, max_length)
    if not rows or not validation_rows:
        raise DataError(
            f"found {len(rows)} training and {len(validation_rows)} validation rows of at most {max_length} tokens, wanted some of both; "
            "raise train.max_length, or shorten the examples"
        )
    ranks = join()
    torch.manual_seed(request.seed)
    torch.use_deterministic_algorithms(True)
    model = begun(request.method, request.base_folder, request.hyperparameters, request.start, request.tokenizer.new_tokens)
    start = start_of(model) if "pissa" in variants_of(request.hyperparameters) else None
    choices = _agreed_choices(request, model, rows, ranks)
    torch.set_num_threads(int(choices["threads"]))
    packed = choices["packed"] == "yes"
    checkpoint_layers(model, int(choices["checkpointed_layers"]))

    def validate(current: Any, step: int) -> ValidationPoint:
        with torch.autocast(current.device.type, enabled=False):
            generator = TransformersGenerator(current, request.tokenizer)
            found, _ = measure(request.template, generator, request.validation, request.yardstick, lambda *_: None)
            score = found.summary[request.metric].value
            loss = mean_nats(current, validation_rows, packed=packed)
        point = ValidationPoint(step, loss, 0.0 if score is None else score)
        live.look(point)
        return point

    beside = _beside(request)
    if not ranks.first:
        request = replace(request, trackers=(), progress=lambda *_: None, event=lambda kind, **values: None)
    settings = {"method": request.method, "seed": request.seed, **request.hyperparameters}
    trackers = open_trackers(request.trackers, request.checkpoints.parent / "trackers", request.template.name, settings)
    live = Live(f"{request.method}: optimizer steps", request.progress, request.event, request.usd_per_hour, trackers)
    asked = (request.checkpoints / STOP).exists
    hooks = Hooks(
        validate,
        live.step,
        max_seconds=request.max_seconds,
        limit=request.limit,
        beside=beside,
        ranks=ranks,
        asked_to_stop=asked,
    )
    try:
        state = _trained(request, model, (rows, pairs), (_loop_settings(request, choices), hooks))
    finally:
        live.close()
    gap = generalisation_gap(model.eval(), rows, validation_rows, seed=request.seed, packed=packed)
    if ranks.first:
        with disk_faults(request.out):
            _write_weights(request, model, start)
    ranks.wait()
    return _record(request, state, len(rows), beside).model_copy(update=_overfitting(gap, state))


def _pairs(request: TuneRequest, max_length: int) -> list[Pair]:
    """What DPO and ORPO learn from; nothing for the other methods, which are spared the import of TRL's ground and of PEFT."""
    if request.method not in PREFERENCE:
        return []
    from provetune.tuning.preference import training_pairs

    return training_pairs(request.train, request.template, request.tokenizer, max_length)


def _trained(
    request: TuneRequest, model: Any, data: tuple[Sequence[TokenRow], Sequence[Pair]], how: tuple[LoopSettings, Hooks]
) -> LoopState:
    (rows, pairs), (settings, hooks) = data, how
    if not pairs:
        return Trainer(model, rows, settings, CheckpointFolder(request.checkpoints), hooks).run()
    if hooks.ranks.count > 1:
        raise SpecError(f"train.method is {request.method}, which trains on one device here; set train.devices to 1, or use another method")
    from provetune.tuning.preference import train_on_pairs

    beta = float(request.hyperparameters["beta"])
    return train_on_pairs(model, pairs, (request.method, beta, settings), request.checkpoints / "trl", hooks)


def _overfitting(gap: Estimate, state: LoopState) -> dict[str, object]:
    best = state.best()
    warning = "" if best is None else memorising(gap, state.validation, best.step)
    if warning:
        warnings.warn(warning, Notice, stacklevel=3)
    return {"generalisation_gap": gap, "memorising": warning}


def _beside(request: TuneRequest) -> Beside | None:
    if request.beside is None:
        return None
    base = None
    if request.beside.pull and request.method == "full":
        base = load_model(request.base_folder, new_tokens=request.tokenizer.new_tokens).requires_grad_(False)
    return request.beside.encoded(request.tokenizer, int(request.hyperparameters["batch_size"]), base)


def _counted(texts: BesideTexts | None, used: Beside | None) -> dict[str, dict[str, int]]:
    if texts is None or used is None:
        return {}
    longer = len(texts.talks) - len(used.rows)
    left_out = {**texts.left_out, **({"longer than the model's context": longer} if longer else {})}
    return {"beside": dict(texts.counts), "beside_left_out": left_out}


def _loop_settings(request: TuneRequest, choices: dict[str, str | int | bool]) -> LoopSettings:
    values = request.hyperparameters
    return LoopSettings(
        learning_rate=float(values["learning_rate"]),
        epochs=int(values["epochs"]),
        rows_per_step=int(values["batch_size"]),
        max_tokens=PACK_TOKENS if choices["packed"] == "yes" else PADDED_TOKENS,
        packed=choices["packed"] == "yes",
        weight_decay=float(values.get("weight_decay", 0.0)),
        patience=int(values.get("patience", 0)),
        precision="bf16" if choices["precision"] == "bf16" else "no",
        seed=request.seed,
        optimizer="adafactor" if values.get("optimizer") == "adafactor" else "adamw",
        plus=float(values.get("plus", 1.0)),
        neftune=float(values.get("neftune", 0.0)),
        packs=request.packs,
    )


def _agreed_choices(request: TuneRequest, model: Any, rows: Sequence[TokenRow], ranks: Ranks) -> dict[str, str | int | bool]:
    """The first rank's choices, on all ranks; written down by it alone."""
    if ranks.first:
        _measured_choices(request, model, rows)
    ranks.wait()
    return _measured_choices(request, model, rows)


def _measured_choices(request: TuneRequest, model: Any, rows: Sequence[TokenRow]) -> dict[str, str | int | bool]:
    """Choices that depend on the machine: made once, written down before step 1, replayed on resume."""
    file = request.checkpoints / "choices.json"
    if file.is_file():
        saved: dict[str, str | int | bool] = json.loads(file.read_text())
        return saved
    refused = refusal(model, rows)
    bf16 = fast_bf16()
    longest = PACK_TOKENS + max(map(len, rows))
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        checkpointed = 0 if refused else layers_within(model, rows, longest, activation_budget(model))
        row = min(rows, key=lambda row: (abs(len(row) - 128), len(row)))
        threads = torch.get_num_threads()
        if threads > 1 and model.device.type == "cpu":
            model.train()  # layers in four bits have no gradient otherwise
            threads = fastest_threads(lambda: padded_loss(model, [row], (Group(0, (0,)),), 1.0).backward())
            model.zero_grad(set_to_none=True)
    choices: dict[str, str | int | bool] = {
        "threads": threads,
        "precision": "bf16" if bf16 else "fp32",
        "packed": "yes" if refused is None else f"no: {refused}",
        "checkpointed_layers": checkpointed,
    }
    request.checkpoints.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(choices))
    partial.replace(file)
    return choices


def _write_weights(request: TuneRequest, model: Any, start: Start | None) -> None:
    partial = request.out.with_name(request.out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if request.method == "full":
        model.to(torch.bfloat16)
    else:
        for settings in model.peft_config.values():
            settings.base_model_name_or_path = request.model.name
    # PEFT would ask the hub whether the base's vocabulary changed; embeddings are never adapted here
    without_embeddings = {} if request.method == "full" else {"save_embedding_layers": False}
    model.save_pretrained(partial, **without_embeddings)
    if start is not None:
        fit_to_given_base(partial, start)
    if request.tokenizer.new_tokens:
        request.tokenizer.save(partial)
    if request.method == "qlora":
        write_quantization(partial)
    (partial / "README.md").unlink(missing_ok=True)
    (partial / GENERATION_FILE).unlink(missing_ok=True)  # the base's own, byte for byte: what ends a turn is not for a training to change
    for name in (*TOKENIZER_FILES, *([GENERATION_FILE] if request.method == "full" else [])):  # the folder can be used on its own
        if (request.base_folder / name).is_file() and not (partial / name).is_file():
            shutil.copy(request.base_folder / name, partial / name)
    for file in partial.iterdir():
        flush(file)
    shutil.rmtree(request.out, ignore_errors=True)
    partial.rename(request.out)


def _record(request: TuneRequest, state: LoopState, rows: int, beside: Beside | None) -> TrainingRun:
    best, values = state.best(), request.hyperparameters
    choices = json.loads((request.checkpoints / "choices.json").read_text())
    choices |= {f"tokens_a_pack_from_step_{step}": tokens for step, tokens in state.halved}
    choices |= connection()
    return TrainingRun(
        method=request.method,
        model=request.model,
        hyperparameters=request.hyperparameters,
        seed=request.seed,
        losses=tuple(LossPoint(step=step, loss=loss, gradient_norm=norm) for step, loss, norm in state.losses),
        validation=tuple(ValidationScore(step=p.step, loss=p.loss, score=p.score) for p in state.validation),
        best_step=0 if best is None else best.step,
        total_steps=math.ceil(rows / int(values["batch_size"])) * int(values["epochs"]),
        stopped_because=state.stopped_because or "all epochs done",
        tokens_seen=state.tokens,
        labelled_tokens_seen=state.labelled_tokens,
        rows_used=rows,
        rows_left_out=len(request.train) - rows,
        tokens_per_s=state.tokens / max(state.seconds, 1e-9),
        duration_s=state.seconds,
        peak_memory_gib=peak_memory_gib(),
        resumed=state.resumed,
        measured_choices=choices,
        weights_folder=str(request.out),
        weights_sha256=folder_sha256(request.out, [".safetensors"]),
        environment=request.environment,
        start_sha256="" if request.start is None else folder_sha256(request.start, [".safetensors"]),
        **_counted(request.beside, beside),
    )

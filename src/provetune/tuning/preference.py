"""Preference tuning on pairs of answers, through TRL.

DPO (Rafailov et al. 2023, arXiv 2305.18290) and ORPO (Hong et al. 2024, arXiv 2403.07691). TRL is handed token ids, so that prompts
and answers are token by token what training on answers and use would make of them.
"""

from __future__ import annotations

import copy
import logging
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast, TrainerCallback

from provetune.chat import ChatTokenizer, TokenRow, encode_training, prompt_messages
from provetune.errors import DataError, SpecError, TrainingDiverged
from provetune.records.candidate import Candidate
from provetune.records.data import Example
from provetune.tuning.state import ASKED, Hooks, LoopSettings, LoopState


@dataclass(frozen=True)
class Pair:
    """The same prompt with the answer that is wanted and with the one that is not, as rows for training."""

    chosen: TokenRow
    rejected: TokenRow

    def features(self) -> dict[str, list[int]]:
        """Ids of the prompt, up to where the two differ or an answer begins, and of the rest of each row."""
        start = min(int(row.labelled.argmax()) for row in (self.chosen, self.rejected))
        chosen, rejected = (row.ids.tolist() for row in (self.chosen, self.rejected))
        return {"prompt_ids": chosen[:start], "chosen_ids": chosen[start:], "rejected_ids": rejected[start:]}

    @property
    def tokens(self) -> int:
        """Of both rows."""
        return len(self.chosen) + len(self.rejected)


def training_pairs(examples: Sequence[Example], template: Candidate, tokenizer: ChatTokenizer, max_length: int) -> list[Pair]:
    """The examples with a rejected answer whose rows both have at most `max_length` tokens; DataError where there is none."""
    found = []
    for example in examples:
        if example.rejected:
            prompt = prompt_messages(template.prompt, example)
            sides = (example.messages[-1], example.rejected[-1])
            pair = Pair(*(encode_training((*prompt, answer), tokenizer, example.source) for answer in sides))
            if max(len(pair.chosen), len(pair.rejected)) <= max_length:
                found.append(pair)
    if not found:
        raise DataError(
            f"found no training row with a rejected answer and at most {max_length} tokens, wanted pairs of answers; "
            "use preference data, raise train.max_length, or train with another method"
        )
    return found


def train_on_pairs(model: Any, pairs: Sequence[Pair], how: tuple[str, float, LoopSettings], folder: Path, hooks: Hooks) -> LoopState:
    """Train a PEFT model by (method, beta, settings); leaves the best weights by validation in it.

    DPO's reference is the base with the adapter off. Nothing is saved midway: an interrupted training begins again. Raises SpecError
    where TRL is not installed, TrainingDiverged on a loss that is no number.
    """
    method, _, settings = how
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    watch = _Watch(pairs, settings, hooks, trainable)
    config, generation = copy.deepcopy(model.config), copy.deepcopy(model.generation_config)
    trainer = _trainer(model, [pair.features() for pair in pairs], how, folder, watch)
    trainer.train()
    # transformers has told the model the special tokens of the stand-in tokenizer
    for key in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(model.config, key, getattr(config, key))
        setattr(model.generation_config, key, getattr(generation, key))
    if "ref" in model.peft_config:
        model.delete_adapter("ref")
    with torch.no_grad():
        for name, value in watch.best_weights.items():
            trainable[name].copy_(value)
    return watch.state


class _Watch(TrainerCallback):
    """Keeps the history, looks at validation after each epoch and keeps the best weights."""

    def __init__(self, pairs: Sequence[Pair], settings: LoopSettings, hooks: Hooks, trainable: dict[str, Any]) -> None:
        self.settings, self.hooks, self.trainable = settings, hooks, trainable
        self.state, self.best_weights = LoopState(), dict[str, torch.Tensor]()
        self.mean_tokens = sum(pair.tokens for pair in pairs) / len(pairs)
        self.mean_labels = sum(pair.chosen.label_count + pair.rejected.label_count for pair in pairs) / len(pairs)
        self.pairs, self.since = len(pairs), time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if logs is None or "loss" not in logs:
            return
        loss, norm = float(logs["loss"]), float(logs.get("grad_norm", 0.0))
        if not (loss == loss and norm == norm and abs(loss) < float("inf")):
            raise TrainingDiverged(f"step {state.global_step}: loss {loss}, gradient norm {norm}; lower train.learning_rate")
        self.state.losses.append((state.global_step, loss, norm))
        self.hooks.progress(self.state, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        seen = self.pairs * (state.epoch or 0.0)
        self.state.step = state.global_step
        self.state.tokens, self.state.labelled_tokens = round(seen * self.mean_tokens), round(seen * self.mean_labels)
        self.state.seconds = time.monotonic() - self.since - self.state.validation_seconds
        if time.monotonic() - self.since > self.hooks.max_seconds:
            self.state.stopped_because = self.hooks.limit
        elif self.hooks.asked_to_stop():
            self.state.stopped_because = ASKED
        if self.state.stopped_because is not None:
            control.should_epoch_stop = control.should_training_stop = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        started = time.monotonic()
        model.eval()
        with torch.no_grad():
            point = self.hooks.validate(model, state.global_step)
        model.train()
        self.state.validation.append(point)
        best = self.state.best()
        if best == point:
            self.best_weights = {name: p.detach().clone() for name, p in self.trainable.items()}
        behind = 0 if best is None else len(self.state.validation) - 1 - self.state.validation.index(best)
        if self.settings.patience and behind >= self.settings.patience:
            self.state.stopped_because = f"no better validation score in {behind} evaluations"
            control.should_training_stop = True
        self.state.validation_seconds += time.monotonic() - started


def _trainer(model: Any, rows: list[dict[str, list[int]]], how: tuple[str, float, LoopSettings], folder: Path, watch: _Watch) -> Any:
    method, beta, settings = how
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    for talkative in ("trl", "transformers.trainer_utils"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    try:
        from datasets import Dataset
        from datasets.utils.logging import disable_progress_bar

        config, trainer = _orpo() if method == "orpo" else _dpo()
    except ImportError as error:
        raise SpecError("trl is not installed; DPO and ORPO need it. Run `pip install 'provetune[preference]'`") from error
    disable_progress_bar()
    args = config(
        output_dir=str(folder),
        learning_rate=settings.learning_rate,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=settings.rows_per_step,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_share,
        max_grad_norm=settings.max_grad_norm,
        beta=beta,
        max_length=max(len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"])) for row in rows),
        seed=settings.seed,
        bf16=settings.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        remove_unused_columns=False,
        logging_steps=1,
        disable_tqdm=True,
        report_to=[],
        save_strategy="no",
    )
    # TRL asks for a tokenizer; with ids already made it only takes the padding from it
    padding = PreTrainedTokenizerFast(tokenizer_object=_empty_tokenizer(), pad_token="<pad>", eos_token="<pad>")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = trainer(model=model, args=args, train_dataset=Dataset.from_list(rows), processing_class=padding, callbacks=[watch])
    made.remove_callback(_printer())
    return made


def _printer() -> Any:
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback


def _empty_tokenizer() -> Any:
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordLevel({"<pad>": 0}, unk_token="<pad>"))


def _dpo() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from trl import DPOConfig, DPOTrainer

    class OnIds(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    return DPOConfig, OnIds


def _orpo() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    class OnIds(ORPOTrainer):  # type: ignore[misc]
        def tokenize_row(self, feature: dict[str, list[int]], model: Any = None) -> dict[str, list[int]]:
            prompt = feature["prompt_ids"]
            found = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
            for side in ("chosen", "rejected"):
                answer = feature[f"{side}_ids"]
                found[f"{side}_input_ids"] = prompt + answer
                found[f"{side}_attention_mask"] = [1] * (len(prompt) + len(answer))
                found[f"{side}_labels"] = [-100] * len(prompt) + answer
            return found

        def concatenated_forward(self, model: Any, batch: Any) -> tuple[Any, ...]:
            chosen, rejected, chosen_logits, rejected_logits, _, *more = super().concatenated_forward(model, batch)
            # the paper's first term is of the answer given the prompt; TRL's would learn to write prompts, too
            return chosen, rejected, chosen_logits, rejected_logits, -chosen.mean(), *more

    return ORPOConfig, OnIds

"""Train the starter model that ships inside the package: tokenizer, weights, log.

    python scripts/train_starter.py --data ../shared/data/t0_50k/t0_50k.jsonl.gz --out build/starter

Resumable: the same command continues from the newest checkpoint. The data are the P3/T0 rows described
in the model card; templates listed in `EXCLUDED` (source terms forbid or restrict reuse) and in
`src/provetune/suites/starter_retention.json` (held out, the retention suite) are left out.
"""

from __future__ import annotations

import argparse
import ctypes
import gzip
import json
import random
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from provetune.chat import TokenRow
from provetune.engine.likelihood import mean_nats
from provetune.tuning.checkpoint import CheckpointFolder
from provetune.tuning.loop import Trainer
from provetune.tuning.state import Hooks, LoopSettings, LoopState, ValidationPoint

EXCLUDED = {
    "samsum": "CC BY-NC-ND 4.0",
    "sciq": "CC BY-NC 3.0",
    "dream": "non-commercial research only",
    "gigaword": "LDC licence",
    "yelp": "Yelp dataset terms: academic use, no redistribution",
    "ag_news": "non-commercial use",
    "multi_news": "non-commercial use",
    "wiki_qa": "Microsoft Research data licence: research use",
    "glue_qqp": "Quora terms: non-commercial use",
}
SUITE = Path(__file__).parents[1] / "src" / "provetune" / "suites" / "starter_retention.json"
HELD_OUT = tuple(json.loads(SUITE.read_text(encoding="utf-8"))["templates"])
SYSTEM_LINES = (
    "You are a helpful assistant.",
    "Answer briefly.",
    "Read the text and do what is asked.",
    "You answer questions about texts. Reply with the answer only.",
    "You classify texts. Reply with one label only.",
    "Follow the instruction. Do not explain.",
)
CONTEXT = 1024
VOCABULARY = 8192
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}{{ eos_token }}{% endgeneration %}"
    "{% else %}{{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


_MMAP_MAX, _TRIM_THRESHOLD, _TOP_PAD = -4, -1, -2


def keep_freed_memory() -> bool:
    """Tell glibc to reuse large blocks instead of returning them to the kernel; true where that was possible.

    Measured: 8-18 % more tokens per second here, at the price of a resident size of several GB (docs/LOG.md).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_TOP_PAD, 2**28))


def read_rows(path: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """(training rows, held-out rows) as prompt, completion, template."""
    train: list[dict[str, str]] = []
    held_out: list[dict[str, str]] = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            row["completion"] = row["completion"].removesuffix("<|endoftext|>").strip()
            row["prompt"] = row["prompt"].strip()
            if not row["completion"] or row["template"].startswith(tuple(EXCLUDED)):
                continue
            (held_out if row["template"] in HELD_OUT else train).append(row)
    return train, held_out


def train_tokenizer(rows: list[dict[str, str]]) -> PreTrainedTokenizerFast:
    """Byte-level BPE on the training rows, with the chat template that marks the assistant's tokens."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|begin|>", "<|end|>", *ROLES]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    bpe.train_from_iterator((text for row in rows for text in (row["prompt"], row["completion"])), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<|pad|>",
        bos_token="<|begin|>",
        eos_token="<|end|>",
        additional_special_tokens=list(ROLES),
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def conversations(rows: list[dict[str, str]], seed: int) -> list[list[dict[str, str]]]:
    """Half of the rows alone, half joined with up to three others of their template, some with a system line."""
    draw = random.Random(seed)
    by_template: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        by_template[row["template"]].append(row)
    talks = []
    for template in sorted(by_template):
        waiting = by_template[template]
        draw.shuffle(waiting)
        while waiting:
            turns = 1 if draw.random() < 0.67 else draw.randint(2, 6)
            talk = [{"role": "system", "content": draw.choice(SYSTEM_LINES)}] if draw.random() < 0.2 else []
            for row in waiting[:turns]:
                talk += [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]
            del waiting[:turns]
            talks.append(talk)
    return talks


def to_token_rows(tokenizer: Any, talks: list[list[dict[str, str]]]) -> list[TokenRow]:
    """Every token after the first is trained on; a conversation longer than the context keeps its last turns."""
    rows = []
    texts = [tokenizer.apply_chat_template(talk, tokenize=False) for talk in talks]
    for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]:
        kept = np.array(ids if len(ids) <= CONTEXT else [ids[0], *ids[-(CONTEXT - 1) :]], dtype=np.int64)
        rows.append(TokenRow(kept, np.ones(len(kept), dtype=bool)))
    return rows


def build_model(tokenizer: Any, seed: int) -> LlamaForCausalLM:
    """6 layers of width 256, tied embeddings: 6.9 million parameters."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.02,
    )
    return LlamaForCausalLM(config)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rows-per-step", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="stop early (a trial of the speed)")
    arguments = parser.parse_args()
    keep_freed_memory()
    arguments.out.mkdir(parents=True, exist_ok=True)

    train, held_out = read_rows(arguments.data)
    tokenizer_folder = arguments.out / "tokenizer"
    if not tokenizer_folder.exists():
        train_tokenizer(train).save_pretrained(tokenizer_folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    rows = to_token_rows(tokenizer, conversations(train, seed=0))
    check = to_token_rows(tokenizer, conversations(held_out, seed=0))
    print(
        f"{len(train)} rows, {len(rows)} conversations, {sum(map(len, rows)):,} tokens per epoch; {len(held_out)} rows held out", flush=True
    )

    model: Any = build_model(tokenizer, seed=0)
    settings = LoopSettings(
        learning_rate=arguments.learning_rate,
        epochs=arguments.epochs,
        rows_per_step=arguments.rows_per_step,
        max_tokens=4096,
        warmup_share=0.03,
        decay_share=0.5,
        weight_decay=0.1,
        betas=(0.9, 0.95),
        evaluations_per_epoch=4,
        precision="bf16",
    )
    log = (arguments.out / "log.jsonl").open("a")

    def validate(current: Any, step: int) -> ValidationPoint:
        nats = mean_nats(current, check)
        print(json.dumps({"step": step, "validation_nats_per_token": round(nats, 4)}), file=log, flush=True)
        return ValidationPoint(step, nats, -nats)

    def progress(state: LoopState, total: int) -> None:
        if state.step % 10 == 0:
            recent = [loss for _, loss, _ in state.losses[-10:]]
            line = {
                "step": state.step,
                "of": total,
                "loss": round(sum(recent) / len(recent), 4),
                "tokens": state.tokens,
                "tokens_per_s": round(state.tokens / state.seconds),
            }
            print(json.dumps(line), file=log, flush=True)

    started = time.monotonic()
    hooks = Hooks(validate, progress, save_every_s=120.0, max_seconds=arguments.max_seconds)
    state = Trainer(model, rows, settings, CheckpointFolder(arguments.out / "checkpoints"), hooks).run()
    final = arguments.out / "model"
    model.to(torch.bfloat16).save_pretrained(final)
    tokenizer.save_pretrained(final)
    print(f"{state.step} steps, {state.tokens:,} tokens, {state.seconds:.0f} s in steps, {time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    main()

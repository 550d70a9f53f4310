"""The works (data sets as conversations) and the models, written to files that every system reads alike."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ours
from benchmarks.measure import Row

Conversation = list[tuple[str, str]]
"""(role, content) of each turn; the last one is the assistant's, which is to be written."""

BUILD = Path("build/bench")
SMOLLM_135M = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "vocab_size": 49152,
}


def data_folder() -> Path:
    """PROVETUNE_TEST_DATA; ends the program with a clear message where it names no folder."""
    folder = os.environ.get("PROVETUNE_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        raise SystemExit(
            f"PROVETUNE_TEST_DATA is {folder!r}, wanted the folder with banking77, snips, ...; scripts/fetch_data.py fills one"
        )
    return Path(folder)


def _shuffled(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return random.Random(0).sample(rows, len(rows))


def _columns(file: Path, text: str, target: str) -> list[tuple[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return _shuffled([(row[text], row[target]) for row in csv.DictReader(lines)])


def labels_of(data: Path) -> list[str]:
    """The 77 labels of banking77."""
    found: list[str] = json.loads((data / "banking77/categories.json").read_text())
    return found


def banking77(data: Path, shots: int = 0) -> Iterator[Conversation]:
    """Customer message to one of 77 labels, all named in the system line: a long prefix that all rows share."""
    system = "Answer with the one label that fits the customer's message. Labels: " + ", ".join(labels_of(data))
    rows = _columns(data / "banking77/train.csv", "text", "category")
    shown = [turn for text, label in rows[:shots] for turn in (("user", text), ("assistant", label))]
    for text, label in rows[shots:]:
        yield [("system", system), *shown, ("user", text), ("assistant", label)]


def legal(data: Path) -> Iterator[Conversation]:
    """Contract passages of at least 600 characters to a plain summary: long rows that share next to nothing."""
    found = [row for file in sorted((data / "legal_summarization").glob("*.json")) for row in json.loads(file.read_text()).values()]
    for text, summary in _shuffled([(row["original_text"], row["reference_summary"]) for row in found if len(row["original_text"]) >= 600]):
        yield [("user", f"Summarize in plain words: {text}"), ("assistant", summary)]


def snips(data: Path) -> Iterator[Conversation]:
    """Short requests to JSON of intent and slots."""
    rows = []
    for file in sorted((data / "snips").glob("*/train_*_full.json")):
        ((intent, found),) = json.loads(file.read_bytes().decode("utf-8", errors="replace")).items()
        for parts in (row["data"] for row in found):
            slots = {part["entity"]: part["text"] for part in parts if "entity" in part}
            target = json.dumps({"intent": intent, "slots": slots}, ensure_ascii=False)
            rows.append(("".join(part["text"] for part in parts), target))
    for text, target in _shuffled(rows):
        yield [("system", "Turn the request into JSON."), ("user", text), ("assistant", target)]


def e2e(data: Path) -> Iterator[Conversation]:
    """Facts about a restaurant to a sentence."""
    for facts, text in _columns(data / "e2e_nlg/devel-fixed.no-ol.csv", "mr", "ref"):
        yield [("system", "Write the facts as a sentence."), ("user", facts), ("assistant", text)]


WORKS: dict[str, tuple[Callable[[Path], Iterator[Conversation]], int]] = {
    "banking77": (banking77, 16),
    "banking77-few": (lambda data: banking77(data, shots=4), 16),
    "legal": (legal, 64),
    "snips": (snips, 64),
    "e2e": (e2e, 64),
}
"""Conversations of each work, and the longest completion that is asked for, in tokens."""


@cache
def prepare(name: str, model: Path, rows: int) -> dict[str, Any]:
    """Write the first `rows` rows that fit into the model's context; where they are, how many, how many longer ones were left out."""
    conversations, new = WORKS[name]
    tokens = ours.tokenizer(model)
    found: list[Row] = []
    left_out = 0
    for turns in conversations(data_folder()):
        row = ours.encode(turns, tokens)
        if len(row) > tokens.context_length:
            left_out += 1
            continue
        ids = {"input_ids": row.ids.tolist(), "labels": np.where(row.labelled, row.ids, -100).tolist()}
        found.append({**ids, "turns": turns[:-1], "text": ours.render(turns[:-1], tokens)})
        if len(found) == rows:
            break
    choices = labels_of(data_folder()) if name.startswith("banking77") else []
    written = json.dumps({"rows": found, "choices": choices, "max_new_tokens": new, "stop_ids": sorted(tokens.stop_ids)})
    path = BUILD / "work" / f"{name}-{hashlib.sha256(written.encode()).hexdigest()[:12]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(written)
    return {"work_file": str(path), "rows": len(found), "rows_left_out": left_out}


def model_folder(name: str) -> Path:
    """Folder of `starter`, or of `llama-135m`: the shape of SmolLM-135M, random weights, the starter's tokenizer; made once."""
    if name == "starter":
        return ours.STARTER
    folder = BUILD / "models" / name
    if not folder.is_dir():
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(ours.STARTER, **SMOLLM_135M)
        partial = folder.with_suffix(".partial")
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(partial)
        for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copy(ours.STARTER / file, partial / file)
        partial.rename(folder)
    return folder

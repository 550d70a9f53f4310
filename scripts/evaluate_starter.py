"""Measure the starter model on what it was never trained on, and print the tables of its model card.

    python scripts/evaluate_starter.py --model src/provetune/models/starter --data ../shared/data

Bits per byte on the held-out templates and on WikiText-2; zero-shot and 5-shot accuracy on the held-out
templates (the option with the highest likelihood), against chance, with 95 % Wilson intervals.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
from train_starter import HELD_OUT, read_rows

from provetune.chat import TokenRow, encode_training
from provetune.engine.likelihood import row_nats
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import load_model
from provetune.records.data import Message
from provetune.stats.proportion import wilson

Row = dict[str, str]
OPTIONS = {
    "dbpedia_14": "Company, Educational Institution, Artist, Athlete, Office Holder, Mean Of Transportation, Building, Natural Place, "
    "Village, Animal, Plant, Album, Film, Written Work",
    "paws": "Yes, No",
    "rotten_tomatoes": "Yes, No",
}
"""What the templates offer; the sampled rows of some have one label only (the count of labels is printed)."""
FEW = 5


def options(row: Row, template_rows: list[Row]) -> list[str]:
    """What a row's completion is chosen from: listed in its prompt, or all completions of its template."""
    if row["template"].startswith("commonsense_qa"):
        return re.findall(r"^- (.+)$", row["prompt"], re.MULTILINE)
    named = next((names.split(", ") for start, names in OPTIONS.items() if row["template"].startswith(start)), [])
    return named or sorted({other["completion"] for other in template_rows})


def conversation(row: Row, completion: str, shots: list[Row]) -> list[Message]:
    """Shots as earlier turns that are not scored, then the row with one of its options."""
    turns = [(shot["prompt"], shot["completion"], 0) for shot in shots] + [(row["prompt"], completion, 1)]
    return [
        message
        for prompt, text, weight in turns
        for message in (Message(role="user", content=prompt), Message(role="assistant", content=text, weight=1 if weight else 0))
    ]


def accuracy(model: Any, tokenizer: FolderTokenizer, rows: list[Row], shots: int, limit: int) -> tuple[int, int, float]:
    """(rows whose own completion is the likeliest option, rows, chance); the first rows are the shots, at most `limit` are scored."""
    examples, rest = rows[:shots], rows[FEW : FEW + limit]
    encoded: list[TokenRow] = []
    counts: list[int] = []
    kept: list[tuple[Row, list[str]]] = []
    for row in rest:
        found = options(row, rows)
        candidates = [encode_training(conversation(row, option, examples), tokenizer) for option in found]
        if row["completion"] in found and max(map(len, candidates)) <= tokenizer.context_length:
            kept.append((row, found))
            encoded += candidates
            counts.append(len(found))
    nats = row_nats(model, encoded)
    right, start = 0, 0
    for (row, found), count in zip(kept, counts, strict=True):
        best = int(np.argmin(nats[start : start + count]))
        right += found[best] == row["completion"]
        start += count
    return right, len(kept), float(np.mean([1 / count for count in counts]))


def bits_per_byte(model: Any, tokenizer: FolderTokenizer, texts: list[str]) -> tuple[float, int]:
    """(bits per UTF-8 byte of plain texts cut to the context, bytes)."""
    rows, size = [], 0
    begin = tokenizer.encode(tokenizer.render([Message(role="user", content="")], open_turn=False))[:1]
    for text in texts:
        ids = tokenizer.encode(text)
        for start in range(0, len(ids), tokenizer.context_length - 1):
            part = ids[start : start + tokenizer.context_length - 1]
            rows.append(TokenRow(np.array(begin + part), np.array([False] + [True] * len(part))))
            size += len(tokenizer.decode(part).encode())
    return sum(row_nats(model, rows)) / math.log(2) / size, size


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200, help="rows per held-out template, a third of it with shots")
    arguments = parser.parse_args()
    tokenizer, model = FolderTokenizer(arguments.model), load_model(arguments.model)
    _, held_out = read_rows(arguments.data / "t0_50k" / "t0_50k.jsonl.gz")

    wiki = (arguments.data / "wikitext2" / "valid.txt").read_text(encoding="utf-8")
    for name, texts in (
        ("held-out templates, prompts", [row["prompt"] for row in held_out]),
        ("WikiText-2 validation", [part for part in wiki.split(" \n") if len(part) > 200][:200]),
    ):
        value, size = bits_per_byte(model, tokenizer, texts)
        print(json.dumps({"text": name, "bits_per_byte": round(value, 3), "bytes": size}), flush=True)
    for template in HELD_OUT:
        rows = [row for row in held_out if row["template"] == template]
        random.Random(0).shuffle(rows)  # the file is sorted by label
        for shots in (0, FEW):
            right, count, chance = accuracy(model, tokenizer, rows, shots, arguments.rows if shots == 0 else arguments.rows // 3)
            print(
                json.dumps({"template": template, "shots": shots, "accuracy": str(wilson(right, count)), "chance": round(chance, 3)}),
                flush=True,
            )


if __name__ == "__main__":
    main()

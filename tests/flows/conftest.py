"""Small real projects for the flow tests: a tiny Llama with the starter's tokenizer, rows that it can learn a little of."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provetune.cli import main

HINTS = {"billing": ("invoice", "refund"), "delivery": ("parcel", "courier"), "access": ("login", "password")}
WORDS = ("order", "screen", "slow", "again", "today", "since", "please", "cannot", "new", "old", "monday", "account", "team", "still")


@dataclass(frozen=True)
class Done:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


Call = Callable[..., Done]


def call(*arguments: str | Path) -> Done:
    """One command in this process, its output caught, the environment as it was."""
    before, out, err = dict(os.environ), io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Done(code, out.getvalue(), err.getvalue())


def ticket_rows(count: int, seed: int = 5) -> list[tuple[str, str]]:
    """(text, label): a hint of the label among other words."""
    draw = random.Random(seed)
    labels = list(HINTS)
    rows = []
    for number in range(count):
        label = labels[number % len(labels)]
        words = [*draw.sample(WORDS, 5), draw.choice(HINTS[label]), str(number)]
        draw.shuffle(words)
        rows.append((" ".join(words), label))
    return rows


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("ticket,message,queue\n" + "".join(f"t{k},{text},{label}\n" for k, (text, label) in enumerate(rows)), encoding="utf-8")
    return path


def write_jsonl(path: Path, rows: list[tuple[str, str]], keys: tuple[str, str] = ("prompt", "completion")) -> Path:
    path.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows), encoding="utf-8")
    return path


def write_chat(path: Path, rows: list[tuple[str, str]]) -> Path:
    turns = [[{"role": "user", "content": text}, {"role": "assistant", "content": label}] for text, label in rows]
    path.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in turns), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers of width 64 with random weights, and the starter's tokenizer."""
    from transformers import PreTrainedTokenizerFast

    from provetune.models.locate import STARTER
    from tests.models import save_folder, tiny_llama

    tokenizer = PreTrainedTokenizerFast.from_pretrained(STARTER)
    model = tiny_llama(vocab_size=len(tokenizer), max_position_embeddings=256)
    return save_folder(tmp_path_factory.mktemp("models") / "tiny", model, tokenizer)


def write_project(folder: Path, base: Path, rows: int = 120, more: str = "") -> Path:
    """A project that trains in seconds."""
    folder.mkdir()
    write_csv(folder / "tickets.csv", ticket_rows(rows))
    (folder / "provetune.yaml").write_text(
        "version: 1\nname: tickets\ntask: classify\ndata: {path: tickets.csv, columns: {prompt: message, target: queue}}\n"
        f"base: {base}\ntrain: {{method: lora, epochs: 1, batch_size: 16}}\n{more}"
        + ("" if "prove:" in more else "prove: {retention: []}\n"),
        encoding="utf-8",
    )
    return folder


@dataclass(frozen=True)
class Trained:
    """A project after its first `run`, and how that ended."""

    folder: Path
    done: Done


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Trained:
    folder = write_project(tmp_path_factory.mktemp("projects") / "trained", base_folder)
    return Trained(folder, call("-C", folder, "run"))


@pytest.fixture
def trained(trained_once: Trained, tmp_path: Path) -> Iterator[Trained]:
    """A copy that the test may change."""
    yield Trained(shutil.copytree(trained_once.folder, tmp_path / "project", symlinks=True), trained_once.done)

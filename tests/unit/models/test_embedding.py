"""Vectors of texts: a static model as its own library reads it, and the stand-in without a model."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from provetune.errors import ModelError
from provetune.models.embedding import DIMENSIONS, embedder

ODD = ["", "\n", "???", "\ud800 half a pair", "привет мир", "日本語", "word " * 5000]


@pytest.fixture(scope="module")
def folder(public_data: Path) -> Path:
    return public_data.parent / "models" / "static_embedding"


@pytest.fixture(scope="module")
def banking(public_data: Path) -> list[str]:
    with (public_data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def test_a_static_model_gives_the_vectors_of_its_own_library(folder: Path, banking: list[str]) -> None:
    from model2vec import StaticModel

    texts = [*banking[:2000], *(text for text in ODD if text.isprintable() or text == "\n")]
    wanted = StaticModel.from_pretrained(folder, force_download=False).encode(texts, use_multiprocessing=False)
    assert np.abs(embedder(folder).embed(texts) - wanted).max() < 1e-6


@pytest.mark.parametrize("static", [True, False])
def test_vectors_have_length_one_or_are_zeros(static: bool, folder: Path, banking: list[str]) -> None:
    found = embedder(folder if static else None).embed([*banking[:300], *ODD])
    lengths = np.linalg.norm(found, axis=1)
    assert found.dtype == np.float32
    assert found.shape == (300 + len(ODD), DIMENSIONS)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))
    assert lengths[:300].min() > 0.99
    assert embedder(folder if static else None).embed([]).shape == (0, DIMENSIONS)


def test_letters_are_fitted_to_the_first_texts_and_always_the_same(banking: list[str]) -> None:
    first, second = embedder(None), embedder(None)
    before = first.embed(banking[:500])
    assert np.array_equal(before, second.embed(banking[:500]))
    assert np.allclose(before[:5], first.embed(banking[:5]), atol=1e-6)  # placed among the first texts, not fitted again


@pytest.mark.parametrize("texts", [["a"], ["a", "b"], ["", ""], ["!!!"] * 3, ["same words here"] * 40])
def test_letters_of_texts_that_say_little(texts: list[str]) -> None:
    found = embedder(None).embed(texts)
    assert found.shape[0] == len(texts)
    assert np.isfinite(found).all()


def test_meaning_is_nearer_than_chance(folder: Path) -> None:
    vectors = embedder(folder).embed(["Where is my new card?", "My card has not arrived yet", "Tell me a joke about cats"])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_weights_and_mapping_of_a_smaller_vocabulary(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "tokenizer.json", tmp_path)
    rows = load_file(folder / "model.safetensors")["embeddings"].astype(np.float32)
    save_file(
        {"embeddings": rows[::-1].copy(), "mapping": np.arange(len(rows))[::-1].copy(), "weights": np.full(len(rows), 3.0)},
        tmp_path / "model.safetensors",
    )
    text = ["Where is my new card?"]
    assert np.allclose(embedder(tmp_path).embed(text), embedder(folder).embed(text), atol=1e-6)


def test_a_folder_without_a_static_model_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no static embedding model"):
        embedder(tmp_path)
    shutil.copy(folder / "model.safetensors", tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        embedder(tmp_path)
    shutil.copy(folder / "tokenizer.json", tmp_path)
    save_file({"embeddings": np.ones((7, 4), dtype=np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="7 vectors for 29,528 tokens"):
        embedder(tmp_path)

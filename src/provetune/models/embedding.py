"""Texts as vectors, without torch: a static embedding model from a folder, or TF-IDF with SVD where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from provetune.errors import ModelError
from provetune.hashing import folder_sha256
from provetune.protocols import Embedder

DIMENSIONS = 128
FITTED_ON = 20_000
"""TF-IDF and SVD are fitted to at most this many texts, evenly spaced; all others are placed among them."""
LONGEST = 512
"""Tokens of a text that a static model reads; TF-IDF reads as many words' worth of characters."""
_BATCH = 4096
_LETTERS = 6 * LONGEST
_BUCKETS = 1 << 16
_MIXERS = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)
_FILES = "model.safetensors and tokenizer.json in model2vec format"

Vectors = NDArray[np.float32]


def embedder(folder: Path | None) -> Embedder:
    """The static model in `folder`, or TF-IDF with SVD for None. Raises ModelError where the folder holds no static model."""
    return LetterStatistics() if folder is None else StaticModel(folder)


class StaticModel:
    """A static embedding model in model2vec's format: one vector a token, a text is the mean of its tokens.

    Reads `model.safetensors` (`embeddings`, and where there are such `weights` and `mapping`) and `tokenizer.json`.
    Source: Tulkens and van Dongen, "Model2Vec", 2024, https://github.com/MinishLab/model2vec.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer as Fast

        try:
            tensors = load_file(folder / "model.safetensors")
            self._tokenizer: Any = Fast.from_file(str(folder / "tokenizer.json"))
            rows = np.asarray(tensors["embeddings"], dtype=np.float32)
        except (OSError, KeyError, SafetensorError) as error:
            raise ModelError(f"{folder}: no static embedding model ({error}); wanted {_FILES}") from error
        except Exception as error:  # tokenizers raises plain Exception
            if type(error) is not Exception:
                raise
            raise ModelError(f"{folder / 'tokenizer.json'}: {error}; wanted {_FILES}") from error
        vocabulary = self._tokenizer.get_vocab()
        places = np.asarray(tensors.get("mapping", np.arange(len(rows))), dtype=np.int64)
        if len(places) != len(vocabulary):
            raise ModelError(f"{folder}: {len(places):,} vectors for {len(vocabulary):,} tokens; wanted one each ({_FILES})")
        weights = np.asarray(tensors.get("weights", np.ones(len(places))), dtype=np.float32)
        self._vectors: Vectors = rows[places] * weights[:, None]
        # a word that the model does not know says nothing about the text
        unknown = [token for token in ("[UNK]", "<unk>") if token in vocabulary]
        self._vectors[[vocabulary[token] for token in unknown]] = 0
        self._nothing = frozenset(vocabulary[token] for token in unknown)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(LONGEST)
        # a text of so many letters fills the tokens: cutting it first saves the tokenizer the rest
        self._letters = LONGEST * max(1, int(np.median([len(token) for token in vocabulary])))
        self.name = f"{folder.name} ({folder_sha256(folder, ['.safetensors'])[:12]})"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, shape (texts, dimensions); zeros for a text without a known token."""
        parts = [self._means(batch) for batch in _batches(texts)]
        return np.concatenate(parts) if parts else np.zeros((0, self._vectors.shape[1]), dtype=np.float32)

    def _means(self, texts: Sequence[str]) -> Vectors:
        from scipy.sparse import csr_array

        cut = [_encodable(text[: self._letters]) for text in texts]
        rows = [row.ids for row in self._tokenizer.encode_batch_fast(cut, add_special_tokens=False)]
        edges = np.cumsum([0, *map(len, rows)])
        ids = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(edges[-1]))
        counted = csr_array((np.ones(len(ids), dtype=np.float32), ids, edges), shape=(len(rows), len(self._vectors)))
        return _unit(np.asarray(counted @ self._vectors, dtype=np.float32))


class LetterStatistics:
    """TF-IDF of character 3-grams and a truncated SVD of 128 dimensions, for every script and without any model.

    It is fitted to the texts of the first call, so embed the data set first; deterministic. It sees wording, not meaning. 3-grams are
    those within words and at their borders, as scikit-learn's `char_wb` takes them, counted in 65,536 buckets by their hash.
    """

    name = f"TF-IDF of 3 letters with SVD, {DIMENSIONS} dimensions"

    def __init__(self) -> None:
        self._rarity: NDArray[np.float32] | None = None
        self._projection: Any = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, shape (texts, dimensions); zeros for a text without a known 3-gram."""
        if not texts:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        if self._rarity is None:
            self._rarity = self._fit(texts[:: -(-len(texts) // FITTED_ON)])
        if self._projection is None:
            return np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        found = np.empty((len(texts), len(self._projection.components_)), dtype=np.float32)
        for number, batch in enumerate(_batches(texts)):
            part = self._projection.transform(_weighted(_letter_counts(batch), self._rarity))
            found[number * _BATCH : number * _BATCH + len(batch)] = _unit(part.astype(np.float32))
        return found

    def _fit(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Find the projection; gives the inverse document frequency of each bucket, 0 for those that no text has."""
        from scipy.sparse import vstack
        from sklearn.decomposition import TruncatedSVD

        counts = vstack([_letter_counts(batch) for batch in _batches(texts)])
        held = np.bincount(counts.indices, minlength=_BUCKETS)
        rarity = np.where(held > 0, np.log((1 + len(texts)) / (1 + held)) + 1, 0).astype(np.float32)
        rank = min(DIMENSIONS, int(np.count_nonzero(held)) - 1)
        if rank >= 1:
            with np.errstate(invalid="ignore", divide="ignore"):  # the explained variance of equal rows is 0 / 0
                self._projection = TruncatedSVD(rank, n_iter=3, random_state=0).fit(_weighted(counts, rarity))
        return rarity


def _letter_counts(texts: Sequence[str]) -> Any:
    """How often each bucket of 3-grams stands in each text, sparse, shape (texts, buckets)."""
    from scipy.sparse import csr_array

    spaced = [f" {' '.join(text[:_LETTERS].lower().split())} " for text in texts]
    codes = np.frombuffer("".join(spaced).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    mixed = codes[:-2] * _MIXERS[0] + codes[1:-1] * _MIXERS[1] + codes[2:] * _MIXERS[2]
    buckets = ((mixed ^ (mixed >> np.uint64(31))) * _MIXERS[0]) >> np.uint64(48)
    # a 3-gram around a space would reach from word to word, or from text to text
    within = np.flatnonzero(codes[1:-1] != ord(" "))
    rows = np.repeat(np.arange(len(texts)), [len(text) for text in spaced])[within + 1]
    pairs, counts = np.unique(rows * _BUCKETS + buckets[within].astype(np.int64), return_counts=True)
    owners, columns = np.divmod(pairs, _BUCKETS)
    edges = np.searchsorted(owners, np.arange(len(texts) + 1))
    return csr_array((counts.astype(np.float32), columns, edges), shape=(len(texts), _BUCKETS))


def _weighted(counts: Any, rarity: NDArray[np.float32]) -> Any:
    """1 + log of the counts times rarity, each row of length 1."""
    found = counts.copy()
    found.data = (1 + np.log(counts.data)) * rarity[counts.indices]
    lengths = np.sqrt(np.add.reduceat(np.append(found.data**2, 0), found.indptr[:-1])) * (np.diff(found.indptr) > 0)
    found.data /= np.maximum(np.repeat(lengths, np.diff(found.indptr)), 1e-12)
    return found


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[low : low + _BATCH] for low in range(0, len(texts), _BATCH))


def _encodable(text: str) -> str:
    """The text with a mark in place of lone surrogates, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit

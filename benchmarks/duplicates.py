"""Near-duplicates beside datasketch and semhash, in one run: `python -m benchmarks.duplicates`.

600 copies with one or two typing errors are planted in the training rows of banking77, clinc150 and snips. Recall is the share of
copies that end in one group with their source. Precision is counted over the pairs found that are no exact copies, twice: "planted"
takes the planted pairs alone for right, "near" also pairs that stood in the data with the same label and slots. A library that is not
installed is a line that says so; benchmarks/requirements-data.txt tells how to install both.
"""

from __future__ import annotations

import importlib.metadata
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.planted_rows import Planted, data_folder, public_rows, with_typo_copies
from provetune.records.data import Example, Message
from provetune.similarity import alike, groups, normalise

SETS = ("banking77", "clinc150", "snips")
COPIES = 600
Pairs = list[tuple[int, int]]


def ours(texts: list[str]) -> Pairs:
    """5-grams at J >= 0.8 and typing errors, as the audit and the split use them."""
    rows = [
        Example(id=str(row), messages=(Message(role="user", content=text), Message(role="assistant", content="-")))
        for row, text in enumerate(texts)
    ]
    found = alike(rows)
    return [(i, j) for pairs in (found.near, found.typos) for i, j, _ in pairs.listed()]


def datasketch(size: int, words: bool, least: float) -> Callable[[list[str]], Pairs]:
    """MinHash LSH with 128 permutations over `size` letters (or words), each pair verified by its exact similarity."""

    def found(texts: list[str]) -> Pairs:
        from datasketch import MinHash, MinHashLSH

        sets = [_grams(normalise(text), size, words) for text in texts]
        index = MinHashLSH(threshold=least, num_perm=128)
        pairs = []
        for row, (grams, sketch) in enumerate(zip(sets, MinHash.bulk([list(grams) for grams in sets], num_perm=128), strict=True)):
            pairs += [(other, row) for other in index.query(sketch) if len(grams & sets[other]) >= least * len(grams | sets[other])]
            index.insert(row, sketch)
        return pairs

    return found


def _grams(text: str, size: int, words: bool) -> set[bytes]:
    parts = text.split() if words else list(text)
    joint = " " if words else ""
    return {joint.join(parts[place : place + size]).encode() for place in range(max(1, len(parts) - size + 1))}


def semhash(least: float) -> Callable[[list[str]], Pairs]:
    """Nearest neighbours of static embeddings (the small English test model), at a cosine of `least`."""

    def found(texts: list[str]) -> Pairs:
        from model2vec import StaticModel
        from semhash import SemHash

        model = StaticModel.from_pretrained(data_folder().parent / "models" / "static_embedding")
        first: dict[str, int] = {}
        rows = [first.setdefault(text, row) for row, text in enumerate(texts)]
        equal = [(one, row) for row, one in enumerate(rows) if one != row]
        result = SemHash.from_records(list(first), model=model).self_deduplicate(threshold=least)
        return equal + [(first[str(found.record)], first[str(found.duplicate_of)]) for found in result.filtered]

    return found


SYSTEMS: dict[str, tuple[str, Callable[[list[str]], Pairs]]] = {
    "provetune": ("provetune", ours),
    "datasketch, 5 letters, J >= 0.5": ("datasketch", datasketch(5, False, 0.5)),
    "datasketch, 5 letters, J >= 0.7": ("datasketch", datasketch(5, False, 0.7)),
    "datasketch, 3 words, J >= 0.5": ("datasketch", datasketch(3, True, 0.5)),
    "semhash, cosine >= 0.9": ("semhash", semhash(0.9)),
    "semhash, cosine >= 0.8": ("semhash", semhash(0.8)),
}


def line(name: str, planted: Planted) -> str:
    """One line of the table: recall, both precisions, pairs, rows a second of process time."""
    package, find = SYSTEMS[name]
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return f"| {name} | not installed | | | | |"
    began = time.process_time()
    pairs = find(planted.texts)
    seconds = time.process_time() - began
    group_of = groups(len(planted.texts), [(i, j, 1.0) for i, j in pairs])
    copies = [row for row, source in enumerate(planted.source) if source != row]
    recall = sum(group_of[row] == group_of[planted.source[row]] for row in copies) / len(copies)
    telling = [(i, j) for i, j in pairs if normalise(planted.texts[i]) != normalise(planted.texts[j])]
    right, near = (sum(test(i, j) for i, j in telling) / max(1, len(telling)) for test in (planted.is_true, planted.is_near))
    return f"| {name} ({version}) | {recall:.3f} | {right:.3f} | {near:.3f} | {len(telling):,} | {len(planted.texts) / seconds:,.0f} |"


def tables(folder: Path, seed: int) -> Iterator[str]:
    """A table for each data set."""
    for name in SETS:
        planted = with_typo_copies(public_rows(folder, name), COPIES, seed)
        yield f"\n{name}: {len(planted.texts) - COPIES:,} rows and {COPIES} planted copies\n"
        yield "| system | recall | precision, planted | precision, near | pairs | rows/s |\n|---|--:|--:|--:|--:|--:|"
        for system in SYSTEMS:
            yield line(system, planted)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for text in tables(data_folder(), seed=1):
        print(text, flush=True)

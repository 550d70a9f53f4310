"""Wrong labels beside plain cleanlab, in one run: `python -m benchmarks.label_errors`.

A share of the labels is changed, half of them to the label that a classifier of the untouched data confuses most often with the
right one. Both read the same static model's vectors. "cleanlab" is its documented use: five-fold probabilities of scikit-learn's
logistic regression, `find_label_issues`. Recall and precision are of the flagged rows; what was wrong in the data before counts as a
false alarm for both. `clean` is the share of the untouched rows that is flagged. CPU seconds are of one process, vectors included.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.planted_rows import CLASSIFY, data_folder, examples, plain, public_rows, with_wrong_labels
from provetune.audit import AuditInput
from provetune.audit.label_errors import find_label_errors
from provetune.models.embedding import embedder
from provetune.similarity import alike

Rows = list[tuple[str, str]]
Finder = Callable[[Rows], dict[int, str]]
SETS = ("banking77", "clinc150", "snips", "hatecheck")
SHARES = (0.02, 0.05, 0.1, 0.2)


def ours(folder: Path) -> Finder:
    """As `provetune audit` does."""

    def find(rows: Rows) -> dict[int, str]:
        told = examples(rows)
        vectors = embedder(folder.parent / "models" / "static_embedding")
        found = find_label_errors(AuditInput(told, CLASSIFY, None, None, alike(told).groups, embedder=vectors, label_errors=True))
        return {} if found is None else dict(zip(found.places, found.reads_like, strict=True))

    return find


def cleanlab(folder: Path) -> Finder:
    """Plain cleanlab on the same vectors."""
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    def find(rows: Rows) -> dict[int, str]:
        vectors = embedder(folder.parent / "models" / "static_embedding").embed([text for text, _ in rows])
        names, labels = np.unique([label for _, label in rows], return_inverse=True)
        model = LogisticRegression(C=10, max_iter=300)
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        probabilities = cross_val_predict(model, vectors, labels, cv=folds, method="predict_proba")
        found = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
        return {int(place): str(names[probabilities[place].argmax()]) for place in found}

    return find


def confusions(rows: Rows, found: dict[int, str]) -> dict[str, str]:
    """For each label the one that its flagged rows most often read like."""
    pairs = Counter((rows[place][1], like) for place, like in found.items())
    return {label: like for (label, like), _ in reversed(pairs.most_common())}


def main() -> None:
    """Print the table."""
    folder = data_folder()
    warnings.simplefilter("ignore")
    print("| data | system | clean | wrong labels | flagged | precision | recall | CPU s |\n|---|---|--:|--:|--:|--:|--:|--:|")
    for name in SETS:
        rows = plain(public_rows(folder, name))
        finders = {"provetune": ours(folder), "cleanlab": cleanlab(folder)}
        before = {system: find(rows) for system, find in finders.items()}
        confused = confusions(rows, before["provetune"])
        for share in SHARES:
            given, wrong = with_wrong_labels(rows, share, confused)
            for system, find in finders.items():
                started = time.process_time()
                found = set(find(given))
                seconds, hits = time.process_time() - started, len(found & wrong)
                figures = f"{hits / max(1, len(found)):.2f} | {hits / len(wrong):.2f} | {seconds:.1f}"
                clean = f"{len(before[system]) / len(rows):.1%}"
                print(f"| {name} | {system} | {clean} | {share:.0%} | {len(found):,} | {figures} |", flush=True)


if __name__ == "__main__":
    main()

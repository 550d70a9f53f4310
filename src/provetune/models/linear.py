"""The linear candidate: TF-IDF and logistic regression, a strong and cheap opponent for classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from provetune.protocols import Completion, Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Example, Message


class LinearClassifier:
    """Words (1-2) and characters (2-5) by TF-IDF, multinomial logistic regression; deterministic, fitted in seconds.

    Examples of one label only make it answer that label always.
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        features = make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2),
        )
        several = len({example.label for example in examples}) > 1
        self._pipeline: Any = make_pipeline(features, LogisticRegression(C=20.0, max_iter=300) if several else DummyClassifier())
        self._pipeline.fit([example.prompt_text for example in examples], [example.label for example in examples])

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """The label of each conversation's user turns."""
        texts = ["\n".join(m.content for m in messages if m.role != "system") for messages in prompts]
        labels = self._pipeline.predict(texts) if texts else []
        progress("completions", len(texts), len(texts))
        return [Completion(str(label), 0, 0, True) for label in labels]

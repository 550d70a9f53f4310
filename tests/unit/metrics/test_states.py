"""Likeness of texts by a causal model's own hidden states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from provetune.metrics.semantic import similarities, state_vectors
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import load_model


def test_the_states_of_a_layer_are_the_vectors(tiny_folder: Path, tiny_tokenizer: FolderTokenizer) -> None:
    model = load_model(tiny_folder)
    vectors = state_vectors(model, tiny_tokenizer.encode, layer=-1)
    one, nothing = vectors(["late parcel", ""])
    ids = tiny_tokenizer.encode("late parcel")
    with torch.inference_mode():
        wanted = model.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    assert nothing.shape[0] == 0 and np.allclose(one, wanted, atol=1e-6)
    same, other, empty = similarities(["late parcel"] * 3, ["late parcel", "invoice 7", ""], vectors)
    assert same == 1.0 and 0 <= other < 1 and empty == 0.0
    assert similarities(["ab"], ["ab c"], vectors)[0] == pytest.approx(similarities(["ab c"], ["ab"], vectors)[0], abs=1e-6)

"""What may be served: the same base, the same template, settings that make sense one request at a time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import ModelError, SpecError
from provetune.models.tokenizer import FolderTokenizer, model_ref
from provetune.records.candidate import Candidate, GenerationSettings
from provetune.serving.loading import ToServe, load_served
from tests.gateways import candidate_named


def measured(folder: Path, **generation: Any) -> Candidate:
    ref = model_ref(folder, str(folder), "main", FolderTokenizer(folder))
    return candidate_named("zero-shot").model_copy(update={"model": ref, "generation": GenerationSettings(**generation)})


def test_another_template_or_base_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    candidate = measured(copy)
    served = load_served(ToServe("v1", "", candidate, tmp_path, None))
    assert candidate.model is not None and served.template == candidate.model.template
    served.backend.close()
    template = copy / "chat_template.jinja"
    template.write_text("x" + template.read_text())
    with pytest.raises(ModelError, match="completions would differ"):
        load_served(ToServe("v1", "", candidate, tmp_path, None))
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelError, match="not the weights"):
        load_served(ToServe("v1", "", candidate, tmp_path, None))


def test_what_cannot_be_served_is_told(tiny_folder: Path, tmp_path: Path) -> None:
    batch = measured(tiny_folder, choices=("a", "b"), scored=True, calibration="batch")
    with pytest.raises(SpecError, match="calibration"):
        load_served(ToServe("v1", "", batch, tmp_path, None))
    with pytest.raises(SpecError, match="--endpoint"):
        load_served(ToServe("v1", "", candidate_named("someone's"), tmp_path, None))

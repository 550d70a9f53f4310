"""Fixtures of the core's tests: one thread, tiny models built in code."""

from __future__ import annotations

from pathlib import Path

import pytest

from provetune.models.locate import STARTER
from provetune.models.tokenizer import FolderTokenizer


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as a user would name it: tiny Llama, byte tokenizer, the starter's template."""
    from tests.models import save_folder

    return save_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_folder: Path) -> FolderTokenizer:
    return FolderTokenizer(tiny_folder)


@pytest.fixture(scope="session")
def starter_tokenizer() -> FolderTokenizer:
    return FolderTokenizer(STARTER)

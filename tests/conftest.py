"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of public data sets; skips the test where PROVETUNE_TEST_DATA does not name one."""
    folder = os.environ.get("PROVETUNE_TEST_DATA", "")
    if not folder:
        pytest.skip("public data absent: set PROVETUNE_TEST_DATA to the folder that holds banking77, snips, ...")
    if not Path(folder).is_dir():
        pytest.skip(f"public data absent: PROVETUNE_TEST_DATA names {folder}, which is no folder")
    return Path(folder)

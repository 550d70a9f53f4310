"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# One thread, set before numpy or torch is loaded: on problems this small several wait for each other, minutes on a busy machine.
for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(pool, "1")


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of public data sets; skips the test where PROVETUNE_TEST_DATA does not name one."""
    folder = os.environ.get("PROVETUNE_TEST_DATA", "")
    if not folder:
        pytest.skip("public data absent: set PROVETUNE_TEST_DATA to the folder that holds banking77, snips, ...")
    if not Path(folder).is_dir():
        pytest.skip(f"public data absent: PROVETUNE_TEST_DATA names {folder}, which is no folder")
    return Path(folder)

"""What users said of the tuned model."""

from __future__ import annotations

from pathlib import Path

import pytest

from provetune.errors import DataError
from provetune.stats.proportion import wilson
from provetune.workflow.roi import satisfaction


def test_feedback_is_counted_by_candidate(tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    file.write_text('{"helpful": true}\n{"helpful": false}\n{"helpful": true, "candidate": "few-shot"}\n{"helpful": true}\n')
    assert satisfaction(file, "tuned") == {"few-shot": wilson(1, 1), "tuned": wilson(2, 3)}
    file.write_text('{"helpful": true}\n{"helpful": "yes"}\n')
    with pytest.raises(DataError, match=r"feedback\.jsonl:2: .*'yes'"):
        satisfaction(file, "tuned")

"""What the command line says so that it can be pasted."""

from __future__ import annotations

import shlex
from pathlib import Path

from provetune.cli.session import Session


def test_a_command_for_a_folder_with_spaces_can_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "my tickets; and more"
    said = Session(folder).command("run").strip("`")
    assert shlex.split(said) == ["provetune", "-C", str(folder), "run"]

"""From a decision to a package: refused after hold, shipped under a waiver, the same texts through transformers' own loaders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provetune.records.release import Release
from provetune.registry import Registry, verify
from tests.flows.conftest import Trained, call, write_project


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="session")
def waived_once(trained_once: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained project with a waiver of Ada's."""
    folder = shutil.copytree(trained_once.folder, tmp_path_factory.mktemp("waived") / "project", symlinks=True)
    key = tmp_path_factory.mktemp("keys") / "ada.pem"
    assert call("-C", folder, "registry", "key", "ada", "--key", key).code == 0
    waived = call("-C", folder, "registry", "waive", "--who", "ada", "--why", "a trial", "--until", "2099-12-31", "--key", key)
    assert waived.code == 0, waived.err
    return folder


@pytest.fixture
def waived(waived_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(waived_once, tmp_path / "project", symlinks=True)


def test_without_ship_and_without_a_waiver_nothing_is_shipped(trained: Trained) -> None:
    assert trained.done.code in (3, 4)
    done = call("-C", trained.folder, "ship")
    assert done.code == trained.done.code
    assert "registry waive" in done.err
    assert not (trained.folder / "packages").exists() and not (trained.folder / "registry").exists()


@pytest.mark.parametrize("form", ["adapter", "merged", "gguf"])
def test_each_form_gives_the_texts_that_were_measured(waived: Path, base_folder: Path, form: str) -> None:
    done = call("-C", waived, "--format", "json", "ship", "--form", form)
    assert done.code == 0, done.err
    package = json.loads(done.out)["package"]
    assert (package["golden_prompts"], package["golden_equal"]) == (len(_golden(waived, form)["prompts"]),) * 2
    assert package["golden_kind"] == "evaluated" and package["golden_prompts"] > 10
    folder = waived / "packages" / f"tickets-v1-{form}"
    sums = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False)
    assert sums.returncode == 0, sums.stdout
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Shipped under a waiver" in card and "a trial" in card and "2099-12-31" in card
    before = package["sha256"]
    again = json.loads(call("-C", waived, "--format", "json", "ship", "--form", form).out)["package"]
    assert again["sha256"] == before
    if form != "gguf":
        config = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        assert config["pad_token_id"] not in config["eos_token_id"]
    else:
        assert "TEMPLATE" in (folder / "Modelfile").read_text(encoding="utf-8")


def test_a_changed_package_is_noticed_by_its_own_script(waived: Path) -> None:
    assert call("-C", waived, "ship", "--form", "merged").code == 0
    folder = waived / "packages" / "tickets-v1-merged"
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    golden["prompts"][0]["text"] = "something else"
    (folder / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    done = subprocess.run([sys.executable, folder / "replay.py", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [one["id"] for one in json.loads(done.stdout)["differing"]] == [golden["prompts"][0]["id"]]


def test_a_release_holds_what_serving_and_watching_need(waived: Path) -> None:
    assert call("-C", waived, "ship").code == 0
    registry = Registry(waived)
    release = registry.release("1")
    rows = registry.reference_rows(release)
    assert {row.part for row in rows} == {"validation", "test"} and len(rows) == release.reference.rows
    assert release.reference.error.value is not None and 0 <= release.reference.error.value <= 1
    assert release.waiver is not None and release.waiver.who == "ada"
    assert (registry.folder_of(release) / "weights" / "adapter_model.safetensors").is_file()
    ledger = (waived / "ledger.jsonl").read_text(encoding="utf-8")
    assert len(ledger.splitlines()) == 1, "reading the proof's own test rows again is no opening"
    assert verify(registry).faults == ()


def test_the_verbs_of_the_registry(waived: Path) -> None:
    assert call("-C", waived, "ship").code == 0
    assert call("-C", waived, "registry", "promote", "1", "--who", "ben", "--why", "first").code == 0
    listed = call("-C", waived, "registry", "list", "--log")
    assert "champion 100%" in listed.out and "ben: promote" in listed.out and "waiver of ada until 2099-12-31" in listed.out
    shown = call("-C", waived, "--format", "json", "registry", "show")
    assert Release.from_json(shown.out).waiver is not None
    assert call("-C", waived, "registry", "rollback").code == 2
    assert call("-C", waived, "registry", "assign", "shadow", "1", "--share", "1").code == 0
    assert call("-C", waived, "registry", "gc", "--dry-run").code == 0
    assert call("-C", waived, "registry", "verify").code == 0
    assert call("-C", waived, "registry", "restore").code == 0
    assert call("-C", waived, "registry", "assign", "champion", "1").code == 2


def test_full_weights_ship_merged(tmp_path: Path, base_folder: Path) -> None:
    folder = write_project(tmp_path / "full", base_folder, more="")
    text = (folder / "provetune.yaml").read_text(encoding="utf-8").replace("method: lora", "method: full")
    (folder / "provetune.yaml").write_text(text, encoding="utf-8")
    assert call("-C", folder, "run").code in (0, 3, 4)
    key = tmp_path / "ada.pem"
    assert call("-C", folder, "registry", "key", "ada", "--key", key).code == 0
    call("-C", folder, "registry", "waive", "--who", "ada", "--why", "a trial", "--until", "2099-12-31", "--key", key)
    done = call("-C", folder, "--format", "json", "ship")
    assert done.code == 0, done.err
    package = json.loads(done.out)["package"]
    assert package["form"] == "merged" and package["golden_equal"] == package["golden_prompts"] > 10


def _golden(project: Path, form: str) -> dict[str, list[object]]:
    found: dict[str, list[object]] = json.loads((project / "packages" / f"tickets-v1-{form}" / "golden.json").read_text(encoding="utf-8"))
    return found

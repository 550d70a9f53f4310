"""A fast start: nothing heavy is loaded before it is needed, and every library that is used is declared."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, imports_of, modules

HEAVY = ("torch", "transformers", "pandas", "accelerate", "peft", "sklearn")
HELP = """
import sys
sys.argv = ["provetune", "--help"]
from provetune.cli import main
code = 0
try:
    code = main() or 0
except SystemExit as stop:
    code = stop.code or 0
{after}
sys.exit(code)
"""
LIST = f"print('loaded:', *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
HELP_CPU_SECONDS = 0.4


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("code", [f"import sys, provetune\n{LIST}", HELP.format(after=LIST)], ids=["import", "help"])
def test_nothing_heavy_is_loaded(code: str) -> None:
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].split() == ["loaded:"]


def test_a_verb_without_a_model_loads_nothing_heavy(tmp_path: Path) -> None:
    """`init` reads rows; so do the verbs for labels, votes and formats, by the same modules."""
    (tmp_path / "rows.csv").write_text("text,label\n" + "a card,billing\nno code,login\n" * 5)
    code = f"import sys\nfrom provetune.cli import main\ncode = main(sys.argv[1:])\n{LIST}\nsys.exit(code)"
    command = [sys.executable, "-c", code, "-C", str(tmp_path), "init", str(tmp_path / "rows.csv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0 and done.stderr.splitlines()[-1].split() == ["loaded:"], done.stderr


def child_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_starts_fast() -> None:
    seconds = []
    for _ in range(5):
        before = child_cpu_seconds()
        done = run(HELP.format(after=""))
        assert done.returncode == 0, done.stderr
        assert "Usage" in done.stdout
        seconds.append(child_cpu_seconds() - before)
    assert min(seconds) <= HELP_CPU_SECONDS, f"CPU seconds of five starts: {[round(value, 2) for value in seconds]}"


def canonical(name: str) -> str:
    """`scikit_learn[x]>=1` -> `scikit-learn`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", name.strip(), maxsplit=1)[0]).lower()


def test_declared_libraries_are_the_imported_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = {canonical(name) for name in (*project["dependencies"], *(item for key in extras if key != "dev" for item in extras[key]))}
    # pydantic pins its core exactly, so declaring pydantic declares both
    package = {
        "pydantic_core": "pydantic",
        "sklearn": "scikit-learn",
        "yaml": "pyyaml",
        "rouge_score": "rouge-score",
        "huggingface_hub": "huggingface-hub",
        "markdown_it": "markdown-it-py",
        "opentelemetry": "opentelemetry-sdk",
        "python_multipart": "python-multipart",
    }
    imported = {found.target.split(".")[0] for module in modules() for found in imports_of(module)} - {
        *sys.stdlib_module_names,
        "provetune",
    }
    missing = {package.get(name, name) for name in imported} - declared
    assert not missing, f"imported under src/, not declared in pyproject.toml: {sorted(missing)}"
    unused = declared - {package.get(name, name) for name in imported}
    assert not unused, f"declared in pyproject.toml, imported nowhere under src/: {sorted(unused)}"


def test_every_declared_library_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9A-Za-z.]*", pin) for pin in pins), "a pin is `name==version`, without local part"
    names = [pin.split("==")[0] for pin in pins]
    assert names == sorted(set(names)) and len(names) > 50
    # vllm has pins of its own, of torch too: it is installed where it is served from, never beside the tests
    # the wheel of gpuhunt, of `prices`, brings a package named `tests`, which would hide ours
    extras = [item for key, items in project["optional-dependencies"].items() if key not in ("vllm", "prices") for item in items]
    missing = {canonical(name) for name in (*project["dependencies"], *extras)} - {canonical(pin) for pin in pins}
    assert not missing, f"without a pin in constraints.txt: {sorted(missing)}"

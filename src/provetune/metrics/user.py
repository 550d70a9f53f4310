"""A metric of the user's own: a function named `module:function`, from the project's folder or an installed package."""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
import sys
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

from provetune.errors import SpecError
from provetune.hashing import file_sha256
from provetune.metrics.base import Metric, Observe, Row, weighted_mean

PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
"""`module:function`, the module with dots where it lies in a package."""


def user_metric(path: str, folder: Path) -> Metric:
    """Load the function and make a metric of it: it takes a `Row` and gives a score from 0 to 1, None where it cannot measure.

    The module is a file of the project's folder, else an installed one. It is code that runs with the user's rights: call this only
    for a path that the project file itself names. The signature holds the file's hash. Raises SpecError where nothing is found, and
    when a score is none.
    """
    name, _, function = path.partition(":")
    if not PATH.fullmatch(path):
        raise SpecError(f"metric {path!r}: wanted MODULE:FUNCTION, such as my_metrics:politeness for a function of my_metrics.py")
    module = _module(path, name, folder.resolve())
    score = getattr(module, function, None)
    if not callable(score):
        known = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise SpecError(f"metric {path}: {module.__file__} has no function {function!r}; it has {', '.join(known[:10]) or 'none'}")
    source = module.__file__
    version = "" if source is None else file_sha256(Path(source))[:12]
    return Metric(path, 1, "mean", _observer(path, score), weighted_mean, signature=lambda rows: f"code:{version}")


def stored(path: str) -> Metric:
    """The metric as its stored observations need it: no code of the user runs."""

    def refuse(row: Row) -> None:
        raise SpecError(f"metric {path} was not loaded; run it in the project that names it")

    return Metric(path, 1, "mean", refuse, weighted_mean)


def _module(path: str, name: str, folder: Path) -> ModuleType:
    file = folder.joinpath(*name.split("."))
    found = next((f for f in (file.with_suffix(".py"), file / "__init__.py") if f.is_file()), None)
    try:
        if found is None:
            return importlib.import_module(name)
        if not found.resolve().is_relative_to(folder):
            raise SpecError(f"metric {path}: {found} leads out of the project's folder; put the file itself there")
        spec = importlib.util.spec_from_file_location(f"own_metric_{name.replace('.', '_')}", found)
        assert spec is not None and spec.loader is not None
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
        spec.loader.exec_module(module)
    except SpecError:
        raise
    except ModuleNotFoundError as error:
        if error.name != name.split(".")[0]:
            raise SpecError(f"metric {path}: {found or name} needs {error.name!r}, which is not installed; install it") from error
        raise SpecError(f"metric {path}: no {name.replace('.', '/')}.py in {folder}, and no installed module of that name") from error
    except Exception as error:  # the user's own code
        raise SpecError(f"metric {path}: {found or name} failed while it was read ({type(error).__name__}: {error}); correct it") from error
    return module


def _observer(path: str, score: Callable[..., Any]) -> Observe:
    def observe(row: Row) -> tuple[float, ...] | None:
        try:
            value = score(row)
        except Exception as error:  # the user's own code
            raise SpecError(
                f"metric {path} failed on the completion {row.completion[:80]!r} ({type(error).__name__}: {error}); correct the function"
            ) from error
        if value is None:
            return None
        number = float(value) if isinstance(value, Real) else math.nan
        if not 0 <= number <= 1:
            raise SpecError(f"metric {path} gave {value!r}; wanted a number from 0 to 1, or None where a row cannot be measured")
        return (number,)

    return observe

"""The tree of errors as its page draws it."""

from __future__ import annotations

import re

import pytest

from provetune import errors


def classes() -> dict[str, type[errors.ProvetuneError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.ProvetuneError)]
    return {value.__name__: value for value in found}


def test_the_drawing_shows_every_class_with_its_exit_code() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+) +(\d+)", errors.__doc__ or ""))
    assert {name: int(code) for name, code in drawn.items()} == {
        name: kind.exit_code for name, kind in classes().items() if kind is not errors.ProvetuneError
    }


@pytest.mark.parametrize("kind", classes().values(), ids=classes().keys())
def test_every_error_is_one_of_ours_and_keeps_its_message(kind: type[errors.ProvetuneError]) -> None:
    with pytest.raises(errors.ProvetuneError, match="found this, wanted that") as caught:
        raise kind("found this, wanted that")
    assert 1 <= caught.value.exit_code <= 8


def test_divergence_is_a_failed_run() -> None:
    assert issubclass(errors.TrainingDiverged, errors.RunFailed)

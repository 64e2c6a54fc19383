"""Checks tensor shapes and dtypes of first-party calls while tests run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintException

_CONF = BeartypeConf(is_pep484_tower=True)  # an int where a float is asked for is no mistake


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its annotations checked, if it handles tensors.

    Others stay as they are: their wrong arguments must meet our own errors, and some annotations exist for static
    checkers only.
    """
    if not any("Tensor" in str(annotation) for annotation in function.__annotations__.values()):
        return function
    try:
        return beartype(conf=_CONF)(function)
    except BeartypeDecorHintException:
        return function

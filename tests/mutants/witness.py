"""A pytest plugin for the child: it refuses to begin unless the source under test is that of the copy."""

from __future__ import annotations

import os

import pytest

import outlast


def pytest_configure(config: pytest.Config) -> None:
    expected = os.path.join(os.environ["MUTANTS_ROOT"], "src", "outlast", "__init__.py")
    if outlast.__file__ != expected:
        raise pytest.UsageError(f"outlast is {outlast.__file__}, expected {expected}")

"""The least a function can be: what ours are measured against."""

from __future__ import annotations

from typing import Any


def hello(request: Any) -> str:  # noqa: ARG001
    """The framework's own first example."""
    return "Hello, World!"

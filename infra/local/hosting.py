"""Targets as functions-framework serves them in the cloud, several in one process.

The framework executes a source file anew for each target, but a service may be assembled only
once in a process. So it is given this file as the source, and finds in it the targets of the
service that is being hosted, which was imported as everything else is.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__all__ = ["host"]

_being_hosted: list[ModuleType] = []


def host(service: str, target: str) -> Any:
    """The WSGI application of functions/<service>/main.py's ``target``: http or events."""
    from functions_framework import create_app

    _being_hosted[:] = [importlib.import_module(f"functions.{service}.main")]
    return create_app(target, __file__)


if __name__ == "hosting":
    # Executed by the framework under the file's bare name.
    _module = sys.modules["infra.local.hosting"]._being_hosted[0]
    http, events = _module.http, _module.events

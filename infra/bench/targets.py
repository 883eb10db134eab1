"""The synthetic services' events targets, as functions-framework takes them from a source file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.bench import services

if TYPE_CHECKING:
    from flask import Request, Response


def alpha(request: Request) -> Response:
    """Answers to its saga."""
    return services.SERVICES["alpha"].events(request)


def beta(request: Request) -> Response:
    """The second step, and what alpha tells."""
    return services.SERVICES["beta"].events(request)


def gamma(request: Request) -> Response:
    """The third step."""
    return services.SERVICES["gamma"].events(request)


def bare(request: Request) -> tuple[str, int]:
    """An effect and nothing else."""
    return services.bare(request)

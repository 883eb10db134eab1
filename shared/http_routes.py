"""Routes and how a path finds its own: a tree of segments, a literal before a placeholder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from shared.access import Rule
from shared.errors import NotFound, Problem
from shared.http_plan import Plan, RouteError

__all__ = ["Resource", "Route", "Table"]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one resource; ``path`` is the whole template, prefix included."""

    method: str
    path: str
    access: Rule
    handler: Callable[..., Any]
    status: int
    returns: Any
    media: str
    """The media type of what it returns."""
    adapter: TypeAdapter[Any] | None
    problems: tuple[type[Problem], ...]
    plan: Plan

    @property
    def summary(self) -> str:
        """The first paragraph of the handler's docstring, in one line."""
        return " ".join(self._paragraphs[0].split())

    @property
    def details(self) -> str:
        """What follows it."""
        return "\n\n".join(" ".join(part.split()) for part in self._paragraphs[1:])

    @property
    def _paragraphs(self) -> list[str]:
        return (self.handler.__doc__ or "").strip().split("\n\n")


@dataclass(slots=True)
class Resource:
    """What stands at one path: its routes by method."""

    template: str
    routes: dict[str, Route] = field(default_factory=dict)

    @property
    def allow(self) -> Mapping[str, str]:
        """The Allow header (RFC 9110, 10.2.1)."""
        methods = {*self.routes, "OPTIONS", *(("HEAD",) if "GET" in self.routes else ())}
        return MappingProxyType({"Allow": ", ".join(sorted(methods))})


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    placeholder: _Node | None = None
    resource: Resource | None = None


class Table:
    """All routes under one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._root = _Node()
        self.routes: list[Route] = []

    def add(self, route: Route) -> None:
        """Raises RouteError where the path and method are taken already."""
        node = self._root
        for segment in route.path[len(self._prefix) :].split("/")[1:]:
            if segment.startswith("{"):
                node.placeholder = node = node.placeholder or _Node()
            else:
                node = node.literals.setdefault(segment, _Node())
        if node.resource is None:
            node.resource = Resource(route.path)
        if node.resource.template != route.path:
            raise RouteError(f"the same path is already called {node.resource.template}")
        if route.method in node.resource.routes:
            raise RouteError("this path already has that method")
        node.resource.routes[route.method] = route
        self.routes.append(route)

    def find(self, path: str) -> tuple[Resource, list[str]]:
        """The resource at ``path`` and its placeholders' texts. Raises NotFound."""
        if path.startswith(self._prefix):
            first, *segments = path[len(self._prefix) :].split("/")
            if not first:
                texts: list[str] = []
                resource = _walk(self._root, segments, 0, texts)
                if resource is not None:
                    return resource, texts
        raise NotFound


def _walk(node: _Node, segments: list[str], at: int, texts: list[str]) -> Resource | None:
    if at == len(segments):
        return node.resource
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _walk(literal, segments, at + 1, texts)
        if found is not None:
            return found
    if node.placeholder is None or not segment:
        return None
    texts.append(segment)
    found = _walk(node.placeholder, segments, at + 1, texts)
    if found is None:
        texts.pop()
    return found

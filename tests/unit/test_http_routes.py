"""Declaring routes: what cannot work, or would not be safe, fails at import and says why."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict

from shared.access import owner, public
from shared.errors import NotFound
from shared.http import Api, RouteError
from shared.http_routes import Table
from tests.http_example import Filter, Strict
from tests.http_example import api as example


class Lax(BaseModel):
    """Lets unknown fields pass."""

    name: str


class Outer(Strict):
    """Strict itself, but not what it holds."""

    inner: dict[str, list[Lax]]


@dataclass
class Point:
    """A dataclass cannot be told to forbid."""

    x: int


class Pointed(Strict):
    """Holds a dataclass."""

    point: Point


class Own(Strict):
    """Names a person."""

    patient_id: UUID


class Narrow(Filter):
    """Forbids because its base does."""

    model_config = ConfigDict(frozen=True)


def narrow(query: Narrow) -> None: ...
def unknown(name: str) -> None: ...
def untyped(name) -> None: ...  # type: ignore[no-untyped-def]
def starred(*names: str) -> None: ...
def lax(body: Lax) -> None: ...
def outer(body: Outer) -> None: ...
def pointed(body: Pointed) -> None: ...
def no_model(body: dict[str, str]) -> None: ...
def query(query: Lax) -> None: ...
def body(body: Own) -> None: ...
def both(patient_id: UUID, body: Own) -> None: ...
def nothing() -> None: ...
def undefined(name: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("reason", "method", "path", "handler"),
    [
        ("parameter name is neither in the path, body nor query", "get", "", unknown),
        ("parameter name has no type", "get", "", untyped),
        ("parameter names cannot be passed by name", "get", "", starred),
        ("does not take patient_id of the path", "get", "/{patient_id}", nothing),
        ("stands twice in the path", "get", "/{name}/{name}", unknown),
        ("is not a path of segments", "get", "no-slash", nothing),
        ("is not a path of segments", "get", "/a//b", nothing),
        ("is not a path of segments", "get", "/{Name}", nothing),
        ("body: Lax must forbid unknown fields", "post", "", lax),
        ("body: Lax must forbid unknown fields", "post", "", outer),
        ("body: Point (a dataclass, not a model) must forbid", "post", "", pointed),
        ("body must be a pydantic model", "post", "", no_model),
        ("query: Lax must forbid unknown fields", "get", "", query),
        ("a GET has no body", "get", "", body),
        ("a DELETE has no body", "delete", "", body),
        ("name 'Nowhere' is not defined", "get", "", undefined),
    ],
)
def test_a_handler_that_does_not_fit_is_refused(
    reason: str, method: str, path: str, handler: Callable[..., Any]
) -> None:
    """The error names the service, the route, the handler and the reason."""
    api = Api("example", prefix="/api/examples")
    verb = {"get": api.get, "post": api.post, "delete": api.delete}[method]
    with pytest.raises(RouteError, match=re.escape(reason)) as caught:
        verb(path, access=public())(handler)
    assert str(caught.value).startswith(
        f"example: {method.upper()} /api/examples{path} ({handler.__name__}): "
    )
    assert api.routes == ()


@pytest.mark.parametrize(
    ("places", "path", "handler"), [(0, "", nothing), (2, "/{patient_id}", both)]
)
def test_access_looks_at_exactly_one_place(
    places: int, path: str, handler: Callable[..., Any]
) -> None:
    """A field in no place cannot be checked; in two, one would be checked and the other used."""
    api = Api("example", prefix="/api/examples")
    with pytest.raises(RouteError, match=f"access looks at patient_id, which is in {places}"):
        api.post(path, access=owner("patient_id"))(handler)


def test_a_route_without_access_does_not_exist() -> None:
    """Deny by default: leaving out the rule, or writing None, fails at import."""
    api = Api("example", prefix="/api/examples")
    with pytest.raises(TypeError, match="access"):
        api.get("")  # type: ignore[call-overload]
    with pytest.raises(RouteError, match="GET /api/examples: access must be a rule"):
        api.get("", access=None)  # type: ignore[call-overload]


def test_a_path_and_method_is_declared_once() -> None:
    """A second declaration, also under another placeholder's name, is refused."""
    api = Api("example", prefix="/api/examples")

    def by_id(patient_id: UUID) -> None: ...
    def by_name(name: str) -> None: ...

    api.get("/{patient_id}", access=public())(by_id)
    with pytest.raises(RouteError, match="already has that method"):
        api.get("/{patient_id}", access=public())(by_id)
    with pytest.raises(RouteError, match=r"already called /api/examples/\{patient_id\}"):
        api.post("/{name}", access=public())(by_name)


def test_the_table_tells_who_may_use_what() -> None:
    """Everything an access table or a grant needs is on the route."""
    table = {(route.method, route.path): route for route in example.routes}
    show = table["GET", "/api/examples/{patient_id}"]
    assert (
        show.access.describe(),
        show.summary,
    ) == ("DENTIST of any clinic; the person in patient_id", "Show a patient.")
    assert frozenset({"notification"}) == table["POST", "/api/examples/sync"].access.services


def paths(*templates: str) -> Table:
    """A table with one GET route per template."""
    table = Table("/p")
    for template in templates:
        table.add(replace(example.routes[0], method="GET", path=f"/p{template}"))
    return table


@pytest.mark.parametrize(
    ("template", "values", "path"),
    [
        ("/p", [], "/p"),
        ("/p/new", [], "/p/new"),
        ("/p/{a}", ["newer"], "/p/newer"),
        ("/p/{a}/x", ["new"], "/p/new/x"),
        ("/p/new/y", [], "/p/new/y"),
        ("/p/{a}/{b}/z", ["new", "y"], "/p/new/y/z"),
        (None, [], "/p/"),
        (None, [], "/p/new/"),
        (None, [], "/p//x"),
        (None, [], "/pp"),
        (None, [], "/q"),
        (None, [], ""),
    ],
)
def test_a_literal_goes_before_a_placeholder(
    template: str | None, values: list[str], path: str
) -> None:
    """The most literal template wins, and a dead end is taken back."""
    table = paths("", "/new", "/{a}", "/{a}/x", "/new/y", "/{a}/{b}/z")
    try:
        found, texts = table.find(path)
    except NotFound:
        assert template is None
    else:
        assert (template, values) == (found.template, texts)


def test_configuration_of_a_model_is_inherited() -> None:
    """A model that inherits forbid needs no configuration of its own."""

    api = Api("example", prefix="/api/examples")
    api.get("", access=public())(narrow)
    assert len(api.routes) == 1

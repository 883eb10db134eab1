"""docs/configuration.md names every setting that the code reads, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from shared.config import Config, MissingSettings

ROOT = Path(__file__).resolve().parents[2]
_NAME = re.compile(r"_?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_IN_THE_PAGE = re.compile(r"`((?:<SERVICE>_)?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)`")
# Upper-case words near a reading of the environment that are no settings: what is set for others
# (by benchmarks and the torture for children of their own), and HTTP's methods.
_OTHERS = {"POSTGRES_ENABLE_DB_FUNCTIONS", "PYTHONUNBUFFERED", "TOKEN", "TORTURE_DATABASE_URL"}
_OTHERS |= {
    "PGPASSWORD",
    "DENTIST",
    "RECEPTIONIST",
    "TORTURE_STREAMS",
    "TF_DATA_DIR",
    "DELETE",
    "GET",
    "HEAD",
    "PATCH",
    "POST",
    "PUT",
}


def _names(node: ast.AST) -> set[str]:
    """Every text below ``node`` that could name a setting."""
    return {
        found.value
        for found in ast.walk(node)
        if isinstance(found, ast.Constant)
        and isinstance(found.value, str)
        and _NAME.fullmatch(found.value)
    }


def _called(node: ast.AST) -> set[str]:
    """Every name and attribute that is used below ``node``."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {
        n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)
    }


def _settings_of(source: str) -> set[str]:
    """What the functions of a module that look at ``environ`` may read from it.

    Their own texts, those of the constants they use, and what others call them with; ``_X`` is
    the end of a service's own setting.
    """
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    readers = [f for f in functions if _reads_the_environment(f)]
    found = set().union(*map(_names, readers))
    used = set().union(*map(_called, readers))
    for node in tree.body:
        if isinstance(node, ast.Assign) and {getattr(t, "id", "") for t in node.targets} & used:
            found |= _names(node)
    reading = {f.name for f in readers}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in reading:
            found |= _names(call)
    return {f"<SERVICE>{name}" if name.startswith("_") else name for name in found - _OTHERS}


def _reads_the_environment(function: ast.FunctionDef) -> bool:
    """By itself, or in an argument ``environ`` that is not WSGI's."""
    looks = any(
        isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        for node in ast.walk(function)
    )
    return looks or any(
        argument.arg == "environ"
        and ast.unparse(argument.annotation or argument) != "dict[str, Any]"
        for argument in function.args.args
    )


def _read_by_the_code() -> set[str]:
    found = _settings_of((ROOT / "shared/config.py").read_text(encoding="utf-8"))
    for path in (ROOT / "infra").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if "os.environ" in source or "os.getenv" in source:
            found |= _settings_of(source)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    variables = set(re.findall(r"\$\(([A-Z_]+)\)", makefile))
    variables |= set(re.findall(r"^([A-Z_]+) \?=", makefile, re.M))
    defined = set(re.findall(r"^([A-Z_]+) :?= ", makefile, re.M)) | {"MAKEFILE_LIST"}
    return (found | variables) - defined


def _documented() -> set[str]:
    return set(_IN_THE_PAGE.findall((ROOT / "docs/configuration.md").read_text(encoding="utf-8")))


def test_every_setting_is_documented() -> None:
    """A setting that the code reads stands in docs/configuration.md."""
    assert set() == _read_by_the_code() - _documented()


def test_nothing_else_is_documented() -> None:
    """docs/configuration.md names no setting that nothing reads."""
    examples = {"AUTH_DATABASE_URL"}
    assert set() == _documented() - _read_by_the_code() - examples


def test_only_the_configuration_reads_the_environment() -> None:
    """In shared/ and functions/ nothing but shared/config.py looks at os.environ."""
    readers = [
        str(path.relative_to(ROOT))
        for folder in ("shared", "functions")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text(encoding="utf-8"))
    ]
    assert ["shared/config.py"] == readers


def test_everything_that_is_missing_is_named_at_once() -> None:
    """An empty environment is refused with one message that names each required setting."""
    required = re.findall(
        r"^\| `([A-Z_]+)` \|.*\| required \|$",
        (ROOT / "docs/configuration.md").read_text(encoding="utf-8").partition("## Migrations")[0],
        re.M,
    )
    with pytest.raises(MissingSettings) as refused:
        Config.read({})
    named = re.findall(r"missing: ([A-Z_]+)", str(refused.value))
    assert sorted(required) == sorted(named)

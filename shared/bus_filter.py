"""Pub/Sub's filter language: which messages of a topic a subscription wants.

The subset: ``attributes:key``, ``attributes.key = "value"``, ``!=``, ``hasPrefix(attributes.key,
"prefix")``, ``NOT`` (also ``-``), ``AND``, ``OR`` and parentheses. As in Pub/Sub a filter has at
most 256 bytes, ``!=`` also matches messages without the attribute, and AND and OR may not stand
side by side without parentheses. Source: cloud.google.com/pubsub/docs/subscription-message-filter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["LONGEST", "Filter", "parse"]

Attributes = Mapping[str, str]

LONGEST = 256
"""Bytes that Pub/Sub allows a filter."""
_TOKEN = re.compile(
    r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<name>[A-Za-z0-9_][A-Za-z0-9_-]*)|(?P<sign>!=|[=:.,()-]))'
)


@dataclass(frozen=True)
class Filter:
    """One filter in its two forms, which agree on every message."""

    matches: Callable[[Attributes], bool]
    """The filter as a predicate of the attributes."""
    jsonpath: str
    """The filter as a PostgreSQL jsonpath predicate, for ``attributes @@ jsonpath``."""


def parse(text: str) -> Filter:
    """The filter that ``text`` denotes. Raises ValueError naming what is wrong with it."""
    if len(text.encode()) > LONGEST:
        raise ValueError(f"a filter has at most {LONGEST} bytes")
    parser = _Parser(_tokens(text))
    found = parser.expression()
    if parser.rest:
        raise ValueError(f"unexpected {parser.rest[0]!r} in filter")
    return found


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"cannot read the filter from {text[at : at + 10]!r} on")
        found.append(match[0].strip())
        at = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens; ``rest`` is what has not been read yet."""

    def __init__(self, tokens: list[str]) -> None:
        self.rest = tokens

    def expression(self) -> Filter:
        terms = [self._term()]
        operator = self.rest[0] if self.rest and self.rest[0] in ("AND", "OR") else None
        while operator and self.rest and self.rest[0] == operator:
            self.rest.pop(0)
            terms.append(self._term())
        if self.rest and self.rest[0] in ("AND", "OR"):
            raise ValueError("AND and OR need parentheses around one of them")
        if operator is None:
            return terms[0]
        quantifier = all if operator == "AND" else any
        return Filter(
            lambda attributes: quantifier(term.matches(attributes) for term in terms),
            "(" + {"AND": " && ", "OR": " || "}[operator].join(t.jsonpath for t in terms) + ")",
        )

    def _term(self) -> Filter:
        word = self._next()
        if word in ("NOT", "-"):
            return _negated(self._term())
        if word == "(":
            inner = self.expression()
            self._expect(")")
            return inner
        if word == "hasPrefix":
            return self._prefix()
        if word == "attributes":
            return self._comparison()
        raise ValueError(f"unexpected {word!r} in filter")

    def _prefix(self) -> Filter:
        self._expect("(")
        self._expect("attributes")
        self._expect(".")
        key = self._key()
        self._expect(",")
        prefix = self._string()
        self._expect(")")
        return Filter(
            lambda attributes: attributes.get(key, "").startswith(prefix) and key in attributes,
            f"({_path(key)} starts with {json.dumps(prefix)})",
        )

    def _comparison(self) -> Filter:
        if self._expect(":", ".") == ":":
            present = self._key()
            return Filter(
                lambda attributes: present in attributes,
                f"exists({_path(present)})",
            )
        key = self._key()
        operator = self._expect("=", "!=")
        value = self._string()
        equal = Filter(
            lambda attributes: attributes.get(key) == value,
            f"({_path(key)} == {json.dumps(value)})",
        )
        return equal if operator == "=" else _negated(equal)

    def _key(self) -> str:
        word = self._next()
        if word.startswith('"'):
            return _unquoted(word)
        if not re.fullmatch(r"[\w-]+", word, re.ASCII):
            raise ValueError(f"expected an attribute's name, not {word!r}, in filter")
        return word

    def _string(self) -> str:
        word = self._next()
        if not word.startswith('"'):
            raise ValueError(f"expected a quoted value, not {word!r}, in filter")
        return _unquoted(word)

    def _expect(self, *wanted: str) -> str:
        word = self._next()
        if word not in wanted:
            raise ValueError(f"expected {' or '.join(wanted)}, not {word!r}, in filter")
        return word

    def _next(self) -> str:
        if not self.rest:
            raise ValueError("the filter ends too early")
        return self.rest.pop(0)


def _negated(term: Filter) -> Filter:
    return Filter(lambda attributes: not term.matches(attributes), f"!({term.jsonpath})")


def _path(key: str) -> str:
    return f"$.{json.dumps(key)}"


def _unquoted(word: str) -> str:
    text: str = json.loads(word)
    return text

"""What people read, in their language: ``templates/<language>/<kind>.txt``.

A file has the blocks ``subject`` (also the title in the app), ``in_app`` and ``mail``; where a link
belongs to it, ``mail`` says where it stands and ``action`` what following it does. The HTML of a
mail is made from the same paragraphs, so that both parts say the same; one that begins with a
moment stands out. A subject knows no facts. Nothing clinical and no name of a person is ever in
them: mail is read in passing, and by others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from functions.notification.domain import dates
from functions.notification.domain.choices import Content
from functions.notification.service.facts import Facts
from shared.types import Language

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["action", "in_app", "mail", "subject"]

_MOMENTS = ("starts_at", "previous_starts_at", "expires_at")
_FOLDER = Path(__file__).resolve().parents[1] / "templates"


@cache
def subject(kind: str, language: Language) -> str:
    """What a mail is called, and a notification in the app; it says nothing of the person."""
    return _line(_block(kind, language, "subject", {}))


def in_app(kind: str, language: Language, facts: Facts) -> tuple[str, str]:
    """(title, text) of a notification in the app."""
    text = _block(kind, language, "in_app", _said(facts, language))
    return subject(kind, language), _line(text)


def mail(kind: str, language: Language, facts: Facts) -> Content:
    """The e-mail. Raises jinja2.UndefinedError where the kind needs a fact that is missing."""
    said = _said(facts, language)
    title = subject(kind, language)
    paragraphs = [
        _line(part)
        for part in re.split(r"\n\s*\n", _block(kind, language, "mail", said).strip())
        if part.strip()
    ]
    link = facts.get("link")
    html = (
        _environment()
        .get_template("layout.html")
        .render(
            language=language,
            subject=title,
            paragraphs=paragraphs,
            link=link,
            action=None if link is None else action(kind, language),
            moments=tuple(said[name] for name in _MOMENTS if name in said),
        )
    )
    return Content(title, "\n\n".join(paragraphs) + "\n", html)


@cache
def action(kind: str, language: Language) -> str:
    """What following the link of this kind does. Raises KeyError for a kind without one."""
    return _line(_block(kind, language, "action", {}))


def _said(facts: Facts, language: Language) -> dict[str, str | None]:
    """``facts`` as texts put them: moments in words, on the wall of the clinic."""
    said: dict[str, str | None] = {"clinic": None, **facts}
    for name in _MOMENTS:
        if name in facts:
            moment = datetime.fromisoformat(facts[name])
            said[name] = dates.in_words(moment, facts["time_zone"], language)
    return said


def _block(kind: str, language: Language, name: str, said: Mapping[str, str | None]) -> str:
    template = _environment().get_template(f"{language}/{kind.lower()}.txt")
    return "".join(template.blocks[name](template.new_context(dict(said))))


def _line(text: str) -> str:
    """The lines of one paragraph as one: a file is wrapped for whoever edits it."""
    return " ".join(text.split())


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html"]),
        auto_reload=False,
    )

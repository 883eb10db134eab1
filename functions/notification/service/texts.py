"""What people read, in their language: ``templates/<language>/<kind>.txt``.

A file has the blocks ``subject`` (also the title in the app), ``in_app`` and ``mail``; where a link
belongs to it, ``mail`` says where it stands and ``action`` what following it does. The HTML of a
mail is made from the same paragraphs, so that both parts say the same. Nothing clinical and no
name is ever in them: mail is read in passing, and by others.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from functions.notification.domain import Content, Kind
from shared.types import Language

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["action", "in_app", "mail"]

_FOLDER = Path(__file__).resolve().parents[1] / "templates"


@cache
def in_app(kind: Kind, language: Language) -> tuple[str, str]:
    """(title, text) of a notification in the app."""
    return _line(_block(kind, language, "subject")), _line(_block(kind, language, "in_app"))


def mail(kind: Kind, language: Language, link: str | None = None) -> Content:
    """The e-mail. Raises jinja2.UndefinedError where the kind needs a link and there is none."""
    facts = {} if link is None else {"link": link}
    subject = _line(_block(kind, language, "subject", **facts))
    paragraphs = [
        _line(part)
        for part in re.split(r"\n\s*\n", _block(kind, language, "mail", **facts).strip())
    ]
    html = (
        _environment()
        .get_template("layout.html")
        .render(
            language=language,
            subject=subject,
            paragraphs=paragraphs,
            link=link,
            action=None if link is None else action(kind, language),
        )
    )
    return Content(subject, "\n\n".join(paragraphs) + "\n", html)


@cache
def action(kind: Kind, language: Language) -> str:
    """What following the link of this kind does. Raises KeyError for a kind without one."""
    return _line(_block(kind, language, "action"))


def _block(kind: Kind, language: Language, name: str, **facts: str) -> str:
    template = _environment().get_template(f"{language}/{kind.lower()}.txt")
    return "".join(template.blocks[name](template.new_context(facts)))


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

"""Fixtures that several modules share; a module with needs of its own has one of the same name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shared.db import Database
from tests.mail_server import MailServer


@pytest.fixture(scope="module")
def url(new_db: Callable[[], str]) -> str:
    """A database with accounts (``db_stack``) for one module."""
    made = new_db()
    db = Database(made)
    db.all("create table account (id text primary key, balance int not null)")
    db.close()
    return made


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    """A handle of the test's own for the accounts."""
    made = Database(url)
    yield made
    made.close()


@pytest.fixture
def other(url: str) -> Iterator[Database]:
    """What somebody else sees of the accounts."""
    made = Database(url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """One provider of mail for the module."""
    running = MailServer()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def mail(server: MailServer) -> Iterator[MailServer]:
    """The provider, which is well again after each test."""
    yield server
    server.replies.clear()
    server.data_reply, server.silent = None, False
    if not server.up:
        server.start()

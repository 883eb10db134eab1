"""What is derived from the code: the manifest, the README sections, new services, the locks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from infra import locks, manifest, readmes
from infra.local.problems import Problems
from infra.new_service import BadName, create
from shared import bus_filter
from shared.access import public, services
from shared.contracts.auth import EmailUpdated
from shared.db import Tx
from shared.http import Api
from shared.inbox import Subscriptions
from shared.jobs import Jobs
from shared.runtime import Service


def _service() -> Service:
    api = Api("lab_order", prefix="/api/lab-orders")

    @api.get("/open", access=public(), returns=int)
    def count() -> int:
        """How many are open | waiting."""
        return 0

    @api.get("/export", access=services("reporting"), returns=int)
    def export() -> int:
        """For reports."""
        return 0

    on, jobs = Subscriptions("lab_order"), Jobs()

    @on(EmailUpdated)
    def follow(event: EmailUpdated, tx: Tx) -> None:
        """Nothing."""

    @jobs("remind", every=timedelta(hours=2))
    def remind() -> int:
        """Nothing."""
        return 0

    needs = ("SMTP_URL", "MAIL_FROM", "OBJECTS_URL", "STRIPE_SECRET_KEY")
    return Service("lab_order", api=api, handlers=on, jobs=jobs, needs=needs)


def test_the_manifest_names_everything_terraform_needs() -> None:
    """Prefixes, callers, topics, subscriptions and schedules follow from the declarations."""
    made = manifest.tfvars([_service()])
    expected = {
        "prefix": "/api/lab-orders",
        "personal": False,
        "callers": ["reporting"],
        "publishes": ["lab_order"],
        "documents": False,
        "first_admin": False,
        "secrets": ["BLIND_INDEX_KEY", "SMTP_URL", "STRIPE_SECRET_KEY"],
        "buckets": ["OBJECTS_URL"],
        "settings": ["MAIL_FROM"],
    }
    assert expected == made["services"]["lab_order"]
    assert ["auth", "lab_order"] == made["topics"]
    assert {"service": "lab_order", "topic": "auth"} == made["subscriptions"]["lab_order.auth"]
    assert 7200 == made["schedules"]["lab_order.remind"]["every_seconds"]
    assert 60 == made["schedules"]["lab_order.sweep"]["every_seconds"]


def test_the_manifest_says_who_publishes_where_and_shows_live_views() -> None:
    """Who hears of erasures answers on their topic; who writes live views gets a place for them."""
    made = manifest.tfvars(manifest.load())["services"]
    assert ["auth", "gdpr"] == made["auth"]["publishes"]
    assert {"notification"} == {name for name, facts in made.items() if facts["documents"]}
    assert {"auth"} == {name for name, facts in made.items() if facts["first_admin"]}


def test_the_embedded_bus_parks_what_cannot_be_handled() -> None:
    """Each subscription has the consumer's dead letters, which are tried for ever."""
    first, dead = manifest.subscriptions([_service()], "http://127.0.0.1:1")
    assert ("lab_order.auth", "auth", "lab_order.dead-letters") == (
        first.name,
        first.topic,
        first.dead_letter_topic,
    )
    assert "http://127.0.0.1:1/_events/lab_order/" == first.endpoint
    assert ("lab_order.dead-letters", None) == (dead.name, dead.dead_letter_topic)


def test_the_embedded_bus_leaves_out_what_nobody_handles() -> None:
    """A subscription's filter lets the types through that its service handles, as long as they
    fit into one."""
    first = manifest.subscriptions([_service()], "http://127.0.0.1:1")[0]
    accepts = bus_filter.parse(first.filter or "").matches
    assert [True, False] == [accepts({"event_type": t}) for t in ("ACCESS_REVOKED", "USER_CREATED")]
    found = manifest.subscriptions(manifest.load(), "http://127.0.0.1:1")
    assert None in {s.filter for s in found if s.name == "notification.auth"}


def test_importing_the_services_needs_no_setting() -> None:
    """The manifest is derived on a machine that has nothing but the code."""
    ran = subprocess.run(
        [sys.executable, "-c", "from infra import manifest; manifest.load()"],
        env={"PATH": os.environ["PATH"]},
        cwd=manifest.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (ran.returncode, ran.stderr)


def test_a_readme_section_follows_the_code() -> None:
    """Routes with their access, consumed messages and promises are in the section."""
    text = readmes.section(_service())
    assert "`GET /api/lab-orders/open`" in text
    assert "open \\| waiting" in text
    assert "- `EMAIL_UPDATED` from `auth`" in text
    assert "Its own tables: strong" in text


@pytest.mark.parametrize(
    "name", ["", "Lab", "9lives", "lab-order", "lab__order", "../x", "class", "bus", "x" * 31]
)
def test_a_service_needs_a_proper_name(name: str, tmp_path: Path) -> None:
    """A name that no folder, role or URL could have is refused, and nothing is written."""
    with pytest.raises(BadName):
        create(name, tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_a_service_is_created_once(tmp_path: Path) -> None:
    """A second service of the same name would overwrite the first."""
    create("lab_order", tmp_path)
    assert "/api/lab-order" in (tmp_path / "functions/lab_order/api.py").read_text()
    with pytest.raises(BadName, match="taken"):
        create("lab_order", tmp_path)


def _locks(root: Path, pin: str) -> list[str]:
    hashed = " \\\n    --hash=sha256:00\n"
    (root / "requirements.in").write_text("flask>=3  # the web\n")
    (root / "requirements-dev.in").write_text("-r requirements.in\npytest\n")
    (root / "requirements.txt").write_text(pin)
    (root / "requirements-dev.txt").write_text(f"flask==3.1{hashed}pytest==9{hashed}")
    (root / "requirements-bench.in").write_text("dbos\n")
    (root / "requirements-bench.txt").write_text(f"dbos==3.4{hashed}")
    return locks.faults(root)


def test_locks_that_fit_have_no_fault(tmp_path: Path) -> None:
    """Every requirement pinned, hashed, and the same in development as deployed."""
    assert [] == _locks(tmp_path, "flask==3.1 \\\n    --hash=sha256:00\n")


@pytest.mark.parametrize(
    ("pin", "fault"),
    [
        ("", "lacks flask"),
        ("flask==2.0 \\\n    --hash=sha256:00\n", "lacks flask"),
        ("flask==3.1\n", "no hash for flask"),
        ("flask==3.2 \\\n    --hash=sha256:00\n", "another flask"),
        ("--index-url https://x\nflask==3.1 \\\n    --hash=sha256:00\n", "names a registry"),
    ],
)
def test_locks_that_do_not_fit_are_named(tmp_path: Path, pin: str, fault: str) -> None:
    """Missing, too old, unhashed, different or bound to a registry: each is a fault."""
    assert fault in " ".join(_locks(tmp_path, pin))


def test_the_console_shows_problems_only(tmp_path: Path) -> None:
    """Of what the processes write, people see warnings and errors, whole lines, from now on."""
    told: list[str] = []
    log = tmp_path / "web.log"
    log.write_text('{"severity": "ERROR", "message": "old"}\n')
    problems = Problems(tmp_path, told.append)
    with log.open("a") as file:
        for severity in ("INFO", "WARNING"):
            file.write(json.dumps({"severity": severity, "message": "new", "service": "auth"}))
            file.write("\n")
        file.write('not JSON\n{"severity": "ERROR", "mess')
    problems.look()
    problems.look()
    assert ["web: warning new service=auth"] == told

"""One embedded PostgreSQL for a test session; a fresh database for whoever asks."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from infra import migrate as migrations
from infra.local import postgres
from infra.local.settings import EXAMPLE_RETENTION
from shared.config import config
from shared.db import Database
from shared.tokens import SigningKey

_numbers = itertools.count(1)
# Databases of tests are made by the dozen and thrown away: where memory is ample, no disk waits.
_MEMORY = Path("/dev/shm")
_AMPLE = 16 << 30  # bytes free; all tests together need half of it


def _service_keys() -> dict[str, str]:
    """A key of this session's own, by which the services under test know each other."""
    directory = Path(tempfile.mkdtemp(prefix="dentalhelp-keys-"))
    key = SigningKey.generate()
    private, public = directory / "service-key.pem", directory / "service-jwks.json"
    private.write_text(key.pem, encoding="utf-8")
    public.write_text(json.dumps({"keys": [key.public_jwk()]}), encoding="utf-8")
    return {"SERVICE_SIGNING_KEY": str(private), "SERVICE_JWKS_URL": public.as_uri()}


# A complete configuration for code under test; nothing here is a secret of anybody's.
os.environ.update(
    DENTALHELP_ENV="embedded",
    BUS_URL="memory://",
    KMS_KEY="local:" + base64.b64encode(bytes(range(32))).decode(),
    BLIND_INDEX_KEY=base64.b64encode(bytes(range(32, 64))).decode(),
    TOKEN_ISSUER="http://127.0.0.1:8080",
    PUBLIC_URL="http://127.0.0.1:8080",
    PUSH_ISSUER="dentalhelp-bus",
    PUSH_JWKS_URL="file:///nonexistent/push-jwks.json",
    PUSH_EMAIL="bus@dentalhelp.local",
    PASSWORD_COST="low",
    SERVICES="{}",
    SERVICE_ISSUER="dentalhelp-services",
    SERVICE_EMAIL="{service}@dentalhelp.local",
    BLOBS_URL=Path(tempfile.mkdtemp(prefix="dentalhelp-blobs-")).as_uri(),
    OBJECTS_URL=Path(tempfile.mkdtemp(prefix="dentalhelp-objects-")).as_uri(),
    RETENTION=json.dumps(EXAMPLE_RETENTION),
    SMTP_URL="smtp://127.0.0.1:1",
    MAIL_FROM="DentalHelp <no-reply@dentalhelp.example>",
    **_service_keys(),
)
config.cache_clear()

# A run judges the code and neither the machine, which may be slow, nor luck: the examples follow
# from each test's own text. Others at every run: --hypothesis-profile=explore.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("explore", _PATIENT)
settings.register_profile("steady", _PATIENT, derandomize=True, database=None)
settings.load_profile("steady")


def _place() -> Path | None:
    """The directory for what need not outlive the session; None: where temporary files are."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    ample = _MEMORY.is_dir() and min(free, shutil.disk_usage(_MEMORY).free) > _AMPLE
    return _MEMORY if ample else None


@pytest.fixture(scope="module", autouse=True)
def environment_of_its_own() -> Iterator[None]:
    """What a module changes in the environment ends with it: no order of modules matters."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
    config.cache_clear()


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL of this session's own, without fsync: crashes of it are tested elsewhere.

    Nor does it analyse tables by itself: readers of events wait for every older transaction, also
    for that one, and a test that looks at once would meet it now and then.
    """
    directory = Path(tempfile.mkdtemp(prefix="dentalhelp-pg-", dir=_place()))
    swift = {"fsync": "off", "synchronous_commit": "off", "autovacuum": "off"}
    running = postgres.start(directory / "data", swift)
    yield running
    running.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def new_db(cluster: postgres.Cluster) -> Callable[[], str]:
    """A function that makes an empty database and returns its (superuser's) URL."""

    def make() -> str:
        name = f"t{os.getpid()}_{next(_numbers)}"
        admin = Database(cluster.admin_url)
        admin.all(f"create database {name}")
        admin.close()
        return postgres.database_url(cluster.socket_dir, "postgres", cluster.password, name)

    return make


@pytest.fixture(scope="session")
def service_db(cluster: postgres.Cluster) -> Callable[[str], str]:
    """A function that makes a migrated database of a service and returns its runtime URL.

    The role is least-privileged as in production; a name without a folder gets the kit's tables.
    Migrations run once for each service; its databases are copies.
    """

    migrated: dict[str, str] = {}

    def create(service: str, template: str) -> tuple[str, postgres.ServiceDatabase]:
        name = f"t{os.getpid()}_{next(_numbers)}"
        made = postgres.create_service_database(
            cluster,
            name,
            f"{service}_t",
            password="runtime",
            owner_password="owner",
            template=template,
        )
        return name, made

    def make(service: str) -> str:
        if service not in migrated:
            name, made = create(service, "template1")
            migrations.migrate(made.owner_url, service, role=f"{service}_t")
            migrated[service] = name
        return create(service, migrated[service])[1].url

    return make


@pytest.fixture(scope="session")
def bus_url(cluster: postgres.Cluster) -> str:
    """The embedded bus's database, migrated, for its runtime role; tests use their own topics."""
    name = f"t{os.getpid()}_{next(_numbers)}"
    made = postgres.create_service_database(
        cluster, name, "bus_t", password="runtime", owner_password="owner"
    )
    migrations.migrate_bus(made.owner_url, role="bus_t")
    return made.url


@pytest.fixture(scope="session")
def kit_db(service_db: Callable[[str], str]) -> Callable[[], str]:
    """A function that makes a database with the kit's tables only."""
    return lambda: service_db("kit")

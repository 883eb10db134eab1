"""Closing and migrating a database as in the cloud, where accounts share an instance."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from infra import deploy_database
from infra.local import postgres
from shared.db import Database
from shared.errors import Unavailable

MIGRATIONS, PATIENT, AUTH = (f"{n}@project.iam" for n in ("migrations", "svc-patient", "svc-auth"))


@pytest.fixture
def urls(cluster: postgres.Cluster) -> dict[str, str]:
    """An account's URL for patient's database, as Cloud SQL makes both: owned by a role that the
    migrations' account is a member of, and open to everybody."""
    admin = Database(cluster.admin_url)
    if admin.one("select from pg_roles where rolname = 'cloudsqlsuperuser'") is None:
        admin.all("create role cloudsqlsuperuser nologin createdb createrole")
        for who in (MIGRATIONS, PATIENT, AUTH):
            admin.all(f"create role \"{who}\" login password 'p'")
        admin.all(f'grant cloudsqlsuperuser to "{MIGRATIONS}"')
    admin.all("drop database if exists cloud_patient_db")
    admin.all("create database cloud_patient_db owner cloudsqlsuperuser")
    admin.close()
    return {
        who: postgres.database_url(
            cluster.socket_dir, who.replace("@", "%40"), "p", "cloud_patient_db"
        )
        for who in (MIGRATIONS, PATIENT, AUTH)
    }


def test_a_database_is_open_to_its_service_only(
    urls: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Afterwards the service works with its rows, and another service cannot even connect."""
    other = Database(urls[AUTH])
    assert other.one("select 1 as one")
    other.close()
    monkeypatch.setenv("PATIENT_OWNER_DATABASE_URL", urls[MIGRATIONS])
    monkeypatch.setenv("PATIENT_ROLE", PATIENT)
    assert 0 == deploy_database.main(["patient"])
    assert "patient/0001_patients.sql" in capsys.readouterr().out
    own = Database(urls[PATIENT])
    assert [] == own.all("select patient_id from patients")
    assert {"transaction_timeout": "1min"} == own.one("show transaction_timeout")
    assert own.one("select has_schema_privilege('public', 'create') as may") == {"may": False}
    own.close()
    with pytest.raises(Unavailable):
        Database(urls[AUTH]).one("select 1 as one")
    assert 0 == deploy_database.main(["patient"])
    assert "nothing, it is up to date" in capsys.readouterr().out
    assert urlsplit(urls[PATIENT]).path == "/cloud_patient_db"


def test_migrations_may_take_longer_than_requests(urls: dict[str, str]) -> None:
    """The owner's next session has no limit on statements, whatever the instance says."""
    deploy_database.close(urls[MIGRATIONS], PATIENT)
    owner = Database(urls[MIGRATIONS])
    assert {"statement_timeout": "0"} == owner.one("show statement_timeout")
    assert {"transaction_timeout": "0"} == owner.one("show transaction_timeout")
    owner.close()

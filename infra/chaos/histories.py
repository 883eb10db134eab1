"""Whether people's histories tell what their rows say, in the services that keep histories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from functions.auth.store import history as accounts
from functions.auth.store import users
from functions.patient.store import history, records
from infra.chaos.ledgers import Ledgers
from infra.chaos.people import Patient
from infra.local.keyring import Keyring
from shared.crypto import Vault
from shared.db import Row
from shared.errors import Conflict, Unavailable
from shared.kms import kms
from shared.projection import Projector

__all__ = ["Histories"]

_PATIENT = """
select p.*, a.allergies, a.chronic_conditions, a.medications, a.notes,
       k.version as key_version, k.wrapped as key_wrapped
  from patients p
  join patient_anamnesis a on a.patient_id = p.patient_id
  join subject_keys k on k.subject = p.patient_id
 where p.patient_id = :person
"""
_ACCOUNT = f"""
select u.facts, u.status, u.email, {users.ROLES}, h.version as h_version, h.status as h_status,
       h.email as h_email, h.roles as h_roles, k.version as key_version, k.wrapped as key_wrapped
  from users u
  join subject_keys k on k.subject = u.id
  left join lateral (select * from {accounts.PROJECTOR.projection.live()} l where l.person_id = u.id
                      order by version desc limit 1) h on true
 where u.id = :person
"""  # nosec B608 -- nothing in it comes from outside


class Histories:
    """Compares the histories of a platform with its rows and its read models."""

    def __init__(self, ledgers: Ledgers, directory: Path) -> None:
        """``directory`` is the platform's: it holds the keys."""
        key = kms(f"local:{Keyring.open(directory, []).kms_key}")
        self._ledgers = ledgers
        self._vaults: Mapping[str, Vault] = {
            service: Vault(ledgers.database(service), key) for service in ledgers.services
        }

    def differences(self, patients: Sequence[Patient]) -> list[str]:
        """What the facts about ``patients`` do not say as the rows do, and each row of a read model
        that its events do not make so. Nothing may be under way."""
        found = []
        for patient in patients:
            for what, told, there in self._compared(UUID(patient.patient_id)):
                if told != there:
                    found.append(f"person {patient.number}: {what} tells something else")
        return found + [
            line
            for service, projectors in self._ledgers.projectors.items()
            for projector in projectors
            for line in self._checked(service, projector)
        ]

    def _compared(self, person: UUID) -> Iterator[tuple[str, Any, Any]]:
        """A history's name, what it tells, and what the rows say."""
        store = history.STORE.under(self._vaults["patient"])
        database = self._ledgers.database("patient")
        past, last = store.load(database, history.stream(person), history.Past(), history.then)
        row = database.one(_PATIENT, person=person)
        if row is None:
            # The facts of somebody erased stay, and say nothing.
            yield "the patient's history", past, history.Past()
        else:
            yield "the patient's history", (past, last), (self._patient(row), row["facts"])
        account = self._ledgers.database("auth").one(_ACCOUNT, person=person)
        if account is not None:
            yield "the account's history", *self._account(person, account)

    def _patient(self, row: Row) -> history.Past:
        known, _ = records.record(row, self._vaults["patient"])
        return history.Past(known.profile, known.anamnesis, known.email, row["email_version"])

    def _account(self, person: UUID, row: Row) -> tuple[Any, Any]:
        key = self._vaults["auth"].subject(person, row["key_version"], row["key_wrapped"])
        email = key.unseal("account_history.email", row["h_email"])
        shown = (row["h_version"], row["h_status"], email, row["h_roles"])
        return shown, (row["facts"], row["status"], row["email"], row["roles"])

    def _checked(self, service: str, projector: Projector) -> list[str]:
        database, name = self._ledgers.database(service), projector.projection.name
        mine = Projector(
            lambda: database, projector.store.under(self._vaults[service]), projector.projection
        )
        try:
            found = mine.check()
        except (Conflict, Unavailable) as fault:
            return [f"the read model {name} cannot be compared: {fault}"]
        return [f"the read model {name}: {each}" for each in found]

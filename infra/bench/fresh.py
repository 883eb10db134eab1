"""Fresh processes that answer one request: started by the rows about cold start and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from functions.auth.service import sessions, staff
from infra.bench.harness import Checks
from infra.bench.place import Place
from infra.bench.serve import SOURCES
from infra.bench.volume import Known, insert_known

__all__ = ["CLOUD_READ", "CLOUD_WRITE", "Fresh"]

CLOUD_READ = ("google.cloud.sql.connector",)
"""What a request in the cloud imports besides, when it reads its database ..."""

CLOUD_WRITE = (*CLOUD_READ, "google.cloud.pubsub_v1")
"""... and when it publishes."""

_EMAIL, _PASSWORD = "bench@example.com", "gravel-otter-sings-4"


@dataclass
class Fresh:
    """Starts processes; every answer is checked."""

    place: Place
    checks: Checks = field(default_factory=Checks)

    def hello(self, modules: Sequence[str] = ()) -> tuple[float, float]:
        """See ``_answer``."""
        return self._answer("hello", "/", "", "Hello, World!", modules)

    def patient(self, modules: Sequence[str] = ()) -> tuple[float, float]:
        """An authorised GET of a patient, decrypted; see ``_answer``."""
        token = self.place.token("00000000-0000-4000-8000-0000000000d0", "DENTIST")
        path = f"/api/patients/{self._known.patient_id}"
        return self._answer("patient", path, token, self._known.secret, modules)

    def auth(self) -> tuple[float, float]:
        """An authorised GET of the own account; see ``_answer``."""
        return self._answer("auth", "/api/auth/me", self._session, _EMAIL)

    @cached_property
    def _known(self) -> Known:
        return insert_known(1)[0]

    @cached_property
    def _session(self) -> str:
        staff.first_admin(_EMAIL, _PASSWORD)
        return sessions.login(_EMAIL, _PASSWORD, "127.0.0.1").access

    def _answer(
        self, what: str, path: str, token: str, holds: str, modules: Sequence[str] = ()
    ) -> tuple[float, float]:
        """From the start of a process to its first answer (s), and what it then holds (MB)."""
        target, source = SOURCES[what]
        command = [sys.executable, "-m", "infra.bench.first_answer", target, str(source), path]
        environment = {**os.environ, "TOKEN": token}
        began = time.time()
        done = subprocess.run(
            [*command, ",".join(modules)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        report = json.loads(done.stdout)
        self.checks.operations += 1
        self.checks.missed += report["status"] != 200 or holds not in report["body"]
        return report["answered"] - began, report["megabytes"]

"""What the code declares, as data: services, topics, subscriptions, schedules, callers.

``python -m infra.manifest`` writes terraform/manifest.auto.tfvars.json, ``--check`` compares.
Terraform and the embedded stack both build from here, so that neither can forget a consumer.
Importing a service needs no setting and opens nothing.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.bus import Subscription
from shared.bus_filter import LONGEST

if TYPE_CHECKING:
    from shared.runtime import Service

__all__ = [
    "ROOT",
    "load",
    "personal_services",
    "service_names",
    "subscriptions",
    "summary",
    "tfvars",
    "topics",
]

ROOT = Path(__file__).resolve().parents[1]
TFVARS = ROOT / "terraform" / "manifest.auto.tfvars.json"
_CLOUD_TICK = 60  # seconds; the cloud's scheduler knows nothing shorter
# What Terraform does about a setting that a service needs: a value that nobody may read is kept in
# Secret Manager, a place for objects is a bucket of the service's own, the rest is told openly.
_EVERYBODY = ("BLIND_INDEX_KEY",)
_SECRETS = re.compile(r"SMTP_URL|.*_(KEY|SECRET|TOKEN|PASSWORD)")
_BUCKETS = re.compile(r"OBJECTS_URL")


def service_names() -> list[str]:
    """The folders of functions/ with a main.py, sorted; imports nothing."""
    return sorted(main.parent.name for main in (ROOT / "functions").glob("*/main.py"))


def load() -> list[Service]:
    """The ``service`` of every functions/<name>/main.py."""
    found: list[Service] = []
    for name in service_names():
        service: Service = importlib.import_module(f"functions.{name}.main").service
        if service.name != name:
            raise ValueError(f"functions/{name} calls itself {service.name}")
        found.append(service)
    return found


def personal_services() -> dict[str, str]:
    """Services that hold personal data -> URL prefix, from the derived file; imports nothing.

    Raises ValueError when the file does not know every service: run ``make manifest``.
    """
    known = json.loads(TFVARS.read_text(encoding="utf-8"))["services"]
    if missing := set(service_names()) - set(known):
        raise ValueError(f"The manifest lacks {', '.join(sorted(missing))}: make manifest.")
    return {name: s["prefix"] for name, s in known.items() if s["personal"]}


def topics(services: Sequence[Service]) -> list[str]:
    """One topic per publishing service, and whatever else somebody listens to."""
    return sorted({service.name for service in services}.union(*(s.topics for s in services)))


def subscriptions(services: Sequence[Service], url: str) -> list[Subscription]:
    """The embedded bus's subscriptions; pushes go to ``url``/_events/<service>/.

    After its last attempt a message goes to the consumer's dead-letter topic, which is pushed
    into the consumer's own ``dead_letters`` table for as long as it takes. Types that nobody
    there handles are filtered out, where a filter has room for those that somebody does.
    """
    made: list[Subscription] = []
    for service in services:
        name, endpoint = service.name, f"{url}/_events/{service.name}/"
        dead = f"{name}.dead-letters"
        made += [
            Subscription(
                f"{name}.{topic}",
                topic,
                name,
                endpoint,
                filter=_filter(service.on.types(topic)),
                dead_letter_topic=dead,
            )
            for topic in sorted(service.topics)
        ]
        if service.topics:
            made.append(Subscription(dead, dead, name, endpoint))
    return made


def _filter(types: Sequence[str]) -> str | None:
    """What lets these types through; None, which lets everything, where they are too many."""
    text = " OR ".join(f'attributes.event_type = "{name}"' for name in types)
    return text if len(text) <= LONGEST else None


def tfvars(services: Sequence[Service]) -> dict[str, Any]:
    """The Terraform variables: flat maps with stable keys, for ``for_each``."""
    return {
        "services": {
            s.name: {
                "prefix": s.prefix,
                "personal": bool(s.privacy.tables),
                "callers": sorted(frozenset().union(*(r.access.services for r in s.api.routes))),
                "publishes": sorted({s.name} | _shared_topics(s)),
                "documents": _imports(s.name, "shared.documents"),
                "first_admin": (ROOT / "functions" / s.name / "first_admin.py").exists(),
                **_needs(s),
            }
            for s in services
        },
        "examples": _examples(),
        "topics": topics(services),
        "subscriptions": {
            f"{s.name}.{topic}": {"service": s.name, "topic": topic}
            for s in services
            for topic in sorted(s.topics)
        },
        "schedules": {
            f"{s.name}.{job.name}": {
                "service": s.name,
                "job": job.name,
                "every_seconds": max(_CLOUD_TICK, int(job.every.total_seconds())),
            }
            for s in services
            for job in sorted(s.jobs.values(), key=lambda job: job.name)
        },
    }


def _needs(service: Service) -> dict[str, list[str]]:
    """The settings of the service's own, by what Terraform does about them."""
    needs = {*_EVERYBODY, *service.needs}
    secrets = {name for name in needs if _SECRETS.fullmatch(name)}
    buckets = {name for name in needs if _BUCKETS.fullmatch(name)}
    return {
        "secrets": sorted(secrets),
        "buckets": sorted(buckets),
        "settings": sorted(needs - secrets - buckets),
    }


def _shared_topics(service: Service) -> set[str]:
    """The topics of several publishers that it hears: whoever hears on one also answers there."""
    heard = (handler.message.shared_topic for handler in service.on.handlers.values())
    return {topic for topic in heard if topic is not None}


def _examples() -> dict[str, str]:
    """Values that nobody can run without and that somebody has to decide: the embedded stack's."""
    from infra.local.settings import EXAMPLE_RETENTION

    return {"RETENTION": json.dumps(EXAMPLE_RETENTION, sort_keys=True)}


def _imports(service: str, module: str) -> bool:
    """Does any file of the service import ``module``?"""
    pattern = re.compile(rf"^\s*(from|import) {re.escape(module)}\b", re.MULTILINE)
    files = (ROOT / "functions" / service).rglob("*.py")
    return any(pattern.search(path.read_text(encoding="utf-8")) for path in files)


def summary(name: str) -> str:
    """What the service is for: the first sentence of its README."""
    readme = ROOT / "functions" / name / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    paragraphs = [part for part in text.split("\n\n") if not part.startswith(("#", "<!--"))]
    words = " ".join(paragraphs[0].replace("`", "").split()) if paragraphs else ""
    return re.split(r"(?<=[.!?])\s", words, maxsplit=1)[0]


def main(arguments: Sequence[str]) -> int:
    """Write the file, or with ``--check`` say whether it is current."""
    text = json.dumps(tfvars(load()), indent=2, sort_keys=True) + "\n"
    if "--check" in arguments:
        if not TFVARS.exists() or TFVARS.read_text(encoding="utf-8") != text:
            print(f"{TFVARS.relative_to(ROOT)} is stale: make manifest", file=sys.stderr)
            return 1
        return 0
    TFVARS.parent.mkdir(exist_ok=True)
    TFVARS.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``make terraform-check``: is the platform's description sound? No cloud and no credentials.

Formats, validates, runs ``terraform test`` (plans and applies on a provider that is made up), and
keeps what these runs planned for the policy tests in tests/terraform. ``terraform init`` fetches
the provider; TF_CLI_CONFIG_FILE may name a mirror of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.manifest import ROOT

__all__ = ["RUNS", "main"]

_TERRAFORM = ROOT / "terraform"
RUNS = ROOT / ".local" / "terraform-runs.json"
"""What the tests' runs made: run -> its resources and outputs."""
_MIRROR = ROOT.parent / "shared" / "tools" / "tfstub" / "setup.sh"
_MIRRORED = ROOT / ".local" / "tfstub"


_INIT = ("init", "-backend=false", "-input=false", "-no-color")
_OUT_OF_REACH = ("Failed to query available provider packages", "Failed to install provider")


def main(arguments: Sequence[str] = ()) -> int:
    """The exit code of the first step that fails, or 0.

    With ``--provider``: only whether the provider can be had, 3 if neither the registry nor a
    mirror is in reach.
    """
    environment = _environment()
    if "--provider" in arguments:
        done = _ran(environment, _INIT)
        return 3 if any(words in done.stderr for words in _OUT_OF_REACH) else 0
    for step in (("fmt", "-check", "-recursive", "-diff"), _INIT, ("validate", "-no-color")):
        done = _ran(environment, step)
        if done.returncode:
            print(done.stdout, done.stderr, file=sys.stderr)
            return done.returncode
    return _test(environment)


def _environment() -> dict[str, str]:
    found = {**os.environ, "TF_DATA_DIR": str(ROOT / ".local" / "terraform")}
    if not Path(found.get("TF_CLI_CONFIG_FILE", "-")).exists():
        found.pop("TF_CLI_CONFIG_FILE", None)  # terraform would not start
        if _MIRROR.exists():
            found["TF_CLI_CONFIG_FILE"] = _mirror()
    return found


def _ran(environment: Mapping[str, str], step: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ("terraform", *step),
        cwd=_TERRAFORM,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )


def _test(environment: Mapping[str, str]) -> int:
    with subprocess.Popen(
        ("terraform", "test", "-json", "-verbose"),
        cwd=_TERRAFORM,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        made = dict(_told(running.stdout or iter(())))
    RUNS.parent.mkdir(exist_ok=True)
    RUNS.write_text(json.dumps(made), encoding="utf-8")
    return running.returncode


def _told(lines: Any) -> Iterator[tuple[str, Any]]:
    """What each run made; verdicts and complaints are printed on the way."""
    for line in lines:
        told = json.loads(line)
        run = told.get("test_run", {})
        if run.get("progress") == "complete":
            print(f"  {run['path']}: {run['run']}: {run['status']}")
        elif told["type"] == "diagnostic" and told["diagnostic"]["severity"] == "error":
            print(f"{told['diagnostic']['summary']}: {told['diagnostic']['detail']}")
        elif told["type"] == "test_summary":
            print(told["@message"])
        elif told["type"] == "test_state":
            state = told["test_state"]
            outputs = {name: one["value"] for name, one in state.get("outputs", {}).items()}
            made = {"resources": list(_resources(state["root_module"])), "outputs": outputs}
            yield told["@testrun"], made
        elif told["type"] == "test_plan":
            changed = [
                f"{change['address']}: {'+'.join(change['change']['actions'])}"
                for change in told["test_plan"].get("resource_changes", ())
                if change["change"]["actions"] != ["no-op"]
            ]
            yield told["@testrun"], {"resources": [], "outputs": {}, "changes": changed}


def _resources(module: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in module.get("resources", ()):
        if resource["mode"] == "managed":
            yield {name: resource[name] for name in ("address", "type", "values")}
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def _mirror() -> str:
    """A mirror that is there beside the repository, completed by what it lacks."""
    made = subprocess.run(
        (str(_MIRROR), str(_MIRRORED)), stdout=subprocess.PIPE, text=True, check=True
    )
    schema = _MIRRORED / "schema.json"
    known = json.loads(schema.read_text("utf-8"))
    policy = known["resources"]["google_compute_security_policy"]
    limits = policy["block_types"]["rule"]["block"]["block_types"]["rate_limit_options"]["block"]
    for block in ("rate_limit_threshold", "ban_threshold"):
        limits["block_types"][block]["block"]["attributes"]["count"] = {
            "type": "number",
            "required": True,
        }
    schema.write_text(json.dumps(known), encoding="utf-8")
    return made.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

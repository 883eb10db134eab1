"""Moving everybody to the other region, with a gcloud that keeps what it was told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.deploy_cloud import Cloud
from infra.deploy_shell import Failed, Shell
from infra.deploy_traffic import move
from infra.manifest import TFVARS

_FROM, _TO = "europe-west1", "us-central1"


class Google(Shell):
    """Where the load balancer, the pushes and the schedules of a project go."""

    def __init__(self) -> None:
        facts: dict[str, Any] = json.loads(TFVARS.read_text("utf-8"))
        self.backends = {name.replace("_", "-"): [_FROM] for name in facts["services"]}
        self.pushes: dict[str, str] = {}
        self.running: dict[str, set[str]] = {_FROM: set(), _TO: set()}
        self.schedules = len(facts["schedules"])
        self.lost: set[str] = set()
        self.unanswered: list[str] = []

    def read(self, *command: str, given: str | None = None, directory: Path | None = None) -> str:
        """Facts of the project."""
        if "projects" in command:
            return "42"
        service = command[command.index("describe") + 1]
        if not self.backends[service]:
            self.unanswered.append(service)
        return ";".join(f"x/regions/{at}/networkEndpointGroups/y" for at in self.backends[service])

    def works(self, *command: str) -> bool:
        """Change what the command says, where the region can be reached."""
        options = dict(word.partition("=")[::2] for word in command if word.startswith("--"))
        if options.get("--location") in self.lost:
            return False
        if command[1] == "compute":
            at = options["--network-endpoint-group-region"]
            assert f"{command[4]}-http" == options["--network-endpoint-group"]
            backends = self.backends[command[4]]
            (backends.append if command[3] == "add-backend" else backends.remove)(at)
            if not backends:
                self.unanswered.append(command[4])
        elif command[1] == "pubsub":
            assert f"{options['--push-auth-token-audience']}/" == options["--push-endpoint"]
            self.pushes[command[4]] = options["--push-endpoint"]
        elif command[3] == "resume":
            self.running[options["--location"]].add(command[4])
        else:
            self.running[options["--location"]].discard(command[4])
        return True


def test_everything_goes_to_the_other_region() -> None:
    """Calls, pushes and schedules, and at no moment is there nobody to answer a call."""
    google = Google()
    move(Cloud("p", google), _FROM, _TO)
    assert all([_TO] == backends for backends in google.backends.values())
    assert google.pushes["auth.dead-letters"] == f"https://auth-events-42.{_TO}.run.app/"
    assert all(f".{_TO}.run.app/" in url for url in google.pushes.values())
    assert (set(), google.schedules) == (google.running[_FROM], len(google.running[_TO]))
    assert [] == google.unanswered


def test_it_may_be_repeated_and_taken_back() -> None:
    """A second move changes nothing, and the way back leads to where all began."""
    google = Google()
    before = {name: list(at) for name, at in google.backends.items()}
    for away, to in ((_FROM, _TO), (_FROM, _TO), (_TO, _FROM)):
        move(Cloud("p", google), away, to)
    assert before == google.backends
    assert all(f".{_FROM}.run.app/" in url for url in google.pushes.values())


def test_a_lost_region_holds_nobody_up(capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be paused where nobody answers is said, and all others have moved."""
    google = Google()
    google.lost = {_FROM}
    move(Cloud("p", google), _FROM, _TO)
    assert all([_TO] == backends for backends in google.backends.values())
    assert f"{_FROM} does not answer" in capsys.readouterr().out


def test_what_did_not_move_is_named() -> None:
    """Where the region that is to serve takes no change, the commands that failed are shown."""
    google = Google()
    google.lost = {_TO}
    with pytest.raises(Failed, match=f"gcloud scheduler jobs resume .* --location={_TO}"):
        move(Cloud("p", google), _FROM, _TO)


@pytest.mark.parametrize(("away", "to"), [("", _TO), (_FROM, ""), (_TO, _TO)])
def test_both_regions_have_to_be_said(away: str, to: str) -> None:
    """Nothing is moved by a guess."""
    with pytest.raises(Failed, match="FROM="):
        move(Cloud("p", Google()), away, to)

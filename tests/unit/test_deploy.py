"""The order of a deployment, with gcloud and terraform that write down what they were asked."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from infra import deploy, deploy_cloud, deploy_guard, package
from infra.deploy_cloud import Cloud
from infra.deploy_shell import Failed, Shell

_TOOL = """#!{python}
import json, os, sys
from pathlib import Path
here = Path(os.environ["DEPLOY_TEST"])
asked = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
answers = json.loads((here / "answers.json").read_text())
answer = next((a for start, a in answers.items() if asked.startswith(start)), "")
given = sys.stdin.read() if "--data-file=-" in asked or " console" in asked else ""
with (here / "asked").open("a") as log:
    log.write(json.dumps([asked, given]) + "\\n")
if answer == "FAIL":
    sys.exit(1)
print(answer)
"""
_OUTPUTS = {
    "terraform console": '"europe-west1"',
    "terraform output -json migrations_database_user": '"migrations@p.iam"',
    "terraform output -json disaster_recovery": '{"home": "away"}',
    "terraform output -json instances": '["home"]',
    "terraform output -json": '"x"',
    "gcloud sql instances describe home": '{"replicaNames": ["away"]}',
    "gcloud projects describe": "42",
    "gcloud secrets versions add": "7",
    "gcloud storage buckets describe": "FAIL",
}


class Tools:
    """The programs that stand in for gcloud and terraform."""

    def __init__(self, here: Path, changes: list[dict[str, Any]]) -> None:
        self.here = here
        self.answer(_OUTPUTS | {"terraform show": json.dumps({"resource_changes": changes})})
        for name in ("gcloud", "terraform"):
            tool = here / name
            tool.write_text(_TOOL.format(python=sys.executable))
            tool.chmod(0o700)

    def answer(self, answers: dict[str, str]) -> None:
        (self.here / "answers.json").write_text(json.dumps(answers))

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Command -> standard input, in order."""
        lines = (self.here / "asked").read_text().splitlines()
        return [(command, given) for command, given in map(json.loads, lines)]

    def index(self, start: str) -> int:
        """When the first command that begins so was asked."""
        return next(n for n, (asked, _) in enumerate(self.asked) if asked.startswith(start))


def _change(address: str, *actions: str) -> dict[str, Any]:
    kind = address.split(".")[-2]
    return {"address": address, "type": kind, "change": {"actions": list(actions)}}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """gcloud and terraform of this test; a plan creates one function."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DEPLOY_TEST", str(tmp_path))
    monkeypatch.setenv("SMTP_URL", "smtps://user:hunter2@mail.example")
    monkeypatch.setattr(package, "main", lambda: 0)
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    return Tools(tmp_path, [_change("module.x.google_cloudfunctions2_function.http", "create")])


def _cloud() -> Cloud:
    return Cloud("p", Shell())


def test_a_deployment_goes_in_the_safe_order(tools: Tools) -> None:
    """Secrets before databases, databases before migrations, migrations before functions."""
    deploy.deploy(_cloud())
    plans = [asked for asked, _ in tools.asked if asked.startswith("terraform plan")]
    assert ["module.security", "module.data", ""] == [
        plan.partition("-target=")[2].partition(" ")[0] for plan in plans
    ]
    order = [
        tools.index(start)
        for start in (
            "gcloud services enable",
            "terraform init",
            "terraform plan -input=false -out=next.tfplan -target=module.security",
            "gcloud secrets versions add",
            "terraform plan -input=false -out=next.tfplan -target=module.data",
            "gcloud sql users assign-roles migrations@p.iam --instance=home",
            "gcloud run jobs execute auth-migrate",
        )
    ]
    order.append(max(n for n, (asked, _) in enumerate(tools.asked) if asked == plans[-1]))
    assert sorted(order) == order
    applied = [n for n, (asked, _) in enumerate(tools.asked) if asked.startswith("terraform apply")]
    last_migration = max(n for n, (asked, _) in enumerate(tools.asked) if "-migrate" in asked)
    assert applied[-2] < last_migration < applied[-1]


def test_a_secret_is_in_no_argument(tools: Tools) -> None:
    """Values reach Secret Manager over standard input, and what is generated is fit for use."""
    deploy.deploy(_cloud())
    added = {
        asked.split()[4]: given
        for asked, given in tools.asked
        if asked.startswith("gcloud secrets versions add")
    }
    assert {"blind-index-key", "first-admin-password", "smtp-url"} <= set(added)
    assert "smtps://user:hunter2@mail.example" == added["smtp-url"]
    assert 44 == len(added["blind-index-key"])
    everything = " ".join(asked for asked, _ in tools.asked)
    assert [] == [value for value in added.values() if value in everything]


def test_a_secret_that_has_a_value_keeps_it(tools: Tools) -> None:
    """A second deployment makes no key anew: people would not be found any more."""
    tools.answer(
        _OUTPUTS
        | {"gcloud secrets versions list": "3", "terraform show": '{"resource_changes": []}'}
    )
    deploy.deploy(_cloud())
    assert [] == [asked for asked, _ in tools.asked if "versions add" in asked]
    assert [] == [asked for asked, _ in tools.asked if asked.startswith("terraform apply")]


def test_a_failed_migration_changes_no_function(tools: Tools) -> None:
    """What comes after the migrations is not begun when one fails."""
    answers = json.loads((tools.here / "answers.json").read_text())
    tools.answer({"gcloud run jobs execute patient-migrate": "FAIL"} | answers)
    with pytest.raises(Failed, match="gcloud run jobs execute"):
        deploy.deploy(_cloud())
    plans = [asked for asked, _ in tools.asked if asked.startswith("terraform plan")]
    assert 2 == len(plans)


def test_what_holds_data_is_not_deleted_by_a_deployment(tools: Tools) -> None:
    """A plan that deletes or replaces a database or a key is shown, and refused."""
    lost = "module.data.google_sql_database_instance.home[0]"
    change = _change("module.data.google_sql_database_instance.home[0]", "delete", "create")
    change["type"] = "google_sql_database_instance"
    tools.answer(_OUTPUTS | {"terraform show": json.dumps({"resource_changes": [change]})})
    with pytest.raises(Failed, match=r"google_sql_database_instance\.home"):
        deploy.plan(_cloud())
    assert [] == [asked for asked, _ in tools.asked if asked.startswith("terraform apply")]
    assert [lost] == deploy_guard.deletions({"resource_changes": [change]})


def test_nothing_is_applied_without_a_yes(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases and functions come after the person has seen the plan and said yes."""
    monkeypatch.setattr("builtins.input", lambda _: "no")
    with pytest.raises(Failed, match="Nothing was done"):
        deploy.deploy(_cloud())
    applied = [asked for asked, _ in tools.asked if asked.startswith("terraform apply")]
    assert 1 == len(applied)  # keys and the places of secrets


def test_the_first_admins_password_is_forgotten(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies in Secret Manager for as long as the job runs, also when that fails."""
    monkeypatch.setattr("getpass.getpass", lambda _: "gravel-otter-sings-4")
    tools.answer({"gcloud run jobs execute": "FAIL"} | _OUTPUTS)
    with pytest.raises(Failed):
        deploy.first_admin(_cloud(), "you@clinic.example")
    commands = [asked for asked, _ in tools.asked]
    assert "gravel-otter-sings-4" not in " ".join(commands)
    (job,) = [asked for asked in commands if "jobs execute" in asked]
    assert "--args=infra.deploy_first_admin,auth,--email,you@clinic.example" in job
    values = [given for asked, given in tools.asked if "versions add" in asked]
    assert "gravel-otter-sings-4" == values[0] != values[1]
    assert any("versions destroy 7" in asked for asked in commands)


def test_destroying_asks_for_the_name_and_keeps_keys(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the project's name nothing happens; with it keys and ledgers are left."""
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    with pytest.raises(Failed):
        deploy.destroy(_cloud())
    assert not (tools.here / "asked").exists()
    monkeypatch.setattr("builtins.input", lambda _: "p")
    state = [
        "module.security.google_kms_crypto_key.location[0]",
        "module.data.google_sql_database_instance.home[0]",
    ]
    tools.answer(_OUTPUTS | {"terraform state list": "\n".join(state)})
    deploy.destroy(_cloud())
    commands = [asked for asked, _ in tools.asked]
    assert f"terraform state rm {state[0]}" in commands
    assert tools.index("terraform apply") < tools.index("terraform state rm")
    assert commands[-1].startswith("terraform destroy")


def test_destroying_deploys_nothing_first(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protection is taken off what has it, and no other change that waits is made; the secrets
    are left with the keys."""
    monkeypatch.setattr("builtins.input", lambda _: "p")
    database = 'module.data.google_sql_database_instance.home[""]'
    function = 'module.region["europe-west1"].google_cloudfunctions2_function.http["auth"]'
    secret = 'module.security.google_secret_manager_secret.secret["BLIND_INDEX_KEY"]'
    state = "\n".join([database, function, secret])
    tools.answer(_OUTPUTS | {"terraform state list": state})
    deploy.destroy(_cloud())
    (applied,) = [asked for asked, _ in tools.asked if asked.startswith("terraform apply")]
    assert f"-var=protect=false -target={database}" in applied
    assert function not in applied
    assert f"terraform state rm {secret}" in [asked for asked, _ in tools.asked]


def test_a_copy_is_paired_once(tools: Tools) -> None:
    """A second deployment patches no instance; one whose copy is gone is deployed all the same."""
    paired = {"replicaNames": ["away"], "replicationCluster": {"failoverDrReplicaName": "p:away"}}
    patch = "gcloud sql instances patch home --failover-dr-replica-name=away --project=p --quiet"
    deploy.deploy(_cloud())
    assert [patch] == [asked for asked, _ in tools.asked if "instances patch" in asked]
    for told in (paired, {}):
        (tools.here / "asked").unlink()
        tools.answer(
            _OUTPUTS
            | {"terraform show": '{"resource_changes": []}'}
            | {"gcloud sql instances describe home": json.dumps(told)}
        )
        deploy.deploy(_cloud())
        assert [] == [asked for asked, _ in tools.asked if "instances patch" in asked]


def test_a_plan_of_nothing_says_how_to_begin(
    tools: Tools, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the first deployment there is no state to plan against: one line says what to do."""
    monkeypatch.setenv("TF_VAR_project", "p")
    assert 1 == deploy.main(["plan"])
    assert "make deploy shows each plan" in capsys.readouterr().err
    assert [] == [asked for asked, _ in tools.asked if asked.startswith("terraform")]


def test_an_old_gcloud_is_found_before_anything_is_made(tools: Tools) -> None:
    """A command that is needed after the databases is looked for before them."""
    tools.answer({"gcloud sql users assign-roles --help": "FAIL"} | _OUTPUTS)
    with pytest.raises(Failed, match="components update"):
        deploy.deploy(_cloud())
    assert [] == [asked for asked, _ in tools.asked if "terraform" in asked.split()[0]]


def test_a_project_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment or the file of variables; otherwise it says where to write it."""
    monkeypatch.delenv("TF_VAR_project", raising=False)
    with pytest.raises(Failed, match=r"terraform\.tfvars"):
        Cloud.of_environment(Shell(), tmp_path)
    (tmp_path / "terraform.tfvars").write_text('project = "from-file"\n')
    assert "from-file" == Cloud.of_environment(Shell(), tmp_path).project
    monkeypatch.setenv("TF_VAR_project", "from-environment")
    assert "from-environment" == Cloud.of_environment(Shell(), tmp_path).project


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever lacks gcloud is told so in one line."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failed, match="gcloud is needed"):
        _cloud().prepare()
    assert deploy_cloud._secret("BLIND_INDEX_KEY") == "blind-index-key"

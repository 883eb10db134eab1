# DentalHelp: one command each. `make help` lists them.
#
# PYTHON=python3.12   the interpreter that makes .venv (any 3.11 or newer is found by itself)
# PORT=8080           where `make run` listens, and where demo, seed-data and bench look
# STACK=together      together | processes (one process per target) | emulators (Google's own)

PORT ?= 8080
STACK ?= together
PY := .venv/bin/python
export PORT STACK

.DEFAULT_GOAL := help
.PHONY: help setup run test test-long check format lock demo seed-data redrive \
	load-codes restored erasures-replay replay replay-check validate bench audit-verify new-service manifest docs clean \
	package plan deploy first-admin move-traffic destroy terraform-check terraform-policies

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv with the locked packages (every command does this by itself)
	@infra/setup.sh $(PYTHON)

run: setup ## run the whole platform on http://127.0.0.1:$PORT until Ctrl-C
	@$(PY) -m infra.local.run

test: setup ## the tests that run on every change
	@$(PY) -m pytest -q -n 2 --dist worksteal -m "not long" $(ARGS)

test-long: setup ## kill matrices, browser, fuzzing, volumes; other examples each time
	@$(PY) -m pytest -q -m long --hypothesis-profile=explore $(ARGS)

check: setup ## style, types, import rules, security, generated files
	@$(PY) -m ruff format --check --quiet . || { echo "Run: make format" >&2; exit 1; }
	@$(PY) -m ruff check --quiet .
	@$(PY) -m mypy
	@$(PY) -c 'from importlinter.cli import lint_imports_command as c; c()' --no-cache >.lint 2>&1 \
		|| { cat .lint; rm .lint; exit 1; }; rm .lint
	@$(PY) -m bandit -q -c pyproject.toml -r shared functions infra
	@$(PY) -m infra.locks
	@$(PY) -m infra.manifest --check
	@$(PY) -m infra.readmes --check

format: setup ## format the code and mend what ruff can mend
	@$(PY) -m ruff format --quiet .
	@$(PY) -m ruff check --fix --quiet .

# Every lock is written on the oldest Python that is promised, without the addresses of the
# registries it was resolved from: the same files carry the same hashes everywhere.
COMPILE := -m piptools compile --quiet --strip-extras --allow-unsafe --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host
lock: setup ## refresh requirements*.txt from requirements*.in
	@$(PY) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "Locks are made with Python 3.11: rm -r .venv; make lock PYTHON=python3.11" >&2; exit 1; }
	@CUSTOM_COMPILE_COMMAND="make lock" $(PY) $(COMPILE) --upgrade \
		-o requirements-dev.txt requirements-dev.in
	@CUSTOM_COMPILE_COMMAND="make lock" $(PY) $(COMPILE) --upgrade -c requirements-dev.txt \
		-o requirements.txt requirements.in
	@for own in functions/*/requirements.in; do CUSTOM_COMPILE_COMMAND="make lock" $(PY) $(COMPILE) \
		--upgrade -c requirements-dev.txt -o $${own%.in}.txt $$own || exit 1; done
	@CUSTOM_COMPILE_COMMAND="make lock" $(PY) $(COMPILE) --upgrade -c requirements-dev.txt \
		-o requirements-bench.txt requirements-bench.in
	@CUSTOM_COMPILE_COMMAND="make lock" $(PY) $(COMPILE) --upgrade \
		-o requirements-checkov.txt requirements-checkov.in

demo: setup ## tell a story over HTTP to the running platform; exit 1 if any step misses
	@$(PY) -m infra.demo

seed-data: setup ## [COUNT=10000] fill the running platform with a year of a group of clinics
	@$(PY) -m infra.seed

redrive: setup ## SERVICE=x [TYPE=Y]: let dead letters take effect; exit 1 if some fail again
	@$(PY) -m infra.redrive

load-codes: setup ## FILE=x.csv SYSTEM=x [TITLE= VERSION=]: add a catalogue of codes to dental records
	@FILE="$(FILE)" SYSTEM="$(SYSTEM)" TITLE="$(TITLE)" VERSION="$(VERSION)" $(PY) -m infra.load_codes

restored: setup ## after a restore, before anybody may use it: begin a new epoch of events
	@$(PY) -m infra.restored $(ARGS)

erasures-replay: setup ## SINCE=2026-01-15T10:00:00Z: after a restore, apply erasures since then again
	@$(PY) -m infra.erasures_replay

audit-verify: setup ## is the audit log as it was sealed? exit 1 if not (DATA, or ARGS="--service x")
	@$(PY) -m infra.audit_verify $(ARGS)

replay: setup ## make the read models anew from their events, without downtime
	@$(PY) -m infra.replay $(ARGS)

validate: setup ## does everything agree that has to, in and between services? exit 1 if not
	@$(PY) -m infra.validate $(ARGS)

replay-check: setup ## are the read models what their events make of them? exit 1 if not
	@$(PY) -m infra.replay --check $(ARGS)

chaos: setup ## [SEED=1 ROUNDS=10 EVENTS=100000] break everything everywhere, and write .local/chaos/report.html
	@$(PY) -m infra.chaos

bench: setup ## measure what docs/benchmarks.md claims, and write it
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@$(PY) -m infra.bench $(ARGS)

new-service: setup ## NAME=x: a new service folder that passes the checks and answers
	@$(PY) -m infra.new_service "$(NAME)"

manifest: setup ## derive terraform/manifest.auto.tfvars.json from the code
	@$(PY) -m infra.manifest

docs: setup ## regenerate the generated parts of the services' README files
	@$(PY) -m infra.readmes

package: setup ## one zip for each service in build/packages, the same bytes on every machine
	@$(PY) -m infra.package

plan: setup ## [TFVARS=eu-only.tfvars] what a deployment to Google Cloud would change
	@$(PY) -m infra.deploy plan

deploy: setup ## [TFVARS=...] deploy to Google Cloud: docs/deploy.md
	@$(PY) -m infra.deploy deploy

first-admin: setup ## EMAIL=you@clinic.example: make the deployed platform's first ADMIN
	@$(PY) -m infra.deploy first-admin --email "$(EMAIL)"

move-traffic: setup ## FROM=europe-west1 TO=us-central1: route to the other region: docs/runbooks
	@$(PY) -m infra.deploy move-traffic --away "$(FROM)" --to "$(TO)"

destroy: setup ## take a deployment down, after asking
	@$(PY) -m infra.deploy destroy

terraform-check: setup ## is the description of the cloud sound? needs terraform, no cloud
	@$(PY) -m infra.terraform_check
	@TERRAFORM_RUNS=.local/terraform-runs.json $(PY) -m pytest -q tests/terraform

# Its packages would fight those of the platform, so it has an environment of its own.
CHECKOV := .local/checkov
terraform-policies: ## is it what checkov's policies demand? each exception is justified in place
	@cmp -s requirements-checkov.txt $(CHECKOV)/installed || { \
		python3 -m venv --clear $(CHECKOV) && \
		$(CHECKOV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-checkov.txt && \
		cp requirements-checkov.txt $(CHECKOV)/installed; }
	@$(CHECKOV)/bin/checkov --directory terraform --framework terraform --skip-download \
		--skip-path terraform/tests --quiet --compact

clean: ## remove caches and .venv (never .local, which holds the data)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

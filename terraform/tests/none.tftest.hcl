# No copy at all: one region, and a plan to bring it back from backups.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project        = "dentalhelp-test"
  administrators = ["group:operators@clinic.example"]
  domain         = "app.clinic.example"
  settings       = { RETENTION = "{}" }
  replica_scope  = "none"
}

run "none" {
  command = apply

  variables {
    packages = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
  }

  assert {
    condition     = keys(module.region) == ["europe-west1"] && length(output.disaster_recovery) == 0
    error_message = "Without a replica there is one region, and nothing anywhere else."
  }
}

run "nowhere_to_switch_to" {
  command = plan

  variables {
    packages      = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
    active_region = "us-central1"
  }

  expect_failures = [var.active_region]
}

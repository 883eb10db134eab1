# The replica region leads, as after a switchover: traffic has moved, names stay, and who copies whom is
# left to gcloud.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project        = "dentalhelp-test"
  administrators = ["group:operators@clinic.example"]
  domain         = "app.clinic.example"
  settings       = { RETENTION = "{}" }
}

run "before" {
  command = apply

  variables {
    packages = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
  }
}

run "switched" {
  command = apply

  variables {
    packages      = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
    active_region = "us-central1"
  }

  assert {
    condition     = output.active_region == "us-central1" && join(",", output.instances) == "dentalhelp-us-central1" && output.disaster_recovery["dentalhelp-us-central1"] == "dentalhelp-europe-west1"
    error_message = "The copy leads, and what led is its copy."
  }

  assert {
    condition     = output.functions == run.before.functions && output.databases == run.before.databases && output.url == run.before.url
    error_message = "Everything that was there is there, under the same names."
  }
}

run "and_again" {
  command = plan

  variables {
    packages      = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
    active_region = "us-central1"
  }
}

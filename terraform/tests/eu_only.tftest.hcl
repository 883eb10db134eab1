# The example eu-only.tfvars: nothing of anybody outside the EU.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project        = "dentalhelp-test"
  administrators = ["group:operators@clinic.example"]
  domain         = "app.clinic.example"
  settings       = { RETENTION = "{}" }
  replica_region = "europe-west4" # as in eu-only.tfvars, which a test compares
}

run "eu_only" {
  command = apply

  variables {
    packages = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
  }

  assert {
    condition     = toset(keys(output.functions)) == toset(["europe-west1", "europe-west4"])
    error_message = "Both regions are in the EU."
  }

  assert {
    condition     = output.url == "https://app.clinic.example"
    error_message = "The platform has the name that was given."
  }
}

# An instance for each service, smaller and with what the smaller edition allows; and what is refused.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project        = "dentalhelp-test"
  administrators = ["user:operator@clinic.example"]
  domain         = "app.clinic.example"
  settings       = { RETENTION = "{}" }
}

run "one_instance_per_service" {
  command = apply

  variables {
    packages = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
    database = {
      edition                  = "ENTERPRISE"
      tier                     = "db-custom-1-3840"
      one_instance_per_service = true
      recovery_days            = 7
      max_connections          = 120
      read_replicas            = 1
    }
    functions = { min_instances = 1 }
  }

  assert {
    condition     = toset(output.instances) == toset([for name in keys(var.services) : "dentalhelp-${replace(name, "_", "-")}-europe-west1"])
    error_message = "Each service has an instance of its own."
  }

  assert {
    condition     = alltrue([for name, places in output.databases : strcontains(places["us-central1"], "dentalhelp-${replace(name, "_", "-")}-us-central1")])
    error_message = "Each has a copy of its own."
  }

  assert {
    condition     = length(output.disaster_recovery) == 0
    error_message = "The smaller edition knows no switchover: its copies are promoted."
  }
}

run "too_many_connections" {
  command = plan

  variables {
    packages  = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
    functions = { max_instances = 100 }
  }

  expect_failures = [output.instances]
}

run "too_long_recovery" {
  command = plan

  variables {
    packages = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
    database = { edition = "ENTERPRISE", tier = "db-custom-1-3840", recovery_days = 30 }
  }

  expect_failures = [var.database]
}

run "secret_in_the_open" {
  command = plan

  variables {
    packages = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
    settings = { STRIPE_SECRET_KEY = "sk_test_1" }
  }

  expect_failures = [var.settings]
}

run "nobody_administers" {
  command = plan

  variables {
    packages       = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
    administrators = ["allUsers"]
  }

  expect_failures = [var.administrators]
}

run "not_packaged" {
  command = plan

  variables {
    packages = { _tools = "_tools-0123456789abcdef.zip" }
  }

  expect_failures = [var.packages]
}

run "unknown_region" {
  command = plan

  variables {
    packages      = { for name in concat(keys(var.services), ["_tools"]) : name => "${name}-0123456789abcdef.zip" }
    active_region = "europe-west3"
  }

  expect_failures = [var.active_region]
}

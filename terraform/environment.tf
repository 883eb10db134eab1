# What the functions are told; shared/config.py reads it, docs/configuration.md explains each.

locals {
  google_issuer = "https://accounts.google.com"
  google_keys   = "https://www.googleapis.com/oauth2/v3/certs"

  common_environment = {
    DENTALHELP_ENV              = "cloud"
    BUS_URL                     = "pubsub://${var.project}"
    TOKEN_ISSUER                = local.public_url
    PUBLIC_URL                  = local.public_url
    PUSH_ISSUER                 = local.google_issuer
    PUSH_JWKS_URL               = "platform:"
    PUSH_EMAIL                  = module.security.push_account
    SERVICES                    = jsonencode({ for name, service in local.services : name => service.prefix if service.personal })
    SERVICE_ISSUER              = local.google_issuer
    SERVICE_JWKS_URL            = local.google_keys
    SERVICE_EMAIL               = "svc-{service}@${var.project}.iam.gserviceaccount.com"
    OTEL_EXPORTER_OTLP_ENDPOINT = "https://telemetry.googleapis.com"
  }

  own_settings = {
    for name, service in local.services : name => {
      for setting in service.settings : setting => lookup(local.settings, setting, null) if contains(keys(local.settings), setting)
    }
  }
  missing_settings = toset(flatten([for service in local.services : [for name in service.settings : name if !contains(keys(local.settings), name)]]))
}

check "domain" {
  assert {
    condition     = var.domain != null
    error_message = "There is no domain, so a public name service stands between people and the platform. Set domain before the first patient registers."
  }
}

check "examples" {
  assert {
    condition     = alltrue([for name in keys(var.examples) : contains(keys(var.settings), name) || !anytrue([for service in local.services : contains(service.settings, name)])])
    error_message = "${join(", ", keys(var.examples))} is an example's, and not advice. Put what the law where you are demands into the variable settings (docs/operations/retention.md) before the first patient registers."
  }
}

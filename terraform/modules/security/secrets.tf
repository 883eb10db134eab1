# The places of the secrets; what is in them, commands put there (docs/deploy.md), so that it is in no state.

locals {
  secrets = toset(flatten([for service in var.services : service.secrets]))
  names = merge(
    { for name in local.secrets : name => lower(replace(name, "_", "-")) },
    anytrue([for service in var.services : service.first_admin]) ? { FIRST_ADMIN_PASSWORD = "first-admin-password" } : {},
  )
}

resource "google_secret_manager_secret" "secret" {
  for_each = local.names

  project             = var.project
  secret_id           = each.value
  version_destroy_ttl = "2592000s" # a version that is destroyed by mistake can be brought back for 30 days

  replication {
    user_managed {
      dynamic "replicas" {
        for_each = var.secret_regions

        content {
          location = replicas.value

          customer_managed_encryption {
            kms_key_name = google_kms_crypto_key.location[replicas.value].id
          }
        }
      }
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.agent]
}

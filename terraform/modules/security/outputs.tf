output "project" {
  description = "The project's id, once its APIs are enabled."
  value       = var.project
  depends_on  = [google_project_service.api]
}

output "push_account" {
  description = "E-mail of the account that pushes."
  value       = local.push_email
}

output "migrations_account" {
  description = "E-mail of the account that migrates."
  value       = local.migrations_email
}

output "build_account" {
  description = "Full name of the account that builds."
  value       = "projects/${var.project}/serviceAccounts/${local.builds_email}"
  depends_on  = [google_project_iam_member.builds]
}

output "location_keys" {
  description = "Location -> the key for what is kept there, once its users may use it."
  value       = { for location, key in google_kms_crypto_key.location : location => "projects/${var.project}/locations/${location}/keyRings/${google_kms_key_ring.ring[location].name}/cryptoKeys/${key.name}" }
  # The services' keys, too, so that they can go only after what is protected from being deleted.
  depends_on = [google_kms_crypto_key_iam_member.agent, google_kms_crypto_key.service]
}

output "service_keys" {
  description = "Service -> its key above all keys."
  value       = { for name, key in google_kms_crypto_key.service : name => "projects/${var.project}/locations/europe/keyRings/${google_kms_key_ring.ring["europe"].name}/cryptoKeys/${key.name}" }
}

output "secrets" {
  description = "Setting -> its secret."
  value       = { for name in local.secrets : name => google_secret_manager_secret.secret[name] }
}

output "first_admin_secret" {
  description = "Id of the secret with the first ADMIN's password; null where no service makes one."
  value       = try(google_secret_manager_secret.secret["FIRST_ADMIN_PASSWORD"].secret_id, null)
}

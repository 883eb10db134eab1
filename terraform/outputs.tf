output "url" {
  description = "Where the platform answers, once the name resolves to the address and the certificate is there."
  value       = local.public_url

  precondition {
    condition     = length(local.missing_settings) == 0
    error_message = "Services need settings that have no value: put ${join(", ", local.missing_settings)} into the variable settings (docs/configuration.md says what they mean)."
  }
}

output "address" {
  description = "The address that the domain's A record must name."
  value       = module.edge.address
}

output "active_region" {
  description = "The region that serves."
  value       = local.active_region
}

output "databases" {
  description = "Service -> region -> its database, as the connector names it."
  value       = { for name in keys(local.services) : name => { for region, all in module.data.connections : region => all[name].connection } }
}

output "disaster_recovery" {
  description = "Instance at home -> its copy in the replica region; make deploy makes it the one to fail over to."
  value       = module.data.disaster_recovery
}

output "migrations_database_user" {
  description = "The database user that owns the tables; make deploy gives it the role that it needs for it."
  value       = trimsuffix(module.security.migrations_account, ".gserviceaccount.com")
}

output "instances" {
  description = "The instances whose databases are writable; their copies have the same users."
  value       = module.data.leading_instances

  precondition {
    condition     = local.connections <= var.database.max_connections
    error_message = "Instances times threads come to ${local.connections} connections, and a database takes ${var.database.max_connections}: lower functions.max_instances or functions.concurrency, raise database.max_connections, or set database.one_instance_per_service."
  }
}

output "jobs" {
  description = "Service -> the jobs in the active region: migrate, operate and, where there is one, first_admin."
  value       = module.region[local.active_region].jobs
}

output "secrets" {
  description = "Setting -> the secret that keeps it. Values are added by commands only (docs/deploy.md)."
  value       = { for name, secret in module.security.secrets : name => secret.secret_id }
}

output "functions" {
  description = "Region -> function -> its URL."
  value       = { for region, made in module.region : region => made.functions }
}

output "log_bucket" {
  description = "Where the logs of the platform are kept, in the EU."
  value       = module.observability.log_bucket
}

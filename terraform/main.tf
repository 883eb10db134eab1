# Everything, from the security that all rest on to the edge that people meet. Read docs/deploy.md first.

locals {
  # Ids in Google Cloud have hyphens where Python has underscores.
  services = { for name, service in var.services : name => merge(service, { id = replace(name, "_", "-") }) }

  active_region  = coalesce(var.active_region, var.primary_region)
  standby_region = var.replica_scope == "full" ? var.replica_region : null
  regions        = toset(var.replica_scope == "full" ? [var.primary_region, var.replica_region] : [var.primary_region])

  # Messages may rest where the platform serves, and in the EU.
  message_regions = sort(distinct(concat(tolist(local.regions), var.eu_regions)))

  host       = coalesce(var.domain, "${replace(module.edge.address, ".", "-")}.sslip.io")
  public_url = "https://${local.host}"
  settings   = merge(var.examples, { MAIL_FROM = "DentalHelp <no-reply@${local.host}>" }, var.settings)

  # What may hold a connection at a time: every thread of every instance of both targets, the jobs, and
  # a few that PostgreSQL keeps for those who mend it.
  connections_per_service = 2 * var.functions.max_instances * var.functions.concurrency + 2
  connections             = (var.database.one_instance_per_service ? 1 : length(var.services)) * local.connections_per_service + 50
}

data "google_project" "this" {
  project_id = var.project
}

module "security" {
  source = "./modules/security"

  project        = var.project
  number         = data.google_project.this.number
  administrators = var.administrators
  services       = local.services
  key_locations  = setunion(["europe"], local.regions, var.eu_regions)
  secret_regions = var.eu_regions
}

module "data" {
  source = "./modules/data"

  project            = module.security.project
  services           = local.services
  primary_region     = var.primary_region
  standby_region     = local.standby_region
  active_region      = local.active_region
  eu_regions         = var.eu_regions
  database           = var.database
  upload_origins     = length(var.upload_origins) > 0 ? var.upload_origins : [local.public_url]
  retention_days     = var.audit_retention_days
  retention_locked   = var.retention_locked
  protect            = var.protect
  database_keys      = module.security.location_keys
  europe_key         = module.security.location_keys["europe"]
  migrations_account = module.security.migrations_account
  accounts           = { for name, service in module.service : name => service.account }
}

module "service" {
  source   = "./modules/service"
  for_each = local.services

  project       = module.security.project
  name          = each.key
  service       = each.value
  instances     = module.data.instance_names[each.key]
  secrets       = { for name in each.value.secrets : name => module.security.secrets[name] }
  key           = module.security.service_keys[each.key]
  topics        = { for topic in each.value.publishes : topic => module.messaging.topics[topic] }
  admin_secret  = module.security.first_admin_secret
  source_bucket = module.data.source_bucket
  ledger        = module.data.ledgers[each.key]
  objects       = { for name in each.value.buckets : name => module.data.objects["${each.key}/${name}"] }
  live_database = each.value.documents ? module.data.live_databases[each.key] : null
}

module "region" {
  source   = "./modules/region"
  for_each = local.regions

  project            = module.security.project
  number             = data.google_project.this.number
  region             = each.key
  active             = each.key == local.active_region
  position           = each.key == var.primary_region ? 0 : 1
  network            = module.data.network
  services           = local.services
  accounts           = { for name, service in module.service : name => service.account }
  environments       = { for name, service in module.service : name => merge(local.common_environment, service.environment, local.own_settings[name]) }
  databases          = { for name in keys(local.services) : name => module.data.connections[each.key][name] }
  secrets            = module.security.secrets
  source_bucket      = module.data.source_bucket
  packages           = { for name, object in google_storage_bucket_object.package : name => object.name }
  functions          = var.functions
  schedules          = var.schedules
  push_account       = module.security.push_account
  build_account      = module.security.build_account
  migrations_account = module.security.migrations_account
  admin_secret       = module.security.first_admin_secret
  protect            = var.protect

  # A function that cannot read its secrets or reach its database does not start.
  depends_on = [module.service]
}

module "messaging" {
  source = "./modules/messaging"

  project       = module.security.project
  number        = data.google_project.this.number
  services      = local.services
  topics        = var.topics
  subscriptions = var.subscriptions
  regions       = local.message_regions
  key           = module.security.location_keys["europe"]
  endpoints     = { for name, service in local.services : name => "https://${service.id}-events-${data.google_project.this.number}.${local.active_region}.run.app" }
  push_account  = module.security.push_account
}

module "edge" {
  source = "./modules/edge"

  project  = module.security.project
  domain   = var.domain
  services = local.services
  groups   = { for name in keys(local.services) : name => module.region[local.active_region].endpoint_groups[name] }
}

module "observability" {
  source = "./modules/observability"

  project          = module.security.project
  host             = local.host
  services         = local.services
  emails           = setunion(var.alert_emails, [for who in var.administrators : split(":", who)[1]])
  log_region       = var.primary_region
  retention_days   = var.audit_retention_days
  retention_locked = var.retention_locked
  max_connections  = var.database.max_connections
  backups          = length(module.data.leading_instances)
}

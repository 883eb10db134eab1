# Cloud SQL. An instance is at home in the primary region; its copy is away, in the replica region.
# Which of the two is writable is a role that they swap: docs/runbooks/switchover.md.

locals {
  # Instance -> the services whose databases it holds.
  instances = var.database.one_instance_per_service ? { for name, service in var.services : service.id => [name] } : { "" = keys(var.services) }

  home       = { for key in keys(local.instances) : key => join("-", compact(["dentalhelp", key, var.primary_region])) }
  away       = var.standby_region == null ? {} : { for key in keys(local.instances) : key => join("-", compact(["dentalhelp", key, var.standby_region])) }
  home_leads = var.active_region == var.primary_region
  plus       = var.database.edition == "ENTERPRISE_PLUS"

  instance_of = merge([for key, names in local.instances : { for name in names : name => key }]...)

  flags = {
    "cloudsql.iam_authentication" = "on"
    "cloudsql.enable_pgaudit"     = "on"
    "max_connections"             = tostring(var.database.max_connections)
    "max_prepared_transactions"   = "8" # for two-phase commit where it is asked for
    # That of whole transactions is no flag: infra/deploy_database.py sets it on each database.
    "idle_in_transaction_session_timeout" = "30000"
    "statement_timeout"                   = "30000"
    "lock_timeout"                        = "10000"
    "log_checkpoints"                     = "on"
    "log_connections"                     = "on"
    "log_disconnections"                  = "on"
    "log_duration"                        = "off"
    "log_hostname"                        = "off"
    "log_lock_waits"                      = "on"
    "log_min_duration_statement"          = "-1" # statements may hold what is personal
    "log_min_error_statement"             = "error"
    "log_min_messages"                    = "warning"
    "log_statement"                       = "ddl"
    "log_temp_files"                      = "0"
  }
}

resource "google_sql_database_instance" "home" {
  # checkov:skip=CKV_GCP_79: the variable database.version admits 17 and 18 only, which the policy does not look into
  for_each = local.home

  project              = var.project
  name                 = each.value
  region               = var.primary_region
  database_version     = var.database.version
  master_instance_name = local.home_leads ? null : local.away[each.key]
  encryption_key_name  = var.database_keys[var.primary_region]
  deletion_protection  = var.protect

  settings {
    edition                     = var.database.edition
    tier                        = var.database.tier
    availability_type           = local.home_leads ? "REGIONAL" : var.database.standby_availability
    connector_enforcement       = "REQUIRED"
    deletion_protection_enabled = var.protect
    disk_type                   = "PD_SSD"
    disk_size                   = var.database.disk_gb
    disk_autoresize             = true
    retain_backups_on_delete    = true

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.network.id
      ssl_mode        = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"
    }

    # A copy has no backups of its own until it leads.
    dynamic "backup_configuration" {
      for_each = local.home_leads ? [1] : []

      content {
        enabled                        = true
        start_time                     = "02:00" # UTC
        location                       = "eu"
        point_in_time_recovery_enabled = true
        transaction_log_retention_days = var.database.recovery_days

        backup_retention_settings {
          retained_backups = var.database.recovery_days
        }
      }
    }

    dynamic "database_flags" {
      for_each = local.flags

      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }

    insights_config {
      query_insights_enabled  = true
      query_string_length     = 1024
      record_application_tags = false
      record_client_address   = false
    }

    maintenance_window {
      day          = 7
      hour         = 3
      update_track = "stable"
    }
  }

  lifecycle {
    # Who copies whom is decided once, here, and from then on by gcloud (docs/runbooks): to the provider
    # another leader means another instance, and it would delete the one that was promoted or was lost.
    # A disk grows by itself.
    ignore_changes = [master_instance_name, replication_cluster, replica_names, settings[0].disk_size]
  }

  depends_on = [google_service_networking_connection.databases]
}

resource "google_sql_database_instance" "away" {
  # checkov:skip=CKV_GCP_79: the variable database.version admits 17 and 18 only, which the policy does not look into
  for_each = local.away

  project              = var.project
  name                 = each.value
  region               = var.standby_region
  database_version     = var.database.version
  master_instance_name = local.home_leads ? google_sql_database_instance.home[each.key].name : null
  encryption_key_name  = var.database_keys[var.standby_region]
  deletion_protection  = var.protect

  settings {
    edition                     = var.database.edition
    tier                        = var.database.tier
    availability_type           = local.home_leads ? var.database.standby_availability : "REGIONAL"
    connector_enforcement       = "REQUIRED"
    deletion_protection_enabled = var.protect
    disk_type                   = "PD_SSD"
    disk_autoresize             = true

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.network.id
      ssl_mode        = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"
    }

    dynamic "backup_configuration" {
      for_each = local.home_leads ? [] : [1]

      content {
        enabled                        = true
        start_time                     = "02:00"
        location                       = "eu"
        point_in_time_recovery_enabled = true
        transaction_log_retention_days = var.database.recovery_days

        backup_retention_settings {
          retained_backups = var.database.recovery_days
        }
      }
    }

    dynamic "database_flags" {
      for_each = local.flags

      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }

    insights_config {
      query_insights_enabled  = true
      query_string_length     = 1024
      record_application_tags = false
      record_client_address   = false
    }
  }

  lifecycle {
    ignore_changes = [master_instance_name, replication_cluster, replica_names, settings[0].disk_size]
  }

  depends_on = [google_service_networking_connection.databases]
}

# In the active region, for reads that may be a little late.
resource "google_sql_database_instance" "reader" {
  # checkov:skip=CKV_GCP_79: the variable database.version admits 17 and 18 only, which the policy does not look into
  for_each = {
    for pair in setproduct(keys(local.instances), range(var.database.read_replicas)) :
    join("-", compact(["dentalhelp", pair[0], var.active_region, "reader", pair[1] + 1])) => pair[0]
  }

  project              = var.project
  name                 = each.key
  region               = var.active_region
  database_version     = var.database.version
  master_instance_name = local.home_leads ? google_sql_database_instance.home[each.value].name : google_sql_database_instance.away[each.value].name
  encryption_key_name  = var.database_keys[var.active_region]
  deletion_protection  = false # nothing is in it alone, and it goes when another region leads

  settings {
    edition                     = var.database.edition
    tier                        = var.database.tier
    availability_type           = "ZONAL"
    connector_enforcement       = "REQUIRED"
    deletion_protection_enabled = false
    disk_autoresize             = true

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.network.id
      ssl_mode        = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"
    }

    dynamic "database_flags" {
      for_each = local.flags

      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }
  }

  lifecycle {
    ignore_changes = [settings[0].disk_size]
  }
}

locals {
  # Databases and users are made where the data is written; copies have them by replication.
  leaders = local.home_leads ? { for key, one in google_sql_database_instance.home : key => one.name } : { for key, one in google_sql_database_instance.away : key => one.name }
}

resource "google_sql_database" "service" {
  for_each = var.services

  project         = var.project
  name            = "${each.key}_db"
  instance        = local.leaders[local.instance_of[each.key]]
  deletion_policy = "ABANDON"

  lifecycle {
    # After a switchover the same database is known under the other instance's name.
    ignore_changes = [instance]
  }
}

# PostgreSQL knows an account by its e-mail without the domain's end. It may connect to its own database
# only: infra/deploy_database.py takes CONNECT away from everybody else.
resource "google_sql_user" "service" {
  for_each = var.services

  project         = var.project
  name            = trimsuffix(var.accounts[each.key], ".gserviceaccount.com")
  instance        = local.leaders[local.instance_of[each.key]]
  type            = "CLOUD_IAM_SERVICE_ACCOUNT"
  deletion_policy = "ABANDON" # it owns nothing, but rows were granted to it

  lifecycle {
    ignore_changes = [instance]
  }
}

resource "google_sql_user" "migrations" {
  for_each = local.instances

  project         = var.project
  name            = trimsuffix(var.migrations_account, ".gserviceaccount.com")
  instance        = local.leaders[each.key]
  type            = "CLOUD_IAM_SERVICE_ACCOUNT"
  deletion_policy = "ABANDON"

  lifecycle {
    ignore_changes = [instance]
  }
}

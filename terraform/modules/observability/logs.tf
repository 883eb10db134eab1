# Logs stay in Europe. make deploy switches off the project's own _Default sink, which keeps them anywhere.

resource "google_logging_project_bucket_config" "logs" {
  project        = var.project
  location       = var.log_region
  bucket_id      = "dentalhelp"
  description    = "What functions and jobs say; no personal data"
  retention_days = 30
}

resource "google_logging_project_sink" "logs" {
  project                = var.project
  name                   = "dentalhelp"
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.logs.id}"
  filter                 = "NOT LOG_ID(\"cloudaudit.googleapis.com/activity\") AND NOT LOG_ID(\"cloudaudit.googleapis.com/data_access\")"
  unique_writer_identity = true
}

# Who did what to the platform. Locked, nobody can shorten it, and the project cannot lose it.
resource "google_logging_project_bucket_config" "audit" {
  project        = var.project
  location       = var.log_region
  bucket_id      = "dentalhelp-audit"
  description    = "Who changed and who read what of the platform"
  retention_days = var.retention_days
  locked         = var.retention_locked
}

resource "google_logging_project_sink" "audit" {
  project                = var.project
  name                   = "dentalhelp-audit"
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.audit.id}"
  filter                 = "LOG_ID(\"cloudaudit.googleapis.com/activity\") OR LOG_ID(\"cloudaudit.googleapis.com/data_access\") OR LOG_ID(\"cloudaudit.googleapis.com/system_event\") OR LOG_ID(\"cloudaudit.googleapis.com/policy\")"
  unique_writer_identity = true
}

# Backups are no metric of Cloud SQL's, but each one that went well is a line.
resource "google_logging_metric" "backups" {
  project     = var.project
  name        = "backups"
  description = "Backups of databases that went well"
  filter      = "LOG_ID(\"cloudaudit.googleapis.com/system_event\") AND resource.type=\"cloudsql_database\" AND protoPayload.methodName=\"cloudsql.instances.automatedBackup\" AND severity<ERROR"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

# What the functions log when a message is given up: it is counted even when no figure arrives.
resource "google_logging_metric" "dead_letters" {
  project     = var.project
  name        = "dead_letters"
  description = "Messages that were given up"
  filter      = "resource.type=\"cloud_run_revision\" AND jsonPayload.message=\"dead_letter\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    labels {
      key         = "service"
      value_type  = "STRING"
      description = "The function that gave up"
    }
  }

  label_extractors = {
    service = "EXTRACT(resource.labels.service_name)"
  }
}

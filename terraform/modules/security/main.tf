# What all else rests on: the APIs, the accounts that do not belong to one service, the keys.

locals {
  apis = toset([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudkms.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "cloudtrace.googleapis.com",
    "compute.googleapis.com",
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "servicenetworking.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
    "telemetry.googleapis.com",
    "vpcaccess.googleapis.com",
  ])
}

resource "google_project_service" "api" {
  for_each = local.apis

  project            = var.project
  service            = each.key
  disable_on_destroy = false
}

locals {
  # As Google makes them, so that a plan can show them before they are there.
  push_email       = "${google_service_account.push.account_id}@${google_service_account.push.project}.iam.gserviceaccount.com"
  migrations_email = "${google_service_account.migrations.account_id}@${google_service_account.migrations.project}.iam.gserviceaccount.com"
  builds_email     = "${google_service_account.builds.account_id}@${google_service_account.builds.project}.iam.gserviceaccount.com"
}

# Who pushes messages and runs schedules: the only caller of every events function.
resource "google_service_account" "push" {
  project      = var.project
  account_id   = "pushes"
  display_name = "Pub/Sub and Cloud Scheduler, calling events functions"
  depends_on   = [google_project_service.api]
}

# Pub/Sub signs the pushes' tokens in its name.
resource "google_service_account_iam_member" "push_by_pubsub" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = "serviceAccount:service-${var.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

# Who owns the tables; no service may act as it.
resource "google_service_account" "migrations" {
  project      = var.project
  account_id   = "migrations"
  display_name = "Migrations of the databases"
  depends_on   = [google_project_service.api]
}

resource "google_project_iam_member" "migrations" {
  for_each = toset(["roles/cloudsql.client", "roles/cloudsql.instanceUser"])

  project = var.project
  role    = each.key
  member  = "serviceAccount:${local.migrations_email}"
}

# Who builds the functions, with less than the default build account may.
resource "google_service_account" "builds" {
  project      = var.project
  account_id   = "builds"
  display_name = "Builds of the functions"
  depends_on   = [google_project_service.api]
}

resource "google_project_iam_member" "builds" {
  for_each = toset(["roles/logging.logWriter", "roles/artifactregistry.writer", "roles/storage.objectViewer"])

  project = var.project
  role    = each.key
  member  = "serviceAccount:${local.builds_email}"

  # Of objects it may see the packages only, and what the build service itself puts down.
  dynamic "condition" {
    for_each = each.key == "roles/storage.objectViewer" ? [1] : []

    content {
      title      = "sources"
      expression = "resource.name.startsWith(\"projects/_/buckets/${var.project}-packages\") || resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${var.number}-\")"
    }
  }
}

resource "google_project_iam_member" "administrator" {
  for_each = {
    for pair in setproduct(var.administrators, local.administrator_roles) : "${pair[0]} ${pair[1]}" => { who = pair[0], role = pair[1] }
  }

  project = var.project
  role    = each.value.role
  member  = each.value.who
}

locals {
  # To look, to add secrets without reading them, to run jobs. Who changes the platform does it with
  # Terraform, and with rights of another account.
  administrator_roles = [
    "roles/browser",
    "roles/cloudscheduler.jobRunner",
    "roles/cloudsql.viewer",
    "roles/logging.viewer",
    "roles/monitoring.editor",
    "roles/pubsub.viewer",
    "roles/run.jobsExecutorWithOverrides",
    "roles/run.viewer",
    "roles/secretmanager.secretVersionAdder",
    "roles/secretmanager.viewer",
  ]
}

# Who read or changed what in the platform's own services, in the log (docs/operations/audit.md is about
# patients' records).
resource "google_project_iam_audit_config" "all" {
  project = var.project
  service = "allServices"

  dynamic "audit_log_config" {
    for_each = ["ADMIN_READ", "DATA_READ", "DATA_WRITE"]

    content {
      log_type = audit_log_config.value
    }
  }
}

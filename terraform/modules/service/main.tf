# One service's account and everything it may do. What is not here, it may not.

resource "google_service_account" "service" {
  project      = var.project
  account_id   = "svc-${var.service.id}" # SERVICE_EMAIL says the same to the others
  display_name = "The service ${var.name}"
}

locals {
  # As Google makes it, so that a plan can show it before the account is there.
  email  = "${google_service_account.service.account_id}@${google_service_account.service.project}.iam.gserviceaccount.com"
  member = "serviceAccount:${local.email}"
  only_its_instances = join(" || ", [
    for name in var.instances : "resource.name == \"projects/${var.project}/instances/${name}\""
  ])
}

resource "google_project_iam_member" "database" {
  for_each = toset(["roles/cloudsql.client", "roles/cloudsql.instanceUser"])

  project = var.project
  role    = each.key
  member  = local.member

  condition {
    title      = "own database instances"
    expression = "resource.service == \"sqladmin.googleapis.com\" && (${local.only_its_instances})"
  }
}

resource "google_project_iam_member" "live_views" {
  count = var.live_database == null ? 0 : 1

  project = var.project
  role    = "roles/datastore.user"
  member  = local.member

  condition {
    title      = "own live views"
    expression = "resource.name == \"projects/${var.project}/databases/${var.live_database}\""
  }
}

resource "google_project_iam_member" "telemetry" {
  for_each = toset(["roles/telemetry.metricsWriter", "roles/telemetry.tracesWriter"])

  project = var.project
  role    = each.key
  member  = local.member
}

resource "google_kms_crypto_key_iam_member" "key" {
  crypto_key_id = var.key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = local.member
}

resource "google_secret_manager_secret_iam_member" "secret" {
  for_each = var.secrets

  project   = var.project
  secret_id = each.value.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.member
}

resource "google_secret_manager_secret_iam_member" "first_admin" {
  count = var.service.first_admin ? 1 : 0

  project   = var.project
  secret_id = var.admin_secret
  role      = "roles/secretmanager.secretAccessor"
  member    = local.member
}

# Its jobs run the tools' package.
resource "google_storage_bucket_iam_member" "packages" {
  bucket = var.source_bucket
  role   = "roles/storage.objectViewer"
  member = local.member
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = var.topics

  project = var.project
  topic   = each.value
  role    = "roles/pubsub.publisher"
  member  = local.member
}

resource "google_storage_bucket_iam_member" "ledger" {
  # To create and to read; neither replaces nor deletes.
  for_each = toset(["roles/storage.objectCreator", "roles/storage.objectViewer"])

  bucket = var.ledger
  role   = each.key
  member = local.member
}

resource "google_storage_bucket_iam_member" "objects" {
  for_each = var.objects

  bucket = each.value
  role   = "roles/storage.objectUser"
  member = local.member
}

# Signed URLs are signed in its own name by IAM: there is no key file.
resource "google_service_account_iam_member" "signs_for_itself" {
  count = length(var.service.buckets) > 0 ? 1 : 0

  service_account_id = google_service_account.service.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.member
}

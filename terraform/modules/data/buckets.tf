# Objects are in two regions of the EU at once.

locals {
  objects = merge([for name, service in var.services : { for setting in service.buckets : "${name}/${setting}" => { id = service.id, setting = setting } }]...)
  # An address of its own for each kind of place: objects-url -> objects.
  object_names = { for key, bucket in local.objects : key => "${var.project}-${bucket.id}-${trimsuffix(lower(replace(bucket.setting, "_", "-")), "-url")}" }
}

# Zips of the functions. They hold code and nothing of anybody.
resource "google_storage_bucket" "packages" {
  # checkov:skip=CKV_GCP_62: every access is in the audit log (google_project_iam_audit_config), which is locked
  project                     = var.project
  name                        = "${var.project}-packages"
  location                    = "EU"
  force_destroy               = !var.protect
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  encryption {
    default_kms_key_name = var.europe_key
  }
}

# Migrations run the tools' package.
resource "google_storage_bucket_iam_member" "migrations" {
  bucket = google_storage_bucket.packages.name
  role   = "roles/storage.objectViewer"
  member = "serviceAccount:${var.migrations_account}"
}

# The erasures' ledger and receipts, and the anchors of the audit log: made once, never changed.
resource "google_storage_bucket" "ledger" {
  # checkov:skip=CKV_GCP_62: every access is in the audit log (google_project_iam_audit_config), which is locked
  # checkov:skip=CKV_GCP_78: its retention lets nobody replace or delete an object: there is no second version
  for_each = var.services

  project                     = var.project
  name                        = "${var.project}-${each.value.id}-ledger"
  location                    = "EU"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  rpo                         = "ASYNC_TURBO" # the other region has it within 15 minutes

  custom_placement_config {
    data_locations = [for region in var.eu_regions : upper(region)]
  }

  encryption {
    default_kms_key_name = var.europe_key
  }

  retention_policy {
    retention_period = var.retention_days * 86400
    is_locked        = var.retention_locked
  }
}

# Images and exports (OBJECTS_URL): browsers put and get them with signed URLs.
resource "google_storage_bucket" "objects" {
  # checkov:skip=CKV_GCP_62: every access is in the audit log (google_project_iam_audit_config), which is locked
  for_each = local.objects

  project                     = var.project
  name                        = local.object_names[each.key]
  location                    = "EU"
  force_destroy               = !var.protect
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  rpo                         = "ASYNC_TURBO"

  custom_placement_config {
    data_locations = [for region in var.eu_regions : upper(region)]
  }

  encryption {
    default_kms_key_name = var.europe_key
  }

  versioning {
    enabled = true
  }

  # What was sent and never completed: intake images, uploads that were broken off.
  lifecycle_rule {
    condition {
      age            = 1
      matches_prefix = ["incoming/"]
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age = 1
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  # An erasure is final when the last old version is gone.
  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 30
      with_state                 = "ARCHIVED"
    }
    action {
      type = "Delete"
    }
  }

  soft_delete_policy {
    retention_duration_seconds = 0 # versions do this, and say until when
  }

  cors {
    origin          = var.upload_origins
    method          = ["GET", "HEAD", "PUT"]
    response_header = ["Content-Type", "Content-MD5", "ETag", "x-goog-hash", "x-goog-generation", "x-goog-if-generation-match", "x-goog-content-length-range"]
    max_age_seconds = 3600
  }
}

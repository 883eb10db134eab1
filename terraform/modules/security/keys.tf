# Whoever loses a key loses all that it encrypts, backups too. make deploy refuses a plan that deletes one,
# and databases depend on all of them: as long as these are protected, nothing else gets at the keys.
# "europe" is there as long as any region of Europe is; a region's key lives and dies with the region.

locals {
  agents = {
    sql     = "serviceAccount:service-${var.number}@gcp-sa-cloud-sql.iam.gserviceaccount.com"
    secrets = "serviceAccount:service-${var.number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
    storage = "serviceAccount:service-${var.number}@gs-project-accounts.iam.gserviceaccount.com"
    pubsub  = "serviceAccount:service-${var.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  }
  # Which of Google's services may use the key of a location.
  users = merge(
    { for agent in ["storage", "pubsub"] : "europe ${agent}" => { location = "europe", agent = agent } },
    {
      for pair in setproduct(setsubtract(var.key_locations, ["europe"]), ["sql", "secrets"]) :
      "${pair[0]} ${pair[1]}" => { location = pair[0], agent = pair[1] }
    },
  )
}

resource "google_kms_key_ring" "ring" {
  for_each = var.key_locations

  project    = var.project
  name       = "dentalhelp"
  location   = each.key
  depends_on = [google_project_service.api]
}

resource "google_kms_crypto_key" "location" {
  # checkov:skip=CKV_GCP_82: make deploy refuses a plan that deletes one, and databases, which are protected, depend on it; prevent_destroy would keep tests from applying
  for_each = var.key_locations

  name                       = "data"
  key_ring                   = google_kms_key_ring.ring[each.key].id
  rotation_period            = "7776000s" # 90 days
  destroy_scheduled_duration = "2592000s" # 30 days to repent
}

resource "google_kms_crypto_key_iam_member" "agent" {
  for_each = local.users

  crypto_key_id = google_kms_crypto_key.location[each.value.location].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = local.agents[each.value.agent]
}

# The key above all keys of a service (KMS_KEY): docs/operations/keys.md.
resource "google_kms_crypto_key" "service" {
  # checkov:skip=CKV_GCP_82: make deploy refuses a plan that deletes one, and databases, which are protected, depend on it; prevent_destroy would keep tests from applying
  for_each = var.services

  name                       = "service-${each.value.id}"
  key_ring                   = google_kms_key_ring.ring["europe"].id
  rotation_period            = "7776000s"
  destroy_scheduled_duration = "2592000s"
}

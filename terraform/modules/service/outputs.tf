output "account" {
  description = "E-mail of its account."
  value       = local.email
}

output "environment" {
  description = "What its functions are told that others are not; no secret is in it."
  value = merge(
    {
      KMS_KEY   = "gcp-kms://${var.key}"
      BLOBS_URL = "gs://${var.ledger}"
    },
    { for setting, bucket in var.objects : setting => "gs://${bucket}" },
    var.live_database == null ? {} : { DOCUMENTS_URL = "firestore://${var.project}/${var.live_database}" },
  )
}

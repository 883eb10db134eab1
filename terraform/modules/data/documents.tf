# Live views that clients watch. They are rebuilt from events, so their loss costs time, not facts.
# A database for each service: nobody else's account can read or write there.

resource "google_firestore_database" "live" {
  for_each = { for name, service in var.services : name => service if service.documents }

  project                           = var.project
  name                              = "live-${each.value.id}"
  location_id                       = "eur3"
  type                              = "FIRESTORE_NATIVE"
  concurrency_mode                  = "OPTIMISTIC"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = var.protect ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy                   = "DELETE"
  # Google's own key: one of ours needs Google's approval first, which an empty project does not have.
}

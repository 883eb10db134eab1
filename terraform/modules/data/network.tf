# The databases have no public address: functions and jobs reach them through this network only.

resource "google_compute_network" "network" {
  # checkov:skip=CKV2_GCP_18: no machine is in it, and the implied rule lets nothing in; connectors bring their own rules
  project                 = var.project
  name                    = "dentalhelp"
  auto_create_subnetworks = false
  routing_mode            = "GLOBAL"
}

resource "google_compute_global_address" "databases" {
  project       = var.project
  name          = "databases"
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  address       = "10.16.0.0" # Google would choose any range, perhaps that of a connector (10.8.0.0)
  prefix_length = 20
  network       = google_compute_network.network.id
}

resource "google_service_networking_connection" "databases" {
  network                 = google_compute_network.network.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.databases.name]
  deletion_policy         = "ABANDON" # Google keeps the peering for days after the last database is gone
}

output "address" {
  description = "The address that people reach."
  value       = google_compute_global_address.edge.address
}

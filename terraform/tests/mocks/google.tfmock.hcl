mock_data "google_project" {
  defaults = {
    number = "123456789012"
  }
}

mock_resource "google_compute_global_address" {
  defaults = {
    address = "203.0.113.7"
  }
}

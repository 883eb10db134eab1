output "log_bucket" {
  description = "Where the logs are kept."
  value       = google_logging_project_bucket_config.logs.id
}

# The state lives in a bucket of the project; `make deploy` makes it and says which.
terraform {
  required_version = ">= 1.9, < 2.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50, < 8.0"
    }
  }

  backend "gcs" {
    prefix = "dentalhelp"
  }
}

provider "google" {
  project        = var.project
  region         = var.primary_region
  default_labels = { platform = "dentalhelp" }
}

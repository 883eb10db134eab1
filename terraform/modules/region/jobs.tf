# Jobs that a person or make deploy starts. They run the tools' package as it is, on a public Python image:
# no image of our own has to be built, stored or patched.

locals {
  image = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}/library/python:3.13-slim"
  # sh -c SCRIPT job MODULE ARGUMENT...: arguments can be replaced for one execution, the script cannot.
  script  = <<-EOT
    python -m zipfile -e /packages/${var.packages["_tools"]} /app
    cd /app
    pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
    exec python -m "$@"
  EOT
  command = ["sh", "-euc", local.script, "job"]

  jobs = merge(
    { for name, service in var.services : "${name}/migrate" => {
      account     = var.migrations_account
      arguments   = ["infra.deploy_database", name]
      secrets     = {}
      environment = { "${upper(name)}_OWNER_DATABASE_URL" = "cloudsql://${var.databases[name].connection}/${var.databases[name].database}?user=${var.databases[name].owner}", "${upper(name)}_ROLE" = var.databases[name].user }
    } },
    { for name, service in var.services : "${name}/operate" => {
      account     = var.accounts[name]
      arguments   = ["infra.audit_verify", "--service", name]
      secrets     = { for setting in service.secrets : setting => var.secrets[setting].secret_id }
      environment = local.environments[name]
    } },
    { for name, service in var.services : "${name}/first_admin" => {
      account     = var.accounts[name]
      arguments   = ["infra.deploy_first_admin", name]
      secrets     = merge({ for setting in service.secrets : setting => var.secrets[setting].secret_id }, { FIRST_ADMIN_PASSWORD = var.admin_secret })
      environment = local.environments[name]
    } if service.first_admin },
  )
}

resource "google_artifact_registry_repository" "images" {
  # checkov:skip=CKV_GCP_84: it holds copies of public images
  project       = var.project
  location      = var.region
  repository_id = "images"
  description   = "Public images, kept near"
  format        = "DOCKER"
  mode          = "REMOTE_REPOSITORY"

  remote_repository_config {
    docker_repository {
      public_repository = "DOCKER_HUB"
    }
  }
}

resource "google_cloud_run_v2_job" "job" {
  for_each = local.jobs

  project             = var.project
  location            = var.region
  name                = replace(replace(each.key, "/", "-"), "_", "-")
  deletion_protection = var.protect

  template {
    template {
      service_account = each.value.account
      max_retries     = 0 # whoever started it hears of a failure, and decides
      timeout         = "3600s"

      containers {
        image   = local.image
        command = local.command
        args    = each.value.arguments

        resources {
          limits = { cpu = "1", memory = "2Gi" } # the packages are installed into memory
        }

        dynamic "env" {
          for_each = each.value.environment

          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = each.value.secrets

          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value
                version = "latest"
              }
            }
          }
        }

        volume_mounts {
          name       = "packages"
          mount_path = "/packages"
        }
      }

      volumes {
        name = "packages"
        gcs {
          bucket    = var.source_bucket
          read_only = true
        }
      }

      vpc_access {
        connector = google_vpc_access_connector.databases.id
        egress    = "PRIVATE_RANGES_ONLY"
      }
    }
  }
}

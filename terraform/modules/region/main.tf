# The functions of all services in one region. A region that stands by has the same functions, with no
# instances: nobody routes to them and its schedules are paused.

locals {
  # A schedule's period as cron; it divides the hour or the day.
  cron = {
    for name, one in var.schedules : name =>
    one.every_seconds < 3600 ? "*/${one.every_seconds / 60} * * * *" :
    one.every_seconds < 86400 ? "0 */${one.every_seconds / 3600} * * *" : "30 3 * * *"
  }

  # The URL that Cloud Run derives from name, number and region, so that a function can be told its own.
  events_urls = { for name, service in var.services : name => "https://${service.id}-events-${var.number}.${var.region}.run.app" }

  environments = {
    for name, service in var.services : name => merge(var.environments[name], {
      "${upper(name)}_DATABASE_URL" = "cloudsql://${var.databases[name].connection}/${var.databases[name].database}?user=${var.databases[name].user}"
      PUSH_AUDIENCE                 = local.events_urls[name]
      OTEL_RESOURCE_ATTRIBUTES      = "cloud.region=${var.region},gcp.project_id=${var.project}"
      THREADS                       = tostring(var.functions.concurrency) # functions-framework: one for each request
    })
  }
}

# The way of functions and jobs to the databases' network.
resource "google_vpc_access_connector" "databases" {
  project       = var.project
  name          = "databases"
  region        = var.region
  network       = var.network
  ip_cidr_range = "10.8.0.${var.position * 16}/28"
  machine_type  = "e2-micro"
  min_instances = 2
  max_instances = 4
}

# People and other services reach it through the load balancer, and only so.
resource "google_cloudfunctions2_function" "http" {
  for_each = var.services

  project     = var.project
  name        = "${each.value.id}-http"
  location    = var.region
  description = "Calls of ${each.key}"

  build_config {
    runtime         = "python313"
    entry_point     = "http"
    service_account = var.build_account

    source {
      storage_source {
        bucket = var.source_bucket
        object = var.packages[each.key]
      }
    }

    automatic_update_policy {}
  }

  service_config {
    service_account_email            = var.accounts[each.key]
    ingress_settings                 = "ALLOW_INTERNAL_AND_GCLB"
    all_traffic_on_latest_revision   = true
    min_instance_count               = var.active ? var.functions.min_instances : 0
    max_instance_count               = var.functions.max_instances
    max_instance_request_concurrency = var.functions.concurrency
    available_cpu                    = var.functions.cpu
    available_memory                 = var.functions.memory
    timeout_seconds                  = 60
    vpc_connector                    = google_vpc_access_connector.databases.id
    vpc_connector_egress_settings    = "PRIVATE_RANGES_ONLY"
    environment_variables            = local.environments[each.key]

    dynamic "secret_environment_variables" {
      for_each = toset(each.value.secrets)

      content {
        key        = secret_environment_variables.key
        project_id = var.project
        secret     = var.secrets[secret_environment_variables.key].secret_id
        version    = "latest"
      }
    }
  }
}

# Messages and schedules. Nobody outside the project reaches it, and inside only the pushing account.
resource "google_cloudfunctions2_function" "events" {
  for_each = var.services

  project     = var.project
  name        = "${each.value.id}-events"
  location    = var.region
  description = "Messages and schedules of ${each.key}"

  build_config {
    runtime         = "python313"
    entry_point     = "events"
    service_account = var.build_account

    source {
      storage_source {
        bucket = var.source_bucket
        object = var.packages[each.key]
      }
    }

    automatic_update_policy {}
  }

  service_config {
    service_account_email            = var.accounts[each.key]
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    all_traffic_on_latest_revision   = true
    min_instance_count               = 0
    max_instance_count               = var.functions.max_instances
    max_instance_request_concurrency = var.functions.concurrency
    available_cpu                    = var.functions.cpu
    available_memory                 = var.functions.memory
    timeout_seconds                  = 300
    vpc_connector                    = google_vpc_access_connector.databases.id
    vpc_connector_egress_settings    = "PRIVATE_RANGES_ONLY"
    environment_variables            = local.environments[each.key]

    dynamic "secret_environment_variables" {
      for_each = toset(each.value.secrets)

      content {
        key        = secret_environment_variables.key
        project_id = var.project
        secret     = var.secrets[secret_environment_variables.key].secret_id
        version    = "latest"
      }
    }
  }
}

# Cloud Run asks for no identity here: callers are people with tokens of our own, which the kit checks
# before anything else, and services with Google's.
resource "google_cloud_run_service_iam_member" "everybody" {
  # checkov:skip=CKV_GCP_102: people have no Google account: the kit checks their tokens, and the ingress admits the load balancer only
  for_each = var.services

  project  = var.project
  location = var.region
  service  = google_cloudfunctions2_function.http[each.key].name
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_cloud_run_service_iam_member" "push" {
  for_each = var.services

  project  = var.project
  location = var.region
  service  = google_cloudfunctions2_function.events[each.key].name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.push_account}"
}

# What the load balancer may route to.
resource "google_compute_region_network_endpoint_group" "http" {
  for_each = var.services

  project               = var.project
  name                  = "${each.value.id}-http"
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloudfunctions2_function.http[each.key].name
  }
}

resource "google_cloud_scheduler_job" "schedule" {
  for_each = var.schedules

  project          = var.project
  region           = var.region
  name             = replace(replace(each.key, ".", "-"), "_", "-")
  description      = "${each.value.service}: ${each.value.job}"
  schedule         = local.cron[each.key]
  time_zone        = "Etc/UTC"
  paused           = !var.active
  attempt_deadline = "320s" # a little more than the function has

  retry_config {
    retry_count = 0 # the next tick comes anyway, and jobs catch up
  }

  http_target {
    http_method = "POST"
    uri         = "${local.events_urls[each.value.service]}/jobs/${each.value.job}"

    oidc_token {
      service_account_email = var.push_account
      audience              = local.events_urls[each.value.service]
    }
  }

  depends_on = [google_cloud_run_service_iam_member.push]
}

# Topics of the services and their dead letters; every subscription pushes to an events function.

locals {
  pubsub = "serviceAccount:service-${var.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  # Whoever listens has dead letters, which come back into its own table.
  listeners = toset([for one in var.subscriptions : one.service])
}

resource "google_pubsub_topic" "topic" {
  for_each = var.topics

  project                    = var.project
  name                       = each.key
  kms_key_name               = var.key
  message_retention_duration = "604800s" # what was acknowledged can be replayed for a week

  message_storage_policy {
    allowed_persistence_regions = var.regions
    enforce_in_transit          = true
  }
}

resource "google_pubsub_topic" "dead_letters" {
  for_each = local.listeners

  project                    = var.project
  name                       = "${each.key}.dead-letters"
  kms_key_name               = var.key
  message_retention_duration = "2678400s" # 31 days: longer than anybody is on holiday

  message_storage_policy {
    allowed_persistence_regions = var.regions
    enforce_in_transit          = true
  }
}

resource "google_pubsub_subscription" "subscription" {
  for_each = var.subscriptions

  project                    = var.project
  name                       = each.key
  topic                      = google_pubsub_topic.topic[each.value.topic].id
  filter                     = each.value.filter # immutable, which is why there is none where it does not pay
  enable_message_ordering    = true
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  push_config {
    push_endpoint = "${var.endpoints[each.value.service]}/"

    oidc_token {
      service_account_email = var.push_account
      audience              = var.endpoints[each.value.service]
    }
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "120s"
  }

  # About half an hour of attempts.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters[each.value.service].id
    max_delivery_attempts = 20
  }

  expiration_policy {
    ttl = "" # never, however quiet it is
  }
}

# Into the consumer's own table, for as long as it takes: there is nothing behind it.
resource "google_pubsub_subscription" "dead_letters" {
  for_each = local.listeners

  project                    = var.project
  name                       = "${each.key}.dead-letters"
  topic                      = google_pubsub_topic.dead_letters[each.key].id
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s"

  push_config {
    push_endpoint = "${var.endpoints[each.key]}/"

    oidc_token {
      service_account_email = var.push_account
      audience              = var.endpoints[each.key]
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub itself moves a message to the dead letters: it publishes there and acknowledges here.
resource "google_pubsub_topic_iam_member" "dead_letters" {
  for_each = local.listeners

  project = var.project
  topic   = google_pubsub_topic.dead_letters[each.key].name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  for_each = var.subscriptions

  project      = var.project
  subscription = google_pubsub_subscription.subscription[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub
}

# One entry for each line of "Service levels and alarms" in docs/telemetry.md, in its words: the functions
# send their figures under the same names. A test holds the two together, and each alarm to a section of
# docs/runbooks/alerts.md.

locals {
  alerts = {
    event-latency = {
      title    = "Messages take effect late"
      figure   = "histogram_quantile(0.99, sum by (le) (rate(dentalhelp_message_latency_seconds_bucket{outcome=\"handled\"}[5m])))"
      warning  = 0.5
      critical = null
      lasting  = "300s"
      unit     = "s"
    }
    outbox-age = {
      title    = "Messages wait in an outbox"
      figure   = "max(dentalhelp_outbox_age_seconds)"
      warning  = 90
      critical = 300
      lasting  = "60s"
      unit     = "s"
    }
    outbox-rows = {
      title    = "An outbox has very many messages"
      figure   = "max(dentalhelp_outbox_rows)"
      warning  = null
      critical = 9999
      lasting  = "60s"
      unit     = "1"
    }
    outbox-unpublished = {
      title    = "The bus does not take messages at once"
      figure   = "sum(rate(dentalhelp_outbox_unpublished_total[5m]))"
      warning  = 0
      critical = null
      lasting  = "300s"
      unit     = "1"
    }
    failed-messages = {
      title    = "Messages fail and are delivered again"
      figure   = "sum(rate(dentalhelp_message_latency_seconds_count{outcome=\"failed\"}[5m]))"
      warning  = 0
      critical = null
      lasting  = "300s"
      unit     = "1"
    }
    dead-letters = {
      title    = "Messages were given up"
      figure   = "max(dentalhelp_dead_letters)"
      warning  = null
      critical = 0
      lasting  = "0s"
      unit     = "1"
    }
    erasure-duration = {
      title    = "Erasures take long"
      figure   = "histogram_quantile(0.99, sum by (le) (rate(dentalhelp_erasure_duration_seconds_bucket[5m])))"
      warning  = 0.5
      critical = null
      lasting  = "300s"
      unit     = "s"
    }
    erasure-unanswered = {
      title    = "A service has not answered an erasure"
      figure   = "max(dentalhelp_erasures_unanswered_age_seconds)"
      warning  = null
      critical = 60
      lasting  = "60s"
      unit     = "s"
    }
    erasure-overdue = {
      title    = "A service had to be asked again for an erasure"
      figure   = "sum(increase(dentalhelp_erasure_overdue_total[10m]))"
      warning  = null
      critical = 0
      lasting  = "0s"
      unit     = "1"
    }
    email-replica = {
      title    = "A changed e-mail address arrives late"
      figure   = "histogram_quantile(0.99, sum by (le) (rate(dentalhelp_email_replica_lag_seconds_bucket[5m])))"
      warning  = 1
      critical = 5
      lasting  = "300s"
      unit     = "s"
    }
    saga-duration = {
      title    = "Sagas take long"
      figure   = "histogram_quantile(0.95, sum by (le) (rate(dentalhelp_saga_duration_seconds_bucket[5m])))"
      warning  = 1
      critical = 5
      lasting  = "300s"
      unit     = "s"
    }
    saga-failures = {
      title    = "Sagas fail"
      figure   = "sum(rate(dentalhelp_saga_duration_seconds_count{status=\"FAILED\"}[1h])) / sum(rate(dentalhelp_saga_duration_seconds_count[1h]))"
      warning  = 0.001
      critical = 0.01
      lasting  = "0s"
      unit     = "1"
    }
    sagas-parked = {
      title    = "Sagas wait for a person"
      figure   = "max(dentalhelp_sagas_parked)"
      warning  = null
      critical = 0
      lasting  = "0s"
      unit     = "1"
    }
    errors = {
      title    = "Requests are answered with errors"
      figure   = "sum(rate(http_server_request_duration_seconds_count{http_response_status_code=~\"5..\"}[5m])) / sum(rate(http_server_request_duration_seconds_count[5m]))"
      warning  = 0.001
      critical = 0.01
      lasting  = "300s"
      unit     = "1"
    }
    mail = {
      title    = "E-mails do not leave"
      figure   = "sum(rate(dentalhelp_mail_sent_total{outcome!=\"sent\"}[5m])) / sum(rate(dentalhelp_mail_sent_total[5m]))"
      warning  = 0.1
      critical = 0.5
      lasting  = "300s"
      unit     = "1"
    }
    audit-unsealed = {
      title    = "The audit log is not sealed"
      figure   = "max(dentalhelp_audit_unsealed_age_seconds)"
      warning  = 180
      critical = 900
      lasting  = "60s"
      unit     = "s"
    }
    projection-lag = {
      title    = "A read model is behind"
      figure   = "max(dentalhelp_projection_lag_seconds)"
      warning  = 90
      critical = 300
      lasting  = "60s"
      unit     = "s"
    }
    event-gate = {
      title    = "Readers of events are held back"
      figure   = "max(dentalhelp_events_gate_age_seconds)"
      warning  = 10
      critical = 60
      lasting  = "60s"
      unit     = "s"
    }
    prepared-transactions = {
      title    = "A prepared transaction is left behind"
      figure   = "max(dentalhelp_transactions_prepared_age_seconds)"
      warning  = 10
      critical = 60
      lasting  = "60s"
      unit     = "s"
    }
    replication-lag = {
      title    = "A copy of the databases is behind"
      figure   = "max by (database_id) (cloudsql_googleapis_com:database_replication_replica_lag)"
      warning  = 0.1
      critical = 5
      lasting  = "300s"
      unit     = "s"
    }
    oldest-transaction = {
      title    = "A transaction holds back all readers of an instance"
      figure   = "max by (database_id) (cloudsql_googleapis_com:database_postgresql_vacuum_oldest_transaction_age)"
      warning  = 100000
      critical = 1000000
      lasting  = "300s"
      unit     = "1"
    }
    connections = {
      title    = "A database runs out of connections"
      figure   = "sum by (database_id) (cloudsql_googleapis_com:database_postgresql_num_backends)"
      warning  = 700
      critical = 900
      lasting  = "60s"
      unit     = "1"
    }
    undelivered = {
      title    = "Messages wait at Pub/Sub"
      figure   = "max by (subscription_id) (pubsub_googleapis_com:subscription_oldest_unacked_message_age)"
      warning  = 90
      critical = 600
      lasting  = "60s"
      unit     = "s"
    }
    validation = {
      title    = "Services do not agree with each other"
      figure   = "sum by (check) (increase(dentalhelp_validation_violations_total[1d]))"
      warning  = null
      critical = 0
      lasting  = "0s"
      unit     = "1"
    }
    exports-repeated = {
      title    = "Exports of people's data had to be begun again"
      figure   = "sum(increase(dentalhelp_exports_total{outcome=\"repeated\"}[1h]))"
      warning  = 0
      critical = null
      lasting  = "0s"
      unit     = "1"
    }
    exports = {
      title    = "Exports of people's data fail"
      figure   = "sum(increase(dentalhelp_exports_total{outcome=\"failed\"}[1h]))"
      warning  = null
      critical = 0
      lasting  = "0s"
      unit     = "1"
    }
    telemetry-dropped = {
      title    = "Figures are lost"
      figure   = "sum(increase(dentalhelp_telemetry_dropped_total[15m]))"
      warning  = 0
      critical = null
      lasting  = "0s"
      unit     = "1"
    }
    backups = {
      # Cloud Monitoring looks back 25 hours at most; the daily backup begins between 02:00 and 06:00 UTC.
      title    = "There was no backup for a day"
      figure   = "25 * ((sum(increase(logging_googleapis_com:user_backups[25h])) or vector(0)) < bool 1)"
      warning  = null
      critical = 24
      lasting  = "0s"
      unit     = "h"
    }
  }

  policies = merge([
    for name, alert in local.alerts : merge(
      alert.warning == null ? {} : { "${name}-warning" = merge(alert, { name = name, severity = "WARNING", threshold = alert.warning }) },
      alert.critical == null ? {} : { "${name}-critical" = merge(alert, { name = name, severity = "CRITICAL", threshold = alert.critical }) },
    )
  ]...)

  # Lines that the functions log when a person has to look (docs/operations).
  attention = [
    "audit_anchor_foreign",
    "audit_contradicts_anchor",
    "audit_order_behind",
    "erasure_ledger_away",
    "event_epoch_not_bumped",
    "event_gate_stalled",
    "kms_checksum_mismatch",
  ]
}

resource "google_monitoring_notification_channel" "email" {
  for_each = var.emails

  project      = var.project
  display_name = each.key
  type         = "email"
  labels       = { email_address = each.key }
}

resource "google_monitoring_alert_policy" "figure" {
  for_each = local.policies

  project               = var.project
  display_name          = "${each.value.title} (${lower(each.value.severity)})"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = "above ${each.value.threshold}"

    condition_prometheus_query_language {
      query                     = "${each.value.figure} > ${each.value.threshold}"
      duration                  = each.value.lasting
      evaluation_interval       = "60s"
      disable_metric_validation = true # on the first day nobody has sent a figure yet
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Runbook: docs/runbooks/alerts.md#${each.value.name}"
  }

  alert_strategy {
    auto_close = "86400s"
  }
}

resource "google_monitoring_alert_policy" "attention" {
  project               = var.project
  display_name          = "A line in the log needs a person (critical)"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = "the line was logged"

    condition_matched_log {
      filter = "resource.type=\"cloud_run_revision\" AND jsonPayload.message=(${join(" OR ", [for line in local.attention : "\"${line}\""])})"
      label_extractors = {
        event = "EXTRACT(jsonPayload.message)"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Runbook: docs/runbooks/alerts.md#attention"
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "3600s"
    }
  }
}

resource "google_monitoring_uptime_check_config" "service" {
  for_each = var.services

  project      = var.project
  display_name = "${each.value.id} answers"
  period       = "300s" # a million checks a month are free: this is a third of them
  timeout      = "10s"

  http_check {
    path         = "${each.value.prefix}/-/health"
    port         = 443
    use_ssl      = true
    validate_ssl = true
  }

  monitored_resource {
    type   = "uptime_url"
    labels = { project_id = var.project, host = var.host }
  }
}

resource "google_monitoring_alert_policy" "uptime" {
  for_each = var.services

  project               = var.project
  display_name          = "${each.value.id} does not answer (critical)"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = "two places of the world find it away"

    condition_threshold {
      filter          = "resource.type=\"uptime_url\" AND metric.type=\"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.label.check_id=\"${google_monitoring_uptime_check_config.service[each.key].uptime_check_id}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 1
      duration        = "0s"

      aggregations {
        alignment_period     = "600s"
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        cross_series_reducer = "REDUCE_COUNT_FALSE"
        group_by_fields      = ["resource.label.host"]
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Runbook: docs/runbooks/alerts.md#uptime"
  }
}

# Alarms, and who hears of them.

locals {
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
      query                     = "(${each.value.figure}) > ${each.value.threshold}"
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

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
    dead-letters-logged = {
      title    = "The log says that messages were given up"
      figure   = "sum(increase(logging_googleapis_com:user_dead_letters[10m]))"
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
      warning  = floor(var.max_connections * 0.7)
      critical = floor(var.max_connections * 0.9)
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
      # Minutely jobs send figures: if none arrives at all, not even that of what was dropped does.
      title    = "Figures are lost"
      figure   = "sum(increase(dentalhelp_telemetry_dropped_total[15m])) or absent_over_time(dentalhelp_outbox_age_seconds[15m])"
      warning  = 0
      critical = null
      lasting  = "0s"
      unit     = "1"
    }
    backups = {
      # Cloud Monitoring looks back 25 hours at most; the daily backup begins between 02:00 and 06:00 UTC.
      title    = "A database was not backed up for a day"
      figure   = "25 * ((sum(increase(logging_googleapis_com:user_backups[25h])) or vector(0)) < bool ${var.backups - 0.5})"
      warning  = null
      critical = 24
      lasting  = "0s"
      unit     = "h"
    }
  }
}

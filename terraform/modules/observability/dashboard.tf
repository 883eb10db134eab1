# One page: what the alarms look at, each with its thresholds, and who asks for how much.

locals {
  charts = concat(
    [{
      title      = "Requests a second, by service"
      query      = "sum by (job) (rate(http_server_request_duration_seconds_count[5m]))"
      unit       = "1/s"
      thresholds = []
      }, {
      title      = "Slowest requests of a hundred"
      query      = "histogram_quantile(0.99, sum by (le, job) (rate(http_server_request_duration_seconds_bucket[5m])))"
      unit       = "s"
      thresholds = []
    }],
    [for name, alert in local.alerts : {
      title = alert.title
      query = alert.figure
      unit  = alert.unit
      thresholds = concat(
        alert.warning == null ? [] : [{ value = alert.warning, color = "YELLOW" }],
        alert.critical == null ? [] : [{ value = alert.critical, color = "RED" }],
      )
    }],
  )
}

resource "google_monitoring_dashboard" "platform" {
  project = var.project

  dashboard_json = jsonencode({
    displayName = "DentalHelp"
    mosaicLayout = {
      columns = 12
      # The API gives no 0 back: what is 0 must not be said, or every plan would change the page.
      tiles = [for position, chart in local.charts : merge(
        { for name, place in { xPos = (position % 3) * 4, yPos = floor(position / 3) * 4 } : name => place if place != 0 },
        { width = 4, height = 4 },
        { widget = {
          title = chart.title
          xyChart = merge(
            {
              dataSets = [{
                plotType        = "LINE"
                targetAxis      = "Y1"
                timeSeriesQuery = { prometheusQuery = chart.query, unitOverride = chart.unit }
              }]
              yAxis = { scale = "LINEAR" }
            },
            {
              for name, lines in {
                thresholds = [
                  for threshold in chart.thresholds : merge(
                    { for name, value in { value = threshold.value } : name => value if value != 0 },
                    { color = threshold.color, direction = "ABOVE", targetAxis = "Y1" },
                  )
                ]
              } : name => lines if length(lines) > 0
            },
          )
        } },
      )]
    }
  })
}

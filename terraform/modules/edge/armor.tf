# What is turned away before it costs a function: known attacks, and too much from one address. The kit
# throttles log-ins and tokens by itself; this is for floods.

resource "google_compute_security_policy" "edge" {
  # checkov:skip=CKV_GCP_73: the rule is there, in the newer spelling evaluatePreconfiguredWaf
  project     = var.project
  name        = "edge"
  description = "Known attacks and floods"
  type        = "CLOUD_ARMOR"

  # CVE-2021-44228 and its kin: nothing here is Java, and nobody who tries it wants an appointment.
  rule {
    action      = "deny(403)"
    priority    = 1000
    description = "Log4Shell"

    match {
      expr {
        expression = "evaluatePreconfiguredWaf('cve-canary', {'sensitivity': 1})"
      }
    }
  }

  rule {
    action      = "deny(403)"
    priority    = 1010
    description = "Scanners"

    match {
      expr {
        expression = "evaluatePreconfiguredWaf('scannerdetection-v33-stable', {'sensitivity': 1})"
      }
    }
  }

  # Registering and logging in cost a password hash each.
  rule {
    action      = "rate_based_ban"
    priority    = 2000
    description = "60 attempts to log in or register a minute from one address"

    match {
      expr {
        expression = "request.method == 'POST' && request.path.matches('/(login|register|refresh|invitations|password)')"
      }
    }

    rate_limit_options {
      conform_action   = "allow"
      exceed_action    = "deny(429)"
      enforce_on_key   = "IP"
      ban_duration_sec = 300

      rate_limit_threshold {
        count        = 60
        interval_sec = 60
      }
    }
  }

  # A clinic may have one address for all of its desks.
  rule {
    action      = "throttle"
    priority    = 3000
    description = "Everybody: 1,200 requests a minute from one address"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }

    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"

      rate_limit_threshold {
        count        = 1200
        interval_sec = 60
      }
    }
  }

  # The rule that every policy has to end with.
  rule {
    action      = "allow"
    priority    = 2147483647
    description = "Everything else"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

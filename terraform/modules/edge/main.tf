# The one door: HTTPS on one address, each service's prefix to its http function in the active region.

locals {
  host = coalesce(var.domain, "${replace(google_compute_global_address.edge.address, ".", "-")}.sslip.io")

  # https://owasp.org/www-project-secure-headers/, for what the functions do not answer themselves, too.
  # Content-Security-Policy is the kit's alone (shared/http_reply.py): a page has one of its own, and the
  # load balancer would put another over it.
  security_headers = [
    "Strict-Transport-Security: max-age=63072000; includeSubDomains",
    "X-Content-Type-Options: nosniff",
    "X-Frame-Options: DENY",
    "Referrer-Policy: no-referrer",
    "Cross-Origin-Resource-Policy: same-origin",
    "Permissions-Policy: camera=(), geolocation=(), microphone=()",
  ]
}

resource "google_compute_global_address" "edge" {
  project = var.project
  name    = "edge"
}

resource "google_compute_managed_ssl_certificate" "edge" {
  project = var.project
  # A certificate cannot be changed: another host has another name, and the old one serves until then.
  name = var.domain == null ? "edge" : "edge-${substr(sha256(var.domain), 0, 8)}"

  managed {
    domains = [local.host]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_ssl_policy" "edge" {
  project         = var.project
  name            = "edge"
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_backend_service" "service" {
  for_each = var.services

  project                 = var.project
  name                    = each.value.id
  load_balancing_scheme   = "EXTERNAL_MANAGED"
  protocol                = "HTTPS"
  security_policy         = google_compute_security_policy.edge.id
  custom_response_headers = local.security_headers
  # Whom it saw: in X-Forwarded-For its own address comes last. shared/http_request.py reads this.
  custom_request_headers = ["X-Client-Address:{client_ip_address}"]

  backend {
    group = var.groups[each.key]
  }

  log_config {
    enable      = true
    sample_rate = 1
  }
}

resource "google_compute_url_map" "edge" {
  project = var.project
  name    = "edge"
  # Whatever no prefix names: every service answers that with 404, as a problem.
  default_service = google_compute_backend_service.service[sort(keys(var.services))[0]].id

  host_rule {
    hosts        = [local.host]
    path_matcher = "services"
  }

  path_matcher {
    name            = "services"
    default_service = google_compute_backend_service.service[sort(keys(var.services))[0]].id

    dynamic "path_rule" {
      for_each = var.services

      content {
        paths   = [path_rule.value.prefix, "${path_rule.value.prefix}/*"]
        service = google_compute_backend_service.service[path_rule.key].id
      }
    }
  }
}

resource "google_compute_target_https_proxy" "edge" {
  project          = var.project
  name             = "edge"
  url_map          = google_compute_url_map.edge.id
  ssl_certificates = [google_compute_managed_ssl_certificate.edge.id]
  ssl_policy       = google_compute_ssl_policy.edge.id
}

resource "google_compute_global_forwarding_rule" "https" {
  project               = var.project
  name                  = "edge-https"
  ip_address            = google_compute_global_address.edge.id
  load_balancing_scheme = "EXTERNAL_MANAGED"
  port_range            = "443"
  target                = google_compute_target_https_proxy.edge.id
}

# Plain HTTP is told where to go, and nothing else.
resource "google_compute_url_map" "redirect" {
  project = var.project
  name    = "edge-redirect"

  default_url_redirect {
    https_redirect         = true
    redirect_response_code = "PERMANENT_REDIRECT"
    strip_query            = false
  }
}

resource "google_compute_target_http_proxy" "redirect" {
  project = var.project
  name    = "edge-redirect"
  url_map = google_compute_url_map.redirect.id
}

resource "google_compute_global_forwarding_rule" "http" {
  project               = var.project
  name                  = "edge-http"
  ip_address            = google_compute_global_address.edge.id
  load_balancing_scheme = "EXTERNAL_MANAGED"
  port_range            = "80"
  target                = google_compute_target_http_proxy.redirect.id
}

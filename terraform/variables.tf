# Two of these have no default and come from a person: project and administrators.

variable "project" {
  description = "Id of the Google Cloud project, which has nothing else in it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project's id has 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "administrators" {
  description = "Who operates the platform: sees metrics and logs, adds secrets, runs jobs, is alarmed. Such as group:operators@clinic.example."
  type        = set(string)

  validation {
    condition     = length(var.administrators) > 0 && alltrue([for who in var.administrators : can(regex("^(user|group):[^@ ]+@[^@ ]+$", who))])
    error_message = "Name at least one, each as user:e-mail or group:e-mail."
  }
}

variable "primary_region" {
  description = "Where the platform is at home. It cannot be moved later."
  type        = string
  default     = "europe-west1"

  validation {
    condition     = startswith(var.primary_region, "europe-")
    error_message = "The primary region is in Europe: live views, buckets and keys are."
  }
}

variable "replica_region" {
  description = "Where a copy of the databases and the standby functions are."
  type        = string
  default     = "us-central1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.replica_region)) && var.replica_region != var.primary_region
    error_message = "Name another region than the primary one, such as us-central1 or europe-west4."
  }
}

variable "replica_scope" {
  description = "What is in the replica region. full: a copy of every database and the standby functions. none: nothing at all, there is no replica region."
  type        = string
  default     = "full"

  validation {
    condition     = contains(["full", "none"], var.replica_scope)
    error_message = "Say full or none."
  }
}

variable "active_region" {
  description = "The region that serves and holds the writable databases: the primary one unless another is named. See docs/runbooks/switchover.md before changing it."
  type        = string
  default     = null

  validation {
    condition     = var.active_region == null || contains(var.replica_scope == "full" ? [var.primary_region, var.replica_region] : [var.primary_region], coalesce(var.active_region, var.primary_region))
    error_message = "The active region is the primary one or, with replica_scope full, the replica region."
  }
}

variable "eu_regions" {
  description = "Two regions of the EU: where objects (both at once) and secrets are kept."
  type        = list(string)
  default     = ["europe-west1", "europe-west4"]

  validation {
    condition     = length(distinct(var.eu_regions)) == 2 && alltrue([for region in var.eu_regions : startswith(region, "europe-") && !contains(["europe-west2", "europe-west6"], region)])
    error_message = "Name two different regions inside the EU (europe-west2 is London, europe-west6 Zurich)."
  }
}

variable "domain" {
  description = "The platform's host name, such as app.clinic.example. Without one a name that resolves to the address (sslip.io) is used: for trying out only."
  type        = string
  default     = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "A host name in lower case, without https:// and without a path."
  }
}

variable "settings" {
  description = "Values for the open settings that services need (docs/configuration.md), by name."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^[A-Z][A-Z0-9_]*$", name))])
    error_message = "Settings are named in upper case, such as MAIL_FROM."
  }

  validation {
    condition     = alltrue([for name in keys(var.settings) : !can(regex("^(SMTP_URL|.*_(KEY|SECRET|TOKEN|PASSWORD))$", name))])
    error_message = "Secrets do not belong here, where the state would keep them: see docs/deploy.md."
  }
}

variable "database" {
  description = "The databases: Cloud SQL's edition and machine, whether each service gets an instance of its own, read replicas in the region, how far back one can recover."
  type = object({
    version                  = optional(string, "POSTGRES_18")
    edition                  = optional(string, "ENTERPRISE_PLUS")
    tier                     = optional(string, "db-perf-optimized-N-2")
    one_instance_per_service = optional(bool, false)
    read_replicas            = optional(number, 0)
    recovery_days            = optional(number, 30)
    max_connections          = optional(number, 1000)
    disk_gb                  = optional(number, 20)
    standby_availability     = optional(string, "ZONAL")
  })
  default = {}

  validation {
    condition     = contains(["POSTGRES_17", "POSTGRES_18"], var.database.version)
    error_message = "The safety timeouts need PostgreSQL 17 or newer (POSTGRES_17, POSTGRES_18)."
  }

  validation {
    condition     = contains(["ENTERPRISE", "ENTERPRISE_PLUS"], var.database.edition)
    error_message = "The edition is ENTERPRISE or ENTERPRISE_PLUS."
  }

  validation {
    condition     = startswith(var.database.tier, "db-perf-optimized-") == (var.database.edition == "ENTERPRISE_PLUS")
    error_message = "ENTERPRISE_PLUS has the tiers db-perf-optimized-*, ENTERPRISE the others (db-custom-*)."
  }

  validation {
    condition     = var.database.recovery_days >= 1 && var.database.recovery_days <= (var.database.edition == "ENTERPRISE_PLUS" ? 35 : 7)
    error_message = "Point-in-time recovery reaches back 7 days with ENTERPRISE and 35 with ENTERPRISE_PLUS."
  }

  validation {
    condition     = var.database.read_replicas >= 0 && var.database.read_replicas <= 10 && floor(var.database.read_replicas) == var.database.read_replicas
    error_message = "There are 0 to 10 read replicas."
  }

  validation {
    condition     = var.database.max_connections >= 50 && var.database.max_connections <= 5000
    error_message = "An instance takes 50 to 5000 connections."
  }

  validation {
    condition     = contains(["ZONAL", "REGIONAL"], var.database.standby_availability)
    error_message = "The standby is ZONAL or REGIONAL."
  }

  validation {
    condition     = var.database.disk_gb >= 10
    error_message = "A disk has at least 10 GB; it grows by itself."
  }
}

variable "functions" {
  description = "Each function: how many instances wait for calls (in the active region) and how many there are at most, how many requests one instance takes at a time (each has a thread and a connection), and its size."
  type = object({
    min_instances = optional(number, 0)
    max_instances = optional(number, 4)
    concurrency   = optional(number, 8)
    cpu           = optional(string, "1")
    memory        = optional(string, "1Gi")
  })
  default = {}

  validation {
    condition     = var.functions.max_instances >= 1 && var.functions.max_instances <= 100
    error_message = "A function has 1 to 100 instances."
  }

  validation {
    condition     = var.functions.min_instances >= 0 && var.functions.min_instances <= var.functions.max_instances
    error_message = "There are 0 to functions.max_instances waiting instances."
  }

  validation {
    condition     = var.functions.concurrency > 1 && var.functions.concurrency <= 80
    error_message = "An instance takes 2 to 80 requests at a time."
  }

  validation {
    condition     = contains(["1", "2", "4", "8"], var.functions.cpu)
    error_message = "More than one request at a time needs at least one whole CPU: 1, 2, 4 or 8."
  }

  validation {
    condition     = can(regex("^[0-9]+(Mi|Gi)$", var.functions.memory))
    error_message = "Memory is given as 512Mi or 1Gi."
  }
}

variable "upload_origins" {
  description = "Web origins whose pages may upload to and download from the object store; none: only the platform's own."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for origin in var.upload_origins : can(regex("^https://[^/*]+$", origin))])
    error_message = "An origin is https:// and a host, without a path and without *."
  }
}

variable "alert_emails" {
  description = "Further addresses that are alarmed, beside the administrators."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "These are e-mail addresses."
  }
}

variable "audit_retention_days" {
  description = "How long audit logs and audit anchors are kept. Once locked it can only be raised."
  type        = number
  default     = 3650

  validation {
    condition     = var.audit_retention_days >= 1 && var.audit_retention_days <= 3650
    error_message = "Audit logs are kept for 1 to 3650 days."
  }
}

variable "retention_locked" {
  description = "Lock the retention of the audit log, the anchors and the erasures' ledger: nobody, we included, can shorten it, and the project cannot be emptied before it has passed. false only for trying out."
  type        = bool
  default     = true
}

variable "protect" {
  description = "Refuse to delete databases and live views. `make destroy` explains how to take this off."
  type        = bool
  default     = true
}

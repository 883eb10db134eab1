# What nobody writes by hand: make package says what was packed, make manifest what the code declares.

variable "packages" {
  description = "Service (and _tools, for the jobs) -> the zip in build/packages that make package wrote."
  type        = map(string)

  validation {
    condition     = alltrue([for zip in values(var.packages) : can(regex("^[a-z0-9_-]+-[0-9a-f]{16}\\.zip$", zip))])
    error_message = "make package writes these."
  }

  validation {
    condition     = length(setsubtract(concat(keys(var.services), ["_tools"]), keys(var.packages))) == 0
    error_message = "Some services have not been packed: make package."
  }
}

variable "services" {
  description = "Service -> what the code declares of it."
  type = map(object({
    prefix      = string
    personal    = bool
    callers     = list(string)
    publishes   = list(string)
    documents   = bool
    first_admin = bool
    secrets     = list(string)
    buckets     = list(string)
    settings    = list(string)
  }))

  validation {
    condition     = alltrue([for name in keys(var.services) : can(regex("^[a-z][a-z0-9]*(_[a-z0-9]+)*$", name)) && length(name) <= 26])
    error_message = "A service's name has at most 26 lower-case letters, digits and single underscores: an account is named after it."
  }

  validation {
    condition     = length(distinct([for service in values(var.services) : service.prefix])) == length(var.services)
    error_message = "Each service has a URL prefix of its own."
  }
}

variable "examples" {
  description = "Setting -> the value that is used, with a warning, until somebody has decided."
  type        = map(string)
}

variable "topics" {
  description = "The topics that somebody publishes on."
  type        = set(string)
}

variable "subscriptions" {
  description = "Subscription -> who listens to what."
  type = map(object({
    service = string
    topic   = string
    filter  = optional(string)
  }))

  validation {
    condition     = alltrue([for one in values(var.subscriptions) : contains(var.topics, one.topic) && contains(keys(var.services), one.service)])
    error_message = "A subscription names a topic or a service that is not there: make manifest."
  }
}

variable "schedules" {
  description = "Schedule -> the service's job and how often it runs."
  type = map(object({
    service       = string
    job           = string
    every_seconds = number
  }))

  validation {
    condition     = alltrue([for one in values(var.schedules) : one.every_seconds % 60 == 0 && one.every_seconds >= 60 && one.every_seconds <= 86400])
    error_message = "The scheduler's tick is a minute; nothing runs less often than daily."
  }

  validation {
    condition     = alltrue([for one in values(var.schedules) : one.every_seconds < 3600 ? 3600 % one.every_seconds == 0 : 86400 % one.every_seconds == 0])
    error_message = "A schedule divides the hour or the day."
  }
}

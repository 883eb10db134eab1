variable "project" {
  description = "The project's id."
  type        = string
}

variable "host" {
  description = "The host name that people use."
  type        = string
}

variable "services" {
  description = "The services: id and URL prefix."
  type = map(object({
    id     = string
    prefix = string
  }))
}

variable "emails" {
  description = "Who is alarmed."
  type        = set(string)
}

variable "log_region" {
  description = "Where logs are kept."
  type        = string
}

variable "retention_days" {
  description = "How long audit logs are kept."
  type        = number
}

variable "retention_locked" {
  description = "Whether that can never be shortened."
  type        = bool
}

variable "max_connections" {
  description = "How many connections a database takes."
  type        = number
}

variable "backups" {
  description = "How many instances are backed up each day."
  type        = number
}

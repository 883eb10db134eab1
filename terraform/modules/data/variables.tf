variable "project" {
  description = "The project's id."
  type        = string
}

variable "services" {
  description = "The services, with their ids."
  type = map(object({
    id        = string
    documents = bool
    buckets   = list(string)
  }))
}

variable "accounts" {
  description = "Service -> e-mail of its account."
  type        = map(string)
}

variable "primary_region" {
  description = "Where the databases are at home."
  type        = string
}

variable "standby_region" {
  description = "Where their copies are; null: there are none."
  type        = string
}

variable "active_region" {
  description = "Where the writable ones are."
  type        = string
}

variable "eu_regions" {
  description = "The two regions of the object store."
  type        = list(string)
}

variable "database" {
  description = "See the root module."
  type = object({
    version                  = string
    edition                  = string
    tier                     = string
    one_instance_per_service = bool
    read_replicas            = number
    recovery_days            = number
    max_connections          = number
    disk_gb                  = number
    standby_availability     = string
  })
}

variable "upload_origins" {
  description = "Web origins that may upload and download."
  type        = list(string)
}

variable "retention_days" {
  description = "How long ledgers and anchors are kept at least."
  type        = number
}

variable "retention_locked" {
  description = "Whether that can never be shortened."
  type        = bool
}

variable "protect" {
  description = "Whether databases refuse to be deleted."
  type        = bool
}

variable "database_keys" {
  description = "Location -> the key of what is kept there."
  type        = map(string)
}

variable "europe_key" {
  description = "The key of what is kept in several regions of Europe."
  type        = string
}

variable "migrations_account" {
  description = "E-mail of the account that migrates."
  type        = string
}

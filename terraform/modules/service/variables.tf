variable "project" {
  description = "The project's id."
  type        = string
}

variable "name" {
  description = "The service's name in the code."
  type        = string
}

variable "service" {
  description = "What the manifest says of it."
  type = object({
    id          = string
    buckets     = list(string)
    first_admin = bool
  })
}

variable "source_bucket" {
  description = "The bucket of the packages."
  type        = string
}

variable "admin_secret" {
  description = "Id of the secret with the first ADMIN's password; null where there is none."
  type        = string
}

variable "instances" {
  description = "The database instances it may connect to: those that hold its database."
  type        = list(string)
}

variable "secrets" {
  description = "Setting -> the secret it may read."
  type        = map(object({ secret_id = string }))
}

variable "key" {
  description = "Its key above all keys."
  type        = string
}

variable "topics" {
  description = "The topics it publishes on -> their names."
  type        = map(string)
}

variable "ledger" {
  description = "Its bucket for what never changes."
  type        = string
}

variable "objects" {
  description = "Setting -> its bucket for objects."
  type        = map(string)
}

variable "live_database" {
  description = "Its database of live views; null: it has none."
  type        = string
}

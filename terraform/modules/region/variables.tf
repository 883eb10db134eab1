variable "project" {
  description = "The project's id."
  type        = string
}

variable "number" {
  description = "The project's number."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "active" {
  description = "Whether this region serves; otherwise it stands by."
  type        = bool
}

variable "position" {
  description = "0 for the primary region, 1 for the replica region: each has addresses of its own."
  type        = number
}

variable "network" {
  description = "The network of the databases."
  type        = string
}

variable "services" {
  description = "The services, with their ids."
  type = map(object({
    id          = string
    secrets     = list(string)
    first_admin = bool
  }))
}

variable "accounts" {
  description = "Service -> e-mail of its account."
  type        = map(string)
}

variable "environments" {
  description = "Service -> its open settings."
  type        = map(map(string))
}

variable "databases" {
  description = "Service -> its database in this region."
  type = map(object({
    connection = string
    database   = string
    user       = string
    owner      = string
  }))
}

variable "secrets" {
  description = "Setting -> its secret."
  type        = map(object({ secret_id = string }))
}

variable "source_bucket" {
  description = "The bucket of the packages."
  type        = string
}

variable "packages" {
  description = "Service, and _tools -> its zip."
  type        = map(string)
}

variable "functions" {
  description = "See the root module."
  type = object({
    min_instances = number
    max_instances = number
    concurrency   = number
    cpu           = string
    memory        = string
  })
}

variable "schedules" {
  description = "Schedule -> the service's job and how often it runs."
  type = map(object({
    service       = string
    job           = string
    every_seconds = number
  }))
}

variable "push_account" {
  description = "E-mail of the account that calls events functions."
  type        = string
}

variable "build_account" {
  description = "Full name of the account that builds functions."
  type        = string
}

variable "migrations_account" {
  description = "E-mail of the account that migrates."
  type        = string
}

variable "admin_secret" {
  description = "Id of the secret with the first ADMIN's password; null where there is none."
  type        = string
}

variable "protect" {
  description = "Whether jobs refuse to be deleted."
  type        = bool
}

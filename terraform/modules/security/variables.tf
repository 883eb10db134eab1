variable "project" {
  description = "The project's id."
  type        = string
}

variable "number" {
  description = "The project's number: Google's own accounts are named after it."
  type        = string
}

variable "administrators" {
  description = "Who operates the platform."
  type        = set(string)
}

variable "services" {
  description = "The services, with their ids."
  type = map(object({
    id          = string
    secrets     = list(string)
    first_admin = bool
  }))
}

variable "key_locations" {
  description = "Where keys are needed: europe, and every region that keeps data."
  type        = set(string)
}

variable "secret_regions" {
  description = "The regions that keep the secrets."
  type        = list(string)
}

variable "project" {
  description = "The project's id."
  type        = string
}

variable "domain" {
  description = "The platform's host name; null: one that resolves to the address."
  type        = string
}

variable "services" {
  description = "The services: id and URL prefix."
  type = map(object({
    id     = string
    prefix = string
  }))
}

variable "groups" {
  description = "Service -> the endpoint group of the active region."
  type        = map(string)
}

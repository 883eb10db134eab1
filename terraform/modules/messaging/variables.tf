variable "project" {
  description = "The project's id."
  type        = string
}

variable "number" {
  description = "The project's number: Pub/Sub's own account is named after it."
  type        = string
}

variable "services" {
  description = "The services."
  type        = map(object({ id = string }))
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
}

variable "regions" {
  description = "Where messages may rest."
  type        = list(string)
}

variable "key" {
  description = "The key that encrypts messages at rest."
  type        = string
}

variable "endpoints" {
  description = "Service -> URL of its events function in the active region."
  type        = map(string)
}

variable "push_account" {
  description = "E-mail of the account that pushes."
  type        = string
}

output "topics" {
  description = "Topic -> its name, for grants."
  value       = { for name, topic in google_pubsub_topic.topic : name => topic.name }
}

output "endpoint_groups" {
  description = "Service -> what the load balancer may route to."
  value       = { for name, group in google_compute_region_network_endpoint_group.http : name => group.id }
}

output "functions" {
  description = "Function -> its URL."
  value = merge(
    { for name, function in google_cloudfunctions2_function.http : function.name => function.url },
    { for name, url in local.events_urls : google_cloudfunctions2_function.events[name].name => url },
  )
}

output "jobs" {
  description = "Service -> kind of job -> its name."
  value = {
    for name in keys(var.services) : name => {
      for key, job in google_cloud_run_v2_job.job : split("/", key)[1] => job.name if split("/", key)[0] == name
    }
  }
}

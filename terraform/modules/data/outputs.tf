output "network" {
  description = "Id of the network that reaches the databases."
  value       = google_compute_network.network.id
}

output "instance_names" {
  description = "Service -> the instances that hold its database, wherever they are."
  value       = { for name in keys(var.services) : name => compact([local.home[local.instance_of[name]], try(local.away[local.instance_of[name]], "")]) }
}

output "leading_instances" {
  description = "The instances whose databases are writable."
  value       = values(local.home_leads ? local.home : local.away)
}

output "disaster_recovery" {
  description = "Instance that leads -> the one to fail over to."
  value = local.plus ? {
    for key, away in local.away : (local.home_leads ? local.home[key] : away) => (local.home_leads ? away : local.home[key])
  } : {}
}

output "connections" {
  description = "Region -> service -> its database there: the connector's name for the instance, the database, the user."
  value = merge(
    {
      (var.primary_region) = {
        for name in keys(var.services) : name => {
          connection = "${var.project}:${var.primary_region}:${google_sql_database_instance.home[local.instance_of[name]].name}"
          database   = google_sql_database.service[name].name
          user       = google_sql_user.service[name].name
          owner      = google_sql_user.migrations[local.instance_of[name]].name
        }
      }
    },
    var.standby_region == null ? {} : {
      (var.standby_region) = {
        for name in keys(var.services) : name => {
          connection = "${var.project}:${var.standby_region}:${google_sql_database_instance.away[local.instance_of[name]].name}"
          database   = google_sql_database.service[name].name
          user       = google_sql_user.service[name].name
          owner      = google_sql_user.migrations[local.instance_of[name]].name
        }
      }
    },
  )
}

output "live_databases" {
  description = "Service -> its database of live views."
  value       = { for name, database in google_firestore_database.live : name => database.name }
}

output "ledgers" {
  description = "Service -> its bucket for what never changes."
  value       = { for name, bucket in google_storage_bucket.ledger : name => bucket.name }
}

output "objects" {
  description = "service/setting -> the bucket."
  value       = { for key, bucket in google_storage_bucket.objects : key => bucket.name }
}

output "source_bucket" {
  description = "The bucket of the packages."
  value       = google_storage_bucket.packages.name
  depends_on  = [google_storage_bucket_iam_member.migrations]
}

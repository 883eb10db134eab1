# Nothing of anybody leaves the EU: the copy of the databases is in the Netherlands.
#   make plan TFVARS=eu-only.tfvars
replica_region = "europe-west4"

# What make package wrote. A name says what is in it, so the same code is the same object.

resource "google_storage_bucket_object" "package" {
  for_each = var.packages

  bucket       = module.data.source_bucket
  name         = each.value
  source       = "${path.root}/../build/packages/${each.value}"
  content_type = "application/zip"
}

"""``make seed-data``: fill a running platform with a year of a group of clinics.

People and what is still to come go through the public API, as anybody would do it. The year that is
over goes in bulk into the services' databases, by the services' own code (keys, seals, facts, audit
entries), since the API could not do it within the hour; that works on the embedded platform only.
Everything is derived from a person's number: a second run adds only what is missing, and so does
one that follows a run that was killed.
"""

from __future__ import annotations

-- An image of a patient, from the moment its upload is allowed. What concerns health is sealed under
-- the patient's key in subject_keys; the image itself lies in object storage, under xray_files.path.

create table xrays (
  xray_id uuid primary key,
  patient_id uuid not null,
  version integer not null default 1,
  state text not null default 'PENDING'
    check (state in ('PENDING', 'REFUSED', 'HELD', 'STORED', 'REJECTED', 'ENTERED_IN_ERROR')),
  content_type text not null,
  size bigint not null check (size > 0),
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  time_zone text,                 -- of times in the file that say none
  modality text,
  taken_at timestamptz,
  width integer,
  height integer,
  frames integer,
  told bytea,                     -- what was said at the upload, and what the file says: JSON
  claim bytea,                    -- while HELD: whose image the file says it is, and the doubts
  reason bytea,                   -- why it was approved, rejected or marked as an error
  refusal text,                   -- while REFUSED: limits.Reason
  refusal_detail text,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,  -- the end of the upload's URL
  recorded_at timestamptz           -- when it became a part of the record, which the law may hold
);
create index xrays_patient on xrays (patient_id, created_at desc, xray_id desc);
create index xrays_held on xrays (created_at, xray_id) where state = 'HELD';
create index xrays_over on xrays (expires_at) where state in ('PENDING', 'REFUSED');

create table xray_files (
  xray_id uuid not null references xrays on delete cascade,
  kind text not null check (kind in ('original', 'preview', 'thumbnail')),
  patient_id uuid not null,
  path text not null,
  content_type text not null,
  size bigint not null,
  sha256 text not null,
  recorded_at timestamptz,
  primary key (xray_id, kind)
);
create index xray_files_patient on xray_files (patient_id);

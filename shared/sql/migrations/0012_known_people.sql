-- The patients of whom a service may keep something, as far as it has heard (shared/known_people.py).
-- gone: their registration failed, whatever is heard later.
create table known_people (
  person_id uuid primary key,
  gone boolean not null default false
);

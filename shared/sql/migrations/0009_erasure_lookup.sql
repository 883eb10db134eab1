-- An erasure finds what the kit keeps about a person without reading everything about everybody.
create index dead_letters_refs on dead_letters using gin (refs);
create index sagas_subject on sagas (subject) where data is not null;

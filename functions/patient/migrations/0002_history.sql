-- How many facts the record's history has. 0: it was made before there were histories, and whoever
-- changes it first writes down how it was. No index on it: every change would pay for that.
alter table patients add column facts integer not null default 0;

-- How many sagas wait for a person is asked at every look at the metrics.
create index sagas_parked on sagas (id) where status = 'PARKED';

-- Points are logged into metric_log, a row a commit, and moved from there into metrics and latest_metrics by log_apply(): many at once, sorted, each latest value written once. Logging them one by
-- one cost PostgreSQL 20 to 29 us a point, this way 8 to 17. New table; the old function goes.

create table metric_log (
  seq bigint generated always as identity primary key
, runs bigint[] not null
, requests integer[] not null
, keys integer[] not null
, steps bigint[] not null
, timestamps bigint[] not null
, values double precision[] not null
) with (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0);
alter table metric_log alter column keys set compression lz4;
alter table metric_log alter column requests set compression lz4;
alter table metric_log alter column steps set compression lz4;
alter table metric_log alter column timestamps set compression lz4;
alter table metric_log alter column values set compression lz4;
comment on table metric_log is 'Points that are logged and not yet in metrics and latest_metrics: a tenth of a second''s worth, moved on by log_apply() or by the next request that reads points.';
comment on column metric_log.seq is 'Order of arrival, roughly.';
comment on column metric_log.runs is 'runs.id of each request of the batch; 0: it was refused.';
comment on column metric_log.requests is 'Of each point: which of the runs it belongs to, from 1.';
comment on column metric_log.keys is 'Of each point: name of the metric.';
comment on column metric_log.steps is 'Of each point: step.';
comment on column metric_log.timestamps is 'Of each point: milliseconds since 1970.';
comment on column metric_log.values is 'Of each point: the value.';

drop function if exists log_write(text[], integer[], integer[], bigint[], bigint[], double precision[], integer[], integer[], bigint[], bigint[], double precision[]
  , integer[], integer[], text[], integer[], integer[], text[], integer[], text[], text[], bigint[], bigint[], double precision[], text[], text[]);

drop function if exists run_lock(bigint);

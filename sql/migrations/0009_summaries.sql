-- Sealed chunks carry summaries, so that a chart of a million points reads a few bytes of each 64. Exclusive lock on metric_chunks, short; last_timestamp of what is sealed already is worked out
-- (about 0.2 s a million points). Chunks made before have no summary and are read whole.

alter table metric_chunks add column last_timestamp bigint;
update metric_chunks c
   set last_timestamp = coalesce(c.timestamps[c.points], c.first_timestamp + (select sum(d.delta) from unnest(c.timestamp_deltas) as d(delta)), c.first_timestamp);
alter table metric_chunks alter column last_timestamp set not null;
alter table metric_chunks add column times_rise boolean not null default false;
alter table metric_chunks add column numbers integer;
alter table metric_chunks add column minimum double precision;
alter table metric_chunks add column maximum double precision;
alter table metric_chunks add column total double precision;
alter table metric_chunks add column block_steps bigint[];
alter table metric_chunks add column block_timestamps bigint[];
alter table metric_chunks add column block_numbers smallint[];
alter table metric_chunks add column block_minimum double precision[];
alter table metric_chunks add column block_maximum double precision[];
alter table metric_chunks add column block_total double precision[];
alter table metric_chunks add column block_last double precision[];
-- Beside the row, compressed when that helps, while the points themselves go to the toast table: a chart reads no toast.
alter table metric_chunks alter column block_steps set storage main;
alter table metric_chunks alter column block_timestamps set storage main;
alter table metric_chunks alter column block_numbers set storage main;
alter table metric_chunks alter column block_minimum set storage main;
alter table metric_chunks alter column block_maximum set storage main;
alter table metric_chunks alter column block_total set storage main;
alter table metric_chunks alter column block_last set storage main;
alter table metric_chunks alter column block_steps set compression lz4;
alter table metric_chunks alter column block_timestamps set compression lz4;
alter table metric_chunks alter column block_numbers set compression lz4;
alter table metric_chunks alter column block_minimum set compression lz4;
alter table metric_chunks alter column block_maximum set compression lz4;
alter table metric_chunks alter column block_total set compression lz4;
alter table metric_chunks alter column block_last set compression lz4;
comment on table metric_chunks is 'Metric history, the sealed tier: up to 4096 points of one series in one row, ordered by (step, timestamp, value), none equal to another. Chunks of one series may overlap for a while.';
comment on column metric_chunks.chunk is 'Number within the series; the order of points is that of (first_step, first_timestamp).';
comment on column metric_chunks.last_timestamp is 'Timestamp of the last point.';
comment on column metric_chunks.times_rise is 'True when no timestamp is less than the one before.';
comment on column metric_chunks.numbers is 'Values that are not NaN; null: no summary was made.';
comment on column metric_chunks.minimum is 'Least value, NaN left out.';
comment on column metric_chunks.maximum is 'Largest value, NaN left out.';
comment on column metric_chunks.total is 'Sum of the values, NaN left out; null when one is beyond 1e300.';
comment on column metric_chunks.block_steps is 'First step of each block of 64 points; null when steps are even, or there are no blocks.';
comment on column metric_chunks.block_timestamps is 'First timestamp of each block.';
comment on column metric_chunks.block_numbers is 'Values of each block that are not NaN; null when there is no NaN.';
comment on column metric_chunks.block_minimum is 'Least value of each block; null when the chunk has no blocks.';
comment on column metric_chunks.block_maximum is 'Largest value of each block.';
comment on column metric_chunks.block_total is 'Sum of each block.';
comment on column metric_chunks.block_last is 'Last value of each block.';
create index metric_chunks_last_idx on metric_chunks (run, key_id, last_step, last_timestamp);

alter table seal_queue add column key_id integer not null default 0;
comment on column seal_queue.key_id is 'Names below this one are done in this pass.';
alter table seal_queue add column found boolean not null default false;
alter table seal_queue add column step bigint not null default -9223372036854775808;
comment on column seal_queue.step is 'Where the search for hot points of that name goes on: what was sealed a moment ago still lies in the index.';
comment on column seal_queue.found is 'True when this pass had something to seal: another one follows.';

create table seal_soon (
  run bigint not null
, key_id integer not null
, step bigint not null default -9223372036854775808
, primary key (run, key_id)
);
comment on table seal_soon is 'Series to be sealed, or put in order, while their run is live: those that have grown long.';
comment on column seal_soon.run is 'runs.id.';
comment on column seal_soon.key_id is 'Name of the metric.';
comment on column seal_soon.step is 'Where the search for hot points goes on.';

create table seal_watch (
  one boolean primary key default true check (one)
, seen_at timestamptz not null default '-infinity'
, inserted bigint not null default 0
);
insert into seal_watch default values;
comment on table seal_watch is 'One row: when long series were last looked for.';
comment on column seal_watch.one is 'There is one row.';
comment on column seal_watch.seen_at is 'When.';
comment on column seal_watch.inserted is 'Rows that had been inserted into metrics by then, as PostgreSQL counts them.';

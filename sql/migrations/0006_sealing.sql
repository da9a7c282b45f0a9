-- What waits to be sealed. New table.

create table seal_queue (
  run bigint primary key
, due timestamptz not null
);
comment on table seal_queue is 'Runs whose metric history is to be sealed once it has been quiet.';
comment on column seal_queue.run is 'runs.id.';
comment on column seal_queue.due is 'Not before this time; later when the run was written to meanwhile.';
create index seal_queue_due_idx on seal_queue (due);

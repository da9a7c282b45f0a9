-- The cold tier of metric history: sealed series as arrays. New table, a view over both tiers, functions.

create table metric_chunks (
  run bigint not null
, key_id integer not null
, chunk integer not null
, points integer not null
, first_step bigint not null
, last_step bigint not null
, step_by bigint
, steps bigint[]
, first_timestamp bigint not null
, timestamp_deltas integer[]
, timestamps bigint[]
, values double precision[] not null
, primary key (run, key_id, chunk)
);
alter table metric_chunks alter column values set compression lz4;
alter table metric_chunks alter column steps set compression lz4;
alter table metric_chunks alter column timestamp_deltas set compression lz4;
alter table metric_chunks alter column timestamps set compression lz4;
comment on table metric_chunks is 'Metric history, the sealed tier: up to some thousand points of one series in one row, ordered by (step, timestamp, value).';
comment on column metric_chunks.run is 'runs.id.';
comment on column metric_chunks.key_id is 'Name of the metric.';
comment on column metric_chunks.chunk is 'Order within the series, from 0.';
comment on column metric_chunks.points is 'Number of points.';
comment on column metric_chunks.first_step is 'Least step.';
comment on column metric_chunks.last_step is 'Largest step.';
comment on column metric_chunks.step_by is 'Distance of steps when it is the same throughout; steps is null then.';
comment on column metric_chunks.steps is 'Steps, when they are not evenly spaced.';
comment on column metric_chunks.first_timestamp is 'Timestamp of the first point, milliseconds since 1970.';
comment on column metric_chunks.timestamp_deltas is 'Differences to the point before (first 0), when each fits in 32 bits; timestamps is null then.';
comment on column metric_chunks.timestamps is 'Timestamps, when a difference does not fit.';
comment on column metric_chunks.values is 'Values.';

create view metric_points as
select run, key_id, step, timestamp, value
  from metrics
union all
select c.run, c.key_id
     , coalesce(c.steps[p.i], c.first_step + (p.i - 1) * c.step_by)
     , coalesce(c.timestamps[p.i], p.timestamp)
     , c.values[p.i]
  from metric_chunks c
 cross join lateral (
         select u.i::integer as i, c.first_timestamp + sum(coalesce(u.delta, 0)) over (order by u.i) as timestamp
           from unnest(coalesce(c.timestamp_deltas, array_fill(0, array[c.points]))) with ordinality as u(delta, i)
       ) p;
comment on view metric_points is 'Every point of every metric, both tiers. A point that was logged again after its series was sealed shows twice; readers drop exact equals.';
comment on column metric_points.run is 'runs.id.';
comment on column metric_points.key_id is 'Name of the metric.';
comment on column metric_points.step is 'Step.';
comment on column metric_points.timestamp is 'Milliseconds since 1970.';
comment on column metric_points.value is 'The value.';

-- Order of a run id as a number: 15 hexadecimal digits as they are, any other spelling by its first seven bytes, the same order as the text's for ids of one kind.
create function run_rank_of(run_id text) returns bigint
language sql immutable strict parallel safe
return case
  when run_id ~ '^[0-9a-f]{15}' then ('x0' || substr(run_id, 1, 15))::bit(64)::bigint
  else ('x00' || rpad(encode(substr(convert_to(run_id, 'UTF8'), 1, 7), 'hex'), 14, '0'))::bit(64)::bigint
end;
comment on function run_rank_of(text) is 'Order of a run id as a number, kept in runs.run_rank.';

-- A text as a number, null when it is none: params compared with a number literal.
create function number_of(value text) returns double precision
language plpgsql immutable strict parallel safe
as $$
begin
  if value !~ '^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$' then
    return null;
  end if;
  return value::double precision;
exception when others then
  return null;
end
$$;
comment on function number_of(text) is 'A text as a number, null when it is none.';

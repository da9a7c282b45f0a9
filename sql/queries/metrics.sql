-- name: metric_series
-- One series as of one moment: a row for each sealed chunk, in order, then a row for all hot points (chunk -1). $1 run id, $2 key, $3 axis (0 step, 1 time, 2 seconds since the first point), $4 and $5
-- the stretch of the axis that is asked for (null: no end), $6 buckets of a chart, $7 chunks wanted point by point (null: all).
-- state: 0 nothing (outside of the stretch), 1 summaries of blocks, 2 points. Blocks are for a chart whose buckets are wider than four of them.
with s as (
    select (select r.id from runs r where r.run_id = $1::text) as run
         , (select k.id from keys k where k.key = $2::text) as key_id
  )
, base as materialized (
    select case when $3::integer = 2 and ($4::double precision is not null or $5::double precision is not null) then
             least((select min(c.first_timestamp) from metric_chunks c where c.run = s.run and c.key_id = s.key_id), (select min(m.timestamp) from metrics m where m.run = s.run and m.key_id = s.key_id))
           end as first_time
      from s
  )
, c as (
    select x.*
         , case $3::integer when 0 then x.first_step::double precision when 1 then x.first_timestamp::double precision
           else (x.first_timestamp::double precision - coalesce(b.first_time, 0)::double precision) / 1000.0 end as x_first
         , case $3::integer when 0 then x.last_step::double precision when 1 then x.last_timestamp::double precision
           else (x.last_timestamp::double precision - coalesce(b.first_time, 0)::double precision) / 1000.0 end as x_last
      from metric_chunks x
     cross join base b
     where x.run = (select s.run from s)
       and x.key_id = (select s.key_id from s)
  )
, r as materialized (
    select coalesce(max(x_last), 0) as x_most, coalesce(min(x_first), 0) as x_least, coalesce(bool_and(times_rise), true) as rise
      from c
  )
, t as (
    select c.*
         , case
             when c.chunk = any ($7::integer[]) or ($3::integer <> 0 and not (c.times_rise and (r.rise or b.first_time is null))) then 2
             when c.x_last < $4::double precision or c.x_first > $5::double precision then 0
             when $7::integer[] is null or c.block_minimum is null or c.x_first < $4::double precision or c.x_last > $5::double precision then 2
             when (c.x_last - c.x_first) / c.points * 256 * $6::integer > least(r.x_most, coalesce($5::double precision, 'Infinity')) - greatest(r.x_least, coalesce($4::double precision, '-Infinity')) then 2
             else 1
           end as state
      from c
     cross join r
     cross join base b
  )
select t.chunk, t.state, t.points, t.first_step, t.last_step, t.first_timestamp, t.last_timestamp, t.step_by
     , case t.state when 2 then t.steps when 1 then t.block_steps end as steps
     , case t.state when 2 then t.timestamp_deltas end as deltas
     , case t.state when 2 then t.timestamps when 1 then t.block_timestamps end as timestamps
     , case t.state when 2 then t.values when 1 then t.block_last end as values
     , case t.state when 1 then t.block_numbers end as numbers
     , case t.state when 1 then t.block_minimum end as minimum
     , case t.state when 1 then t.block_maximum end as maximum
     , case t.state when 1 then t.block_total end as total
  from (select t.* from t order by t.first_step, t.first_timestamp, t.chunk) t
union all
select -1, 2, h.points::integer, 0, 0, 0, 0, null, h.steps, null, h.timestamps, h.values, null, null, null, null
  from (
         select count(*) as points, array_agg(o.step) as steps, array_agg(o.timestamp) as timestamps, array_agg(o.value) as values
           from (
                  select m.step, m.timestamp, m.value
                    from metrics m
                   where m.run = (select s.run from s)
                     and m.key_id = (select s.key_id from s)
                   order by m.step, m.timestamp, m.value
                ) o
       ) h
 where h.points > 0;

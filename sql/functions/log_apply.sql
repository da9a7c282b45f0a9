-- Moves what is in metric_log into metrics and latest_metrics, in the order it came, about `most` points at once: so long it keeps others waiting. With more = false everything is in them that was
-- committed before the call. Returns how many batches and points were moved, and the largest seq.
-- after: nothing at or below this seq can be in the table any more (the caller knows it from calls long ago), so that dead rows which a long report keeps from being vacuumed need not be looked at again.
-- The latest value: the largest (step, timestamp, value), NaN as 0; of equals the first to come.
-- Points are nearly always new and series known, and each step is the cheap one for that; only when it finds otherwise does it go the longer way.
-- unsettled, metrics, latest_metrics one after the other, as in log_write(), or the two could deadlock. One at a time. Its own commit need not reach the disk: lost, it is done again, and finds the same points.
create or replace function log_apply(after bigint, most integer default 2147483647, out batches bigint, out points bigint, out last bigint, out more boolean)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
set work_mem = '32MB'
as $$
declare
  v_run bigint[];
  v_key integer[];
  v_step bigint[];
  v_time bigint[];
  v_value double precision[];
  v_newest boolean[];
  v_series bigint;
  v_updated bigint;
begin
  perform pg_advisory_xact_lock(apply_lock());
  perform pg_advisory_xact_lock_shared(points_lock());
  perform set_config('synchronous_commit', 'off', true);
  with d as materialized (
      select l.seq, sum(cardinality(l.keys)) over (order by l.seq) - cardinality(l.keys) >= most as later
        from metric_log l
       where l.seq > after
    )
  , g as (delete from metric_log l using d where l.seq = d.seq and not d.later returning l.*)
  , p as (
      select g.runs[u.request] as run, u.key_id, u.step, u.timestamp, u.value, case when u.value = 'NaN' then 0 else u.value end as rank, g.seq, u.i
        from g, unnest(g.requests, g.keys, g.steps, g.timestamps, g.values) with ordinality as u(request, key_id, step, timestamp, value, i)
       where g.runs[u.request] <> 0
    )
  , q as (
      select p.*, lead(p.seq) over w is null as newest, (lead(p.step) over w, lead(p.timestamp) over w, lead(p.value) over w) is not distinct from (p.step, p.timestamp, p.value) as again
        from p
      window w as (partition by p.run, p.key_id order by p.step, p.timestamp, p.rank, p.seq desc, p.i desc)
    )
  select g.n, g.points, g.last, exists (select from d where d.later), q.series, q.run, q.key_id, q.step, q.timestamp, q.value, q.newest
    into batches, points, last, more, v_series, v_run, v_key, v_step, v_time, v_value, v_newest
    from (select count(*) as n, coalesce(sum(cardinality(g.keys)), 0) as points, max(g.seq) as last from g) g
       , (
           select count(*) filter (where q.newest) as series, array_agg(q.run) as run, array_agg(q.key_id) as key_id, array_agg(q.step) as step, array_agg(q.timestamp) as timestamp
                , array_agg(q.value) as value, array_agg(q.newest) as newest
             from q
            where not q.again
         ) q;
  if v_series = 0 then
    return;
  end if;

  insert into unsettled (run, experiment_id)
  select r.id, r.experiment_id
    from (select distinct p.run from unnest(v_run) as p(run)) p
    join runs r on r.id = p.run
   order by r.id
      on conflict do nothing;

  begin
    insert into metrics (run, key_id, step, timestamp, value)
    select p.run, p.key_id, p.step, p.time, p.value from unnest(v_run, v_key, v_step, v_time, v_value) as p(run, key_id, step, time, value);
  exception when unique_violation then
    insert into metrics (run, key_id, step, timestamp, value)
    select p.run, p.key_id, p.step, p.time, p.value from unnest(v_run, v_key, v_step, v_time, v_value) as p(run, key_id, step, time, value)
        on conflict do nothing;
  end;

  update latest_metrics l
     set value = n.value, step = n.step, timestamp = n.time
    from unnest(v_run, v_key, v_step, v_time, v_value, v_newest) as n(run, key_id, step, time, value, newest)
   where n.newest
     and l.run = n.run
     and l.key_id = n.key_id
     and (n.step, n.time, case when n.value = 'NaN' then 0 else n.value end) > (l.step, l.timestamp, case when l.value = 'NaN' then 0 else l.value end);
  get diagnostics v_updated = row_count;
  if v_updated < v_series then
    insert into latest_metrics as l (run, key_id, deleted, experiment_id, value, search_value, step, timestamp, start_time, run_rank)
    select n.run, n.key_id, r.lifecycle = 1, r.experiment_id, n.value, n.value, n.step, n.time, r.start_time, r.run_rank
      from unnest(v_run, v_key, v_step, v_time, v_value, v_newest) as n(run, key_id, step, time, value, newest)
      join runs r on r.id = n.run
     where n.newest
     order by n.run, n.key_id
        on conflict (run, key_id) do update
       set value = excluded.value, step = excluded.step, timestamp = excluded.timestamp
     where (excluded.step, excluded.timestamp, case when excluded.value = 'NaN' then 0 else excluded.value end)
         > (l.step, l.timestamp, case when l.value = 'NaN' then 0 else l.value end);
  end if;
end
$$;
comment on function log_apply(bigint, integer) is 'Moves logged points into metrics and latest_metrics; see the file.';

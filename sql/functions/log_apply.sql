-- Moves what is in metric_log into metrics and latest_metrics; what was committed before the call is in them when it has committed. Returns how many batches were moved, how many points, and the largest seq.
-- after: nothing at or below this seq can be in the table any more (the caller knows it from calls long ago), so that dead rows which a long report keeps from being vacuumed need not be looked at again.
-- The latest value: the largest (step, timestamp, value), NaN as 0; of equals the first to come.
-- unsettled, metrics, latest_metrics one after the other, as in log_write(), or the two could deadlock. One at a time. Its own commit need not reach the disk: lost, it is done again, and finds the same points.
create or replace function log_apply(after bigint, out batches bigint, out points bigint, out last bigint)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
set work_mem = '32MB'
as $$
begin
  perform pg_advisory_xact_lock(apply_lock());
  perform pg_advisory_xact_lock_shared(points_lock());
  perform set_config('synchronous_commit', 'off', true);
  with g as (delete from metric_log l where l.seq > after returning l.*)
  , p as materialized (
      select g.runs[u.request] as run, u.key_id, u.step, u.timestamp, u.value, g.seq, u.i
        from g, unnest(g.requests, g.keys, g.steps, g.timestamps, g.values) with ordinality as u(request, key_id, step, timestamp, value, i)
       where g.runs[u.request] <> 0
       order by 1, 2, 3, 4, (case when u.value = 'NaN' then 0 else u.value end), 6 desc, 7 desc
    )
  , r as materialized (
      select r.id, r.experiment_id, r.start_time, r.run_rank, r.lifecycle = 1 as deleted
        from (select distinct p.run from p) p
        join runs r on r.id = p.run
    )
  , s as (insert into unsettled (run, experiment_id) select r.id, r.experiment_id from r order by r.id on conflict do nothing returning run)
  , h as (
      insert into metrics (run, key_id, step, timestamp, value)
      select p.run, p.key_id, p.step, p.timestamp, p.value from p where (select count(*) from s) >= 0
          on conflict do nothing
      returning 1
    )
  , n as (
      insert into latest_metrics as l (run, key_id, deleted, experiment_id, value, search_value, step, timestamp, start_time, run_rank)
      select p.run, p.key_id, r.deleted, r.experiment_id, p.value, p.value, p.step, p.timestamp, r.start_time, r.run_rank
        from (
               select p.run, p.key_id, p.step, p.timestamp, p.value
                    , lead(1) over (partition by p.run, p.key_id order by p.step, p.timestamp, (case when p.value = 'NaN' then 0 else p.value end), p.seq desc, p.i desc) is null as newest
                 from p
             ) p
        join r on r.id = p.run
       where p.newest
         and (select count(*) from h) >= 0
       order by p.run, p.key_id
          on conflict (run, key_id) do update
         set value = excluded.value, step = excluded.step, timestamp = excluded.timestamp
       where (excluded.step, excluded.timestamp, case when excluded.value = 'NaN' then 0 else excluded.value end)
           > (l.step, l.timestamp, case when l.value = 'NaN' then 0 else l.value end)
    )
  select g.n, g.last, (select count(*) from p) into batches, last, points from (select count(*) as n, max(seq) as last from g) g;
end
$$;
comment on function log_apply(bigint) is 'Moves logged points into metrics and latest_metrics; see the file.';

-- Background work. Any worker may call run_jobs() at any time: an advisory lock lets one in, each step is small and leaves a whole state behind.

-- Seals one slice (at most 4096 points of one series) of the longest waiting run. Returns points sealed; -1 when a run was done or put off, 0 when nothing is due.
-- The exclusive advisory lock keeps writers of that run out until the commit; points that come later are hot rows again, readers merge both tiers.
create or replace function seal_slice(quiet interval) returns bigint
language plpgsql
as $$
declare
  v_run bigint;
  v_key integer;
  v_points bigint;
begin
  select q.run into v_run from seal_queue q where q.due <= now() order by q.due limit 1 for update skip locked;
  if v_run is null then
    return 0;
  end if;
  if exists (select from unsettled u where u.run = v_run) then
    update seal_queue q set due = now() + quiet where q.run = v_run;
    return -1;
  end if;
  if not pg_try_advisory_xact_lock(run_lock(v_run)) then
    update seal_queue q set due = now() + interval '1 minute' where q.run = v_run;
    return -1;
  end if;
  select l.key_id
    into v_key
    from latest_metrics l
   where l.run = v_run
     and exists (select from metrics m where m.run = v_run and m.key_id = l.key_id offset 63)
   order by l.key_id
   limit 1;
  if v_key is null then
    delete from seal_queue q where q.run = v_run;
    return -1;
  end if;
  with p as (
      select m.step, m.timestamp, m.value
        from metrics m
       where m.run = v_run
         and m.key_id = v_key
       order by m.step, m.timestamp, m.value
       limit 4096
    )
  , d as (
      select p.*, row_number() over w as i, p.step - lag(p.step) over w as step_by, p.timestamp - lag(p.timestamp) over w as delta
        from p
      window w as (order by p.step, p.timestamp, p.value)
    )
  , c as (
      select count(*) as points, min(step) as first_step, max(step) as last_step
           , case when count(distinct step_by) <= 1 then coalesce(min(step_by), 0) end as step_by
           , array_agg(step order by i) as steps
           , min(timestamp) filter (where i = 1) as first_timestamp
           , coalesce(max(abs(delta)), 0) <= 2147483647 as small
           , array_agg(coalesce(delta, 0) order by i) as deltas
           , array_agg(timestamp order by i) as timestamps
           , array_agg(value order by i) as values
        from d
    )
  , made as (
      insert into metric_chunks (run, key_id, chunk, points, first_step, last_step, step_by, steps, first_timestamp, timestamp_deltas, timestamps, values)
      select v_run, v_key, coalesce((select max(x.chunk) + 1 from metric_chunks x where x.run = v_run and x.key_id = v_key), 0)
           , c.points, c.first_step, c.last_step, c.step_by, case when c.step_by is null then c.steps end
           , c.first_timestamp, case when c.small then c.deltas::integer[] end, case when not c.small then c.timestamps end, c.values
        from c
    )
  , gone as (
      delete from metrics m
       using p
       where m.run = v_run
         and m.key_id = v_key
         and m.step = p.step
         and m.timestamp = p.timestamp
         and m.value = p.value
    )
  select c.points into v_points from c;
  return v_points;
end
$$;
comment on function seal_slice(interval) is 'Seals one slice of metric history; see the file.';

create or replace function run_jobs() returns bigint
language plpgsql
as $$
declare
  v_done bigint := 0;
  v_slice bigint;
  v_from timestamptz := clock_timestamp();
begin
  if not pg_try_advisory_xact_lock(78::bigint << 48) then
    return 0;
  end if;
  v_done := settle(null, interval '30 seconds');
  delete from repeats r where r.key in (select x.key from repeats x where x.created_at < now() - interval '10 minutes' order by x.created_at limit 1000);
  loop
    v_slice := seal_slice(interval '15 minutes');
    exit when v_slice = 0;
    v_done := v_done + abs(v_slice);
    exit when clock_timestamp() > v_from + interval '15 milliseconds';
  end loop;
  return v_done;
end
$$;
comment on function run_jobs() is 'Settles, forgets old repeats and seals, a little at a time. Returns how much was done.';

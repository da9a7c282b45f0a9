-- Brings search_value up to date for the experiments given (null: all), for runs unsettled longer than `age`. Returns the number of runs; -1: no run of any experiment is.
-- Nobody writes points meanwhile (points_lock()): a mark goes only when nobody is between setting it and committing. A run that was deleted or restored while its points were on their way gets its marks right here.
create or replace function settle(experiments bigint[], age interval) returns bigint
language plpgsql
as $$
declare
  v_runs bigint[];
begin
  if not exists (select from unsettled) then
    return -1;
  end if;
  /* Experiments nobody writes to need not wait for those who write elsewhere. */
  if not exists (select from unsettled u where experiments is null or u.experiment_id = any (experiments)) then
    return 0;
  end if;
  perform pg_advisory_xact_lock(points_lock());
  select array_agg(x.run order by x.run)
    into v_runs
    from (
           select u.run
             from unsettled u
            where (experiments is null or u.experiment_id = any (experiments))
              and u.since <= now() - age
            order by u.run
            limit 5000
         ) x;
  if v_runs is null then
    return 0;
  end if;
  delete from unsettled u where u.run = any (v_runs);
  update latest_metrics l
     set search_value = l.value, deleted = r.lifecycle = 1
    from runs r
   where l.run = any (v_runs)
     and r.id = l.run
     and (l.search_value <> l.value or l.deleted <> (r.lifecycle = 1));
  /* What was written to will be sealed once it has been quiet (seal_slice()). */
  insert into seal_queue (run, due)
  select r.run, now() + interval '15 minutes' from unnest(v_runs) as r(run) order by r.run
      on conflict do nothing;
  return cardinality(v_runs);
end
$$;
comment on function settle(bigint[], interval) is 'Brings search_value up to date; see the file.';

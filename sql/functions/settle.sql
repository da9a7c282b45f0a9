-- Brings search_value up to date for the experiments given (null: all), for runs unsettled longer than `age`. Returns the number of runs.
-- Safe against writers: log_write() holds a shared advisory lock on each run it writes to until its commit; here the exclusive one is taken first, so that a mark is removed only when nobody is
-- between reading it and committing. Both take their locks in order of the run.
create or replace function settle(experiments bigint[], age interval) returns bigint
language plpgsql
as $$
declare
  v_runs bigint[];
begin
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
  perform pg_advisory_xact_lock(run_lock(r.run)) from unnest(v_runs) as r(run);
  delete from unsettled u where u.run = any (v_runs);
  update latest_metrics l
     set search_value = l.value
   where l.run = any (v_runs)
     and l.search_value is distinct from l.value;
  /* What was written to will be sealed once it has been quiet (seal_slice()). */
  insert into seal_queue (run, due)
  select r.run, now() + interval '15 minutes' from unnest(v_runs) as r(run) order by r.run
      on conflict do nothing;
  return cardinality(v_runs);
end
$$;
comment on function settle(bigint[], interval) is 'Brings search_value up to date; see the file.';

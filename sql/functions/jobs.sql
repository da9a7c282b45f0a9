-- Background work. Any worker may call run_jobs() at any time: an advisory lock lets one in, each step is small and leaves a whole state behind.

create or replace function run_jobs() returns bigint
language plpgsql
as $$
declare
  v_done bigint := 0;
  v_slice bigint;
  v_forgotten bigint;
  v_from timestamptz := clock_timestamp();
begin
  if not pg_try_advisory_xact_lock(78::bigint << 48) then
    return 0;
  end if;
  delete from repeats r
   where r.key = any (array(
       select x.key
         from repeats x
        where x.created_at < now() - interval '2 minutes'
          and (x.answered_us is not null or x.created_at < now() - interval '10 minutes')
        order by x.created_at
        limit 2000));
  get diagnostics v_forgotten = row_count;
  v_done := v_done + case when v_forgotten = 2000 then v_forgotten else 0 end;
  /* Apart from sealing: settle() holds points_lock() until the commit, and log_apply() may wait for what a sealer holds. */
  if exists (select from unsettled u where u.since <= now() - interval '30 seconds') then
    return v_done + greatest(settle(null, interval '30 seconds'), 0);
  end if;
  v_done := v_done + seal_look();
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

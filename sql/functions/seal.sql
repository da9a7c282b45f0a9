-- Sealing: rows of metrics become chunks of arrays. Readers take both tiers and drop exact equals of (step, timestamp, value), so that nothing here needs to keep writers out: a point logged while its
-- equal is being sealed stays a hot row beside it, and goes at the next sealing. Sealers of one run keep each other out by seal_lock().

create or replace function seal_lock(run bigint) returns bigint
language sql immutable parallel safe
return (79::bigint << 48) | run;
comment on function seal_lock(bigint) is 'Key of the advisory lock that sealers of a run hold.';

-- Points in order of (step, timestamp, value), none equal to another, as chunks of at most 4096. The caller holds seal_lock(run).
create or replace function seal_write(v_run bigint, v_key integer, v_steps bigint[], v_timestamps bigint[], v_values double precision[]) returns void
language plpgsql
as $$
declare
  v_all integer := cardinality(v_steps);
  v_chunks integer := (v_all + 4095) / 4096;
  v_chunk integer := coalesce((select max(c.chunk) + 1 from metric_chunks c where c.run = v_run and c.key_id = v_key), 0);
  v_from integer := 1;
  v_to integer;
  n integer;
  s bigint[];
  t bigint[];
  v double precision[];
  v_by bigint;
  v_even boolean;
  v_deltas bigint[];
  v_rise boolean;
  v_wide boolean;
  v_numbers integer;
  v_minimum double precision;
  v_maximum double precision;
  v_total double precision;
  v_blocks boolean;
  v_block_steps bigint[];
  v_block_timestamps bigint[];
  v_block_numbers bigint[];
  v_block_minimum double precision[];
  v_block_maximum double precision[];
  v_block_total double precision[];
  v_block_last double precision[];
begin
  for i in 1 .. v_chunks loop
    v_to := (v_all::bigint * i / v_chunks)::integer;
    s := v_steps[v_from:v_to];
    t := v_timestamps[v_from:v_to];
    v := v_values[v_from:v_to];
    n := v_to - v_from + 1;
    v_from := v_to + 1;

    /* What cannot be worked out (differences beyond 64 bits, sums beyond a double) is left out. */
    v_by := 0;
    v_rise := true;
    v_wide := false;
    v_deltas := '{0}';
    if n > 1 then
      begin
        v_by := s[2] - s[1];
        select bool_and(u.step - u.step_before = v_by), array_agg(u.time - u.time_before), min(u.time - u.time_before) >= 0, max(abs(u.time - u.time_before)) > 2147483647
          into v_even, v_deltas, v_rise, v_wide
          from unnest(s[2:n], s[1:n-1], t[2:n], t[1:n-1]) as u(step, step_before, time, time_before);
        v_deltas := 0::bigint || v_deltas;
      exception when numeric_value_out_of_range then
        v_even := false;
        v_wide := true;
        select bool_and(u.time >= u.time_before) into v_rise from unnest(t[2:n], t[1:n-1]) as u(time, time_before);
      end;
      if not v_even then
        v_by := null;
      end if;
    end if;

    begin
      select array_agg(s[x.block * 64 + 1]), array_agg(t[x.block * 64 + 1]), array_agg(x.numbers), array_agg(coalesce(x.minimum, 'NaN')), array_agg(coalesce(x.maximum, 'NaN'))
           , array_agg(coalesce(x.total, 0)), array_agg(v[least(x.block * 64 + 64, n)]), sum(x.numbers), min(x.minimum), max(x.maximum), coalesce(sum(x.total), 0)
        into v_block_steps, v_block_timestamps, v_block_numbers, v_block_minimum, v_block_maximum, v_block_total, v_block_last, v_numbers, v_minimum, v_maximum, v_total
        from (
               select (u.i - 1) / 64 as block
                    , count(u.number) as numbers
                    , min(u.number) as minimum
                    , max(u.number) as maximum
                    , sum(u.number) as total
                 from (select nullif(w.x, 'NaN') as number, w.i::integer as i from unnest(v) with ordinality as w(x, i)) u
                group by 1
                order by 1
             ) x;
    exception when numeric_value_out_of_range then
      v_total := null;
      select count(u.number), min(u.number), max(u.number) into v_numbers, v_minimum, v_maximum from (select nullif(w.x, 'NaN') as number from unnest(v) as w(x)) u;
    end;
    /* Sums of blocks are to be added up without overflow; where a NaN is among points of one step and time, readers order it otherwise (MLflow's NaN is a 0): no blocks in either case. */
    if v_total is not null and greatest(-v_minimum, v_maximum) > 1e300 then
      v_total := null;
    end if;
    v_blocks := v_total is not null;
    if v_blocks and v_numbers < n then
      v_blocks := not exists (
        select
          from unnest(s[2:n], s[1:n-1], t[2:n], t[1:n-1], v[2:n]) as u(step, step_before, time, time_before, value)
         where u.value = 'NaN'
           and u.step = u.step_before
           and u.time = u.time_before
      );
    end if;

    insert into metric_chunks (
      run, key_id, chunk, points, first_step, last_step, step_by, steps, first_timestamp, last_timestamp, times_rise, timestamp_deltas, timestamps, values
    , numbers, minimum, maximum, total, block_steps, block_timestamps, block_numbers, block_minimum, block_maximum, block_total, block_last
    ) values (
      v_run, v_key, v_chunk, n, s[1], s[n], v_by, case when v_by is null then s end, t[1], t[n], v_rise
    , case when not v_wide then v_deltas::integer[] end, case when v_wide then t end, v
    , v_numbers, v_minimum, v_maximum, v_total
    , case when v_blocks and v_by is null then v_block_steps end
    , case when v_blocks then v_block_timestamps end
    , case when v_blocks and v_numbers < n then v_block_numbers::smallint[] end
    , case when v_blocks then v_block_minimum end
    , case when v_blocks then v_block_maximum end
    , case when v_blocks then v_block_total end
    , case when v_blocks then v_block_last end
    );
    v_chunk := v_chunk + 1;
  end loop;
end
$$;
comment on function seal_write(bigint, integer, bigint[], bigint[], double precision[]) is 'Writes sorted points of a series as chunks; see the file.';

-- Points of one series straight into the sealed tier: for whoever holds many of them at once. In any order, equals among them are dropped. Nothing is compared with what is stored: a point that is there
-- already, hot or sealed, is there twice until the background has put the series in order (it is asked to when the new points do not all come after the sealed ones); readers drop equals. Costs about
-- 3 us a point and 0.3 ms a call: worth it from some 200 points of one series. Takes seal_lock(run), until the commit: call for several runs in order of the run.
create or replace function seal_points(run bigint, key_id integer, steps bigint[], timestamps bigint[], "values" double precision[]) returns void
language plpgsql
as $$
declare
  v_steps bigint[];
  v_timestamps bigint[];
  v_values double precision[];
begin
  if coalesce(cardinality(seal_points.steps), 0) = 0 then
    return;
  end if;
  perform pg_advisory_xact_lock(seal_lock(seal_points.run));
  select array_agg(p.step), array_agg(p.time), array_agg(p.value)
    into v_steps, v_timestamps, v_values
    from (
           select distinct on (u.step, u.time, u.value) u.step, u.time, u.value
             from unnest(seal_points.steps, seal_points.timestamps, seal_points."values") as u(step, time, value)
            order by u.step, u.time, u.value
         ) p;
  if exists (select from metric_chunks c where c.run = seal_points.run and c.key_id = seal_points.key_id and (c.last_step, c.last_timestamp) >= (v_steps[1], v_timestamps[1])) then
    insert into seal_soon (run, key_id) values (seal_points.run, seal_points.key_id) on conflict do nothing;
  end if;
  perform seal_write(seal_points.run, seal_points.key_id, v_steps, v_timestamps, v_values);
  insert into seal_queue (run, due) values (seal_points.run, now() + interval '15 minutes') on conflict do nothing;
end
$$;
comment on function seal_points(bigint, integer, bigint[], bigint[], double precision[]) is 'Writes points of one series straight into the sealed tier; see the file.';

-- The points of some chunks of one series.
create or replace function seal_read(v_run bigint, v_key integer, v_chunks integer[]) returns table (step bigint, "timestamp" bigint, value double precision)
language sql stable
as $$
select coalesce(c.steps[p.i], c.first_step + (p.i - 1) * c.step_by)
     , coalesce(c.timestamps[p.i], p.time)
     , c.values[p.i]
  from metric_chunks c
 cross join lateral (
         select u.i::integer as i, c.first_timestamp + sum(coalesce(u.delta, 0)) over (order by u.i) as time
           from unnest(coalesce(c.timestamp_deltas, array_fill(0, array[c.points]))) with ordinality as u(delta, i)
       ) p
 where c.run = v_run
   and c.key_id = v_key
   and c.chunk = any (v_chunks);
$$;
comment on function seal_read(bigint, integer, integer[]) is 'The points of some chunks of one series.';

-- Seals up to 8192 hot points of a series, the first ones from v_from on, but never the newest v_keep. Returns how many, and the step to go on from. They stay within one chunk that they fall into, and are
-- merged with it, or between two; a chunk just before them is taken along while it is small, so that a series sealed in little bits ends up in large chunks.
create or replace function seal_some(v_run bigint, v_key integer, v_keep integer, v_from bigint, out sealed bigint, out upto bigint)
language plpgsql
set enable_seqscan = off
as $$
declare
  v_least record;
  v_newest record;
  v_last record;
  v_chunk record;
  v_upto_step bigint := 9223372036854775807;
  v_upto_time bigint := 9223372036854775807;
  v_merge integer[] := '{}';
  v_steps bigint[];
  v_timestamps bigint[];
  v_values double precision[];
begin
  sealed := 0;
  upto := v_from;
  select m.step, m.timestamp, m.value into v_newest from metrics m where m.run = v_run and m.key_id = v_key and m.step >= v_from order by m.step desc, m.timestamp desc, m.value desc offset v_keep limit 1;
  if not found then
    return;
  end if;
  select m.step, m.timestamp into v_least from metrics m where m.run = v_run and m.key_id = v_key and m.step >= v_from order by m.step, m.timestamp, m.value limit 1;
  select c.chunk, c.first_step, c.first_timestamp, c.last_step, c.last_timestamp
    into v_chunk
    from metric_chunks c
   where c.run = v_run
     and c.key_id = v_key
     and (c.last_step, c.last_timestamp) >= (v_least.step, v_least.timestamp)
   order by c.last_step, c.last_timestamp
   limit 1;
  if not found then
    null;
  elsif (v_chunk.first_step, v_chunk.first_timestamp) <= (v_least.step, v_least.timestamp) then
    v_merge := array[v_chunk.chunk];
    v_upto_step := v_chunk.last_step;
    v_upto_time := v_chunk.last_timestamp;
  elsif v_chunk.first_timestamp > -9223372036854775808 then
    v_upto_step := v_chunk.first_step;
    v_upto_time := v_chunk.first_timestamp - 1;
  else
    v_upto_step := v_chunk.first_step - 1;
  end if;
  select p.step, p.timestamp, p.value, p.n
    into v_last
    from (
           select l.step, l.timestamp, l.value, count(*) over () as n
             from (
                    select m.step, m.timestamp, m.value
                      from metrics m
                     where m.run = v_run
                       and m.key_id = v_key
                       and m.step >= v_from
                       and (m.step, m.timestamp) <= (v_upto_step, v_upto_time)
                       and (m.step, m.timestamp, m.value) <= (v_newest.step, v_newest.timestamp, v_newest.value)
                     order by m.step, m.timestamp, m.value
                     limit 8192
                  ) l
         ) p
   order by p.step desc, p.timestamp desc, p.value desc
   limit 1;
  if not found then
    return;
  end if;
  if v_merge = '{}' then
    select c.chunk, c.points
      into v_chunk
      from metric_chunks c
     where c.run = v_run
       and c.key_id = v_key
       and (c.last_step, c.last_timestamp) < (v_least.step, v_least.timestamp)
     order by c.last_step desc, c.last_timestamp desc
     limit 1;
    if found and (v_chunk.points < 2048 or v_last.n < 512) then
      v_merge := array[v_chunk.chunk];
    end if;
  end if;
  with gone as (
      delete from metrics m
       where m.run = v_run
         and m.key_id = v_key
         and m.step >= v_from
         and (m.step, m.timestamp, m.value) <= (v_last.step, v_last.timestamp, v_last.value)
      returning m.step, m.timestamp, m.value
    )
  select array_agg(p.step), array_agg(p.timestamp), array_agg(p.value)
    into v_steps, v_timestamps, v_values
    from (
           select distinct on (x.step, x.timestamp, x.value) x.step, x.timestamp, x.value
             from (
                    select g.step, g.timestamp, g.value from gone g
                    union all
                    select r.step, r.timestamp, r.value from seal_read(v_run, v_key, v_merge) r
                  ) x
            order by x.step, x.timestamp, x.value
         ) p;
  delete from metric_chunks c where c.run = v_run and c.key_id = v_key and c.chunk = any (v_merge);
  perform seal_write(v_run, v_key, v_steps, v_timestamps, v_values);
  sealed := v_last.n;
  upto := v_last.step;
end
$$;
comment on function seal_some(bigint, integer, integer, bigint) is 'Seals a few thousand hot points of a series; see the file.';

-- Rewrites one group of neighbouring chunks of a series that overlap, or (v_small) would fit into one. Returns points rewritten; 0: the series is in order.
create or replace function seal_order(v_run bigint, v_key integer, v_small boolean) returns bigint
language plpgsql
set enable_seqscan = off
as $$
declare
  c record;
  v_group integer[] := '{}';
  v_points bigint := 0;
  v_overlaps boolean := false;
  v_end_step bigint;
  v_end_time bigint;
  v_steps bigint[];
  v_timestamps bigint[];
  v_values double precision[];
begin
  for c in
    select x.chunk, x.points, x.first_step, x.first_timestamp, x.last_step, x.last_timestamp
      from metric_chunks x
     where x.run = v_run
       and x.key_id = v_key
     order by x.first_step, x.first_timestamp, x.chunk
  loop
    if v_group <> '{}' and (c.first_step, c.first_timestamp) < (v_end_step, v_end_time) then
      v_overlaps := true;
    elsif v_group <> '{}' and (not v_small or v_overlaps or v_points + c.points > 4096) then
      exit when v_overlaps or cardinality(v_group) > 1;
      v_group := '{}';
      v_points := 0;
    end if;
    if v_group = '{}' or (c.last_step, c.last_timestamp) > (v_end_step, v_end_time) then
      v_end_step := c.last_step;
      v_end_time := c.last_timestamp;
    end if;
    v_group := v_group || c.chunk;
    v_points := v_points + c.points;
    exit when v_points > 16384;
  end loop;
  if cardinality(v_group) < 2 then
    return 0;
  end if;
  select array_agg(p.step), array_agg(p.timestamp), array_agg(p.value)
    into v_steps, v_timestamps, v_values
    from (
           select distinct on (r.step, r.timestamp, r.value) r.step, r.timestamp, r.value
             from seal_read(v_run, v_key, v_group) r
            order by r.step, r.timestamp, r.value
         ) p;
  delete from metric_chunks x where x.run = v_run and x.key_id = v_key and x.chunk = any (v_group);
  perform seal_write(v_run, v_key, v_steps, v_timestamps, v_values);
  return v_points;
end
$$;
comment on function seal_order(bigint, integer, boolean) is 'Puts a few chunks of a series in order; see the file.';

-- Looks for series that have grown long while their run is live, in a sample of the pages of metrics: a long series shows by its share. At most every 5 s, and only when some thousand rows have come.
create or replace function seal_look() returns bigint
language plpgsql
set enable_seqscan = off
as $$
declare
  v_inserted bigint := pg_stat_get_tuples_inserted('metrics'::regclass);
  v_share double precision;
  v_found bigint;
begin
  update seal_watch w
     set seen_at = now()
       , inserted = v_inserted
   where w.seen_at < now() - interval '5 seconds'
     and abs(v_inserted - w.inserted) > 4096;
  if not found then
    return 0;
  end if;
  v_share := least(1.0, 96.0 * 8192 / greatest(pg_relation_size('metrics'::regclass), 8192));
  insert into seal_soon (run, key_id)
  select s.run, s.key_id
    from (
           select m.run, m.key_id
             from metrics m tablesample system (v_share * 100)
            group by m.run, m.key_id
           having count(*) >= v_share * 4096
            order by count(*) desc
            limit 16
         ) s
   where exists (select from metrics m where m.run = s.run and m.key_id = s.key_id offset 8192)
      on conflict do nothing;
  get diagnostics v_found = row_count;
  return v_found;
end
$$;
comment on function seal_look() is 'Finds series that have grown long; see the file.';

-- One slice of sealing: a long series first, else the run that has waited longest. Returns points sealed; -1 when something was done or put off, 0 when nothing is due.
create or replace function seal_slice(quiet interval) returns bigint
language plpgsql
as $$
declare
  v_soon record;
  v_queue record;
  v_key integer;
  v_last integer;
  v_upto bigint;
  v_points bigint := 0;
begin
  select s.run, s.key_id, s.step into v_soon from seal_soon s limit 1 for update skip locked;
  if found then
    perform from runs r where r.id = v_soon.run for key share skip locked;
    if found and pg_try_advisory_xact_lock(seal_lock(v_soon.run)) then
      select p.sealed, p.upto into v_points, v_upto from seal_some(v_soon.run, v_soon.key_id, 4096, v_soon.step) p;
      if v_points > 0 then
        update seal_soon s set step = v_upto where s.run = v_soon.run and s.key_id = v_soon.key_id;
        return v_points;
      end if;
      v_points := seal_order(v_soon.run, v_soon.key_id, false);
    end if;
    if v_points > 0 then
      return v_points;
    end if;
    delete from seal_soon s where s.run = v_soon.run and s.key_id = v_soon.key_id;
    return -1;
  end if;

  select q.run, q.key_id, q.step, q.found into v_queue from seal_queue q where q.due <= now() order by q.due limit 1 for update skip locked;
  if not found then
    return 0;
  end if;
  /* A run that tallyd gc holds, or another sealer. */
  perform from runs r where r.id = v_queue.run for key share skip locked;
  if not found or not pg_try_advisory_xact_lock(seal_lock(v_queue.run)) then
    update seal_queue q set due = now() + interval '1 minute' where q.run = v_queue.run;
    return -1;
  end if;
  for v_key in
    select l.key_id from latest_metrics l where l.run = v_queue.run and l.key_id >= v_queue.key_id order by l.key_id limit 256
  loop
    v_last := v_key;
    v_upto := case when v_key = v_queue.key_id then v_queue.step else -9223372036854775808 end;
    if exists (select from metrics m where m.run = v_queue.run and m.key_id = v_key and m.step >= v_upto offset 63) then
      select p.sealed, p.upto into v_points, v_upto from seal_some(v_queue.run, v_key, 0, v_upto) p;
    else
      v_points := seal_order(v_queue.run, v_key, true);
    end if;
    if v_points > 0 then
      update seal_queue q set key_id = v_key, step = v_upto, found = true where q.run = v_queue.run;
      return v_points;
    end if;
  end loop;
  if v_last is not null then
    update seal_queue q set key_id = v_last + 1, step = -9223372036854775808 where q.run = v_queue.run;
  elsif v_queue.found then
    /* What came meanwhile. */
    update seal_queue q set key_id = 0, step = -9223372036854775808, found = false, due = now() + quiet where q.run = v_queue.run;
  else
    delete from seal_queue q where q.run = v_queue.run;
  end if;
  return -1;
end
$$;
comment on function seal_slice(interval) is 'Seals one slice of metric history; see the file.';

-- name: artifact_used
-- Counts an upload or a removal: $1 run id, $2 bytes and $3 files more or less, $4 until when a client may write past the server (ms since 1970; 0: it may not, null: it may have), $5 now.
-- What cannot be known, and what comes while the bucket is being asked or within a minute after, is asked of the bucket a minute later. No row for a run that is not ours.
insert into artifact_usage as u (run, bytes, files, approximate, updated_time, open_until, look_after)
select r.id, greatest($2::bigint, 0), greatest($3::bigint, 0), $4::bigint is distinct from 0, $5::bigint, coalesce($4::bigint, 0), case when $4::bigint is distinct from 0 then $5::bigint + 60000 end
  from runs r
 where r.run_id = $1::text
    on conflict (run) do update
   set bytes = greatest(u.bytes + $2::bigint, 0)
     , files = greatest(u.files + $3::bigint, 0)
     , approximate = u.approximate or excluded.approximate or u.looked_time > $5::bigint - 60000
     , updated_time = excluded.updated_time
     , open_until = greatest(u.open_until, excluded.open_until)
     , look_after = case when excluded.approximate or u.look_after is not null or u.looked_time > $5::bigint - 60000 then greatest(u.look_after + 1, $5::bigint + 60000) end;

-- name: artifact_model_used
-- The same of a logged model: $1 its id.
insert into model_usage as u (model, bytes, files, approximate, updated_time, open_until, look_after)
select l.id, greatest($2::bigint, 0), greatest($3::bigint, 0), $4::bigint is distinct from 0, $5::bigint, coalesce($4::bigint, 0), case when $4::bigint is distinct from 0 then $5::bigint + 60000 end
  from logged_models l
 where l.model_id = $1::text
    on conflict (model) do update
   set bytes = greatest(u.bytes + $2::bigint, 0)
     , files = greatest(u.files + $3::bigint, 0)
     , approximate = u.approximate or excluded.approximate or u.looked_time > $5::bigint - 60000
     , updated_time = excluded.updated_time
     , open_until = greatest(u.open_until, excluded.open_until)
     , look_after = case when excluded.approximate or u.look_after is not null or u.looked_time > $5::bigint - 60000 then greatest(u.look_after + 1, $5::bigint + 60000) end;

-- name: usage_claim
-- A few of the runs and models whose bucket is to be asked at $1 (now), held for ten minutes: a count that is lost is tried again.
with r as (
    update artifact_usage u
       set look_after = $1::bigint + 600000
     where u.run = any (array(select x.run from artifact_usage x where x.look_after <= $1::bigint order by x.look_after limit 16 for update skip locked))
    returning u.run, u.look_after
  )
, m as (
    update model_usage u
       set look_after = $1::bigint + 600000
     where u.model = any (array(select x.model from model_usage x where x.look_after <= $1::bigint order by x.look_after limit 16 for update skip locked))
    returning u.model, u.look_after
  )
select false as is_model, r.run as id, r.look_after, t.artifact_uri
  from r
  join runs t on t.id = r.run
 union all
select true, m.model, m.look_after, l.artifact_uri
  from m
  join logged_models l on l.id = m.model;

-- name: usage_counted
-- What the bucket has for the run $1, claimed at look_after $2: $3 bytes and $4 files, $5 now. Asked again when something came meanwhile, when the last signed address has expired, and
-- hourly while a run lasts that writes by itself.
update artifact_usage u
   set bytes = $3::bigint
     , files = $4::bigint
     , updated_time = $5::bigint
     , looked_time = $5::bigint
     , approximate = u.open_until > $5::bigint or u.look_after is distinct from $2::bigint
     , look_after = case when u.look_after is distinct from $2::bigint then u.look_after
                         when u.open_until = 9223372036854775807 then case when r.status in (1, 2) then $5::bigint + 3600000 end
                         when u.open_until > $5::bigint then u.open_until + 1000
                     end
  from runs r
 where u.run = $1::bigint
   and r.id = u.run;

-- name: usage_model_counted
-- The same for the logged model $1.
update model_usage u
   set bytes = $3::bigint
     , files = $4::bigint
     , updated_time = $5::bigint
     , looked_time = $5::bigint
     , approximate = u.open_until > $5::bigint or u.look_after is distinct from $2::bigint
     , look_after = case when u.look_after is distinct from $2::bigint then u.look_after
                         when u.open_until = 9223372036854775807 then case when l.status = 1 then $5::bigint + 3600000 end
                         when u.open_until > $5::bigint then u.open_until + 1000
                     end
  from logged_models l
 where u.model = $1::bigint
   and l.id = u.model;

-- name: usage_foreign
-- The artifacts of the run $1 lie in a bucket that is not the server's: nothing is known of them.
delete from artifact_usage u where u.run = $1::bigint and u.look_after = $2::bigint;

-- name: usage_model_foreign
-- The same for the logged model $1.
delete from model_usage u where u.model = $1::bigint and u.look_after = $2::bigint;

-- name: registered_model_create
select fail, registered_model from registered_model_create($1::bytea, $2::text, $3::text, $4::text, $5::bigint, $6::text::jsonb, $7::bigint);

-- name: registered_model_get
select registered_model_json(m) as registered_model from registered_models m where m.workspace = 'default' and m.name = $1::text;

-- name: registered_models_page
select registered_model_json(m) as registered_model
  from unnest($1::bigint[]) with ordinality as p(id, i)
  join registered_models m on m.id = p.id
 order by p.i;

-- name: registered_model_update
-- An absent description empties it, as MLflow does.
with m as (
    update registered_models x
       set description = coalesce($2::text, ''), deployment_job_id = coalesce($3::text, x.deployment_job_id), last_update_time = $4::bigint
     where x.workspace = 'default'
       and x.name = $1::text
    returning x.*
  )
select registered_model_json(row(m.*)::registered_models) as registered_model from m;

-- name: registered_model_rename
with m as (select x.id from registered_models x where x.workspace = 'default' and x.name = $1::text)
, taken as (select from registered_models x, m where x.workspace = 'default' and x.name = $2::text and x.id <> m.id)
, u as (
    update registered_models x
       set name = $2::text, last_update_time = $3::bigint
      from m
     where x.id = m.id
       and not exists (select from taken)
    returning x.*
  )
, v as (update model_versions x set last_update_time = $3::bigint from u where x.model = u.id and not x.deleted)
select case when exists (select from taken) then 'taken' end as fail
     , (select registered_model_json(row(u.*)::registered_models) from u) as registered_model
  from m;

-- name: registered_model_delete
with m as (delete from registered_models x where x.workspace = 'default' and x.name = $1::text returning x.id)
, q as (delete from repeats r using m where r.object = 'model:' || m.id or r.object like 'version:' || m.id || ':%')
select id as _id from m;

-- name: registered_model_set_tag
with m as (select x.id from registered_models x where x.workspace = 'default' and x.name = $1::text)
, t as (
    insert into registered_model_tags (model, key, value)
    select m.id, $2::text, coalesce($3::text, '') from m
        on conflict (model, key) do update set value = excluded.value
  )
select id as _id from m;

-- name: registered_model_delete_tag
with m as (select x.id from registered_models x where x.workspace = 'default' and x.name = $1::text)
, t as (delete from registered_model_tags t using m where t.model = m.id and t.key = $2::text)
select id as _id from m;

-- name: registered_model_set_alias
with m as (select x.id from registered_models x where x.workspace = 'default' and x.name = $1::text)
, v as (select v.version from model_versions v, m where v.model = m.id and v.version = $3::bigint and not v.deleted)
, a as (
    insert into registered_model_aliases (model, alias, version)
    select m.id, $2::text, v.version from m, v
        on conflict (model, alias) do update set version = excluded.version
  )
select case when not exists (select from m) or not exists (select from v) then 'no version' end as fail;

-- name: registered_model_delete_alias
with m as (select x.id from registered_models x where x.workspace = 'default' and x.name = $1::text)
, a as (delete from registered_model_aliases a using m where a.model = m.id and a.alias = $2::text)
select id as _id from m;

-- name: registered_model_get_alias
-- latest means the highest version.
with m as (select x.* from registered_models x where x.workspace = 'default' and x.name = $1::text)
, v as (
    select v.*
      from model_versions v, m
     where v.model = m.id
       and not v.deleted
       and v.version = case when lower($2::text) = 'latest' then (select max(y.version) from model_versions y where y.model = m.id and not y.deleted)
           else (select a.version from registered_model_aliases a where a.model = m.id and a.alias = $2::text) end
  )
select case when not exists (select from m) then 'no model' when not exists (select from v) then case when lower($2::text) = 'latest' then 'no latest' else 'no alias' end end as fail
     , (select model_version_json(row(m.*)::registered_models, row(v.*)::model_versions) from m, v) as model_version;

-- name: latest_versions
-- $2 stages as numbers; empty = all.
with m as (select x.* from registered_models x where x.workspace = 'default' and x.name = $1::text)
select m.id as _id, (
    select json_agg(model_version_json(row(m.*)::registered_models, row(v.*)::model_versions) order by v.version)
      from (
             select distinct on (x.stage) x.*
               from model_versions x
              where x.model = m.id
                and not x.deleted
                and (cardinality($2::integer[]) = 0 or x.stage = any ($2::integer[]))
              order by x.stage, x.version desc
           ) v
  ) as model_versions
  from m;

-- name: version_place
-- What a version's source may lean on: $1 run id, $2 logged model id, $3 name and $4 version or alias of another model's version.
select (select r.artifact_uri from runs r where r.run_id = $1::text) as run_uri
     , (select l.artifact_uri from logged_models l where l.model_id = $2::text and l.deleted_time is null) as model_uri
     , (select l.source_run_id from logged_models l where l.model_id = $2::text and l.deleted_time is null) as model_run
     , o.version::text as version, coalesce(nullif(o.storage_location, ''), o.source) as location, o.run_id, o.model_id
     , exists (select from registered_models m join registered_model_tags t on t.model = m.id where m.workspace = 'default' and m.name = $3::text and t.key = 'mlflow.prompt.is_prompt' and lower(t.value) = 'true') as is_prompt
     , exists (select from registered_models m where m.workspace = 'default' and m.name = $3::text) as is_model
  from (select 1) one
  left join lateral (
         select v.*
           from registered_models m
           join model_versions v on v.model = m.id and not v.deleted
          where m.workspace = 'default'
            and m.name = $3::text
            and (v.version::text = $4::text
                 or (left($4::text, 1) = '@' and v.version = (select a.version from registered_model_aliases a where a.model = m.id and a.alias = substr($4::text, 2)))
                 or (lower($4::text) = 'latest' and v.version = (select max(y.version) from model_versions y where y.model = m.id and not y.deleted))
                 or (stage_name(v.stage) = initcap($4::text) and v.version = (select max(y.version) from model_versions y where y.model = m.id and y.stage = v.stage and not y.deleted)))
          order by v.version desc
          limit 1
       ) o on true;

-- name: model_version_create
select fail, model_version from model_version_create($1::bytea, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::bigint, $10::text::jsonb, $11::bigint);

-- name: model_version_get
select model_version_json(m, v) as model_version
  from registered_models m
  join model_versions v on v.model = m.id
 where m.workspace = 'default'
   and m.name = $1::text
   and v.version = $2::bigint
   and not v.deleted;

-- name: model_versions_page
-- Versions have no number of their own: a page carries (model << 31) | version.
select model_version_json(m, v) as model_version
  from unnest($1::bigint[]) with ordinality as p(id, i)
  join registered_models m on m.id = p.id >> 31
  join model_versions v on v.model = m.id and v.version = (p.id & 2147483647)
 order by p.i;

-- name: model_version_update
with v as (
    update model_versions v
       set description = $3::text, last_update_time = $4::bigint
      from registered_models m
     where m.workspace = 'default'
       and m.name = $1::text
       and v.model = m.id
       and v.version = $2::bigint
       and not v.deleted
    returning v.*
  )
select model_version_json(m, row(v.*)::model_versions) as model_version from v join registered_models m on m.id = v.model;

-- name: model_version_delete
with v as (
    update model_versions v
       set deleted = true, stage = 0, description = null, user_id = null, source = 'REDACTED-SOURCE-PATH', storage_location = null, run_id = 'REDACTED-RUN-ID', run_link = 'REDACTED-RUN-LINK', last_update_time = $3::bigint
      from registered_models m
     where m.workspace = 'default'
       and m.name = $1::text
       and v.model = m.id
       and v.version = $2::bigint
       and not v.deleted
    returning v.model, v.version
  )
, a as (delete from registered_model_aliases a using v where a.model = v.model and a.version = v.version)
, m as (update registered_models m set last_update_time = $3::bigint from v where m.id = v.model)
, q as (delete from repeats r using v where r.object = 'version:' || v.model || ':' || v.version)
select v.model as _model from v;

-- name: model_version_set_tag
with v as (
    select v.model, v.version
      from registered_models m
      join model_versions v on v.model = m.id
     where m.workspace = 'default'
       and m.name = $1::text
       and v.version = $2::bigint
       and not v.deleted
  )
, t as (
    insert into model_version_tags (model, version, key, value)
    select v.model, v.version, $3::text, coalesce($4::text, '') from v
        on conflict (model, version, key) do update set value = excluded.value
  )
select v.model as _model from v;

-- name: model_version_delete_tag
with v as (
    select v.model, v.version
      from registered_models m
      join model_versions v on v.model = m.id
     where m.workspace = 'default'
       and m.name = $1::text
       and v.version = $2::bigint
       and not v.deleted
  )
, t as (delete from model_version_tags t using v where t.model = v.model and t.version = v.version and t.key = $3::text)
select v.model as _model from v;

-- name: model_version_stage
select fail, version_json as model_version from model_version_stage($1::text, $2::bigint::integer, $3::integer::smallint, $4::boolean, $5::bigint);

-- name: model_version_location
-- For download URIs: as the client gave it.
select coalesce(nullif(v.storage_location, ''), v.source) as artifact_uri
  from registered_models m
  join model_versions v on v.model = m.id
 where m.workspace = 'default'
   and m.name = $1::text
   and v.version = $2::bigint
   and not v.deleted;

-- name: model_version_files
-- Where this server finds a version's files: a source runs:/<run id>/<path> names a place below that run's.
select coalesce(rtrim(r.artifact_uri, '/') || regexp_replace(l.uri, '^runs:/+[^/]+', ''), l.uri) as artifact_uri
  from registered_models m
  join model_versions v on v.model = m.id
 cross join lateral (select coalesce(nullif(v.storage_location, ''), v.source) as uri) l
  left join runs r on r.run_id = substring(l.uri from '^runs:/+([^/]+)')
 where m.workspace = 'default'
   and m.name = $1::text
   and v.version = $2::bigint
   and not v.deleted;

-- name: logged_model_create
select fail, model from logged_model_create($1::bytea, $2::text, $3::bigint, $4::text, $5::text, $6::text, $7::bigint, $8::text::jsonb, $9::text::jsonb, $10::bigint);

-- name: logged_model_get
select logged_model_json(m) as model
  from logged_models m
 where m.model_id = $1::text
   and (m.deleted_time is null or coalesce($2::boolean, false));

-- name: logged_models_page
select logged_model_json(m) as model
  from unnest($1::bigint[]) with ordinality as p(id, i)
  join logged_models m on m.id = p.id
 order by p.i;

-- name: logged_model_finalize
with m as (
    update logged_models x
       set status = $2::integer, last_update_time = $3::bigint
     where x.model_id = $1::text
       and x.deleted_time is null
    returning x.*
  )
select logged_model_json(row(m.*)::logged_models) as model from m;

-- name: logged_model_delete
-- A second delete changes nothing and is no error: clients repeat what was not answered.
with m as (select x.id, x.model_id from logged_models x where x.model_id = $1::text)
, u as (
    update logged_models x
       set deleted_time = $2::bigint, last_update_time = $2::bigint
      from m
     where x.id = m.id
       and x.deleted_time is null
  )
, q as (delete from repeats r using m where r.object = 'logged:' || m.model_id)
select id as _id from m;

-- name: logged_model_set_tags
with m as (select x.* from logged_models x where x.model_id = $1::text and x.deleted_time is null)
, given as (
    select distinct on (t.tag ->> 'key') t.tag ->> 'key' as key, coalesce(t.tag ->> 'value', '') as value
      from jsonb_array_elements($2::text::jsonb) with ordinality as t(tag, i)
     order by t.tag ->> 'key', t.i desc
  )
, t as (
    insert into logged_model_tags (model, key, value)
    select m.id, g.key, g.value from m, given g
        on conflict (model, key) do update set value = excluded.value
  )
select m.model_id as _id from m;

-- name: logged_model_delete_tag
with m as (select x.id from logged_models x where x.model_id = $1::text and x.deleted_time is null)
, t as (delete from logged_model_tags t using m where t.model = m.id and t.key = $2::text returning 1)
select case when not exists (select from t) then 'no tag' end as fail from m;

-- name: logged_model_log_params
with m as (select x.id from logged_models x where x.model_id = $1::text and x.deleted_time is null)
, p as (
    insert into logged_model_params (model, key, value)
    select m.id, p ->> 'key', coalesce(p ->> 'value', '') from m, jsonb_array_elements($2::text::jsonb) p
  )
select m.id as _id from m;

-- name: logged_model_place
-- Where a logged model's artifacts lie.
select l.artifact_uri, l.id as _id from logged_models l where l.model_id = $1::text and l.deleted_time is null;

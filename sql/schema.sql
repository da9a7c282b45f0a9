-- Made by tools/schema.sh from the migrations and functions; to read, not to run. schema `report` is in sql/report.

CREATE FUNCTION public.apply_lock() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((80)::bigint << 48) | (1)::bigint);

COMMENT ON FUNCTION public.apply_lock() IS 'Key of the advisory lock of log_apply().';

CREATE FUNCTION public.double_json(v double precision) RETURNS json
    LANGUAGE sql IMMUTABLE
    RETURN (CASE WHEN (v = 'NaN'::double precision) THEN '"NaN"'::text WHEN (abs(v) = 'Infinity'::double precision) THEN ((sign(v) * ('179769313486231570000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision))::text WHEN ((v)::text ~ '^-?[0-9]+$'::text) THEN ((v)::text || '.0'::text) ELSE (v)::text END)::json;

COMMENT ON FUNCTION public.double_json(v double precision) IS 'A double as MLflow writes it: NaN as text, infinities clamped, whole numbers with a fraction.';

CREATE FUNCTION public.experiment_create(repeat_key bytea, new_name text, location text, root text, now_ms bigint, tags jsonb, arrived bigint, OUT fail text, OUT experiment_id text) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
declare
  v_id bigint;
  v_first text := repeat_of(repeat_key, arrived, '');
begin
  if v_first is not null then
    select e.id::text into experiment_id from experiments e where e.id = nullif(split_part(v_first, ':', 2), '')::bigint;
    if found then
      return;
    end if;
  end if;
  insert into experiments (name, artifact_location, creation_time, last_update_time)
  values (new_name, coalesce(location, ''), now_ms, now_ms)
      on conflict do nothing
  returning id into v_id;
  if v_id is null then
    delete from repeats where key = repeat_key;
    fail := 'exists';
    return;
  end if;
  if location is null or location = '' then
    update experiments set artifact_location = location_join(root, v_id::text) where id = v_id;
  end if;
  insert into experiment_tags (experiment_id, key, value)
  select distinct on (t.tag ->> 'key') v_id, t.tag ->> 'key', coalesce(t.tag ->> 'value', '')
    from jsonb_array_elements(tags) with ordinality as t(tag, i)
   order by t.tag ->> 'key', t.i desc;
  update repeats set object = 'experiment:' || v_id, created_at = now() where key = repeat_key;
  experiment_id := v_id::text;
end
$$;

COMMENT ON FUNCTION public.experiment_create(repeat_key bytea, new_name text, location text, root text, now_ms bigint, tags jsonb, arrived bigint, OUT fail text, OUT experiment_id text) IS 'Creates an experiment or, for a repeated request, finds the first one.';

CREATE TABLE public.experiment_tags (
    experiment_id bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL
);

COMMENT ON TABLE public.experiment_tags IS 'Tags of experiments.';

COMMENT ON COLUMN public.experiment_tags.experiment_id IS 'The experiment.';

COMMENT ON COLUMN public.experiment_tags.key IS 'Name of the tag.';

COMMENT ON COLUMN public.experiment_tags.value IS 'Its text.';

CREATE TABLE public.experiments (
    id bigint NOT NULL,
    workspace text DEFAULT 'default'::text NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    artifact_location text NOT NULL,
    store_id integer,
    creation_time bigint NOT NULL,
    last_update_time bigint NOT NULL,
    deleted_time bigint
);

COMMENT ON TABLE public.experiments IS 'Experiments. 0 is Default.';

COMMENT ON COLUMN public.experiments.id IS 'The experiment''s number, on the wire as text.';

COMMENT ON COLUMN public.experiments.workspace IS 'Always default: other workspaces are refused.';

COMMENT ON COLUMN public.experiments.name IS 'Unique among active and deleted experiments.';

COMMENT ON COLUMN public.experiments.artifact_location IS 'URI under which the artifacts of new runs lie.';

COMMENT ON COLUMN public.experiments.store_id IS 'Store that mlflow-artifacts: locations of this experiment mean; null: the first one.';

COMMENT ON COLUMN public.experiments.creation_time IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.experiments.last_update_time IS 'Milliseconds since 1970 of the last rename, delete or restore.';

COMMENT ON COLUMN public.experiments.deleted_time IS 'Milliseconds since 1970 of the deletion; null while active.';

CREATE FUNCTION public.experiment_json(e public.experiments) RETURNS json
    LANGUAGE sql STABLE
    RETURN json_strip_nulls(json_build_object('experiment_id', ((e).id)::text, 'name', (e).name, 'artifact_location', (e).artifact_location, 'lifecycle_stage', CASE WHEN ((e).deleted_time IS NULL) THEN 'active'::text ELSE 'deleted'::text END, 'last_update_time', (e).last_update_time, 'creation_time', (e).creation_time, 'workspace', (e).workspace, 'tags', (SELECT json_agg(json_build_object('key', t.key, 'value', t.value) ORDER BY t.key) AS json_agg FROM public.experiment_tags t WHERE (t.experiment_id = (experiment_json.e).id))));

COMMENT ON FUNCTION public.experiment_json(e public.experiments) IS 'An experiment as MLflow''s JSON.';

CREATE FUNCTION public.location_join(location text, path text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN (location ~ '\?'::text) THEN ((((rtrim(split_part(location, '?'::text, 1), '/'::text) || '/'::text) || path) || '?'::text) || substr(location, (strpos(location, '?'::text) + 1))) ELSE ((rtrim(location, '/'::text) || '/'::text) || path) END;

COMMENT ON FUNCTION public.location_join(location text, path text) IS 'A location with a path added before its query string.';

CREATE FUNCTION public.log_apply(after bigint, most integer DEFAULT 2147483647, OUT batches bigint, OUT points bigint, OUT last bigint, OUT more boolean) RETURNS record
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET work_mem TO '32MB'
    AS $$
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

COMMENT ON FUNCTION public.log_apply(after bigint, most integer, OUT batches bigint, OUT points bigint, OUT last bigint, OUT more boolean) IS 'Moves logged points into metrics and latest_metrics; see the file.';

CREATE FUNCTION public.log_write(r_run text[], m_req integer[], m_key integer[], m_step bigint[], m_time bigint[], m_value double precision[], l_req integer[], l_key integer[], l_step bigint[], l_time bigint[], l_value double precision[], m_short integer, g_req integer[], g_from integer[], g_to integer[], p_req integer[], p_key integer[], p_value text[], t_req integer[], t_key integer[], t_value text[], x_req integer[], x_model text[], x_key text[], x_step bigint[], x_time bigint[], x_value double precision[], x_dataset text[], x_digest text[]) RETURNS TABLE(req integer, problem integer, key_id integer, old text, new text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
declare
  v_id bigint[];
  v_experiment bigint[];
  v_start bigint[];
  v_rank bigint[];
  v_problem integer[];
  v_worst integer;
  v_series record;
begin
  select array_agg(x.id), array_agg(x.experiment_id), array_agg(x.start_time), array_agg(x.run_rank), array_agg(x.problem), max(x.problem)
    into v_id, v_experiment, v_start, v_rank, v_problem, v_worst
    from logged_runs(r_run) x;

  if cardinality(x_req) > 0 then
    return query
    select distinct on (x.req) x.req, 4, null::integer, null::text, x.model
      from unnest(x_req, x_model) as x(req, model)
     where v_problem[x.req] = 0
       and not exists (select from logged_models lm where lm.model_id = x.model);
    if found then
      select array_agg(case when c.req is null then v_problem[g.i] else 4 end order by g.i)
        into v_problem
        from generate_series(1, cardinality(r_run)) as g(i)
        left join (
               select distinct x.req
                 from unnest(x_req, x_model) as x(req, model)
                where not exists (select from logged_models lm where lm.model_id = x.model)
             ) c on c.req = g.i and v_problem[g.i] = 0;
      v_worst := 4;
    end if;
  end if;

  if cardinality(p_req) > 0 then
    return query
    select p.req, 3, p.key_id, s.value, p.value
      from unnest(p_req, p_key, p_value) as p(req, key_id, value)
      join params s on s.run = v_id[p.req] and s.key_id = p.key_id
     where s.value <> p.value
       and v_problem[p.req] = 0;
    if found then
      select array_agg(case when c.req is null then v_problem[g.i] else 3 end order by g.i)
        into v_problem
        from generate_series(1, cardinality(r_run)) as g(i)
        left join (
               select distinct p.req
                 from unnest(p_req, p_key, p_value) as p(req, key_id, value)
                 join params s on s.run = v_id[p.req] and s.key_id = p.key_id
                where s.value <> p.value
             ) c on c.req = g.i;
      v_worst := 3;
    end if;
    insert into params (run, key_id, experiment_id, start_time, run_rank, value)
    select distinct on (v_id[p.req], p.key_id) v_id[p.req], p.key_id, v_experiment[p.req], v_start[p.req], v_rank[p.req], p.value
      from unnest(p_req, p_key, p_value) as p(req, key_id, value)
     where v_problem[p.req] = 0
     order by v_id[p.req], p.key_id, p.req
        on conflict do nothing;
    perform from unnest(p_req, p_key, p_value) as p(req, key_id, value)
       join params s on s.run = v_id[p.req] and s.key_id = p.key_id
      where s.value <> p.value
        and v_problem[p.req] = 0;
    if found then
      raise exception 'params of one batch differ' using errcode = '40001';
    end if;
  end if;

  if cardinality(l_req) > 0 then
    perform pg_advisory_xact_lock_shared(points_lock());
    insert into unsettled (run, experiment_id)
    select distinct on (v_id[c.i]) v_id[c.i], v_experiment[c.i]
      from generate_subscripts(v_id, 1) as c(i)
     where v_problem[c.i] = 0
     order by v_id[c.i]
        on conflict do nothing;
    if m_short > 0 then
      insert into metrics (run, key_id, step, timestamp, value)
      select v_id[m.req], m.key_id, m.step, m.time, m.value
        from unnest(m_req[1:m_short], m_key[1:m_short], m_step[1:m_short], m_time[1:m_short], m_value[1:m_short]) as m(req, key_id, step, time, value)
       where v_problem[m.req] = 0
          on conflict do nothing;
    end if;
    for v_series in
      select v_id[g.req] as run, m_key[g.first] as key_id, g.first, g.last
        from unnest(g_req, g_from, g_to) as g(req, first, last)
       where v_problem[g.req] = 0
       order by 1, 2, 3
    loop
      perform seal_points(v_series.run, v_series.key_id, m_step[v_series.first:v_series.last], m_time[v_series.first:v_series.last], m_value[v_series.first:v_series.last]);
    end loop;
    insert into latest_metrics as l (run, key_id, experiment_id, value, search_value, step, timestamp, start_time, run_rank)
    select distinct on (v_id[c.req], c.key_id) v_id[c.req], c.key_id, v_experiment[c.req], c.value, c.value, c.step, c.time, v_start[c.req], v_rank[c.req]
      from unnest(l_req, l_key, l_step, l_time, l_value) as c(req, key_id, step, time, value)
     where v_problem[c.req] = 0
     order by v_id[c.req], c.key_id, c.step desc, c.time desc, (case when c.value = 'NaN' then 0 else c.value end) desc, c.req
        on conflict (run, key_id) do update
       set value = excluded.value, step = excluded.step, timestamp = excluded.timestamp
     where (excluded.step, excluded.timestamp, case when excluded.value = 'NaN' then 0 else excluded.value end)
         > (l.step, l.timestamp, case when l.value = 'NaN' then 0 else l.value end);
  elsif cardinality(m_req) > 0 then
    if v_worst > 0 then
      select array_agg(case when p.problem = 0 then r.id else 0 end order by r.i)
        into v_id
        from unnest(v_id) with ordinality as r(id, i)
        join unnest(v_problem) with ordinality as p(problem, i) on p.i = r.i;
    end if;
    insert into metric_log (runs, requests, keys, steps, timestamps, values) values (v_id, m_req, m_key, m_step, m_time, m_value);
  end if;

  if cardinality(x_req) > 0 then
    insert into logged_model_metrics (model, key, timestamp, step, run_id, value, dataset_name, dataset_digest)
    select lm.id, x.key, x.time, x.step, r_run[x.req], x.value, x.dataset, x.digest
      from unnest(x_req, x_model, x_key, x_step, x_time, x_value, x_dataset, x_digest) as x(req, model, key, step, time, value, dataset, digest)
      join logged_models lm on lm.model_id = x.model
     where v_problem[x.req] = 0
        on conflict do nothing;
  end if;

  if cardinality(t_req) > 0 then
    insert into tags as t (run, key_id, experiment_id, start_time, run_rank, value)
    select distinct on (v_id[n.req], n.key_id) v_id[n.req], n.key_id, v_experiment[n.req], v_start[n.req], v_rank[n.req], n.value
      from unnest(t_req, t_key, t_value) with ordinality as n(req, key_id, value, i)
     where v_problem[n.req] = 0
     order by v_id[n.req], n.key_id, n.i desc
        on conflict (run, key_id) do update set value = excluded.value
     where t.value is distinct from excluded.value;
    if 1 = any (t_key) then
      update runs r
         set name = n.value
        from (
               select distinct on (v_id[n.req]) v_id[n.req] as run, n.value
                 from unnest(t_req, t_key, t_value) with ordinality as n(req, key_id, value, i)
                where v_problem[n.req] = 0
                  and n.key_id = 1
                order by v_id[n.req], n.i desc
             ) n
       where r.id = n.run
         and r.name <> n.value;
    end if;
  end if;

  if v_worst > 0 then
    return query
    select p.i::integer, p.problem, null::integer, null::text, null::text
      from unnest(v_problem) with ordinality as p(problem, i)
     where p.problem in (1, 2);
  end if;
end
$$;

COMMENT ON FUNCTION public.log_write(r_run text[], m_req integer[], m_key integer[], m_step bigint[], m_time bigint[], m_value double precision[], l_req integer[], l_key integer[], l_step bigint[], l_time bigint[], l_value double precision[], m_short integer, g_req integer[], g_from integer[], g_to integer[], p_req integer[], p_key integer[], p_value text[], t_req integer[], t_key integer[], t_value text[], x_req integer[], x_model text[], x_key text[], x_step bigint[], x_time bigint[], x_value double precision[], x_dataset text[], x_digest text[]) IS 'One batch of logging; see the file.';

CREATE FUNCTION public.logged_model_create(repeat_key bytea, new_model_id text, experiment bigint, new_name text, new_type text, new_run text, now_ms bigint, params jsonb, tags jsonb, arrived bigint, OUT fail text, OUT model json) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
declare
  e experiments;
  v_id bigint;
  v_first text := repeat_of(repeat_key, arrived, 'logged:' || new_model_id);
begin
  if v_first is not null then
    select logged_model_json(l) into model from logged_models l where l.model_id = substr(v_first, 8);
    if found then
      return;
    end if;
    update repeats set object = 'logged:' || new_model_id, created_at = now() where key = repeat_key;
  end if;
  select x.* into e from experiments x where x.id = experiment for key share;
  if not found or e.deleted_time is not null then
    delete from repeats where key = repeat_key;
    fail := case when e.id is null then 'missing' else 'inactive' end;
    return;
  end if;
  insert into logged_models (model_id, experiment_id, name, artifact_uri, status, model_type, source_run_id, creation_time, last_update_time)
  values (new_model_id, experiment, new_name, location_join(e.artifact_location, 'models/' || new_model_id || '/artifacts'), 1, coalesce(new_type, ''), coalesce(new_run, ''), now_ms, now_ms)
  returning id into v_id;
  insert into logged_model_params (model, key, value)
  select v_id, p ->> 'key', coalesce(p ->> 'value', '') from jsonb_array_elements(params) p;
  insert into logged_model_tags (model, key, value)
  select distinct on (t.tag ->> 'key') v_id, t.tag ->> 'key', coalesce(t.tag ->> 'value', '')
    from jsonb_array_elements(tags) with ordinality as t(tag, i)
   order by t.tag ->> 'key', t.i desc;
  select logged_model_json(l) into model from logged_models l where l.id = v_id;
end
$$;

COMMENT ON FUNCTION public.logged_model_create(repeat_key bytea, new_model_id text, experiment bigint, new_name text, new_type text, new_run text, now_ms bigint, params jsonb, tags jsonb, arrived bigint, OUT fail text, OUT model json) IS 'Creates a logged model or, for a repeated request, finds the first one.';

CREATE TABLE public.logged_model_metrics (
    model bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    "timestamp" bigint NOT NULL,
    step bigint NOT NULL,
    run_id text NOT NULL COLLATE pg_catalog."C",
    value double precision NOT NULL,
    dataset_name text,
    dataset_digest text
);

COMMENT ON TABLE public.logged_model_metrics IS 'Metrics logged with a model_id.';

COMMENT ON COLUMN public.logged_model_metrics.model IS 'logged_models.id.';

COMMENT ON COLUMN public.logged_model_metrics.key IS 'Name.';

COMMENT ON COLUMN public.logged_model_metrics."timestamp" IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.logged_model_metrics.step IS 'Step.';

COMMENT ON COLUMN public.logged_model_metrics.run_id IS 'Run that logged it.';

COMMENT ON COLUMN public.logged_model_metrics.value IS 'The value.';

COMMENT ON COLUMN public.logged_model_metrics.dataset_name IS 'Dataset it was measured on.';

COMMENT ON COLUMN public.logged_model_metrics.dataset_digest IS 'Digest of that dataset.';

CREATE TABLE public.logged_model_params (
    model bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL COLLATE pg_catalog."C"
);

COMMENT ON TABLE public.logged_model_params IS 'Params of logged models.';

COMMENT ON COLUMN public.logged_model_params.model IS 'logged_models.id.';

COMMENT ON COLUMN public.logged_model_params.key IS 'Name.';

COMMENT ON COLUMN public.logged_model_params.value IS 'Text.';

CREATE TABLE public.logged_model_tags (
    model bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL COLLATE pg_catalog."C"
);

COMMENT ON TABLE public.logged_model_tags IS 'Tags of logged models.';

COMMENT ON COLUMN public.logged_model_tags.model IS 'logged_models.id.';

COMMENT ON COLUMN public.logged_model_tags.key IS 'Name.';

COMMENT ON COLUMN public.logged_model_tags.value IS 'Text.';

CREATE TABLE public.logged_models (
    id bigint NOT NULL,
    model_id text NOT NULL COLLATE pg_catalog."C",
    experiment_id bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    artifact_uri text NOT NULL,
    status smallint NOT NULL,
    status_message text,
    model_type text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    source_run_id text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    creation_time bigint NOT NULL,
    last_update_time bigint NOT NULL,
    deleted_time bigint
);

COMMENT ON TABLE public.logged_models IS 'Models logged by clients of MLflow 3.';

COMMENT ON COLUMN public.logged_models.id IS 'Identity inside the database.';

COMMENT ON COLUMN public.logged_models.model_id IS 'Id on the wire: m- and 32 hexadecimal digits.';

COMMENT ON COLUMN public.logged_models.experiment_id IS 'The experiment.';

COMMENT ON COLUMN public.logged_models.name IS 'Name; need not be unique.';

COMMENT ON COLUMN public.logged_models.artifact_uri IS 'Where the model''s files lie.';

COMMENT ON COLUMN public.logged_models.status IS '1 PENDING, 2 READY, 3 FAILED.';

COMMENT ON COLUMN public.logged_models.status_message IS 'Reason of a failure.';

COMMENT ON COLUMN public.logged_models.model_type IS 'Free word, e.g. Agent.';

COMMENT ON COLUMN public.logged_models.source_run_id IS 'Run that made it, or empty.';

COMMENT ON COLUMN public.logged_models.creation_time IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.logged_models.last_update_time IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.logged_models.deleted_time IS 'Milliseconds since 1970 of the deletion; null while active.';

CREATE FUNCTION public.logged_model_json(m public.logged_models) RETURNS json
    LANGUAGE sql STABLE
    RETURN json_build_object('info', json_strip_nulls(json_build_object('model_id', (m).model_id, 'experiment_id', ((m).experiment_id)::text, 'name', (m).name, 'creation_timestamp_ms', (m).creation_time, 'last_updated_timestamp_ms', (m).last_update_time, 'artifact_uri', (m).artifact_uri, 'status', (ARRAY['LOGGED_MODEL_PENDING'::text, 'LOGGED_MODEL_READY'::text, 'LOGGED_MODEL_UPLOAD_FAILED'::text])[(m).status], 'model_type', (m).model_type, 'source_run_id', (m).source_run_id, 'status_message', (m).status_message, 'tags', (SELECT json_agg(json_build_object('key', t.key, 'value', t.value) ORDER BY t.key) AS json_agg FROM public.logged_model_tags t WHERE (t.model = (logged_model_json.m).id)))), 'data', json_strip_nulls(json_build_object('params', (SELECT json_agg(json_build_object('key', p.key, 'value', p.value) ORDER BY p.key) AS json_agg FROM public.logged_model_params p WHERE (p.model = (logged_model_json.m).id)), 'metrics', (SELECT json_agg(json_build_object('key', x.key, 'value', public.double_json(x.value), 'timestamp', x."timestamp", 'step', x.step, 'dataset_name', x.dataset_name, 'dataset_digest', x.dataset_digest, 'model_id', (logged_model_json.m).model_id, 'run_id', x.run_id) ORDER BY x.key, x."timestamp", x.step) AS json_agg FROM public.logged_model_metrics x WHERE (x.model = (logged_model_json.m).id)))));

COMMENT ON FUNCTION public.logged_model_json(m public.logged_models) IS 'A logged model as MLflow''s JSON.';

CREATE FUNCTION public.logged_runs(run_ids text[]) RETURNS TABLE(id bigint, experiment_id bigint, start_time bigint, run_rank bigint, problem integer)
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
select coalesce(r.id, 0), r.experiment_id, r.start_time, r.run_rank
     , case when r.id is null then 1 when r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null) then 2 else 0 end
  from unnest(run_ids) with ordinality as n(run_id, i)
  left join lateral (select r.id, r.experiment_id, r.start_time, r.run_rank, r.lifecycle from runs r where r.run_id = n.run_id limit 1) r on true
  left join lateral (select e.deleted_time from experiments e where e.id = r.experiment_id limit 1) e on true
 order by n.i;
$$;

COMMENT ON FUNCTION public.logged_runs(run_ids text[]) IS 'The runs that requests name; see the file.';

CREATE FUNCTION public.model_version_create(repeat_key bytea, model_name text, new_source text, new_location text, new_run_id text, new_run_link text, new_description text, new_model_id text, now_ms bigint, tags jsonb, arrived bigint, OUT fail text, OUT model_version json) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
declare
  m registered_models;
  v_first text := repeat_of(repeat_key, arrived, '');
begin
  if v_first is not null then
    select model_version_json(r, v)
      into model_version
      from registered_models r
      join model_versions v on v.model = r.id
     where r.id = nullif(split_part(v_first, ':', 2), '')::bigint
       and v.version = split_part(v_first, ':', 3)::integer
       and not v.deleted;
    if found then
      return;
    end if;
  end if;
  update registered_models x
     set last_version = x.last_version + 1, last_update_time = now_ms
   where x.workspace = 'default'
     and x.name = model_name
  returning x.* into m;
  if not found then
    delete from repeats where key = repeat_key;
    fail := 'no model';
    return;
  end if;
  insert into model_versions (model, version, creation_time, last_update_time, description, source, storage_location, run_id, run_link, model_id)
  values (m.id, m.last_version, now_ms, now_ms, coalesce(new_description, ''), new_source, new_location, coalesce(new_run_id, ''), new_run_link, nullif(new_model_id, ''));
  insert into model_version_tags (model, version, key, value)
  select distinct on (t.tag ->> 'key') m.id, m.last_version, t.tag ->> 'key', coalesce(t.tag ->> 'value', '')
    from jsonb_array_elements(tags) with ordinality as t(tag, i)
   order by t.tag ->> 'key', t.i desc;
  if new_model_id <> '' then
    insert into logged_model_tags as t (model, key, value)
    select l.id, 'mlflow.modelVersions', jsonb_build_array(jsonb_build_object('name', model_name, 'version', m.last_version))::text
      from logged_models l
     where l.model_id = new_model_id
        on conflict (model, key) do update set value = (t.value::jsonb || jsonb_build_array(jsonb_build_object('name', model_name, 'version', m.last_version)))::text;
  end if;
  update repeats set object = 'version:' || m.id || ':' || m.last_version, created_at = now() where key = repeat_key;
  select model_version_json(m, v) into model_version from model_versions v where v.model = m.id and v.version = m.last_version;
end
$$;

COMMENT ON FUNCTION public.model_version_create(repeat_key bytea, model_name text, new_source text, new_location text, new_run_id text, new_run_link text, new_description text, new_model_id text, now_ms bigint, tags jsonb, arrived bigint, OUT fail text, OUT model_version json) IS 'Creates a model version or, for a repeated request, finds the first one.';

CREATE FUNCTION public.stage_name(stage smallint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ARRAY['None'::text, 'Staging'::text, 'Production'::text, 'Archived'::text])[(stage + 1)];

COMMENT ON FUNCTION public.stage_name(stage smallint) IS 'A stage''s word.';

CREATE TABLE public.model_version_tags (
    model bigint NOT NULL,
    version integer NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL COLLATE pg_catalog."C"
);

COMMENT ON TABLE public.model_version_tags IS 'Tags of model versions.';

COMMENT ON COLUMN public.model_version_tags.model IS 'registered_models.id.';

COMMENT ON COLUMN public.model_version_tags.version IS 'The version.';

COMMENT ON COLUMN public.model_version_tags.key IS 'Name.';

COMMENT ON COLUMN public.model_version_tags.value IS 'Text.';

CREATE TABLE public.model_versions (
    model bigint NOT NULL,
    version integer NOT NULL,
    creation_time bigint NOT NULL,
    last_update_time bigint NOT NULL,
    description text,
    user_id text,
    stage smallint DEFAULT 0 NOT NULL,
    source text,
    storage_location text,
    run_id text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    run_link text,
    model_id text COLLATE pg_catalog."C",
    status smallint DEFAULT 1 NOT NULL,
    status_message text,
    deleted boolean DEFAULT false NOT NULL
);

COMMENT ON TABLE public.model_versions IS 'Versions of registered models. A deleted one keeps its number.';

COMMENT ON COLUMN public.model_versions.model IS 'registered_models.id.';

COMMENT ON COLUMN public.model_versions.version IS 'Number, from 1, never reused.';

COMMENT ON COLUMN public.model_versions.creation_time IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.model_versions.last_update_time IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.model_versions.description IS 'Text; null when never given.';

COMMENT ON COLUMN public.model_versions.user_id IS 'User, when known.';

COMMENT ON COLUMN public.model_versions.stage IS '0 None, 1 Staging, 2 Production, 3 Archived.';

COMMENT ON COLUMN public.model_versions.source IS 'Where the model''s files lie, as the client said.';

COMMENT ON COLUMN public.model_versions.storage_location IS 'Resolved location when the source was models:/.';

COMMENT ON COLUMN public.model_versions.run_id IS 'Run it came from, or empty.';

COMMENT ON COLUMN public.model_versions.run_link IS 'Link to that run, as the client sent it.';

COMMENT ON COLUMN public.model_versions.model_id IS 'Logged model it came from.';

COMMENT ON COLUMN public.model_versions.status IS '1 READY (MLflow sets no other).';

COMMENT ON COLUMN public.model_versions.status_message IS 'Reason of a failure.';

COMMENT ON COLUMN public.model_versions.deleted IS 'True: answered as unknown.';

CREATE TABLE public.registered_model_aliases (
    model bigint NOT NULL,
    alias text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL
);

COMMENT ON TABLE public.registered_model_aliases IS 'Names for versions, e.g. champion.';

COMMENT ON COLUMN public.registered_model_aliases.model IS 'registered_models.id.';

COMMENT ON COLUMN public.registered_model_aliases.alias IS 'The alias.';

COMMENT ON COLUMN public.registered_model_aliases.version IS 'Version it points to.';

CREATE TABLE public.registered_models (
    id bigint NOT NULL,
    workspace text DEFAULT 'default'::text NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    description text,
    creation_time bigint NOT NULL,
    last_update_time bigint NOT NULL,
    last_version integer DEFAULT 0 NOT NULL,
    deployment_job_id text
);

COMMENT ON TABLE public.registered_models IS 'The model registry; prompts are models with the tag mlflow.prompt.is_prompt.';

COMMENT ON COLUMN public.registered_models.id IS 'Identity; versions, tags and aliases hang on it, so that a rename is one row.';

COMMENT ON COLUMN public.registered_models.workspace IS 'Always default.';

COMMENT ON COLUMN public.registered_models.name IS 'Name.';

COMMENT ON COLUMN public.registered_models.description IS 'Text; null when never given.';

COMMENT ON COLUMN public.registered_models.creation_time IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.registered_models.last_update_time IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.registered_models.last_version IS 'Highest version number ever given out.';

COMMENT ON COLUMN public.registered_models.deployment_job_id IS 'As the client sent it.';

CREATE FUNCTION public.model_version_json(m public.registered_models, v public.model_versions) RETURNS json
    LANGUAGE sql STABLE
    RETURN json_strip_nulls(json_build_object('name', (m).name, 'version', ((v).version)::text, 'creation_timestamp', (v).creation_time, 'last_updated_timestamp', (v).last_update_time, 'user_id', (v).user_id, 'current_stage', public.stage_name((v).stage), 'description', (v).description, 'source', (v).source, 'run_id', (v).run_id, 'status', 'READY', 'status_message', (v).status_message, 'run_link', COALESCE((v).run_link, ''::text), 'tags', (SELECT json_agg(json_build_object('key', t.key, 'value', t.value) ORDER BY t.key) AS json_agg FROM public.model_version_tags t WHERE ((t.model = (model_version_json.v).model) AND (t.version = (model_version_json.v).version))), 'aliases', (SELECT json_agg(a.alias ORDER BY a.alias) AS json_agg FROM public.registered_model_aliases a WHERE ((a.model = (model_version_json.v).model) AND (a.version = (model_version_json.v).version)))));

COMMENT ON FUNCTION public.model_version_json(m public.registered_models, v public.model_versions) IS 'A model version as MLflow''s JSON.';

CREATE FUNCTION public.model_version_stage(model_name text, model_version integer, new_stage smallint, archive boolean, now_ms bigint, OUT fail text, OUT version_json json) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
declare
  m registered_models;
  v model_versions;
begin
  update registered_models x
     set last_update_time = now_ms
   where x.workspace = 'default'
     and x.name = model_name
     and exists (select from model_versions y where y.model = x.id and y.version = model_version and not y.deleted)
  returning x.* into m;
  if not found then
    fail := 'no version';
    return;
  end if;
  if archive then
    update model_versions x
       set stage = 3, last_update_time = now_ms
     where x.model = m.id
       and x.version <> model_version
       and x.stage = new_stage
       and not x.deleted;
  end if;
  update model_versions x
     set stage = new_stage, last_update_time = now_ms
   where x.model = m.id
     and x.version = model_version
  returning x.* into v;
  version_json := model_version_json(m, v);
end
$$;

COMMENT ON FUNCTION public.model_version_stage(model_name text, model_version integer, new_stage smallint, archive boolean, now_ms bigint, OUT fail text, OUT version_json json) IS 'Moves a version to a stage; archive moves the others of that stage to Archived.';

CREATE FUNCTION public.number_of(value text) RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE STRICT
    AS $_$
begin
  if value !~ '^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$' then
    return null;
  end if;
  return value::double precision;
exception when others then
  return null;
end
$_$;

COMMENT ON FUNCTION public.number_of(value text) IS 'A text as a number, null when it is none.';

CREATE FUNCTION public.points_lock() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((80)::bigint << 48);

COMMENT ON FUNCTION public.points_lock() IS 'Key of the advisory lock between writers of points and those who change the marks beside them.';

CREATE FUNCTION public.registered_model_create(repeat_key bytea, new_name text, new_description text, new_job text, now_ms bigint, tags jsonb, arrived bigint, OUT fail text, OUT registered_model json) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
declare
  v_id bigint;
  v_first text := repeat_of(repeat_key, arrived, '');
begin
  if v_first is not null then
    select registered_model_json(m) into registered_model from registered_models m where m.id = nullif(split_part(v_first, ':', 2), '')::bigint;
    if found then
      return;
    end if;
  end if;
  insert into registered_models (name, description, deployment_job_id, creation_time, last_update_time)
  values (new_name, new_description, new_job, now_ms, now_ms)
      on conflict do nothing
  returning id into v_id;
  if v_id is null then
    delete from repeats where key = repeat_key;
    fail := case exists (
        select from registered_models m join registered_model_tags t on t.model = m.id
         where m.workspace = 'default' and m.name = new_name and t.key = 'mlflow.prompt.is_prompt' and lower(t.value) = 'true'
      )::text || exists (select from jsonb_array_elements(tags) t where t ->> 'key' = 'mlflow.prompt.is_prompt' and lower(t ->> 'value') = 'true')::text
      when 'truetrue' then 'prompt'
      when 'truefalse' then 'prompt exists'
      when 'falsetrue' then 'model exists'
      else 'exists' end;
    return;
  end if;
  insert into registered_model_tags (model, key, value)
  select distinct on (t.tag ->> 'key') v_id, t.tag ->> 'key', coalesce(t.tag ->> 'value', '')
    from jsonb_array_elements(tags) with ordinality as t(tag, i)
   order by t.tag ->> 'key', t.i desc;
  update repeats set object = 'model:' || v_id, created_at = now() where key = repeat_key;
  select registered_model_json(m) into registered_model from registered_models m where m.id = v_id;
end
$$;

COMMENT ON FUNCTION public.registered_model_create(repeat_key bytea, new_name text, new_description text, new_job text, now_ms bigint, tags jsonb, arrived bigint, OUT fail text, OUT registered_model json) IS 'Creates a registered model or, for a repeated request, finds the first one.';

CREATE TABLE public.registered_model_tags (
    model bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL COLLATE pg_catalog."C"
);

COMMENT ON TABLE public.registered_model_tags IS 'Tags of registered models.';

COMMENT ON COLUMN public.registered_model_tags.model IS 'registered_models.id.';

COMMENT ON COLUMN public.registered_model_tags.key IS 'Name.';

COMMENT ON COLUMN public.registered_model_tags.value IS 'Text.';

CREATE FUNCTION public.registered_model_json(m public.registered_models) RETURNS json
    LANGUAGE sql STABLE
    RETURN json_strip_nulls(json_build_object('name', (m).name, 'creation_timestamp', (m).creation_time, 'last_updated_timestamp', (m).last_update_time, 'description', NULLIF((m).description, ''::text), 'deployment_job_id', (m).deployment_job_id, 'latest_versions', (SELECT json_agg(public.model_version_json(registered_model_json.m, ROW(v.model, v.version, v.creation_time, v.last_update_time, v.description, v.user_id, v.stage, v.source, v.storage_location, v.run_id, v.run_link, v.model_id, v.status, v.status_message, v.deleted)) ORDER BY v.version) AS json_agg FROM (SELECT DISTINCT ON (x.stage) x.model, x.version, x.creation_time, x.last_update_time, x.description, x.user_id, x.stage, x.source, x.storage_location, x.run_id, x.run_link, x.model_id, x.status, x.status_message, x.deleted FROM public.model_versions x WHERE ((x.model = (registered_model_json.m).id) AND (NOT x.deleted)) ORDER BY x.stage, x.version DESC) v), 'tags', (SELECT json_agg(json_build_object('key', t.key, 'value', t.value) ORDER BY t.key) AS json_agg FROM public.registered_model_tags t WHERE (t.model = (registered_model_json.m).id)), 'aliases', (SELECT json_agg(json_build_object('alias', a.alias, 'version', (a.version)::text) ORDER BY a.alias) AS json_agg FROM public.registered_model_aliases a WHERE (a.model = (registered_model_json.m).id))));

COMMENT ON FUNCTION public.registered_model_json(m public.registered_models) IS 'A registered model as MLflow''s JSON.';

CREATE FUNCTION public.repeat_of(repeat_key bytea, arrived bigint, new_object text) RETURNS text
    LANGUAGE plpgsql
    AS $$
declare
  r repeats;
  v_arrived bigint := arrived >> 2;
  v_alone boolean := arrived & 1 = 1;
begin
  loop
    insert into repeats (key, object, reply) values (repeat_key, new_object, '') on conflict do nothing;
    if found then
      return null;
    end if;
    select x.* into r from repeats x where x.key = repeat_key for update;
    if found then
      if r.created_at > now() - interval '10 minutes' then
        if r.answered_us is null and arrived & 3 = 0 then
          raise exception 'it is not known yet whether the answer to an equal call arrived' using errcode = 'TL001';
        end if;
        if r.answered_us is null or (v_arrived < r.answered_us and (v_alone or r.answered_us - v_arrived > 1000000)) then
          return r.object;
        end if;
      end if;
      update repeats x set object = new_object, created_at = now(), answered_us = null where x.key = repeat_key;
      return null;
    end if;
  end loop;
end
$$;

COMMENT ON FUNCTION public.repeat_of(repeat_key bytea, arrived bigint, new_object text) IS 'What the first of two equal creates made, for the second one; null for the first.';

CREATE FUNCTION public.run_changes_draw() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  perform pg_advisory_xact_lock(points_lock());
  update run_changes set latest = (random() * 9e18)::bigint;
  return null;
end
$$;

COMMENT ON FUNCTION public.run_changes_draw() IS 'Notes a change in run_changes.';

CREATE FUNCTION public.run_create(repeat_key bytea, new_run_id text, experiment bigint, new_user_id text, new_name text, new_start_time bigint, tag_keys integer[], tag_values text[], arrived bigint, OUT fail text, OUT run_id text, OUT artifact_uri text, OUT name text) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
declare
  e record;
  v_id bigint;
  v_rank bigint := run_rank_of(new_run_id);
  v_first text := repeat_of(repeat_key, arrived, 'run:' || new_run_id);
begin
  if v_first is not null then
    select r.run_id, r.artifact_uri, r.name into run_id, artifact_uri, name from runs r where r.run_id = substr(v_first, 5);
    if found then
      return;
    end if;
    update repeats set object = 'run:' || new_run_id, created_at = now() where key = repeat_key;
  end if;
  select x.artifact_location, x.deleted_time into e from experiments x where x.id = experiment for key share;
  if not found then
    fail := 'missing';
  elsif e.deleted_time is not null then
    fail := 'inactive';
  end if;
  if fail is not null then
    delete from repeats where key = repeat_key;
    return;
  end if;
  run_id := new_run_id;
  name := new_name;
  artifact_uri := location_join(e.artifact_location, new_run_id || '/artifacts');
  insert into runs (run_id, experiment_id, run_rank, start_time, status, user_id, name, artifact_uri)
  values (new_run_id, experiment, v_rank, new_start_time, 1, new_user_id, new_name, artifact_uri)
  returning id into v_id;
  insert into tags (run, key_id, experiment_id, start_time, run_rank, value)
  select distinct on (t.key_id) v_id, t.key_id, experiment, new_start_time, v_rank, t.value
    from unnest(tag_keys, tag_values) with ordinality as t(key_id, value, i)
   order by t.key_id, t.i desc;
end
$$;

COMMENT ON FUNCTION public.run_create(repeat_key bytea, new_run_id text, experiment bigint, new_user_id text, new_name text, new_start_time bigint, tag_keys integer[], tag_values text[], arrived bigint, OUT fail text, OUT run_id text, OUT artifact_uri text, OUT name text) IS 'Creates a run or, for a repeated request, finds the first one.';

CREATE TABLE public.runs (
    id bigint NOT NULL,
    run_id text NOT NULL COLLATE pg_catalog."C",
    experiment_id bigint NOT NULL,
    run_rank bigint NOT NULL,
    start_time bigint NOT NULL,
    end_time bigint,
    deleted_time bigint,
    status smallint NOT NULL,
    lifecycle smallint DEFAULT 0 NOT NULL,
    user_id text DEFAULT ''::text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    artifact_uri text NOT NULL
)
WITH (fillfactor='85');

COMMENT ON TABLE public.runs IS 'Runs.';

COMMENT ON COLUMN public.runs.id IS 'Identity inside the database.';

COMMENT ON COLUMN public.runs.run_id IS 'Id on the wire: 32 hexadecimal digits; imports may look otherwise.';

COMMENT ON COLUMN public.runs.experiment_id IS 'The experiment.';

COMMENT ON COLUMN public.runs.run_rank IS 'Order of run_id as a number (run_rank_of()): last sort key of every search.';

COMMENT ON COLUMN public.runs.start_time IS 'Milliseconds since 1970, as the client sent it; never changes.';

COMMENT ON COLUMN public.runs.end_time IS 'Milliseconds since 1970; null while running.';

COMMENT ON COLUMN public.runs.deleted_time IS 'Milliseconds since 1970 of the deletion; null while active.';

COMMENT ON COLUMN public.runs.status IS '1 RUNNING, 2 SCHEDULED, 3 FINISHED, 4 FAILED, 5 KILLED (MLflow''s enum).';

COMMENT ON COLUMN public.runs.lifecycle IS '0 as its experiment, 1 deleted, 2 restored while its experiment is deleted.';

COMMENT ON COLUMN public.runs.user_id IS 'User as the client sent it.';

COMMENT ON COLUMN public.runs.name IS 'Run name; always equal to the tag mlflow.runName.';

COMMENT ON COLUMN public.runs.artifact_uri IS 'Where the run''s artifacts lie; fixed at creation.';

CREATE FUNCTION public.run_info(r public.runs, experiment_deleted bigint) RETURNS TABLE(run_id text, run_uuid text, run_name text, experiment_id text, user_id text, status text, start_time bigint, end_time bigint, artifact_uri text, lifecycle_stage text)
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
select r.run_id, r.run_id, r.name, r.experiment_id::text, r.user_id, (array['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'])[r.status], r.start_time, nullif(r.end_time, 0), r.artifact_uri
     , case when r.lifecycle = 1 or (r.lifecycle = 0 and experiment_deleted is not null) then 'deleted' else 'active' end;
$$;

COMMENT ON FUNCTION public.run_info(r public.runs, experiment_deleted bigint) IS 'A run as MLflow''s RunInfo.';

CREATE FUNCTION public.run_jobs() RETURNS bigint
    LANGUAGE plpgsql
    AS $$
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

COMMENT ON FUNCTION public.run_jobs() IS 'Settles, forgets old repeats and seals, a little at a time. Returns how much was done.';

CREATE FUNCTION public.run_rank_of(run_id text) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN (run_id ~ '^[0-9a-f]{15}'::text) THEN ((('x0'::text || substr(run_id, 1, 15)))::bit(64))::bigint ELSE ((('x00'::text || rpad(encode(substr(convert_to(run_id, 'UTF8'::name), 1, 7), 'hex'::text), 14, '0'::text)))::bit(64))::bigint END;

COMMENT ON FUNCTION public.run_rank_of(run_id text) IS 'Order of a run id as a number, kept in runs.run_rank.';

CREATE FUNCTION public.seal_lock(run bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((79)::bigint << 48) | run);

COMMENT ON FUNCTION public.seal_lock(run bigint) IS 'Key of the advisory lock that sealers of a run hold.';

CREATE FUNCTION public.seal_look() RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
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

COMMENT ON FUNCTION public.seal_look() IS 'Finds series that have grown long; see the file.';

CREATE FUNCTION public.seal_order(v_run bigint, v_key integer, v_small boolean) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
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

COMMENT ON FUNCTION public.seal_order(v_run bigint, v_key integer, v_small boolean) IS 'Puts a few chunks of a series in order; see the file.';

CREATE FUNCTION public.seal_points(run bigint, key_id integer, steps bigint[], timestamps bigint[], "values" double precision[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

COMMENT ON FUNCTION public.seal_points(run bigint, key_id integer, steps bigint[], timestamps bigint[], "values" double precision[]) IS 'Writes points of one series straight into the sealed tier; see the file.';

CREATE FUNCTION public.seal_read(v_run bigint, v_key integer, v_chunks integer[]) RETURNS TABLE(step bigint, "timestamp" bigint, value double precision)
    LANGUAGE sql STABLE
    AS $$
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

COMMENT ON FUNCTION public.seal_read(v_run bigint, v_key integer, v_chunks integer[]) IS 'The points of some chunks of one series.';

CREATE FUNCTION public.seal_slice(quiet interval) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
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

COMMENT ON FUNCTION public.seal_slice(quiet interval) IS 'Seals one slice of metric history; see the file.';

CREATE FUNCTION public.seal_some(v_run bigint, v_key integer, v_keep integer, v_from bigint, OUT sealed bigint, OUT upto bigint) RETURNS record
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
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

COMMENT ON FUNCTION public.seal_some(v_run bigint, v_key integer, v_keep integer, v_from bigint, OUT sealed bigint, OUT upto bigint) IS 'Seals a few thousand hot points of a series; see the file.';

CREATE FUNCTION public.seal_write(v_run bigint, v_key integer, v_steps bigint[], v_timestamps bigint[], v_values double precision[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

COMMENT ON FUNCTION public.seal_write(v_run bigint, v_key integer, v_steps bigint[], v_timestamps bigint[], v_values double precision[]) IS 'Writes sorted points of a series as chunks; see the file.';

CREATE FUNCTION public.settle(experiments bigint[], age interval) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
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

COMMENT ON FUNCTION public.settle(experiments bigint[], age interval) IS 'Brings search_value up to date; see the file.';

CREATE FUNCTION public.usage_of_direct_model() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
declare
  v_now bigint := extract(epoch from clock_timestamp()) * 1000;
begin
  insert into model_usage as u (model, approximate, updated_time, open_until, look_after)
  values (new.id, true, v_now, 9223372036854775807, v_now + case when new.status = 1 then 900000 else 60000 end)
      on conflict (model) do update set approximate = true, open_until = excluded.open_until, look_after = excluded.look_after;
  return null;
end
$$;

COMMENT ON FUNCTION public.usage_of_direct_model() IS 'Notes that a logged model''s artifacts are to be counted in the bucket.';

CREATE FUNCTION public.usage_of_direct_run() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
declare
  v_now bigint := extract(epoch from clock_timestamp()) * 1000;
begin
  insert into artifact_usage as u (run, approximate, updated_time, open_until, look_after)
  values (new.id, true, v_now, 9223372036854775807, v_now + case when new.status in (1, 2) then 900000 else 60000 end)
      on conflict (run) do update set approximate = true, open_until = excluded.open_until, look_after = excluded.look_after;
  return null;
end
$$;

COMMENT ON FUNCTION public.usage_of_direct_run() IS 'Notes that a run''s artifacts are to be counted in the bucket.';

CREATE TABLE public.artifact_usage (
    run bigint NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    files bigint DEFAULT 0 NOT NULL,
    approximate boolean DEFAULT false NOT NULL,
    updated_time bigint NOT NULL,
    look_after bigint,
    looked_time bigint DEFAULT 0 NOT NULL,
    open_until bigint DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.artifact_usage IS 'Bytes and files of each run''s artifacts, counted at each upload and deletion, corrected by listing.';

COMMENT ON COLUMN public.artifact_usage.run IS 'runs.id.';

COMMENT ON COLUMN public.artifact_usage.bytes IS 'Stored bytes.';

COMMENT ON COLUMN public.artifact_usage.files IS 'Files.';

COMMENT ON COLUMN public.artifact_usage.approximate IS 'True when a client may have written without the server''s knowledge.';

COMMENT ON COLUMN public.artifact_usage.updated_time IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.artifact_usage.look_after IS 'Milliseconds since 1970 from when the bucket is asked what is there; null: nothing is to be asked.';

COMMENT ON COLUMN public.artifact_usage.looked_time IS 'When it was last asked. Milliseconds since 1970.';

COMMENT ON COLUMN public.artifact_usage.open_until IS 'Until then a client may write without the server''s knowledge. Milliseconds since 1970; the largest number: always, for roots at gs://.';

CREATE TABLE public.datasets (
    id bigint NOT NULL,
    experiment_id bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    digest text NOT NULL COLLATE pg_catalog."C",
    source_type text NOT NULL,
    source text NOT NULL,
    schema text,
    profile text
);

COMMENT ON TABLE public.datasets IS 'Datasets that runs took as input, once an experiment.';

COMMENT ON COLUMN public.datasets.id IS 'Identity.';

COMMENT ON COLUMN public.datasets.experiment_id IS 'The experiment.';

COMMENT ON COLUMN public.datasets.name IS 'Name.';

COMMENT ON COLUMN public.datasets.digest IS 'The client''s digest of its content.';

COMMENT ON COLUMN public.datasets.source_type IS 'Kind of source, e.g. http, gcs, local.';

COMMENT ON COLUMN public.datasets.source IS 'Where it came from; never opened by the server.';

COMMENT ON COLUMN public.datasets.schema IS 'Schema as JSON text.';

COMMENT ON COLUMN public.datasets.profile IS 'Summary as JSON text.';

ALTER TABLE public.datasets ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.datasets_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE public.experiments ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.experiments_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.keys (
    id integer NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C"
);

COMMENT ON TABLE public.keys IS 'Names of metrics, params and tags, each once. Rows are never changed or removed: workers cache them.';

COMMENT ON COLUMN public.keys.id IS 'Number used by child rows. 1 is mlflow.runName.';

COMMENT ON COLUMN public.keys.key IS 'The name as logged.';

ALTER TABLE public.keys ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.latest_metrics (
    run bigint NOT NULL,
    key_id integer NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    experiment_id bigint NOT NULL,
    value double precision NOT NULL,
    step bigint NOT NULL,
    "timestamp" bigint NOT NULL,
    start_time bigint NOT NULL,
    run_rank bigint NOT NULL,
    search_value double precision NOT NULL
)
WITH (fillfactor='70');

COMMENT ON TABLE public.latest_metrics IS 'Last value of each metric of each run: the largest (step, timestamp, value).';

COMMENT ON COLUMN public.latest_metrics.run IS 'runs.id. No foreign key: it would lock the run at each write; tallyd gc removes both.';

COMMENT ON COLUMN public.latest_metrics.key_id IS 'Name of the metric.';

COMMENT ON COLUMN public.latest_metrics.deleted IS 'True when the run is deleted: the row leaves the search index.';

COMMENT ON COLUMN public.latest_metrics.experiment_id IS 'Copy of the run''s.';

COMMENT ON COLUMN public.latest_metrics.value IS 'The value; NaN is kept, infinities are stored as the largest double.';

COMMENT ON COLUMN public.latest_metrics.step IS 'Step of the value.';

COMMENT ON COLUMN public.latest_metrics."timestamp" IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.latest_metrics.start_time IS 'Copy of the run''s.';

COMMENT ON COLUMN public.latest_metrics.run_rank IS 'Copy of the run''s.';

COMMENT ON COLUMN public.latest_metrics.search_value IS 'Copy of value that the search index stands on; may lag while the run is listed in unsettled.';

ALTER TABLE public.logged_models ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.logged_models_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.metric_chunks (
    run bigint NOT NULL,
    key_id integer NOT NULL,
    chunk integer NOT NULL,
    points integer NOT NULL,
    first_step bigint NOT NULL,
    last_step bigint NOT NULL,
    step_by bigint,
    steps bigint[],
    first_timestamp bigint NOT NULL,
    timestamp_deltas integer[],
    timestamps bigint[],
    "values" double precision[] NOT NULL,
    last_timestamp bigint NOT NULL,
    times_rise boolean DEFAULT false NOT NULL,
    numbers integer,
    minimum double precision,
    maximum double precision,
    total double precision,
    block_steps bigint[],
    block_timestamps bigint[],
    block_numbers smallint[],
    block_minimum double precision[],
    block_maximum double precision[],
    block_total double precision[],
    block_last double precision[]
);
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN steps SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN timestamp_deltas SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN timestamps SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN "values" SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_steps SET STORAGE MAIN;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_steps SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_timestamps SET STORAGE MAIN;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_timestamps SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_numbers SET STORAGE MAIN;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_numbers SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_minimum SET STORAGE MAIN;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_minimum SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_maximum SET STORAGE MAIN;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_maximum SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_total SET STORAGE MAIN;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_total SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_last SET STORAGE MAIN;
ALTER TABLE ONLY public.metric_chunks ALTER COLUMN block_last SET COMPRESSION lz4;

COMMENT ON TABLE public.metric_chunks IS 'Metric history, the sealed tier: up to 4096 points of one series in one row, ordered by (step, timestamp, value), none equal to another. Chunks of one series may overlap for a while.';

COMMENT ON COLUMN public.metric_chunks.run IS 'runs.id.';

COMMENT ON COLUMN public.metric_chunks.key_id IS 'Name of the metric.';

COMMENT ON COLUMN public.metric_chunks.chunk IS 'Number within the series; the order of points is that of (first_step, first_timestamp).';

COMMENT ON COLUMN public.metric_chunks.points IS 'Number of points.';

COMMENT ON COLUMN public.metric_chunks.first_step IS 'Least step.';

COMMENT ON COLUMN public.metric_chunks.last_step IS 'Largest step.';

COMMENT ON COLUMN public.metric_chunks.step_by IS 'Distance of steps when it is the same throughout; steps is null then.';

COMMENT ON COLUMN public.metric_chunks.steps IS 'Steps, when they are not evenly spaced.';

COMMENT ON COLUMN public.metric_chunks.first_timestamp IS 'Timestamp of the first point, milliseconds since 1970.';

COMMENT ON COLUMN public.metric_chunks.timestamp_deltas IS 'Differences to the point before (first 0), when each fits in 32 bits; timestamps is null then.';

COMMENT ON COLUMN public.metric_chunks.timestamps IS 'Timestamps, when a difference does not fit.';

COMMENT ON COLUMN public.metric_chunks."values" IS 'Values.';

COMMENT ON COLUMN public.metric_chunks.last_timestamp IS 'Timestamp of the last point.';

COMMENT ON COLUMN public.metric_chunks.times_rise IS 'True when no timestamp is less than the one before.';

COMMENT ON COLUMN public.metric_chunks.numbers IS 'Values that are not NaN; null: no summary was made.';

COMMENT ON COLUMN public.metric_chunks.minimum IS 'Least value, NaN left out.';

COMMENT ON COLUMN public.metric_chunks.maximum IS 'Largest value, NaN left out.';

COMMENT ON COLUMN public.metric_chunks.total IS 'Sum of the values, NaN left out; null when one is beyond 1e300.';

COMMENT ON COLUMN public.metric_chunks.block_steps IS 'First step of each block of 64 points; null when steps are even, or there are no blocks.';

COMMENT ON COLUMN public.metric_chunks.block_timestamps IS 'First timestamp of each block.';

COMMENT ON COLUMN public.metric_chunks.block_numbers IS 'Values of each block that are not NaN; null when there is no NaN.';

COMMENT ON COLUMN public.metric_chunks.block_minimum IS 'Least value of each block; null when the chunk has no blocks.';

COMMENT ON COLUMN public.metric_chunks.block_maximum IS 'Largest value of each block.';

COMMENT ON COLUMN public.metric_chunks.block_total IS 'Sum of each block.';

COMMENT ON COLUMN public.metric_chunks.block_last IS 'Last value of each block.';

CREATE TABLE public.metric_log (
    seq bigint NOT NULL,
    runs bigint[] NOT NULL,
    requests integer[] NOT NULL,
    keys integer[] NOT NULL,
    steps bigint[] NOT NULL,
    timestamps bigint[] NOT NULL,
    "values" double precision[] NOT NULL
)
WITH (autovacuum_vacuum_threshold='5000', autovacuum_vacuum_scale_factor='0');
ALTER TABLE ONLY public.metric_log ALTER COLUMN requests SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_log ALTER COLUMN keys SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_log ALTER COLUMN steps SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_log ALTER COLUMN timestamps SET COMPRESSION lz4;
ALTER TABLE ONLY public.metric_log ALTER COLUMN "values" SET COMPRESSION lz4;

COMMENT ON TABLE public.metric_log IS 'Points that are logged and not yet in metrics and latest_metrics: a tenth of a second''s worth, moved on by log_apply() or by the next request that reads points.';

COMMENT ON COLUMN public.metric_log.seq IS 'Order of arrival, roughly.';

COMMENT ON COLUMN public.metric_log.runs IS 'runs.id of each request of the batch; 0: it was refused.';

COMMENT ON COLUMN public.metric_log.requests IS 'Of each point: which of the runs it belongs to, from 1.';

COMMENT ON COLUMN public.metric_log.keys IS 'Of each point: name of the metric.';

COMMENT ON COLUMN public.metric_log.steps IS 'Of each point: step.';

COMMENT ON COLUMN public.metric_log.timestamps IS 'Of each point: milliseconds since 1970.';

COMMENT ON COLUMN public.metric_log."values" IS 'Of each point: the value.';

ALTER TABLE public.metric_log ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.metric_log_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.metrics (
    run bigint NOT NULL,
    key_id integer NOT NULL,
    step bigint NOT NULL,
    "timestamp" bigint NOT NULL,
    value double precision NOT NULL
);

COMMENT ON TABLE public.metrics IS 'Metric history, the hot tier: one row a point until its series is sealed into metric_chunks. Read through metric_points.';

COMMENT ON COLUMN public.metrics.run IS 'runs.id.';

COMMENT ON COLUMN public.metrics.key_id IS 'Name of the metric.';

COMMENT ON COLUMN public.metrics.step IS 'Step.';

COMMENT ON COLUMN public.metrics."timestamp" IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.metrics.value IS 'The value.';

CREATE VIEW public.metric_points AS
 SELECT metrics.run,
    metrics.key_id,
    metrics.step,
    metrics."timestamp",
    metrics.value
   FROM public.metrics
UNION ALL
 SELECT c.run,
    c.key_id,
    COALESCE(c.steps[p.i], (c.first_step + ((p.i - 1) * c.step_by))) AS step,
    COALESCE(c.timestamps[p.i], p."timestamp") AS "timestamp",
    c."values"[p.i] AS value
   FROM (public.metric_chunks c
     CROSS JOIN LATERAL ( SELECT (u.i)::integer AS i,
            (c.first_timestamp + sum(COALESCE(u.delta, 0)) OVER (ORDER BY u.i)) AS "timestamp"
           FROM unnest(COALESCE(c.timestamp_deltas, array_fill(0, ARRAY[c.points]))) WITH ORDINALITY u(delta, i)) p);

COMMENT ON VIEW public.metric_points IS 'Every point of every metric, both tiers. A point that was logged again after its series was sealed shows twice; readers drop exact equals.';

COMMENT ON COLUMN public.metric_points.run IS 'runs.id.';

COMMENT ON COLUMN public.metric_points.key_id IS 'Name of the metric.';

COMMENT ON COLUMN public.metric_points.step IS 'Step.';

COMMENT ON COLUMN public.metric_points."timestamp" IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.metric_points.value IS 'The value.';

CREATE TABLE public.model_usage (
    model bigint NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    files bigint DEFAULT 0 NOT NULL,
    approximate boolean DEFAULT false NOT NULL,
    updated_time bigint NOT NULL,
    look_after bigint,
    looked_time bigint DEFAULT 0 NOT NULL,
    open_until bigint DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.model_usage IS 'Bytes and files of each logged model''s artifacts, counted at each upload and deletion.';

COMMENT ON COLUMN public.model_usage.model IS 'logged_models.id.';

COMMENT ON COLUMN public.model_usage.bytes IS 'Stored bytes.';

COMMENT ON COLUMN public.model_usage.files IS 'Files.';

COMMENT ON COLUMN public.model_usage.approximate IS 'True when a client may have written without the server''s knowledge.';

COMMENT ON COLUMN public.model_usage.updated_time IS 'Milliseconds since 1970.';

COMMENT ON COLUMN public.model_usage.look_after IS 'Milliseconds since 1970 from when the bucket is asked what is there; null: nothing is to be asked.';

COMMENT ON COLUMN public.model_usage.looked_time IS 'When it was last asked. Milliseconds since 1970.';

COMMENT ON COLUMN public.model_usage.open_until IS 'Until then a client may write without the server''s knowledge. Milliseconds since 1970; the largest number: always, for roots at gs://.';

CREATE TABLE public.params (
    run bigint NOT NULL,
    key_id integer NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    experiment_id bigint NOT NULL,
    start_time bigint NOT NULL,
    run_rank bigint NOT NULL,
    value text NOT NULL COLLATE pg_catalog."C"
);

COMMENT ON TABLE public.params IS 'Params of runs; written once.';

COMMENT ON COLUMN public.params.run IS 'runs.id.';

COMMENT ON COLUMN public.params.key_id IS 'Name of the param.';

COMMENT ON COLUMN public.params.deleted IS 'True when the run is deleted.';

COMMENT ON COLUMN public.params.experiment_id IS 'Copy of the run''s.';

COMMENT ON COLUMN public.params.start_time IS 'Copy of the run''s.';

COMMENT ON COLUMN public.params.run_rank IS 'Copy of the run''s.';

COMMENT ON COLUMN public.params.value IS 'Its text, cut at 6000 characters.';

ALTER TABLE public.registered_models ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.registered_models_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.repeats (
    key bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    object text NOT NULL,
    reply text NOT NULL,
    answered_us bigint
)
WITH (fillfactor='70');

COMMENT ON TABLE public.repeats IS 'Creates whose answer may have been lost: an equal request within ten minutes gets the same answer.';

COMMENT ON COLUMN public.repeats.key IS 'SHA-256 of principal, path and body, or of the Idempotency-Key.';

COMMENT ON COLUMN public.repeats.created_at IS 'When the create was committed. Answered rows are dropped after two minutes, others after ten.';

COMMENT ON COLUMN public.repeats.object IS 'What was created, e.g. run:ID. Deleting it deletes the row.';

COMMENT ON COLUMN public.repeats.reply IS 'The answer''s JSON.';

COMMENT ON COLUMN public.repeats.answered_us IS 'When the client had acknowledged the answer, in microseconds since 1970 by the server''s clock; an equal request that arrived later is an honest second call.';

CREATE TABLE public.run_changes (
    latest bigint NOT NULL
);

COMMENT ON TABLE public.run_changes IS 'One row, that changes with the state of any run.';

COMMENT ON COLUMN public.run_changes.latest IS 'Drawn by lot whenever runs or experiments are deleted or restored: as long as it stays the same, a run that was active still is.';

CREATE TABLE public.run_datasets (
    run bigint NOT NULL,
    dataset_id bigint NOT NULL,
    context text COLLATE pg_catalog."C",
    tags jsonb DEFAULT '[]'::jsonb NOT NULL
);

COMMENT ON TABLE public.run_datasets IS 'Which run took which dataset.';

COMMENT ON COLUMN public.run_datasets.run IS 'runs.id.';

COMMENT ON COLUMN public.run_datasets.dataset_id IS 'The dataset.';

COMMENT ON COLUMN public.run_datasets.context IS 'Value of the tag mlflow.data.context, e.g. training.';

COMMENT ON COLUMN public.run_datasets.tags IS 'All tags of this input: [{"key","value"}].';

CREATE TABLE public.run_models (
    id bigint NOT NULL,
    run bigint NOT NULL,
    model_id text NOT NULL COLLATE pg_catalog."C",
    output boolean NOT NULL,
    step bigint DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.run_models IS 'Logged models that a run took (inputs) or made (outputs).';

COMMENT ON COLUMN public.run_models.id IS 'Order of logging.';

COMMENT ON COLUMN public.run_models.run IS 'runs.id.';

COMMENT ON COLUMN public.run_models.model_id IS 'Id of the logged model.';

COMMENT ON COLUMN public.run_models.output IS 'True: made by the run; false: taken by it.';

COMMENT ON COLUMN public.run_models.step IS 'Step at which it was made.';

ALTER TABLE public.run_models ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.run_models_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE public.runs ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.schema_migrations (
    name text NOT NULL,
    checksum text NOT NULL,
    repeatable boolean DEFAULT false NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    applied_by text NOT NULL
);

COMMENT ON TABLE public.schema_migrations IS 'The SQL files of tallyd that were applied to this database. A server that knows other ones does not start on it.';

COMMENT ON COLUMN public.schema_migrations.name IS 'File name without .sql.';

COMMENT ON COLUMN public.schema_migrations.checksum IS 'SHA-256 of the file as it was applied, in hex.';

COMMENT ON COLUMN public.schema_migrations.repeatable IS 'Functions and views, applied again whenever their text changes; false: once for all.';

COMMENT ON COLUMN public.schema_migrations.applied_at IS 'When it was applied last.';

COMMENT ON COLUMN public.schema_migrations.applied_by IS 'Version of the server that applied it.';

CREATE TABLE public.seal_queue (
    run bigint NOT NULL,
    due timestamp with time zone NOT NULL,
    key_id integer DEFAULT 0 NOT NULL,
    found boolean DEFAULT false NOT NULL,
    step bigint DEFAULT '-9223372036854775808'::bigint NOT NULL
);

COMMENT ON TABLE public.seal_queue IS 'Runs whose metric history is to be sealed once it has been quiet.';

COMMENT ON COLUMN public.seal_queue.run IS 'runs.id.';

COMMENT ON COLUMN public.seal_queue.due IS 'Not before this time; later when the run was written to meanwhile.';

COMMENT ON COLUMN public.seal_queue.key_id IS 'Names below this one are done in this pass.';

COMMENT ON COLUMN public.seal_queue.found IS 'True when this pass had something to seal: another one follows.';

COMMENT ON COLUMN public.seal_queue.step IS 'Where the search for hot points of that name goes on: what was sealed a moment ago still lies in the index.';

CREATE TABLE public.seal_soon (
    run bigint NOT NULL,
    key_id integer NOT NULL,
    step bigint DEFAULT '-9223372036854775808'::bigint NOT NULL
);

COMMENT ON TABLE public.seal_soon IS 'Series to be sealed, or put in order, while their run is live: those that have grown long.';

COMMENT ON COLUMN public.seal_soon.run IS 'runs.id.';

COMMENT ON COLUMN public.seal_soon.key_id IS 'Name of the metric.';

COMMENT ON COLUMN public.seal_soon.step IS 'Where the search for hot points goes on.';

CREATE TABLE public.seal_watch (
    one boolean DEFAULT true NOT NULL,
    seen_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    inserted bigint DEFAULT 0 NOT NULL,
    CONSTRAINT seal_watch_one_check CHECK (one)
);

COMMENT ON TABLE public.seal_watch IS 'One row: when long series were last looked for.';

COMMENT ON COLUMN public.seal_watch.one IS 'There is one row.';

COMMENT ON COLUMN public.seal_watch.seen_at IS 'When.';

COMMENT ON COLUMN public.seal_watch.inserted IS 'Rows that had been inserted into metrics by then, as PostgreSQL counts them.';

CREATE TABLE public.stores (
    id integer NOT NULL,
    root text NOT NULL
);

COMMENT ON TABLE public.stores IS 'Places where artifacts lie. Moving to another one keeps old experiments readable.';

COMMENT ON COLUMN public.stores.id IS 'Identity of the store.';

COMMENT ON COLUMN public.stores.root IS 'Folder or gs://bucket/path given as --artifacts-destination.';

ALTER TABLE public.stores ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.stores_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tags (
    run bigint NOT NULL,
    key_id integer NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    experiment_id bigint NOT NULL,
    start_time bigint NOT NULL,
    run_rank bigint NOT NULL,
    value text NOT NULL COLLATE pg_catalog."C"
)
WITH (fillfactor='90');

COMMENT ON TABLE public.tags IS 'Tags of runs.';

COMMENT ON COLUMN public.tags.run IS 'runs.id.';

COMMENT ON COLUMN public.tags.key_id IS 'Name of the tag.';

COMMENT ON COLUMN public.tags.deleted IS 'True when the run is deleted.';

COMMENT ON COLUMN public.tags.experiment_id IS 'Copy of the run''s.';

COMMENT ON COLUMN public.tags.start_time IS 'Copy of the run''s.';

COMMENT ON COLUMN public.tags.run_rank IS 'Copy of the run''s.';

COMMENT ON COLUMN public.tags.value IS 'Its text, cut at 8000 characters.';

CREATE TABLE public.unsettled (
    run bigint NOT NULL,
    experiment_id bigint NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.unsettled IS 'Runs whose search_value may lag behind value.';

COMMENT ON COLUMN public.unsettled.run IS 'runs.id.';

COMMENT ON COLUMN public.unsettled.experiment_id IS 'Copy of the run''s.';

COMMENT ON COLUMN public.unsettled.since IS 'When the first value changed.';

CREATE TABLE public.views (
    id bigint NOT NULL,
    experiment_id bigint NOT NULL,
    name text NOT NULL,
    query text NOT NULL,
    creation_time bigint NOT NULL
);

COMMENT ON TABLE public.views IS 'Saved views of the web page.';

COMMENT ON COLUMN public.views.id IS 'Identity.';

COMMENT ON COLUMN public.views.experiment_id IS 'The experiment it belongs to.';

COMMENT ON COLUMN public.views.name IS 'Name given by the user.';

COMMENT ON COLUMN public.views.query IS 'The page''s query string.';

COMMENT ON COLUMN public.views.creation_time IS 'Milliseconds since 1970.';

ALTER TABLE public.views ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.views_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY public.artifact_usage
    ADD CONSTRAINT artifact_usage_pkey PRIMARY KEY (run);

ALTER TABLE ONLY public.datasets
    ADD CONSTRAINT datasets_experiment_id_name_digest_key UNIQUE (experiment_id, name, digest);

ALTER TABLE ONLY public.datasets
    ADD CONSTRAINT datasets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.experiment_tags
    ADD CONSTRAINT experiment_tags_pkey PRIMARY KEY (experiment_id, key);

ALTER TABLE ONLY public.experiments
    ADD CONSTRAINT experiments_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.experiments
    ADD CONSTRAINT experiments_workspace_name_key UNIQUE (workspace, name);

ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_key_key UNIQUE (key);

ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.latest_metrics
    ADD CONSTRAINT latest_metrics_pkey PRIMARY KEY (run, key_id);

ALTER TABLE ONLY public.logged_model_metrics
    ADD CONSTRAINT logged_model_metrics_pkey PRIMARY KEY (model, key, "timestamp", step, run_id);

ALTER TABLE ONLY public.logged_model_params
    ADD CONSTRAINT logged_model_params_pkey PRIMARY KEY (model, key);

ALTER TABLE ONLY public.logged_model_tags
    ADD CONSTRAINT logged_model_tags_pkey PRIMARY KEY (model, key);

ALTER TABLE ONLY public.logged_models
    ADD CONSTRAINT logged_models_model_id_key UNIQUE (model_id);

ALTER TABLE ONLY public.logged_models
    ADD CONSTRAINT logged_models_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.metric_chunks
    ADD CONSTRAINT metric_chunks_pkey PRIMARY KEY (run, key_id, chunk);

ALTER TABLE ONLY public.metric_log
    ADD CONSTRAINT metric_log_pkey PRIMARY KEY (seq);

ALTER TABLE ONLY public.metrics
    ADD CONSTRAINT metrics_pkey PRIMARY KEY (run, key_id, step, "timestamp", value);

ALTER TABLE ONLY public.model_usage
    ADD CONSTRAINT model_usage_pkey PRIMARY KEY (model);

ALTER TABLE ONLY public.model_version_tags
    ADD CONSTRAINT model_version_tags_pkey PRIMARY KEY (model, version, key);

ALTER TABLE ONLY public.model_versions
    ADD CONSTRAINT model_versions_pkey PRIMARY KEY (model, version);

ALTER TABLE ONLY public.params
    ADD CONSTRAINT params_pkey PRIMARY KEY (run, key_id);

ALTER TABLE ONLY public.registered_model_aliases
    ADD CONSTRAINT registered_model_aliases_pkey PRIMARY KEY (model, alias);

ALTER TABLE ONLY public.registered_model_tags
    ADD CONSTRAINT registered_model_tags_pkey PRIMARY KEY (model, key);

ALTER TABLE ONLY public.registered_models
    ADD CONSTRAINT registered_models_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.registered_models
    ADD CONSTRAINT registered_models_workspace_name_key UNIQUE (workspace, name);

ALTER TABLE ONLY public.repeats
    ADD CONSTRAINT repeats_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.run_datasets
    ADD CONSTRAINT run_datasets_pkey PRIMARY KEY (run, dataset_id);

ALTER TABLE ONLY public.run_models
    ADD CONSTRAINT run_models_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_run_id_key UNIQUE (run_id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.seal_queue
    ADD CONSTRAINT seal_queue_pkey PRIMARY KEY (run);

ALTER TABLE ONLY public.seal_soon
    ADD CONSTRAINT seal_soon_pkey PRIMARY KEY (run, key_id);

ALTER TABLE ONLY public.seal_watch
    ADD CONSTRAINT seal_watch_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.stores
    ADD CONSTRAINT stores_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.stores
    ADD CONSTRAINT stores_root_key UNIQUE (root);

ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (run, key_id);

ALTER TABLE ONLY public.unsettled
    ADD CONSTRAINT unsettled_pkey PRIMARY KEY (run);

ALTER TABLE ONLY public.views
    ADD CONSTRAINT views_experiment_id_name_key UNIQUE (experiment_id, name);

ALTER TABLE ONLY public.views
    ADD CONSTRAINT views_pkey PRIMARY KEY (id);

CREATE INDEX artifact_usage_look ON public.artifact_usage USING btree (look_after) WHERE (look_after IS NOT NULL);

CREATE INDEX experiments_creation_time_idx ON public.experiments USING btree (creation_time DESC, id);

CREATE INDEX experiments_last_update_time_idx ON public.experiments USING btree (last_update_time DESC, id);

CREATE INDEX latest_metrics_search_idx ON public.latest_metrics USING btree (experiment_id, key_id, search_value, start_time DESC, run_rank, run) WHERE (NOT deleted);

CREATE INDEX logged_models_experiment_id_idx ON public.logged_models USING btree (experiment_id, creation_time DESC, model_id);

CREATE INDEX metric_chunks_last_idx ON public.metric_chunks USING btree (run, key_id, last_step, last_timestamp);

CREATE INDEX model_usage_look ON public.model_usage USING btree (look_after) WHERE (look_after IS NOT NULL);

CREATE INDEX model_versions_last_update_time_idx ON public.model_versions USING btree (last_update_time DESC) WHERE (NOT deleted);

CREATE INDEX model_versions_run_id_idx ON public.model_versions USING btree (run_id) WHERE (run_id <> ''::text);

CREATE INDEX params_search_idx ON public.params USING btree (experiment_id, key_id, "left"(value, 64), start_time DESC, run_rank, run) WHERE (NOT deleted);

CREATE INDEX repeats_created_at_idx ON public.repeats USING btree (created_at);

CREATE INDEX repeats_object_idx ON public.repeats USING btree (object);

CREATE INDEX run_datasets_dataset_id_idx ON public.run_datasets USING btree (dataset_id, run);

CREATE INDEX run_models_run_idx ON public.run_models USING btree (run, output, id);

CREATE INDEX runs_deleted_idx ON public.runs USING btree (experiment_id, start_time DESC, run_rank, id) WHERE (lifecycle = 1);

CREATE INDEX runs_deleted_time_idx ON public.runs USING btree (deleted_time) WHERE (deleted_time IS NOT NULL);

CREATE INDEX runs_end_time_idx ON public.runs USING btree (experiment_id, end_time, start_time DESC, run_rank, id) WHERE (lifecycle <> 1);

CREATE INDEX runs_name_idx ON public.runs USING btree (experiment_id, "left"(name, 64) COLLATE "C", start_time DESC, run_rank, id) WHERE (lifecycle <> 1);

CREATE INDEX runs_search_idx ON public.runs USING btree (experiment_id, start_time DESC, run_rank, id) WHERE (lifecycle <> 1);

CREATE INDEX runs_status_idx ON public.runs USING btree (experiment_id, status, start_time DESC, run_rank, id) WHERE (lifecycle <> 1);

CREATE INDEX seal_queue_due_idx ON public.seal_queue USING btree (due);

CREATE INDEX tags_search_idx ON public.tags USING btree (experiment_id, key_id, "left"(value, 64), start_time DESC, run_rank, run) WHERE (NOT deleted);

CREATE INDEX unsettled_experiment_id_idx ON public.unsettled USING btree (experiment_id);

CREATE TRIGGER run_changes BEFORE UPDATE OF deleted_time ON public.experiments FOR EACH STATEMENT EXECUTE FUNCTION public.run_changes_draw();

CREATE TRIGGER run_changes BEFORE UPDATE OF lifecycle ON public.runs FOR EACH STATEMENT EXECUTE FUNCTION public.run_changes_draw();

CREATE TRIGGER usage_of_direct_model AFTER INSERT ON public.logged_models FOR EACH ROW WHEN (starts_with(new.artifact_uri, 'gs://'::text)) EXECUTE FUNCTION public.usage_of_direct_model();

CREATE TRIGGER usage_of_direct_model_end AFTER UPDATE OF status ON public.logged_models FOR EACH ROW WHEN ((starts_with(new.artifact_uri, 'gs://'::text) AND (new.status <> old.status))) EXECUTE FUNCTION public.usage_of_direct_model();

CREATE TRIGGER usage_of_direct_run AFTER INSERT ON public.runs FOR EACH ROW WHEN (starts_with(new.artifact_uri, 'gs://'::text)) EXECUTE FUNCTION public.usage_of_direct_run();

CREATE TRIGGER usage_of_direct_run_end AFTER UPDATE OF status ON public.runs FOR EACH ROW WHEN ((starts_with(new.artifact_uri, 'gs://'::text) AND (new.status <> old.status))) EXECUTE FUNCTION public.usage_of_direct_run();

ALTER TABLE ONLY public.datasets
    ADD CONSTRAINT datasets_experiment_id_fkey FOREIGN KEY (experiment_id) REFERENCES public.experiments(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.experiment_tags
    ADD CONSTRAINT experiment_tags_experiment_id_fkey FOREIGN KEY (experiment_id) REFERENCES public.experiments(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.experiments
    ADD CONSTRAINT experiments_store_id_fkey FOREIGN KEY (store_id) REFERENCES public.stores(id);

ALTER TABLE ONLY public.logged_model_metrics
    ADD CONSTRAINT logged_model_metrics_model_fkey FOREIGN KEY (model) REFERENCES public.logged_models(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.logged_model_params
    ADD CONSTRAINT logged_model_params_model_fkey FOREIGN KEY (model) REFERENCES public.logged_models(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.logged_model_tags
    ADD CONSTRAINT logged_model_tags_model_fkey FOREIGN KEY (model) REFERENCES public.logged_models(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.logged_models
    ADD CONSTRAINT logged_models_experiment_id_fkey FOREIGN KEY (experiment_id) REFERENCES public.experiments(id);

ALTER TABLE ONLY public.model_version_tags
    ADD CONSTRAINT model_version_tags_model_version_fkey FOREIGN KEY (model, version) REFERENCES public.model_versions(model, version) ON DELETE CASCADE;

ALTER TABLE ONLY public.model_versions
    ADD CONSTRAINT model_versions_model_fkey FOREIGN KEY (model) REFERENCES public.registered_models(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.registered_model_aliases
    ADD CONSTRAINT registered_model_aliases_model_fkey FOREIGN KEY (model) REFERENCES public.registered_models(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.registered_model_tags
    ADD CONSTRAINT registered_model_tags_model_fkey FOREIGN KEY (model) REFERENCES public.registered_models(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.run_datasets
    ADD CONSTRAINT run_datasets_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES public.datasets(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_experiment_id_fkey FOREIGN KEY (experiment_id) REFERENCES public.experiments(id);

ALTER TABLE ONLY public.views
    ADD CONSTRAINT views_experiment_id_fkey FOREIGN KEY (experiment_id) REFERENCES public.experiments(id) ON DELETE CASCADE;


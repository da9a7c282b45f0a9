-- The runs that requests name, in their order. problem: 1 no such run, 2 the run is deleted. Plain enough for the planner to put it into the caller's query; limit 1: look-ups,
-- whatever it thinks of the tables.
create or replace function logged_runs(run_ids text[]) returns table (id bigint, experiment_id bigint, start_time bigint, run_rank bigint, problem integer)
language sql stable parallel safe
as $$
select coalesce(r.id, 0), r.experiment_id, r.start_time, r.run_rank
     , case when r.id is null then 1 when r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null) then 2 else 0 end
  from unnest(run_ids) with ordinality as n(run_id, i)
  left join lateral (select r.id, r.experiment_id, r.start_time, r.run_rank, r.lifecycle from runs r where r.run_id = n.run_id limit 1) r on true
  left join lateral (select e.deleted_time from experiments e where e.id = r.experiment_id limit 1) e on true
 order by n.i;
$$;
comment on function logged_runs(text[]) is 'The runs that requests name; see the file.';

-- One batch of logging: any number of requests (r_run: their run ids), each stored whole or refused alone; rows come back for refused ones only.
-- m_*: every metric point; l_*: the best candidate for the latest value of each (request, key), or nothing: then the points go into metric_log, which is cheaper when they are few a request (log_apply()).
-- The first m_short of the points are rows of metrics; the rest are long series, each request's from g_from to g_to in order, that become sealed chunks at once.
-- p_*: params; t_*: tags; x_*: points that name a logged model. *_req: the request, from 1.
-- problem: as in logged_runs(), and 3 a param has another value already, 4 no such logged model (new: its id). Conflicts between requests of one batch raise 40001: the caller runs them one by one.
create or replace function log_write(
  r_run text[]
, m_req integer[], m_key integer[], m_step bigint[], m_time bigint[], m_value double precision[]
, l_req integer[], l_key integer[], l_step bigint[], l_time bigint[], l_value double precision[]
, m_short integer, g_req integer[], g_from integer[], g_to integer[]
, p_req integer[], p_key integer[], p_value text[]
, t_req integer[], t_key integer[], t_value text[]
, x_req integer[], x_model text[], x_key text[], x_step bigint[], x_time bigint[], x_value double precision[], x_dataset text[], x_digest text[]
) returns table (req integer, problem integer, key_id integer, old text, new text)
language plpgsql
set plan_cache_mode = force_generic_plan
as $$
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
comment on function log_write is 'One batch of logging; see the file.';

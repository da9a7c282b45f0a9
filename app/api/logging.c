/*
 * Metrics, params and tags of runs: log-metric, log-parameter, set-tag, log-batch. All of them become one kind of write; what arrives while a batch is in flight is merged into one
 * call of log_write(), one commit, and every request of it is answered. A request that cannot be stored fails alone.
 */
#include <math.h>
#include <stdlib.h>

#include "api/keys.h"
#include "api/live.h"
#include "api/names.h"
#include "api/run_numbers.h"
#include "base/log.h"
#include "engine/stats.h"
#include "sql_queries.h"

/* mlflow/utils/validation.py */
#define KEY_MOST 250
#define PARAM_MOST 6000
#define TAG_MOST 8000
#define METRICS_MOST 1000
#define PARAMS_MOST 100
#define ENTITIES_MOST 1000

/* From so many points a request on (on average of a batch) they are written into their tables at once: what could be saved by doing it later is little then. */
#define DIRECT_POINTS 32

/* A series of so many points in one request is sealed at once (sql/functions/seal.sql); below, its own statement costs more than the rows. */
#define LONG_SERIES 256

/* Requests merged into one statement at most; more wait for the next batch. */
#define MERGE_MOST 512

struct point {
	int32_t key;
	int32_t at; /* in the request */
	int64_t step;
	int64_t time;
	double value;
};

struct pair {
	int32_t key;
	struct text value;
};

struct model_point {
	struct text model, key, dataset, digest;
	int64_t step, time;
	double value;
};

/* What one request writes. In its call's arena. */
struct logged {
	struct db_op op;
	struct text run_id;
	struct text *names; /* of metrics, params, tags in this order */
	struct point *metrics;
	struct pair *params;
	struct pair *tags;
	struct model_point *models;
	size_t metric_count, param_count, tag_count, model_count;
	bool single; /* log-parameter: its own message */
	bool again;  /* the outcome of the first try was unknown */
};

static void logged_merge(struct db_op **ops, size_t n, struct db_op *out);
static void logged_split(struct db_op **ops, size_t n, struct db_op *merged, PGresult *result, enum db_outcome outcome);

static const struct db_merger merger = { .merge = logged_merge, .split = logged_split, .most = MERGE_MOST, .rank = 0 };

/* ---- one request ---- */

/* By key, then as MLflow ranks candidates for the latest value: by (step, timestamp, value), NaN as 0. */
static int
rank_compare(const struct point *x, const struct point *y)
{
	double vx = isnan(x->value) ? 0 : x->value;
	double vy = isnan(y->value) ? 0 : y->value;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return (vx > vy) - (vx < vy);
}

static int
point_compare(const void *a, const void *b)
{
	const struct point *x = a;
	const struct point *y = b;
	int order = rank_compare(x, y);

	return order != 0 ? order : (x->at > y->at) - (x->at < y->at);
}

static enum next
logged_put(struct call *call, PGresult *none)
{
	struct logged *l = call->state;

	(void)none;
	call_submit_write(call, &l->op);
	return WAIT;
}

static enum next
logged_submit(struct call *call, PGresult *none)
{
	struct logged *l = call->state;
	size_t at = 0;
	size_t i;
	bool known = true;

	(void)none;
	for (i = 0; i < l->metric_count; i++)
		known = key_number(l->names[at++], &l->metrics[i].key) && known;
	for (i = 0; i < l->param_count; i++)
		known = key_number(l->names[at++], &l->params[i].key) && known;
	for (i = 0; i < l->tag_count; i++)
		known = key_number(l->names[at++], &l->tags[i].key) && known;
	PRECOND(known);
	if (l->metric_count > 1)
		qsort(l->metrics, l->metric_count, sizeof(*l->metrics), point_compare);
	return l->metric_count > 0 && points_behind() ? call_room(call, logged_put) : logged_put(call, NULL);
}

static void
logged_done(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	struct call *call = op->user;
	struct logged *l = call->state;
	enum next next;

	/* The same keys, values and upserts again: safe to repeat. */
	if (outcome == DB_UNKNOWN && !l->again) {
		l->again = true;
		db_write(op);
		return;
	}
	if (outcome == DB_AWAY && l->again)
		outcome = DB_UNKNOWN; /* the first attempt may have been stored */
	next = call->fail.code != FAIL_NONE ? FAILED : call_outcome(call, result, outcome);
	if (next == NEXT) {
		live_changed(l->run_id);
		stats_stored(l->metric_count, 0);
	}
	call_step(call, next);
	call_release(call);
}

static enum next
logged_start(struct call *call, struct logged *l)
{
	l->op = (struct db_op){ .merger = &merger, .order = l->run_id, .done = logged_done, .user = call };
	call->state = l;
	return keys_resolve(call, l->names, l->metric_count + l->param_count + l->tag_count, logged_submit);
}

static double
clamp(double v)
{
	if (isinf(v))
		return v > 0 ? 1.7976931348623157e308 : -1.7976931348623157e308;
	return v == 0 ? 0 : v; /* no negative zero: it would be a second row of the same value */
}

/* ---- merging ---- */

#define PARAMS 29       /* of log_write */
#define POINTS_PARAMS 6 /* of log_points; log_known has one more */
#define SHORT_PARAM 11  /* no array */
#define CHANGES_PARAM 6 /* of log_known, no array */

struct arrays {
	struct db_param params[PARAMS];
	size_t logged; /* points that go into metric_log */
	int32_t short_be;
	int64_t changes_be;
};

struct columns {
	int32_t *req;
	int32_t *key;
	int64_t *step;
	int64_t *time;
	double *value;
	struct text *text;
	size_t n;
};

/* The long series of a batch: whose, and its first and last point in the columns, from 1. */
struct series {
	int32_t *req;
	int32_t *from;
	int32_t *to;
	size_t n;
};

static void
series_make(struct series *g, size_t n)
{
	g->req = malloc(n * 3 * sizeof(int32_t) + 1);
	PRECOND(g->req != NULL);
	g->from = g->req + n;
	g->to = g->from + n;
	g->n = 0;
}

static void
columns_make(struct columns *c, size_t n)
{
	/* One block; `text` is the widest and comes first for alignment. */
	char *block = malloc(n * (sizeof(struct text) + 2 * sizeof(int64_t) + sizeof(double) + 2 * sizeof(int32_t)) + 1);

	PRECOND(block != NULL);
	c->text = (struct text *)(void *)block;
	c->step = (int64_t *)(void *)(c->text + n);
	c->time = c->step + n;
	c->value = (double *)(void *)(c->time + n);
	c->req = (int32_t *)(void *)(c->value + n);
	c->key = c->req + n;
	c->n = 0;
}

static void
point_add(struct columns *c, size_t req, const struct point *p)
{
	c->req[c->n] = (int32_t)req;
	c->key[c->n] = p->key;
	c->step[c->n] = p->step;
	c->time[c->n] = p->time;
	c->value[c->n] = p->value;
	c->n++;
}

static void
pair_add(struct columns *c, size_t req, const struct pair *p)
{
	c->req[c->n] = (int32_t)req;
	c->key[c->n] = p->key;
	c->text[c->n] = p->value;
	c->n++;
}

static void
points_param(struct db_param *out, struct columns *c)
{
	out[0] = db_p_int4s(c->req, c->n);
	out[1] = db_p_int4s(c->key, c->n);
	out[2] = db_p_int8s(c->step, c->n, NULL);
	out[3] = db_p_int8s(c->time, c->n, NULL);
	out[4] = db_p_float8s(c->value, c->n);
	free(c->text);
}

static void
pairs_param(struct db_param *out, struct columns *c)
{
	out[0] = db_p_int4s(c->req, c->n);
	out[1] = db_p_int4s(c->key, c->n);
	out[2] = db_p_texts(c->text, c->n, NULL);
	free(c->text);
}

static struct logged *
logged_of(struct db_op *op)
{
	struct call *call = op->user;

	return call->state;
}

static void
models_param(struct db_param *out, struct db_op **ops, size_t n, size_t count)
{
	struct columns c;
	struct text *texts[4];
	bool *nulls[4];
	size_t i;
	size_t k;
	int t;

	columns_make(&c, count);
	for (t = 0; t < 4; t++) {
		texts[t] = malloc(count * sizeof(struct text) + 1);
		nulls[t] = calloc(count + 1, sizeof(bool));
		PRECOND(texts[t] != NULL && nulls[t] != NULL);
	}
	for (i = 0; i < n; i++) {
		struct logged *l = logged_of(ops[i]);

		for (k = 0; k < l->model_count; k++) {
			const struct model_point *p = &l->models[k];

			c.req[c.n] = (int32_t)i + 1;
			c.step[c.n] = p->step;
			c.time[c.n] = p->time;
			c.value[c.n] = p->value;
			texts[0][c.n] = p->model;
			texts[1][c.n] = p->key;
			texts[2][c.n] = p->dataset;
			texts[3][c.n] = p->digest;
			nulls[2][c.n] = p->dataset.s == NULL;
			nulls[3][c.n] = p->digest.s == NULL;
			c.n++;
		}
	}
	out[0] = db_p_int4s(c.req, c.n);
	out[1] = db_p_texts(texts[0], c.n, NULL);
	out[2] = db_p_texts(texts[1], c.n, NULL);
	out[3] = db_p_int8s(c.step, c.n, NULL);
	out[4] = db_p_int8s(c.time, c.n, NULL);
	out[5] = db_p_float8s(c.value, c.n);
	out[6] = db_p_texts(texts[2], c.n, nulls[2]);
	out[7] = db_p_texts(texts[3], c.n, nulls[3]);
	for (t = 0; t < 4; t++) {
		free(texts[t]);
		free(nulls[t]);
	}
	free(c.text);
}

/* From point `at` on: the first behind its series. */
static size_t
series_end(const struct logged *l, size_t at)
{
	size_t end = at + 1;

	while (end < l->metric_count && l->metrics[end].key == l->metrics[at].key)
		end++;
	return end;
}

/* The latest value of a series from `at` to before `end`: of equals the first to come. */
static const struct point *
series_latest(const struct logged *l, size_t at, size_t end)
{
	size_t last = end - 1;

	while (last > at && rank_compare(&l->metrics[last - 1], &l->metrics[last]) == 0)
		last--;
	return &l->metrics[last];
}

/* A request's short series, or its long ones: their points and the latest of each. */
static void
series_add(struct columns *m, struct columns *latest, struct series *g, size_t req, const struct logged *l, bool of_long)
{
	size_t at;
	size_t end;

	for (at = 0; at < l->metric_count; at = end) {
		end = series_end(l, at);
		if ((end - at >= LONG_SERIES) != of_long)
			continue;
		if (of_long) {
			g->req[g->n] = (int32_t)req;
			g->from[g->n] = (int32_t)m->n + 1;
			g->to[g->n++] = (int32_t)(m->n + end - at);
		}
		point_add(latest, req, series_latest(l, at, end));
		for (; at < end; at++)
			point_add(m, req, &l->metrics[at]);
	}
}

static void
series_param(struct db_param *out, struct series *g)
{
	out[0] = db_p_int4s(g->req, g->n);
	out[1] = db_p_int4s(g->from, g->n);
	out[2] = db_p_int4s(g->to, g->n);
	free(g->req);
}

/* How much all the requests of a batch hold. */
struct counts {
	size_t metrics, params, tags, models;
};

/* Nothing but points that go into metric_log; when all runs are known, by their numbers. */
static void
points_merge(struct db_op **ops, size_t n, const struct text *runs, size_t metrics, struct db_op *out)
{
	struct arrays *a = out->user;
	int64_t *numbers = malloc(n * sizeof(*numbers));
	struct columns m;
	bool known = true;
	size_t i;
	size_t k;

	PRECOND(numbers != NULL);
	columns_make(&m, metrics);
	for (i = 0; i < n; i++) {
		const struct logged *one = logged_of(ops[i]);

		known = known && run_number(runs[i], &numbers[i]);
		for (k = 0; k < one->metric_count; k++)
			point_add(&m, i + 1, &one->metrics[k]);
	}
	a->params[0] = known ? db_p_int8s(numbers, n, NULL) : db_p_texts(runs, n, NULL);
	points_param(&a->params[1], &m);
	a->changes_be = (int64_t)htobe64((uint64_t)run_numbers_changes());
	a->params[CHANGES_PARAM] = (struct db_param){ .bytes = known ? &a->changes_be : NULL, .n = sizeof(a->changes_be) };
	a->logged = metrics;
	free(numbers);
	out->statement = known ? SQL_log_known : SQL_log_points;
	out->param_count = known ? POINTS_PARAMS + 1 : POINTS_PARAMS;
}

static void
all_merge(struct db_op **ops, size_t n, const struct text *runs, struct counts of, struct db_op *out)
{
	struct arrays *a = out->user;
	bool direct = of.metrics >= n * DIRECT_POINTS;
	struct columns m, l, p, t;
	struct series g;
	size_t i;
	size_t k;

	columns_make(&m, of.metrics);
	columns_make(&l, direct ? of.metrics : 0);
	series_make(&g, direct ? of.metrics / LONG_SERIES : 0);
	columns_make(&p, of.params);
	columns_make(&t, of.tags);
	for (i = 0; i < n; i++) {
		struct logged *one = logged_of(ops[i]);

		if (direct)
			series_add(&m, &l, &g, i + 1, one, false);
		for (k = 0; !direct && k < one->metric_count; k++)
			point_add(&m, i + 1, &one->metrics[k]);
		for (k = 0; k < one->param_count; k++)
			pair_add(&p, i + 1, &one->params[k]);
		for (k = 0; k < one->tag_count; k++)
			pair_add(&t, i + 1, &one->tags[k]);
	}
	a->short_be = (int32_t)htobe32((uint32_t)m.n);
	for (i = 0; direct && i < n; i++)
		series_add(&m, &l, &g, i + 1, logged_of(ops[i]), true);
	a->params[0] = db_p_texts(runs, n, NULL);
	points_param(&a->params[1], &m);
	points_param(&a->params[6], &l);
	a->params[SHORT_PARAM] = (struct db_param){ .bytes = &a->short_be, .n = sizeof(a->short_be) };
	series_param(&a->params[12], &g);
	pairs_param(&a->params[15], &p);
	pairs_param(&a->params[18], &t);
	models_param(&a->params[21], ops, n, of.models);
	a->logged = direct ? 0 : of.metrics;
	out->statement = SQL_log_write;
	out->param_count = PARAMS;
}

static void
logged_merge(struct db_op **ops, size_t n, struct db_op *out)
{
	struct arrays *a = calloc(1, sizeof(*a));
	struct text *runs = malloc(n * sizeof(*runs));
	struct counts of = { 0 };
	size_t i;

	PRECOND(a != NULL && runs != NULL);
	for (i = 0; i < n; i++) {
		struct logged *one = logged_of(ops[i]);

		runs[i] = one->run_id;
		of.metrics += one->metric_count;
		of.params += one->param_count;
		of.tags += one->tag_count;
		of.models += one->model_count;
	}
	out->user = a;
	out->params = a->params;
	if (of.metrics > 0 && of.metrics < n * DIRECT_POINTS && of.params + of.tags + of.models == 0)
		points_merge(ops, n, runs, of.metrics, out);
	else
		all_merge(ops, n, runs, of, out);
	free(runs);
}

static void
arrays_free(struct arrays *a)
{
	size_t i;

	for (i = 0; i < PARAMS; i++)
		if (a->params[i].bytes != &a->short_be && a->params[i].bytes != &a->changes_be)
			db_p_array_free(&a->params[i]);
	free(a);
}

/* Columns of log_write: a row for each request that is refused; of log_points: for each one. */
enum { OUT_REQ, OUT_PROBLEM, OUT_KEY, OUT_OLD, OUT_NEW };
enum { OUT_NUMBER = 2, OUT_CHANGES };

static void
param_changed(struct call *call, const struct logged *l, const PGresult *r, int row)
{
	struct text key = key_json(db_int4(r, row, OUT_KEY));
	struct text name = key.n >= 2 ? (struct text){ key.s + 1, key.n - 2 } : TEXT("?");
	struct text repr = python_repr(call->arena, name);

	if (l->single) {
		(void)call_fail(call, INVALID_PARAMETER_VALUE, "Changing param values is not allowed. Param with key='%.*s' was already logged with value='%.*s' for run ID='%.*s'. Attempted logging new value '%.*s'.",
		    TEXT_ARG(name), TEXT_ARG(db_text(r, row, OUT_OLD)), TEXT_ARG(l->run_id), TEXT_ARG(db_text(r, row, OUT_NEW)));
		return;
	}
	if (call->fail.code == FAIL_NONE) {
		(void)call_fail(call, INVALID_PARAMETER_VALUE, "Changing param values is not allowed. Params were already logged='[{'key': %.*s, 'old_value': %.*s, 'new_value': %.*s}]' for run ID='%.*s'.", TEXT_ARG(repr),
		    TEXT_ARG(python_repr(call->arena, db_text(r, row, OUT_OLD))), TEXT_ARG(python_repr(call->arena, db_text(r, row, OUT_NEW))), TEXT_ARG(l->run_id));
	} else {
		/* One more in the list: before the closing bracket. */
		struct text m = call->fail.message;
		const char *tail = memmem(m.s, m.n, "}]' for run ID='", 16);
		size_t head = tail == NULL ? m.n : (size_t)(tail - m.s) + 1;

		call->fail.message = text_format(call->arena, "%.*s, {'key': %.*s, 'old_value': %.*s, 'new_value': %.*s}]' for run ID='%.*s'.", (int)head, m.s, TEXT_ARG(repr),
		    TEXT_ARG(python_repr(call->arena, db_text(r, row, OUT_OLD))), TEXT_ARG(python_repr(call->arena, db_text(r, row, OUT_NEW))), TEXT_ARG(l->run_id));
	}
}

static void
refused(struct call *call, const PGresult *r, int row)
{
	const struct logged *l = call->state;

	switch (db_int4(r, row, OUT_PROBLEM)) {
	case 1:
		(void)call_fail(call, RESOURCE_DOES_NOT_EXIST, "Run with id=%.*s not found", TEXT_ARG(l->run_id));
		break;
	case 2:
		(void)call_fail(call, INVALID_PARAMETER_VALUE, "The run %.*s must be in the 'active' state. Current state is deleted.", TEXT_ARG(l->run_id));
		break;
	case 4:
		(void)call_fail(call, BAD_REQUEST, "Logged model with ID '%.*s' not found.", TEXT_ARG(db_text(r, row, OUT_NEW)));
		break;
	default:
		param_changed(call, l, r, row);
	}
}

/* What PostgreSQL says of each request, and of its run. */
static void
answers_take(struct db_op **ops, size_t n, const struct db_statement *statement, const PGresult *result)
{
	int row;

	for (row = 0; row < PQntuples(result); row++) {
		int32_t req = db_int4(result, row, OUT_REQ);
		struct db_op *op;

		PRECOND(req >= 1 && (size_t)req <= n);
		op = ops[req - 1];
		if (db_int4(result, row, OUT_PROBLEM) != 0)
			refused(op->user, result, row);
		else if (statement == SQL_log_points)
			run_number_learn(logged_of(op)->run_id, db_int8(result, row, OUT_NUMBER), db_int8(result, row, OUT_CHANGES));
	}
}

static void
logged_split(struct db_op **ops, size_t n, struct db_op *merged, PGresult *result, enum db_outcome outcome)
{
	struct arrays *a = merged->user;
	size_t logged = a->logged;
	size_t i;

	arrays_free(a);
	if (n == 0)
		return;
	if (outcome == DB_OK && merged->statement == SQL_log_known && strcmp(PQcmdTuples(result), "0") == 0) {
		/* Not stored: a run was deleted or restored somewhere. */
		run_numbers_forget();
		for (i = 0; i < n; i++)
			db_write(ops[i]);
		return;
	}
	/* Before any client is answered: its next read waits for the move. Also when nobody is left to be answered. */
	if (outcome == DB_OK || outcome == DB_UNKNOWN)
		points_logged(logged);
	if (outcome == DB_OK)
		answers_take(ops, n, merged->statement, result);
	for (i = 0; i < n; i++)
		ops[i]->done(ops[i], result, outcome);
}

/* ---- fields and endpoints ---- */

static const struct field metric_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .required = true, .alias = "run_uuid" },
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_DOUBLE, .required = true },
	{ .name = "timestamp", .type = F_INT, .required = true },
	{ .name = "step", .type = F_INT, .fallback = 0, .has_fallback = true },
	{ .name = "model_id", .type = F_TEXT },
	{ .name = "dataset_name", .type = F_TEXT },
	{ .name = "dataset_digest", .type = F_TEXT },
	FIELDS_END,
};
enum { M_RUN, M_KEY, M_VALUE, M_TIME, M_STEP, M_MODEL, M_DATASET, M_DIGEST };

static const struct field pair_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .required = true, .alias = "run_uuid" },
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_TEXT },
	FIELDS_END,
};
enum { P_RUN, P_KEY, P_VALUE };

static const struct field batch_metric_fields[] = {
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_DOUBLE, .required = true },
	{ .name = "timestamp", .type = F_INT, .required = true },
	{ .name = "step", .type = F_INT, .fallback = 0, .has_fallback = true },
	{ .name = "model_id", .type = F_TEXT },
	{ .name = "dataset_name", .type = F_TEXT },
	{ .name = "dataset_digest", .type = F_TEXT },
	{ .name = "run_id", .type = F_TEXT },
	FIELDS_END,
};
enum { B_KEY, B_VALUE, B_TIME, B_STEP, B_MODEL, B_DATASET, B_DIGEST };

static const struct field batch_pair_fields[] = {
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_TEXT },
	FIELDS_END,
};

static const struct field batch_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .required = true, .alias = "run_uuid" },
	{ .name = "metrics", .type = F_OBJECTS, .fields = batch_metric_fields },
	{ .name = "params", .type = F_OBJECTS, .fields = batch_pair_fields },
	{ .name = "tags", .type = F_OBJECTS, .fields = batch_pair_fields },
	FIELDS_END,
};

/* How a message calls a member of item i of a list, worked out only for one. */
static const char *
at(struct call *call, const char *list, size_t i, const char *name)
{
	return text_z(call->arena, text_format(call->arena, "%s[%zu].%s", list, i, name));
}

static bool
metric_valid(struct call *call, struct text key, int64_t time, double value, const char *list, size_t i)
{
	bool alone = list == NULL;
	struct buf shown = { 0 };

	if (time < 0) {
		buf_double(&shown, value);
		call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid value %lld for parameter '%s' supplied: metric '%.*s' (value=%.*s). Timestamp must be a nonnegative long (64-bit integer) ", (long long)time,
		    alone ? "timestamp" : at(call, list, i, "timestamp"), TEXT_ARG(key), (int)shown.n, shown.s);
		buf_free(&shown);
		return false;
	}
	return name_plain(key, KEY_MOST) || (name_valid(call, key, alone || key.n == 0 ? "name" : at(call, list, i, "name")) && length_valid(call, key, KEY_MOST, "Metric name"));
}

static void
metric_take(struct logged *l, const struct value *v, int key, int val, int time, int step, int model)
{
	l->names[l->metric_count] = v[key].text;
	l->metrics[l->metric_count] = (struct point){ .at = (int32_t)l->metric_count, .step = v[step].i, .time = v[time].i, .value = clamp(v[val].d) };
	l->metric_count++;
	if (v[model].given && v[model].text.n > 0)
		l->models[l->model_count++] = (struct model_point){ .model = v[model].text, .key = v[key].text, .step = v[step].i, .time = v[time].i, .value = clamp(v[val].d), .dataset = v[model + 1].text, .digest = v[model + 2].text };
}

static struct logged *
logged_new(struct call *call, size_t metrics, size_t params, size_t tags)
{
	struct logged *l = ARENA_NEW(call->arena, struct logged);

	l->names = arena_array(call->arena, metrics + params + tags, sizeof(*l->names));
	l->metrics = arena_array(call->arena, metrics, sizeof(*l->metrics));
	l->models = arena_array(call->arena, metrics, sizeof(*l->models));
	l->params = arena_array(call->arena, params, sizeof(*l->params));
	l->tags = arena_array(call->arena, tags, sizeof(*l->tags));
	l->run_id = call->values[0].text;
	return l;
}

static enum next
log_metric(struct call *call)
{
	const struct value *v = call->values;
	struct logged *l = logged_new(call, 1, 0, 0);

	if (!metric_valid(call, v[M_KEY].text, v[M_TIME].i, v[M_VALUE].d, NULL, 0))
		return FAILED;
	metric_take(l, v, M_KEY, M_VALUE, M_TIME, M_STEP, M_MODEL);
	return logged_start(call, l);
}

static enum next
log_param(struct call *call)
{
	const struct value *v = call->values;
	struct logged *l = logged_new(call, 0, 1, 0);

	if (!name_valid(call, v[P_KEY].text, "key") || !length_valid(call, v[P_KEY].text, KEY_MOST, "Param key"))
		return FAILED;
	l->names[0] = v[P_KEY].text;
	l->params[0].value = length_cut(v[P_VALUE].text.s == NULL ? TEXT("") : v[P_VALUE].text, PARAM_MOST);
	l->param_count = 1;
	l->single = true;
	return logged_start(call, l);
}

static enum next
set_tag(struct call *call)
{
	const struct value *v = call->values;
	struct logged *l = logged_new(call, 0, 0, 1);

	if (!name_valid(call, v[P_KEY].text, "key") || !length_valid(call, v[P_KEY].text, KEY_MOST, "key"))
		return FAILED;
	l->names[0] = v[P_KEY].text;
	l->tags[0].value = length_cut(v[P_VALUE].text.s == NULL ? TEXT("") : v[P_VALUE].text, TAG_MOST);
	/* An empty run name is no name: the run is looked up, nothing is changed. */
	l->tag_count = l->tags[0].value.n == 0 && text_is(v[P_KEY].text, "mlflow.runName") ? 0 : 1;
	return logged_start(call, l);
}

static bool
batch_limit(struct call *call, const char *what, size_t most, size_t n)
{
	if (n <= most)
		return true;
	return call_refuse(call, INVALID_PARAMETER_VALUE, "A batch logging request can contain at most %zu %s. Got %zu %s. Please split up %s across multiple requests and try again.", most, what, n, what, what);
}

static bool
params_unique(struct call *call, const struct value *params)
{
	struct buf twice = { 0 };
	size_t i;
	size_t k;
	bool good;

	for (i = 0; i < params->count; i++) {
		for (k = 0; k < i; k++)
			if (text_eq(params->items[i].fields[0].text, params->items[k].fields[0].text))
				break;
		if (k < i) {
			struct text repr = python_repr(call->arena, params->items[i].fields[0].text);

			buf_puts(&twice, twice.n > 0 ? ", " : "");
			buf_text(&twice, repr);
		}
	}
	good = twice.n == 0 || call_refuse(call, INVALID_PARAMETER_VALUE, "Duplicate parameter keys have been submitted: [%.*s]. Please ensure the request contains only one param value per param key.", (int)twice.n, twice.s);
	buf_free(&twice);
	return good;
}

static bool
pairs_take(struct call *call, struct logged *l, const struct value *list, const char *name, bool params)
{
	size_t i;

	for (i = 0; i < list->count; i++) {
		const struct value *f = list->items[i].fields;
		struct text value = f[1].text.s == NULL ? TEXT("") : f[1].text;
		struct pair *out;

		if (!params && value.n == 0 && text_is(f[0].text, "mlflow.runName"))
			continue;
		out = params ? &l->params[l->param_count++] : &l->tags[l->tag_count++];
		if (!name_plain(f[0].text, KEY_MOST) && (!name_valid(call, f[0].text, at(call, name, i, "key")) || !length_valid(call, f[0].text, KEY_MOST, params ? "Param key" : at(call, name, i, "key"))))
			return false;
		l->names[l->metric_count + l->param_count + l->tag_count - 1] = f[0].text;
		out->value = length_cut(value, params ? PARAM_MOST : TAG_MOST);
	}
	return true;
}

static enum next
log_batch(struct call *call)
{
	const struct value *metrics = &call->values[1];
	const struct value *params = &call->values[2];
	const struct value *tags = &call->values[3];
	struct logged *l;
	size_t i;

	if (!run_id_valid(call, call->values[0].text) || !batch_limit(call, "metrics", METRICS_MOST, metrics->count) || !batch_limit(call, "params", PARAMS_MOST, params->count) ||
	    !batch_limit(call, "tags", PARAMS_MOST, tags->count) || !batch_limit(call, "metrics, params, and tags", ENTITIES_MOST, metrics->count + params->count + tags->count))
		return FAILED;
	l = logged_new(call, metrics->count, params->count, tags->count);
	for (i = 0; i < metrics->count; i++) {
		const struct value *f = metrics->items[i].fields;

		if (!metric_valid(call, f[B_KEY].text, f[B_TIME].i, f[B_VALUE].d, "metrics", i))
			return FAILED;
		metric_take(l, f, B_KEY, B_VALUE, B_TIME, B_STEP, B_MODEL);
	}
	if (!pairs_take(call, l, params, "params", true) || !pairs_take(call, l, tags, "tags", false) || !params_unique(call, params))
		return FAILED;
	return logged_start(call, l);
}

const struct endpoint logging_endpoints[] = {
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/runs/log-metric",
	    .access = ACCESS_EDIT,
	    .on = RUN("run_id"),
	    .fields = metric_fields,
	    .run = log_metric,
	    .doc = "Logs one metric point; timestamp in milliseconds.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/runs/log-parameter",
	    .access = ACCESS_EDIT,
	    .on = RUN("run_id"),
	    .fields = pair_fields,
	    .run = log_param,
	    .doc = "Logs one param; values over 6000 characters are cut. A param never changes.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/runs/set-tag",
	    .access = ACCESS_EDIT,
	    .on = RUN("run_id"),
	    .fields = pair_fields,
	    .run = set_tag,
	    .doc = "Sets one tag of a run; values over 8000 characters are cut.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/runs/log-batch",
	    .access = ACCESS_EDIT,
	    .on = RUN("run_id"),
	    .fields = batch_fields,
	    .run = log_batch,
	    .doc = "Logs up to 1000 metrics, 100 params and 100 tags, all or nothing.",
	},
};
const struct endpoint_table logging_table = ENDPOINT_TABLE(logging_endpoints);

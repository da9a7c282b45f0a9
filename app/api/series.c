/* Whole series of points from both tiers. */
#include "api/series.h"

#include <math.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <endian.h>

#include "base/log.h"
#include "sql_queries.h"

struct reading {
	struct series *all;
	size_t n;
	size_t left; /* results to come */
	enum next (*print)(struct call *, struct series *, size_t n);
	struct part *parts;
	void *before;
	bool failed;
};

/* One run's two reads. */
struct part {
	struct call *call;
	struct series *series;
	struct db_op hot;
	struct db_op sealed;
	struct db_param params[4];
	int64_t start, end;
};

/* ---- order ---- */

/* MLflow stores a NaN as 0 with a mark beside it, and sorts by what it stores. */
static int
number_compare(double a, double b)
{
	double x = isnan(a) ? 0 : a;
	double y = isnan(b) ? 0 : b;

	if (x != y)
		return x < y ? -1 : 1;
	return (isnan(a) ? 1 : 0) - (isnan(b) ? 1 : 0);
}

static int
by_time(const void *a, const void *b)
{
	const struct sample *x = a;
	const struct sample *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	return number_compare(x->value, y->value);
}

static int
by_step(const void *a, const void *b)
{
	const struct sample *x = a;
	const struct sample *y = b;

	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return number_compare(x->value, y->value);
}

void
series_sort(struct series *s, enum series_order order)
{
	int (*compare)(const void *, const void *) = order == SERIES_BY_STEP ? by_step : by_time;
	size_t i;

	for (i = 1; i < s->count; i++)
		if (compare(&s->samples[i - 1], &s->samples[i]) > 0)
			break;
	if (i < s->count)
		qsort(s->samples, s->count, sizeof(*s->samples), compare);
}

static void
equals_drop(struct series *s)
{
	size_t i;
	size_t n = 0;

	series_sort(s, SERIES_BY_STEP);
	for (i = 0; i < s->count; i++) {
		if (i == 0 || s->samples[i].time < s->first_time)
			s->first_time = s->samples[i].time;
		if (n == 0 || by_step(&s->samples[n - 1], &s->samples[i]) != 0)
			s->samples[n++] = s->samples[i];
	}
	s->count = n;
}

static struct sample *
sample_add(struct series *s, size_t more)
{
	if (s->count + more > s->cap) {
		s->cap = s->cap * 2 > s->count + more ? s->cap * 2 : s->count + more;
		s->samples = realloc(s->samples, s->cap * sizeof(*s->samples));
		PRECOND(s->samples != NULL);
	}
	s->count += more;
	return &s->samples[s->count - more];
}

/* ---- PostgreSQL's arrays ---- */

struct array {
	const char *bytes; /* of the first element's length word */
	size_t n;
};

/* One-dimensional, no nulls: dims, flags, type, size, lower bound, then (length, bytes) each. */
static struct array
array_of(const PGresult *r, int row, int c)
{
	struct text t = db_text(r, row, c);
	uint32_t words[5];

	if (db_null(r, row, c) || t.n < 20)
		return (struct array){ NULL, 0 };
	memcpy(words, t.s, sizeof(words));
	return (struct array){ t.s + 20, ntohl(words[3]) };
}

static int64_t
array_int8(const struct array *a, size_t i)
{
	uint64_t v;

	memcpy(&v, a->bytes + i * 12 + 4, sizeof(v));
	return (int64_t)be64toh(v);
}

static int32_t
array_int4(const struct array *a, size_t i)
{
	uint32_t v;

	memcpy(&v, a->bytes + i * 8 + 4, sizeof(v));
	return (int32_t)ntohl(v);
}

static double
array_float8(const struct array *a, size_t i)
{
	uint64_t v;
	double d;

	memcpy(&v, a->bytes + i * 12 + 4, sizeof(v));
	v = be64toh(v);
	memcpy(&d, &v, sizeof(d));
	return d;
}

/* Columns of metric_chunks. */
enum { CH_POINTS, CH_FIRST_STEP, CH_STEP_BY, CH_STEPS, CH_FIRST_TIME, CH_DELTAS, CH_TIMES, CH_VALUES };

static void
chunk_take(struct part *part, const PGresult *r, int row)
{
	struct array steps = array_of(r, row, CH_STEPS);
	struct array deltas = array_of(r, row, CH_DELTAS);
	struct array times = array_of(r, row, CH_TIMES);
	struct array values = array_of(r, row, CH_VALUES);
	int64_t step = db_int8(r, row, CH_FIRST_STEP);
	int64_t by = db_null(r, row, CH_STEP_BY) ? 0 : db_int8(r, row, CH_STEP_BY);
	int64_t time = db_int8(r, row, CH_FIRST_TIME);
	size_t n = (size_t)db_int4(r, row, CH_POINTS);
	struct sample *out;
	size_t used = 0;
	size_t i;

	PRECOND(values.n == n && (steps.n == 0 || steps.n == n) && (deltas.n == 0 || deltas.n == n) && (times.n == 0 || times.n == n));
	out = sample_add(part->series, n);
	for (i = 0; i < n; i++) {
		struct sample s = { .step = steps.n > 0 ? array_int8(&steps, i) : step + (int64_t)i * by, .value = array_float8(&values, i) };

		if (deltas.n > 0)
			time += array_int4(&deltas, i);
		s.time = times.n > 0 ? array_int8(&times, i) : time;
		if (s.step >= part->start && s.step <= part->end)
			out[used++] = s;
	}
	part->series->count -= n - used;
}

/* ---- reading ---- */

static void
reading_free(struct reading *reading)
{
	size_t i;

	for (i = 0; i < reading->n; i++)
		free(reading->all[i].samples);
}

static void
part_ended(struct part *part, enum next outcome)
{
	struct call *call = part->call;
	struct reading *reading = call->state;
	enum next next = FAILED;
	size_t i;

	if (outcome == FAILED)
		reading->failed = true;
	if (--reading->left == 0) {
		call->state = reading->before; /* the noun's own */
		if (!reading->failed) {
			for (i = 0; i < reading->n; i++)
				equals_drop(&reading->all[i]);
			next = reading->print(call, reading->all, reading->n);
		}
		reading_free(reading);
		call_step(call, next);
	}
	call_release(call);
}

static void
hot_done(struct db_op *op, PGresult *r, enum db_outcome outcome)
{
	struct part *part = op->user;
	enum next next = call_outcome(part->call, r, outcome);
	int rows = next == NEXT ? PQntuples(r) : 0;
	struct sample *s = rows > 0 ? sample_add(part->series, (size_t)rows) : NULL;
	size_t n = 0;
	int i;

	for (i = 0; i < rows; i++) {
		struct sample one = { db_int8(r, i, 0), db_int8(r, i, 1), db_float8(r, i, 2) };

		if (one.step >= part->start && one.step <= part->end)
			s[n++] = one;
	}
	part->series->count -= (size_t)rows - n;
	part_ended(part, next);
}

static void
sealed_done(struct db_op *op, PGresult *r, enum db_outcome outcome)
{
	struct part *part = op->user;
	enum next next = call_outcome(part->call, r, outcome);
	int i;

	if (next == NEXT)
		for (i = 0; i < PQntuples(r); i++)
			chunk_take(part, r, i);
	part_ended(part, next);
}

enum next
series_read(struct call *call, const struct value *runs, struct text key, const int64_t *start, const int64_t *end, bool times, enum next (*print)(struct call *, struct series *, size_t n))
{
	struct reading *reading = ARENA_NEW(call->arena, struct reading);
	size_t i;

	reading->n = runs->items != NULL ? runs->count : 1;
	if (reading->n == 0)
		return print(call, NULL, 0); /* of no run nothing will come back */
	reading->all = arena_array(call->arena, reading->n, sizeof(*reading->all));
	reading->parts = arena_array(call->arena, reading->n, sizeof(*reading->parts));
	reading->left = 2 * reading->n;
	reading->print = print;
	reading->before = call->state;
	call->state = reading;
	for (i = 0; i < reading->n; i++) {
		struct part *part = &reading->parts[i];

		part->call = call;
		part->series = &reading->all[i];
		part->series->run_id = runs->items != NULL ? runs->items[i].text : runs->text;
		part->start = start != NULL ? *start : INT64_MIN;
		part->end = end != NULL ? *end : INT64_MAX;
		part->params[0] = db_p_text(call->arena, part->series->run_id);
		part->params[1] = db_p_text(call->arena, key);
		part->hot = (struct db_op){ .statement = SQL_metric_history, .params = part->params, .param_count = 2, .done = hot_done, .user = part };
		part->sealed = (struct db_op){ .statement = times ? SQL_metric_chunks : SQL_metric_chunks_by_step, .params = part->params, .param_count = 2, .done = sealed_done, .user = part };
	}
	for (i = 0; i < reading->n; i++) {
		call_submit_read(call, &reading->parts[i].hot);
		call_submit_read(call, &reading->parts[i].sealed);
	}
	return WAIT;
}

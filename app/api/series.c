/* Whole series of points from both tiers. */
#include "api/page.h"
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
	size_t left; /* series to come */
	struct chart_asked chart;
	bool with_blocks;
	series_print print;
	struct part *parts;
	void *before;
	bool failed;
};

/* What is known of a chunk's row, to see whether its points may stay summed up. */
struct row {
	int32_t chunk; /* -1: the hot points */
	bool opened;   /* its points are among the samples */
	struct sample first, last; /* (step, time) */
};

/* One run's read. */
struct part {
	struct call *call;
	struct series *series;
	struct db_op op;
	struct db_param params[7];
	int64_t start, end; /* steps wanted */
	int tries;
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

static int16_t
array_int2(const struct array *a, size_t i)
{
	uint16_t v;

	memcpy(&v, a->bytes + i * 6 + 4, sizeof(v));
	return (int16_t)ntohs(v);
}

/* Columns of metric_series. */
enum { C_CHUNK, C_STATE, C_POINTS, C_FIRST_STEP, C_LAST_STEP, C_FIRST_TIME, C_LAST_TIME, C_STEP_BY, C_STEPS, C_DELTAS, C_TIMES, C_VALUES, C_NUMBERS, C_MIN, C_MAX, C_TOTAL };
enum { OUTSIDE, BLOCKS, POINTS };
#define BLOCK_POINTS 64

/* Points of one chunk, or the hot ones. */
static void
points_take(struct part *part, const PGresult *r, int row)
{
	struct array steps = array_of(r, row, C_STEPS);
	struct array deltas = array_of(r, row, C_DELTAS);
	struct array times = array_of(r, row, C_TIMES);
	struct array values = array_of(r, row, C_VALUES);
	int64_t step = db_int8(r, row, C_FIRST_STEP);
	int64_t by = db_null(r, row, C_STEP_BY) ? 0 : db_int8(r, row, C_STEP_BY);
	int64_t time = db_int8(r, row, C_FIRST_TIME);
	size_t n = (size_t)db_int4(r, row, C_POINTS);
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

/* Blocks of one chunk. */
static void
blocks_take(struct part *part, enum series_axis axis, const PGresult *r, int row)
{
	struct series *s = part->series;
	struct array steps = array_of(r, row, C_STEPS);
	struct array times = array_of(r, row, C_TIMES);
	struct array last = array_of(r, row, C_VALUES);
	struct array numbers = array_of(r, row, C_NUMBERS);
	struct array min = array_of(r, row, C_MIN);
	struct array max = array_of(r, row, C_MAX);
	struct array total = array_of(r, row, C_TOTAL);
	int64_t step = db_int8(r, row, C_FIRST_STEP);
	int64_t by = db_null(r, row, C_STEP_BY) ? 0 : db_int8(r, row, C_STEP_BY);
	size_t points = (size_t)db_int4(r, row, C_POINTS);
	size_t n = (points + BLOCK_POINTS - 1) / BLOCK_POINTS;
	size_t i;

	PRECOND(times.n == n && last.n == n && min.n == n && max.n == n && total.n == n && (steps.n == 0 || steps.n == n) && (numbers.n == 0 || numbers.n == n));
	if (s->block_count + n > s->block_cap) {
		s->block_cap = s->block_cap * 2 > s->block_count + n ? s->block_cap * 2 : s->block_count + n;
		s->blocks = realloc(s->blocks, s->block_cap * sizeof(*s->blocks));
		PRECOND(s->blocks != NULL);
	}
	for (i = 0; i < n; i++) {
		struct block *b = &s->blocks[s->block_count++];

		b->first.step = steps.n > 0 ? array_int8(&steps, i) : step + (int64_t)(i * BLOCK_POINTS) * by;
		b->first.time = array_int8(&times, i);
		b->first.value = array_float8(&last, i);
		b->n = i + 1 < n ? BLOCK_POINTS : points - i * BLOCK_POINTS;
		b->numbers = numbers.n > 0 ? (size_t)array_int2(&numbers, i) : b->n;
		b->min = array_float8(&min, i);
		b->max = array_float8(&max, i);
		b->total = array_float8(&total, i);
		b->end = axis == AXIS_STEP ? db_int8(r, row, C_LAST_STEP) : db_int8(r, row, C_LAST_TIME);
		if (i > 0)
			b[-1].end = axis == AXIS_STEP ? b->first.step : b->first.time;
	}
}

/* ---- may blocks stay closed? ---- */

double
series_x(const struct series *s, enum series_axis axis, const struct sample *p)
{
	if (axis == AXIS_STEP)
		return (double)p->step;
	if (axis == AXIS_TIME)
		return (double)p->time;
	return ((double)p->time - (double)s->first_time) / 1000.0;
}

/* (step, time) only. */
static bool
before(const struct sample *a, const struct sample *b)
{
	return a->step < b->step || (a->step == b->step && a->time < b->time);
}

bool
series_before(enum series_axis axis, const struct sample *a, const struct sample *b)
{
	return axis == AXIS_STEP ? before(a, b) : a->time < b->time || (a->time == b->time && a->step < b->step);
}

static int
int64_order(const void *a, const void *b)
{
	const int64_t *x = a;
	const int64_t *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* A closed row's times rise. */
static void
first_time_find(struct series *s, const struct row *rows, size_t n)
{
	size_t i;

	s->first_time = INT64_MAX;
	for (i = 0; i < s->count; i++)
		if (s->samples[i].time < s->first_time)
			s->first_time = s->samples[i].time;
	for (i = 0; i < n; i++)
		if (!rows[i].opened && rows[i].first.time < s->first_time)
			s->first_time = rows[i].first.time;
}

/* Is one of the hot points, in order of (step, time), within the row's? */
static bool
hot_within(const struct sample *hot, size_t n, const struct row *row)
{
	size_t low = 0;
	size_t high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (before(&hot[middle], &row->first))
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && !before(&row->last, &hot[low]);
}

static bool
time_within(const int64_t *times, size_t n, const struct row *row)
{
	size_t low = 0;
	size_t high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (times[middle] < row->first.time)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && times[low] <= row->last.time;
}

/* Marks the row to be read point by point; counts those that were not yet. */
static void
open_row(struct row *row, size_t *opened)
{
	*opened += row->opened ? 0 : 1;
	row->opened = true;
}

/* Rows that share a stretch of (step, time), or of time where the chart runs over it, with other rows or with samples are read point by point: only then can equals be dropped and points be ordered. */
static size_t
overlaps_open(struct reading *reading, const struct series *s, struct row *rows, size_t n, size_t hot)
{
	int64_t *times = NULL;
	struct row *far = NULL;  /* the row that reaches farthest */
	struct row *late = NULL; /* the closed one that reaches farthest in time */
	size_t opened = 0;
	size_t i;

	if (reading->chart.axis != AXIS_STEP) {
		times = malloc((s->count + 1) * sizeof(*times));
		PRECOND(times != NULL);
		for (i = 0; i < s->count; i++)
			times[i] = s->samples[i].time;
		qsort(times, s->count, sizeof(*times), int64_order);
	}
	for (i = 0; i < n; i++) {
		struct row *row = &rows[i];

		if (far != NULL && !before(&far->last, &row->first)) {
			open_row(row, &opened);
			open_row(far, &opened);
		}
		if (far == NULL || before(&far->last, &row->last))
			far = row;
		if (row->opened)
			continue;
		if (hot_within(s->samples + s->count - hot, hot, row) || (times != NULL && time_within(times, s->count, row)))
			open_row(row, &opened);
		if (times != NULL && late != NULL && row->first.time < late->last.time) {
			open_row(row, &opened);
			open_row(late, &opened);
		}
		if (late == NULL || late->last.time <= row->last.time)
			late = row;
	}
	free(times);
	return opened;
}

/* A block wider than a bucket is read point by point; false: everything is, there being so few points that each is drawn. */
static bool
blocks_fit(struct reading *reading, struct series *s, struct row *rows, size_t n, size_t *opened)
{
	const struct chart_asked *chart = &reading->chart;
	double low = INFINITY;
	double high = -INFINITY;
	size_t inside = 0;
	size_t at = 0;
	size_t i;

	for (i = 0; i < s->count; i++) {
		double x = series_x(s, chart->axis, &s->samples[i]);

		if ((chart->start != NULL && x < *chart->start) || (chart->end != NULL && x > *chart->end))
			continue;
		low = fmin(low, x);
		high = fmax(high, x);
		inside++;
	}
	for (i = 0; i < s->block_count; i++) {
		struct sample end = { .step = s->blocks[i].end, .time = s->blocks[i].end };

		low = fmin(low, series_x(s, chart->axis, &s->blocks[i].first));
		high = fmax(high, series_x(s, chart->axis, &end));
		inside += s->blocks[i].n;
	}
	if (inside <= 2 * chart->buckets)
		return false;
	for (i = 0; i < s->block_count; i++) {
		const struct block *b = &s->blocks[i];
		struct sample end = { .step = b->end, .time = b->end };

		if (series_x(s, chart->axis, &end) - series_x(s, chart->axis, &b->first) <= (high - low) / (double)chart->buckets)
			continue;
		/* The last row that begins at or before the block. */
		while (at + 1 < n && !before(&b->first, &rows[at + 1].first))
			at++;
		open_row(&rows[at], opened);
	}
	return true;
}

/* ---- reading ---- */

static void
series_clear(struct series *s)
{
	free(s->samples);
	free(s->blocks);
	*s = (struct series){ .run_id = s->run_id };
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
		if (!reading->failed)
			next = reading->print(call, reading->all, reading->n);
		for (i = 0; i < reading->n; i++)
			series_clear(&reading->all[i]);
		call_step(call, next);
	}
	call_release(call);
}

/* Rows into samples and blocks. False: some chunks must be read again, point by point; the params say which. */
static bool
part_take(struct part *part, struct reading *reading, const PGresult *r)
{
	struct series *s = part->series;
	struct row *rows = arena_array(part->call->arena, (size_t)PQntuples(r) + 1, sizeof(*rows));
	size_t sealed = 0; /* rows of chunks */
	size_t hot = 0;    /* points, the last of the samples */
	size_t opened = 0;
	bool fits = true;
	int i;

	for (i = 0; i < PQntuples(r); i++) {
		int32_t state = db_int4(r, i, C_STATE);

		if (db_int4(r, i, C_CHUNK) >= 0)
			rows[sealed++] = (struct row){
				.chunk = db_int4(r, i, C_CHUNK),
				.opened = state == POINTS,
				.first = { .step = db_int8(r, i, C_FIRST_STEP), .time = db_int8(r, i, C_FIRST_TIME) },
				.last = { .step = db_int8(r, i, C_LAST_STEP), .time = db_int8(r, i, C_LAST_TIME) },
			};
		else
			hot = (size_t)db_int4(r, i, C_POINTS);
		if (state == POINTS)
			points_take(part, r, i);
		else
			s->more += (size_t)db_int4(r, i, C_POINTS);
		if (state == BLOCKS)
			blocks_take(part, reading->chart.axis, r, i);
	}
	if (!reading->with_blocks)
		return true;
	first_time_find(s, rows, sealed);
	if (s->more == 0)
		return true;
	opened = overlaps_open(reading, s, rows, sealed, hot);
	if (opened == 0 && s->block_count > 0)
		fits = blocks_fit(reading, s, rows, sealed, &opened);
	if (fits && opened == 0)
		return true;
	if (fits && part->tries++ < 2) {
		int32_t *chunks = arena_array(part->call->arena, sealed, sizeof(*chunks));
		size_t n = 0;
		size_t k;

		for (k = 0; k < sealed; k++)
			if (rows[k].opened)
				chunks[n++] = rows[k].chunk;
		part->params[6] = call_keep_param(part->call, db_p_int4s(chunks, n));
	} else {
		part->params[3] = part->params[4] = part->params[6] = db_p_null(); /* all of it */
	}
	return false;
}

static void
part_done(struct db_op *op, PGresult *r, enum db_outcome outcome)
{
	struct part *part = op->user;
	struct reading *reading = part->call->state;
	enum next next = call_outcome(part->call, r, outcome);

	if (next == NEXT && !part_take(part, reading, r)) {
		series_clear(part->series);
		call_submit_read(part->call, &part->op);
		call_release(part->call);
		return;
	}
	if (next == NEXT)
		equals_drop(part->series);
	part_ended(part, next);
}

static enum next
reading_start(struct call *call, struct reading *reading, const struct value *runs, struct text key, const int64_t *start, const int64_t *end, series_print print)
{
	struct db_param limits[2];
	size_t i;

	reading->n = runs->items != NULL ? runs->count : 1;
	if (reading->n == 0)
		return print(call, NULL, 0); /* of no run nothing will come back */
	reading->all = arena_array(call->arena, reading->n, sizeof(*reading->all));
	reading->parts = arena_array(call->arena, reading->n, sizeof(*reading->parts));
	reading->left = reading->n;
	reading->print = print;
	reading->before = call->state;
	call->state = reading;
	limits[0] = reading->chart.start != NULL ? db_p_float8(call->arena, *reading->chart.start) : start != NULL ? db_p_float8(call->arena, (double)*start) : db_p_null();
	limits[1] = reading->chart.end != NULL ? db_p_float8(call->arena, *reading->chart.end) : end != NULL ? db_p_float8(call->arena, (double)*end) : db_p_null();
	for (i = 0; i < reading->n; i++) {
		struct part *part = &reading->parts[i];

		part->call = call;
		part->series = &reading->all[i];
		part->series->run_id = runs->items != NULL ? runs->items[i].text : runs->text;
		part->start = start != NULL ? *start : INT64_MIN;
		part->end = end != NULL ? *end : INT64_MAX;
		part->params[0] = db_p_text(call->arena, part->series->run_id);
		part->params[1] = db_p_text(call->arena, key);
		part->params[2] = db_p_int4(call->arena, (int32_t)reading->chart.axis);
		part->params[3] = limits[0];
		part->params[4] = limits[1];
		part->params[5] = db_p_int4(call->arena, (int32_t)reading->chart.buckets);
		part->params[6] = reading->with_blocks ? call_keep_param(call, db_p_int4s(NULL, 0)) : db_p_null();
		part->op = (struct db_op){ .statement = SQL_metric_series, .params = part->params, .param_count = 7, .done = part_done, .user = part };
	}
	for (i = 0; i < reading->n; i++)
		call_submit_read(call, &reading->parts[i].op);
	return WAIT;
}

enum next
series_read(struct call *call, const struct value *runs, struct text key, const int64_t *start, const int64_t *end, series_print print)
{
	return reading_start(call, ARENA_NEW(call->arena, struct reading), runs, key, start, end, print);
}

enum next
series_read_chart(struct call *call, const struct value *runs, struct text key, const struct chart_asked *asked, series_print print)
{
	struct reading *reading = ARENA_NEW(call->arena, struct reading);

	reading->chart = *asked;
	reading->with_blocks = true;
	return reading_start(call, reading, runs, key, NULL, NULL, print);
}

/* Runs as JSON. Each row is one kind of what one run has, packed: numbers of keys, values, texts with a zero byte between. */
#include "api/run_json.h"

#include <endian.h>
#include <stdlib.h>

#include "api/keys.h"
#include "api/run_copies.h"
#include "base/log.h"

enum column { RUN, KIND, KEYS, NUMBERS, TIMESTAMPS, STEPS, TEXTS, INFO_COLUMNS, RUN_ID = INFO_COLUMNS };
enum kind { INFO, METRICS, PARAMS, TAGS, DATASETS, MODELS_OUT, MODELS_IN, LEAST, MOST, KINDS };

/* One run: the row of each kind, -1 for none. */
struct parts {
	int64_t run;
	int rows[KINDS];
};

static int64_t
int_at(struct text packed, size_t i)
{
	uint64_t v;

	memcpy(&v, packed.s + i * sizeof(v), sizeof(v));
	return (int64_t)be64toh(v);
}

static double
double_at(struct text packed, size_t i)
{
	int64_t bits = int_at(packed, i);
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

/* The first of the texts, which is cut off. */
static struct text
text_next(struct text *texts)
{
	const char *end = memchr(texts->s, '\0', texts->n);
	struct text t = { texts->s, end == NULL ? texts->n : (size_t)(end - texts->s) };

	*texts = text_skip(*texts, end == NULL ? t.n : t.n + 1);
	return t;
}

static void
part_add(int *rows, const PGresult *r, int row)
{
	int kind = db_int4(r, row, KIND);

	PRECOND(kind >= 0 && kind < KINDS);
	rows[kind] = row;
}

static void
metrics_print(struct buf *b, const PGresult *r, int row)
{
	struct text keys, values, times, steps;

	if (row < 0)
		return;
	keys = db_text(r, row, KEYS);
	values = db_text(r, row, NUMBERS);
	times = db_text(r, row, TIMESTAMPS);
	steps = db_text(r, row, STEPS);
	wire_member(b, "metrics");
	for (size_t i = 0; i < keys_packed(keys); i++) {
		buf_puts(b, i == 0 ? "[{\"key\":" : ",{\"key\":");
		buf_text(b, key_json(key_packed(keys, i)));
		buf_puts(b, ",\"value\":");
		wire_double(b, double_at(values, i));
		buf_puts(b, ",\"timestamp\":");
		buf_int(b, int_at(times, i));
		buf_puts(b, ",\"step\":");
		buf_int(b, int_at(steps, i));
		buf_byte(b, '}');
	}
	buf_byte(b, ']');
}

static void
pairs_print(struct buf *b, const PGresult *r, int row, const char *member)
{
	struct text keys, texts;

	if (row < 0)
		return;
	keys = db_text(r, row, KEYS);
	texts = db_text(r, row, TEXTS);
	wire_member(b, member);
	for (size_t i = 0; i < keys_packed(keys); i++) {
		buf_puts(b, i == 0 ? "[{\"key\":" : ",{\"key\":");
		buf_text(b, key_json(key_packed(keys, i)));
		buf_puts(b, ",\"value\":");
		buf_json(b, text_next(&texts));
		buf_byte(b, '}');
	}
	buf_byte(b, ']');
}

static void
list_print(struct buf *b, const PGresult *r, int row, const char *member)
{
	if (row < 0)
		return;
	wire_member(b, member);
	buf_byte(b, '[');
	buf_text(b, db_text(r, row, TEXTS));
	buf_byte(b, ']');
}

static void
run_print(struct buf *b, const PGresult *r, const int *rows, bool with_models)
{
	buf_puts(b, "{\"info\":");
	wire_row(b, r, rows[INFO], INFO_COLUMNS);
	buf_puts(b, ",\"data\":{");
	metrics_print(b, r, rows[METRICS]);
	pairs_print(b, r, rows[PARAMS], "params");
	pairs_print(b, r, rows[TAGS], "tags");
	buf_puts(b, "},\"inputs\":{");
	list_print(b, r, rows[DATASETS], "dataset_inputs");
	if (with_models)
		list_print(b, r, rows[MODELS_IN], "model_inputs");
	buf_puts(b, "},\"outputs\":{");
	list_print(b, r, rows[MODELS_OUT], "model_outputs");
	buf_puts(b, "}}");
}

bool
run_json(struct buf *b, const PGresult *r)
{
	int rows[KINDS];

	memset(rows, -1, sizeof(rows));
	for (int row = 0; row < PQntuples(r); row++)
		part_add(rows, r, row);
	if (rows[INFO] >= 0)
		run_print(b, r, rows, true);
	return rows[INFO] >= 0;
}

static void
map_print(struct buf *b, const PGresult *r, int row, const char *member)
{
	struct text keys = TEXT_NONE, numbers = TEXT_NONE, texts = TEXT_NONE;

	if (row >= 0) {
		keys = db_text(r, row, KEYS);
		numbers = db_text(r, row, NUMBERS);
		texts = db_text(r, row, TEXTS);
	}
	wire_member(b, member);
	buf_byte(b, '{');
	for (size_t i = 0; i < keys_packed(keys); i++) {
		if (i > 0)
			buf_byte(b, ',');
		buf_text(b, key_json(key_packed(keys, i)));
		buf_byte(b, ':');
		if (numbers.s == NULL)
			buf_json(b, text_next(&texts));
		else
			wire_double(b, double_at(numbers, i));
	}
	buf_byte(b, '}');
}

static void
table_run_print(struct buf *b, const PGresult *r, const int *rows)
{
	buf_puts(b, "{\"info\":");
	wire_row(b, r, rows[INFO], INFO_COLUMNS);
	map_print(b, r, rows[METRICS], "metrics");
	map_print(b, r, rows[PARAMS], "params");
	map_print(b, r, rows[TAGS], "tags");
	if (rows[LEAST] >= 0)
		map_print(b, r, rows[LEAST], "min");
	if (rows[MOST] >= 0)
		map_print(b, r, rows[MOST], "max");
	list_print(b, r, rows[DATASETS], "datasets");
	list_print(b, r, rows[MODELS_OUT], "models");
	buf_byte(b, '}');
}

static int
parts_compare(const void *a, const void *b)
{
	const struct parts *x = a, *y = b;

	return (x->run > y->run) - (x->run < y->run);
}

/* The rows of each run of the page, sorted by run. */
static struct parts *
parts_of(struct call *call, const PGresult *r, const struct page *page)
{
	struct parts *parts = arena_array(call->arena, page->n, sizeof(*parts)), key, *hit;

	for (size_t i = 0; i < page->n; i++) {
		memset(parts[i].rows, -1, sizeof(parts[i].rows));
		parts[i].run = page->ids[i];
	}
	qsort(parts, page->n, sizeof(*parts), parts_compare);
	for (int row = 0; row < PQntuples(r); row++) {
		key.run = db_int8(r, row, RUN);
		hit = bsearch(&key, parts, page->n, sizeof(*parts), parts_compare);
		if (hit != NULL)
			part_add(hit->rows, r, row);
	}
	return parts;
}

static const int *
rows_of(const struct parts *parts, const struct page *page, size_t i)
{
	struct parts key = { .run = page->ids[i] };
	const struct parts *hit = bsearch(&key, parts, page->n, sizeof(*parts), parts_compare);

	return hit == NULL || hit->rows[INFO] < 0 ? NULL : hit->rows;
}

static void
comma(struct buf *b, bool *first)
{
	if (!*first)
		buf_byte(b, ',');
	*first = false;
}

static void
page_run_keep(struct call *call, const PGresult *r, const struct page *page, size_t i, const int *rows)
{
	struct buf *b = &call->out;
	size_t from = b->n;

	run_print(b, r, rows, false);
	if (!call->behind)
		run_copy_keep(page->ids[i], db_text(r, rows[INFO], RUN_ID), (struct text){ b->s + from, b->n - from }, call->changes, (int64_t)(call->started_us / 1000));
}

void
runs_json(struct call *call, const PGresult *r, const struct page *page, const struct text *copies)
{
	struct parts *parts = r == NULL ? NULL : parts_of(call, r, page);
	bool first = true;

	for (size_t i = 0; i < page->n; i++) {
		const int *rows = copies[i].s != NULL ? NULL : rows_of(parts, page, i);

		if (copies[i].s == NULL && rows == NULL)
			continue;
		comma(&call->out, &first);
		if (rows == NULL)
			buf_text(&call->out, copies[i]);
		else
			page_run_keep(call, r, page, i, rows);
	}
}

void
runs_table_json(struct call *call, const PGresult *r, const struct page *page)
{
	struct parts *parts = parts_of(call, r, page);
	bool first = true;

	for (size_t i = 0; i < page->n; i++) {
		const int *rows = rows_of(parts, page, i);

		if (rows == NULL)
			continue;
		comma(&call->out, &first);
		table_run_print(&call->out, r, rows);
	}
}

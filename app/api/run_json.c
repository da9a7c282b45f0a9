/* Runs as MLflow's JSON. Rows come kind by kind; each run's rows are linked in order, then printed run by run. */
#include "api/run_json.h"

#include <stdlib.h>

#include "api/keys.h"
#include "base/log.h"

enum kind { KIND_INFO, KIND_METRIC, KIND_PARAM, KIND_TAG, KIND_DATASET, KIND_MODEL_IN, KIND_MODEL_OUT, KIND_LEAST, KIND_MOST, KINDS };
enum column { COL_RUN, COL_KIND, COL_KEY, COL_NUMBER, COL_STEP, COL_TIME, COL_TEXT };

/* First and last row of each kind of one run; rows are linked by next[]. */
struct chain {
	int first[KINDS];
	int last[KINDS];
};

static void
metric_print(struct buf *b, const PGresult *r, int row)
{
	buf_puts(b, "{\"key\":");
	buf_text(b, key_json(db_int4(r, row, COL_KEY)));
	buf_puts(b, ",\"value\":");
	wire_double(b, db_float8(r, row, COL_NUMBER));
	buf_puts(b, ",\"timestamp\":");
	buf_int(b, db_int8(r, row, COL_TIME));
	buf_puts(b, ",\"step\":");
	buf_int(b, db_int8(r, row, COL_STEP));
	buf_byte(b, '}');
}

static void
pair_print(struct buf *b, const PGresult *r, int row)
{
	buf_puts(b, "{\"key\":");
	buf_text(b, key_json(db_int4(r, row, COL_KEY)));
	buf_puts(b, ",\"value\":");
	buf_json(b, db_text(r, row, COL_TEXT));
	buf_byte(b, '}');
}

static void
model_print(struct buf *b, const PGresult *r, int row)
{
	buf_puts(b, "{\"model_id\":");
	buf_json(b, db_text(r, row, COL_TEXT));
	if (db_int4(r, row, COL_KIND) == KIND_MODEL_OUT) {
		buf_puts(b, ",\"step\":");
		buf_int(b, db_int8(r, row, COL_STEP));
	}
	buf_byte(b, '}');
}

static void
raw_print(struct buf *b, const PGresult *r, int row)
{
	buf_text(b, db_text(r, row, COL_TEXT));
}

static void
chain_print(struct buf *b, const PGresult *r, const struct chain *c, const int *next, enum kind kind, const char *member, void (*print)(struct buf *, const PGresult *, int))
{
	int row;

	if (c->first[kind] < 0)
		return;
	wire_member(b, member);
	buf_byte(b, '[');
	for (row = c->first[kind]; row >= 0; row = next[row]) {
		if (row != c->first[kind])
			buf_byte(b, ',');
		print(b, r, row);
	}
	buf_byte(b, ']');
}

static void
chain_add(struct chain *c, int *next, const PGresult *r, int row)
{
	int kind = db_int4(r, row, COL_KIND);

	PRECOND(kind >= 0 && kind < KINDS);
	next[row] = -1;
	if (c->first[kind] < 0)
		c->first[kind] = row;
	else
		next[c->last[kind]] = row;
	c->last[kind] = row;
}

static void
run_print(struct buf *b, const PGresult *r, const struct chain *c, const int *next, bool with_models)
{
	buf_puts(b, "{\"info\":");
	raw_print(b, r, c->first[KIND_INFO]);
	buf_puts(b, ",\"data\":{");
	chain_print(b, r, c, next, KIND_METRIC, "metrics", metric_print);
	chain_print(b, r, c, next, KIND_PARAM, "params", pair_print);
	chain_print(b, r, c, next, KIND_TAG, "tags", pair_print);
	buf_puts(b, "},\"inputs\":{");
	chain_print(b, r, c, next, KIND_DATASET, "dataset_inputs", raw_print);
	if (with_models)
		chain_print(b, r, c, next, KIND_MODEL_IN, "model_inputs", model_print);
	buf_byte(b, '}');
	buf_puts(b, ",\"outputs\":{");
	chain_print(b, r, c, next, KIND_MODEL_OUT, "model_outputs", model_print);
	buf_puts(b, "}}");
}

static void
chain_clear(struct chain *c)
{
	int k;

	for (k = 0; k < KINDS; k++)
		c->first[k] = -1;
}

bool
run_json(struct buf *b, const PGresult *r, bool with_models)
{
	int rows = PQntuples(r);
	int *next = malloc(((size_t)rows + 1) * sizeof(int));
	struct chain c;
	int row;

	PRECOND(next != NULL);
	chain_clear(&c);
	for (row = 0; row < rows; row++)
		chain_add(&c, next, r, row);
	if (c.first[KIND_INFO] >= 0)
		run_print(b, r, &c, next, with_models);
	free(next);
	return c.first[KIND_INFO] >= 0;
}

struct place {
	int64_t id;
	size_t at;
};

static int
place_compare(const void *a, const void *b)
{
	const struct place *x = a;
	const struct place *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void
runs_print(struct call *call, struct buf *b, const PGresult *r, const int64_t *ids, size_t n, void (*print)(struct buf *, const PGresult *, const struct chain *, const int *))
{
	int rows = PQntuples(r);
	int *next = malloc(((size_t)rows + 1) * sizeof(int));
	struct chain *chains = arena_array(call->arena, n, sizeof(*chains));
	struct place *places = arena_array(call->arena, n, sizeof(*places));
	const struct place *hit = NULL;
	bool first = true;
	size_t i;
	int row;

	PRECOND(next != NULL);
	for (i = 0; i < n; i++) {
		chain_clear(&chains[i]);
		places[i] = (struct place){ ids[i], i };
	}
	qsort(places, n, sizeof(*places), place_compare);
	for (row = 0; row < rows; row++) {
		struct place key = { db_int8(r, row, COL_RUN), 0 };

		/* Rows of one run mostly follow each other. */
		if (hit == NULL || hit->id != key.id)
			hit = bsearch(&key, places, n, sizeof(*places), place_compare);
		if (hit != NULL)
			chain_add(&chains[hit->at], next, r, row);
	}
	for (i = 0; i < n; i++) {
		if (chains[i].first[KIND_INFO] < 0)
			continue;
		if (!first)
			buf_byte(b, ',');
		first = false;
		print(b, r, &chains[i], next);
	}
	free(next);
}

static void
run_print_search(struct buf *b, const PGresult *r, const struct chain *c, const int *next)
{
	run_print(b, r, c, next, false);
}

void
runs_json(struct call *call, struct buf *b, const PGresult *r, const int64_t *ids, size_t n)
{
	runs_print(call, b, r, ids, n, run_print_search);
}

/* ---- rows of the table ---- */

static void
map_print(struct buf *b, const PGresult *r, const struct chain *c, const int *next, enum kind kind, const char *member)
{
	int row;

	wire_member(b, member);
	buf_byte(b, '{');
	for (row = c->first[kind]; row >= 0; row = next[row]) {
		if (row != c->first[kind])
			buf_byte(b, ',');
		buf_text(b, key_json(db_int4(r, row, COL_KEY)));
		buf_byte(b, ':');
		if (kind == KIND_METRIC || kind == KIND_LEAST || kind == KIND_MOST)
			wire_double(b, db_float8(r, row, COL_NUMBER));
		else
			buf_json(b, db_text(r, row, COL_TEXT));
	}
	buf_byte(b, '}');
}

static void
text_print(struct buf *b, const PGresult *r, int row)
{
	buf_json(b, db_text(r, row, COL_TEXT));
}

static void
row_print(struct buf *b, const PGresult *r, const struct chain *c, const int *next)
{
	buf_puts(b, "{\"info\":");
	raw_print(b, r, c->first[KIND_INFO]);
	map_print(b, r, c, next, KIND_METRIC, "metrics");
	map_print(b, r, c, next, KIND_PARAM, "params");
	map_print(b, r, c, next, KIND_TAG, "tags");
	if (c->first[KIND_LEAST] >= 0)
		map_print(b, r, c, next, KIND_LEAST, "min");
	if (c->first[KIND_MOST] >= 0)
		map_print(b, r, c, next, KIND_MOST, "max");
	chain_print(b, r, c, next, KIND_DATASET, "datasets", raw_print);
	chain_print(b, r, c, next, KIND_MODEL_OUT, "models", text_print);
	buf_byte(b, '}');
}

void
runs_rows(struct call *call, struct buf *b, const PGresult *r, const int64_t *ids, size_t n)
{
	runs_print(call, b, r, ids, n, row_print);
}

/*
 * Runs walked along an index in the order asked for, stopped after a page.
 *
 * A walk is a list of ranges in MLflow's order (numbers, NaN, runs without the key), each begun only if those before it did not fill the page. The first
 * rows of the order are a sample: if the filter takes some of them, the walk is short. Else come the hits: when a condition of the filter has few runs,
 * these are fetched, checked and sorted, and no range is walked. So the work is bounded both when a filter takes nearly everything and when it takes nearly
 * nothing, without trusting the planner's guess of which it is.
 */
#include "search/sql.h"

#include "base/arena.h"

#ifndef SEARCH_HITS /* tests make both small */
#define SEARCH_HITS 5000
#define SEARCH_SAMPLE 150
#endif
#define SAMPLE_ENOUGH 2
#define HIT_SETS 2
#define GRADES 6
#define EXPERIMENTS_WALKED 1000

/* The walk of one sort key. */
struct walk {
	enum entity entity;       /* ENTITY_ATTRIBUTE: over runs */
	const struct order *order; /* NULL: by start time descending */
	enum fragment key, edge;  /* over alias w */
	bool is_text, is_float, nullable, descending;
	bool further;             /* more sort keys follow: the walks find all runs that may be on the page, a general search sorts them */
	struct text table, key_id; /* metrics, params, tags */
	struct text inner;        /* conditions that the walked index can serve, over w */
	struct text inner_runs;   /* those of them that runs have too */
	struct text filter;       /* the rest, over x */
	bool must_have;           /* the filter refuses runs without the key */
	bool must_miss;           /* .. or with it */
	struct text gate;         /* TRUE, or: the hits are too many */
	struct text rows;         /* limit and offset */
	struct text after_key, after[3]; /* the token's values, bound: key; start time, rank, run */
	struct buf ctes, parts;
	size_t made;
	struct text found;        /* rows of the ranges so far, as an expression; empty when none counts */
};

/* A first sort key that an index has. Runs that are deleted too are walked by start time only. */
static bool
walkable(struct compiler *c, struct walk *w)
{
	const struct search_request *r = c->request;
	const struct order *o = c->orders;
	bool by_start = c->order_count > 0 && o->attribute != NULL && o->attribute->column == F_RUN_START_TIME;
	bool then_start = c->order_count == 2 && o[1].attribute != NULL && o[1].attribute->column == F_RUN_START_TIME && o[1].descending;

	if (r->count_only || r->experiment_count == 0 || r->experiment_count > EXPERIMENTS_WALKED)
		return false;
	if (c->order_count == 0 || (c->order_count == 1 && by_start && o->descending))
		return true;
	if (r->view == VIEW_DELETED || r->view == VIEW_ALL)
		return false;
	w->further = c->order_count > 1 && !then_start;
	w->order = o;
	w->entity = o->entity;
	w->descending = o->descending;
	if (o->entity != ENTITY_ATTRIBUTE) {
		w->is_float = o->entity == ENTITY_METRIC;
		w->is_text = !w->is_float;
		w->key = F_W_VALUE;
		w->edge = w->is_text ? F_W_VALUE_EDGE : F_W_VALUE;
		w->nullable = true;
		return o->aggregate == AGGREGATE_NONE;
	}
	w->nullable = o->attribute->column == F_RUN_END_TIME;
	w->is_text = o->attribute->column == F_RUN_NAME;
	w->key = by_start ? F_W_START_TIME : w->is_text ? F_W_NAME : F_W_END_TIME;
	w->edge = w->is_text ? F_W_NAME_EDGE : w->key;
	return by_start || w->is_text || w->nullable;
}

struct walk *
walk_new(struct compiler *c)
{
	struct walk *w = ARENA_NEW(c->arena, struct walk);

	return walkable(c, w) ? w : NULL;
}

static bool
over_values(const struct walk *w)
{
	return w->entity != ENTITY_ATTRIBUTE;
}

static struct text
tail(bool runs)
{
	return runs ? PIECE(TAIL_RUNS) : PIECE(TAIL_VALUES);
}

static size_t
conjuncts(const struct node *n, const struct node **out, size_t count)
{
	if (n == NULL)
		return count;
	if (n->kind != NODE_AND) {
		out[count] = n;
		return count + 1;
	}
	for (const struct node *part = n->first; part != NULL; part = part->next)
		count = conjuncts(part, out, count);
	return count;
}

static bool
same_key(const struct walk *w, const struct condition *d)
{
	return over_values(w) && d->entity == w->entity && d->aggregate == AGGREGATE_NONE && text_eq(d->key, w->order->key) && !(d->entity == ENTITY_PARAM && d->is_number);
}

static struct text
edge_text(struct text value)
{
	return text_prefix(value, EDGE_CHARS);
}

/* Probes in the order of what they are likely to refuse: most first. */
static void
parts_sort(const struct node **parts, size_t n)
{
	const struct node *sorted[SEARCH_CONDITIONS + 1];
	size_t count = 0;

	for (unsigned rank = 0; rank < 3; rank++)
		for (size_t i = 0; i < n; i++) {
			const struct condition *d = &parts[i]->condition;
			unsigned of = parts[i]->kind != NODE_CONDITION ? 2 : d->compare == CMP_EQ || d->compare == CMP_IN ? 0 : 1;
			if (of == rank)
				sorted[count++] = parts[i];
		}
	memcpy(parts, sorted, n * sizeof(*parts));
}

/* Each part of the filter to where it costs least: inside the walk if its index has the column, else to the probes of each row walked. */
static void
walk_filter(struct compiler *c, struct walk *w, const struct node *const *parts, size_t n)
{
	static const char *const statuses[] = { "RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED" };
	struct view view = { .run = TEXT("x.run"), .probe = true };

	w->inner = w->inner_runs = w->filter = PIECE(TRUE);
	for (size_t i = 0; i < n; i++) {
		const struct condition *d = &parts[i]->condition;
		bool plain = parts[i]->kind == NODE_CONDITION;
		if (plain && d->attribute != NULL && d->attribute->column == F_RUN_START_TIME) {
			struct text t = sql_compare(c, d, PIECE(W_START_TIME), false);
			w->inner = sql_both(c, w->inner, t);
			w->inner_runs = sql_both(c, w->inner_runs, t);
			continue;
		}
		if (plain && same_key(w, d) && (d->compare != CMP_NULL || d->negated)) {
			w->must_have = true;
			if (d->compare == CMP_EQ && w->is_text)
				w->inner = sql_both(c, w->inner, SQL(c, EQ, PIECE(W_VALUE_EDGE), sql_bind_text(c, edge_text(d->text))));
			if (d->compare != CMP_NULL)
				w->inner = sql_both(c, w->inner, sql_compare(c, d, PIECE(W_VALUE), w->is_float));
			continue;
		}
		if (plain && same_key(w, d))
			w->must_miss = true;
		if (plain && d->attribute != NULL && d->attribute->column == F_RUN_STATUS && d->compare == CMP_EQ && !over_values(w)) {
			int64_t status = 0;
			for (int64_t s = 0; s < 5; s++)
				if (text_is(d->text, statuses[s]))
					status = s + 1;
			w->inner = sql_both(c, w->inner, SQL(c, EQ, PIECE(W_STATUS), sql_bind_integer(c, status)));
			w->inner_runs = w->inner;
			c->query->steady = false; /* rare ones have an index of their own */
			continue;
		}
		w->filter = sql_both(c, w->filter, sql_tree(c, parts[i], &view));
	}
}

/* What all texts that fit a LIKE pattern begin with, as a pattern for the indexes of beginnings; empty when they share nothing. */
static struct text
like_beginning(struct compiler *c, struct text pattern)
{
	char *text = arena_array(c->arena, pattern.n + 1, 1), *out;
	size_t n = 0, m = 0;

	for (size_t i = 0; i < pattern.n && pattern.s[i] != '%' && pattern.s[i] != '_'; i++) {
		i += pattern.s[i] == '\\' && i + 1 < pattern.n;
		text[n++] = pattern.s[i];
	}
	struct text start = edge_text((struct text){ text, n });
	out = arena_array(c->arena, 2 * start.n + 1, 1);
	for (size_t i = 0; i < start.n; i++) {
		if (strchr("\\%_", start.s[i]) != NULL)
			out[m++] = '\\';
		out[m++] = start.s[i];
	}
	out[m] = '%';
	return start.n == 0 ? TEXT_NONE : (struct text){ out, m + 1 };
}

/* How promising a condition is as the source of hits; 0: none. */
static unsigned
hit_grade(const struct walk *w, const struct node *n)
{
	const struct condition *d = &n->condition;
	bool equal = d->compare == CMP_EQ && d->list_count == 0 && !d->is_number;
	bool begins = d->compare == CMP_LIKE && d->text.n > 0 && d->text.s[0] != '%' && d->text.s[0] != '_';

	if (n->kind != NODE_CONDITION || same_key(w, d) || d->aggregate != AGGREGATE_NONE)
		return 0;
	if (d->compare == CMP_NULL)
		return d->negated && d->attribute == NULL && d->entity != ENTITY_DATASET;
	if (d->negated)
		return 0;
	if (d->attribute != NULL && d->attribute->column == F_RUN_RUN_ID)
		return equal || d->compare == CMP_IN ? GRADES : 0;
	if (d->attribute != NULL && d->attribute->column == F_RUN_NAME)
		return equal ? 5 : begins ? 3 : 0;
	if (d->entity == ENTITY_PARAM || d->entity == ENTITY_TAG)
		return equal ? 4 : begins ? 3 : 0;
	return d->entity != ENTITY_METRIC || d->compare == CMP_NE ? 0 : d->compare == CMP_EQ ? 2 : 1;
}

static struct text
hit_sql(struct compiler *c, const struct condition *d, struct text gate)
{
	bool one = c->request->experiment_count == 1;
	struct text limit = sql_literal(c, SEARCH_HITS + 1), where;

	struct text begins = d->compare == CMP_LIKE ? sql_bind_text(c, like_beginning(c, d->text)) : TEXT_NONE;
	/* The index is of use only to who knows the pattern. */
	if (begins.n > 0)
		c->query->steady = false;
	if (d->attribute != NULL) {
		where = sql_compare(c, d, sql_fragments[d->attribute->column], false);
		if (d->attribute->column == F_RUN_NAME)
			where = sql_both(c, begins.n > 0 ? SQL(c, LIKE, PIECE(R_NAME_EDGE), begins) : SQL(c, EQ, PIECE(R_NAME_EDGE), sql_bind_text(c, edge_text(d->text))), where);
		return SQL(c, HIT_RUNS, gate, one ? SQL(c, RUN_ONE, sql_bind_one(c)) : SQL(c, RUN_EACH, sql_bind_experiments(c)), where, limit);
	}
	where = d->compare == CMP_NULL ? PIECE(TRUE) : sql_compare(c, d, PIECE(H_VALUE), d->entity == ENTITY_METRIC);
	if (d->entity != ENTITY_METRIC && d->compare != CMP_NULL)
		where = sql_both(c, begins.n > 0 ? SQL(c, LIKE, PIECE(H_VALUE_EDGE), begins) : SQL(c, EQ, PIECE(H_VALUE_EDGE), sql_bind_text(c, edge_text(d->text))), where);
	struct text which = one ? SQL(c, HIT_ONE, sql_bind_one(c)) : SQL(c, HIT_EACH, sql_bind_experiments(c));
	return SQL(c, HIT_VALUES, sql_fragments[sql_table(d->entity)], which, sql_bind_key(c, d->key), where, limit, gate);
}

static void
add_cte(struct compiler *c, struct walk *w, struct text name, struct text body)
{
	buf_text(&w->ctes, SQL(c, CTE, w->ctes.n > 0 ? PIECE(COMMA) : TEXT_NONE, name, body));
}

static void
add_part(struct walk *w, struct text part)
{
	if (w->parts.n > 0)
		buf_text(&w->parts, PIECE(UNION));
	buf_text(&w->parts, part);
}

/* The picked rows behind the token. */
static struct text
picked_after(struct compiler *c, const struct walk *w)
{
	const struct text *v = c->token.values;

	if (!c->continues || w->further)
		return PIECE(TRUE);
	if (w->order == NULL || v[0].s == NULL)
		return w->order == NULL ? SQL(c, PICKED_AFTER_NONE, w->after[0], w->after[1], w->after[2]) : SQL(c, PICKED_AFTER_NULL, w->after[0], w->after[1], w->after[2]);
	struct text beyond = !w->descending ? SQL(c, PICKED_GT, w->after_key)
	    : !w->is_float                  ? SQL(c, PICKED_LT, w->after_key)
	    : text_is(v[0], "NaN")          ? PIECE(PICKED_MISSING)
					    : SQL(c, PICKED_LT_NAN, w->after_key);
	return SQL(c, PICKED_AFTER, beyond, w->after_key, w->after[0], w->after[1], w->after[2]);
}

/* The first rows of the order asked for, as one query of each experiment. */
static struct text
sample_sql(struct compiler *c, const struct walk *w)
{
	bool many = c->request->experiment_count > 1, runs = !over_values(w) || w->must_miss || (c->continues && c->token.values[0].s == NULL);
	struct text which = many ? PIECE(EACH_EXPERIMENT) : sql_bind_one(c), where = runs ? w->inner_runs : w->inner, inner, edge = PIECE(NO_KEY), order = tail(runs);
	size_t rows = SEARCH_SAMPLE / c->request->experiment_count;

	if (w->order != NULL && !(runs && over_values(w))) {
		edge = sql_fragments[w->edge];
		order = SQL(c, ORDER_ONLY, edge, w->descending ? PIECE(DESC) : PIECE(ASC));
		if (c->continues && c->token.values[0].s != NULL) {
			struct text args[] = { edge, w->is_text ? sql_bind_text(c, edge_text(c->token.values[0])) : w->after_key };
			where = sql_both(c, where, sql_fill(c, w->descending ? F_LE : F_GE, args, 2));
		}
	} else if (c->continues && !w->further) {
		where = sql_both(c, where, SQL(c, AFTER_RUNS, w->after[0], w->after[1], w->after[2]));
	}
	inner = runs ? SQL(c, INNER_RUNS, PIECE(NO_KEY), edge, which, where, order, PIECE(W_LIVING)) : SQL(c, INNER_VALUES, PIECE(NO_KEY), edge, which, where, order, w->table, w->key_id);
	inner = SQL(c, WALK, inner, PIECE(TRUE), sql_literal(c, rows < 10 ? 10 : (int64_t)rows));
	return SQL(c, SAMPLE, many ? SQL(c, WALK_EACH, inner, sql_bind_experiments(c)) : inner, w->filter);
}

/* The sets of hits of the best conditions, the rows picked from the first that is small, and the gate that lets the walks run when none is. */
static void
walk_hits(struct compiler *c, struct walk *w, const struct node *const *parts, size_t n)
{
	const struct condition *best[HIT_SETS];
	size_t count = 0;
	struct text picks = TEXT_NONE;

	w->gate = PIECE(TRUE);
	for (unsigned grade = GRADES; grade > 0; grade--)
		for (size_t i = 0; i < n && count < HIT_SETS; i++)
			if (hit_grade(w, parts[i]) == grade)
				best[count++] = &parts[i]->condition;
	if (count == 0 || c->request->view == VIEW_DELETED || c->request->view == VIEW_ALL)
		return;
	add_cte(c, w, TEXT("s"), sample_sql(c, w));
	struct text most = sql_literal(c, SEARCH_HITS), enough = sql_literal(c, SAMPLE_ENOUGH), gate = SQL(c, SAMPLE_POOR, enough);
	for (size_t i = 0; i < count; i++) {
		struct text name = text_format(c->arena, "h%zu", i + 1);
		add_cte(c, w, name, hit_sql(c, best[i], gate));
		struct text pick = SQL(c, PICK, name, sql_both(c, gate, SQL(c, FEW, name, most)));
		picks = text_format(c->arena, TEXT_FMT TEXT_FMT TEXT_FMT, TEXT_ARG(picks), TEXT_ARG(i > 0 ? PIECE(UNION) : TEXT_NONE), TEXT_ARG(pick));
		gate = sql_both(c, gate, SQL(c, MANY, name, most));
	}
	w->gate = SQL(c, SAMPLE_RICH, enough, gate);
	add_cte(c, w, TEXT("picked"), picks);
	struct view view = { .run = PIECE(RUN_IDENTITY), .probe = true, .joined = true };
	struct text key = w->order == NULL ? PIECE(NO_KEY)
	    : over_values(w)               ? SQL(c, PROBE, w->table, PIECE(RUN_IDENTITY), w->key_id, PIECE(P_VALUE))
					   : sql_fragments[w->order->attribute->column];
	struct text where = sql_readable(c, sql_both(c, PIECE(ALIVE), sql_filter(c, &view)));
	add_cte(c, w, TEXT("found"), SQL(c, PICKED, key, PIECE(PICKED_RUNS), where));
	struct text class = w->order == NULL || !w->nullable ? TEXT("0") : w->is_float && w->descending ? PIECE(PICKED_CLASS_NAN) : PIECE(PICKED_CLASS);
	add_part(w, SQL(c, PART_PICKED, TEXT_NONE, class, TEXT("found"), picked_after(c, w)));
}

enum lives { LIVES_ACTIVE, LIVES_DELETED, LIVES_GONE, LIVES_ANY };

/* What tells the runs shown from the others: the predicate of the index, and a check of each row. */
static struct text
lives_sql(struct compiler *c, enum lives lives, struct text active)
{
	return lives == LIVES_ACTIVE ? SQL(c, WALK_ALIVE, active) : lives == LIVES_GONE ? SQL(c, WALK_GONE, active) : PIECE(TRUE);
}

/* One range walked: `runs` over the runs themselves, else over the values. */
static struct text
walk_sql(struct compiler *c, const struct walk *w, bool runs, enum lives lives, const struct text *row, struct text where, struct text order, struct text filter, struct text rows)
{
	bool one = c->request->experiment_count == 1;
	struct text which = one ? sql_bind_one(c) : PIECE(EACH_EXPERIMENT), marker = text_from(c->request->readable);
	struct text inner, active = one ? SQL(c, ONE_ACTIVE, which) : PIECE(EACH_ACTIVE);

	where = sql_both(c, where, runs ? w->inner_runs : w->inner);
	inner = runs ? SQL(c, INNER_RUNS, row[0], row[1], which, where, order, lives == LIVES_DELETED ? PIECE(W_DELETED) : PIECE(W_LIVING))
		     : SQL(c, INNER_VALUES, row[0], row[1], which, where, order, w->table, w->key_id);
	filter = sql_both(c, w->gate, sql_both(c, filter, sql_both(c, lives_sql(c, lives, active), w->filter)));
	if (w->found.n > 0)
		filter = sql_both(c, SQL(c, FEWER, w->found, w->rows), filter);
	if (marker.n > 0 && !text_is(marker, "true"))
		filter = sql_both(c, one ? SQL(c, ONE_READABLE, which, marker) : SQL(c, BRACKETS, marker), filter);
	inner = SQL(c, WALK, inner, filter, rows);
	return one ? inner : SQL(c, WALK_EACH, inner, sql_bind_experiments(c));
}

/* The rows of this range count for the page: the ranges behind it begin only if it is not full. */
static void
range_count(struct compiler *c, struct walk *w, struct text name)
{
	struct text count = SQL(c, COUNT, name);

	w->found = w->found.n == 0 ? count : SQL(c, PLUS, w->found, count);
}

/* A range whose index order is the order asked for; `sorted`: by the key first. Its name. */
static struct text
range_plain(struct compiler *c, struct walk *w, const char *class, bool runs, enum lives lives, struct text key, struct text where, bool sorted, struct text filter)
{
	struct text name = text_format(c->arena, "r%zu", w->made++), row[] = { key, key };
	struct text order = sorted ? SQL(c, ORDER_FIRST, sql_fragments[w->key], w->descending ? PIECE(DESC) : PIECE(ASC), tail(runs)) : tail(runs);

	add_cte(c, w, name, walk_sql(c, w, runs, lives, row, where, order, filter, w->further ? PIECE(ALL) : w->rows));
	add_part(w, SQL(c, PART, TEXT_NONE, text_from(class), name));
	return name;
}

/*
 * A range whose index has the right order of keys but not of the runs within one key: descending keys, texts of which the index holds the beginning, further keys.
 * One walk by the key alone finds the rows and the last key of the page; rows before that key are all found; those at it are walked again in their own order.
 */
static void
range_edge(struct compiler *c, struct walk *w, struct text where)
{
	bool runs = !over_values(w), split = w->is_text && !w->further;
	struct text name = text_format(c->arena, "r%zu", w->made), edge = text_format(c->arena, "b%zu", w->made), at = text_format(c->arena, "e%zu", w->made);
	struct text row[] = { sql_fragments[w->key], sql_fragments[w->edge] }, direction = w->descending ? PIECE(DESC) : PIECE(ASC), condition, order;

	add_cte(c, w, name, walk_sql(c, w, runs, LIVES_ACTIVE, row, where, SQL(c, ORDER_ONLY, row[1], direction), PIECE(TRUE), w->rows));
	struct text bound[] = { name, w->rows };
	add_cte(c, w, edge, sql_fill(c, w->descending ? F_EDGE_LEAST : F_EDGE_MOST, bound, 2));
	condition = sql_both(c, where, split ? SQL(c, W_EDGE_SHORT, row[1], edge) : SQL(c, W_EDGE_AT, row[1], edge));
	add_cte(c, w, at, walk_sql(c, w, runs, LIVES_ACTIVE, row, condition, tail(runs), PIECE(TRUE), w->further ? PIECE(ALL) : w->rows));
	add_part(w, SQL(c, PART_BEFORE, TEXT_NONE, TEXT("0"), name, w->descending ? TEXT(">") : TEXT("<"), edge));
	add_part(w, SQL(c, PART, TEXT_NONE, TEXT("0"), at));
	if (split) {
		struct text longer = text_format(c->arena, "f%zu", w->made);
		condition = sql_both(c, where, SQL(c, W_EDGE_LONG, row[1], edge));
		order = SQL(c, ORDER_FIRST, row[0], direction, tail(runs));
		add_cte(c, w, longer, walk_sql(c, w, runs, LIVES_ACTIVE, row, condition, order, PIECE(TRUE), w->rows));
		add_part(w, SQL(c, PART, TEXT_NONE, TEXT("0"), longer));
	}
	w->made++;
	range_count(c, w, name);
}

/* The rows at the token's value and behind it, then what is beyond that value, as a condition. */
static struct text
ranges_at_token(struct compiler *c, struct walk *w, bool nan)
{
	bool runs = !over_values(w);
	struct text value = c->token.values[0], key = sql_fragments[w->key], edge = sql_fragments[w->edge], name;
	struct text at[] = { edge, w->is_text ? sql_bind_text(c, edge_text(value)) : w->after_key }, same = sql_fill(c, F_EQ, at, 2), where = same;

	if (!w->further) {
		struct text after[] = { w->after[0], w->after[1], w->after[2] };
		where = sql_both(c, sql_fill(c, runs ? F_AFTER_RUNS : F_AFTER_VALUES, after, 3), sql_both(c, same, w->is_text ? SQL(c, EQ, key, w->after_key) : PIECE(TRUE)));
	}
	name = range_plain(c, w, nan && w->descending ? "1" : "0", runs, LIVES_ACTIVE, key, where, false, PIECE(TRUE));
	if (!w->further)
		range_count(c, w, name);
	if (!w->further && w->is_text && text_chars(value) >= EDGE_CHARS) {
		struct text longer[] = { key, w->after_key };
		where = sql_both(c, same, sql_fill(c, w->descending ? F_LT : F_GT, longer, 2));
		range_count(c, w, range_plain(c, w, "0", runs, LIVES_ACTIVE, key, where, true, PIECE(TRUE)));
	}
	return sql_fill(c, w->descending ? F_LT : F_GT, at, 2);
}

/* Ranges of rows that have the key, from the token's value on. */
static void
ranges_valued(struct compiler *c, struct walk *w)
{
	bool runs = !over_values(w), nan = c->continues && w->is_float && text_is(c->token.values[0], "NaN");
	struct text key = sql_fragments[w->key], where = PIECE(TRUE);

	if (c->continues && c->token.values[0].s == NULL)
		return;
	if (c->continues)
		where = ranges_at_token(c, w, nan);
	if (nan)
		return;
	if (w->key == F_W_END_TIME)
		where = sql_both(c, PIECE(W_ENDED), where);
	if (w->is_float && (w->descending || w->further))
		where = sql_both(c, PIECE(W_NUMBERS), where);
	if (w->is_text || w->descending || w->further || w->key == F_W_START_TIME)
		range_edge(c, w, where);
	else
		range_count(c, w, range_plain(c, w, "0", runs, LIVES_ACTIVE, key, where, true, PIECE(TRUE)));
	if (w->is_float && (w->descending || w->further))
		range_count(c, w, range_plain(c, w, "1", runs, LIVES_ACTIVE, key, PIECE(W_NANS), false, PIECE(TRUE)));
}

/* Runs without the key. */
static void
range_missing(struct compiler *c, struct walk *w)
{
	struct text where = PIECE(TRUE), filter = PIECE(TRUE), key = PIECE(NO_KEY);

	if (!w->nullable || w->must_have)
		return;
	if (c->continues && !w->further && c->token.values[0].s == NULL)
		where = SQL(c, AFTER_RUNS, w->after[0], w->after[1], w->after[2]);
	if (over_values(w)) {
		filter = SQL(c, PROBE_MISSING, w->table, TEXT("x.run"), w->key_id);
		key = w->is_float ? PIECE(NULL_FLOAT) : PIECE(NULL_TEXT);
	} else {
		where = sql_both(c, PIECE(W_RUNNING), where);
	}
	(void)range_plain(c, w, "2", true, LIVES_ACTIVE, key, where, false, filter);
}

/* All runs in the order of start times. Deleted ones stand in an index of their own, so both may have to be walked. */
static void
ranges_by_start(struct compiler *c, struct walk *w)
{
	enum search_view view = c->request->view;
	struct text where = c->continues ? SQL(c, AFTER_RUNS, w->after[0], w->after[1], w->after[2]) : PIECE(TRUE);

	/* One range in one experiment is all there is: its rows before the page need not be kept. */
	if (w->parts.n == 0 && view == VIEW_ACTIVE && c->request->experiment_count == 1 && c->offset > 0) {
		w->rows = SQL(c, FROM_ROW, sql_literal(c, c->limit), sql_bind_integer(c, c->offset));
		c->offset = 0;
	}
	if (view == VIEW_DELETED || view == VIEW_ALL)
		(void)range_plain(c, w, "0", true, LIVES_DELETED, PIECE(NO_KEY), where, false, PIECE(TRUE));
	(void)range_plain(c, w, "0", true, view == VIEW_DELETED ? LIVES_GONE : view == VIEW_ALL ? LIVES_ANY : LIVES_ACTIVE, PIECE(NO_KEY), where, false, PIECE(TRUE));
}

/* The page of a walk by one key: the parts sorted by class, key, start time, rank and identity. */
static void
walk_page(struct compiler *c, const struct walk *w)
{
	struct text args[] = {
		sql_join(c, sql_head(c, true), buf_view(&w->ctes)), w->order == NULL ? TEXT_NONE : PIECE(PAGE_KEY), text_copy(c->arena, buf_view(&w->parts)),
		w->descending ? PIECE(DESC) : PIECE(ASC), sql_literal(c, c->limit), c->offset > 0 ? SQL(c, OFFSET, sql_bind_integer(c, c->offset)) : TEXT_NONE,
	};
	c->query->sql = sql_fill(c, F_PAGE, args, 6);
}

bool
walk_compile(struct compiler *c, struct walk *w)
{
	static const struct key integer = { .type = KEY_INTEGER };
	struct key simple[4] = { integer, integer, integer, integer };
	struct general g = { .keys = simple, .count = w->order == NULL ? 3 : 4 };
	const struct node **parts = arena_array(c->arena, SEARCH_CONDITIONS + 1, sizeof(*parts));
	size_t n = conjuncts(c->filter, parts, 0);
	int64_t v;

	simple[0].nullable = w->nullable;
	simple[0].type = w->is_text ? KEY_TEXT : w->is_float ? KEY_FLOAT : KEY_INTEGER;
	if (w->further)
		sql_keys(c, &g);
	if (!sql_token_read(c, g.keys, g.count))
		return false;
	c->query->steady = true;
	w->rows = c->offset == 0 ? sql_literal(c, c->limit) : sql_bind_integer(c, c->limit + c->offset);
	for (size_t i = 0; c->continues && !w->further && i < 3; i++)
		w->after[i] = text_int(c->token.values[g.count - 3 + i], &v) ? sql_bind_integer(c, v) : TEXT_NONE;
	if (c->continues && w->order != NULL && c->token.values[0].s != NULL)
		w->after_key = sql_bind_token(c, &g.keys[0], c->token.values[0]);
	if (over_values(w)) {
		w->table = sql_fragments[sql_table(w->entity)];
		w->key_id = sql_bind_key(c, w->order->key);
	}
	parts_sort(parts, n);
	walk_filter(c, w, parts, n);
	walk_hits(c, w, parts, n);
	if (w->order == NULL)
		ranges_by_start(c, w);
	if (w->order != NULL && !w->must_miss)
		ranges_valued(c, w);
	if (w->order != NULL)
		range_missing(c, w);
	if (w->further)
		sql_page(c, &g, sql_join(c, sql_head(c, true), buf_view(&w->ctes)), PIECE(RUN_IDENTITY), SQL(c, CANDIDATES, buf_view(&w->parts)), PIECE(TRUE));
	else
		walk_page(c, w);
	c->query->sort_columns = g.count;
	buf_free(&w->ctes);
	buf_free(&w->parts);
	return true;
}

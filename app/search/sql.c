/*
 * Trees to SQL. Runs that are active and sorted by one key (or by none) are walked along an index and the walk stops after a page; every other search is
 * `select .. where .. order by`. All text comes from fragments.def, all values are bound.
 *
 * A walked search is a list of ranges in MLflow's order (numbers, NaN, runs without the key), each begun only if those before it did not fill the page. The first
 * rows of the order are a sample: if the filter takes some of them, the walk is short. Else come the hits: when a condition of the filter has few runs,
 * these are fetched, checked and sorted, and no range is walked. So the work is bounded both when a filter takes nearly everything and when it takes nearly
 * nothing, without trusting the planner's guess of which it is.
 */
#include <math.h>

#include "base/arena.h"
#include "search/parse.h"
#include "search/token.h"

#ifndef SEARCH_HITS /* tests make both small */
#define SEARCH_HITS 5000
#define SEARCH_SAMPLE 150
#endif
#define SAMPLE_ENOUGH 2
#define HIT_SETS 2
#define GRADES 6
#define EDGE_CHARS 64 /* of the indexes on params, tags and names */
#define EXPERIMENTS_WALKED 1000

static const struct text fragments[] = {
#define FRAGMENT(name, text) { text, sizeof(text) - 1 },
#include "search/fragments.def"
#undef FRAGMENT
};

struct compiler {
	struct arena *arena;
	const struct search_request *request;
	struct search_query *query;
	struct search_error *error;
	size_t room; /* of query->params */
	struct node *filter;
	struct order *orders;
	size_t order_count;
	struct token token;
	bool continues; /* token has sort values */
	int64_t limit, offset;
	struct text experiments; /* bound list, TEXT_NONE until asked for */
	struct text one;         /* bound experiment */
	struct text *keys;       /* names looked up in the head of the query, each once */
	size_t key_count, key_room;
};

/* How conditions reach the rows they look at. */
struct view {
	struct text run;  /* expression of the run's identity */
	bool probe;       /* scalar subselects only; else the planner may join */
	bool joined;      /* alias r is there */
};

/* One sort key of a general search. */
struct key {
	struct text expression;
	enum { KEY_INTEGER, KEY_FLOAT, KEY_TEXT } type;
	bool descending, nullable;
	struct text name;
};

/* All sort keys of a general search, and the pieces of text made of them. */
struct general {
	struct key *keys;
	size_t count;
	struct text made, shown, order;
};

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

#define SQL(c, f, ...) \
	sql_fill((c), F_##f, (const struct text[]){ __VA_ARGS__ }, sizeof((const struct text[]){ __VA_ARGS__ }) / sizeof(struct text))
#define PIECE(f) (fragments[F_##f])

static struct text sql_fill(struct compiler *, enum fragment, const struct text *, size_t n);
static struct text both(struct compiler *, struct text a, struct text b);
static struct search_param *bind_new(struct compiler *, size_t *at);
static struct text bind_text(struct compiler *, struct text);
static struct text bind_integer(struct compiler *, int64_t);
static struct text bind_number(struct compiler *, double);
static struct text bind_key(struct compiler *, struct text key);
static struct text bind_experiments(struct compiler *);
static struct text bind_one(struct compiler *);
static uint64_t hash_request(const struct search_request *);
static bool tokens_check(struct compiler *, const struct key *, size_t n);
static struct text compare(struct compiler *, const struct condition *, struct text left, bool nan);
static struct text tree_sql(struct compiler *, const struct node *, const struct view *);
static struct text condition_sql(struct compiler *, const struct condition *, const struct view *);
static struct text run_value_sql(struct compiler *, const struct condition *, const struct view *);
static struct text filter_sql(struct compiler *, const struct view *);
static bool compile_general(struct compiler *);
static struct key general_key(struct compiler *, const struct order *, size_t at);
static struct text general_from(struct compiler *, struct text *where, struct text *identity);
static bool runs_walkable(struct compiler *, struct walk *);
static bool compile_walk(struct compiler *, struct walk *);

bool
search_compile(struct arena *arena, const struct search_request *request, struct search_query *query, struct search_error *error)
{
	struct compiler c = { .arena = arena, .request = request, .query = query, .error = error };
	struct walk walk = { 0 };

	*query = (struct search_query){ .token_hash = hash_request(request) };
	error->message[0] = '\0';
	error->at = 0;
	if (request->kind == SEARCH_DATASETS)
		return search_fail(error, SIZE_MAX, "Datasets of runs are listed without a filter");
	c.orders = arena_array(arena, request->order_count + 4, sizeof(*c.orders));
	c.order_count = request->order_count;
	if (!parse_filter(arena, request->kind, request->filter, &c.filter, error) ||
	    !parse_orders(arena, request->kind, request->orders, request->order_count, c.orders, error) ||
	    !parse_check_comparators(arena, request->kind, c.filter, error))
		return false;
	if (request->limit < 0 || request->limit > INT32_MAX || request->offset < 0 || request->offset > INT32_MAX)
		return search_fail(error, SIZE_MAX, "Page size or offset is out of range");
	c.limit = request->limit + 1;
	c.offset = request->offset;
	if (request->kind == SEARCH_RUNS && runs_walkable(&c, &walk))
		return compile_walk(&c, &walk);
	return compile_general(&c);
}

static struct text
sql_fill(struct compiler *c, enum fragment f, const struct text *args, size_t n)
{
	struct text form = fragments[f];
	size_t size = 0;
	char *out;

	for (int pass = 0; pass < 2; pass++) {
		out = pass == 0 ? NULL : arena_array(c->arena, size + 1, 1);
		size = 0;
		for (size_t i = 0; i < form.n; i++) {
			if (form.s[i] == '{' && i + 2 < form.n && form.s[i + 1] >= '1' && form.s[i + 1] <= '9' && form.s[i + 2] == '}') {
				size_t arg = (size_t)(form.s[i + 1] - '1');
				PRECOND(arg < n);
				if (out != NULL && args[arg].n > 0)
					memcpy(out + size, args[arg].s, args[arg].n);
				size += args[arg].n;
				i += 2;
			} else {
				if (out != NULL)
					out[size] = form.s[i];
				size++;
			}
		}
	}
	return (struct text){ out, size };
}

static struct text
both(struct compiler *c, struct text a, struct text b)
{
	if (a.n == 0 || text_eq(a, PIECE(TRUE)))
		return b;
	if (b.n == 0 || text_eq(b, PIECE(TRUE)))
		return a;
	return SQL(c, AND, a, b);
}

static struct text
both_texts(struct compiler *c, struct text a, struct text b)
{
	return text_format(c->arena, TEXT_FMT TEXT_FMT, TEXT_ARG(a), TEXT_ARG(b));
}

static struct search_param *
bind_new(struct compiler *c, size_t *at)
{
	struct search_query *q = c->query;

	if (q->param_count == c->room) {
		struct search_param *more = arena_array(c->arena, c->room * 2 + 16, sizeof(*more));
		if (c->room > 0)
			memcpy(more, q->params, c->room * sizeof(*more));
		q->params = more;
		c->room = c->room * 2 + 16;
	}
	*at = ++q->param_count;
	return &q->params[*at - 1];
}

static struct text
bind(struct compiler *c, struct search_param param)
{
	static const enum fragment forms[] = { [SP_TEXT] = F_SP_TEXT, [SP_INT8] = F_SP_INT8, [SP_FLOAT8] = F_SP_FLOAT8, [SP_INT8S] = F_SP_INT8S, [SP_TEXTS] = F_SP_TEXTS };
	size_t at;

	*bind_new(c, &at) = param;
	struct text number = text_format(c->arena, "%zu", at);
	return sql_fill(c, forms[param.type], &number, 1);
}

static struct text
bind_text(struct compiler *c, struct text t)
{
	return bind(c, (struct search_param){ .type = SP_TEXT, .text = t });
}

static struct text
bind_integer(struct compiler *c, int64_t i)
{
	return bind(c, (struct search_param){ .type = SP_INT8, .i = i });
}

static struct text
bind_number(struct compiler *c, double d)
{
	return bind(c, (struct search_param){ .type = SP_FLOAT8, .d = d });
}

/* The number of a metric's, param's or tag's name: a reference to the head of the query, which looks each up once. */
static struct text
bind_key(struct compiler *c, struct text key)
{
	size_t at = 0;

	while (at < c->key_count && !text_eq(c->keys[at], key))
		at++;
	if (at == c->key_room) {
		struct text *more = arena_array(c->arena, c->key_room * 2 + 8, sizeof(*more));
		if (at > 0)
			memcpy(more, c->keys, at * sizeof(*more));
		c->keys = more;
		c->key_room = c->key_room * 2 + 8;
	}
	if (at == c->key_count)
		c->keys[c->key_count++] = key;
	return SQL(c, KEY, text_format(c->arena, "k%zu", at + 1));
}

/* The head: with key_ids as (..); comma: more CTEs follow. */
static struct text
keys_head(struct compiler *c, bool more)
{
	struct text list = TEXT_NONE;

	if (c->key_count == 0)
		return more ? PIECE(WITH) : TEXT_NONE;
	for (size_t i = 0; i < c->key_count; i++)
		list = SQL(c, KEY_MADE, list, i > 0 ? PIECE(COMMA) : TEXT_NONE, bind_text(c, c->keys[i]), text_format(c->arena, "k%zu", i + 1));
	return SQL(c, KEYS, list, more ? PIECE(COMMA) : TEXT_NONE);
}

static struct text
bind_experiments(struct compiler *c)
{
	if (c->experiments.n == 0)
		c->experiments = bind(c, (struct search_param){ .type = SP_INT8S, .is = c->request->experiments, .n = c->request->experiment_count });
	return c->experiments;
}

static struct text
bind_one(struct compiler *c)
{
	if (c->one.n == 0)
		c->one = bind_integer(c, c->request->experiments[0]);
	return c->one;
}

/* What a token must agree on: all but page size and place. */
static uint64_t
hash_request(const struct search_request *r)
{
	struct buf b = { 0 };
	uint64_t hash;

	buf_printf(&b, "%d %d %zu ", (int)r->kind, (int)r->view, r->filter.n);
	buf_text(&b, r->filter);
	for (size_t i = 0; i < r->order_count; i++) {
		buf_printf(&b, " %zu %d ", r->orders[i].key.n, r->orders[i].descending);
		buf_text(&b, r->orders[i].key);
		buf_byte(&b, '|');
		buf_text(&b, r->orders[i].dataset_name);
		buf_byte(&b, '|');
		buf_text(&b, r->orders[i].dataset_digest);
	}
	for (size_t i = 0; i < r->experiment_count; i++)
		buf_printf(&b, " %lld", (long long)r->experiments[i]);
	for (size_t i = 0; i < r->dataset_count * 2; i++) {
		buf_printf(&b, " %zu ", r->datasets[i].n);
		buf_text(&b, r->datasets[i]);
	}
	hash = text_hash(buf_view(&b));
	buf_free(&b);
	return hash;
}

/* Reads the request's token and checks its values against the types of the sort keys. */
static bool
tokens_check(struct compiler *c, const struct key *keys, size_t n)
{
	const struct search_request *r = c->request;
	int64_t i;
	double d;

	if (r->page_token.n == 0)
		return true;
	if (!token_read(c->arena, r->page_token, c->query->token_hash, n, &c->token, c->error))
		return false;
	if (c->token.is_offset) {
		c->offset += c->token.offset;
		return true;
	}
	for (size_t k = 0; k < n; k++) {
		struct text v = c->token.values[k];
		bool good = v.s == NULL ? keys[k].nullable : keys[k].type == KEY_TEXT || (keys[k].type == KEY_INTEGER ? text_int(v, &i) : text_double(v, &d));
		if (!good)
			return search_fail(c->error, SIZE_MAX, "Invalid page token, it is damaged");
	}
	c->continues = true;
	return true;
}

/* A backslash in MLflow's LIKE means itself. */
static struct text
like_pattern(struct compiler *c, struct text t)
{
	char *out = arena_array(c->arena, t.n * 2 + 1, 1);
	size_t n = 0;

	for (size_t i = 0; i < t.n; i++) {
		if (t.s[i] == '\\')
			out[n++] = '\\';
		out[n++] = t.s[i];
	}
	return (struct text){ out, n };
}

static struct text
bind_value(struct compiler *c, const struct condition *condition)
{
	bool integer = condition->attribute != NULL && (condition->attribute->type == AT_ID || condition->is_integer);

	if (condition->list_count > 0 && condition->attribute != NULL && condition->attribute->type == AT_ID) {
		int64_t *ids = arena_array(c->arena, condition->list_count, sizeof(*ids));
		for (size_t i = 0; i < condition->list_count; i++)
			PRECOND(text_int(text_trim(condition->list[i]), &ids[i]));
		return bind(c, (struct search_param){ .type = SP_INT8S, .is = ids, .n = condition->list_count });
	}
	if (condition->list_count > 0)
		return bind(c, (struct search_param){ .type = SP_TEXTS, .ts = condition->list, .n = condition->list_count });
	if (integer)
		return bind_integer(c, condition->integer);
	if (condition->is_number)
		return bind_number(c, condition->number);
	if (condition->compare == CMP_LIKE || condition->compare == CMP_ILIKE)
		return bind_text(c, like_pattern(c, condition->text));
	return bind_text(c, condition->text);
}

/* nan: the left side may be NaN. */
static struct text
compare(struct compiler *c, const struct condition *condition, struct text left, bool nan)
{
	static const enum fragment plain[] = { F_EQ, F_NE, F_LT, F_LE, F_GT, F_GE, F_LIKE, F_ILIKE, F_RLIKE, F_IN, F_IS_NULL, F_FALSE };
	enum compare how = condition->compare;
	enum fragment f = plain[how];
	struct text args[2] = { left, bind_value(c, condition) };

	if (condition->list_count > 0)
		f = (how == CMP_NE) != condition->negated ? F_NOT_IN : F_IN;
	else if (condition->negated)
		f = how == CMP_LIKE ? F_NOT_LIKE : how == CMP_ILIKE ? F_NOT_ILIKE : F_NOT_RLIKE;
	else if (nan && how == CMP_GT)
		f = F_GT_NAN;
	else if (nan && how == CMP_GE)
		f = F_GE_NAN;
	return sql_fill(c, f, args, 2);
}

static struct text
filter_sql(struct compiler *c, const struct view *view)
{
	return c->filter == NULL ? PIECE(TRUE) : tree_sql(c, c->filter, view);
}

static struct text
tree_sql(struct compiler *c, const struct node *n, const struct view *view)
{
	struct text all = TEXT_NONE;

	if (n->kind == NODE_CONDITION)
		return condition_sql(c, &n->condition, view);
	if (n->kind == NODE_NOT)
		return SQL(c, NOT, tree_sql(c, n->first, view));
	for (const struct node *part = n->first; part != NULL; part = part->next) {
		struct text one = tree_sql(c, part, view);
		all = all.n == 0 ? one : n->kind == NODE_AND ? SQL(c, AND, all, one) : SQL(c, OR, all, one);
	}
	return n->kind == NODE_AND && n->first->next != NULL ? SQL(c, BRACKETS, all) : all;
}

static enum fragment
table_of(enum entity entity)
{
	return entity == ENTITY_METRIC ? F_TABLE_METRIC : entity == ENTITY_PARAM ? F_TABLE_PARAM : F_TABLE_TAG;
}

static struct text
aggregate_sql(struct compiler *c, enum aggregate aggregate, struct text run, struct text key, struct text base)
{
	enum fragment f = aggregate == AGGREGATE_MIN ? F_AGGREGATE_MIN : aggregate == AGGREGATE_MAX ? F_AGGREGATE_MAX : F_AGGREGATE_LAST;
	struct text args[] = { run, bind_key(c, key), bind_key(c, base), bind_experiments(c) };

	return sql_fill(c, f, args, 4);
}

static struct text
run_value_sql(struct compiler *c, const struct condition *d, const struct view *view)
{
	struct text table = fragments[table_of(d->entity)], key;

	if (d->compare == CMP_NULL) {
		struct text args[] = { table, view->run, bind_key(c, d->key) };
		return sql_fill(c, d->negated ? (view->probe ? F_PROBE_THERE : F_EXISTS_THERE) : view->probe ? F_PROBE_MISSING : F_EXISTS_MISSING, args, 3);
	}
	struct text condition = compare(c, d, d->entity == ENTITY_PARAM && d->is_number ? PIECE(P_NUMBER) : PIECE(P_VALUE), d->entity == ENTITY_METRIC);
	if (d->aggregate != AGGREGATE_NONE)
		return SQL(c, AGGREGATE_CONDITION, aggregate_sql(c, d->aggregate, view->run, d->key, d->base), condition);
	key = bind_key(c, d->key);
	struct text args[] = { table, view->run, key, condition };
	return sql_fill(c, view->probe ? F_PROBE : F_EXISTS, args, 4);
}

static struct text
logged_model_datasets(struct compiler *c)
{
	const struct search_request *r = c->request;
	struct text all = TEXT_NONE;

	for (size_t i = 0; i < r->dataset_count; i++) {
		struct text name = bind_text(c, r->datasets[2 * i]), digest = r->datasets[2 * i + 1];
		struct text one = digest.n == 0 ? SQL(c, P_DATASET, name) : SQL(c, P_DATASET_DIGEST, name, bind_text(c, digest));
		all = all.n == 0 ? one : SQL(c, OR, all, one);
	}
	return all.n == 0 ? PIECE(TRUE) : all;
}

static const char *
status_number(struct text name)
{
	return text_is_nocase(name, "READY") || text_is_nocase(name, "LOGGED_MODEL_READY")       ? "2"
	    : text_is_nocase(name, "PENDING") || text_is_nocase(name, "LOGGED_MODEL_PENDING")     ? "1"
	    : text_is_nocase(name, "FAILED") || text_is_nocase(name, "LOGGED_MODEL_UPLOAD_FAILED") ? "3"
												   : NULL;
}

static struct text
condition_sql(struct compiler *c, const struct condition *d, const struct view *view)
{
	static const struct {
		enum fragment has, there, missing;
	} tags[] = {
		[SEARCH_EXPERIMENTS] = { F_EXPERIMENT_TAG, F_EXPERIMENT_TAG_THERE, F_EXPERIMENT_TAG_MISSING },
		[SEARCH_LOGGED_MODELS] = { F_LOGGED_MODEL_TAG, F_LOGGED_MODEL_TAG_THERE, F_LOGGED_MODEL_TAG_MISSING },
		[SEARCH_REGISTERED_MODELS] = { F_REGISTERED_MODEL_TAG, F_REGISTERED_MODEL_TAG_THERE, F_REGISTERED_MODEL_TAG_MISSING },
		[SEARCH_MODEL_VERSIONS] = { F_VERSION_TAG, F_VERSION_TAG_THERE, F_VERSION_TAG_MISSING },
	};
	enum search_kind kind = c->request->kind;

	if (d->entity == ENTITY_ATTRIBUTE) {
		struct condition mapped = *d;
		if (d->attribute->column == F_LOGGED_MODEL_STATUS && d->list_count == 0 && status_number(d->text) != NULL)
			mapped.text = text_from(status_number(d->text));
		struct text condition = compare(c, &mapped, fragments[d->attribute->column], false);
		return kind == SEARCH_RUNS && !view->joined ? SQL(c, PROBE_RUN, view->run, condition) : condition;
	}
	if (kind == SEARCH_RUNS && d->entity == ENTITY_DATASET) {
		struct text left = text_is(d->key, "name") ? PIECE(DATASET_NAME) : text_is(d->key, "digest") ? PIECE(DATASET_DIGEST) : PIECE(DATASET_CONTEXT);
		struct text args[] = { view->run, compare(c, d, left, false) };
		return sql_fill(c, view->probe ? F_PROBE_DATASET : F_DATASET, args, 2);
	}
	if (kind == SEARCH_RUNS)
		return run_value_sql(c, d, view);
	struct text key = bind_text(c, d->key);
	if (d->entity == ENTITY_METRIC)
		return SQL(c, LOGGED_MODEL_METRIC, key, compare(c, d, PIECE(P_VALUE), true), logged_model_datasets(c));
	if (d->entity == ENTITY_PARAM)
		return SQL(c, LOGGED_MODEL_PARAM, key, compare(c, d, PIECE(P_VALUE), false));
	if (d->compare == CMP_NULL)
		return sql_fill(c, d->negated ? tags[kind].there : tags[kind].missing, &key, 1);
	struct text args[] = { key, compare(c, d, PIECE(P_VALUE), false) };
	return sql_fill(c, tags[kind].has, args, 2);
}

/* The first condition of the filter for which find() says so; conditions under OR and NOT count too. */
static const struct condition *
tree_find(const struct node *n, bool (*find)(const struct condition *))
{
	if (n == NULL)
		return NULL;
	if (n->kind == NODE_CONDITION)
		return find(&n->condition) ? &n->condition : NULL;
	for (const struct node *part = n->first; part != NULL; part = part->next) {
		const struct condition *found = tree_find(part, find);
		if (found != NULL)
			return found;
	}
	return NULL;
}

static bool
is_prompt_tag(const struct condition *d)
{
	return d->entity == ENTITY_TAG && text_is(d->key, "mlflow.prompt.is_prompt");
}

static bool
is_metric(const struct condition *d)
{
	return d->entity == ENTITY_METRIC;
}

/* Prompts are shown only to a filter that asks for them; a condition on their tag is dropped otherwise, since models do not have it. */
static struct text
registry_filter(struct compiler *c, enum fragment no_prompt)
{
	static const struct view view = { 0 };
	const struct condition *tag = tree_find(c->filter, is_prompt_tag);
	struct text where = TEXT_NONE;

	if (tag != NULL && ((tag->compare == CMP_EQ && text_is_nocase(tag->text, "true")) || (tag->compare == CMP_NE && text_is_nocase(tag->text, "false"))))
		return filter_sql(c, &view);
	if (tag == NULL)
		return both(c, fragments[no_prompt], filter_sql(c, &view));
	if (c->filter->kind == NODE_CONDITION)
		return fragments[no_prompt];
	if (c->filter->kind != NODE_AND)
		return both(c, fragments[no_prompt], SQL(c, BRACKETS, filter_sql(c, &view)));
	for (const struct node *part = c->filter->first; part != NULL; part = part->next)
		if (part->kind != NODE_CONDITION || !is_prompt_tag(&part->condition))
			where = both(c, where, tree_sql(c, part, &view));
	return both(c, fragments[no_prompt], where);
}

static struct text
readable(struct compiler *c, struct text where)
{
	struct text marker = text_from(c->request->readable);

	return marker.n == 0 || text_is(marker, "true") ? where : both(c, where, SQL(c, BRACKETS, marker));
}

/* Everything but keys and page: from, where and the identity. */
static struct text
general_from(struct compiler *c, struct text *where, struct text *identity)
{
	static const struct view view = { 0 };
	enum search_view shown = c->request->view;

	switch (c->request->kind) {
	case SEARCH_RUNS: {
		struct view runs = { .run = PIECE(RUN_IDENTITY), .joined = true };
		struct text which = c->request->experiment_count == 1 ? SQL(c, RUN_ONE, bind_one(c)) : SQL(c, RUN_EACH, bind_experiments(c));
		*identity = PIECE(RUN_IDENTITY);
		*where = both(c, which, shown == VIEW_ALL ? PIECE(TRUE) : shown == VIEW_DELETED ? PIECE(DEAD) : PIECE(ALIVE));
		*where = readable(c, both(c, *where, filter_sql(c, &runs)));
		return PIECE(RUNS);
	}
	case SEARCH_EXPERIMENTS:
		*identity = PIECE(EXPERIMENT_ID);
		*where = shown == VIEW_ALL ? PIECE(TRUE) : shown == VIEW_DELETED ? PIECE(EXPERIMENT_DEAD) : PIECE(EXPERIMENT_ALIVE);
		*where = readable(c, both(c, *where, filter_sql(c, &view)));
		return PIECE(EXPERIMENTS);
	case SEARCH_LOGGED_MODELS:
		*identity = PIECE(LOGGED_MODEL_IDENTITY);
		*where = shown == VIEW_ALL ? SQL(c, LOGGED_MODEL_ANY, bind_experiments(c))
		    : shown == VIEW_DELETED ? SQL(c, LOGGED_MODEL_DEAD, bind_experiments(c))
					    : SQL(c, LOGGED_MODEL_ALIVE, bind_experiments(c));
		*where = readable(c, both(c, *where, filter_sql(c, &view)));
		if (c->request->dataset_count > 0 && tree_find(c->filter, is_metric) == NULL)
			*where = both(c, *where, SQL(c, LOGGED_MODEL_DATASET, logged_model_datasets(c)));
		return PIECE(LOGGED_MODELS);
	case SEARCH_REGISTERED_MODELS:
		*identity = PIECE(REGISTERED_MODEL_IDENTITY);
		*where = readable(c, registry_filter(c, F_REGISTERED_MODEL_NO_PROMPT));
		return PIECE(REGISTERED_MODELS);
	case SEARCH_MODEL_VERSIONS:
		*identity = PIECE(VERSION_IDENTITY);
		*where = readable(c, both(c, PIECE(VERSION_ALIVE), registry_filter(c, F_VERSION_NO_PROMPT)));
		return PIECE(VERSIONS);
	case SEARCH_DATASETS:
		break;
	}
	PRECOND(false);
}

static struct key
general_key(struct compiler *c, const struct order *o, size_t at)
{
	struct key k = { .descending = o->descending, .nullable = true, .type = KEY_TEXT, .name = text_format(c->arena, "k%zu", at) };

	if (o->attribute != NULL) {
		k.expression = fragments[o->attribute->column];
		k.type = o->attribute->type == AT_TEXT ? KEY_TEXT : KEY_INTEGER;
		k.nullable = (o->attribute->uses & AT_NULLABLE) != 0;
	} else if (c->request->kind == SEARCH_LOGGED_MODELS) {
		struct text datasets = PIECE(TRUE), key = bind_text(c, o->key);
		if (o->dataset_name.n > 0 && o->dataset_digest.n > 0)
			datasets = SQL(c, P_DATASET_DIGEST, bind_text(c, o->dataset_name), bind_text(c, o->dataset_digest));
		else if (o->dataset_name.n > 0)
			datasets = SQL(c, P_DATASET, bind_text(c, o->dataset_name));
		k.expression = SQL(c, LOGGED_MODEL_ORDER, key, datasets);
		k.type = KEY_FLOAT;
	} else if (o->aggregate != AGGREGATE_NONE) {
		k.expression = aggregate_sql(c, o->aggregate, PIECE(RUN_IDENTITY), o->key, o->base);
		k.type = KEY_FLOAT;
	} else {
		k.expression = SQL(c, PROBE, fragments[table_of(o->entity)], PIECE(RUN_IDENTITY), bind_key(c, o->key), PIECE(P_VALUE));
		k.type = o->entity == ENTITY_METRIC ? KEY_FLOAT : KEY_TEXT;
	}
	return k;
}

/* MLflow's last sort keys of each search, unless the request names them. */
static void
orders_complete(struct compiler *c)
{
	static const struct {
		enum search_kind kind;
		enum fragment column;
		enum attribute_type type;
		bool descending, alone; /* alone: only when the request has no order at all */
	} last[] = {
		{ SEARCH_RUNS, F_RUN_START_TIME, AT_INTEGER, true, false },
		{ SEARCH_RUNS, F_RUN_RUN_ID, AT_TEXT, false, false },
		{ SEARCH_EXPERIMENTS, F_EXPERIMENT_CREATION_TIME, AT_INTEGER, true, true },
		{ SEARCH_EXPERIMENTS, F_EXPERIMENT_ID, AT_INTEGER, false, true },
		{ SEARCH_EXPERIMENTS, F_EXPERIMENT_ID, AT_INTEGER, true, false },
		{ SEARCH_LOGGED_MODELS, F_LOGGED_MODEL_CREATION_TIME, AT_INTEGER, true, false },
		{ SEARCH_LOGGED_MODELS, F_LOGGED_MODEL_MODEL_ID, AT_TEXT, false, false },
		{ SEARCH_REGISTERED_MODELS, F_REGISTERED_MODEL_NAME, AT_TEXT, false, false },
		{ SEARCH_MODEL_VERSIONS, F_VERSION_LAST_UPDATE_TIME, AT_INTEGER, true, true },
		{ SEARCH_MODEL_VERSIONS, F_VERSION_NAME, AT_TEXT, false, false },
		{ SEARCH_MODEL_VERSIONS, F_VERSION_VERSION, AT_INTEGER, true, false },
	};
	size_t given = c->order_count;

	for (size_t i = 0; i < sizeof(last) / sizeof(*last); i++) {
		bool named = last[i].kind != c->request->kind || (last[i].alone && given > 0);
		for (size_t j = 0; j < c->order_count && !named; j++)
			named = c->orders[j].attribute != NULL && c->orders[j].attribute->column == last[i].column;
		if (named)
			continue;
		struct attribute *a = ARENA_NEW(c->arena, struct attribute);
		*a = (struct attribute){ last[i].kind, "", last[i].column, last[i].type, AT_ORDER };
		c->orders[c->order_count++] = (struct order){ .attribute = a, .descending = last[i].descending };
	}
}

static struct text
bind_token_value(struct compiler *c, const struct key *k, struct text v)
{
	int64_t i = 0;
	double d = 0;

	if (k->type == KEY_INTEGER && text_int(v, &i))
		return bind_integer(c, i);
	if (k->type == KEY_FLOAT && text_double(v, &d))
		return bind_number(c, d);
	return bind_text(c, v);
}

/* Rows behind the token's in the order of the keys. */
static struct text
general_after(struct compiler *c, const struct key *keys, size_t n)
{
	struct text after = PIECE(FALSE);

	for (size_t i = n; i-- > 0;) {
		const struct key *k = &keys[i];
		struct text v = c->token.values[i], beyond, same;
		if (v.s == NULL) {
			same = SQL(c, K_IS_NULL, k->name);
			after = SQL(c, K_THEN, PIECE(FALSE), same, after);
			continue;
		}
		struct text args[] = { k->name, bind_token_value(c, k, v) };
		same = sql_fill(c, F_K_SAME, args, 2);
		if (k->type == KEY_FLOAT && k->descending && text_is(v, "NaN"))
			beyond = SQL(c, K_IS_NULL, k->name);
		else if (k->type == KEY_FLOAT)
			beyond = sql_fill(c, k->descending ? F_K_LT_NAN : F_K_GT_NAN, args, 2);
		else if (k->nullable)
			beyond = sql_fill(c, k->descending ? F_K_LT_NULL : F_K_GT_NULL, args, 2);
		else
			beyond = sql_fill(c, k->descending ? F_K_LT : F_K_GT, args, 2);
		after = SQL(c, K_THEN, beyond, same, after);
	}
	return after;
}

static void
general_keys(struct compiler *c, struct general *g)
{
	struct text comma = TEXT_NONE;

	orders_complete(c);
	g->count = c->order_count;
	g->keys = arena_array(c->arena, c->order_count + 1, sizeof(*g->keys));
	for (size_t i = 0; i < c->order_count; i++) {
		struct key *k = &g->keys[i];
		*k = general_key(c, &c->orders[i], i + 1);
		g->made = SQL(c, K_MADE, g->made, k->expression, k->name);
		g->shown = SQL(c, K_SHOWN, g->shown, k->name);
		struct text args[] = { comma, k->name, k->descending ? PIECE(DESC) : PIECE(ASC) };
		enum fragment f = k->type == KEY_FLOAT ? F_K_CLASS : !k->descending ? F_K_ASC : k->nullable ? F_K_DESC_NULLS : F_K_DESC;
		g->order = both_texts(c, g->order, sql_fill(c, f, args, 3));
		comma = PIECE(COMMA);
	}
}

static void
general_page(struct compiler *c, const struct general *g, struct text head, struct text identity, struct text from, struct text where)
{
	struct text after = c->continues ? general_after(c, g->keys, g->count) : PIECE(TRUE);
	struct text offset = c->offset > 0 ? SQL(c, OFFSET, bind_integer(c, c->offset)) : TEXT_NONE;
	struct text page = SQL(c, GENERAL_PAGE, g->order, bind_integer(c, c->limit), offset);
	struct text args[] = { head, g->shown, identity, g->made, from, where, after, page };

	c->query->sql = sql_fill(c, F_GENERAL, args, 8);
	c->query->sort_columns = g->count;
}

/* Counting all active runs of an experiment needs no more than an index. */
static bool
count_is_simple(const struct compiler *c)
{
	const struct search_request *r = c->request;

	return r->kind == SEARCH_RUNS && c->filter == NULL && r->experiment_count == 1 && r->view != VIEW_DELETED && r->view != VIEW_ALL && (r->readable == NULL || strcmp(r->readable, "true") == 0);
}

static bool
compile_general(struct compiler *c)
{
	struct text where, identity, from;
	struct general g = { .count = 0 };

	if (c->request->count_only && count_is_simple(c)) {
		c->query->sql = SQL(c, COUNT_ACTIVE, bind_one(c));
		return true;
	}
	if (c->request->count_only) {
		from = general_from(c, &where, &identity);
		c->query->sql = SQL(c, GENERAL_COUNT, keys_head(c, false), from, where);
		return true;
	}
	general_keys(c, &g);
	if (!tokens_check(c, g.keys, g.count))
		return false;
	from = general_from(c, &where, &identity);
	general_page(c, &g, keys_head(c, false), identity, from, where);
	return true;
}

/* A first sort key that an index has. Runs that are deleted too are walked by start time only. */
static bool
runs_walkable(struct compiler *c, struct walk *w)
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
			struct text t = compare(c, d, PIECE(W_START_TIME), false);
			w->inner = both(c, w->inner, t);
			w->inner_runs = both(c, w->inner_runs, t);
			continue;
		}
		if (plain && same_key(w, d) && (d->compare != CMP_NULL || d->negated)) {
			w->must_have = true;
			if (d->compare == CMP_EQ && w->is_text)
				w->inner = both(c, w->inner, SQL(c, EQ, PIECE(W_VALUE_EDGE), bind_text(c, edge_text(d->text))));
			if (d->compare != CMP_NULL)
				w->inner = both(c, w->inner, compare(c, d, PIECE(W_VALUE), w->is_float));
			continue;
		}
		if (plain && same_key(w, d))
			w->must_miss = true;
		if (plain && d->attribute != NULL && d->attribute->column == F_RUN_STATUS && d->compare == CMP_EQ && !over_values(w)) {
			int64_t status = 0;
			for (int64_t s = 0; s < 5; s++)
				if (text_is(d->text, statuses[s]))
					status = s + 1;
			w->inner = both(c, w->inner, SQL(c, EQ, PIECE(W_STATUS), bind_integer(c, status)));
			w->inner_runs = w->inner;
			continue;
		}
		w->filter = both(c, w->filter, tree_sql(c, parts[i], &view));
	}
}

/* What all texts that fit a LIKE pattern begin with, as a pattern for the indexes of beginnings; empty when they share nothing. */
static struct text
like_beginning(struct compiler *c, struct text pattern)
{
	size_t n = 0;

	while (n < pattern.n && pattern.s[n] != '%' && pattern.s[n] != '_')
		n++;
	struct text start = edge_text((struct text){ pattern.s, n });
	return start.n == 0 ? TEXT_NONE : text_format(c->arena, TEXT_FMT "%%", TEXT_ARG(like_pattern(c, start)));
}

/* How promising a condition is as the source of hits; 0: none. */
static unsigned
hit_grade(const struct walk *w, const struct node *n)
{
	const struct condition *d = &n->condition;
	bool equal = d->compare == CMP_EQ && d->list_count == 0 && !d->is_number;
	bool begins = d->compare == CMP_LIKE && d->text.n > 0 && d->text.s[0] != '%' && d->text.s[0] != '_';

	if (n->kind != NODE_CONDITION || same_key(w, d) || d->negated || d->aggregate != AGGREGATE_NONE)
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
	struct text limit = bind_integer(c, SEARCH_HITS + 1), where;

	struct text begins = d->compare == CMP_LIKE ? bind_text(c, like_beginning(c, d->text)) : TEXT_NONE;
	if (d->attribute != NULL) {
		where = compare(c, d, fragments[d->attribute->column], false);
		if (d->attribute->column == F_RUN_NAME)
			where = both(c, begins.n > 0 ? SQL(c, LIKE, PIECE(R_NAME_EDGE), begins) : SQL(c, EQ, PIECE(R_NAME_EDGE), bind_text(c, edge_text(d->text))), where);
		return SQL(c, HIT_RUNS, gate, one ? SQL(c, RUN_ONE, bind_one(c)) : SQL(c, RUN_EACH, bind_experiments(c)), where, limit);
	}
	where = compare(c, d, PIECE(H_VALUE), d->entity == ENTITY_METRIC);
	if (d->entity != ENTITY_METRIC)
		where = both(c, begins.n > 0 ? SQL(c, LIKE, PIECE(H_VALUE_EDGE), begins) : SQL(c, EQ, PIECE(H_VALUE_EDGE), bind_text(c, edge_text(d->text))), where);
	struct text which = one ? SQL(c, HIT_ONE, bind_one(c)) : SQL(c, HIT_EACH, bind_experiments(c));
	return SQL(c, HIT_VALUES, fragments[table_of(d->entity)], which, bind_key(c, d->key), where, limit, gate);
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
	struct text which = many ? PIECE(EACH_EXPERIMENT) : bind_one(c), where = runs ? w->inner_runs : w->inner, inner, edge = PIECE(NO_KEY), order = tail(runs);
	size_t rows = SEARCH_SAMPLE / c->request->experiment_count;

	if (w->order != NULL && !(runs && over_values(w))) {
		edge = fragments[w->edge];
		order = SQL(c, ORDER_ONLY, edge, w->descending ? PIECE(DESC) : PIECE(ASC));
		if (c->continues && c->token.values[0].s != NULL) {
			struct text args[] = { edge, w->is_text ? bind_text(c, edge_text(c->token.values[0])) : w->after_key };
			where = both(c, where, sql_fill(c, w->descending ? F_LE : F_GE, args, 2));
		}
	} else if (c->continues && !w->further) {
		where = both(c, where, SQL(c, AFTER_RUNS, w->after[0], w->after[1], w->after[2]));
	}
	inner = runs ? SQL(c, INNER_RUNS, PIECE(NO_KEY), edge, which, where, order, PIECE(W_LIVING)) : SQL(c, INNER_VALUES, PIECE(NO_KEY), edge, which, where, order, w->table, w->key_id);
	inner = SQL(c, WALK, inner, PIECE(TRUE), bind_integer(c, rows < 10 ? 10 : (int64_t)rows));
	return SQL(c, SAMPLE, many ? SQL(c, WALK_EACH, inner, bind_experiments(c)) : inner, w->filter);
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
	struct text most = bind_integer(c, SEARCH_HITS), enough = bind_integer(c, SAMPLE_ENOUGH), gate = SQL(c, SAMPLE_POOR, enough);
	for (size_t i = 0; i < count; i++) {
		struct text name = text_format(c->arena, "h%zu", i + 1);
		add_cte(c, w, name, hit_sql(c, best[i], gate));
		struct text pick = SQL(c, PICK, name, both(c, gate, SQL(c, FEW, name, most)));
		picks = text_format(c->arena, TEXT_FMT TEXT_FMT TEXT_FMT, TEXT_ARG(picks), TEXT_ARG(i > 0 ? PIECE(UNION) : TEXT_NONE), TEXT_ARG(pick));
		gate = both(c, gate, SQL(c, MANY, name, most));
	}
	w->gate = SQL(c, SAMPLE_RICH, enough, gate);
	add_cte(c, w, TEXT("picked"), picks);
	struct view view = { .run = PIECE(RUN_IDENTITY), .probe = true, .joined = true };
	struct text key = w->order == NULL ? PIECE(NO_KEY)
	    : over_values(w)               ? SQL(c, PROBE, w->table, PIECE(RUN_IDENTITY), w->key_id, PIECE(P_VALUE))
					   : fragments[w->order->attribute->column];
	struct text where = readable(c, both(c, PIECE(ALIVE), filter_sql(c, &view)));
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
	struct text which = one ? bind_one(c) : PIECE(EACH_EXPERIMENT), marker = text_from(c->request->readable);
	struct text inner, active = one ? SQL(c, ONE_ACTIVE, which) : PIECE(EACH_ACTIVE);

	where = both(c, where, runs ? w->inner_runs : w->inner);
	inner = runs ? SQL(c, INNER_RUNS, row[0], row[1], which, where, order, lives == LIVES_DELETED ? PIECE(W_DELETED) : PIECE(W_LIVING))
		     : SQL(c, INNER_VALUES, row[0], row[1], which, where, order, w->table, w->key_id);
	filter = both(c, w->gate, both(c, filter, both(c, lives_sql(c, lives, active), w->filter)));
	if (w->found.n > 0)
		filter = both(c, SQL(c, FEWER, w->found, w->rows), filter);
	if (marker.n > 0 && !text_is(marker, "true"))
		filter = both(c, one ? SQL(c, ONE_READABLE, which, marker) : SQL(c, BRACKETS, marker), filter);
	inner = SQL(c, WALK, inner, filter, rows);
	return one ? inner : SQL(c, WALK_EACH, inner, bind_experiments(c));
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
	struct text order = sorted ? SQL(c, ORDER_FIRST, fragments[w->key], w->descending ? PIECE(DESC) : PIECE(ASC), tail(runs)) : tail(runs);

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
	struct text row[] = { fragments[w->key], fragments[w->edge] }, direction = w->descending ? PIECE(DESC) : PIECE(ASC), condition, order;

	add_cte(c, w, name, walk_sql(c, w, runs, LIVES_ACTIVE, row, where, SQL(c, ORDER_ONLY, row[1], direction), PIECE(TRUE), w->rows));
	struct text bound[] = { name, w->rows };
	add_cte(c, w, edge, sql_fill(c, w->descending ? F_EDGE_LEAST : F_EDGE_MOST, bound, 2));
	condition = both(c, where, split ? SQL(c, W_EDGE_SHORT, row[1], edge) : SQL(c, W_EDGE_AT, row[1], edge));
	add_cte(c, w, at, walk_sql(c, w, runs, LIVES_ACTIVE, row, condition, tail(runs), PIECE(TRUE), w->further ? PIECE(ALL) : w->rows));
	add_part(w, SQL(c, PART_BEFORE, TEXT_NONE, TEXT("0"), name, w->descending ? TEXT(">") : TEXT("<"), edge));
	add_part(w, SQL(c, PART, TEXT_NONE, TEXT("0"), at));
	if (split) {
		struct text longer = text_format(c->arena, "f%zu", w->made);
		condition = both(c, where, SQL(c, W_EDGE_LONG, row[1], edge));
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
	struct text value = c->token.values[0], key = fragments[w->key], edge = fragments[w->edge], name;
	struct text at[] = { edge, w->is_text ? bind_text(c, edge_text(value)) : w->after_key }, same = sql_fill(c, F_EQ, at, 2), where = same;

	if (!w->further) {
		struct text after[] = { w->after[0], w->after[1], w->after[2] };
		where = both(c, sql_fill(c, runs ? F_AFTER_RUNS : F_AFTER_VALUES, after, 3), both(c, same, w->is_text ? SQL(c, EQ, key, w->after_key) : PIECE(TRUE)));
	}
	name = range_plain(c, w, nan && w->descending ? "1" : "0", runs, LIVES_ACTIVE, key, where, false, PIECE(TRUE));
	if (!w->further)
		range_count(c, w, name);
	if (!w->further && w->is_text && text_chars(value) >= EDGE_CHARS) {
		struct text longer[] = { key, w->after_key };
		where = both(c, same, sql_fill(c, w->descending ? F_LT : F_GT, longer, 2));
		range_count(c, w, range_plain(c, w, "0", runs, LIVES_ACTIVE, key, where, true, PIECE(TRUE)));
	}
	return sql_fill(c, w->descending ? F_LT : F_GT, at, 2);
}

/* Ranges of rows that have the key, from the token's value on. */
static void
ranges_valued(struct compiler *c, struct walk *w)
{
	bool runs = !over_values(w), nan = c->continues && w->is_float && text_is(c->token.values[0], "NaN");
	struct text key = fragments[w->key], where = PIECE(TRUE);

	if (c->continues && c->token.values[0].s == NULL)
		return;
	if (c->continues)
		where = ranges_at_token(c, w, nan);
	if (nan)
		return;
	if (w->key == F_W_END_TIME)
		where = both(c, PIECE(W_ENDED), where);
	if (w->is_float && (w->descending || w->further))
		where = both(c, PIECE(W_NUMBERS), where);
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
		where = both(c, PIECE(W_RUNNING), where);
	}
	(void)range_plain(c, w, "2", true, LIVES_ACTIVE, key, where, false, filter);
}

/* All runs in the order of start times. Deleted ones stand in an index of their own, so both may have to be walked. */
static void
ranges_by_start(struct compiler *c, struct walk *w)
{
	enum search_view view = c->request->view;
	struct text where = c->continues ? SQL(c, AFTER_RUNS, w->after[0], w->after[1], w->after[2]) : PIECE(TRUE);

	if (view == VIEW_DELETED || view == VIEW_ALL)
		(void)range_plain(c, w, "0", true, LIVES_DELETED, PIECE(NO_KEY), where, false, PIECE(TRUE));
	(void)range_plain(c, w, "0", true, view == VIEW_DELETED ? LIVES_GONE : view == VIEW_ALL ? LIVES_ANY : LIVES_ACTIVE, PIECE(NO_KEY), where, false, PIECE(TRUE));
}

/* The page of a walk by one key: the parts sorted by class, key, start time, rank and identity. */
static void
walk_page(struct compiler *c, const struct walk *w)
{
	struct text args[] = {
		both_texts(c, keys_head(c, true), buf_view(&w->ctes)), w->order == NULL ? TEXT_NONE : PIECE(PAGE_KEY), text_copy(c->arena, buf_view(&w->parts)),
		w->descending ? PIECE(DESC) : PIECE(ASC), bind_integer(c, c->limit), c->offset > 0 ? SQL(c, OFFSET, bind_integer(c, c->offset)) : TEXT_NONE,
	};
	c->query->sql = sql_fill(c, F_PAGE, args, 6);
}

static bool
compile_walk(struct compiler *c, struct walk *w)
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
		general_keys(c, &g);
	if (!tokens_check(c, g.keys, g.count))
		return false;
	w->rows = bind_integer(c, c->limit + c->offset);
	for (size_t i = 0; c->continues && !w->further && i < 3; i++)
		w->after[i] = text_int(c->token.values[g.count - 3 + i], &v) ? bind_integer(c, v) : TEXT_NONE;
	if (c->continues && w->order != NULL && c->token.values[0].s != NULL)
		w->after_key = bind_token_value(c, &g.keys[0], c->token.values[0]);
	if (over_values(w)) {
		w->table = fragments[table_of(w->entity)];
		w->key_id = bind_key(c, w->order->key);
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
		general_page(c, &g, both_texts(c, keys_head(c, true), buf_view(&w->ctes)), PIECE(RUN_IDENTITY), SQL(c, CANDIDATES, buf_view(&w->parts)), PIECE(TRUE));
	else
		walk_page(c, w);
	c->query->sort_columns = g.count;
	buf_free(&w->ctes);
	buf_free(&w->parts);
	return true;
}

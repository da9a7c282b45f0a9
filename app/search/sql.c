/*
 * Trees to SQL. All text comes from fragments.def, all values are bound. Runs that are sorted first by a key with an index are walked along it (walk.c); every other search
 * is `select .. where .. order by`.
 */
#include "search/sql.h"

#include "base/arena.h"

const struct text sql_fragments[] = {
#define FRAGMENT(name, text) { text, sizeof(text) - 1 },
#include "search/fragments.def"
#undef FRAGMENT
};

static struct search_param *bind_new(struct compiler *, size_t *at);
static struct text bind_number(struct compiler *, double);
static uint64_t hash_request(const struct search_request *);
static struct text condition_sql(struct compiler *, const struct condition *, const struct view *);
static struct text run_value_sql(struct compiler *, const struct condition *, const struct view *);
static bool compile_general(struct compiler *);
static struct key general_key(struct compiler *, const struct order *, size_t at);
static struct text general_from(struct compiler *, struct text *where, struct text *identity);

bool
search_compile(struct arena *arena, const struct search_request *request, struct search_query *query, struct search_error *error)
{
	struct compiler c = { .arena = arena, .request = request, .query = query, .error = error };
	struct walk *walk;

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
	walk = request->kind == SEARCH_RUNS ? walk_new(&c) : NULL;
	if (walk != NULL)
		return walk_compile(&c, walk);
	return compile_general(&c);
}

struct text
sql_fill(struct compiler *c, enum fragment f, const struct text *args, size_t n)
{
	struct text form = sql_fragments[f];
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

struct text
sql_both(struct compiler *c, struct text a, struct text b)
{
	if (a.n == 0 || text_eq(a, PIECE(TRUE)))
		return b;
	if (b.n == 0 || text_eq(b, PIECE(TRUE)))
		return a;
	return SQL(c, AND, a, b);
}

struct text
sql_join(struct compiler *c, struct text a, struct text b)
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

struct text
sql_bind_text(struct compiler *c, struct text t)
{
	return bind(c, (struct search_param){ .type = SP_TEXT, .text = t });
}

struct text
sql_bind_integer(struct compiler *c, int64_t i)
{
	return bind(c, (struct search_param){ .type = SP_INT8, .i = i });
}

/* A number of our own or a page's size stays in the text: a prepared statement's plan is made for it. */
struct text
sql_literal(struct compiler *c, int64_t i)
{
	return text_format(c->arena, "%lld", (long long)i);
}

static struct text
bind_number(struct compiler *c, double d)
{
	return bind(c, (struct search_param){ .type = SP_FLOAT8, .d = d });
}

/* The number of a metric's, param's or tag's name: a reference to the head of the query, which looks each up once. */
struct text
sql_bind_key(struct compiler *c, struct text key)
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
struct text
sql_head(struct compiler *c, bool more)
{
	struct text list = TEXT_NONE;

	if (c->key_count == 0)
		return more ? PIECE(WITH) : TEXT_NONE;
	for (size_t i = 0; i < c->key_count; i++)
		list = SQL(c, KEY_MADE, list, i > 0 ? PIECE(COMMA) : TEXT_NONE, sql_bind_text(c, c->keys[i]), text_format(c->arena, "k%zu", i + 1));
	return SQL(c, KEYS, list, more ? PIECE(COMMA) : TEXT_NONE);
}

struct text
sql_bind_experiments(struct compiler *c)
{
	if (c->experiments.n == 0)
		c->experiments = bind(c, (struct search_param){ .type = SP_INT8S, .is = c->request->experiments, .n = c->request->experiment_count });
	return c->experiments;
}

struct text
sql_bind_one(struct compiler *c)
{
	if (c->one.n == 0)
		c->one = sql_bind_integer(c, c->request->experiments[0]);
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
bool
sql_token_read(struct compiler *c, const struct key *keys, size_t n)
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
		return sql_bind_integer(c, condition->integer);
	if (condition->is_number)
		return bind_number(c, condition->number);
	return sql_bind_text(c, condition->text);
}

/* nan: the left side may be NaN. */
struct text
sql_compare(struct compiler *c, const struct condition *condition, struct text left, bool nan)
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

struct text
sql_filter(struct compiler *c, const struct view *view)
{
	return c->filter == NULL ? PIECE(TRUE) : sql_tree(c, c->filter, view);
}

struct text
sql_tree(struct compiler *c, const struct node *n, const struct view *view)
{
	struct text all = TEXT_NONE;

	if (n->kind == NODE_CONDITION)
		return condition_sql(c, &n->condition, view);
	if (n->kind == NODE_NOT)
		return SQL(c, NOT, sql_tree(c, n->first, view));
	for (const struct node *part = n->first; part != NULL; part = part->next) {
		struct text one = sql_tree(c, part, view);
		all = all.n == 0 ? one : n->kind == NODE_AND ? SQL(c, AND, all, one) : SQL(c, OR, all, one);
	}
	return n->kind == NODE_AND && n->first->next != NULL ? SQL(c, BRACKETS, all) : all;
}

enum fragment
sql_table(enum entity entity)
{
	return entity == ENTITY_METRIC ? F_TABLE_METRIC : entity == ENTITY_PARAM ? F_TABLE_PARAM : F_TABLE_TAG;
}

static struct text
aggregate_sql(struct compiler *c, enum aggregate aggregate, struct text run, struct text key, struct text base)
{
	enum fragment f = aggregate == AGGREGATE_MIN ? F_AGGREGATE_MIN : aggregate == AGGREGATE_MAX ? F_AGGREGATE_MAX : F_AGGREGATE_LAST;
	struct text args[] = { run, sql_bind_key(c, key), sql_bind_key(c, base), sql_bind_experiments(c) };

	return sql_fill(c, f, args, 4);
}

static struct text
run_value_sql(struct compiler *c, const struct condition *d, const struct view *view)
{
	struct text table = sql_fragments[sql_table(d->entity)], key, living = view->living ? SQL(c, P_LIVING, sql_bind_experiments(c)) : PIECE(TRUE);

	if (d->compare == CMP_NULL && view->living) {
		struct text args[] = { table, view->run, sql_bind_key(c, d->key), living };
		return sql_fill(c, d->negated ? F_EXISTS : F_EXISTS_NOT, args, 4);
	}
	if (d->compare == CMP_NULL) {
		struct text args[] = { table, view->run, sql_bind_key(c, d->key) };
		return sql_fill(c, d->negated ? (view->probe ? F_PROBE_THERE : F_EXISTS_THERE) : view->probe ? F_PROBE_MISSING : F_EXISTS_MISSING, args, 3);
	}
	struct text condition = sql_compare(c, d, d->entity == ENTITY_PARAM && d->is_number ? PIECE(P_NUMBER) : PIECE(P_VALUE), d->entity == ENTITY_METRIC);
	if (d->aggregate != AGGREGATE_NONE)
		return SQL(c, AGGREGATE_CONDITION, aggregate_sql(c, d->aggregate, view->run, d->key, d->base), condition);
	key = sql_bind_key(c, d->key);
	if (view->living && d->entity != ENTITY_METRIC && d->compare == CMP_EQ && d->list_count == 0 && !d->is_number)
		living = sql_both(c, living, SQL(c, EQ, PIECE(P_VALUE_EDGE), sql_bind_text(c, text_prefix(d->text, EDGE_CHARS))));
	struct text args[] = { table, view->run, key, sql_both(c, living, condition) };
	return sql_fill(c, view->probe ? F_PROBE : F_EXISTS, args, 4);
}

static struct text
logged_model_datasets(struct compiler *c)
{
	const struct search_request *r = c->request;
	struct text all = TEXT_NONE;

	for (size_t i = 0; i < r->dataset_count; i++) {
		struct text name = sql_bind_text(c, r->datasets[2 * i]), digest = r->datasets[2 * i + 1];
		struct text one = digest.n == 0 ? SQL(c, P_DATASET, name) : SQL(c, P_DATASET_DIGEST, name, sql_bind_text(c, digest));
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
		struct text condition = sql_compare(c, &mapped, sql_fragments[d->attribute->column], false);
		return kind == SEARCH_RUNS && !view->joined ? SQL(c, PROBE_RUN, view->run, condition) : condition;
	}
	if (kind == SEARCH_RUNS && d->entity == ENTITY_DATASET) {
		struct text left = text_is(d->key, "name") ? PIECE(DATASET_NAME) : text_is(d->key, "digest") ? PIECE(DATASET_DIGEST) : PIECE(DATASET_CONTEXT);
		struct text args[] = { view->run, sql_compare(c, d, left, false) };
		return sql_fill(c, view->probe ? F_PROBE_DATASET : F_DATASET, args, 2);
	}
	if (kind == SEARCH_RUNS)
		return run_value_sql(c, d, view);
	struct text key = sql_bind_text(c, d->key);
	if (d->entity == ENTITY_METRIC)
		return SQL(c, LOGGED_MODEL_METRIC, key, sql_compare(c, d, PIECE(P_VALUE), true), logged_model_datasets(c));
	if (d->entity == ENTITY_PARAM)
		return SQL(c, LOGGED_MODEL_PARAM, key, sql_compare(c, d, PIECE(P_VALUE), false));
	if (d->compare == CMP_NULL)
		return sql_fill(c, d->negated ? tags[kind].there : tags[kind].missing, &key, 1);
	struct text args[] = { key, sql_compare(c, d, PIECE(P_VALUE), false) };
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
		return sql_filter(c, &view);
	if (tag == NULL)
		return sql_both(c, sql_fragments[no_prompt], sql_filter(c, &view));
	if (c->filter->kind == NODE_CONDITION)
		return sql_fragments[no_prompt];
	if (c->filter->kind != NODE_AND)
		return sql_both(c, sql_fragments[no_prompt], SQL(c, BRACKETS, sql_filter(c, &view)));
	for (const struct node *part = c->filter->first; part != NULL; part = part->next)
		if (part->kind != NODE_CONDITION || !is_prompt_tag(&part->condition))
			where = sql_both(c, where, sql_tree(c, part, &view));
	return sql_both(c, sql_fragments[no_prompt], where);
}

struct text
sql_readable(struct compiler *c, struct text where)
{
	struct text marker = text_from(c->request->readable);

	return marker.n == 0 || text_is(marker, "true") ? where : sql_both(c, where, SQL(c, BRACKETS, marker));
}

/* Everything but keys and page: from, where and the identity. */
static struct text
general_from(struct compiler *c, struct text *where, struct text *identity)
{
	static const struct view view = { 0 };
	enum search_view shown = c->request->view;

	switch (c->request->kind) {
	case SEARCH_RUNS: {
		struct view runs = { .run = PIECE(RUN_IDENTITY), .joined = true, .living = c->request->count_only && shown == VIEW_ACTIVE && c->request->experiment_count > 0 };
		struct text which = c->request->experiment_count == 1 ? SQL(c, RUN_ONE, sql_bind_one(c)) : SQL(c, RUN_EACH, sql_bind_experiments(c));
		*identity = PIECE(RUN_IDENTITY);
		*where = sql_both(c, which, shown == VIEW_ALL ? PIECE(TRUE) : shown == VIEW_DELETED ? PIECE(DEAD) : PIECE(ALIVE));
		*where = sql_readable(c, sql_both(c, *where, sql_filter(c, &runs)));
		return PIECE(RUNS);
	}
	case SEARCH_EXPERIMENTS:
		*identity = PIECE(EXPERIMENT_ID);
		*where = shown == VIEW_ALL ? PIECE(TRUE) : shown == VIEW_DELETED ? PIECE(EXPERIMENT_DEAD) : PIECE(EXPERIMENT_ALIVE);
		*where = sql_readable(c, sql_both(c, *where, sql_filter(c, &view)));
		return PIECE(EXPERIMENTS);
	case SEARCH_LOGGED_MODELS:
		*identity = PIECE(LOGGED_MODEL_IDENTITY);
		*where = shown == VIEW_ALL ? SQL(c, LOGGED_MODEL_ANY, sql_bind_experiments(c))
		    : shown == VIEW_DELETED ? SQL(c, LOGGED_MODEL_DEAD, sql_bind_experiments(c))
					    : SQL(c, LOGGED_MODEL_ALIVE, sql_bind_experiments(c));
		*where = sql_readable(c, sql_both(c, *where, sql_filter(c, &view)));
		if (c->request->dataset_count > 0 && tree_find(c->filter, is_metric) == NULL)
			*where = sql_both(c, *where, SQL(c, LOGGED_MODEL_DATASET, logged_model_datasets(c)));
		return PIECE(LOGGED_MODELS);
	case SEARCH_REGISTERED_MODELS:
		*identity = PIECE(REGISTERED_MODEL_IDENTITY);
		*where = sql_readable(c, registry_filter(c, F_REGISTERED_MODEL_NO_PROMPT));
		return PIECE(REGISTERED_MODELS);
	case SEARCH_MODEL_VERSIONS:
		*identity = PIECE(VERSION_IDENTITY);
		*where = sql_readable(c, sql_both(c, PIECE(VERSION_ALIVE), registry_filter(c, F_VERSION_NO_PROMPT)));
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
		k.expression = sql_fragments[o->attribute->column];
		k.type = o->attribute->type == AT_TEXT ? KEY_TEXT : KEY_INTEGER;
		k.nullable = (o->attribute->uses & AT_NULLABLE) != 0;
	} else if (c->request->kind == SEARCH_LOGGED_MODELS) {
		struct text datasets = PIECE(TRUE), key = sql_bind_text(c, o->key);
		if (o->dataset_name.n > 0 && o->dataset_digest.n > 0)
			datasets = SQL(c, P_DATASET_DIGEST, sql_bind_text(c, o->dataset_name), sql_bind_text(c, o->dataset_digest));
		else if (o->dataset_name.n > 0)
			datasets = SQL(c, P_DATASET, sql_bind_text(c, o->dataset_name));
		k.expression = SQL(c, LOGGED_MODEL_ORDER, key, datasets);
		k.type = KEY_FLOAT;
	} else if (o->aggregate != AGGREGATE_NONE) {
		k.expression = aggregate_sql(c, o->aggregate, PIECE(RUN_IDENTITY), o->key, o->base);
		k.type = KEY_FLOAT;
	} else {
		k.expression = SQL(c, PROBE, sql_fragments[sql_table(o->entity)], PIECE(RUN_IDENTITY), sql_bind_key(c, o->key), PIECE(P_VALUE));
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

struct text
sql_bind_token(struct compiler *c, const struct key *k, struct text v)
{
	int64_t i = 0;
	double d = 0;

	if (k->type == KEY_INTEGER && text_int(v, &i))
		return sql_bind_integer(c, i);
	if (k->type == KEY_FLOAT && text_double(v, &d))
		return bind_number(c, d);
	return sql_bind_text(c, v);
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
		struct text args[] = { k->name, sql_bind_token(c, k, v) };
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

void
sql_keys(struct compiler *c, struct general *g)
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
		g->order = sql_join(c, g->order, sql_fill(c, f, args, 3));
		comma = PIECE(COMMA);
	}
}

void
sql_page(struct compiler *c, const struct general *g, struct text head, struct text identity, struct text from, struct text where)
{
	struct text after = c->continues ? general_after(c, g->keys, g->count) : PIECE(TRUE);
	struct text offset = c->offset > 0 ? SQL(c, OFFSET, sql_bind_integer(c, c->offset)) : TEXT_NONE;
	struct text page = SQL(c, GENERAL_PAGE, g->order, sql_literal(c, c->limit), offset);
	struct text fence = TEXT_NONE;

	for (size_t i = 0; i < g->count; i++)
		if (c->orders[i].attribute == NULL)
			fence = PIECE(FENCE);
	struct text args[] = { head, g->shown, identity, g->made, from, where, after, page, fence };
	c->query->sql = sql_fill(c, F_GENERAL, args, 9);
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
		c->query->sql = SQL(c, COUNT_ACTIVE, sql_bind_one(c));
		return true;
	}
	if (c->request->count_only) {
		from = general_from(c, &where, &identity);
		c->query->sql = SQL(c, GENERAL_COUNT, sql_head(c, false), from, where);
		return true;
	}
	sql_keys(c, &g);
	if (!sql_token_read(c, g.keys, g.count))
		return false;
	from = general_from(c, &where, &identity);
	sql_page(c, &g, sql_head(c, false), identity, from, where);
	return true;
}

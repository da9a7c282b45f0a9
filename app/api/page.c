/* Pages of found things. */
#include "api/page.h"

#include "base/log.h"
#include "engine/changes.h"
#include "sql_queries.h"

#define OID_INT8 20
#define OID_FLOAT8 701
#define SETTLE_MOST 5000 /* runs at once: sql/functions/settle.sql */

struct finding {
	struct search_request request;
	struct search_query query;
	struct page page;
	enum next (*found)(struct call *, struct page *);
	const struct db_statement *rows;
	const char *list;
	const char *column;
};

struct db_param
call_keep_param(struct call *call, struct db_param p)
{
	struct text copy = text_copy(call->arena, (struct text){ p.bytes, (size_t)p.n });
	struct db_param kept = { .bytes = copy.s, .n = p.n, .type = p.type };

	db_p_array_free(&p);
	return kept;
}

struct db_param
call_ids_param(struct call *call, const int64_t *ids, size_t n)
{
	return call_keep_param(call, db_p_int8s(ids, n, NULL));
}

struct db_param *
query_params(struct call *call, const struct search_query *q)
{
	struct db_param *out = arena_array(call->arena, q->param_count + 1, sizeof(*out));
	size_t i;

	for (i = 0; i < q->param_count; i++) {
		const struct search_param *p = &q->params[i];

		switch (p->type) {
		case SP_TEXT:
			out[i] = db_p_text(call->arena, p->text);
			break;
		case SP_INT8:
			out[i] = db_p_int8(call->arena, p->i);
			break;
		case SP_FLOAT8:
			out[i] = db_p_float8(call->arena, p->d);
			break;
		case SP_INT8S:
			out[i] = call_keep_param(call, db_p_int8s(p->is, p->n, NULL));
			break;
		case SP_TEXTS:
			out[i] = call_keep_param(call, db_p_texts(p->ts, p->n, NULL));
		}
	}
	return out;
}

/* A sort column as the text that goes into the token. */
static struct text
sort_value(struct call *call, const PGresult *r, int row, int c)
{
	struct buf b = { 0 };
	struct text t;

	if (db_null(r, row, c))
		return TEXT_NONE;
	switch (PQftype(r, c)) {
	case OID_INT8:
		return text_format(call->arena, "%lld", (long long)db_int8(r, row, c));
	case 23:
		return text_format(call->arena, "%d", db_int4(r, row, c));
	case 21:
		return text_format(call->arena, "%d", db_int2(r, row, c));
	case 16:
		return db_bool(r, row, c) ? TEXT("t") : TEXT("f");
	case OID_FLOAT8:
		buf_double(&b, db_float8(r, row, c));
		t = text_copy(call->arena, buf_view(&b));
		buf_free(&b);
		/* NaN comes in quotes. */
		if (t.n > 1 && t.s[0] == '"')
			t = (struct text){ t.s + 1, t.n - 2 };
		return t;
	default:
		return text_copy(call->arena, db_text(r, row, c));
	}
}

static enum next
ids_found(struct call *call, PGresult *r)
{
	struct finding *f = call->state;
	int rows = PQntuples(r);
	int i;

	f->page.ids = arena_array(call->arena, (size_t)rows, sizeof(*f->page.ids));
	for (i = 0; i < rows && i < f->request.limit; i++)
		f->page.ids[f->page.n++] = db_int8(r, i, 0);
	/* One more row than asked for: there is a next page. */
	if (rows > f->request.limit && f->request.limit > 0) {
		struct text *sort = arena_array(call->arena, f->query.sort_columns, sizeof(*sort));
		size_t c;

		for (c = 0; c < f->query.sort_columns; c++)
			sort[c] = sort_value(call, r, (int)f->request.limit - 1, (int)c + 1);
		f->page.token = search_token(call->arena, &f->query, sort, f->query.sort_columns);
	}
	return f->found(call, &f->page);
}

static const struct value *
field_of(struct call *call, const char *name)
{
	size_t i;

	for (i = 0; call->endpoint->fields[i].name != NULL; i++)
		if (strcmp(call->endpoint->fields[i].name, name) == 0)
			return &call->values[i];
	return NULL;
}

/* A search by metrics walks an index on copies that must be up to date first (sql/functions/settle.sql). */
static bool
by_metrics(const struct search_request *request)
{
	size_t i;

	if (memmem(request->filter.s == NULL ? "" : request->filter.s, request->filter.n, "metric", 6) != NULL)
		return true;
	for (i = 0; i < request->order_count; i++)
		if (memmem(request->orders[i].key.s, request->orders[i].key.n, "metric", 6) != NULL)
			return true;
	return false;
}

/* ---- settling ---- */

struct settling {
	struct db_param experiments;
	void *before; /* the noun's state */
	enum next (*then)(struct call *);
};

static enum next settle_send(struct call *, struct settling *);

static enum next
settle_done(struct call *call, PGresult *r)
{
	struct settling *s = call->state;
	int64_t runs = db_int8(r, 0, 0);

	if (runs >= SETTLE_MOST)
		return settle_send(call, s);
	if (runs < 0 && !call->behind)
		changes_settled(call->changes);
	call->state = s->before;
	return s->then(call);
}

/* A transaction of its own: batched with logging it could lock in the wrong order. */
static enum next
settle_send(struct call *call, struct settling *s)
{
	return call_read(call, SQL_settle, &s->experiments, 1, settle_done);
}

enum next
page_settle(struct call *call, const struct search_request *request, enum next (*then)(struct call *))
{
	struct settling *s;

	if (request->kind != SEARCH_RUNS || !by_metrics(request) || changes_are_settled(call->changes))
		return then(call);
	s = ARENA_NEW(call->arena, struct settling);
	s->experiments = call_ids_param(call, request->experiments, request->experiment_count);
	s->before = call->state;
	s->then = then;
	call->state = s;
	return settle_send(call, s);
}

static enum next
find(struct call *call)
{
	struct finding *f = call->state;

	return call_query(call, f->query.sql, f->query.steady, query_params(call, &f->query), (int)f->query.param_count, ids_found);
}

static enum next
finding_start(struct call *call, struct finding *f, const struct search_request *request)
{
	const struct value *filter = field_of(call, "filter");
	const struct value *orders = field_of(call, "order_by");
	const struct value *token = field_of(call, "page_token");
	struct search_error error = { .message = "" };
	size_t i;

	f->request = *request;
	f->request.readable = "true";
	if (filter != NULL && f->request.filter.s == NULL)
		f->request.filter = filter->text;
	if (token != NULL)
		f->request.page_token = token->text;
	if (orders != NULL && orders->count > 0 && f->request.orders == NULL) {
		struct search_order *o = arena_array(call->arena, orders->count, sizeof(*o));

		for (i = 0; i < orders->count; i++)
			o[i] = (struct search_order){ .key = orders->items[i].text, .is_text = true };
		f->request.orders = o;
		f->request.order_count = orders->count;
	}
	if (!search_compile(call->arena, &f->request, &f->query, &error))
		return call_fail(call, INVALID_PARAMETER_VALUE, "%s", error.message);
	call->state = f;
	return page_settle(call, &f->request, find);
}

enum next
page_find(struct call *call, const struct search_request *request, enum next (*found)(struct call *, struct page *))
{
	struct finding *f = ARENA_NEW(call->arena, struct finding);

	f->found = found;
	f->page.user = call->state;
	return finding_start(call, f, request);
}

/* ---- pages of JSON columns ---- */

static void
token_print(struct call *call, const struct page *page)
{
	if (page->token.s != NULL) {
		wire_member(&call->out, "next_page_token");
		buf_json(&call->out, page->token);
	}
	buf_byte(&call->out, '}');
}

static enum next
rows_read(struct call *call, PGresult *r)
{
	struct finding *f = call->state;
	int column = PQfnumber(r, f->column);
	int i;

	PRECOND(column >= 0);
	buf_byte(&call->out, '{');
	if (PQntuples(r) > 0) {
		wire_member(&call->out, f->list);
		buf_byte(&call->out, '[');
		for (i = 0; i < PQntuples(r); i++) {
			if (i > 0)
				buf_byte(&call->out, ',');
			buf_text(&call->out, db_text(r, i, column));
		}
		buf_byte(&call->out, ']');
	}
	token_print(call, &f->page);
	return call_reply_json(call);
}

static enum next
rows_start(struct call *call, struct page *page)
{
	struct finding *f = call->state;
	struct db_param *p = ARENA_NEW(call->arena, struct db_param);

	if (page->n == 0) {
		buf_byte(&call->out, '{');
		token_print(call, page);
		return call_reply_json(call);
	}
	*p = call_ids_param(call, page->ids, page->n);
	return call_read(call, f->rows, p, 1, rows_read);
}

enum next
page_start(struct call *call, const struct search_request *request, const struct db_statement *rows, const char *list, const char *column)
{
	struct finding *f = ARENA_NEW(call->arena, struct finding);

	f->found = rows_start;
	f->rows = rows;
	f->list = list;
	f->column = column;
	return finding_start(call, f, request);
}

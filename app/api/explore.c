/* What our own page asks beside MLflow's API: the runs table by chosen columns, names in use, groups, saved views. */
#include "api/keys.h"
#include "api/names.h"
#include "api/page.h"
#include "api/run_json.h"
#include "sql_queries.h"

#define ROWS_MOST 1000
#define COLUMNS_MOST 2000
#define GROUP_RUNS_MOST 20000
#define GROUP_KEYS_MOST 100
#define GROUP_METRICS_MOST 1000

static const struct word views[] = { { "ACTIVE_ONLY", 1 }, { "DELETED_ONLY", 2 }, { "ALL", 3 }, { NULL, 0 } };
static const struct word kinds[] = { { "metrics", 0 }, { "params", 1 }, { "tags", 2 }, { NULL, 0 } };

static const struct field table_fields[] = {
	{ .name = "experiment_ids", .type = F_TEXTS, .required = true },
	{ .name = "filter", .type = F_TEXT },
	{ .name = "order_by", .type = F_TEXTS },
	{ .name = "run_view_type", .type = F_ENUM, .words = views, .fallback = 1, .has_fallback = true },
	{ .name = "offset", .type = F_INT, .fallback = 0, .has_fallback = true },
	{ .name = "max_results", .type = F_INT, .fallback = 100, .has_fallback = true },
	{ .name = "page_token", .type = F_TEXT },
	{ .name = "total", .type = F_BOOL, .fallback = 1, .has_fallback = true },
	{ .name = "columns", .type = F_TEXTS },
	FIELDS_END,
};

static const struct field keys_fields[] = {
	{ .name = "experiment_id", .type = F_TEXTS, .required = true },
	{ .name = "kind", .type = F_ENUM, .words = kinds, .fallback = 0, .has_fallback = true },
	{ .name = "q", .type = F_TEXT },
	{ .name = "after", .type = F_TEXT },
	{ .name = "plain", .type = F_BOOL, .fallback = 0, .has_fallback = true },
	{ .name = "max_results", .type = F_INT, .fallback = 200, .has_fallback = true },
	FIELDS_END,
};

static const struct field groups_fields[] = {
	{ .name = "experiment_ids", .type = F_TEXTS, .required = true },
	{ .name = "filter", .type = F_TEXT },
	{ .name = "run_view_type", .type = F_ENUM, .words = views, .fallback = 1, .has_fallback = true },
	{ .name = "group_by", .type = F_TEXTS, .required = true },
	{ .name = "metrics", .type = F_TEXTS },
	FIELDS_END,
};

static const struct field views_fields[] = {
	{ .name = "experiment_id", .type = F_TEXT, .required = true },
	FIELDS_END,
};
static const struct field save_fields[] = {
	{ .name = "experiment_id", .type = F_TEXT, .required = true },
	{ .name = "name", .type = F_TEXT, .required = true, .most = 200 },
	{ .name = "query", .type = F_TEXT, .required = true, .most = 100000 },
	FIELDS_END,
};
static const struct field forget_fields[] = {
	{ .name = "view_id", .type = F_TEXT, .required = true },
	FIELDS_END,
};

/* ---- the runs table ---- */

struct table {
	struct search_request request;
	struct page *page;
	int64_t total;
};

static enum next
table_print(struct call *call, PGresult *r)
{
	struct table *t = call->state;

	buf_byte(&call->out, '{');
	if (t->total >= 0) {
		wire_member(&call->out, "total");
		buf_int(&call->out, t->total);
	}
	if (t->page->token.s != NULL) {
		wire_member(&call->out, "next_page_token");
		buf_json(&call->out, t->page->token);
	}
	wire_member(&call->out, "runs");
	buf_byte(&call->out, '[');
	if (r != NULL)
		runs_table_json(call, r, t->page);
	buf_puts(&call->out, "]}");
	return call_reply_json(call);
}

static enum next
table_keys(struct call *call, PGresult *r)
{
	return keys_known(call, r, table_print);
}

/* "metrics.rmse" goes to the list of metrics. min and max are over the history of a metric. */
enum { LIST_METRICS, LIST_PARAMS, LIST_TAGS, LIST_MIN, LIST_MAX, LISTS };

static bool
columns_split(struct call *call, const struct value *columns, struct text *lists[LISTS], size_t counts[LISTS])
{
	static const char *const prefixes[LISTS] = { "metrics.", "params.", "tags.", "min.", "max." };
	static const char *const always[] = { "mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit", "mlflow.parentRunId", "mlflow.note.content" };
	size_t i;
	int k;

	if (columns->count > COLUMNS_MOST)
		return call_refuse(call, INVALID_PARAMETER_VALUE, "At most %d columns can be asked for. Got %zu.", COLUMNS_MOST, columns->count);
	for (k = 0; k < LISTS; k++)
		lists[k] = arena_array(call->arena, columns->count + sizeof(always) / sizeof(always[0]), sizeof(struct text));
	for (i = 0; i < columns->count; i++) {
		struct text name = columns->items[i].text;

		for (k = 0; k < LISTS; k++)
			if (text_starts(name, prefixes[k]))
				break;
		if (k == LISTS)
			return call_refuse(call, INVALID_PARAMETER_VALUE, "A column is metrics.NAME, min.NAME, max.NAME, params.NAME or tags.NAME. Got '%.*s'.", TEXT_ARG(name));
		lists[k][counts[k]++] = text_skip(name, strlen(prefixes[k]));
	}
	for (i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		lists[LIST_TAGS][counts[LIST_TAGS]++] = text_from(always[i]);
	return true;
}

static enum next
table_rows(struct call *call)
{
	struct table *t = call->state;
	struct db_param *p = arena_array(call->arena, 1 + LISTS, sizeof(*p));
	struct text *lists[LISTS];
	size_t counts[LISTS] = { 0 };
	int k;

	if (!columns_split(call, call_value(call, "columns"), lists, counts))
		return FAILED;
	p[0] = call_ids_param(call, t->page->ids, t->page->n);
	for (k = 0; k < LISTS; k++)
		p[1 + k] = call_keep_param(call, db_p_texts(lists[k], counts[k], NULL));
	return call_read(call, SQL_run_columns, p, 1 + LISTS, table_keys);
}

static enum next
table_counted(struct call *call, PGresult *r)
{
	struct table *t = call->state;

	t->total = db_int8(r, 0, 0);
	return t->page->n == 0 ? table_print(call, NULL) : table_rows(call);
}

static enum next
table_count(struct call *call)
{
	struct table *t = call->state;
	struct search_query *q = ARENA_NEW(call->arena, struct search_query);
	struct search_error error = { .message = "" };
	struct search_request count = t->request;

	count.count_only = true;
	count.filter = call_text(call, "filter");
	count.readable = "true";
	count.limit = 0;
	count.offset = 0;
	if (!search_compile(call->arena, &count, q, &error))
		return call_fail(call, INVALID_PARAMETER_VALUE, "%s", error.message);
	return call_query(call, q->sql, q->steady, query_params(call, q), (int)q->param_count, table_counted);
}

/* A count alone: no page to find. Metrics are counted by their search index. */
static enum next
table_total(struct call *call)
{
	struct table *t = call->state;

	t->page = ARENA_NEW(call->arena, struct page);
	t->request.filter = call_text(call, "filter");
	return page_settle(call, &t->request, table_count);
}

static enum next
table_found(struct call *call, struct page *page)
{
	struct table *t = page->user;

	t->page = page;
	call->state = t;
	if (call_int(call, "total") != 0)
		return table_count(call);
	return page->n == 0 ? table_print(call, NULL) : table_rows(call);
}

static enum next
table(struct call *call)
{
	struct table *t = ARENA_NEW(call->arena, struct table);

	t->request = (struct search_request){ .kind = SEARCH_RUNS, .view = (enum search_view)call_int(call, "run_view_type"), .limit = call_int(call, "max_results"), .offset = call_int(call, "offset") };
	if (!experiment_ids_parse(call, call_value(call, "experiment_ids"), &t->request))
		return FAILED;
	if (t->request.limit < 0 || t->request.limit > ROWS_MOST || t->request.offset < 0)
		return call_fail(call, INVALID_PARAMETER_VALUE, "max_results must be between 0 and %d, offset at least 0.", ROWS_MOST);
	t->total = -1;
	call->state = t;
	if (t->request.limit == 0)
		return table_total(call);
	return page_find(call, &t->request, table_found);
}

/* ---- names in use ---- */

static bool
experiments_param(struct call *call, const struct value *ids, struct db_param *out)
{
	int64_t *numbers = arena_array(call->arena, ids->count, sizeof(*numbers));
	size_t i;

	for (i = 0; i < ids->count; i++)
		if (!experiment_id_parse(call, ids->items[i].text, &numbers[i]))
			return false;
	*out = call_ids_param(call, numbers, ids->count);
	return true;
}

static enum next
keys_list(struct call *call)
{
	static const struct db_statement *const statements[3] = { SQL_metric_keys, SQL_param_keys, SQL_tag_keys };
	struct db_param *p = arena_array(call->arena, 5, sizeof(*p));
	int64_t most = call_int(call, "max_results");

	if (!experiments_param(call, call_value(call, "experiment_id"), &p[0]))
		return FAILED;
	p[1] = db_p_text(call->arena, call_given(call, "q") ? call_text(call, "q") : TEXT(""));
	p[2] = db_p_int8(call->arena, most < 0 || most > 20000 ? 20000 : most);
	p[3] = db_p_text(call->arena, call_given(call, "after") ? call_text(call, "after") : TEXT(""));
	p[4] = db_p_bool(call->arena, call_int(call, "plain") != 0);
	return call_read(call, statements[call_int(call, "kind")], p, 5, wire_result);
}

/* ---- groups ---- */

static enum next
groups_found(struct call *call, struct page *page)
{
	const struct value *by = call_value(call, "group_by");
	const struct value *metrics = call_value(call, "metrics");
	struct text *names = arena_array(call->arena, by->count + metrics->count, sizeof(*names));
	struct db_param *p = arena_array(call->arena, 3, sizeof(*p));
	size_t i;

	for (i = 0; i < by->count; i++) {
		names[i] = by->items[i].text;
		if (!text_starts(names[i], "params.") && !text_starts(names[i], "tags."))
			return call_fail(call, INVALID_PARAMETER_VALUE, "Runs are grouped by params.NAME or tags.NAME. Got '%.*s'.", TEXT_ARG(names[i]));
	}
	for (i = 0; i < metrics->count; i++)
		names[by->count + i] = metrics->items[i].text;
	p[0] = call_ids_param(call, page->ids, page->n);
	p[1] = call_keep_param(call, db_p_texts(names, by->count, NULL));
	p[2] = call_keep_param(call, db_p_texts(names + by->count, metrics->count, NULL));
	return call_read(call, SQL_run_groups, p, 3, wire_result);
}

static enum next
groups(struct call *call)
{
	struct search_request request = { .kind = SEARCH_RUNS, .view = (enum search_view)call_int(call, "run_view_type"), .limit = GROUP_RUNS_MOST };

	if (call_value(call, "group_by")->count > GROUP_KEYS_MOST || call_value(call, "metrics")->count > GROUP_METRICS_MOST)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Runs are grouped by at most %d names and summed up for at most %d metrics.", GROUP_KEYS_MOST, GROUP_METRICS_MOST);
	if (!experiment_ids_parse(call, call_value(call, "experiment_ids"), &request))
		return FAILED;
	return page_find(call, &request, groups_found);
}

static bool
experiment_valid(struct call *call)
{
	int64_t id;

	return experiment_id_parse(call, call_text(call, "experiment_id"), &id);
}

static const struct field no_fields[] = { FIELDS_END };

static const struct endpoint explore_endpoints[] = {
	{ .method = HTTP_M_GET, .path = "tallyd/experiments/counts", .access = ACCESS_READ, .on = SERVER, .fields = no_fields, .sql = SQL_experiment_counts, .shape = SHAPE_LIST, .wrap = "counts", .doc = "Number of runs and last activity of every experiment that has runs." },
	{ .method = HTTP_M_POST, .path = "tallyd/runs/table", .access = ACCESS_READ, .fresh = true, .on = EXPERIMENTS("experiment_ids"), .fields = table_fields, .run = table, .doc = "Rows of the runs table from an offset or a token, chosen columns only; with the total unless total is false, without rows when max_results is 0." },
	{ .method = HTTP_M_GET, .path = "tallyd/keys", .access = ACCESS_READ, .fresh = true, .on = EXPERIMENTS("experiment_id"), .fields = keys_fields, .run = keys_list, .shape = SHAPE_OBJECT, .doc = "Names of metrics, params or tags in use, in order. `more`: total is a least." },
	{ .method = HTTP_M_POST, .path = "tallyd/runs/groups", .access = ACCESS_READ, .fresh = true, .on = EXPERIMENTS("experiment_ids"), .fields = groups_fields, .run = groups, .shape = SHAPE_LIST, .wrap = "groups", .doc = "Runs grouped by params or tags, with mean, spread, least and largest of metrics." },
	{ .method = HTTP_M_GET, .path = "tallyd/views", .access = ACCESS_READ, .on = EXPERIMENT("experiment_id"), .fields = views_fields, .check = experiment_valid, .sql = SQL_views_list, .args = "experiment_id:int", .shape = SHAPE_LIST, .wrap = "views", .doc = "Saved views of an experiment." },
	{
	    .method = HTTP_M_POST,
	    .path = "tallyd/views",
	    .access = ACCESS_EDIT,
	    .on = EXPERIMENT("experiment_id"),
	    .fields = save_fields,
	    .check = experiment_valid,
	    .writes = true,
	    .sql = SQL_view_save,
	    .args = "experiment_id:int name query @now",
	    .shape = SHAPE_OBJECT,
	    .wrap = "view",
	    .missing = "No Experiment with id={experiment_id} exists",
	    .doc = "Saves a view by name.",
	},
	{ .method = HTTP_M_DELETE, .path = "tallyd/views", .access = ACCESS_EDIT, .on = SERVER, .fields = forget_fields, .writes = true, .sql = SQL_view_delete, .args = "view_id:int", .shape = SHAPE_EMPTY, .doc = "Deletes a saved view." },
};
const struct endpoint_table explore_table = ENDPOINT_TABLE(explore_endpoints);

/* Runs: create, get, update, delete, restore, search, their inputs and outputs. Logging to them is in logging.c. */
#include "api/keys.h"
#include "api/live.h"
#include "api/names.h"
#include "api/page.h"
#include "api/run_copies.h"
#include "api/run_json.h"
#include "engine/stats.h"
#include "sql_queries.h"

/* mlflow/store/tracking/__init__.py SEARCH_MAX_RESULTS_THRESHOLD */
#define PAGE_MOST 50000
#define TAG_MOST 8000
#define KEY_MOST 250
/* Updates merged into one statement at most. */
#define MERGE_MOST 512
/* A profile of 16777215 letters, the most MLflow allows, and all of its quotes escaped. */
#define INPUTS_BODY_MOST ((size_t)40 * 1024 * 1024)

static const struct word views[] = { { "ACTIVE_ONLY", 1 }, { "DELETED_ONLY", 2 }, { "ALL", 3 }, { NULL, 0 } };
static const struct word statuses[] = { { "RUNNING", 1 }, { "SCHEDULED", 2 }, { "FINISHED", 3 }, { "FAILED", 4 }, { "KILLED", 5 }, { NULL, 0 } };

static const struct field tag_fields[] = {
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_TEXT },
	FIELDS_END,
};

static const struct field create_fields[] = {
	{ .name = "experiment_id", .type = F_TEXT },
	{ .name = "user_id", .type = F_TEXT },
	{ .name = "run_name", .type = F_TEXT },
	{ .name = "start_time", .type = F_INT, .fallback = 0, .has_fallback = true },
	{ .name = "tags", .type = F_OBJECTS, .fields = tag_fields },
	FIELDS_END,
};
enum { C_EXPERIMENT, C_USER, C_NAME, C_START, C_TAGS };

static const struct field id_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .required = true, .alias = "run_uuid" },
	FIELDS_END,
};

static const struct field update_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .required = true, .alias = "run_uuid" },
	{ .name = "status", .type = F_ENUM, .words = statuses },
	{ .name = "end_time", .type = F_INT },
	{ .name = "run_name", .type = F_TEXT },
	FIELDS_END,
};

static const struct field delete_tag_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .required = true },
	{ .name = "key", .type = F_TEXT, .required = true },
	FIELDS_END,
};

static const struct field search_fields[] = {
	{ .name = "experiment_ids", .type = F_TEXTS },
	{ .name = "filter", .type = F_TEXT },
	{ .name = "run_view_type", .type = F_ENUM, .words = views, .fallback = 1, .has_fallback = true },
	{ .name = "max_results", .type = F_INT32, .fallback = 1000, .has_fallback = true },
	{ .name = "order_by", .type = F_TEXTS },
	{ .name = "page_token", .type = F_TEXT },
	FIELDS_END,
};

static const struct field dataset_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true, .most = 500 },
	{ .name = "digest", .type = F_TEXT, .required = true, .most = 36 },
	{ .name = "source_type", .type = F_TEXT, .required = true },
	{ .name = "source", .type = F_TEXT, .required = true, .most = 65535 },
	{ .name = "schema", .type = F_TEXT, .most = 1048575 },
	{ .name = "profile", .type = F_TEXT, .most = 16777215 },
	FIELDS_END,
};
static const struct field input_tag_fields[] = {
	{ .name = "key", .type = F_TEXT, .required = true, .most = 255 },
	{ .name = "value", .type = F_TEXT, .most = 500 },
	FIELDS_END,
};
static const struct field dataset_input_fields[] = {
	{ .name = "tags", .type = F_OBJECTS, .fields = input_tag_fields },
	{ .name = "dataset", .type = F_OBJECT, .fields = dataset_fields, .required = true },
	FIELDS_END,
};
static const struct field model_input_fields[] = {
	{ .name = "model_id", .type = F_TEXT, .required = true },
	FIELDS_END,
};
static const struct field inputs_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .required = true },
	{ .name = "datasets", .type = F_OBJECTS, .fields = dataset_input_fields },
	{ .name = "models", .type = F_OBJECTS, .fields = model_input_fields },
	FIELDS_END,
};

static const struct field model_output_fields[] = {
	{ .name = "model_id", .type = F_TEXT, .required = true },
	{ .name = "step", .type = F_INT, .fallback = 0, .has_fallback = true },
	FIELDS_END,
};
static const struct field outputs_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .required = true },
	{ .name = "models", .type = F_OBJECTS, .fields = model_output_fields, .required = true },
	FIELDS_END,
};

static const struct field log_model_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .required = true },
	{ .name = "model_json", .type = F_TEXT, .required = true },
	FIELDS_END,
};

/* ---- create ---- */

struct creating {
	int64_t experiment;
	struct text run_id;
	struct text name;
	struct text *keys;
	struct text *values;
	size_t tags;
	struct db_param params[9];
};

static void
creating_free(struct creating *c)
{
	db_p_array_free(&c->params[6]);
	db_p_array_free(&c->params[7]);
}

/* The run as it was made: the request is the same byte for byte when it is a repeated one. */
static enum next
created(struct call *call, PGresult *r)
{
	struct creating *c = call->state;
	struct buf *b = &call->out;
	size_t i;

	creating_free(c);
	if (!db_null(r, 0, 0)) {
		if (text_is(db_text(r, 0, 0), "missing"))
			return call_fail(call, RESOURCE_DOES_NOT_EXIST, "No Experiment with id=%lld exists", (long long)c->experiment);
		return call_fail(call, INVALID_PARAMETER_VALUE, "The experiment %lld must be in the 'active' state. Current state is deleted.", (long long)c->experiment);
	}
	buf_puts(b, "{\"run\":{\"info\":{\"run_id\":");
	buf_json(b, db_text(r, 0, 1));
	buf_puts(b, ",\"run_uuid\":");
	buf_json(b, db_text(r, 0, 1));
	buf_puts(b, ",\"run_name\":");
	buf_json(b, db_text(r, 0, 3));
	buf_printf(b, ",\"experiment_id\":\"%lld\",\"user_id\":", (long long)c->experiment);
	buf_json(b, call->values[C_USER].text);
	buf_puts(b, ",\"status\":\"RUNNING\",\"start_time\":");
	buf_int(b, call->values[C_START].i);
	buf_puts(b, ",\"artifact_uri\":");
	buf_json(b, db_text(r, 0, 2));
	buf_puts(b, ",\"lifecycle_stage\":\"active\"},\"data\":{\"tags\":[");
	for (i = 0; i < c->tags; i++) {
		buf_puts(b, i > 0 ? ",{\"key\":" : "{\"key\":");
		buf_json(b, c->keys[i]);
		buf_puts(b, ",\"value\":");
		buf_json(b, i == 0 ? db_text(r, 0, 3) : c->values[i]);
		buf_byte(b, '}');
	}
	buf_puts(b, "]},\"inputs\":{}}}");
	live_changed(db_text(r, 0, 1));
	stats_stored(0, 1);
	return call_reply_json(call);
}

static enum next
create_submit(struct call *call, PGresult *none)
{
	struct creating *c = call->state;
	int32_t *numbers = arena_array(call->arena, c->tags, sizeof(*numbers));
	bool known = true;
	size_t i;

	(void)none;
	for (i = 0; i < c->tags; i++)
		known = key_number(c->keys[i], &numbers[i]) && known;
	PRECOND(known);
	c->params[0] = call_repeat_param(call);
	c->params[1] = db_p_text(call->arena, c->run_id);
	c->params[2] = db_p_int8(call->arena, c->experiment);
	c->params[3] = db_p_text(call->arena, call->values[C_USER].text.s == NULL ? TEXT("") : call->values[C_USER].text);
	c->params[4] = db_p_text(call->arena, c->name);
	c->params[5] = db_p_int8(call->arena, call->values[C_START].i);
	c->params[6] = db_p_int4s(numbers, c->tags);
	c->params[7] = db_p_texts(c->values, c->tags, NULL);
	c->params[8] = call_repeat_arrived(call);
	return call_write(call, SQL_run_create, c->params, 9, c->run_id, created);
}

static enum next
create(struct call *call)
{
	const struct value *v = call->values;
	const struct value *tags = &v[C_TAGS];
	struct creating *c = ARENA_NEW(call->arena, struct creating);
	struct text tag_name = TEXT_NONE;
	size_t i;

	if (!experiment_id_parse(call, v[C_EXPERIMENT].text, &c->experiment))
		return FAILED;
	/* The run name's tag first; then the others, the last of equal keys wins. */
	c->keys = arena_array(call->arena, tags->count + 1, sizeof(*c->keys));
	c->values = arena_array(call->arena, tags->count + 1, sizeof(*c->values));
	c->keys[0] = TEXT("mlflow.runName");
	c->tags = 1;
	for (i = 0; i < tags->count; i++) {
		const struct value *f = tags->items[i].fields;
		struct text value = length_cut(f[1].text.s == NULL ? TEXT("") : f[1].text, TAG_MOST);

		if (!name_valid(call, f[0].text, "key") || !length_valid(call, f[0].text, KEY_MOST, "key"))
			return FAILED;
		if (text_is(f[0].text, "mlflow.runName")) {
			tag_name = value;
			continue;
		}
		c->keys[c->tags] = f[0].text;
		c->values[c->tags++] = value;
	}
	i = text_repeated(c->keys, c->tags);
	if (i < c->tags)
		return call_fail(call, BAD_REQUEST, "The tag '%.*s' was given twice.", TEXT_ARG(c->keys[i]));
	if (v[C_NAME].text.n > 0 && tag_name.n > 0 && !text_eq(v[C_NAME].text, tag_name))
		return call_fail(call, INVALID_PARAMETER_VALUE, "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='%.*s', mlflow.runName='%.*s').", TEXT_ARG(v[C_NAME].text), TEXT_ARG(tag_name));
	c->name = v[C_NAME].text.n > 0 ? v[C_NAME].text : tag_name.n > 0 ? tag_name : random_name(call->arena);
	c->values[0] = c->name;
	c->run_id = random_id(call->arena, "");
	call->state = c;
	return keys_resolve(call, c->keys, c->tags, create_submit);
}

/* ---- get ---- */

static enum next
get_print(struct call *call, PGresult *r)
{
	buf_puts(&call->out, "{\"run\":");
	if (!run_json(&call->out, r)) {
		buf_free(&call->out);
		return call_fail(call, RESOURCE_DOES_NOT_EXIST, "Run with id=%.*s not found", TEXT_ARG(call->values[0].text));
	}
	buf_byte(&call->out, '}');
	return call_reply_json(call);
}

static enum next
get_keys(struct call *call, PGresult *r)
{
	return keys_known(call, r, get_print);
}

static enum next
get(struct call *call)
{
	struct db_param *p = arena_array(call->arena, 2, sizeof(*p));

	p[0] = db_p_null();
	p[1] = db_p_text(call->arena, call->values[0].text);
	return call_read(call, SQL_run_page, p, 2, get_keys);
}

/* ---- update, delete ---- */

/* Updates of one run stay several statements: each answers with what it made of the one before. */
static const struct db_merger update_merger = { .merge = db_rows_merge, .split = db_rows_split, .most = MERGE_MOST, .rank = 1, .apart = true };

static bool
update_valid(struct call *call)
{
	struct value *name = call_value(call, "run_name");

	if (name->given && name->text.n == 0)
		name->given = false; /* an empty name is no name */
	else
		name->text = length_cut(name->text, TAG_MOST);
	return true;
}

static enum next
changed(struct call *call, PGresult *r)
{
	live_changed(call_text(call, "run_id"));
	return wire_result(call, r);
}

/* ---- search ---- */

struct searching {
	struct page *page;
	struct text *copies; /* of each run of the page, or none */
};

static enum next
page_print(struct call *call, PGresult *r)
{
	struct searching *s = call->state;

	buf_puts(&call->out, "{\"runs\":[");
	runs_json(call, r, s->page, s->copies);
	buf_byte(&call->out, ']');
	if (s->page->token.s != NULL) {
		buf_puts(&call->out, ",\"next_page_token\":");
		buf_json(&call->out, s->page->token);
	}
	buf_byte(&call->out, '}');
	return call_reply_json(call);
}

static enum next
page_keys(struct call *call, PGresult *r)
{
	return keys_known(call, r, page_print);
}

/* Copies of the page's runs; the others, as a parameter. Waiting for rows, copies may be replaced: then they are copied. */
static size_t
copies_find(struct call *call, struct searching *s, int64_t *missing)
{
	const struct page *page = s->page;
	size_t n = 0;

	s->copies = arena_array(call->arena, page->n, sizeof(*s->copies));
	for (size_t i = 0; i < page->n; i++) {
		s->copies[i] = run_copy(page->ids[i]);
		if (s->copies[i].s == NULL)
			missing[n++] = page->ids[i];
	}
	for (size_t i = 0; n > 0 && i < page->n; i++)
		if (s->copies[i].s != NULL)
			s->copies[i] = text_copy(call->arena, s->copies[i]);
	return n;
}

static enum next
page_rows(struct call *call, struct page *page)
{
	struct searching *s = ARENA_NEW(call->arena, struct searching);
	struct db_param *p = arena_array(call->arena, 2, sizeof(*p));
	int64_t *missing = arena_array(call->arena, page->n, sizeof(*missing));
	size_t n;

	if (page->n == 0)
		return call_reply_empty(call);
	s->page = page;
	call->state = s;
	n = copies_find(call, s, missing);
	stats_copied(page->n - n);
	if (n == 0)
		return page_print(call, NULL);
	p[0] = call_ids_param(call, missing, n);
	p[1] = db_p_null();
	return call_read(call, SQL_run_page, p, 2, page_keys);
}

bool
experiment_ids_parse(struct call *call, const struct value *ids, struct search_request *request)
{
	int64_t *numbers = arena_array(call->arena, ids->count, sizeof(*numbers));
	size_t i;

	for (i = 0; i < ids->count; i++)
		if (!experiment_id_parse(call, ids->items[i].text, &numbers[i]))
			return false;
	request->experiments = numbers;
	request->experiment_count = ids->count;
	return true;
}

static enum next
search(struct call *call)
{
	struct search_request request = { .kind = SEARCH_RUNS, .view = (enum search_view)call_int(call, "run_view_type") };
	int64_t most = call_int(call, "max_results");

	if (!experiment_ids_parse(call, call_value(call, "experiment_ids"), &request))
		return FAILED;
	if (most < 1 || most > PAGE_MOST)
		return call_fail(call, INVALID_PARAMETER_VALUE, most < 1 ? "Invalid value %lld for parameter 'max_results' supplied. It must be a positive integer" : "Invalid value %lld for parameter 'max_results' supplied. It must be at most 50000", (long long)most);
	request.limit = most;
	return page_find(call, &request, page_rows);
}

/* ---- inputs ---- */

static bool
run_valid(struct call *call)
{
	return run_id_valid(call, call_text(call, "run_id"));
}

static bool
model_json_valid(struct call *call)
{
	struct text document = call_text(call, "model_json");
	static const char *const needed[] = { "artifact_path", "flavors", "utc_time_created", "run_id" };
	struct json *model;
	const char *why;
	size_t place;
	size_t i;
	struct buf missing = { 0 };
	bool good;

	if (!json_parse(call->arena, document, &model, &why, &place))
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Malformed model info. \n %.*s \n is not a valid JSON: %s at byte %zu.", TEXT_ARG(text_prefix(document, 1000)), why, place);
	for (i = 0; i < 4; i++)
		if (json_member(model, needed[i]) == NULL)
			buf_printf(&missing, "%s'%s'", missing.n > 0 ? ", " : "", needed[i]);
	good = missing.n == 0 || call_refuse(call, INVALID_PARAMETER_VALUE, "Model json is missing mandatory fields: {%.*s}", (int)missing.n, missing.s);
	buf_free(&missing);
	return good;
}

static const struct refusal inactive[] = {
	{ "deleted", INVALID_PARAMETER_VALUE, "The run {run_id} must be in the 'active' state. Current state is deleted." },
	{ "no tag", RESOURCE_DOES_NOT_EXIST, "No tag with name: {key} in run with id {run_id}" },
	{ NULL, FAIL_NONE, NULL },
};

#define NO_RUN "Run with id={run_id} not found"
#define ONE_RUN .method = HTTP_M_POST, .access = ACCESS_EDIT, .on = RUN("run_id"), .writes = true, .missing = NO_RUN, .refusals = inactive

static const struct endpoint run_endpoints[] = {
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/runs/create",
	    .creates = true,
	    .access = ACCESS_EDIT,
	    .on = EXPERIMENT("experiment_id"),
	    .fields = create_fields,
	    .run = create,
	    .doc = "Creates a run; start_time in milliseconds.",
	},
	{
	    .method = HTTP_M_GET,
	    .path = "mlflow/runs/get",
	    .access = ACCESS_READ,
	    .fresh = true,
	    .on = RUN("run_id"),
	    .fields = id_fields,
	    .run = get,
	    .doc = "A run with its latest metrics, params, tags, inputs and outputs.",
	},
	{
	    ONE_RUN,
	    .path = "mlflow/runs/update",
	    .fields = update_fields,
	    .check = update_valid,
	    .sql = SQL_run_update,
	    .merger = &update_merger,
	    .args = "run_id status end_time run_name",
	    .shape = SHAPE_OBJECT,
	    .wrap = "run_info",
	    .reply = changed,
	    .doc = "Sets status, end time (milliseconds) and name.",
	},
	{
	    ONE_RUN,
	    .path = "mlflow/runs/delete",
	    .alone = true,
	    .fresh = true,
	    .fields = id_fields,
	    .sql = SQL_run_delete,
	    .args = "run_id @now",
	    .shape = SHAPE_EMPTY,
	    .reply = changed,
	    .doc = "Marks a run as deleted.",
	},
	{
	    ONE_RUN,
	    .path = "mlflow/runs/restore",
	    .alone = true,
	    .fresh = true,
	    .fields = id_fields,
	    .sql = SQL_run_restore,
	    .args = "run_id",
	    .shape = SHAPE_EMPTY,
	    .reply = changed,
	    .doc = "Restores a deleted run.",
	},
	{
	    ONE_RUN,
	    .path = "mlflow/runs/delete-tag",
	    .once = true,
	    .fields = delete_tag_fields,
	    .sql = SQL_run_delete_tag,
	    .args = "run_id key",
	    .shape = SHAPE_EMPTY,
	    .reply = changed,
	    .doc = "Deletes a tag of a run.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/runs/search",
	    .access = ACCESS_READ,
	    .fresh = true,
	    .on = EXPERIMENTS("experiment_ids"),
	    .fields = search_fields,
	    .run = search,
	    .doc = "A page of runs by filter and order.",
	},
	{
	    ONE_RUN,
	    .path = "mlflow/runs/log-inputs",
	    .once = true,
	    .fields = inputs_fields,
	    .body_limit = INPUTS_BODY_MOST,
	    .check = run_valid,
	    .sql = SQL_log_inputs,
	    .args = "run_id datasets models",
	    .shape = SHAPE_EMPTY,
	    .reply = changed,
	    .doc = "Records datasets and models that a run took.",
	},
	{
	    ONE_RUN,
	    .path = "mlflow/runs/outputs",
	    .once = true,
	    .fields = outputs_fields,
	    .check = run_valid,
	    .sql = SQL_log_outputs,
	    .args = "run_id models",
	    .shape = SHAPE_EMPTY,
	    .reply = changed,
	    .doc = "Records models that a run made.",
	},
	{
	    ONE_RUN,
	    .path = "mlflow/runs/log-model",
	    .once = true,
	    .fields = log_model_fields,
	    .check = model_json_valid,
	    .sql = SQL_log_model,
	    .args = "run_id model_json",
	    .shape = SHAPE_EMPTY,
	    .reply = changed,
	    .doc = "Appends a model to the tag mlflow.log-model.history (clients of 1.x and 2.x).",
	},
};
const struct endpoint_table run_table = ENDPOINT_TABLE(run_endpoints);

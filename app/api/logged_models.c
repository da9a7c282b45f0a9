/* Logged models of MLflow 3 clients: create, get, finalize, delete, params, tags, search. Their metrics come by log-metric and log-batch with a model_id. */
#include "api/names.h"
#include "api/page.h"
#include "sql_queries.h"

#define DATASETS_MOST 100
#define KEY_MOST 255 /* of MLflow's columns; values have no limit there, and keys no rule */

static const struct word statuses[] = { { "LOGGED_MODEL_PENDING", 1 }, { "LOGGED_MODEL_READY", 2 }, { "LOGGED_MODEL_UPLOAD_FAILED", 3 }, { NULL, 0 } };

static const struct field pair_fields[] = {
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_TEXT },
	FIELDS_END,
};

static const struct field create_fields[] = {
	{ .name = "experiment_id", .type = F_TEXT, .required = true },
	{ .name = "name", .type = F_TEXT },
	{ .name = "model_type", .type = F_TEXT },
	{ .name = "source_run_id", .type = F_TEXT },
	{ .name = "params", .type = F_OBJECTS, .fields = pair_fields },
	{ .name = "tags", .type = F_OBJECTS, .fields = pair_fields },
	FIELDS_END,
};

static const struct field get_fields[] = {
	{ .name = "allow_deleted", .type = F_BOOL },
	FIELDS_END,
};

static const struct field finalize_fields[] = {
	{ .name = "model_id", .type = F_TEXT, .required = true },
	{ .name = "status", .type = F_ENUM, .required = true, .words = statuses },
	FIELDS_END,
};

static const struct field tags_fields[] = {
	{ .name = "tags", .type = F_OBJECTS, .fields = pair_fields },
	FIELDS_END,
};

static const struct field params_fields[] = {
	{ .name = "model_id", .type = F_TEXT, .required = true },
	{ .name = "params", .type = F_OBJECTS, .fields = pair_fields },
	FIELDS_END,
};

static const struct field order_fields[] = {
	{ .name = "field_name", .type = F_TEXT, .required = true },
	{ .name = "ascending", .type = F_BOOL, .fallback = 1, .has_fallback = true },
	{ .name = "dataset_name", .type = F_TEXT },
	{ .name = "dataset_digest", .type = F_TEXT },
	FIELDS_END,
};
static const struct field dataset_fields[] = {
	{ .name = "dataset_name", .type = F_TEXT },
	{ .name = "dataset_digest", .type = F_TEXT },
	FIELDS_END,
};
static const struct field search_fields[] = {
	{ .name = "experiment_ids", .type = F_TEXTS, .required = true },
	{ .name = "filter", .type = F_TEXT },
	{ .name = "datasets", .type = F_OBJECTS, .fields = dataset_fields },
	{ .name = "max_results", .type = F_INT32, .fallback = 0, .has_fallback = true },
	{ .name = "orders", .type = F_OBJECTS, .alias = "order_by", .fields = order_fields },
	{ .name = "page_token", .type = F_TEXT },
	FIELDS_END,
};

static bool
logged_name_valid(struct call *call, struct text name)
{
	size_t i;

	for (i = 0; i < name.n; i++)
		if (strchr("/:.%\"'", name.s[i]) != NULL && name.s[i] != '\0')
			return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid model name ('%.*s') provided. Model name must be a non-empty string and cannot contain the following characters: ('/', ':', '.', '%%', '\"', \"'\")", TEXT_ARG(name));
	return true;
}

static bool
pairs_valid(struct call *call, const struct value *list, bool params)
{
	struct text *keys = arena_array(call->arena, list->count, sizeof(*keys));
	size_t i;

	for (i = 0; i < list->count; i++) {
		keys[i] = list->items[i].fields[0].text;
		if (!length_valid(call, keys[i], KEY_MOST, params ? "Param key" : "key"))
			return false;
	}
	i = params ? text_repeated(keys, list->count) : list->count;
	return i == list->count || call_refuse(call, BAD_REQUEST, "The param '%.*s' was given twice.", TEXT_ARG(keys[i]));
}

static struct text
list_json(const struct value *list)
{
	return list->json != NULL ? list->json->raw : TEXT("[]");
}

static const struct refusal create_refusals[] = {
	{ "missing", RESOURCE_DOES_NOT_EXIST, "No Experiment with id={experiment_id} exists" },
	{ "inactive", INVALID_PARAMETER_VALUE, "The experiment {experiment_id} must be in the 'active' state. Current state is deleted." },
	{ NULL, FAIL_NONE, NULL },
};

static enum next
created(struct call *call, PGresult *r)
{
	return call_refusal(call, r) == FAILED ? FAILED : wire_result(call, r);
}

static enum next
create(struct call *call)
{
	struct text name = call_text(call, "name");
	struct db_param *p = arena_array(call->arena, 10, sizeof(*p));
	int64_t experiment;

	if (!experiment_id_parse(call, call_text(call, "experiment_id"), &experiment) || !logged_name_valid(call, name) || !pairs_valid(call, call_value(call, "params"), true) ||
	    !pairs_valid(call, call_value(call, "tags"), false))
		return FAILED;
	p[0] = call_repeat_param(call);
	p[1] = db_p_text(call->arena, random_id(call->arena, "m-"));
	p[2] = db_p_int8(call->arena, experiment);
	p[3] = db_p_text(call->arena, name.n > 0 ? name : random_name(call->arena));
	p[4] = db_p_text(call->arena, call_given(call, "model_type") ? call_text(call, "model_type") : TEXT(""));
	p[5] = db_p_text(call->arena, call_given(call, "source_run_id") ? call_text(call, "source_run_id") : TEXT(""));
	p[6] = db_p_int8(call->arena, call->now_ms);
	p[7] = db_p_text(call->arena, list_json(call_value(call, "params")));
	p[8] = db_p_text(call->arena, list_json(call_value(call, "tags")));
	p[9] = call_repeat_arrived(call);
	return call_write(call, SQL_logged_model_create, p, 10, TEXT(""), created);
}

static bool
tags_valid(struct call *call)
{
	return pairs_valid(call, call_value(call, "tags"), false);
}

static bool
params_valid(struct call *call)
{
	return pairs_valid(call, call_value(call, "params"), true);
}

static enum next
search(struct call *call)
{
	struct search_request request = { .kind = SEARCH_LOGGED_MODELS, .view = VIEW_ACTIVE };
	const struct value *orders = call_value(call, "orders");
	const struct value *datasets = call_value(call, "datasets");
	struct search_order *o = arena_array(call->arena, orders->count, sizeof(*o));
	struct text *pairs = arena_array(call->arena, 2 * datasets->count, sizeof(*pairs));
	int64_t most = call_int(call, "max_results");
	size_t i;

	if (!experiment_ids_parse(call, call_value(call, "experiment_ids"), &request))
		return FAILED;
	for (i = 0; i < orders->count; i++) {
		const struct value *f = orders->items[i].fields;

		o[i] = (struct search_order){ .key = f[0].text, .descending = f[1].i == 0, .dataset_name = f[2].text, .dataset_digest = f[3].text };
	}
	if (datasets->count > DATASETS_MOST)
		return call_fail(call, INVALID_PARAMETER_VALUE, "At most %d datasets can be searched for at once. Got %zu.", DATASETS_MOST, datasets->count);
	for (i = 0; i < datasets->count; i++) {
		const struct value *f = datasets->items[i].fields;

		if (f[0].text.n == 0)
			return call_fail(call, INVALID_PARAMETER_VALUE, "`dataset_name` in the `datasets` clause must be specified.");
		pairs[2 * i] = f[0].text;
		pairs[2 * i + 1] = f[1].text;
	}
	request.orders = o;
	request.order_count = orders->count;
	request.datasets = pairs;
	request.dataset_count = datasets->count;
	request.limit = most < 1 ? 100 : most > 50000 ? 50000 : most;
	return page_start(call, &request, SQL_logged_models_page, "models", "model");
}

#define NO_MODEL "Logged model with ID '{model_id}' not found."

static const struct refusal no_tag[] = {
	{ "no tag", RESOURCE_DOES_NOT_EXIST, "No tag with key '{tag_key}' found for model with ID '{model_id}'." },
	{ NULL, FAIL_NONE, NULL },
};

static const struct endpoint logged_model_endpoints[] = {
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/logged-models",
	    .creates = true,
	    .access = ACCESS_EDIT,
	    .on = EXPERIMENT("experiment_id"),
	    .fields = create_fields,
	    .run = create,
	    .shape = SHAPE_OBJECT,
	    .refusals = create_refusals,
	    .doc = "Creates a logged model.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/logged-models/search",
	    .access = ACCESS_READ,
	    .on = EXPERIMENTS("experiment_ids"),
	    .fields = search_fields,
	    .run = search,
	    .doc = "A page of logged models by filter and order.",
	},
	{
	    .method = HTTP_M_GET,
	    .path = "mlflow/logged-models/<model_id>",
	    .access = ACCESS_READ,
	    .on = LOGGED_MODEL("model_id"),
	    .fields = get_fields,
	    .sql = SQL_logged_model_get,
	    .args = "model_id allow_deleted",
	    .shape = SHAPE_OBJECT,
	    .missing = NO_MODEL,
	    .doc = "A logged model.",
	},
	{
	    .method = HTTP_M_PATCH,
	    .path = "mlflow/logged-models/<model_id>",
	    .access = ACCESS_EDIT,
	    .on = LOGGED_MODEL("model_id"),
	    .fields = finalize_fields,
	    .writes = true,
	    .sql = SQL_logged_model_finalize,
	    .args = "model_id status @now",
	    .shape = SHAPE_OBJECT,
	    .missing = NO_MODEL,
	    .doc = "Sets a logged model's final status.",
	},
	{
	    .method = HTTP_M_DELETE,
	    .path = "mlflow/logged-models/<model_id>",
	    .access = ACCESS_EDIT,
	    .on = LOGGED_MODEL("model_id"),
	    .writes = true,
	    .once = true,
	    .sql = SQL_logged_model_delete,
	    .args = "model_id @now",
	    .shape = SHAPE_EMPTY,
	    .missing = NO_MODEL,
	    .doc = "Marks a logged model as deleted.",
	},
	{
	    .method = HTTP_M_PATCH,
	    .path = "mlflow/logged-models/<model_id>/tags",
	    .access = ACCESS_EDIT,
	    .on = LOGGED_MODEL("model_id"),
	    .fields = tags_fields,
	    .check = tags_valid,
	    .writes = true,
	    .sql = SQL_logged_model_set_tags,
	    .args = "model_id tags",
	    .shape = SHAPE_EMPTY,
	    .missing = NO_MODEL,
	    .doc = "Sets tags of a logged model.",
	},
	{
	    .method = HTTP_M_DELETE,
	    .path = "mlflow/logged-models/<model_id>/tags/<tag_key:path>",
	    .access = ACCESS_EDIT,
	    .on = LOGGED_MODEL("model_id"),
	    .writes = true,
	    .once = true,
	    .sql = SQL_logged_model_delete_tag,
	    .args = "model_id tag_key",
	    .shape = SHAPE_EMPTY,
	    .missing = NO_MODEL,
	    .refusals = no_tag,
	    .doc = "Deletes a tag of a logged model.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/logged-models/<model_id>/params",
	    .access = ACCESS_EDIT,
	    .on = LOGGED_MODEL("model_id"),
	    .fields = params_fields,
	    .check = params_valid,
	    .writes = true,
	    .once = true,
	    .sql = SQL_logged_model_log_params,
	    .args = "model_id params",
	    .shape = SHAPE_EMPTY,
	    .missing = NO_MODEL,
	    .doc = "Adds params to a logged model.",
	},
};
const struct endpoint_table logged_model_table = ENDPOINT_TABLE(logged_model_endpoints);

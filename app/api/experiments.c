/* Experiments: create, get, search, rename, delete, restore, tags. */
#include "api/names.h"
#include "api/page.h"
#include "config.h"
#include "sql_queries.h"

/* mlflow/utils/validation.py; names over 256 characters fail in MLflow's own PostgreSQL schema: here up to 500 are stored. */
#define NAME_MOST 500
#define TAG_KEY_MOST 250
#define TAG_VALUE_MOST 20000
#define LOCATION_MOST 2048
#define PAGE_MOST 50000

static const struct word views[] = { { "ACTIVE_ONLY", 1 }, { "DELETED_ONLY", 2 }, { "ALL", 3 }, { NULL, 0 } };

static const struct field tag_fields[] = {
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_TEXT },
	FIELDS_END,
};

static const struct field create_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "artifact_location", .type = F_URI },
	{ .name = "tags", .type = F_OBJECTS, .fields = tag_fields },
	FIELDS_END,
};

static const struct field id_fields[] = {
	{ .name = "experiment_id", .type = F_TEXT, .required = true },
	FIELDS_END,
};

static const struct field name_fields[] = {
	{ .name = "experiment_name", .type = F_TEXT, .required = true },
	FIELDS_END,
};

static const struct field update_fields[] = {
	{ .name = "experiment_id", .type = F_TEXT, .required = true },
	{ .name = "new_name", .type = F_TEXT, .required = true },
	FIELDS_END,
};

static const struct field set_tag_fields[] = {
	{ .name = "experiment_id", .type = F_TEXT, .required = true },
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_TEXT },
	FIELDS_END,
};

static const struct field delete_tag_fields[] = {
	{ .name = "experiment_id", .type = F_TEXT, .required = true },
	{ .name = "key", .type = F_TEXT, .required = true },
	FIELDS_END,
};

static const struct field search_fields[] = {
	{ .name = "max_results", .type = F_INT, .fallback = 0, .has_fallback = true },
	{ .name = "page_token", .type = F_TEXT },
	{ .name = "filter", .type = F_TEXT },
	{ .name = "order_by", .type = F_TEXTS },
	{ .name = "view_type", .type = F_ENUM, .words = views, .fallback = 1, .has_fallback = true },
	FIELDS_END,
};

static const struct field overview_fields[] = {
	{ .name = "view_type", .type = F_ENUM, .words = views, .fallback = 1, .has_fallback = true },
	{ .name = "counts", .type = F_BOOL, .fallback = 1, .has_fallback = true },
	FIELDS_END,
};

static const struct field datasets_fields[] = {
	{ .name = "experiment_ids", .type = F_TEXTS, .required = true, .absent = "SearchDatasets request must specify at least one experiment_id." },
	FIELDS_END,
};

/* ---- checks ---- */

static bool
id_valid(struct call *call)
{
	int64_t id;

	return experiment_id_parse(call, call_text(call, "experiment_id"), &id);
}

static bool
experiment_name_valid(struct call *call, struct text name)
{
	return length_valid(call, name, NAME_MOST, "name");
}

/* The part before ':' when it looks like a scheme, lower case. */
static struct text
scheme_of(struct call *call, struct text uri)
{
	size_t colon = text_find(uri, ':');
	char *s;
	size_t i;

	if (colon == 0 || colon == uri.n)
		return TEXT("");
	s = text_z(call->arena, (struct text){ uri.s, colon });
	for (i = 0; i < colon; i++) {
		if (s[i] >= 'A' && s[i] <= 'Z')
			s[i] = (char)(s[i] + 32);
		if (!((s[i] >= 'a' && s[i] <= 'z') || (i > 0 && ((s[i] >= '0' && s[i] <= '9') || strchr("+-.", s[i]) != NULL))))
			return TEXT("");
	}
	return (struct text){ s, colon };
}

static bool
dotted(struct text path)
{
	while (path.n > 0) {
		size_t end = text_find(path, '/');

		if (end == 2 && memcmp(path.s, "..", 2) == 0)
			return true;
		path = text_skip(path, end < path.n ? end + 1 : end);
	}
	return false;
}

/* Where a client may say that its artifacts lie: any remote store that MLflow takes (it is kept, never opened), or a place under our own root. */
bool
location_valid(struct call *call, struct text uri, const char *field)
{
	static const char *const hosted[] = { "ftp", "sftp", "hdfs", "viewfs", "http", "https", "r2", "b2", "abfss", NULL };
	struct text scheme = scheme_of(call, uri);
	struct text decoded = uri;
	int i;

	if (text_find(uri, '#') < uri.n || text_find(uri, ';') < uri.n)
		return call_refuse(call, INVALID_PARAMETER_VALUE, "'%s' URL can't include fragments or params.", field);
	for (i = 0; i < 5; i++) {
		struct text before = decoded;

		if (!text_percent_decode(call->arena, before, false, &decoded))
			decoded = before;
		if (text_find(decoded, '\\') < decoded.n || text_find(decoded, '\0') < decoded.n || dotted(decoded) || memmem(decoded.s, decoded.n, "..", 2) != NULL)
			return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid %s '%.*s': '..', backslashes and NUL are not allowed.", field, TEXT_ARG(uri));
		if (text_eq(before, decoded))
			break;
	}
	if (text_is(scheme, "runs"))
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Artifact location cannot be a runs:/ URI. Given: '%.*s'", TEXT_ARG(uri));
	for (i = 0; hosted[i] != NULL; i++)
		if (text_is(scheme, hosted[i]))
			return call_refuse(call, INVALID_PARAMETER_VALUE, "'%s' with the scheme '%.*s' is not allowed on this server.", field, TEXT_ARG(scheme));
	if (text_is(scheme, "mlflow-artifacts") && text_starts(uri, "mlflow-artifacts://") && !text_starts(uri, "mlflow-artifacts:///"))
		return call_refuse(call, INVALID_PARAMETER_VALUE, "'%s' names another host: '%.*s'.", field, TEXT_ARG(uri));
	if (scheme.n == 0 || text_is(scheme, "file") || scheme.n == 1) {
		struct text path = text_starts(uri, "file:") ? text_skip(uri, 5) : uri;
		struct text root = text_from(config->artifacts_destination);

		if (text_starts(path, "//"))
			path = text_skip(path, 2);
		if (root.n == 0 || root.s[0] != '/' || path.n < root.n || memcmp(path.s, root.s, root.n) != 0 || (path.n > root.n && path.s[root.n] != '/'))
			return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid %s '%.*s': a local path must lie under the server's artifact root. Leave it out, or give a bucket's address.", field, TEXT_ARG(uri));
	}
	if (text_chars(uri) > LOCATION_MOST)
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid artifact path length. The length of the artifact path cannot be greater than %d characters. To configure this limit, please set the MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH environment variable.", LOCATION_MOST);
	return true;
}

static bool
experiment_tag_valid(struct call *call, struct text key, struct text value)
{
	return name_valid(call, key, "key") && length_valid(call, key, TAG_KEY_MOST, "key") && length_valid(call, value, TAG_VALUE_MOST, "value");
}

struct text
artifact_root(void)
{
	return text_from(config->default_artifact_root[0] != '\0' ? config->default_artifact_root : "mlflow-artifacts:/");
}

static enum next
create_done(struct call *call, PGresult *r)
{
	if (!db_null(r, 0, 0))
		return call_fail(call, RESOURCE_ALREADY_EXISTS, "Experiment(name=%.*s) already exists. Names are unique over active and deleted experiments.", TEXT_ARG(call_text(call, "name")));
	buf_puts(&call->out, "{\"experiment_id\":\"");
	buf_text(&call->out, db_text(r, 0, 1));
	buf_puts(&call->out, "\"}");
	return call_reply_json(call);
}

static enum next
create(struct call *call)
{
	const struct value *tags = call_value(call, "tags");
	struct text location = call_text(call, "artifact_location");
	struct text name = call_text(call, "name");
	struct db_param *p = arena_array(call->arena, 7, sizeof(*p));
	size_t i;

	for (i = 0; i < tags->count; i++)
		if (!experiment_tag_valid(call, tags->items[i].fields[0].text, tags->items[i].fields[1].text))
			return FAILED;
	if (!experiment_name_valid(call, name) || (location.n > 0 && !location_valid(call, location, "artifact_location")))
		return FAILED;
	p[0] = call_repeat_param(call);
	p[1] = db_p_text(call->arena, name);
	p[2] = location.n > 0 ? db_p_text(call->arena, location) : db_p_null();
	p[3] = db_p_text(call->arena, artifact_root());
	p[4] = db_p_int8(call->arena, call->now_ms);
	p[5] = db_p_text(call->arena, tags->json != NULL ? tags->json->raw : TEXT("[]"));
	p[6] = call_repeat_arrived(call);
	return call_write(call, SQL_experiment_create, p, 7, name, create_done);
}

static bool
update_valid(struct call *call)
{
	return id_valid(call) && experiment_name_valid(call, call_text(call, "new_name"));
}

static bool
set_tag_valid(struct call *call)
{
	return id_valid(call) && experiment_tag_valid(call, call_text(call, "key"), call_text(call, "value"));
}

/* ---- search ---- */

static enum next
search(struct call *call)
{
	int64_t most = call_int(call, "max_results");
	struct search_request request = { .kind = SEARCH_EXPERIMENTS, .view = (enum search_view)call_int(call, "view_type") };

	if (most < 1 || most > PAGE_MOST)
		return call_fail(call, INVALID_PARAMETER_VALUE, most < 1 ? "Invalid value %lld for parameter 'max_results' supplied. It must be a positive integer" : "Invalid value %lld for parameter 'max_results' supplied. It must be at most 50000", (long long)most);
	request.limit = most;
	return page_start(call, &request, SQL_experiments_page, "experiments", "experiment");
}

/* experiments/list of clients before 2.0: everything in one page unless they ask otherwise. */
static enum next
list(struct call *call)
{
	int64_t most = call_int(call, "max_results");
	struct search_request request = { .kind = SEARCH_EXPERIMENTS, .view = (enum search_view)call_int(call, "view_type") };

	request.limit = most < 1 || most > PAGE_MOST ? PAGE_MOST : most;
	return page_start(call, &request, SQL_experiments_page, "experiments", "experiment");
}

static enum next
search_datasets(struct call *call)
{
	const struct value *ids = call_value(call, "experiment_ids");
	int64_t *numbers = arena_array(call->arena, ids->count, sizeof(*numbers));
	struct db_param *p = ARENA_NEW(call->arena, struct db_param);
	size_t i;

	if (ids->count == 0 || ids->count > 20)
		return call_fail(call, INVALID_PARAMETER_VALUE, ids->count == 0 ? "SearchDatasets request must specify at least one experiment_id." : "SearchDatasets request cannot specify more than 20 experiment_ids. Received %zu experiment_ids.", ids->count);
	for (i = 0; i < ids->count; i++)
		if (!experiment_id_parse(call, ids->items[i].text, &numbers[i]))
			return FAILED;
	*p = call_ids_param(call, numbers, ids->count);
	return call_read(call, SQL_search_datasets, p, 1, wire_result);
}

#define ONE(id) .on = EXPERIMENT(id), .writes = true

static const struct refusal inactive[] = {
	{ "deleted", INVALID_PARAMETER_VALUE, "The experiment {experiment_id} must be in the 'active' state. Current state is deleted." },
	{ "no tag", RESOURCE_DOES_NOT_EXIST, "No tag with name: {key} in experiment with id {experiment_id}" },
	{ NULL, FAIL_NONE, NULL },
};

static const struct refusal update_refusals[] = {
	{ "deleted", INVALID_PARAMETER_VALUE, "Cannot rename a non-active experiment." },
	{ "taken", BAD_REQUEST, "An experiment with the name '{new_name}' exists already." },
	{ NULL, FAIL_NONE, NULL },
};

#define NO_EXPERIMENT "No Experiment with id={experiment_id} exists"

static const struct endpoint experiment_endpoints[] = {
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/experiments/create",
	    .creates = true,
	    .access = ACCESS_EDIT,
	    .on = SERVER,
	    .fields = create_fields,
	    .run = create,
	    .doc = "Creates an experiment.",
	},
	{
	    .method = HTTP_M_GET,
	    .path = "mlflow/experiments/get",
	    .access = ACCESS_READ,
	    .on = EXPERIMENT("experiment_id"),
	    .fields = id_fields,
	    .check = id_valid,
	    .sql = SQL_experiment_get,
	    .args = "experiment_id:int",
	    .shape = SHAPE_OBJECT,
	    .missing = NO_EXPERIMENT,
	    .doc = "An experiment, deleted ones too.",
	},
	{
	    .method = HTTP_M_GET,
	    .path = "mlflow/experiments/get-by-name",
	    .access = ACCESS_READ,
	    .on = EXPERIMENT_NAME("experiment_name"),
	    .fields = name_fields,
	    .sql = SQL_experiment_get_by_name,
	    .args = "experiment_name",
	    .shape = SHAPE_OBJECT,
	    .missing = "Could not find experiment with name '{experiment_name}'",
	    .doc = "An experiment by its name, deleted ones too.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/experiments/search",
	    .access = ACCESS_READ,
	    .on = SERVER,
	    .fields = search_fields,
	    .run = search,
	    .doc = "A page of experiments by filter and order.",
	},
	{
	    .method = HTTP_M_GET,
	    .path = "mlflow/experiments/search",
	    .access = ACCESS_READ,
	    .on = SERVER,
	    .fields = search_fields,
	    .run = search,
	    .doc = "A page of experiments by filter and order.",
	},
	{
	    .method = HTTP_M_GET,
	    .path = "mlflow/experiments/list",
	    .access = ACCESS_READ,
	    .on = SERVER,
	    .fields = search_fields,
	    .run = list,
	    .doc = "All experiments, for clients before 2.0.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/experiments/update",
	    .access = ACCESS_EDIT,
	    ONE("experiment_id"),
	    .fields = update_fields,
	    .check = update_valid,
	    .sql = SQL_experiment_update,
	    .args = "experiment_id:int new_name @now",
	    .shape = SHAPE_EMPTY,
	    .missing = NO_EXPERIMENT,
	    .refusals = update_refusals,
	    .doc = "Renames an experiment.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/experiments/delete",
	    .access = ACCESS_MANAGE,
	    ONE("experiment_id"),
	    .once = true,
	    .fields = id_fields,
	    .check = id_valid,
	    .sql = SQL_experiment_delete,
	    .args = "experiment_id:int @now",
	    .shape = SHAPE_EMPTY,
	    .missing = NO_EXPERIMENT,
	    .doc = "Marks an experiment and its runs as deleted.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/experiments/restore",
	    .access = ACCESS_MANAGE,
	    .fresh = true,
	    ONE("experiment_id"),
	    .once = true,
	    .fields = id_fields,
	    .check = id_valid,
	    .sql = SQL_experiment_restore,
	    .args = "experiment_id:int @now",
	    .shape = SHAPE_EMPTY,
	    .missing = NO_EXPERIMENT,
	    .doc = "Restores a deleted experiment with all its runs.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/experiments/set-experiment-tag",
	    .access = ACCESS_EDIT,
	    ONE("experiment_id"),
	    .fields = set_tag_fields,
	    .check = set_tag_valid,
	    .sql = SQL_experiment_set_tag,
	    .args = "experiment_id:int key value",
	    .shape = SHAPE_EMPTY,
	    .missing = NO_EXPERIMENT,
	    .refusals = inactive,
	    .doc = "Sets a tag of an experiment.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/experimentsset-experiment-tag",
	    .access = ACCESS_EDIT,
	    ONE("experiment_id"),
	    .fields = set_tag_fields,
	    .check = set_tag_valid,
	    .sql = SQL_experiment_set_tag,
	    .args = "experiment_id:int key value",
	    .shape = SHAPE_EMPTY,
	    .missing = NO_EXPERIMENT,
	    .refusals = inactive,
	    .doc = "The same, by the slip of the npm client.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/experiments/delete-experiment-tag",
	    .access = ACCESS_EDIT,
	    ONE("experiment_id"),
	    .fields = delete_tag_fields,
	    .check = id_valid,
	    .sql = SQL_experiment_delete_tag,
	    .args = "experiment_id:int key",
	    .shape = SHAPE_EMPTY,
	    .missing = NO_EXPERIMENT,
	    .refusals = inactive,
	    .once = true,
	    .doc = "Deletes a tag of an experiment.",
	},
	{
	    .method = HTTP_M_POST,
	    .api = API_2_AJAX,
	    .path = "mlflow/experiments/search-datasets",
	    .access = ACCESS_READ,
	    .on = EXPERIMENTS("experiment_ids"),
	    .fields = datasets_fields,
	    .run = search_datasets,
	    .shape = SHAPE_LIST,
	    .wrap = "dataset_summaries",
	    .doc = "Datasets that runs of up to 20 experiments took as input.",
	},
	{
	    .method = HTTP_M_GET,
	    .path = "tallyd/experiments",
	    .access = ACCESS_READ,
	    .on = SERVER,
	    .fields = overview_fields,
	    .sql = SQL_experiments_overview,
	    .args = "view_type counts",
	    .shape = SHAPE_LIST,
	    .wrap = "experiments",
	    .doc = "Every experiment with number of runs and last activity, these two unless counts is false.",
	},
};
const struct endpoint_table experiment_table = ENDPOINT_TABLE(experiment_endpoints);

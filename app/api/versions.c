/* Model versions: create, get, update, delete, stages, tags, search, download URIs. A source is stored, never opened; bytes are served only from our stores. */
#include "api/names.h"
#include "api/page.h"
#include "api/registry.h"
#include "sql_queries.h"

/* mlflow/store/model_registry/__init__.py SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD */
#define VERSIONS_MOST 200000

static const struct field tag_fields[] = {
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_TEXT },
	FIELDS_END,
};
static const struct field create_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "source", .type = F_URI, .required = true },
	{ .name = "run_id", .type = F_TEXT },
	{ .name = "tags", .type = F_OBJECTS, .fields = tag_fields },
	{ .name = "run_link", .type = F_TEXT },
	{ .name = "description", .type = F_TEXT },
	{ .name = "model_id", .type = F_TEXT },
	FIELDS_END,
};
static const struct field one_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "version", .type = F_TEXT, .required = true },
	FIELDS_END,
};
static const struct field uri_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true, .absent = "Missing value for required parameter 'name'." },
	{ .name = "version", .type = F_TEXT, .required = true, .absent = "Parameter 'version' must be an integer, got ''." },
	FIELDS_END,
};
static const struct field update_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "version", .type = F_TEXT, .required = true },
	{ .name = "description", .type = F_TEXT },
	FIELDS_END,
};
static const struct field stage_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "version", .type = F_TEXT, .required = true },
	{ .name = "stage", .type = F_TEXT, .required = true },
	{ .name = "archive_existing_versions", .type = F_BOOL, .fallback = 0, .has_fallback = true },
	FIELDS_END,
};
static const struct field set_tag_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "version", .type = F_TEXT, .required = true },
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_TEXT },
	FIELDS_END,
};
static const struct field key_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "version", .type = F_TEXT, .required = true },
	{ .name = "key", .type = F_TEXT, .required = true },
	FIELDS_END,
};
static const struct field search_fields[] = {
	{ .name = "filter", .type = F_TEXT },
	{ .name = "max_results", .type = F_INT, .fallback = VERSIONS_MOST, .has_fallback = true },
	{ .name = "order_by", .type = F_TEXTS },
	{ .name = "page_token", .type = F_TEXT },
	FIELDS_END,
};

/* ---- create: where may a version's files lie? ---- */

struct source {
	struct text given;  /* as sent */
	struct text stored; /* models:/name@alias becomes models:/name/number */
	struct text location;
	struct text run_id;
	struct text model_id;
	struct text other_name; /* models:/name/version */
	struct text other_version;
	bool prompt;
};

static bool
source_invalid(struct call *call, const struct source *s, const char *field)
{
	return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid model version source: '%.*s'. The %s request parameter must identify the resource that contains the source.", TEXT_ARG(s->given), field);
}

static bool
version_mismatch(struct call *call, const struct source *s)
{
	return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid model version source: '%.*s'. The run_id and model_id request parameters must match the referenced model version.", TEXT_ARG(s->given));
}

/* The same path or below it. */
static bool
within(struct text uri, struct text root)
{
	root = text_trim_end(root, '/');
	return root.n > 0 && uri.n >= root.n && memcmp(uri.s, root.s, root.n) == 0 && (uri.n == root.n || uri.s[root.n] == '/');
}

static bool
proxied(struct text uri)
{
	return text_starts(uri, "mlflow-artifacts:") || ((text_starts(uri, "http://") || text_starts(uri, "https://")) && memmem(uri.s, uri.n, "/api/2.0/mlflow-artifacts/artifacts", 35) != NULL);
}

/* models:/name/version, models:/name@alias, models:/model_id */
static bool
models_uri(struct call *call, struct source *s)
{
	struct text rest = text_skip(s->given, strlen("models:"));
	size_t slash;
	size_t at;

	if (text_starts(rest, "//"))
		return source_invalid(call, s, "model_id");
	while (rest.n > 0 && rest.s[0] == '/')
		rest = text_skip(rest, 1);
	slash = text_find(rest, '/');
	at = text_find(rest, '@');
	if (slash < rest.n && slash + 1 < rest.n && text_find(text_skip(rest, slash + 1), '/') < rest.n - slash - 1)
		return source_invalid(call, s, "model_id");
	if (slash < rest.n && slash + 1 < rest.n) {
		s->other_name = (struct text){ rest.s, slash };
		s->other_version = text_skip(rest, slash + 1);
	} else if (at < rest.n) {
		s->other_name = (struct text){ rest.s, at };
		s->other_version = text_skip(rest, at); /* with its @ */
	} else if (rest.n == 0 || !text_eq(rest, s->model_id)) {
		return source_invalid(call, s, "model_id");
	}
	return true;
}

static bool
source_resolve(struct call *call, struct source *s, const PGresult *r)
{
	struct text run_uri = db_null(r, 0, 0) ? TEXT_NONE : db_text(r, 0, 0);
	struct text model_uri = db_null(r, 0, 1) ? TEXT_NONE : db_text(r, 0, 1);
	struct text scheme = { s->given.s, text_find(s->given, ':') };

	s->stored = s->given;
	s->location = s->given;
	if (s->model_id.n > 0 && model_uri.s == NULL)
		return call_refuse(call, RESOURCE_DOES_NOT_EXIST, "Logged model with ID '%.*s' not found.", TEXT_ARG(s->model_id));
	if (s->model_id.n > 0 && s->run_id.n == 0 && !db_null(r, 0, 2))
		s->run_id = text_copy(call->arena, db_text(r, 0, 2));
	if (s->prompt)
		return true;
	if (text_is(scheme, "runs")) {
		struct text id = text_skip(s->given, scheme.n + 1);

		while (id.n > 0 && id.s[0] == '/')
			id = text_skip(id, 1);
		id.n = text_find(id, '/');
		return s->model_id.n == 0 && s->run_id.n > 0 && text_eq(id, s->run_id) ? true : source_invalid(call, s, s->model_id.n > 0 ? "model_id" : "run_id");
	}
	if (text_is(scheme, "models")) {
		if (s->other_name.s == NULL) {
			s->location = text_copy(call->arena, model_uri);
			return true;
		}
		if (db_bool(r, 0, 8) && s->other_version.n > 0 && s->other_version.s[0] == '@' && db_null(r, 0, 3))
			return call_refuse(call, INVALID_PARAMETER_VALUE, "Registered model alias %.*s not found.", TEXT_ARG(text_skip(s->other_version, 1)));
		if (!db_bool(r, 0, 8))
			return call_refuse(call, RESOURCE_DOES_NOT_EXIST, "Registered Model with name=%.*s not found", TEXT_ARG(s->other_name));
		if (db_null(r, 0, 3) || db_bool(r, 0, 7))
			return call_refuse(call, RESOURCE_DOES_NOT_EXIST, "Model Version (name=%.*s, version=%.*s) not found", TEXT_ARG(s->other_name), TEXT_ARG(s->other_version));
		s->stored = text_format(call->arena, "models:/%.*s/%.*s", TEXT_ARG(s->other_name), TEXT_ARG(db_text(r, 0, 3)));
		s->location = text_copy(call->arena, db_text(r, 0, 4));
		if (!db_null(r, 0, 5) && db_text(r, 0, 5).n > 0) {
			if (s->run_id.n > 0 && !text_eq(s->run_id, db_text(r, 0, 5)))
				return version_mismatch(call, s);
			s->run_id = text_copy(call->arena, db_text(r, 0, 5));
		}
		if (!db_null(r, 0, 6) && db_text(r, 0, 6).n > 0) {
			if (s->model_id.n > 0 && !text_eq(s->model_id, db_text(r, 0, 6)))
				return version_mismatch(call, s);
			s->model_id = text_copy(call->arena, db_text(r, 0, 6));
		}
		return true;
	}
	if (proxied(s->given)) {
		if (s->model_id.n > 0 && within(s->given, model_uri))
			return true;
		if (s->model_id.n == 0 && s->run_id.n > 0 && run_uri.s == NULL)
			return source_invalid(call, s, "run_id");
		if (s->model_id.n == 0 && s->run_id.n > 0 && within(s->given, run_uri))
			return true;
		return source_invalid(call, s, s->model_id.n > 0 ? "model_id" : "run_id");
	}
	return true;
}

static const struct refusal create_refusals[] = {
	{ "no model", RESOURCE_DOES_NOT_EXIST, "Registered Model with name={name} not found" },
	{ NULL, FAIL_NONE, NULL },
};

static struct db_param
text_or_null(struct call *call, const char *field)
{
	return call_given(call, field) ? db_p_text(call->arena, call_text(call, field)) : db_p_null();
}

static enum next
create_submit(struct call *call, PGresult *r)
{
	struct source *s = call->state;
	const struct value *tags = call_value(call, "tags");
	struct db_param *p = arena_array(call->arena, 11, sizeof(*p));

	if (!source_resolve(call, s, r))
		return FAILED;
	p[0] = call_repeat_param(call);
	p[1] = db_p_text(call->arena, call_text(call, "name"));
	p[2] = db_p_text(call->arena, s->stored);
	p[3] = db_p_text(call->arena, s->location);
	p[4] = db_p_text(call->arena, s->run_id.s == NULL ? TEXT("") : s->run_id);
	p[5] = text_or_null(call, "run_link");
	p[6] = text_or_null(call, "description");
	p[7] = db_p_text(call->arena, s->model_id.s == NULL ? TEXT("") : s->model_id);
	p[8] = db_p_int8(call->arena, call->now_ms);
	p[9] = db_p_text(call->arena, tags->json != NULL ? tags->json->raw : TEXT("[]"));
	p[10] = call_repeat_arrived(call);
	return call_write(call, SQL_model_version_create, p, 11, call_text(call, "name"), registry_refused_or_wire);
}

static enum next
create(struct call *call)
{
	const struct value *tags = call_value(call, "tags");
	struct source *s = ARENA_NEW(call->arena, struct source);
	struct db_param *p = arena_array(call->arena, 4, sizeof(*p));
	size_t i;

	s->given = call_text(call, "source");
	s->run_id = call_text(call, "run_id");
	s->model_id = call_text(call, "model_id");
	if (!model_name_valid(call, call_text(call, "name"), "name") || !registry_tags_valid(call, tags))
		return FAILED;
	for (i = 0; i < tags->count; i++)
		if (text_is(tags->items[i].fields[0].text, "mlflow.prompt.is_prompt"))
			s->prompt = text_is_nocase(tags->items[i].fields[1].text, "true");
	/* mlflow/server/handlers.py _PROMPT_SOURCE_PLACEHOLDERS: nothing else comes past the source's rules by being called a prompt */
	if (s->prompt && !text_is(s->given, "prompt-template") && !text_is(s->given, "dummy-source"))
		return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid prompt source: '%.*s'. Prompt sources must use an MLflow placeholder.", TEXT_ARG(s->given));
	if (!s->prompt) {
		size_t colon = text_find(s->given, ':');

		if (colon == s->given.n || colon < 2 || text_starts(s->given, "file:") || s->given.s[0] == '/')
			return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid model version source: '%.*s'. To use a local path as a model version source, the run_id request parameter has to be specified and the local path has to be contained within the artifact directory of the run specified by the run_id.", TEXT_ARG(s->given));
		if (memmem(s->given.s, s->given.n, "..", 2) != NULL || memmem(s->given.s, s->given.n, "%", 1) != NULL || text_find(s->given, '#') < s->given.n || text_find(s->given, ';') < s->given.n ||
		    text_find(s->given, '\\') < s->given.n || memmem(s->given.s, s->given.n, "/./", 3) != NULL || colon + 1 == s->given.n)
			return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid model version source: '%.*s'. If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references present. Please provide an absolute path.", TEXT_ARG(s->given));
		if (text_starts(s->given, "models:")) {
			if (!models_uri(call, s))
				return FAILED;
		} else if (!text_starts(s->given, "runs:") && !proxied(s->given) && !location_valid(call, s->given, "source")) {
			return FAILED;
		}
	}
	call->state = s;
	p[0] = s->run_id.s != NULL ? db_p_text(call->arena, s->run_id) : db_p_null();
	p[1] = s->model_id.s != NULL ? db_p_text(call->arena, s->model_id) : db_p_null();
	p[2] = s->other_name.s != NULL ? db_p_text(call->arena, s->other_name) : db_p_null();
	p[3] = s->other_version.s != NULL ? db_p_text(call->arena, s->other_version) : db_p_null();
	return call_read(call, SQL_version_place, p, 4, create_submit);
}

/* ---- the rest ---- */

static bool
one_valid(struct call *call)
{
	return model_name_valid(call, call_text(call, "name"), "name") && version_number_valid(call);
}

static bool
set_tag_valid(struct call *call)
{
	return one_valid(call) && registry_tag_valid(call, call_text(call, "key"), call_text(call, "value"));
}

static bool
delete_tag_valid(struct call *call)
{
	return one_valid(call) && name_valid(call, call_text(call, "key"), "key");
}

static const struct refusal stage_refusals[] = {
	{ "no version", RESOURCE_DOES_NOT_EXIST, "Model Version (name={name}, version={version}) not found" },
	{ NULL, FAIL_NONE, NULL },
};

static enum next
transition(struct call *call)
{
	struct text stage = call_text(call, "stage");
	int number = stage_number(stage);
	struct db_param *p = arena_array(call->arena, 5, sizeof(*p));
	int64_t version = 0;

	if (!one_valid(call))
		return FAILED;
	if (number < 0)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid Model Version stage: %.*s. Value must be one of None, Staging, Production, Archived.", TEXT_ARG(stage));
	if (call_int(call, "archive_existing_versions") != 0 && number != 1 && number != 2)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Model version transition cannot archive existing model versions because '%.*s' is not an Active stage. Valid stages are Staging, Production", TEXT_ARG(stage));
	if (!text_int(call_text(call, "version"), &version))
		return FAILED;
	p[0] = db_p_text(call->arena, call_text(call, "name"));
	p[1] = db_p_int8(call->arena, version);
	p[2] = db_p_int4(call->arena, number);
	p[3] = db_p_bool(call->arena, call_int(call, "archive_existing_versions") != 0);
	p[4] = db_p_int8(call->arena, call->now_ms);
	return call_write(call, SQL_model_version_stage, p, 5, call_text(call, "name"), registry_refused_or_wire);
}

static enum next
search(struct call *call)
{
	struct search_request request = { .kind = SEARCH_MODEL_VERSIONS, .view = VIEW_ALL };

	request.limit = call_int(call, "max_results");
	if (request.limit < 1)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid value for max_results. It must be a positive integer, but got %lld", (long long)request.limit);
	if (request.limit > VERSIONS_MOST)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid value for request parameter max_results. It must be at most %d, but got value %lld", VERSIONS_MOST, (long long)request.limit);
	return page_start(call, &request, SQL_model_versions_page, "model_versions", "model_version");
}

static enum next
download_uri(struct call *call, PGresult *r)
{
	struct text uri = db_text(r, 0, 0);

	buf_puts(&call->out, "{\"artifact_uri\":");
	buf_json(&call->out, uri);
	buf_byte(&call->out, '}');
	return call_reply_json(call);
}

#define NO_VERSION "Model Version (name={name}, version={version}) not found"
#define ONE_VERSION .access = ACCESS_EDIT, .on = MODEL("name"), .writes = true, .missing = NO_VERSION
#define READ_VERSION .access = ACCESS_READ, .on = MODEL("name"), .missing = NO_VERSION

static const struct endpoint version_endpoints[] = {
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/model-versions/create",
	    .creates = true,
	    .access = ACCESS_EDIT,
	    .on = MODEL("name"),
	    .fields = create_fields,
	    .run = create,
	    .shape = SHAPE_OBJECT,
	    .refusals = create_refusals,
	    .doc = "Creates the next version of a registered model.",
	},
	{ .method = HTTP_M_GET, .path = "mlflow/model-versions/get", READ_VERSION, .fields = one_fields, .check = one_valid, .sql = SQL_model_version_get, .args = "name version:int", .shape = SHAPE_OBJECT, .doc = "A model version." },
	{ .method = HTTP_M_PATCH, .path = "mlflow/model-versions/update", ONE_VERSION, .fields = update_fields, .check = one_valid, .sql = SQL_model_version_update, .args = "name version:int description @now", .shape = SHAPE_OBJECT, .doc = "Sets the description; absent empties it." },
	{ .method = HTTP_M_DELETE, .path = "mlflow/model-versions/delete", ONE_VERSION, .once = true, .fields = one_fields, .check = one_valid, .sql = SQL_model_version_delete, .args = "name version:int @now", .shape = SHAPE_EMPTY, .doc = "Deletes a version; its number is not given out again." },
	{ .method = HTTP_M_GET, .path = "mlflow/model-versions/search", .access = ACCESS_READ, .on = SERVER, .fields = search_fields, .run = search, .doc = "A page of model versions." },
	{ .method = HTTP_M_GET, .path = "mlflow/model-versions/get-download-uri", READ_VERSION, .fields = uri_fields, .check = one_valid, .sql = SQL_model_version_location, .args = "name version:int", .shape = SHAPE_OBJECT, .reply = download_uri, .doc = "Where a version's files lie." },
	{ .method = HTTP_M_POST, .path = "mlflow/model-versions/transition-stage", .access = ACCESS_EDIT, .on = MODEL("name"), .fields = stage_fields, .run = transition, .shape = SHAPE_OBJECT, .refusals = stage_refusals, .doc = "Moves a version to a stage." },
	{ .method = HTTP_M_POST, .path = "mlflow/model-versions/set-tag", ONE_VERSION, .fields = set_tag_fields, .check = set_tag_valid, .sql = SQL_model_version_set_tag, .args = "name version:int key value", .shape = SHAPE_EMPTY, .doc = "Sets a tag of a version." },
	{ .method = HTTP_M_DELETE, .path = "mlflow/model-versions/delete-tag", ONE_VERSION, .fields = key_fields, .check = delete_tag_valid, .sql = SQL_model_version_delete_tag, .args = "name version:int key", .shape = SHAPE_EMPTY, .doc = "Deletes a tag of a version; a missing one is no error." },
};
const struct endpoint_table version_table = ENDPOINT_TABLE(version_endpoints);

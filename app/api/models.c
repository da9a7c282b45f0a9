/* The model registry: registered models, their tags and aliases. Versions are in versions.c. Prompts are models with the tag mlflow.prompt.is_prompt. */
#include "api/names.h"
#include "api/page.h"
#include "api/registry.h"
#include "sql_queries.h"

#define TAG_KEY_MOST 250
#define TAG_VALUE_MOST 100000
#define NAME_MOST 500 /* an index row takes 2704 bytes */
#define ALIAS_MOST 255
#define MODELS_MOST 1000

static const struct field tag_fields[] = {
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_TEXT },
	FIELDS_END,
};
static const struct field create_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "tags", .type = F_OBJECTS, .fields = tag_fields },
	{ .name = "description", .type = F_TEXT },
	{ .name = "deployment_job_id", .type = F_TEXT },
	FIELDS_END,
};
static const struct field name_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	FIELDS_END,
};
static const struct field update_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "description", .type = F_TEXT },
	{ .name = "deployment_job_id", .type = F_TEXT },
	FIELDS_END,
};
static const struct field rename_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "new_name", .type = F_TEXT, .required = true },
	FIELDS_END,
};
static const struct field set_tag_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "key", .type = F_TEXT, .required = true },
	{ .name = "value", .type = F_TEXT },
	FIELDS_END,
};
static const struct field key_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "key", .type = F_TEXT, .required = true },
	FIELDS_END,
};
static const struct field alias_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "alias", .type = F_TEXT, .required = true },
	FIELDS_END,
};
static const struct field set_alias_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "alias", .type = F_TEXT, .required = true },
	{ .name = "version", .type = F_TEXT, .required = true },
	FIELDS_END,
};
static const struct field latest_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "stages", .type = F_TEXTS },
	FIELDS_END,
};
static const struct field search_fields[] = {
	{ .name = "filter", .type = F_TEXT },
	{ .name = "max_results", .type = F_INT, .fallback = 100, .has_fallback = true },
	{ .name = "order_by", .type = F_TEXTS },
	{ .name = "page_token", .type = F_TEXT },
	FIELDS_END,
};

bool
model_name_valid(struct call *call, struct text name, const char *field)
{
	struct text norm;

	if (text_trim(name).n == 0)
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Missing value for required parameter '%s'.", field);
	if (!length_valid(call, name, NAME_MOST, field))
		return false;
	if (text_find(name, '/') < name.n || text_find(name, ':') < name.n)
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid model name '%.*s'. Names cannot contain '/' or ':'.", TEXT_ARG(name));
	norm = path_norm(call->arena, name);
	if (!text_eq(norm, name) || text_is(norm, ".") || text_starts(norm, ".."))
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid value %.*s for parameter 'name' supplied: Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would resolve to %.*s", TEXT_ARG(json_dump_text(call->arena, name)), TEXT_ARG(python_repr(call->arena, norm)));
	return true;
}

bool
registry_tag_valid(struct call *call, struct text key, struct text value)
{
	return name_valid(call, key, "key") && length_valid(call, key, TAG_KEY_MOST, "key") && length_valid(call, value, TAG_VALUE_MOST, "value");
}

bool
registry_tags_valid(struct call *call, const struct value *tags)
{
	size_t i;

	for (i = 0; i < tags->count; i++)
		if (!registry_tag_valid(call, tags->items[i].fields[0].text, tags->items[i].fields[1].text))
			return false;
	return true;
}

bool
version_number_valid(struct call *call)
{
	struct text version = call_text(call, "version");
	int64_t number;
	size_t digits = 0;

	if (text_int(version, &number))
		return true;
	while (digits < version.n && version.s[digits] >= '0' && version.s[digits] <= '9')
		digits++;
	if (digits > 0 && digits == version.n)
		return call_refuse(call, RESOURCE_DOES_NOT_EXIST, "Model Version (name=%.*s, version=%.*s) not found", TEXT_ARG(call_text(call, "name")), TEXT_ARG(version));
	return call_refuse(call, INVALID_PARAMETER_VALUE, "Parameter 'version' must be an integer, got '%.*s'.", TEXT_ARG(version));
}

static bool
alias_valid(struct call *call)
{
	struct text alias = call_text(call, "alias");
	size_t i;

	for (i = 0; i < alias.n; i++)
		if ((unsigned char)alias.s[i] < 0x80 && strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-", alias.s[i]) == NULL)
			return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid alias name: '%.*s'. Names may only contain alphanumerics, underscores (_), and dashes (-).", TEXT_ARG(alias));
	return length_valid(call, alias, ALIAS_MOST, "Registered model alias name");
}

static bool
set_alias_valid(struct call *call)
{
	struct text alias = call_text(call, "alias");
	int64_t digits;

	if (!alias_valid(call) || !version_number_valid(call))
		return false;
	if (text_is_nocase(alias, "latest"))
		return call_refuse(call, INVALID_PARAMETER_VALUE, "'latest' alias name (case insensitive) is reserved.");
	if (alias.n > 1 && (alias.s[0] == 'v' || alias.s[0] == 'V') && text_int(text_skip(alias, 1), &digits) && alias.s[1] != '-' && alias.s[1] != '+')
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Version alias name '%.*s' is reserved.", TEXT_ARG(alias));
	return true;
}

static const struct refusal create_refusals[] = {
	{ "exists", RESOURCE_ALREADY_EXISTS, "Registered Model (name={name}) already exists." },
	{ "prompt", RESOURCE_ALREADY_EXISTS, "Prompt (name={name}) already exists." },
	{ "model exists", RESOURCE_ALREADY_EXISTS, "Tried to create a prompt with name '{name}', but the name is already taken by a registered model. MLflow does not allow creating a model and a prompt with the same name." },
	{ "prompt exists", RESOURCE_ALREADY_EXISTS, "Tried to create a registered model with name '{name}', but the name is already taken by a prompt. MLflow does not allow creating a model and a prompt with the same name." },
	{ NULL, FAIL_NONE, NULL },
};

enum next
registry_refused_or_wire(struct call *call, PGresult *r)
{
	return call_refusal(call, r) == FAILED ? FAILED : wire_result(call, r);
}

static enum next
create(struct call *call)
{
	const struct value *tags = call_value(call, "tags");
	struct text name = call_text(call, "name");
	struct db_param *p = arena_array(call->arena, 7, sizeof(*p));

	if (!model_name_valid(call, name, "name") || !registry_tags_valid(call, tags))
		return FAILED;
	p[0] = call_repeat_param(call);
	p[1] = db_p_text(call->arena, name);
	p[2] = call_given(call, "description") ? db_p_text(call->arena, call_text(call, "description")) : db_p_null();
	p[3] = call_given(call, "deployment_job_id") ? db_p_text(call->arena, call_text(call, "deployment_job_id")) : db_p_null();
	p[4] = db_p_int8(call->arena, call->now_ms);
	p[5] = db_p_text(call->arena, tags->json != NULL ? tags->json->raw : TEXT("[]"));
	p[6] = call_repeat_arrived(call);
	return call_write(call, SQL_registered_model_create, p, 7, name, registry_refused_or_wire);
}

static bool
one_name_valid(struct call *call)
{
	return model_name_valid(call, call_text(call, "name"), "name");
}

static bool
rename_valid(struct call *call)
{
	return model_name_valid(call, call_text(call, "new_name"), "new_name");
}

static bool
set_tag_valid(struct call *call)
{
	return one_name_valid(call) && registry_tag_valid(call, call_text(call, "key"), call_text(call, "value"));
}

static bool
delete_tag_valid(struct call *call)
{
	return one_name_valid(call) && name_valid(call, call_text(call, "key"), "key");
}

/* Stage words in any case to numbers; -1 for none of them. */
int
stage_number(struct text stage)
{
	static const char *const words[] = { "None", "Staging", "Production", "Archived" };
	int i;

	for (i = 0; i < 4; i++)
		if (text_is_nocase(stage, words[i]))
			return i;
	return -1;
}

static enum next
latest(struct call *call)
{
	const struct value *stages = call_value(call, "stages");
	int32_t *numbers = arena_array(call->arena, stages->count + 1, sizeof(*numbers));
	struct db_param *p = arena_array(call->arena, 2, sizeof(*p));
	size_t i;

	if (!one_name_valid(call))
		return FAILED;
	for (i = 0; i < stages->count; i++) {
		numbers[i] = stage_number(stages->items[i].text);
		if (numbers[i] < 0)
			return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid Model Version stage: %.*s. Value must be one of None, Staging, Production, Archived.", TEXT_ARG(stages->items[i].text));
	}
	p[0] = db_p_text(call->arena, call_text(call, "name"));
	p[1] = call_keep_param(call, db_p_int4s(numbers, stages->count));
	return call_read(call, SQL_latest_versions, p, 2, registry_refused_or_wire);
}

static enum next
search(struct call *call)
{
	struct search_request request = { .kind = SEARCH_REGISTERED_MODELS, .view = VIEW_ALL };

	request.limit = call_int(call, "max_results");
	if (request.limit > MODELS_MOST)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid value for request parameter max_results. It must be at most %d, but got value %lld", MODELS_MOST, (long long)request.limit);
	if (request.limit < 0)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid value for max_results. It must be a positive integer, but got %lld", (long long)request.limit);
	return page_start(call, &request, SQL_registered_models_page, "registered_models", "registered_model");
}

#define NO_MODEL "Registered Model with name={name} not found"

static const struct refusal rename_refusals[] = {
	{ "taken", RESOURCE_ALREADY_EXISTS, "Registered Model (name={new_name}) already exists." },
	{ NULL, FAIL_NONE, NULL },
};
static const struct refusal alias_refusals[] = {
	{ "no model", RESOURCE_DOES_NOT_EXIST, NO_MODEL },
	{ "no version", RESOURCE_DOES_NOT_EXIST, "Model Version (name={name}, version={version}) not found" },
	{ "no alias", INVALID_PARAMETER_VALUE, "Registered model alias {alias} not found." },
	{ "no latest", RESOURCE_DOES_NOT_EXIST, "Latest version not found for model {name}." },
	{ NULL, FAIL_NONE, NULL },
};

#define ONE_MODEL .access = ACCESS_EDIT, .on = MODEL("name"), .writes = true, .missing = NO_MODEL
#define READ_MODEL .access = ACCESS_READ, .on = MODEL("name"), .missing = NO_MODEL

static const struct endpoint model_endpoints[] = {
	{
	    .method = HTTP_M_POST,
	    .path = "mlflow/registered-models/create",
	    .creates = true,
	    .access = ACCESS_EDIT,
	    .on = SERVER,
	    .fields = create_fields,
	    .run = create,
	    .shape = SHAPE_OBJECT,
	    .refusals = create_refusals,
	    .doc = "Creates a registered model.",
	},
	{ .method = HTTP_M_GET, .path = "mlflow/registered-models/get", READ_MODEL, .fields = name_fields, .check = one_name_valid, .sql = SQL_registered_model_get, .args = "name", .shape = SHAPE_OBJECT, .doc = "A registered model." },
	{ .method = HTTP_M_PATCH, .path = "mlflow/registered-models/update", ONE_MODEL, .fields = update_fields, .check = one_name_valid, .sql = SQL_registered_model_update, .args = "name description deployment_job_id @now", .shape = SHAPE_OBJECT, .doc = "Sets the description." },
	{ .method = HTTP_M_POST, .path = "mlflow/registered-models/rename", ONE_MODEL, .once = true, .fields = rename_fields, .check = rename_valid, .sql = SQL_registered_model_rename, .args = "name new_name @now", .shape = SHAPE_OBJECT, .refusals = rename_refusals, .doc = "Renames a registered model." },
	{ .method = HTTP_M_DELETE, .path = "mlflow/registered-models/delete", ONE_MODEL, .once = true, .fields = name_fields, .check = one_name_valid, .sql = SQL_registered_model_delete, .args = "name", .shape = SHAPE_EMPTY, .doc = "Deletes a registered model with its versions, for good." },
	{ .method = HTTP_M_GET, .path = "mlflow/registered-models/search", .access = ACCESS_READ, .on = SERVER, .fields = search_fields, .run = search, .doc = "A page of registered models." },
	{ .method = HTTP_M_GET, .path = "mlflow/registered-models/list", .access = ACCESS_READ, .on = SERVER, .fields = search_fields, .run = search, .doc = "The same, for clients before 2.0." },
	{ .method = HTTP_M_GET, .path = "mlflow/registered-models/get-latest-versions", READ_MODEL, .fields = latest_fields, .run = latest, .shape = SHAPE_OBJECT, .doc = "The newest version of each stage." },
	{ .method = HTTP_M_POST, .path = "mlflow/registered-models/get-latest-versions", READ_MODEL, .fields = latest_fields, .run = latest, .shape = SHAPE_OBJECT, .doc = "The newest version of each stage." },
	{ .method = HTTP_M_POST, .path = "mlflow/registered-models/set-tag", ONE_MODEL, .fields = set_tag_fields, .check = set_tag_valid, .sql = SQL_registered_model_set_tag, .args = "name key value", .shape = SHAPE_EMPTY, .doc = "Sets a tag." },
	{ .method = HTTP_M_DELETE, .path = "mlflow/registered-models/delete-tag", ONE_MODEL, .fields = key_fields, .check = delete_tag_valid, .sql = SQL_registered_model_delete_tag, .args = "name key", .shape = SHAPE_EMPTY, .doc = "Deletes a tag; a missing one is no error." },
	{ .method = HTTP_M_POST, .path = "mlflow/registered-models/alias", ONE_MODEL, .fields = set_alias_fields, .check = set_alias_valid, .sql = SQL_registered_model_set_alias, .args = "name alias version:int", .shape = SHAPE_EMPTY, .refusals = alias_refusals, .doc = "Points an alias to a version." },
	{ .method = HTTP_M_DELETE, .path = "mlflow/registered-models/alias", ONE_MODEL, .fields = alias_fields, .check = alias_valid, .sql = SQL_registered_model_delete_alias, .args = "name alias", .shape = SHAPE_EMPTY, .doc = "Deletes an alias; a missing one is no error." },
	{ .method = HTTP_M_GET, .path = "mlflow/registered-models/alias", READ_MODEL, .fields = alias_fields, .check = alias_valid, .sql = SQL_registered_model_get_alias, .args = "name alias", .shape = SHAPE_OBJECT, .refusals = alias_refusals, .doc = "The version that an alias points to." },
};
const struct endpoint_table model_table = ENDPOINT_TABLE(model_endpoints);

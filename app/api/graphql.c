/* GraphQL as MLflow's own page uses it: two documents, known by their operation names, variables only. No parser: a query language that is evaluated is a way in (CVE-2025-0453). */
#include "engine/call.h"
#include "sql_queries.h"

static const struct field graphql_fields[] = {
	{ .name = "query", .type = F_TEXT },
	{ .name = "operationName", .type = F_TEXT },
	{ .name = "variables", .type = F_OBJECT },
	FIELDS_END,
};

/* variables.input.experimentId, variables.data.runId */
static struct text
variable(struct call *call, const char *object, const char *name)
{
	const struct json *v = json_member(json_member(call_value(call, "variables")->json, object), name);

	return v != NULL && v->type == JSON_STRING ? v->text : TEXT_NONE;
}

/* As MLflow: 200, the field is null, errors are plain strings. */
static enum next
errors_reply(struct call *call, const char *field, const char *before, struct text id, const char *after)
{
	struct buf message = { 0 };

	buf_puts(&message, before);
	buf_text(&message, id);
	buf_puts(&message, after);
	buf_printf(&call->out, "{\"data\":{\"%s\":null},\"errors\":[", field);
	buf_json(&call->out, buf_view(&message));
	buf_free(&message);
	buf_puts(&call->out, "]}");
	return call_reply_json(call);
}

static enum next
data_reply(struct call *call, PGresult *r)
{
	if (PQntuples(r) == 0) {
		if (text_is(call_text(call, "operationName"), "GetRun"))
			return errors_reply(call, "mlflowGetRun", "Run with id=", variable(call, "data", "runId"), " not found");
		return errors_reply(call, "mlflowGetExperiment", "No Experiment with id=", variable(call, "input", "experimentId"), " exists");
	}
	buf_puts(&call->out, "{\"data\":");
	buf_text(&call->out, db_text(r, 0, 0));
	buf_puts(&call->out, ",\"errors\":null}");
	return call_reply_json(call);
}

static enum next
graphql(struct call *call)
{
	struct text operation = call_text(call, "operationName");
	struct db_param *p = ARENA_NEW(call->arena, struct db_param);
	struct text id;
	int64_t number;

	if (text_is(operation, "MlflowGetExperimentQuery")) {
		id = variable(call, "input", "experimentId");
		if (!text_int(id, &number))
			return errors_reply(call, "mlflowGetExperiment", "Invalid experiment ID '", id, "'. Experiment ID must be a valid integer.");
		*p = db_p_int8(call->arena, number);
		return call_read(call, SQL_graphql_experiment, p, 1, data_reply);
	}
	if (text_is(operation, "GetRun")) {
		id = variable(call, "data", "runId");
		if (id.n == 0)
			return errors_reply(call, "mlflowGetRun", "Run with id=", id, " not found");
		*p = db_p_text(call->arena, id);
		return call_read(call, SQL_graphql_run, p, 1, data_reply);
	}
	return call_fail(call, BAD_REQUEST, "This server answers the two GraphQL documents of MLflow's page, MlflowGetExperimentQuery and GetRun. Use the REST API for everything else.");
}

static const struct endpoint graphql_endpoints[] = {
	{ .method = HTTP_M_POST, .api = API_ROOT, .path = "graphql", .access = ACCESS_READ, .fresh = true, .on = SERVER, .fields = graphql_fields, .run = graphql, .doc = "The two documents of MLflow's own page." },
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "graphql", .access = ACCESS_READ, .fresh = true, .on = SERVER, .fields = graphql_fields, .run = graphql, .doc = "The two documents of MLflow's own page." },
};
const struct endpoint_table graphql_table = ENDPOINT_TABLE(graphql_endpoints);

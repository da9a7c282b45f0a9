/* GraphQL as MLflow's own page uses it: two documents, known by their operation names, variables only. No parser: a query language that is evaluated is a way in (CVE-2025-0453). */
#include "engine/call.h"
#include "sql_queries.h"

static const struct field graphql_fields[] = {
	{ .name = "query", .type = F_TEXT },
	{ .name = "operationName", .type = F_TEXT },
	{ .name = "variables", .type = F_OBJECT },
	FIELDS_END,
};

static enum next
errors_reply(struct call *call, struct text message)
{
	buf_puts(&call->out, "{\"data\":null,\"errors\":[");
	buf_json(&call->out, message);
	buf_puts(&call->out, "]}");
	return call_reply_json(call);
}

static enum next
data_reply(struct call *call, PGresult *r)
{
	if (PQntuples(r) == 0)
		return errors_reply(call, TEXT("The run or experiment was not found."));
	buf_puts(&call->out, "{\"data\":");
	buf_text(&call->out, db_text(r, 0, 0));
	buf_puts(&call->out, ",\"errors\":null}");
	return call_reply_json(call);
}

/* variables.input.experimentId, variables.data.runId */
static struct text
variable(struct call *call, const char *object, const char *name)
{
	const struct json *v = json_member(json_member(call_value(call, "variables")->json, object), name);

	return v != NULL && v->type == JSON_STRING ? v->text : TEXT_NONE;
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
			return errors_reply(call, TEXT("input.experimentId must be an integer in a string."));
		*p = db_p_int8(call->arena, number);
		return call_read(call, SQL_graphql_experiment, p, 1, data_reply);
	}
	if (text_is(operation, "GetRun")) {
		id = variable(call, "data", "runId");
		if (id.n == 0)
			return errors_reply(call, TEXT("data.runId is missing."));
		*p = db_p_text(call->arena, id);
		return call_read(call, SQL_graphql_run, p, 1, data_reply);
	}
	return call_fail(call, BAD_REQUEST, "This server answers the two GraphQL documents of MLflow's page, MlflowGetExperimentQuery and GetRun. Use the REST API for everything else.");
}

static const struct endpoint graphql_endpoints[] = {
	{ .method = HTTP_M_POST, .api = API_ROOT, .path = "graphql", .access = ACCESS_READ, .on = SERVER, .fields = graphql_fields, .run = graphql, .doc = "The two documents of MLflow's own page." },
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "graphql", .access = ACCESS_READ, .on = SERVER, .fields = graphql_fields, .run = graphql, .doc = "The two documents of MLflow's own page." },
};
const struct endpoint_table graphql_table = ENDPOINT_TABLE(graphql_endpoints);

/* The server about itself: health, version, what it can do. */
#include "api/artifact.h"
#include "base/db.h"
#include "config.h"
#include "engine/call.h"
#include "engine/stats.h"
#include "migrate.h"
#include "version.h"

/* The MLflow version whose API we speak; clients compare it (OTLP needs 3.4). */
#define MLFLOW_VERSION "3.17.2"

static enum next
health(struct call *call)
{
	return call_reply_text(call, 200, "text/plain", TEXT("OK"));
}

static enum next
version(struct call *call)
{
	return call_reply_text(call, 200, "text/html; charset=utf-8", TEXT(MLFLOW_VERSION));
}

static enum next
ready(struct call *call)
{
	if (!db_ready())
		return call_fail(call, TEMPORARILY_UNAVAILABLE, "The database is not reachable.");
	return call_reply_text(call, 200, "text/plain", TEXT("OK"));
}

static enum next
server_info(struct call *call)
{
	const char *direct = artifacts_direct() ? "true" : "false";

	buf_printf(&call->out, "{\"store_type\":\"SqlStore\",\"workspaces_enabled\":false,\"trace_archival_enabled\":false,\"multipart_uploads_enabled\":%s,\"multipart_downloads_enabled\":%s,"
	    "\"presigned_upload_run_id_supported\":true,\"presigned_upload_model_id_supported\":true,\"features_enabled\":{\"gateway\":false}}", direct, direct);
	return call_reply_json(call);
}

/* What MLflow answers when no gateway is configured: without it, its page shows an error. */
static enum next
gateway(struct call *call)
{
	buf_puts(&call->out, "{\"endpoints\":[]}");
	return call_reply_json(call);
}

static enum next
metrics(struct call *call)
{
	struct buf b = { 0 };
	struct text copy;

	stats_print(&b);
	copy = text_copy(call->arena, buf_view(&b));
	buf_free(&b);
	return call_reply_text(call, 200, "text/plain; version=0.0.4; charset=utf-8", copy);
}

static enum next
info(struct call *call)
{
	buf_puts(&call->out, "{\"version\":");
	buf_json(&call->out, text_from(tallyd_version));
	buf_printf(&call->out, ",\"schema_version\":%d,\"workers\":%d,\"artifact_root\":", migrate_version(), config->workers);
	buf_json(&call->out, text_from(config->default_artifact_root[0] != '\0' ? config->default_artifact_root : "mlflow-artifacts:/"));
	buf_printf(&call->out, ",\"database\":\"%s\"", config->embedded ? "embedded" : "external");
	buf_puts(&call->out, ",\"artifacts_destination\":");
	buf_json(&call->out, text_from(config->artifacts_destination));
	buf_puts(&call->out, ",\"mlflow_version\":\"" MLFLOW_VERSION "\"}");
	return call_reply_json(call);
}

static const struct endpoint server_endpoints[] = {
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "health", .access = ACCESS_PUBLIC, .on = SERVER, .run = health, .doc = "200 while the worker runs, whatever the database does." },
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "ready", .access = ACCESS_PUBLIC, .on = SERVER, .run = ready, .doc = "200 when requests can be served, else 503." },
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "version", .access = ACCESS_PUBLIC, .on = SERVER, .run = version, .doc = "The MLflow version whose API is spoken." },
	{ .method = HTTP_M_GET, .api = API_3, .path = "mlflow/server-info", .access = ACCESS_PUBLIC, .on = SERVER, .run = server_info, .doc = "What the server can do; clients cache it for a minute." },
	{ .method = HTTP_M_GET, .api = API_2_AJAX, .path = "mlflow/gateway-proxy", .access = ACCESS_READ, .on = SERVER, .run = gateway, .doc = "MLflow's web page: there is no AI gateway." },
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "metrics", .access = ACCESS_READ, .on = SERVER, .run = metrics, .doc = "Counters for Prometheus." },
	{ .method = HTTP_M_GET, .path = "tallyd/info", .access = ACCESS_READ, .on = SERVER, .run = info, .doc = "Version, schema, artifact root and workers." },
};
const struct endpoint_table server_table = ENDPOINT_TABLE(server_endpoints);

/*
 * Artifacts: the proxy below mlflow-artifacts:, where clients put and fetch files by path; and the routes that name a run, a model or a version, whose place comes from the
 * database. Bytes of a bucket go past the server where the client can take a signed address.
 */
#include <stdio.h>

#include "api/usage.h"
#include "base/log.h"
#include "config.h"
#include "engine/stats.h"
#include "sql_queries.h"

#define UPLOAD_MOST ((int64_t)10 * 1024 * 1024)
#define PUT_TTL_S 900
#define COMPLETE_BODY_MOST ((size_t)32 * 1024 * 1024)
#define TOO_LARGE "The file is larger than the server takes (--artifact-limit)."
#define NO_MULTIPART "Multipart upload is not supported for the current artifact repository"

/* ---- uploads through the server ---- */

static void
received(struct call *call, const void *bytes, size_t n)
{
	struct artifact *a = call->state;

	stats_artifact(n, 0);
	a->received += (int64_t)n;
	/* What comes after a failure is read and dropped, so that the client can read the answer. */
	if (a->over)
		return;
	if (config->artifact_limit > 0 && a->received > config->artifact_limit) {
		a->over = true;
		(void)call_fail(call, PAYLOAD_TOO_LARGE, TOO_LARGE);
		return;
	}
	if (!a->store->put_bytes(&a->op, bytes, n) && call->http != NULL) {
		a->paused = true;
		http_pause(call->http);
	}
}

static void
room(struct store_op *op)
{
	struct artifact *a = op->user;

	if (a->paused && a->call->http != NULL) {
		a->paused = false;
		http_resume(a->call->http);
	}
}

static void
received_all(struct call *call)
{
	struct artifact *a = call->state;

	a->body_ended = true;
	a->store->put_end(&a->op);
}

/* The store is done: at the end, or early with an error that is told once the body has been read. */
static enum next
stored(struct artifact *a, enum store_result result)
{
	struct call *call = a->call;

	if (result == STORE_OK) {
		usage_stored(a);
		return call_reply_text(call, 200, "text/html; charset=utf-8", TEXT(""));
	}
	(void)artifact_failed(a, result);
	a->over = true;
	if (a->body_ended)
		return FAILED;
	room(&a->op);
	return WAIT;
}

static enum next
put_start(struct artifact *a)
{
	struct call *call = a->call;
	int64_t length = call->http->content_length;
	struct store_op *op;

	call->on_body = received;
	call->on_body_end = received_all;
	if (config->artifact_limit > 0 && length > config->artifact_limit) {
		a->over = true;
		(void)call_fail(call, PAYLOAD_TOO_LARGE, TOO_LARGE);
		return WAIT;
	}
	op = artifact_begin(a, stored);
	op->room = room;
	a->store->put(a->store, a->key, length, text_from(artifact_type(a->key)), op);
	return WAIT;
}

/* A failure at the head of a streamed request: the engine tells it after the body. */
static enum next
later(struct call *call)
{
	PRECOND(call->fail.code != FAIL_NONE);
	return WAIT;
}

/* ---- 307 instead (artifact-put = redirect): the body comes first to us all the same, and is dropped ---- */

static enum next
redirect_reply(struct artifact *a)
{
	struct http_header_out headers[2] = { { "Location", a->op.urls[0].url }, { "Cache-Control", TEXT("private, no-store") } };
	struct http_reply reply = { .status = 307, .headers = headers, .header_count = 2 };
	struct buf nothing = { 0 };

	usage_opened(a, PUT_TTL_S);
	if (a->call->http == NULL)
		return call_done(a->call);
	a->call->status = 307;
	http_reply(a->call->http, &reply, &nothing);
	return call_done(a->call);
}

static void
dropped(struct call *call, const void *bytes, size_t n)
{
	(void)bytes;
	(void)n;
	(void)call;
}

static void
dropped_all(struct call *call)
{
	struct artifact *a = call->state;

	a->body_ended = true;
	if (!a->busy)
		call_step(call, redirect_reply(a));
}

static enum next
put_signed(struct artifact *a, enum store_result result)
{
	/* The body is lost, but the next try goes through the server. */
	if (result == STORE_UNSUPPORTED)
		result = STORE_BUSY;
	if (result != STORE_OK) {
		(void)artifact_failed(a, result);
		return a->body_ended ? FAILED : WAIT;
	}
	return a->body_ended ? redirect_reply(a) : WAIT;
}

/* A piece of a file (RFC 9110 14.5) would become the whole. */
static bool
whole_body(struct call *call)
{
	return http_header(call->http, "Content-Range").s == NULL || call_refuse(call, INVALID_PARAMETER_VALUE, "A part of a file cannot be stored (Content-Range).");
}

static bool
query_free(struct call *call)
{
	/* "a?b.txt" arrives as "a" with a query: it would overwrite another file. */
	if (call->http->query.n > 0)
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid path: a query is not part of an artifact's path (percent-encode '?' as %%3F).");
	return true;
}

static enum next
proxy_put(struct call *call)
{
	struct artifact *a;

	if (!query_free(call) || !whole_body(call) || !artifact_proxied(call, call_path_arg(call, "path"), false, &a))
		return later(call);
	if (!a->store->can_sign || strcmp(config->artifact_put, "redirect") != 0 || call->http->content_length <= 0)
		return put_start(a);
	call->on_body = dropped;
	call->on_body_end = dropped_all;
	a->store->sign_put(a->store, a->key, PUT_TTL_S, artifact_begin(a, put_signed));
	return WAIT;
}

/* ---- the other proxy routes ---- */

static enum next
proxy_get(struct call *call)
{
	struct artifact *a;

	if (!query_free(call) || !artifact_proxied(call, call_path_arg(call, "path"), false, &a))
		return FAILED;
	return artifact_send(a);
}

static enum next
removed(struct artifact *a, enum store_result result)
{
	if (result != STORE_OK)
		return artifact_failed(a, result);
	usage_removed(a);
	return call_reply_empty(a->call);
}

/* MLflow's client ends the address of a whole folder with a slash (delete_artifacts() without a path). */
static enum next
proxy_delete(struct call *call)
{
	struct artifact *a;

	if (!query_free(call) || !artifact_proxied(call, text_trim_end(call_path_arg(call, "path"), '/'), false, &a))
		return FAILED;
	a->store->remove(a->store, a->key, artifact_begin(a, removed));
	return WAIT;
}

static const struct field list_fields[] = {
	{ .name = "path", .type = F_TEXT },
	FIELDS_END,
};

static enum next
proxy_list(struct call *call)
{
	struct artifact *a;

	if (!artifact_proxied(call, text_trim_end(call_text(call, "path"), '/'), true, &a))
		return FAILED;
	return artifact_list(a);
}

static void
presigned_write(struct artifact *a, const char *member)
{
	struct buf *out = &a->call->out;

	buf_printf(out, "{\"%s\":", member);
	buf_json(out, a->op.urls[0].url);
	buf_puts(out, ",\"headers\":{}");
	/* Without a size the client asks for the whole by GET: right for what is stored packed. */
	if (a->op.urls[0].size >= 0)
		buf_printf(out, ",\"file_size\":%lld", (long long)a->op.urls[0].size);
	buf_byte(out, '}');
}

static enum next
presigned_ready(struct artifact *a, enum store_result result)
{
	if (result != STORE_OK)
		return artifact_failed(a, result);
	presigned_write(a, "url");
	return call_reply_json(a->call);
}

static enum next
proxy_presigned(struct call *call)
{
	struct artifact *a;

	if (!artifact_proxied(call, call_path_arg(call, "path"), false, &a))
		return FAILED;
	if (!a->store->can_sign)
		return call_fail(call, NOT_IMPLEMENTED, "Multipart download is not supported for the current artifact repository");
	a->store->sign_get(a->store, a->key, config->presign_ttl_s, artifact_begin(a, presigned_ready));
	return WAIT;
}

/* ---- multipart uploads ---- */

static const struct field create_fields[] = {
	{ .name = "path", .type = F_TEXT, .required = true },
	{ .name = "num_parts", .type = F_INT },
	FIELDS_END,
};
static const struct field part_fields[] = {
	{ .name = "part_number", .type = F_INT32 },
	{ .name = "etag", .type = F_TEXT },
	{ .name = "url", .type = F_TEXT },
	FIELDS_END,
};
static const struct field complete_fields[] = {
	{ .name = "path", .type = F_TEXT, .required = true },
	{ .name = "upload_id", .type = F_TEXT, .required = true },
	{ .name = "parts", .type = F_OBJECTS, .fields = part_fields },
	FIELDS_END,
};
static const struct field abort_fields[] = {
	{ .name = "path", .type = F_TEXT, .required = true },
	{ .name = "upload_id", .type = F_TEXT, .required = true },
	FIELDS_END,
};

/* The folder is in the URL; of "path", the client's own full path, only the name counts. */
static bool
multipart_at(struct call *call, struct artifact **a)
{
	struct text folder = call_path_arg(call, "path"), name = call_text(call, "path");
	size_t i = name.n;

	while (i > 0 && name.s[i - 1] != '/' && name.s[i - 1] != '\\')
		i--;
	name = text_skip(name, i);
	if (!artifact_proxied(call, folder.n > 0 ? text_format(call->arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(folder), TEXT_ARG(name)) : name, false, a))
		return false;
	if (!(*a)->store->can_sign || !config->multipart)
		return call_refuse(call, NOT_IMPLEMENTED, NO_MULTIPART);
	return true;
}

static enum next
created(struct artifact *a, enum store_result result)
{
	struct buf *out = &a->call->out;
	size_t i;

	/* A role without multipart uploads: the client then puts the file through the server. */
	if (result == STORE_DENIED) {
		log_warn("artifacts: %s", a->op.why);
		return call_fail(a->call, NOT_IMPLEMENTED, NO_MULTIPART);
	}
	if (result != STORE_OK)
		return artifact_failed(a, result);
	buf_puts(out, "{\"upload_id\":");
	buf_json(out, a->op.upload_id);
	buf_puts(out, ",\"credentials\":[");
	for (i = 0; i < a->op.url_count; i++) {
		if (i > 0)
			buf_byte(out, ',');
		buf_puts(out, "{\"url\":");
		buf_json(out, a->op.urls[i].url);
		buf_printf(out, ",\"part_number\":%zu,\"headers\":{", i + 1);
		/* A single part is the object itself and gets its type from its PUT. */
		if (a->op.url_count == 1)
			buf_printf(out, "\"Content-Type\":\"%s\"", artifact_type(a->key));
		buf_puts(out, "}}");
	}
	buf_puts(out, "]}");
	return call_reply_json(a->call);
}

static enum next
multipart_create(struct call *call)
{
	struct artifact *a;
	int64_t parts = call_int(call, "num_parts");

	if (!multipart_at(call, &a))
		return FAILED;
	if (parts < 0)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid value for parameter 'num_parts': %lld", (long long)parts);
	a->store->multipart_create(a->store, a->key, parts > 1000000 ? 1000000 : (int)parts, text_from(artifact_type(a->key)), artifact_begin(a, created));
	return WAIT;
}

static enum next
completed(struct artifact *a, enum store_result result)
{
	if (result != STORE_OK)
		return artifact_failed(a, result);
	usage_stored(a);
	return call_reply_empty(a->call);
}

static enum next
multipart_complete(struct call *call)
{
	struct artifact *a;
	struct value *parts = call_value(call, "parts");
	struct store_part *list;
	size_t i;

	if (!multipart_at(call, &a))
		return FAILED;
	list = arena_array(call->arena, parts->count + 1, sizeof(*list));
	for (i = 0; i < parts->count; i++) {
		list[i].number = (int)parts->items[i].fields[0].i;
		list[i].etag = parts->items[i].fields[1].text;
	}
	a->store->multipart_complete(a->store, a->key, call_text(call, "upload_id"), list, parts->count, artifact_begin(a, completed));
	return WAIT;
}

static enum next
aborted(struct artifact *a, enum store_result result)
{
	return result == STORE_OK ? call_reply_empty(a->call) : artifact_failed(a, result);
}

static enum next
multipart_abort(struct call *call)
{
	struct artifact *a;

	if (!multipart_at(call, &a))
		return FAILED;
	a->store->multipart_abort(a->store, a->key, call_text(call, "upload_id"), artifact_begin(a, aborted));
	return WAIT;
}

/* ---- routes that name a run, a logged model or a version ---- */

static const struct field run_path_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .alias = "run_uuid" },
	{ .name = "path", .type = F_TEXT },
	{ .name = "page_token", .type = F_TEXT },
	{ .name = "view", .type = F_TEXT },
	FIELDS_END,
};
static const struct field version_path_fields[] = {
	{ .name = "name", .type = F_TEXT, .required = true },
	{ .name = "version", .type = F_INT, .required = true },
	{ .name = "path", .type = F_TEXT, .required = true },
	{ .name = "view", .type = F_TEXT },
	FIELDS_END,
};
static const struct field model_file_fields[] = {
	{ .name = "artifact_file_path", .type = F_TEXT, .required = true, .absent = "Request must include the \"artifact_file_path\" query parameter." },
	{ .name = "view", .type = F_TEXT },
	FIELDS_END,
};
static const struct field model_folder_fields[] = {
	{ .name = "model_id", .type = F_TEXT },
	{ .name = "artifact_directory_path", .type = F_TEXT },
	{ .name = "page_token", .type = F_TEXT },
	FIELDS_END,
};
static const struct field presign_fields[] = {
	{ .name = "run_id", .type = F_TEXT },
	{ .name = "model_id", .type = F_TEXT },
	{ .name = "path", .type = F_TEXT, .required = true },
	{ .name = "expiration", .type = F_INT },
	FIELDS_END,
};

/* `then` goes on with the URI in the first column. */
static enum next
run_read(struct call *call, enum next (*then)(struct call *, PGresult *))
{
	struct db_param *p = arena_array(call->arena, 1, sizeof(*p));

	if (call_text(call, "run_id").n == 0)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Missing value for required parameter 'run_id'. See the API docs for more information about request parameters.");
	p[0] = db_p_text(call->arena, call_text(call, "run_id"));
	return call_read(call, SQL_run_place, p, 1, then);
}

static enum next
model_read(struct call *call, struct text model_id, enum next (*then)(struct call *, PGresult *))
{
	struct db_param *p = arena_array(call->arena, 1, sizeof(*p));

	p[0] = db_p_text(call->arena, model_id);
	return call_read(call, SQL_logged_model_place, p, 1, then);
}

static bool
found(struct call *call, PGresult *r, const char *what, struct text id, const char *after)
{
	return PQntuples(r) > 0 || call_refuse(call, RESOURCE_DOES_NOT_EXIST, "%s" TEXT_FMT "%s", what, TEXT_ARG(id), after);
}

/* As MLflow: a path that climbs is refused before anybody is told what there is. */
static bool
path_given_valid(struct call *call, const char *name, bool allow_empty)
{
	struct text key;

	return artifact_below_valid(call, call_text(call, name), allow_empty, &key);
}

static enum next
run_list_at(struct call *call, PGresult *r)
{
	struct artifact *a;

	if (!found(call, r, "Run with id=", call_text(call, "run_id"), " not found") || !artifact_at(call, db_text(r, 0, 0), call_text(call, "path"), true, &a))
		return FAILED;
	a->relative = true;
	return artifact_list(a);
}

static enum next
run_list(struct call *call)
{
	return path_given_valid(call, "path", true) ? run_read(call, run_list_at) : FAILED;
}

static enum next
model_list_at(struct call *call, PGresult *r)
{
	struct artifact *a;

	if (!found(call, r, "Logged model with ID '", call_path_arg(call, "model_id"), "' not found.") || !artifact_at(call, db_text(r, 0, 0), call_text(call, "artifact_directory_path"), true, &a))
		return FAILED;
	a->relative = true;
	return artifact_list(a);
}

static enum next
model_list(struct call *call)
{
	return path_given_valid(call, "artifact_directory_path", true) ? model_read(call, call_path_arg(call, "model_id"), model_list_at) : FAILED;
}

static enum next
view(struct call *call, PGresult *r, struct text path)
{
	struct artifact *a;

	if (!artifact_at(call, db_text(r, 0, 0), path, false, &a))
		return FAILED;
	if (call->http == NULL)
		return call_done(call);
	a->view = true;
	a->framed = call_given(call, "view") && text_is(call_text(call, "view"), "1");
	return artifact_send(a);
}

static enum next
run_file_at(struct call *call, PGresult *r)
{
	return found(call, r, "Run with id=", call_text(call, "run_id"), " not found") ? view(call, r, call_text(call, "path")) : FAILED;
}

static enum next
run_file(struct call *call)
{
	if (!call_given(call, "path"))
		return call_fail(call, INVALID_PARAMETER_VALUE, "Missing value for required parameter 'path'. See the API docs for more information about request parameters.");
	return path_given_valid(call, "path", false) ? run_read(call, run_file_at) : FAILED;
}

static enum next
version_file_at(struct call *call, PGresult *r)
{
	if (PQntuples(r) == 0)
		return call_fail(call, RESOURCE_DOES_NOT_EXIST, "Model Version (name=" TEXT_FMT ", version=%lld) not found", TEXT_ARG(call_text(call, "name")), (long long)call_int(call, "version"));
	return view(call, r, call_text(call, "path"));
}

static enum next
version_file(struct call *call)
{
	struct db_param *p = arena_array(call->arena, 2, sizeof(*p));

	if (!path_given_valid(call, "path", false))
		return FAILED;
	p[0] = db_p_text(call->arena, call_text(call, "name"));
	p[1] = db_p_int8(call->arena, call_int(call, "version"));
	return call_read(call, SQL_model_version_files, p, 2, version_file_at);
}

static enum next
model_file_at(struct call *call, PGresult *r)
{
	return found(call, r, "Logged model with ID '", call_path_arg(call, "model_id"), "' not found.") ? view(call, r, call_text(call, "artifact_file_path")) : FAILED;
}

static enum next
model_file(struct call *call)
{
	return path_given_valid(call, "artifact_file_path", false) ? model_read(call, call_path_arg(call, "model_id"), model_file_at) : FAILED;
}

/* ---- signed addresses for a run's or model's own paths ---- */

static bool
presign_for(struct call *call, PGresult *r, struct artifact **a, int64_t fallback, int64_t *ttl_s)
{
	*ttl_s = call_given(call, "expiration") ? call_int(call, "expiration") : fallback;
	if (*ttl_s < 1 || *ttl_s > 604800)
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid value for parameter 'expiration': it must be between 1 and 604800 seconds.");
	if (PQntuples(r) == 0)
		return call_refuse(call, RESOURCE_DOES_NOT_EXIST, "The run or logged model was not found");
	if (!artifact_at(call, db_text(r, 0, 0), call_text(call, "path"), false, a))
		return false;
	return (*a)->store->can_sign || call_refuse(call, NOT_IMPLEMENTED, "Presigned URLs are not supported for the current artifact repository");
}

static enum next
presign_ready(struct artifact *a, enum store_result result)
{
	if (result != STORE_OK)
		return artifact_failed(a, result);
	presigned_write(a, "presigned_url");
	return call_reply_json(a->call);
}

static enum next
presign_get_at(struct call *call, PGresult *r)
{
	struct artifact *a;
	int64_t ttl_s;

	if (!presign_for(call, r, &a, 300, &ttl_s))
		return FAILED;
	a->store->sign_get(a->store, a->key, ttl_s, artifact_begin(a, presign_ready));
	return WAIT;
}

static enum next
presign_put_at(struct call *call, PGresult *r)
{
	struct artifact *a;
	int64_t ttl_s;

	if (!presign_for(call, r, &a, PUT_TTL_S, &ttl_s))
		return FAILED;
	usage_opened(a, ttl_s);
	a->store->sign_put(a->store, a->key, ttl_s, artifact_begin(a, presign_ready));
	return WAIT;
}

static enum next
presign(struct call *call, enum next (*then)(struct call *, PGresult *))
{
	bool run = call_text(call, "run_id").n > 0, model = call_text(call, "model_id").n > 0;

	if (run == model)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Exactly one of run_id and model_id must be given.");
	return run ? run_read(call, then) : model_read(call, call_text(call, "model_id"), then);
}

static enum next
presign_get(struct call *call)
{
	return presign(call, presign_get_at);
}

static enum next
presign_put(struct call *call)
{
	return presign(call, presign_put_at);
}

/* ---- upload-artifact (the web page's notes and pictures): small, so it is held until the run's place is known ---- */

struct upload {
	struct buf body;
	bool too_large;
};

static void
upload_bytes(struct call *call, const void *bytes, size_t n)
{
	struct upload *u = call->state;

	stats_artifact(n, 0);
	if ((int64_t)(u->body.n + n) > UPLOAD_MOST)
		u->too_large = true;
	else
		buf_add(&u->body, bytes, n);
}

static void
upload_gone(struct call *call)
{
	struct upload *u = call->state;

	buf_free(&u->body);
}

static enum next
upload_at(struct call *call, PGresult *r)
{
	struct upload *u = call->state;
	struct artifact *a;
	struct store_op *op;
	bool good = found(call, r, "Run with id=", call_text(call, "run_id"), " not found") && artifact_at(call, db_text(r, 0, 0), call_text(call, "path"), false, &a);

	call->on_gone = NULL;
	if (good) {
		a->body_ended = true;
		op = artifact_begin(a, stored);
		a->store->put(a->store, a->key, (int64_t)u->body.n, text_from(artifact_type(a->key)), op);
		a->store->put_bytes(op, u->body.s, u->body.n);
		a->store->put_end(op);
	}
	buf_free(&u->body);
	return good ? WAIT : FAILED;
}

static void
upload_all(struct call *call)
{
	struct upload *u = call->state;
	struct text key;
	enum next next;

	if (config->artifact_limit > 0 && (int64_t)u->body.n > config->artifact_limit)
		next = call_fail(call, PAYLOAD_TOO_LARGE, TOO_LARGE);
	else if (u->too_large)
		next = call_fail(call, INVALID_PARAMETER_VALUE, "Artifact size is too large. Max size is 10MB.");
	else if (call_text(call, "run_id").n == 0)
		next = call_fail(call, INVALID_PARAMETER_VALUE, "Request must specify run_uuid.");
	else if (!call_given(call, "path") || call_text(call, "path").n == 0)
		next = call_fail(call, INVALID_PARAMETER_VALUE, "Request must specify path.");
	else if (!artifact_path_valid(call, call_text(call, "path"), false, &key))
		next = FAILED;
	else if (u->body.n == 0)
		next = call_fail(call, INVALID_PARAMETER_VALUE, "Request must specify data.");
	else
		next = run_read(call, upload_at);
	if (next == FAILED)
		buf_free(&u->body);
	call_step(call, next);
}

static enum next
upload(struct call *call)
{
	call->state = ARENA_NEW(call->arena, struct upload);
	call->on_body = upload_bytes;
	call->on_body_end = upload_all;
	call->on_gone = upload_gone;
	return WAIT;
}

/* ---- dbfs: the file API of clients before 1.22, whose roots are rewritten to it ---- */

/* "/mlflow-artifacts/x" is x in the proxy's store; nothing else is there. */
static bool
dbfs_path(struct call *call, struct text path, bool allow_empty, struct artifact **a)
{
	while (path.n > 0 && path.s[0] == '/')
		path = text_skip(path, 1);
	path = text_trim_end(path, '/');
	if (!text_starts(path, "mlflow-artifacts") || (path.n > 16 && path.s[16] != '/'))
		return call_refuse(call, RESOURCE_DOES_NOT_EXIST, "No file or directory exists on path " TEXT_FMT ".", TEXT_ARG(path));
	path = text_skip(path, path.n > 16 ? 17 : 16);
	return artifact_proxied(call, path, allow_empty, a);
}

static enum next
dbfs_get(struct call *call)
{
	struct artifact *a;

	return dbfs_path(call, call_path_arg(call, "path"), false, &a) ? artifact_send(a) : FAILED;
}

static enum next
dbfs_post(struct call *call)
{
	struct artifact *a;

	return whole_body(call) && dbfs_path(call, call_path_arg(call, "path"), false, &a) ? put_start(a) : later(call);
}

static enum next
dbfs_listed(struct artifact *a, enum store_result result)
{
	struct buf *out = &a->call->out;
	size_t i;

	if (result != STORE_OK)
		return artifact_failed(a, result);
	if (a->op.entry_count == 0)
		return call_reply_empty(a->call);
	buf_puts(out, "{\"files\":[");
	for (i = 0; i < a->op.entry_count; i++) {
		const struct store_entry *e = &a->op.entries[i];

		buf_puts(out, i > 0 ? ",{\"path\":" : "{\"path\":");
		buf_json(out, text_format(a->call->arena, "/mlflow-artifacts/" TEXT_FMT "%s" TEXT_FMT, TEXT_ARG(a->key), a->key.n > 0 ? "/" : "", TEXT_ARG(e->name)));
		buf_printf(out, ",\"is_dir\":%s,\"file_size\":%lld}", e->is_dir ? "true" : "false", (long long)e->size);
	}
	buf_puts(out, "]}");
	return call_reply_json(a->call);
}

static enum next
dbfs_list(struct call *call)
{
	struct artifact *a;

	if (!dbfs_path(call, call_text(call, "path"), true, &a))
		return FAILED;
	a->store->list(a->store, a->key, artifact_begin(a, dbfs_listed));
	return WAIT;
}

static void
dbfs_status_write(struct artifact *a, bool is_dir, int64_t size)
{
	struct buf *out = &a->call->out;

	buf_puts(out, "{\"path\":");
	buf_json(out, text_format(a->call->arena, "/mlflow-artifacts/" TEXT_FMT, TEXT_ARG(a->key)));
	buf_printf(out, ",\"is_dir\":%s,\"file_size\":%lld}", is_dir ? "true" : "false", (long long)size);
}

static enum next
dbfs_status_folder(struct artifact *a, enum store_result result)
{
	if (result != STORE_OK)
		return artifact_failed(a, result);
	if (a->op.entry_count == 0 && a->key.n > 0)
		return call_fail(a->call, RESOURCE_DOES_NOT_EXIST, "No file or directory exists on path /mlflow-artifacts/" TEXT_FMT ".", TEXT_ARG(a->key));
	dbfs_status_write(a, true, 0);
	return call_reply_json(a->call);
}

static enum next
dbfs_status_looked(struct artifact *a, enum store_result result)
{
	if (result == STORE_OK) {
		dbfs_status_write(a, false, a->op.stat.size);
		return call_reply_json(a->call);
	}
	if (result != STORE_MISSING && result != STORE_BAD)
		return artifact_failed(a, result);
	a->store->list(a->store, a->key, artifact_begin(a, dbfs_status_folder));
	return WAIT;
}

static enum next
dbfs_status(struct call *call)
{
	struct artifact *a;

	if (!dbfs_path(call, call_text(call, "path"), true, &a))
		return FAILED;
	if (a->key.n == 0) {
		dbfs_status_write(a, true, 0);
		return call_reply_json(call);
	}
	a->store->stat(a->store, a->key, artifact_begin(a, dbfs_status_looked));
	return WAIT;
}

#define PROXY(m, p, acc) .method = m, .api = API_2, .path = "mlflow-artifacts/" p, .access = acc, .on = ARTIFACT_PATH("path")
#define ONE_RUN .on = RUN("run_id"), .fields = run_path_fields
#define ONE_VERSION .on = MODEL("name"), .fields = version_path_fields

static const struct endpoint artifact_endpoints[] = {
	{ PROXY(HTTP_M_GET, "artifacts", ACCESS_READ), .fields = list_fields, .run = proxy_list, .doc = "Files and folders in a folder." },
	{ PROXY(HTTP_M_GET, "artifacts/<path:path>", ACCESS_READ), .run = proxy_get, .doc = "One file; Range and conditions. From a bucket: a redirect to a signed address." },
	{ PROXY(HTTP_M_PUT, "artifacts/<path:path>", ACCESS_EDIT), .body = BODY_RAW, .run = proxy_put, .doc = "Stores a file: visible when whole." },
	{ PROXY(HTTP_M_DELETE, "artifacts/<path:path>", ACCESS_EDIT), .run = proxy_delete, .doc = "Removes a file, or a folder with all below it." },
	{ PROXY(HTTP_M_GET, "presigned/<path:path>", ACCESS_READ), .run = proxy_presigned, .doc = "A signed address for one file." },
	{ PROXY(HTTP_M_POST, "mpu/create/<path:path>", ACCESS_EDIT), .fields = create_fields, .run = multipart_create, .doc = "Begins an upload in parts; the parts go to signed addresses." },
	{ PROXY(HTTP_M_POST, "mpu/complete/<path:path>", ACCESS_EDIT), .fields = complete_fields, .body_limit = COMPLETE_BODY_MOST, .run = multipart_complete, .doc = "Joins the parts." },
	{ PROXY(HTTP_M_POST, "mpu/abort/<path:path>", ACCESS_EDIT), .fields = abort_fields, .run = multipart_abort, .doc = "Drops the parts." },
	{ .method = HTTP_M_GET, .path = "mlflow/artifacts/list", .access = ACCESS_READ, ONE_RUN, .run = run_list, .doc = "Files and folders of a run." },
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "get-artifact", .access = ACCESS_READ, ONE_RUN, .run = run_file, .doc = "One file of a run." },
	{ .method = HTTP_M_GET, .api = API_2_AJAX, .path = "mlflow/get-artifact", .access = ACCESS_READ, ONE_RUN, .run = run_file, .doc = "One file of a run." },
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "model-versions/get-artifact", .access = ACCESS_READ, ONE_VERSION, .run = version_file, .doc = "One file of a model version." },
	{ .method = HTTP_M_GET, .api = API_2_AJAX, .path = "mlflow/model-versions/get-artifact", .access = ACCESS_READ, ONE_VERSION, .run = version_file, .doc = "One file of a model version." },
	{ .method = HTTP_M_GET, .api = API_2, .path = "mlflow/logged-models/<model_id>/artifacts/files", .access = ACCESS_READ, .on = LOGGED_MODEL("model_id"), .fields = model_file_fields, .run = model_file, .doc = "One file of a logged model." },
	{ .method = HTTP_M_GET, .path = "mlflow/logged-models/<model_id>/artifacts/directories", .access = ACCESS_READ, .on = LOGGED_MODEL("model_id"), .fields = model_folder_fields, .run = model_list, .doc = "Files and folders of a logged model." },
	{ .method = HTTP_M_POST, .api = API_2_AJAX, .path = "mlflow/upload-artifact", .access = ACCESS_EDIT, ONE_RUN, .body = BODY_RAW, .run = upload, .doc = "Stores a small file of a run, at most 10 MiB." },
	{ .method = HTTP_M_POST, .path = "mlflow/artifacts/presigned-download-url", .access = ACCESS_READ, .on = RUN("run_id"), .fields = presign_fields, .run = presign_get, .doc = "A signed address to fetch a file of a run or model." },
	{ .method = HTTP_M_POST, .path = "mlflow/artifacts/presigned-upload-url", .access = ACCESS_EDIT, .on = RUN("run_id"), .fields = presign_fields, .run = presign_put, .doc = "A signed address to put a file of a run or model." },
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "dbfs/<path:path>", .access = ACCESS_READ, .on = ARTIFACT_PATH("path"), .run = dbfs_get, .doc = "Clients before 1.22: one file." },
	{ .method = HTTP_M_POST, .api = API_ROOT, .path = "dbfs/<path:path>", .access = ACCESS_EDIT, .on = ARTIFACT_PATH("path"), .body = BODY_RAW, .run = dbfs_post, .doc = "Clients before 1.22: stores a file." },
	{ .method = HTTP_M_GET, .path = "dbfs/list", .access = ACCESS_READ, .on = ARTIFACT_PATH("path"), .fields = list_fields, .run = dbfs_list, .doc = "Clients before 1.22: a folder." },
	{ .method = HTTP_M_GET, .path = "dbfs/get-status", .access = ACCESS_READ, .on = ARTIFACT_PATH("path"), .fields = list_fields, .run = dbfs_status, .doc = "Clients before 1.22: whether a path is a folder." },
};
const struct endpoint_table artifact_table = ENDPOINT_TABLE(artifact_endpoints);

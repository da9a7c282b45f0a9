/* One request from route to reply: find, guard, bind, check, SQL, wire. Routes live in route.c, the browser's rules in guard.c. */
#include "engine/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/jobs.h"
#include "base/log.h"
#include "config.h"
#include "engine/changes.h"
#include "engine/engine.h"
#include "engine/guard.h"
#include "engine/repeat.h"
#include "engine/route.h"
#include "engine/stats.h"
#include "sql_queries.h"

static void request_complete(struct http_request *);

/* ---- failing ---- */

enum next
call_fail(struct call *call, enum fail_code code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	call->fail.code = code;
	call->fail.message = text_vformat(call->arena, format, ap);
	va_end(ap);
	return FAILED;
}

bool
call_refuse(struct call *call, enum fail_code code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	call->fail.code = code;
	call->fail.message = text_vformat(call->arena, format, ap);
	va_end(ap);
	return false;
}

const struct fail_info *
fail_info(enum fail_code code)
{
	static const struct fail_info table[] = {
		[FAIL_NONE] = { "", 200, NULL, NULL },
#define FAIL(c, status, sqlstate, klass) [c] = { #c, status, sqlstate, klass },
#include "engine/fail.def"
#undef FAIL
	};

	return &table[code];
}

void
fail_body(struct buf *out, enum fail_code code, struct text message)
{
	const struct fail_info *info = fail_info(code);

	buf_puts(out, "{\"error_code\":\"");
	buf_puts(out, info->name);
	buf_puts(out, "\",\"message\":");
	buf_json(out, message);
	if (info->sqlstate != NULL)
		buf_printf(out, ",\"sqlstate\":\"%s\",\"error_class\":\"%s\"", info->sqlstate, info->klass);
	buf_byte(out, '}');
}

/* ---- values ---- */

struct value *
call_value(struct call *call, const char *name)
{
	size_t i;

	for (i = 0; call->endpoint->fields[i].name != NULL; i++)
		if (strcmp(call->endpoint->fields[i].name, name) == 0)
			return &call->values[i];
	log_error("row %s has no field %s", call->endpoint->path, name);
	abort();
}

struct text
call_text(struct call *call, const char *field)
{
	return call_value(call, field)->text;
}

int64_t
call_int(struct call *call, const char *field)
{
	return call_value(call, field)->i;
}

bool
call_given(struct call *call, const char *field)
{
	return call_value(call, field)->given;
}

struct text
call_path_arg(struct call *call, const char *name)
{
	size_t i;

	for (i = 0; i < call->path_count; i++)
		if (text_is(call->path_names[i], name))
			return call->path_args[i];
	return TEXT_NONE;
}

bool
client_is_old(const struct call *call)
{
	return call->client == CLIENT_PYTHON && call->client_version < 1022;
}

/* ---- the call's life ---- */

static void
call_free(struct call *call)
{
	struct arena *arena = call->arena;

	repeat_release(call);
	buf_free(&call->out);
	arena_free(arena);
}

void
call_hold(struct call *call)
{
	call->pending++;
}

void
call_release(struct call *call)
{
	PRECOND(call->pending > 0);
	if (--call->pending == 0 && (call->replied || call->http == NULL))
		call_free(call);
}

static uint64_t
clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void
call_error(const struct call *call, const char *what)
{
	char name[HTTP_NAME_MOST + 1];

	log_request(LOG_LEVEL_ERROR, name, call->http != NULL ? http_name(call->http, name) : 0, "%s: %s", call->endpoint != NULL ? call->endpoint->path : "?", what);
}

/* What went wrong on our side is always logged, every other request with --log-level debug. 503 is the database's or bucket's, whose loss is logged once; a full disk a line a second. */
static void
call_log(const struct call *call)
{
	enum log_level level = call->status >= 500 && call->status != 501 && call->status != 503 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG;
	static int64_t full_ms;
	char name[HTTP_NAME_MOST + 1];

	if (call->http == NULL || !log_wants(level) || (call->status == 507 && !log_due(&full_ms)))
		return;
	log_request(level, name, http_name(call->http, name), TEXT_FMT " " TEXT_FMT " %d %.1f ms " TEXT_FMT, TEXT_ARG(call->http->method_name), TEXT_ARG(call->http->path), call->status,
	    (double)(clock_us() - call->started_us) / 1000, TEXT_ARG(call->http->peer));
}

/* The reply was handed over (or nobody waits for it). */
static void
call_end(struct call *call)
{
	call->replied = true;
	call_log(call);
	if (call->http != NULL)
		call->http->user = NULL;
	stats_request(call);
	if (call->pending == 0)
		call_free(call);
}

/* ---- replies ---- */

static void
reply_send(struct call *call, struct http_reply *reply)
{
	if (call->replied)
		return;
	call->status = reply->status;
	changes_note(call);
	if (call->http != NULL) {
		repeat_reply(call, reply);
		http_reply(call->http, reply, &call->out);
		call->out = (struct buf){ 0 };
	}
	call_end(call);
}

static const struct http_header_out api_headers[] = {
	{ "X-Content-Type-Options", { "nosniff", 7 } },
	{ "Cache-Control", { "no-store", 8 } },
};

/* Roots of old clients: they store over dbfs:/, which is this server too (facts: the clients before 1.22 know no mlflow-artifacts:). Only values of these members change; inside a string the quotes
 * of the pattern would be escaped, so that user text is never touched. */
static void
old_roots(struct call *call)
{
	static const char *const members[] = { "\"artifact_uri\":\"mlflow-artifacts:/", "\"artifact_location\":\"mlflow-artifacts:/", "\"source\":\"mlflow-artifacts:/", "\"root_uri\":\"mlflow-artifacts:/" };
	struct buf out = { 0 };
	size_t i = 0;

	while (i < call->out.n) {
		size_t m;

		for (m = 0; m < sizeof(members) / sizeof(members[0]); m++) {
			size_t n = strlen(members[m]);

			if (call->out.s[i] == '"' && call->out.n - i >= n && memcmp(call->out.s + i, members[m], n) == 0) {
				buf_add(&out, members[m], n - strlen("mlflow-artifacts:/"));
				buf_puts(&out, "dbfs:/mlflow-artifacts/");
				i += n;
				break;
			}
		}
		if (m == sizeof(members) / sizeof(members[0]))
			buf_byte(&out, call->out.s[i++]);
	}
	buf_free(&call->out);
	call->out = out;
}

enum next
call_reply_json(struct call *call)
{
	struct http_reply reply = { .status = 200, .type = "application/json", .headers = api_headers, .header_count = 2, .compress = true };

	if (client_is_old(call) && memmem(call->out.s, call->out.n, "mlflow-artifacts:/", 18) != NULL)
		old_roots(call);
	reply_send(call, &reply);
	return DONE;
}

enum next
call_reply_empty(struct call *call)
{
	buf_free(&call->out);
	buf_puts(&call->out, "{}");
	return call_reply_json(call);
}

enum next
call_reply_text(struct call *call, int status, const char *type, struct text body)
{
	struct http_reply reply = { .status = status, .type = type, .headers = api_headers, .header_count = 2 };

	buf_free(&call->out);
	buf_text(&call->out, body);
	reply_send(call, &reply);
	return DONE;
}

enum next
call_done(struct call *call)
{
	if (!call->replied)
		call_end(call);
	return DONE;
}

void
call_reply_fail(struct call *call)
{
	const struct fail_info *info = fail_info(call->fail.code);
	struct http_header_out headers[4];
	char seconds[16];
	size_t n = 2;
	struct http_reply reply = { .status = info->status, .type = "application/json", .headers = headers };
	/* The Java client hangs on 429 and asks again at once on any error: it gets no special status anywhere. */

	memcpy(headers, api_headers, sizeof(api_headers));
	if (info->status == 503) {
		snprintf(seconds, sizeof(seconds), "%d", call->fail.retry_after_s > 0 ? call->fail.retry_after_s : 1);
		headers[n++] = (struct http_header_out){ "Retry-After", text_from(seconds) };
	}
	if (info->status == 405)
		headers[n++] = (struct http_header_out){ "Allow", route_allowed(call->arena, call->http == NULL ? TEXT_NONE : call->http->path) };
	reply.header_count = n;
	buf_free(&call->out);
	fail_body(&call->out, call->fail.code, call->fail.message);
	reply_send(call, &reply);
}

void
call_step(struct call *call, enum next next)
{
	switch (next) {
	case WAIT:
	case DONE:
		return;
	case NEXT:
		(void)call_reply_empty(call);
		return;
	case FAILED:
		PRECOND(call->fail.code != FAIL_NONE);
		if (call->fail.code == INTERNAL_ERROR)
			call_error(call, text_z(call->arena, call->fail.message));
		call_reply_fail(call);
	}
}

/* ---- the database ---- */

/* Those that log, and creates, go to a write lane by themselves, without .writes. */
static bool
only_reads(const struct call *call)
{
	return call->endpoint->access < ACCESS_EDIT;
}

/* Resources, an operator, a conflict, the connection, a lock that was not got, a standby: the same again may succeed. */
static bool
is_passing(const char *state)
{
	static const char *const passing[] = { "53", "57", "40", "08", "55", "25006" };

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strncmp(state, passing[i], strlen(passing[i])) == 0)
			return true;
	return false;
}

static void
say_passing(const char *state, const char *message)
{
	static int64_t said_ms;

	if (log_due(&said_ms))
		log_warn("the database cannot take requests now: SQLSTATE %s: %s", state, message != NULL ? message : "?");
}

static enum next
sql_refused(struct call *call, const PGresult *result)
{
	const char *state = db_sqlstate(result);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (strcmp(state, "57014") == 0 && only_reads(call))
		return call_fail(call, BAD_REQUEST, "The request took longer than the server's limit of %lld ms. Narrow the filter or ask for fewer results.", (long long)config->statement_timeout_ms);
	if (strcmp(state, "22021") == 0 || strcmp(state, "22P05") == 0)
		return call_fail(call, INVALID_PARAMETER_VALUE, "A text holds a character that cannot be stored (NUL or invalid UTF-8).");
	if (strcmp(state, "22003") == 0 || strcmp(state, "22P02") == 0)
		return call_fail(call, INVALID_PARAMETER_VALUE, "A number is out of range.");
	if (strcmp(state, "2201B") == 0)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid regular expression: %s", message);
	if (strncmp(state, "54", 2) == 0)
		return call_fail(call, INVALID_PARAMETER_VALUE, "A value is too large to be stored.");
	if (strncmp(state, "23", 2) == 0)
		return call_fail(call, BAD_REQUEST, "The request conflicts with what is stored: %s", message);
	if (is_passing(state))
		say_passing(state, message);
	if (strcmp(state, "53100") == 0)
		return call_fail(call, INSUFFICIENT_STORAGE, "The database's disk is full.");
	if (is_passing(state))
		return call_fail(call, TEMPORARILY_UNAVAILABLE, "The database cannot take the request now. Try again.");
	call_error(call, text_z(call->arena, text_format(call->arena, "SQLSTATE %s: %s", state, message != NULL ? message : "?")));
	return call_fail(call, INTERNAL_ERROR, "Internal error. The server's log says more.");
}

enum next
call_outcome(struct call *call, PGresult *result, enum db_outcome outcome)
{
	switch (outcome) {
	case DB_OK:
		return NEXT;
	case DB_FAILED:
		return sql_refused(call, result);
	case DB_AWAY:
		return call_fail(call, TEMPORARILY_UNAVAILABLE, "The database is not reachable. Nothing was stored. Try again.");
	case DB_UNKNOWN:
		break;
	}
	return call_fail(call, DEADLINE_EXCEEDED, "The connection to the database broke before it answered: the request may or may not have been carried out.");
}

static void
op_done(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	struct call *call = op->user;
	enum next next;

	/* Writes are safe to run again (keys, upserts, the repeat key), but for the rows that say otherwise. */
	if (outcome == DB_UNKNOWN && call->op.timeout_ms != -1 && !call->endpoint->once) {
		call->op.timeout_ms = -1;
		db_write(&call->op);
		return;
	}
	if (outcome == DB_FAILED && repeat_again(call, result))
		return;
	if (outcome == DB_AWAY && call->op.timeout_ms == -1)
		outcome = DB_UNKNOWN; /* the first attempt may have been stored */
	next = call_outcome(call, result, outcome);
	if (next == NEXT)
		next = call->then(call, result);
	call_hold(call); /* the step must not free the call under us */
	call->pending--; /* the op's own */
	call_step(call, next);
	call_release(call);
}

static void
points_moved(void *user, PGresult *result, enum db_outcome outcome)
{
	struct call *call = user;
	/* With a full disk, or while nothing can be written, nothing moves; what is there can be read all the same. */
	const char *state = outcome == DB_FAILED ? db_sqlstate(result) : "";
	bool stuck = strncmp(state, "53", 2) == 0 || strcmp(state, "25006") == 0;
	enum next next;

	call->behind = stuck;
	if (stuck)
		next = NEXT;
	else if (strcmp(state, "57014") == 0)
		next = call_fail(call, TEMPORARILY_UNAVAILABLE, "What was logged a moment ago cannot be read yet. Try again."); /* not the request's own time */
	else
		next = call_outcome(call, result, outcome);

	call_step(call, next == NEXT ? call->then(call, NULL) : next);
	call_release(call);
}

static void
points_wait_fill(struct call *call, enum next (*then)(struct call *, PGresult *))
{
	call->then = then;
	call->points = (struct points_wait){ .done = points_moved, .user = call };
	call_hold(call);
}

enum next
call_points(struct call *call, enum next (*then)(struct call *, PGresult *))
{
	points_wait_fill(call, then);
	points_await(&call->points);
	return WAIT;
}

enum next
call_room(struct call *call, enum next (*then)(struct call *, PGresult *))
{
	points_wait_fill(call, then);
	points_room(&call->points);
	return WAIT;
}

static void
op_fill(struct call *call, const struct db_param *params, int n, enum next (*then)(struct call *, PGresult *))
{
	call->then = then;
	call->op = (struct db_op){ .params = params, .param_count = n, .done = op_done, .user = call };
	call_hold(call);
}

/* What only reads is of no use to anybody once its client has left. */
static const bool *
reader_gone(const struct call *call)
{
	return only_reads(call) ? &call->gone : NULL;
}

enum next
call_read(struct call *call, const struct db_statement *sql, const struct db_param *params, int n, enum next (*then)(struct call *, PGresult *))
{
	op_fill(call, params, n, then);
	call->op.statement = sql;
	call->op.gone = reader_gone(call);
	db_read(&call->op);
	return WAIT;
}

enum next
call_write(struct call *call, const struct db_statement *sql, const struct db_param *params, int n, struct text order, enum next (*then)(struct call *, PGresult *))
{
	op_fill(call, params, n, then);
	call->op.statement = sql;
	call->op.order = order;
	call->op.merger = call->endpoint->merger;
	db_write(&call->op);
	return WAIT;
}

enum next
call_query(struct call *call, struct text sql, bool steady, const struct db_param *params, int n, enum next (*then)(struct call *, PGresult *))
{
	op_fill(call, params, n, then);
	call->op.sql = text_z(call->arena, sql);
	call->op.steady = steady;
	call->op.gone = reader_gone(call);
	db_read(&call->op);
	return WAIT;
}

void
call_submit_write(struct call *call, struct db_op *op)
{
	call_hold(call);
	db_write(op);
}

void
call_submit_read(struct call *call, struct db_op *op)
{
	call_hold(call);
	op->gone = reader_gone(call);
	db_read(op);
}

/* ---- a row's SQL ---- */

/* A bound field (or path variable) as a parameter. */
static bool
arg_param(struct call *call, struct text name, bool as_int, struct db_param *out)
{
	const struct field *fields = call->endpoint->fields;
	struct text text = TEXT_NONE;
	struct value *v = NULL;
	size_t i;
	int64_t number;

	for (i = 0; fields != NULL && fields[i].name != NULL; i++)
		if (text_is(name, fields[i].name))
			v = &call->values[i];
	if (v == NULL) {
		text = call_path_arg(call, text_z(call->arena, name));
		PRECOND(text.s != NULL);
	} else if (!v->given && !fields[v - call->values].has_fallback) {
		*out = db_p_null();
		return true;
	} else {
		switch (fields[v - call->values].type) {
		case F_INT:
			*out = db_p_int8(call->arena, v->i);
			return true;
		case F_INT32:
		case F_ENUM:
			*out = db_p_int4(call->arena, (int32_t)v->i);
			return true;
		case F_DOUBLE:
			*out = db_p_float8(call->arena, v->d);
			return true;
		case F_BOOL:
			*out = db_p_bool(call->arena, v->i != 0);
			return true;
		case F_OBJECT:
		case F_OBJECTS:
		case F_TEXTS:
			/* Lists go to SQL as their JSON. */
			text = v->json != NULL ? v->json->raw : TEXT("[]");
			break;
		case F_TEXT:
		case F_URI:
			text = v->text;
		}
	}
	if (!as_int) {
		*out = db_p_text(call->arena, text.s == NULL ? TEXT("") : text);
		return true;
	}
	if (!text_int(text, &number))
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid value for parameter '%.*s': an integer is expected, got '%.*s'.", TEXT_ARG(name), TEXT_ARG(text));
	*out = db_p_int8(call->arena, number);
	return true;
}

static bool
args_build(struct call *call, struct db_param *params, int *count)
{
	struct text rest = text_from(call->endpoint->args);
	int n = 0;

	while (rest.n > 0) {
		size_t end = text_find(rest, ' ');
		struct text word = { rest.s, end };
		size_t colon = text_find(word, ':');
		struct text name = { word.s, colon };

		PRECOND(n < 24);
		if (text_is(name, "@now"))
			params[n++] = db_p_int8(call->arena, call->now_ms);
		else if (text_is(name, "@user"))
			params[n++] = db_p_text(call->arena, call->principal);
		else if (text_is(name, "@repeat"))
			params[n++] = call_repeat_param(call);
		else if (!arg_param(call, name, colon < word.n, &params[n++]))
			return false;
		rest = text_skip(rest, end < rest.n ? end + 1 : end);
	}
	*count = n;
	return true;
}

/* A message with {field} replaced by the field's text. */
static struct text
message_fill(struct call *call, const char *template)
{
	struct buf b = { 0 };
	struct text filled;

	while (*template != '\0') {
		const char *close = *template == '{' ? strchr(template, '}') : NULL;

		if (close != NULL) {
			struct text name = { template + 1, (size_t)(close - template) - 1 };
			struct text value = call_path_arg(call, text_z(call->arena, name));
			size_t i;

			for (i = 0; value.s == NULL && call->endpoint->fields != NULL && call->endpoint->fields[i].name != NULL; i++)
				if (text_is(name, call->endpoint->fields[i].name))
					value = call->values[i].text;
			buf_text(&b, value);
			template = close + 1;
		} else {
			buf_byte(&b, *template++);
		}
	}
	filled = text_copy(call->arena, buf_view(&b));
	buf_free(&b);
	return filled;
}

enum next
call_refusal(struct call *call, PGresult *result)
{
	const struct refusal *r;
	int column = PQfnumber(result, "fail");
	int row = call->op.row;
	struct text word;

	if (PQntuples(result) == 0 || row < 0) {
		if (call->endpoint->missing == NULL)
			return NEXT;
		return call_fail(call, RESOURCE_DOES_NOT_EXIST, TEXT_FMT, TEXT_ARG(message_fill(call, call->endpoint->missing)));
	}
	if (column < 0 || db_null(result, row, column))
		return NEXT;
	word = db_text(result, row, column);
	for (r = call->endpoint->refusals; r != NULL && r->word != NULL; r++)
		if (text_is(word, r->word))
			return call_fail(call, r->code, TEXT_FMT, TEXT_ARG(message_fill(call, r->message)));
	return call_fail(call, INTERNAL_ERROR, "The row %s has no refusal '%.*s'", call->endpoint->path, TEXT_ARG(word));
}

static enum next
row_result(struct call *call, PGresult *result)
{
	if (call_refusal(call, result) == FAILED)
		return FAILED;
	if (call->endpoint->reply != NULL)
		return call->endpoint->reply(call, result);
	return wire_result(call, result);
}

static enum next
row_sql(struct call *call)
{
	const struct endpoint *e = call->endpoint;
	struct db_param *params = arena_array(call->arena, 24, sizeof(*params));
	struct text order = TEXT("");
	int n = 0;

	if (e->args != NULL && !args_build(call, params, &n))
		return FAILED;
	if (!e->writes || e->alone)
		return call_read(call, e->sql, params, n, row_result);
	if (e->on.field != NULL) {
		order = call_path_arg(call, e->on.field);
		if (order.s == NULL)
			order = call_text(call, e->on.field);
	}
	return call_write(call, e->sql, params, n, order, row_result);
}

/* ---- the steps ---- */

static enum next
row_run(struct call *call, PGresult *none)
{
	const struct endpoint *e = call->endpoint;

	(void)none;
	return e->run != NULL ? e->run(call) : row_sql(call);
}

static void
call_run(struct call *call)
{
	const struct endpoint *e = call->endpoint;
	enum next next = FAILED;

	if (call->http != NULL)
		call->http->in_vain = only_reads(call) && e->body != BODY_RAW;
	call_hold(call);
	call->changes = changes_now();
	if (bind_call(call) && (e->check == NULL || e->check(call)))
		next = e->fresh && points_pending() ? call_points(call, row_run) : row_run(call, NULL);
	call_step(call, next);
	call_release(call);
}

/* User-Agent: mlflow-python-client/3.17.2, mlflow-java-client/1.22.0 */
static void
client_read(struct call *call)
{
	struct text agent = http_header(call->http, "User-Agent");
	struct text version;
	int major = 0;
	int minor = 0;
	size_t i;

	if (text_starts(agent, "mlflow-python-client/"))
		call->client = CLIENT_PYTHON;
	else if (text_starts(agent, "mlflow-java-client/"))
		call->client = CLIENT_JAVA;
	else
		return;
	version = text_skip(agent, text_find(agent, '/') + 1);
	for (i = 0; i < version.n && version.s[i] >= '0' && version.s[i] <= '9' && major < 1000; i++)
		major = major * 10 + (version.s[i] - '0');
	for (i++; i < version.n && version.s[i] >= '0' && version.s[i] <= '9' && minor < 1000; i++)
		minor = minor * 10 + (version.s[i] - '0');
	call->client_version = major * 1000 + minor;
}

static struct call *
call_new(struct http_request *http)
{
	struct arena *arena = arena_new();
	struct call *call = ARENA_NEW(arena, struct call);

	call->arena = arena;
	call->http = http;
	call->head = http->method == HTTP_M_HEAD;
	call->now_ms = clock_ms();
	call->started_us = clock_us();
	call->principal = TEXT("");
	call->status = 200;
	http->user = call;
	client_read(call);
	return call;
}

static struct http_body
request_head(struct http_request *http)
{
	struct call *call = call_new(http);
	const struct endpoint *e;
	size_t limit = (size_t)config->body_limit;

	if (!route_find(call) || !guard_allows(call)) {
		/* Answered once the body is read, so that the connection can go on. */
		return (struct http_body){ .mode = HTTP_DISCARD, .limit = limit };
	}
	e = call->endpoint;
	if (e->body == BODY_RAW) {
		call_run(call);
		/* Who asks first whether he may send is told no before he does. */
		if (call->fail.code != FAIL_NONE && !call->replied && http_header(http, "expect").n > 0)
			call_step(call, FAILED);
		return (struct http_body){ .mode = HTTP_STREAM, .limit = 0 };
	}
	return (struct http_body){ .mode = HTTP_BUFFER, .limit = e->body_limit > limit ? e->body_limit : limit };
}

static void
request_body(struct http_request *http, const void *bytes, size_t n)
{
	struct call *call = http->user;

	if (call != NULL && call->on_body != NULL)
		call->on_body(call, bytes, n);
}

/* ---- creates ---- */

static void
create_run(void *user)
{
	struct call *call = user;

	/* Who is gone during the wait asked for nothing yet. */
	if (call->http != NULL) {
		if (repeat_undecided(call)) {
			(void)loop_after(call->repeat_waits < 32 ? 1 : 5, create_run, call);
			call->repeat_waits++;
			return;
		}
		(void)call_repeat_param(call); /* decided now: what is answered while this one waits in a queue was not answered before it */
		call_run(call);
	}
	call_release(call);
}

static void
request_complete(struct http_request *http)
{
	struct call *call = http->user;

	if (call == NULL)
		return;
	if (call->fail.code != FAIL_NONE) {
		call_step(call, FAILED);
		return;
	}
	if (call->endpoint->body == BODY_RAW) {
		if (call->on_body_end != NULL)
			call->on_body_end(call);
		return;
	}
	call->body = text_copy(call->arena, http->body);
	call->query = text_copy(call->arena, http->query);
	if (call->endpoint->creates) {
		call_hold(call);
		create_run(call);
	} else {
		call_run(call);
	}
}

static void
request_gone(struct http_request *http)
{
	struct call *call = http->user;

	if (call == NULL)
		return;
	call->http = NULL;
	call->gone = true;
	http->user = NULL;
	repeat_release(call);
	call_hold(call);
	if (call->on_gone != NULL)
		call->on_gone(call);
	call_release(call);
}

static void
request_refuse(int status, const char *why, struct buf *out)
{
	enum fail_code code;

	switch (status) {
	case 408:
		code = REQUEST_TIMEOUT;
		break;
	case 413:
		code = PAYLOAD_TOO_LARGE;
		break;
	case 414:
		code = URI_TOO_LONG;
		break;
	case 415:
		code = UNSUPPORTED_MEDIA_TYPE;
		break;
	case 431:
		code = HEADERS_TOO_LARGE;
		break;
	case 501:
		code = NOT_IMPLEMENTED;
		break;
	case 503:
		code = TEMPORARILY_UNAVAILABLE;
		break;
	default:
		code = BAD_REQUEST;
	}
	fail_body(out, code, text_from(why));
}

/* The experiment 0 is there before the first request is. */
static struct db_op default_op;

static void
default_done(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	(void)op;
	if (outcome != DB_OK)
		log_error("the experiment Default could not be made: %s", outcome == DB_FAILED ? db_message(result) : "no database");
}

static void
default_make(void)
{
	static struct db_param params[2];
	static const char proxy[] = "mlflow-artifacts:/";
	struct arena *keep = arena_new(); /* as long as the worker */
	struct text root = config->default_artifact_root[0] != '\0' ? text_from(config->default_artifact_root) : TEXT(proxy);

	params[0] = db_p_text(keep, root);
	params[1] = db_p_int8(keep, clock_ms());
	default_op = (struct db_op){ .statement = SQL_experiment_default, .params = params, .param_count = 2, .order = TEXT(""), .done = default_done };
	db_write(&default_op);
}

void
engine_prepare(int workers)
{
	stats_prepare(workers);
	changes_prepare();
	points_prepare();
	repeat_prepare();
}

void
engine_start(int worker)
{
	static const struct http_handler handler = {
		.head = request_head,
		.body = request_body,
		.complete = request_complete,
		.gone = request_gone,
		.refuse = request_refuse,
	};
	static struct db_config database = { .listener = true, .wait_ms = 3000, .application_name = "tallyd" };

	database.uri = config->database;
	database.read_lanes = config->read_lanes;
	database.write_lanes = config->write_lanes;
	database.statement_timeout_ms = config->statement_timeout_ms;
	stats_worker(worker);
	repeat_worker(worker);
	route_setup();
	guard_setup();
	db_start(&database);
	default_make();
	nouns_start();
	points_start();
	jobs_start();
	http_setup(&handler);
}

void
engine_drain(void)
{
	nouns_drain();
}

void
engine_stop(void)
{
	points_stop();
	db_stop();
}

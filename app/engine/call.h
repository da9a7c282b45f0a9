#ifndef ENGINE_CALL_H
#define ENGINE_CALL_H
/* One request from route to reply, and what a noun may do with it. */
#include "base/arena.h"
#include "base/json.h"
#include "engine/endpoint.h"
#include "engine/points.h"

enum client_kind { CLIENT_OTHER, CLIENT_PYTHON, CLIENT_JAVA };

struct fail {
	enum fail_code code;
	struct text message;
	int retry_after_s; /* 0 = none */
};

#define PATH_ARGS_MOST 4

/* Owned by the engine; its arena lives until the reply has been sent and nothing is in flight. */
struct call {
	struct http_request *http; /* NULL once the client is gone: touch it only through http_reply paths of the engine */
	struct arena *arena;
	const struct endpoint *endpoint;
	struct text path_names[PATH_ARGS_MOST];
	struct text path_args[PATH_ARGS_MOST]; /* decoded once */
	size_t path_count;
	struct text query; /* raw copy */
	bool head;
	bool ajax; /* came by /ajax-api */
	enum client_kind client;
	int client_version; /* major * 1000 + minor */
	struct text principal;
	struct value *values; /* one per endpoint field */
	const struct json *json;
	int64_t now_ms;
	uint64_t started_us;
	uint64_t changes; /* changes_now() at its begin */
	struct fail fail;
	struct text body; /* raw JSON body, copied */
	unsigned char repeat_key[32];
	uint64_t repeat_hash; /* of the request, whichever repetition it is */
	uint64_t repeat_nth;  /* how many equal ones were answered before it */
	uint64_t repeat_claim; /* held while it runs, so that equal calls wait */
	uint64_t repeat_waits; /* how often it asked whether it may run */
	int64_t repeat_us;    /* when that was looked up */
	int64_t repeat_arrived_be; /* as SQL wants it */
	int64_t repeat_until_ms;   /* no longer undecided */
	bool repeat_forever; /* Idempotency-Key was sent */
	bool repeat_used;
	struct db_op op;
	enum next (*then)(struct call *, PGresult *); /* continues after call_read()/call_write() */
	struct points_wait points;
	int pending; /* ops in flight */
	bool replied;
	bool gone; /* the client */
	bool behind; /* what was logged could not be moved: it reads less than was answered */
	int status; /* of the reply, for the counters */
	struct buf out; /* reply body */
	void *state; /* the noun's */
	/* BODY_RAW endpoints set these in .run: */
	void (*on_body)(struct call *, const void *, size_t);
	void (*on_body_end)(struct call *);
	void (*on_gone)(struct call *); /* the client went away; then the engine frees the call once pending is 0 */
};

/* Sets call->fail and returns FAILED / false. */
enum next call_fail(struct call *, enum fail_code, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool call_refuse(struct call *, enum fail_code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The bound field by name (PRECOND that the row has it). */
struct value *call_value(struct call *, const char *field);
struct text call_text(struct call *, const char *field);
int64_t call_int(struct call *, const char *field);
bool call_given(struct call *, const char *field);
struct text call_path_arg(struct call *, const char *name);

/* Submit a statement; `then` continues with its result (already checked for DB_OK), which the engine clears. Return what these return. */
enum next call_read(struct call *, const struct db_statement *sql, const struct db_param *params, int n, enum next (*then)(struct call *, PGresult *));
enum next call_write(struct call *, const struct db_statement *sql, const struct db_param *params, int n, struct text order, enum next (*then)(struct call *, PGresult *));
/* Text made for the request; steady: see struct db_op. */
enum next call_query(struct call *, struct text sql, bool steady, const struct db_param *params, int n, enum next (*then)(struct call *, PGresult *));
/* An op of the noun's own (mergers): sets done and counts it; the noun fills statement and params first. done must call call_op_done(). */
void call_submit_write(struct call *, struct db_op *);
void call_submit_read(struct call *, struct db_op *);
/* After WAIT for something else than the database (stores): runs the step's outcome. */
void call_step(struct call *, enum next);
void call_hold(struct call *); /* something is in flight: keep the call alive */
void call_release(struct call *); /* it ended; may free the call when the client is gone: use it no more */
/* What was logged until now is moved into metrics and latest_metrics first; then `then` continues, with NULL. */
enum next call_points(struct call *, enum next (*then)(struct call *, PGresult *));
/* So many that a writer may go on. */
enum next call_room(struct call *, enum next (*then)(struct call *, PGresult *));
/* Outcome of a db op as a step: DB_OK -> NEXT, else sets call->fail. */
enum next call_outcome(struct call *, PGresult *, enum db_outcome);

/* The repeat key as a bytea parameter: SHA-256 of principal, path and body, or of the Idempotency-Key. The row is marked once the answer was acknowledged. */
struct db_param call_repeat_param(struct call *);
/* When the request came, against that mark. */
struct db_param call_repeat_arrived(struct call *);
/* Column `fail` of the first row, or no row where the endpoint says what is missing: FAILED, else NEXT. */
enum next call_refusal(struct call *, PGresult *);

/* Replies. The body of call->out is sent as JSON by call_reply_json(). */
enum next call_reply_json(struct call *);
enum next call_reply_empty(struct call *);
enum next call_reply_text(struct call *, int status, const char *type, struct text body);
/* The noun replied itself through http_reply_*() on call->http (all of it: after http_reply_end() when streamed). Returns DONE; the call may be freed. */
enum next call_done(struct call *);
void call_reply_fail(struct call *); /* call->fail as MLflow's error body */

/* wire.c: a result as JSON into call->out by the row's shape. */
enum next wire_result(struct call *, PGresult *);
void wire_row(struct buf *, const PGresult *, int row, int skip_columns); /* {"column":value,...} */
void wire_double(struct buf *, double);
void wire_member(struct buf *, const char *name); /* ,"name": with the comma where needed */

/* bind.c */
bool bind_call(struct call *) must_check;
/* The message for a text that is too long, in MLflow's words. */
struct text python_repr(struct arena *, struct text); /* 'text' as Python prints it */
struct text json_dump_text(struct arena *, struct text string);
struct text json_dump(struct arena *, const struct json *); /* as Python's json.dumps(separators=(",",":")) prints it, for error messages */

/* Old clients (<= 1.21) see dbfs:/ instead of mlflow-artifacts:/ */
bool client_is_old(const struct call *);

const struct fail_info { const char *name; int status; const char *sqlstate; const char *klass; } *fail_info(enum fail_code);
void fail_body(struct buf *, enum fail_code, struct text message);

#endif

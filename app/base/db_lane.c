/* One connection: connecting without blocking, sending, and taking answers apart. What an answer means is db.c's. */
#include "base/db_lane.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/db_resolve.h"
#include "base/http.h"
#include "base/log.h"

enum { BACKOFF_FIRST_MS = 50, BACKOFF_MOST_MS = 2000, CANCEL_NEAR_MS = 1000 };

#define SHAPE_SLOT ((uint32_t)1 << 16) /* in a PREPARE's slot: the first shape's */

/* Arrays in libpq's form for one op; grown, never shrunk. */
static struct {
	const char **values;
	int *lengths, *formats;
	Oid *types;
	int room;
} scratch;

static void lane_answers(struct lane *lane);
static void connect_now(void *of);

static void
lane_timer(struct lane *lane, int64_t ms, void (*fire)(void *))
{
	if (lane->timer != NULL)
		loop_cancel(lane->timer);
	lane->timer = fire != NULL ? loop_after(ms, fire, lane) : NULL;
}

/* A duplicate is watched: libpq closes its own descriptor when it likes (broken connection, next address), and its number may be another's a moment later. */
static void
watch(struct lane *lane, int want, void (*ready)(void *, int))
{
	lane->fd = fcntl(PQsocket(lane->conn), F_DUPFD_CLOEXEC, 0);
	PRECOND(lane->fd >= 0);
	lane->watch = loop_watch(lane->fd, want, ready, lane);
}

static void
unwatch(struct lane *lane)
{
	if (lane->watch == NULL)
		return;
	loop_unwatch(lane->watch);
	close(lane->fd);
	lane->watch = NULL;
}

static struct text
first_line(const char *s)
{
	struct text t = text_trim(text_from(s));
	for (size_t i = 0; i < t.n; i++)
		if (t.s[i] == '\n')
			return (struct text){ t.s, i };
	return t;
}

static void
connect_later(struct lane *lane)
{
	/* Half fixed, half chance: many servers must not come back in step. */
	int64_t ms = lane->backoff_ms / 2 + random() % (lane->backoff_ms / 2 + 1);
	lane->backoff_ms = lane->backoff_ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : lane->backoff_ms * 2;
	lane->state = LANE_DOWN;
	lane_timer(lane, ms, connect_now);
}

static void
connect_failed(struct lane *lane, const char *why)
{
	static int64_t said_ms;
	struct text line = first_line(why);
	/* One line for all lanes, not one for each attempt. */
	if (said_ms == 0 || loop_now_ms() - said_ms > 2000) {
		said_ms = loop_now_ms();
		log_warn("database: cannot connect: " TEXT_FMT, TEXT_ARG(line));
	}
	unwatch(lane);
	if (lane->conn != NULL)
		PQfinish(lane->conn);
	lane->conn = NULL;
	connect_later(lane);
}

static void
connect_timeout(void *of)
{
	struct lane *lane = of;
	lane->timer = NULL;
	connect_failed(lane, "no answer in time");
}

static void
lane_ready(void *of, int bits)
{
	struct lane *lane = of;
	if (!PQconsumeInput(lane->conn)) {
		/* PostgreSQL's last words may be among what came. */
		lane_answers(lane);
		if (lane->state == LANE_UP)
			lane_break(lane, PQerrorMessage(lane->conn));
		return;
	}
	lane_answers(lane);
	if (lane->state == LANE_UP && lane->broken)
		lane_break(lane, PQerrorMessage(lane->conn));
	else if (lane->state == LANE_UP && (bits & LOOP_WRITE))
		lane_flush(lane);
}

static void
shapes_clear(struct lane *lane)
{
	for (size_t i = 0; lane->shapes != NULL && i < SHAPES; i++) {
		free(lane->shapes[i].sql);
		lane->shapes[i] = (struct shape){ 0 };
	}
}

static void
connected(struct lane *lane)
{
	lane_timer(lane, 0, NULL);
	if (PQsetnonblocking(lane->conn, 1) != 0 || !PQenterPipelineMode(lane->conn)) {
		connect_failed(lane, "cannot enter pipeline mode");
		return;
	}
	lane->state = LANE_UP;
	lane->broken = lane->last_words = lane->stale = false;
	lane->up_ms = loop_now_ms();
	lane->canceled_ms = 0;
	PQclear(lane->refused);
	lane->refused = NULL;
	memset(lane->prepared, 0, db_statement_count * sizeof(*lane->prepared));
	shapes_clear(lane);
	watch(lane, LOOP_READ, lane_ready);
	lane_is_up(lane);
	lane->was_up = true;
}

static void
connect_step(void *of, int bits)
{
	struct lane *lane = of;
	(void)bits;
	/* Each step may have a new socket. */
	unwatch(lane);
	PostgresPollingStatusType next = PQconnectPoll(lane->conn);
	if (next == PGRES_POLLING_OK)
		connected(lane);
	else if (next == PGRES_POLLING_FAILED)
		connect_failed(lane, PQerrorMessage(lane->conn));
	else
		watch(lane, next == PGRES_POLLING_READING ? LOOP_READ : LOOP_WRITE, connect_step);
}

static void
notice(void *unused, const PGresult *result)
{
	(void)unused;
	struct text line = first_line(PQresultErrorMessage(result));
	log_debug("database: " TEXT_FMT, TEXT_ARG(line));
}

static void
connect_resolved(void *of, bool found)
{
	struct lane *lane = of;
	if (!found) {
		connect_later(lane);
		return;
	}
	struct db_target target = resolve_target();
	lane->conn = PQconnectStartParams(target.keywords, target.values, 0);
	PRECOND(lane->conn != NULL);
	if (PQstatus(lane->conn) == CONNECTION_BAD) {
		connect_failed(lane, PQerrorMessage(lane->conn));
		return;
	}
	PQsetNoticeReceiver(lane->conn, notice, NULL);
	lane->state = LANE_CONNECTING;
	lane_timer(lane, target.connect_timeout_ms, connect_timeout);
	watch(lane, LOOP_WRITE, connect_step);
}

static void
connect_now(void *of)
{
	struct lane *lane = of;
	lane->timer = NULL;
	if (resolve_fresh()) {
		connect_resolved(lane, true);
		return;
	}
	lane->state = LANE_RESOLVING;
	resolve_wait(connect_resolved, lane);
}

void
lane_connect(struct lane *lane)
{
	if (lane->prepared == NULL) {
		lane->prepared = calloc(db_statement_count + 1, sizeof(*lane->prepared));
		lane->shapes = calloc(SHAPES, sizeof(*lane->shapes));
		PRECOND(lane->prepared != NULL && lane->shapes != NULL);
	}
	lane->backoff_ms = BACKOFF_FIRST_MS;
	connect_now(lane);
}

void
lane_close(struct lane *lane)
{
	unwatch(lane);
	lane_timer(lane, 0, NULL);
	if (lane->conn != NULL)
		PQfinish(lane->conn);
	lane->conn = NULL;
	lane->state = LANE_DOWN;
	shapes_clear(lane);
	free(lane->shapes);
	PQclear(lane->refused);
	lane->refused = NULL;
	free(lane->prepared);
	lane->shapes = NULL;
	lane->prepared = NULL;
}

void
lane_break(struct lane *lane, const char *why)
{
	struct text line = first_line(why);
	log_warn("database: connection lost: " TEXT_FMT, TEXT_ARG(line));
	unwatch(lane);
	PQfinish(lane->conn);
	lane->conn = NULL;
	lane->broken = false;
	struct flight *lost = lane->first;
	lane->first = lane->last = NULL;
	lane->in_flight = 0;
	/* One that does not last is not made anew at once, again and again. */
	if (loop_now_ms() - lane->up_ms > BACKOFF_MOST_MS)
		lane->backoff_ms = BACKOFF_FIRST_MS;
	connect_later(lane);
	flights_lost(lane, lost);
}

static void
break_now(void *of)
{
	struct lane *lane = of;
	lane->timer = NULL;
	if (lane->state == LANE_UP && lane->broken)
		lane_break(lane, PQerrorMessage(lane->conn));
}

static bool
failed(struct lane *lane)
{
	/* Not at once: the caller may stand in the middle of this lane's answers. */
	if (!lane->broken) {
		lane->broken = true;
		lane_timer(lane, 0, break_now);
	}
	return false;
}

static void
flight_push(struct lane *lane, struct flight *flight)
{
	flight->sent_ms = loop_now_ms();
	flight->next = NULL;
	if (lane->last != NULL)
		lane->last->next = flight;
	else
		lane->first = flight;
	lane->last = flight;
	if (flight->kind == FLIGHT_READ || flight->kind == FLIGHT_PIECE)
		lane->in_flight++;
}

static void
flight_pop(struct lane *lane)
{
	struct flight *flight = lane->first;
	lane->first = flight->next;
	if (lane->first == NULL)
		lane->last = NULL;
	if (flight->kind == FLIGHT_READ || flight->kind == FLIGHT_PIECE)
		lane->in_flight--;
	flight->next = NULL;
	flight_free(flight);
}

static void
scratch_fill(const struct db_op *op)
{
	if (op->param_count > scratch.room) {
		scratch.room = op->param_count + 16;
		size_t room = (size_t)scratch.room;
		union {
			const char **values;
			void *freed;
		} values = { .values = scratch.values };
		free(values.freed);
		free(scratch.lengths);
		free(scratch.formats);
		free(scratch.types);
		scratch.values = calloc(room, sizeof(*scratch.values));
		scratch.lengths = calloc(room, sizeof(*scratch.lengths));
		scratch.formats = calloc(room, sizeof(*scratch.formats));
		scratch.types = calloc(room, sizeof(*scratch.types));
		PRECOND(scratch.values != NULL && scratch.lengths != NULL && scratch.formats != NULL && scratch.types != NULL);
	}
	for (int i = 0; i < op->param_count; i++) {
		const struct db_param *param = &op->params[i];
		scratch.values[i] = param->bytes;
		scratch.lengths[i] = param->n;
		scratch.formats[i] = param->text ? 0 : 1;
		scratch.types[i] = param->type;
	}
}

/* In a transaction of its own, so that a neighbour's failure does not undo it. */
static bool
prepare_send(struct lane *lane, const char *name, const char *sql, uint32_t slot, int types)
{
	if (!PQsendPrepare(lane->conn, name, sql, types, types > 0 ? scratch.types : NULL))
		return failed(lane);
	struct flight *flight = flight_new();
	flight->kind = FLIGHT_PREPARE;
	flight->slot = slot;
	flight_push(lane, flight);
	return lane_send_sync(lane, NULL);
}

static bool
lane_prepare(struct lane *lane, const struct db_statement *statement)
{
	if (lane->prepared[statement->slot])
		return true;
	lane->prepared[statement->slot] = true;
	return prepare_send(lane, statement->name, statement->sql, statement->slot, 0);
}

static struct text
shape_name(uint64_t number, char name[32])
{
	int n = snprintf(name, 32, "shape%llu", (unsigned long long)number);
	return (struct text){ name, (size_t)n };
}

static void
shape_forget(struct lane *lane, struct shape *shape)
{
	char name[32], command[64];
	if (shape->number > 0) {
		(void)snprintf(command, sizeof(command), "deallocate " TEXT_FMT, TEXT_ARG(shape_name(shape->number, name)));
		(void)lane_send_command(lane, command);
	}
	free(shape->sql);
	*shape = (struct shape){ 0 };
}

/* The text's place, or the one that was not used for longest. */
static struct shape *
shape_place(struct lane *lane, uint64_t hash)
{
	struct shape *oldest = lane->shapes;
	for (struct shape *s = lane->shapes; s < lane->shapes + SHAPES; s++) {
		if (s->used > 0 && s->hash == hash)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	return oldest;
}

/* The statement of a steady text, which is prepared when it comes a second time; false: it goes as it is. scratch is filled. */
static bool
shape_find(struct lane *lane, const struct db_op *op, char name[32])
{
	uint64_t hash = text_hash(text_from(op->sql));
	struct shape *shape = shape_place(lane, hash);
	if (shape->used == 0 || shape->hash != hash) {
		shape_forget(lane, shape);
		*shape = (struct shape){ .hash = hash, .used = ++lane->uses };
		return false;
	}
	bool fresh = shape->number == 0;
	shape->used = ++lane->uses;
	if (fresh) {
		shape->number = lane->uses;
		shape->sql = strdup(op->sql);
		PRECOND(shape->sql != NULL);
	}
	(void)shape_name(shape->number, name);
	if (fresh)
		(void)prepare_send(lane, name, op->sql, SHAPE_SLOT + (uint32_t)(shape - lane->shapes), op->param_count);
	return strcmp(shape->sql, op->sql) == 0;
}

bool
lane_send_op(struct lane *lane, const struct db_op *op, const struct flight *as)
{
	if (lane->broken)
		return false;
	const struct db_statement *statement = op->statement;
	PRECOND(op->param_count >= 0 && (statement == NULL || statement->params == op->param_count));
	if (statement != NULL && as->kind == FLIGHT_READ && !lane_prepare(lane, statement))
		return false;
	scratch_fill(op);
	char shape[32];
	const char *name = statement != NULL ? statement->name : op->steady && shape_find(lane, op, shape) ? shape : NULL;
	if (lane->broken)
		return false;
	const char *const *values = scratch.values;
	int sent = name != NULL ?
	    PQsendQueryPrepared(lane->conn, name, op->param_count, values, scratch.lengths, scratch.formats, 1) :
	    PQsendQueryParams(lane->conn, op->sql, op->param_count, scratch.types, values, scratch.lengths, scratch.formats, 1);
	if (!sent)
		return failed(lane);
	struct flight *flight = flight_new();
	*flight = *as;
	flight_push(lane, flight);
	return true;
}

bool
lane_send_prepare(struct lane *lane, const struct db_op *op)
{
	return !lane->broken && (op->statement == NULL || lane_prepare(lane, op->statement));
}

static bool
command_sent(struct lane *lane, enum flight_kind kind, bool sent)
{
	if (!sent)
		return failed(lane);
	struct flight *flight = flight_new();
	flight->kind = kind;
	flight_push(lane, flight);
	return lane_send_sync(lane, NULL);
}

bool
lane_send_command(struct lane *lane, const char *command)
{
	if (lane->broken)
		return false;
	return command_sent(lane, FLIGHT_COMMAND, PQsendQueryParams(lane->conn, command, 0, NULL, NULL, NULL, NULL, 0));
}

bool
lane_send_check(struct lane *lane, const struct db_op *op)
{
	if (lane->broken)
		return false;
	scratch_fill(op);
	const char *const *values = scratch.values;
	return command_sent(lane, FLIGHT_CHECK,
	    PQsendQueryParams(lane->conn, op->statement->sql, op->param_count, scratch.types, values, scratch.lengths, scratch.formats, 0));
}

bool
lane_send_sync(struct lane *lane, struct batch *batch)
{
	if (lane->broken)
		return false;
	if (!PQpipelineSync(lane->conn))
		return failed(lane);
	struct flight *flight = flight_new();
	flight->kind = FLIGHT_SYNC;
	flight->batch = batch;
	flight_push(lane, flight);
	return true;
}

void
lane_flush(struct lane *lane)
{
	int left = PQflush(lane->conn);
	if (left < 0)
		(void)failed(lane);
	else
		loop_want(lane->watch, left > 0 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

bool
lane_hit(const struct lane *lane, const PGresult *result)
{
	return lane->canceled_ms != 0 && loop_now_ms() - lane->canceled_ms < CANCEL_NEAR_MS && strcmp(db_sqlstate(result), "57014") == 0;
}

static void
prepare_ended(struct lane *lane, uint32_t slot, const PGresult *result)
{
	if (PQresultStatus(result) == PGRES_COMMAND_OK)
		return;
	struct text line = first_line(PQresultErrorMessage(result));
	if (!lane_hit(lane, result))
		log_error("database: cannot prepare %s: " TEXT_FMT, slot < SHAPE_SLOT ? db_statements[slot].name : "a search", TEXT_ARG(line));
	if (slot < SHAPE_SLOT) {
		lane->prepared[slot] = false;
		return;
	}
	struct shape *shape = &lane->shapes[slot - SHAPE_SLOT];
	shape->number = 0;
	free(shape->sql);
	shape->sql = NULL;
}

/* True when this is no answer but the end of the connection: libpq's own report has no severity, PostgreSQL's last words are FATAL (shutdown, termination). */
static bool
is_end(struct lane *lane, const PGresult *result)
{
	if (PQresultStatus(result) != PGRES_FATAL_ERROR)
		return false;
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	if (severity != NULL && strcmp(severity, "FATAL") != 0 && strcmp(severity, "PANIC") != 0)
		return false;
	lane->last_words = severity != NULL;
	return true;
}

/* A table or column that is not there. */
static bool
lacks_tables(const PGresult *result)
{
	const char *state = db_sqlstate(result);
	return strcmp(state, "42P01") == 0 || strcmp(state, "42703") == 0;
}

/* Writes that were made for another database wait behind it. Without our tables it is another one, too. */
static void
check_ended(struct lane *lane, const PGresult *result)
{
	if (PQresultStatus(result) == PGRES_TUPLES_OK && strcmp(PQgetvalue(result, 0, 0), "t") == 0)
		return;
	if (PQresultStatus(result) != PGRES_TUPLES_OK && !lacks_tables(result)) {
		(void)failed(lane);
		return;
	}
	log_error("database: this is not the one that was connected before, or it went back in time: the worker starts anew");
	_exit(1);
}

static void
lane_result(struct lane *lane, PGresult *result)
{
	struct flight *flight = lane->first;
	bool synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
	/* A setting that is not as later ones expect: all begin anew. */
	bool unset = flight->kind == FLIGHT_COMMAND && lane_hit(lane, result);

	if (is_end(lane, result) || unset) {
		PQclear(result);
		(void)failed(lane);
		return;
	}
	if (synced) {
		/* Where done() sent something on this lane, libpq leaves out the NULL that ends a result. */
		if (flight->answered) {
			flight_pop(lane);
			flight = lane->first;
		}
		PRECOND(flight != NULL && flight->kind == FLIGHT_SYNC);
		struct batch *batch = flight->batch;
		PQclear(result);
		flight_pop(lane);
		flight_synced(lane, batch);
		return;
	}
	if (flight->kind == FLIGHT_CHECK) {
		check_ended(lane, result);
	} else if (flight->kind == FLIGHT_PREPARE) {
		prepare_ended(lane, flight->slot, result);
		if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
			PQclear(lane->refused);
			lane->refused = result;
			result = NULL;
		}
	} else if (flight->kind == FLIGHT_COMMAND) {
		if (PQresultStatus(result) == PGRES_FATAL_ERROR)
			log_warn("database: %s", db_message(result));
	} else {
		if (flight->kind != FLIGHT_SYNC)
			flight->answered = true;
		if (lane->refused != NULL && strcmp(db_sqlstate(result), "26000") == 0) {
			PQclear(result);
			result = lane->refused;
			lane->refused = NULL;
		}
		/* For a SYNC this is the commit's own failure. */
		flight_result(lane, flight, result);
		return;
	}
	flight->answered = true;
	PQclear(result);
}

static void
lane_answers(struct lane *lane)
{
	int nothing = 0;
	while (lane->state == LANE_UP && !lane->broken && lane->first != NULL && nothing < 2 && !PQisBusy(lane->conn)) {
		PGresult *result = PQgetResult(lane->conn);
		if (result != NULL) {
			nothing = 0;
			lane_result(lane, result);
		} else if (lane->first->answered) {
			nothing = 0;
			flight_pop(lane);
		} else {
			nothing++;
		}
	}
	for (PGnotify *got; lane->state == LANE_UP && !lane->broken && (got = PQnotifies(lane->conn)) != NULL; PQfreemem(got))
		lane_notified(lane, got->relname, text_from(got->extra));
}

void
lane_setup(const struct db_config *config)
{
	char *why = NULL;
	if (!resolve_setup(config, &why)) {
		log_error("database: %s", why);
		free(why);
		precond_failed("the connection string was checked before", __FILE__, __LINE__);
	}
}

void
lane_teardown(void)
{
	resolve_teardown();
}

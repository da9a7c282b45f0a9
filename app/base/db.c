/* The queues of the database layer: which op goes to which connection when, group commit of writes, and what becomes of ops when a batch or a connection fails. */
#include "base/db.h"

#include <limits.h>
#include <stdlib.h>

#include "base/db_lane.h"
#include "base/http.h"
#include "base/log.h"
#include "base/task.h"

enum {
	MOST_LANES = 32,
	MOST_EARS = 2,
	READS_IN_FLIGHT = 64,      /* on a lane; more wait, so that a lane that comes free can take them */
	READ_STUCK_MS = 20,        /* a lane whose first read is older is taken only if all are */
	BATCH_OPS = 4096,
	GATHER_OPS = 4,            /* answered together, from which on the next batch waits for theirs */
	FURTHER_LANE_OPS = 256,
	FURTHER_LANE_MS = 10,
	BATCH_BYTES = 8 << 20,
	MOST_TRIES = 5,
	SWEEP_MS = 100,
	HANG_MS = 15000,           /* beyond the statement timeout: PostgreSQL itself hangs */
	STALE_MS = 2000,           /* a session that cannot write is made anew when it is older */
	LONG_MS = 1000,            /* a read that nobody waits for is canceled when it is older */
	KEYS = 4096                /* buckets of order keys in flight */
};

struct queue {
	struct db_op *first, *last;
	size_t n;
};

/* A statement of a batch: one op, or several merged into one. */
struct piece {
	struct db_op **ops; /* in batch->ops */
	size_t n;
	const struct db_merger *merger;
	struct db_op merged;
	PGresult *result;
};

/* Everything before one Sync: one transaction. Owned by the lane's SYNC flight, or by who is building it. */
struct batch {
	struct batch *next;
	struct db_op **ops;
	size_t n;
	struct piece *pieces;
	size_t piece_count;
	PGresult *error; /* the first failure */
	size_t error_at; /* its piece; piece_count: the commit itself */
};

/* On its way to PostgreSQL, in a thread: libpq has no other way, and it may take long when PostgreSQL hangs. */
struct cancel {
	PGcancel *key;
	struct lane *lane; /* NULL: that connection is gone */
};

static struct {
	struct db_config config;
	struct lane lanes[MOST_LANES];
	int lane_count;
	struct lane *listener;
	struct queue reads, writes;
	struct cancel *cancel; /* one at a time */
	struct loop_timer *pump, *late, *sweep;
	int64_t late_ms;
	struct flight *spare;
	uint16_t key_count[KEYS];
	uint8_t key_lane[KEYS];
	struct ear {
		const char *channel;
		void (*notified)(struct text, bool);
	} ears[MOST_EARS];
	int ear_count;
	struct word {
		const char *channel; /* or NULL */
		struct text payload;
	} word;
	const struct db_op *(*connected)(void);
	size_t gather; /* a batch has just ended: the next one waits for so many ops, until then */
	int64_t gather_ms;
	struct db_stats stats;
	bool started;
} db;

static void pump_later(void);
static void sweep_later(void);

static void
queue_push(struct queue *queue, struct db_op *op)
{
	op->next = NULL;
	op->lane = -1;
	if (queue->last != NULL)
		queue->last->next = op;
	else
		queue->first = op;
	queue->last = op;
	queue->n++;
}

static void
queue_push_first(struct queue *queue, struct db_op *op)
{
	op->lane = -1;
	op->next = queue->first;
	queue->first = op;
	if (queue->last == NULL)
		queue->last = op;
	queue->n++;
}

/* Takes out the op after `before` (NULL: the first). */
static struct db_op *
queue_take(struct queue *queue, struct db_op *before)
{
	struct db_op *op = before != NULL ? before->next : queue->first;
	if (before != NULL)
		before->next = op->next;
	else
		queue->first = op->next;
	if (queue->last == op)
		queue->last = before;
	op->next = NULL;
	queue->n--;
	return op;
}

struct flight *
flight_new(void)
{
	struct flight *flight = db.spare;
	if (flight == NULL) {
		flight = malloc(sizeof(*flight));
		PRECOND(flight != NULL);
	} else {
		db.spare = flight->next;
	}
	memset(flight, 0, sizeof(*flight));
	return flight;
}

void
flight_free(struct flight *flight)
{
	flight->next = db.spare;
	db.spare = flight;
}

static void
op_end(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	if (outcome != DB_OK)
		db.stats.failures++;
	op->done(op, result, outcome);
}

static bool
lanes_up(enum lane_kind kind)
{
	for (int i = 0; i < db.lane_count; i++)
		if (db.lanes[i].kind == kind && db.lanes[i].state == LANE_UP && !(kind == LANE_WRITE && db.lanes[i].stale))
			return true;
	return false;
}

/* ---- reads ---- */

static bool
is_stuck(const struct lane *lane)
{
	return lane->first != NULL && loop_now_ms() - lane->first->sent_ms > READ_STUCK_MS;
}

static struct lane *
read_lane(void)
{
	struct lane *best = NULL;
	for (int i = 0; i < db.lane_count; i++) {
		struct lane *lane = &db.lanes[i];
		if (lane->kind != LANE_READ || lane->state != LANE_UP || lane->broken || lane->in_flight >= READS_IN_FLIGHT)
			continue;
		if (best == NULL || is_stuck(best) > is_stuck(lane) || (is_stuck(best) == is_stuck(lane) && lane->in_flight < best->in_flight))
			best = lane;
	}
	return best;
}

static void
read_send(struct lane *lane, struct db_op *op)
{
	bool timed = op->timeout_ms > 0;
	char command[64];
	op->lane = lane->index;
	/* On this connection only, and only until the reset behind it. */
	if (timed) {
		struct buf set = { 0 };
		buf_printf(&set, "set statement_timeout = %lld", (long long)op->timeout_ms);
		PRECOND(set.n < sizeof(command));
		memcpy(command, set.s, set.n);
		command[set.n] = '\0';
		buf_free(&set);
		(void)lane_send_command(lane, command);
	}
	struct flight as = { .kind = FLIGHT_READ, .op = op };
	bool sent = lane_send_op(lane, op, &as);
	if (!sent) {
		/* It was not sent: the lane goes down at the end of the turn, the op waits for another one. */
		queue_push_first(&db.reads, op);
		return;
	}
	(void)lane_send_sync(lane, NULL);
	if (timed)
		(void)lane_send_command(lane, "set statement_timeout = default");
	if (!lane->broken)
		lane_flush(lane);
}

static void
reads_pump(void)
{
	struct lane *lane;
	while (db.reads.first != NULL && (lane = read_lane()) != NULL)
		read_send(lane, queue_take(&db.reads, NULL));
}

void
db_read(struct db_op *op)
{
	PRECOND(op->done != NULL);
	db.stats.reads++;
	if (!db.started) {
		op_end(op, NULL, DB_AWAY);
		return;
	}
	op->since_ms = loop_now_ms();
	op->tries = 0;
	queue_push(&db.reads, op);
	reads_pump();
	sweep_later();
}

void
db_background(struct db_op *op)
{
	struct lane *lane = db.listener;
	PRECOND(op->done != NULL);
	if (!db.started || lane->state != LANE_UP || lane->broken) {
		db_read(op);
		return;
	}
	db.stats.reads++;
	op->since_ms = loop_now_ms();
	op->tries = 0;
	read_send(lane, op);
	sweep_later();
}

void
db_background_command(const char *command)
{
	struct lane *lane = db.listener;
	if (!db.started || lane->state != LANE_UP || lane->broken)
		return;
	if (lane_send_command(lane, command))
		lane_flush(lane);
}

static bool
is_gone(const struct db_op *op)
{
	return op->gone != NULL && *op->gone;
}

static void
read_lost(struct db_op *op)
{
	if (++op->tries > 1 || is_gone(op)) {
		op_end(op, NULL, DB_AWAY);
		return;
	}
	queue_push_first(&db.reads, op);
}

/* ---- writes ---- */

static size_t
key_of(const struct db_op *op)
{
	return op->order.n == 0 ? KEYS : (size_t)(text_hash(op->order) % KEYS);
}

static void
keys_hold(const struct batch *batch, const struct lane *lane)
{
	for (size_t i = 0; i < batch->n; i++) {
		size_t key = key_of(batch->ops[i]);
		if (key < KEYS) {
			db.key_count[key]++;
			db.key_lane[key] = (uint8_t)lane->index;
		}
	}
}

static void
keys_release(const struct batch *batch)
{
	for (size_t i = 0; i < batch->n; i++) {
		size_t key = key_of(batch->ops[i]);
		if (key < KEYS)
			db.key_count[key]--;
	}
}

static bool
is_elsewhere(const struct db_op *op, const struct lane *lane)
{
	size_t key = key_of(op);
	return key < KEYS && db.key_count[key] > 0 && db.key_lane[key] != lane->index;
}

static size_t
op_bytes(const struct db_op *op)
{
	size_t bytes = 64;
	for (int i = 0; i < op->param_count; i++)
		bytes += (size_t)op->params[i].n;
	return bytes;
}

static struct batch *
batch_new(size_t n)
{
	struct batch *batch = calloc(1, sizeof(*batch));
	PRECOND(batch != NULL);
	batch->ops = calloc(n, sizeof(struct db_op *));
	PRECOND(batch->ops != NULL);
	return batch;
}

static void
batch_free(struct batch *batch)
{
	for (size_t i = 0; i < batch->piece_count; i++)
		PQclear(batch->pieces[i].result);
	PQclear(batch->error);
	free(batch->pieces);
	free(batch->ops);
	free(batch);
}

/* What may go to this lane now, in queue order. NULL: nothing. */
static struct batch *
batch_take(const struct lane *lane)
{
	size_t most = db.writes.n < BATCH_OPS ? db.writes.n : BATCH_OPS;
	if (most == 0)
		return NULL;
	struct batch *batch = batch_new(most);
	struct db_op *before = NULL, *op = db.writes.first;
	size_t bytes = 0;
	while (op != NULL && batch->n < most && bytes < BATCH_BYTES) {
		struct db_op *next = op->next;
		if (is_elsewhere(op, lane)) {
			before = op;
		} else {
			bytes += op_bytes(op);
			batch->ops[batch->n++] = queue_take(&db.writes, before);
			op->lane = lane->index;
		}
		op = next;
	}
	if (batch->n > 0)
		return batch;
	batch_free(batch);
	return NULL;
}

struct sorted {
	struct db_op *op;
	size_t at;
};

/* Those without a merger last. */
static int
rank_of(const struct db_op *op)
{
	return op->merger == NULL ? INT_MAX : op->merger->rank;
}

/* By merger, then by order key, then as they came. Every worker sorts so: two of them take the same kinds of locks in the same order. */
static int
compare_ops(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	int rx = rank_of(x->op), ry = rank_of(y->op);
	if (rx != ry)
		return rx > ry ? 1 : -1;
	int order = text_compare(x->op->order, y->op->order);
	if (order != 0)
		return order;
	return x->at < y->at ? -1 : 1;
}

static void
batch_sort(struct batch *batch)
{
	struct sorted *sorted = calloc(batch->n, sizeof(*sorted));
	PRECOND(sorted != NULL);
	for (size_t i = 0; i < batch->n; i++)
		sorted[i] = (struct sorted){ batch->ops[i], i };
	qsort(sorted, batch->n, sizeof(*sorted), compare_ops);
	for (size_t i = 0; i < batch->n; i++)
		batch->ops[i] = sorted[i].op;
	free(sorted);
}

/* Neighbours in a sorted batch. */
static bool
goes_with(const struct db_op *op, const struct db_op *before)
{
	return op->merger == before->merger && !(op->merger->apart && text_eq(op->order, before->order));
}

static void
batch_cut(struct batch *batch)
{
	batch->pieces = calloc(batch->n, sizeof(*batch->pieces));
	PRECOND(batch->pieces != NULL);
	for (size_t i = 0; i < batch->n;) {
		struct piece *piece = &batch->pieces[batch->piece_count++];
		const struct db_merger *merger = batch->ops[i]->merger;
		size_t n = 1;
		while (merger != NULL && i + n < batch->n && n < merger->most && goes_with(batch->ops[i + n], batch->ops[i + n - 1]))
			n++;
		piece->ops = &batch->ops[i];
		piece->n = n;
		piece->merger = merger;
		i += n;
	}
}

static struct db_op *
piece_op(struct piece *piece)
{
	return piece->merger != NULL ? &piece->merged : piece->ops[0];
}

/* Takes the batch over. Nothing is lost when the lane turns out broken: flights_lost() comes for what was sent, the rest goes back here. */
static void
batch_send(struct lane *lane, struct batch *batch)
{
	batch_sort(batch);
	batch_cut(batch);
	for (size_t i = 0; i < batch->piece_count; i++) {
		struct piece *piece = &batch->pieces[i];
		if (piece->merger != NULL)
			piece->merger->merge(piece->ops, piece->n, &piece->merged);
		(void)lane_send_prepare(lane, piece_op(piece));
	}
	keys_hold(batch, lane);
	db.stats.batches++;
	if (batch->n > db.stats.batch_ops_max)
		db.stats.batch_ops_max = batch->n;
	bool sent = true;
	for (size_t i = 0; sent && i < batch->piece_count; i++) {
		struct flight as = { .kind = FLIGHT_PIECE, .batch = batch, .piece = &batch->pieces[i] };
		sent = lane_send_op(lane, piece_op(&batch->pieces[i]), &as);
	}
	if (sent && lane_send_sync(lane, batch)) {
		lane_flush(lane);
		return;
	}
	/* The Sync was not queued: the batch cannot be committed. It stays with the lane until that goes down. */
	batch->next = lane->unsent;
	lane->unsent = batch;
}

static void
late_pump(void *unused)
{
	(void)unused;
	db.late = NULL;
	pump_later();
}

static void
pump_in(int64_t ms)
{
	int64_t at_ms = loop_now_ms() + ms;
	if (db.late != NULL && db.late_ms <= at_ms)
		return;
	if (db.late != NULL)
		loop_cancel(db.late);
	db.late = loop_after(ms, late_pump, NULL);
	db.late_ms = at_ms;
}

/* A batch costs mostly its commit: what waits behind the one in flight goes together as the next. A further lane is for a long queue, or for when the batch in flight takes long (a lock, a slow
 * disk). */
static bool
wait_for_lane(int busy)
{
	int64_t waited_ms = loop_now_ms() - db.writes.first->since_ms;
	/* Those who were just answered tend to ask again at once: they are waited for, a millisecond at most. */
	if (busy == 0 && db.writes.n < db.gather && loop_now_ms() <= db.gather_ms) {
		pump_in(1);
		return true;
	}
	if (busy == 0 || db.writes.n >= FURTHER_LANE_OPS || waited_ms >= FURTHER_LANE_MS)
		return false;
	pump_in(FURTHER_LANE_MS - waited_ms);
	return true;
}

static void
writes_pump(void)
{
	int busy = 0;
	for (int i = 0; i < db.lane_count; i++)
		busy += db.lanes[i].kind == LANE_WRITE && db.lanes[i].first != NULL;
	for (int i = 0; i < db.lane_count && db.writes.n > 0; i++) {
		struct lane *lane = &db.lanes[i];
		if (lane->kind != LANE_WRITE || lane->state != LANE_UP || lane->broken || lane->stale || lane->first != NULL)
			continue;
		if (wait_for_lane(busy))
			return;
		busy++;
		struct batch *batch = batch_take(lane);
		if (batch != NULL)
			batch_send(lane, batch);
	}
}

void
db_write(struct db_op *op)
{
	PRECOND(op->done != NULL);
	db.stats.writes++;
	if (!db.started) {
		op_end(op, NULL, DB_AWAY);
		return;
	}
	op->since_ms = loop_now_ms();
	op->tries = 0;
	queue_push(&db.writes, op);
	pump_later();
	sweep_later();
}

/* The piece ended: its ops are told. Without result: they are not, it is only freed. */
static void
piece_end(struct piece *piece, enum db_outcome outcome, bool tell)
{
	if (piece->merger != NULL)
		piece->merger->split(piece->ops, tell ? piece->n : 0, &piece->merged, piece->result, outcome);
	if (!tell)
		return;
	if (outcome != DB_OK)
		db.stats.failures += piece->n;
	if (piece->merger == NULL)
		piece->ops[0]->done(piece->ops[0], piece->result, outcome);
}

static void
batch_end(struct batch *batch, enum db_outcome outcome)
{
	for (size_t i = 0; i < batch->piece_count; i++)
		piece_end(&batch->pieces[i], outcome, true);
	batch_free(batch);
}

static void
batch_drop_merged(struct batch *batch)
{
	for (size_t i = 0; i < batch->piece_count; i++)
		piece_end(&batch->pieces[i], DB_FAILED, false);
}

static void
resend(struct lane *lane, struct db_op **ops, size_t n)
{
	if (n == 0)
		return;
	struct batch *batch = batch_new(n);
	memcpy(batch->ops, ops, n * sizeof(struct db_op *));
	batch->n = n;
	batch_send(lane, batch);
}

/* The batch was rolled back by one of its ops: the failed piece's ops are tried in halves, at last each alone, the others together. */
static void
batch_split(struct lane *lane, struct batch *batch)
{
	struct db_op **others = calloc(batch->n, sizeof(struct db_op *));
	PRECOND(others != NULL);
	size_t n = 0;
	struct piece whole = { .ops = batch->ops, .n = batch->n };
	struct piece *bad = batch->error_at < batch->piece_count ? &batch->pieces[batch->error_at] : &whole;
	for (size_t i = 0; bad != &whole && i < batch->n; i++)
		if (&batch->ops[i] < bad->ops || &batch->ops[i] >= bad->ops + bad->n)
			others[n++] = batch->ops[i];
	resend(lane, others, n);
	free(others);
	size_t half = bad->n / 2;
	resend(lane, bad->ops, half);
	resend(lane, bad->ops + half, bad->n - half);
	batch_free(batch);
}

/* Another transaction was in the way, the server became a standby, or a statement could not be prepared before: the same again may succeed. */
static bool
is_passing(const char *state)
{
	return strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0 || strcmp(state, "25006") == 0 || strcmp(state, "26000") == 0;
}

/* A lock that was not got, or a statement that was not done, in its time: each further attempt may take as long. */
static bool
is_slow(const char *state)
{
	return strcmp(state, "55P03") == 0 || strcmp(state, "57014") == 0;
}

static bool
has_waited(const struct batch *batch)
{
	int64_t since_ms = loop_now_ms();
	for (size_t i = 0; i < batch->n; i++)
		if (batch->ops[i]->since_ms < since_ms)
			since_ms = batch->ops[i]->since_ms;
	return loop_now_ms() - since_ms > db.config.statement_timeout_ms;
}

static void
writes_again(struct db_op **ops, size_t n)
{
	for (size_t i = n; i-- > 0;)
		queue_push_first(&db.writes, ops[i]);
	pump_later();
}

/* The writable server may be another one by now, or the next session on this one may be allowed to write. */
static void
note_stale(struct lane *lane, const char *state)
{
	if (strcmp(state, "25006") != 0)
		return;
	lane->stale = true;
	sweep_later();
}

static void
batch_failed(struct lane *lane, struct batch *batch)
{
	const char *state = db_sqlstate(batch->error);
	if (is_passing(state) && ++batch->ops[0]->tries < MOST_TRIES) {
		note_stale(lane, state);
		batch_drop_merged(batch);
		writes_again(batch->ops, batch->n);
		batch_free(batch); /* and `state` with it */
		return;
	}
	if (batch->n > 1) {
		bool enough = is_slow(state) && has_waited(batch);
		batch_drop_merged(batch);
		if (!enough) {
			batch_split(lane, batch);
			return;
		}
		/* Whose fault it is stays unknown: to find out takes a time-out for each of them. */
		for (size_t i = 0; i < batch->n; i++)
			op_end(batch->ops[i], batch->error, DB_FAILED);
		batch_free(batch);
		return;
	}
	PQclear(batch->pieces[0].result);
	batch->pieces[0].result = batch->error;
	batch->error = NULL;
	batch_end(batch, DB_FAILED);
}

void
flight_result(struct lane *lane, struct flight *flight, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	bool good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
	if (flight->kind == FLIGHT_READ) {
		struct db_op *op = flight->op;
		flight->op = NULL;
		if (!good)
			note_stale(lane, db_sqlstate(result));
		if (op != NULL && !good && !is_gone(op) && (lane_hit(lane, result) || strcmp(db_sqlstate(result), "26000") == 0))
			read_lost(op);
		else if (op != NULL)
			op_end(op, result, good ? DB_OK : DB_FAILED);
		PQclear(result);
		reads_pump();
		return;
	}
	(void)lane;
	struct batch *batch = flight->batch;
	if (batch == NULL) {
		PQclear(result);
	} else if (good && flight->piece != NULL) {
		flight->piece->result = result;
	} else if (batch->error == NULL && status != PGRES_PIPELINE_ABORTED) {
		batch->error = result;
		batch->error_at = flight->piece != NULL ? (size_t)(flight->piece - batch->pieces) : batch->piece_count;
	} else {
		PQclear(result);
	}
}

void
flight_synced(struct lane *lane, struct batch *batch)
{
	if (batch != NULL) {
		db.gather = batch->n >= GATHER_OPS ? (batch->n + db.writes.n) * 3 / 4 : 0;
		db.gather_ms = loop_now_ms() + 1;
		keys_release(batch);
		if (batch->error != NULL)
			batch_failed(lane, batch);
		else
			batch_end(batch, DB_OK);
	}
	if (lane->kind == LANE_WRITE && lane->first == NULL)
		pump_later();
}

/* ---- connections that come and go ---- */

static void
batch_lost(struct batch *batch, bool surely_not)
{
	keys_release(batch);
	if (!surely_not) {
		for (size_t i = 0; i < batch->piece_count; i++) {
			PQclear(batch->pieces[i].result);
			batch->pieces[i].result = NULL;
		}
		batch_end(batch, DB_UNKNOWN);
		return;
	}
	batch_drop_merged(batch);
	writes_again(batch->ops, batch->n);
	batch_free(batch);
}

void
flights_lost(struct lane *lane, struct flight *first)
{
	struct batch *unsent = lane->unsent;
	bool surely_not = lane->last_words;
	bool head = true;

	lane->unsent = NULL;
	lane->last_words = false;
	if (db.cancel != NULL && db.cancel->lane == lane)
		db.cancel->lane = NULL;
	db.stats.reconnects++;
	while (first != NULL) {
		struct flight *flight = first;
		first = flight->next;
		if (flight->kind == FLIGHT_READ && flight->op != NULL)
			read_lost(flight->op);
		/* PostgreSQL may end between the commit and its word about it. */
		if (flight->kind == FLIGHT_SYNC && flight->batch != NULL)
			batch_lost(flight->batch, surely_not && !head);
		head = false;
		flight_free(flight);
	}
	while (unsent != NULL) {
		struct batch *batch = unsent;
		unsent = batch->next;
		batch_lost(batch, true);
	}
	pump_later();
}

static void notify(struct lane *lane, const char *channel, struct text payload);

static void
check_now(struct lane *lane)
{
	const struct db_op *check = db.connected();
	if (check != NULL && lane_send_check(lane, check))
		lane_flush(lane);
}

static void
listen_now(struct lane *lane, const struct ear *ear)
{
	char *name = PQescapeIdentifier(lane->conn, ear->channel, strlen(ear->channel));
	PRECOND(name != NULL);
	struct buf command = { 0 };
	buf_printf(&command, "listen %s", name);
	buf_byte(&command, '\0');
	(void)lane_send_command(lane, command.s);
	buf_free(&command);
	PQfreemem(name);
	if (!lane->broken)
		lane_flush(lane);
	ear->notified(TEXT_NONE, true);
}

void
lane_is_up(struct lane *lane)
{
	if (lane->was_up)
		log_info("database: connected again");
	/* Writes have arrays of any length as parameters: a plan made for each would cost more than the write. And one made while a table is empty would read all of it until the next analyze. */
	if (lane->kind == LANE_WRITE && lane_send_command(lane, "select set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false)"))
		lane_flush(lane);
	if (lane->kind == LANE_WRITE && db.word.channel != NULL)
		notify(lane, db.word.channel, db.word.payload);
	if (lane->kind == LANE_WRITE && db.connected != NULL)
		check_now(lane);
	for (int i = 0; lane == db.listener && i < db.ear_count; i++)
		listen_now(lane, &db.ears[i]);
	pump_later();
}

void
lane_notified(struct lane *lane, const char *channel, struct text payload)
{
	(void)lane;
	for (int i = 0; i < db.ear_count; i++)
		if (strcmp(channel, db.ears[i].channel) == 0)
			db.ears[i].notified(payload, false);
}

static void
pump(void *unused)
{
	(void)unused;
	db.pump = NULL;
	reads_pump();
	writes_pump();
}

/* At the end of the loop's turn: everything that was read from the clients in it goes into one batch. */
static void
pump_later(void)
{
	if (db.pump == NULL && db.started)
		db.pump = loop_after(0, pump, NULL);
}

static struct db_op *
expired(struct queue *queue, int64_t before_ms)
{
	struct db_op *before = NULL;
	for (struct db_op *op = queue->first; op != NULL; before = op, op = op->next)
		if (op->since_ms <= before_ms)
			return queue_take(queue, before);
	return NULL;
}

static void
queue_expire(struct queue *queue, enum lane_kind kind)
{
	if (lanes_up(kind))
		return;
	int64_t before_ms = loop_now_ms() - db.config.wait_ms;
	for (struct db_op *op; (op = expired(queue, before_ms)) != NULL;)
		op_end(op, NULL, DB_AWAY);
}

/* ---- reads that nobody waits for any more ---- */

static void
cancel_work(void *user)
{
	const struct cancel *cancel = user;
	char why[256];
	/* When it fails, the sweep tries again. */
	(void)PQcancel(cancel->key, why, sizeof(why));
}

static void
cancel_done(void *user)
{
	struct cancel *cancel = user;
	PQfreeCancel(cancel->key);
	if (cancel->lane != NULL)
		cancel->lane->canceled_ms = loop_now_ms();
	if (db.cancel == cancel)
		db.cancel = NULL;
	free(cancel);
}

static void
cancel_send(struct lane *lane)
{
	PGcancel *key = PQgetCancel(lane->conn);
	if (key == NULL)
		return;
	struct cancel *cancel = calloc(1, sizeof(*cancel));
	PRECOND(cancel != NULL);
	*cancel = (struct cancel){ key, lane };
	db.cancel = cancel;
	lane->canceled_ms = INT64_MAX;
	task_run(cancel_work, cancel_done, cancel);
}

static void
reads_abandon(void)
{
	struct queue gone = { 0 };
	for (struct db_op *before = NULL, *op = db.reads.first, *next; op != NULL; op = next) {
		next = op->next;
		if (is_gone(op))
			queue_push(&gone, queue_take(&db.reads, before));
		else
			before = op;
	}
	while (gone.first != NULL)
		op_end(queue_take(&gone, NULL), NULL, DB_AWAY);
	for (int i = 0; i < db.lane_count && db.cancel == NULL; i++) {
		struct lane *lane = &db.lanes[i];
		const struct flight *flight = lane->first;
		if (lane->state != LANE_UP || lane->broken || flight == NULL || flight->answered)
			continue;
		/* Still being prepared, for the read behind its Sync. */
		if (flight->kind == FLIGHT_PREPARE && flight->next != NULL && flight->next->next != NULL)
			flight = flight->next->next;
		if (flight->kind != FLIGHT_READ || flight->op == NULL || !is_gone(flight->op))
			continue;
		int64_t now_ms = loop_now_ms();
		if (now_ms - flight->sent_ms >= LONG_MS && (lane->canceled_ms == 0 || now_ms - lane->canceled_ms >= SWEEP_MS))
			cancel_send(lane);
	}
}

static void
sweep(void *unused)
{
	(void)unused;
	db.sweep = NULL;
	queue_expire(&db.reads, LANE_READ);
	queue_expire(&db.writes, LANE_WRITE);
	reads_abandon();
	bool busy = db.reads.n > 0 || db.writes.n > 0;
	for (int i = 0; i < db.lane_count; i++) {
		struct lane *lane = &db.lanes[i];
		busy = busy || lane->first != NULL || lane->stale;
		if (lane->state == LANE_UP && lane->stale && lane->first == NULL && loop_now_ms() - lane->up_ms > STALE_MS)
			lane_break(lane, "it cannot write");
		if (lane->state != LANE_UP || lane->first == NULL)
			continue;
		if (lane->broken || loop_now_ms() - lane->first->sent_ms > db.config.statement_timeout_ms + HANG_MS)
			lane_break(lane, "no answer");
	}
	if (busy)
		sweep_later();
}

static void
sweep_later(void)
{
	if (db.sweep == NULL && db.started)
		db.sweep = loop_after(SWEEP_MS, sweep, NULL);
}

/* ---- forgotten ops ---- */

static void
ghost_done(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	(void)result;
	(void)outcome;
	free(op);
}

static size_t
rounded(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

/* A copy of the op in one piece of memory, that frees itself when done. */
static struct db_op *
ghost_of(const struct db_op *op)
{
	size_t count = (size_t)op->param_count;
	size_t sql = op->statement == NULL && op->sql != NULL ? strlen(op->sql) + 1 : 0;
	size_t size = rounded(sizeof(*op)) + rounded(count * sizeof(struct db_param)) + rounded(op->order.n) + rounded(sql);
	for (size_t i = 0; i < count; i++)
		size += rounded((size_t)op->params[i].n);
	char *to = malloc(size);
	PRECOND(to != NULL);
	struct db_op *ghost = (struct db_op *)(void *)to;
	*ghost = *op;
	ghost->user = NULL;
	ghost->done = ghost_done;
	to += rounded(sizeof(*op));
	struct db_param *params = (struct db_param *)(void *)to;
	to += rounded(count * sizeof(*params));
	for (size_t i = 0; i < count; i++) {
		params[i] = op->params[i];
		if (params[i].bytes == NULL)
			continue;
		if (params[i].n > 0)
			memcpy(to, params[i].bytes, (size_t)params[i].n);
		params[i].bytes = to;
		to += rounded((size_t)params[i].n);
		if (params[i].n == 0)
			params[i].bytes = "";
	}
	ghost->params = params;
	if (op->order.n > 0)
		memcpy(to, op->order.s, op->order.n);
	ghost->order.s = to;
	to += rounded(op->order.n);
	if (sql > 0) {
		memcpy(to, op->sql, sql);
		ghost->sql = to;
	}
	return ghost;
}

static bool
forget_in_batch(struct batch *batch, struct db_op *op)
{
	for (size_t i = 0; i < batch->n; i++)
		if (batch->ops[i] == op) {
			batch->ops[i] = ghost_of(op);
			return true;
		}
	return false;
}

static bool
forget_sent(struct lane *lane, struct db_op *op)
{
	for (struct flight *flight = lane->first; flight != NULL; flight = flight->next) {
		if (flight->op == op) {
			flight->op = NULL;
			return true;
		}
		if (flight->kind == FLIGHT_SYNC && flight->batch != NULL && forget_in_batch(flight->batch, op))
			return true;
	}
	for (struct batch *batch = lane->unsent; batch != NULL; batch = batch->next)
		if (forget_in_batch(batch, op))
			return true;
	return false;
}

void
db_forget(struct db_op *op)
{
	struct db_op *before = NULL;
	for (struct db_op *at = db.reads.first; at != NULL; before = at, at = at->next)
		if (at == op) {
			(void)queue_take(&db.reads, before);
			return;
		}
	for (struct db_op **at = &db.writes.first; *at != NULL; at = &(*at)->next)
		if (*at == op) {
			struct db_op *ghost = ghost_of(op);
			*at = ghost;
			if (db.writes.last == op)
				db.writes.last = ghost;
			return;
		}
	for (int i = 0; i < db.lane_count; i++)
		if (forget_sent(&db.lanes[i], op))
			return;
}

/* ---- life ---- */

static void
lanes_add(enum lane_kind kind, int n)
{
	for (int i = 0; i < n; i++) {
		PRECOND(db.lane_count < MOST_LANES);
		struct lane *lane = &db.lanes[db.lane_count];
		lane->index = db.lane_count++;
		lane->kind = kind;
	}
}

void
db_start(const struct db_config *config)
{
	PRECOND(!db.started && config->read_lanes > 0 && config->write_lanes > 0);
	db.config = *config;
	if (db.config.wait_ms <= 0)
		db.config.wait_ms = 3000;
	if (db.config.statement_timeout_ms <= 0)
		db.config.statement_timeout_ms = 30000;
	lane_setup(&db.config);
	db.started = true;
	lanes_add(LANE_READ, config->read_lanes);
	lanes_add(LANE_WRITE, config->write_lanes);
	if (config->listener)
		lanes_add(LANE_LISTEN, 1);
	db.listener = config->listener ? &db.lanes[db.lane_count - 1] : &db.lanes[0];
	for (int i = 0; i < db.lane_count; i++)
		lane_connect(&db.lanes[i]);
}

void
db_stop(void)
{
	if (!db.started)
		return;
	db.started = false;
	if (db.late != NULL)
		loop_cancel(db.late);
	if (db.pump != NULL)
		loop_cancel(db.pump);
	if (db.sweep != NULL)
		loop_cancel(db.sweep);
	for (int i = 0; i < db.lane_count; i++) {
		struct lane *lane = &db.lanes[i];
		struct flight *lost = lane->first;
		lane->first = lane->last = NULL;
		lane_close(lane);
		flights_lost(lane, lost);
	}
	while (db.reads.first != NULL)
		op_end(queue_take(&db.reads, NULL), NULL, DB_AWAY);
	while (db.writes.first != NULL)
		op_end(queue_take(&db.writes, NULL), NULL, DB_AWAY);
	lane_teardown();
	for (struct flight *spare; (spare = db.spare) != NULL;) {
		db.spare = spare->next;
		free(spare);
	}
	memset(&db, 0, sizeof(db));
}

bool
db_ready(void)
{
	return lanes_up(LANE_READ) && lanes_up(LANE_WRITE);
}

void
db_on_connect(const struct db_op *(*connected)(void))
{
	db.connected = connected;
}

void
db_listen(const char *channel, void (*notified)(struct text payload, bool resync))
{
	PRECOND(db.started && db.ear_count < MOST_EARS);
	struct ear *ear = &db.ears[db.ear_count++];
	*ear = (struct ear){ channel, notified };
	if (db.listener->state == LANE_UP)
		listen_now(db.listener, ear);
}

static void
notify(struct lane *lane, const char *channel, struct text payload)
{
	char *name = PQescapeIdentifier(lane->conn, channel, strlen(channel));
	char *value = PQescapeLiteral(lane->conn, payload.n > 0 ? payload.s : "", payload.n);
	if (name != NULL && value != NULL) {
		struct buf command = { 0 };
		buf_printf(&command, "notify %s, %s", name, value);
		buf_byte(&command, '\0');
		if (lane_send_command(lane, command.s))
			lane_flush(lane);
		buf_free(&command);
	}
	PQfreemem(name);
	PQfreemem(value);
}

void
db_notify(const char *channel, struct text payload)
{
	struct lane *lane = db.listener;
	for (int i = 0; i < db.lane_count && (lane->state != LANE_UP || lane->broken); i++)
		if (db.lanes[i].kind == LANE_READ)
			lane = &db.lanes[i];
	if (db.started && lane->state == LANE_UP && !lane->broken)
		notify(lane, channel, payload);
}

void
db_announce(const char *channel, struct text payload)
{
	db.word = (struct word){ channel, payload };
}

struct db_stats
db_stats(void)
{
	struct db_stats stats = db.stats;
	stats.queued = db.reads.n + db.writes.n;
	stats.ready = db_ready();
	return stats;
}

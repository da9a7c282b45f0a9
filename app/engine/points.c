#include "engine/points.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/http.h"
#include "base/log.h"
#include "base/loop.h"
#include "sql_queries.h"

enum {
	APPLY_MS = 100,
	EARLY = 4096,           /* points that are moved without waiting any longer */
	BEHIND = 16 << 10,      /* points: about an eighth of a second of moving */
	ROOM_MS = 4,            /* between looks whether there is room again, whoever moves */
	MOVE_MOST = 2048,       /* points at once: some 20 ms, in which whoever changes marks of runs waits */
	TRIES = 5,              /* of one move, against deadlocks */
	VACUUM_BATCHES = 2000,  /* dead rows of metric_log that are worth a vacuum; about 3 MB */
	VACUUM_IDLE_MS = 2000,
	SAFE_MS = 60000,        /* no transaction that logs lives this long: its statement timeout is half of it */
	STOP_MS = 8000,
	HERE_MS = 2000,         /* between two words to other servers */
	ALONE_MS = 5000         /* without a word of theirs */
};

#define CHANNEL "tallyd_points"

/* Counts of points since the parent's start. The points of [applied, logged) may be in metric_log still. */
static struct shared {
	_Atomic uint64_t logged, applied;
	_Atomic bool moving;    /* a worker is; it may have died over it */
	_Atomic int64_t own_ms, other_ms; /* when a word of this server and one of another was heard */
	char id[24];
	_Atomic int64_t due_ms; /* when a worker will move them; in the past: nobody has it in mind */
} *shared;

static struct {
	struct db_op op;
	struct db_param params[2];
	int64_t after_be; /* the parameters, in network order */
	int32_t most_be;
	bool flying;
	int tries;
	uint64_t until;                     /* `logged` when the op was sent */
	struct points_wait *served, *waiting; /* by the op in flight; by the next one */
	struct points_wait *writers; /* for room */
	struct loop_timer *timer, *vacuum_timer, *room_timer;
	int64_t dead;
	int64_t said_ms;
	bool alone; /* when it was last looked */
	/* The largest seq that was seen, now and SAFE_MS ago: nothing new comes below the second. */
	int64_t seen, safe, safe_next, safe_next_ms;
} at;

static void send(void);

void
points_prepare(void)
{
	void *p = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t id;

	PRECOND(p != MAP_FAILED);
	shared = p;
	/* Whatever an earlier server left in the table. */
	atomic_store(&shared->logged, 1);
	PRECOND(getrandom(&id, sizeof(id), 0) == sizeof(id));
	snprintf(shared->id, sizeof(shared->id), "%016" PRIx64, id);
}

/* ---- other servers on the database ---- */

static void
word_heard(struct text id, bool resync)
{
	if (resync) {
		/* Who is there will answer within HERE_MS. */
		atomic_store(&shared->other_ms, loop_now_ms());
		db_notify(CHANNEL, text_from(shared->id));
	} else {
		atomic_store(text_is(id, shared->id) ? &shared->own_ms : &shared->other_ms, loop_now_ms());
	}
}

static void
word_say(void *unused)
{
	(void)unused;
	db_notify(CHANNEL, text_from(shared->id));
	loop_after(HERE_MS, word_say, NULL);
}

/* Others would have been heard: the last word of one is so long ago that it is not followed by anything of his. Whoever did not listen for a while takes it for one (word_heard()). */
bool
points_alone(int64_t since_ms)
{
	return since_ms - atomic_load(&shared->other_ms) > ALONE_MS && loop_now_ms() - atomic_load(&shared->own_ms) < ALONE_MS;
}

static bool
is_alone(void)
{
	return points_alone(loop_now_ms());
}

bool
points_pending(void)
{
	/* look() has to have counted what those who are gone left, too. */
	return points_moving() > 0 || !at.alone || !is_alone();
}

uint64_t
points_moving(void)
{
	uint64_t applied = atomic_load(&shared->applied);
	uint64_t logged = atomic_load(&shared->logged);

	return logged > applied ? logged - applied : 0;
}

bool
points_behind(void)
{
	return points_moving() > BEHIND;
}

/* ---- vacuum: dead rows are looked at by each move until it is done ---- */

static void
vacuum(void *unused)
{
	bool busy = at.dead >= VACUUM_BATCHES;

	(void)unused;
	at.vacuum_timer = NULL;
	at.dead = 0;
	/* To give the room back keeps writers out for a moment: not while they are many. */
	db_background_command(busy ? "vacuum (skip_locked, truncate off) metric_log" : "vacuum (skip_locked) metric_log");
}

static void
vacuum_consider(int64_t batches)
{
	at.dead += batches;
	if (at.dead == 0)
		return;
	if (at.vacuum_timer != NULL)
		loop_cancel(at.vacuum_timer);
	at.vacuum_timer = loop_after(at.dead >= VACUUM_BATCHES ? 0 : VACUUM_IDLE_MS, vacuum, NULL);
}

/* ---- moving ---- */

static void
fire(void *unused)
{
	(void)unused;
	at.timer = NULL;
	if (!at.flying && points_moving() > 0)
		send();
}

static void
fire_at(int64_t due_ms)
{
	int64_t now_ms = loop_now_ms();

	if (at.timer == NULL)
		at.timer = loop_after(due_ms > now_ms ? due_ms - now_ms : 0, fire, NULL);
}

static void
safe_note(int64_t last)
{
	int64_t now_ms = loop_now_ms();

	if (last > at.seen)
		at.seen = last;
	if (now_ms < at.safe_next_ms)
		return;
	at.safe = at.safe_next;
	at.safe_next = at.seen;
	at.safe_next_ms = now_ms + SAFE_MS;
}

static bool
worth_another_try(const PGresult *result, enum db_outcome outcome)
{
	const char *state = db_sqlstate(result);

	return outcome == DB_FAILED && ++at.tries < TRIES && (strcmp(state, "40P01") == 0 || strcmp(state, "40001") == 0);
}

static void
applied_note(uint64_t until)
{
	uint64_t was = atomic_load(&shared->applied);

	while (was < until && !atomic_compare_exchange_weak(&shared->applied, &was, until))
		;
}

/* After a part of them: the rest. */
static void
go_on(uint64_t moved)
{
	uint64_t applied = atomic_load(&shared->applied) + moved;

	/* Never all of them: requests that read wait for that. */
	if (applied < at.until)
		applied_note(applied);
	db_background(&at.op);
}

static void
wait_push(struct points_wait **end, struct points_wait *wait)
{
	while (*end != NULL)
		end = &(*end)->next;
	wait->next = NULL;
	*end = wait;
}

static void
waits_end(struct points_wait *first, PGresult *result, enum db_outcome outcome)
{
	struct points_wait *wait;

	while ((wait = first) != NULL) {
		first = wait->next;
		wait->done(wait->user, result, outcome);
	}
}

static void
writers_end(PGresult *result, enum db_outcome outcome)
{
	struct points_wait *first = at.writers;

	at.writers = NULL;
	waits_end(first, result, outcome);
}

static void
room_look(void *unused)
{
	(void)unused;
	at.room_timer = NULL;
	if (!points_behind())
		writers_end(NULL, DB_OK);
	else if (!at.flying && !atomic_load(&shared->moving))
		send();
	if (at.writers != NULL && at.room_timer == NULL)
		at.room_timer = loop_after(ROOM_MS, room_look, NULL);
}

void
points_room(struct points_wait *wait)
{
	wait_push(&at.writers, wait);
	if (at.room_timer == NULL)
		room_look(NULL);
}

static void
applied(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	struct points_wait *served = at.served;

	(void)op;
	if (worth_another_try(result, outcome)) {
		db_background(&at.op);
		return;
	}
	if (outcome == DB_OK) {
		safe_note(db_null(result, 0, 2) ? 0 : db_int8(result, 0, 2));
		vacuum_consider(db_int8(result, 0, 0));
		if (db_bool(result, 0, 3)) {
			go_on((uint64_t)db_int8(result, 0, 1));
			return;
		}
		applied_note(at.until);
	} else if (outcome == DB_FAILED && log_due(&at.said_ms)) {
		log_warn("logged points could not be moved: %s", db_message(result));
	}
	at.flying = false;
	atomic_store(&shared->moving, false);
	at.served = NULL;
	waits_end(served, result, outcome);
	if (outcome != DB_OK)
		writers_end(result, outcome);
	/* done() may have sent the next one. */
	if (!at.flying && at.waiting != NULL)
		send();
	else if (outcome != DB_OK && points_moving() > 0)
		fire_at(loop_now_ms() + 10 * APPLY_MS);
}

static void
send(void)
{
	at.flying = true;
	atomic_store(&shared->moving, true);
	at.tries = 0;
	at.until = atomic_load(&shared->logged);
	at.served = at.waiting;
	at.waiting = NULL;
	at.after_be = (int64_t)htobe64((uint64_t)at.safe);
	at.most_be = (int32_t)htobe32(MOVE_MOST);
	at.params[0] = (struct db_param){ .bytes = &at.after_be, .n = 8 };
	at.params[1] = (struct db_param){ .bytes = &at.most_be, .n = 4 };
	at.op = (struct db_op){ .statement = SQL_log_apply, .params = at.params, .param_count = 2, .done = applied };
	db_background(&at.op);
}

void
points_logged(size_t n)
{
	int64_t now_ms = loop_now_ms();
	int64_t due_ms = atomic_load(&shared->due_ms);

	if (n == 0)
		return;
	atomic_fetch_add(&shared->logged, n);
	if (points_moving() >= EARLY && !at.flying && !atomic_load(&shared->moving)) {
		send();
		return;
	}
	/* One worker has it in mind for all. */
	if (due_ms <= now_ms && atomic_compare_exchange_strong(&shared->due_ms, &due_ms, now_ms + APPLY_MS))
		fire_at(now_ms + APPLY_MS);
}

void
points_await(struct points_wait *wait)
{
	wait_push(&at.waiting, wait);
	if (!at.flying)
		send();
}

/* Who died with a move in mind is stood in for: a worker of this server, or another server. */
static void
look(void *unused)
{
	bool was_alone = at.alone;

	(void)unused;
	at.alone = is_alone();
	if (at.alone && !was_alone)
		atomic_fetch_add(&shared->logged, 1);
	if (points_moving() > 0 && atomic_load(&shared->due_ms) < loop_now_ms() - 10 * APPLY_MS)
		fire_at(0);
	loop_after(10 * APPLY_MS, look, NULL);
}

void
points_start(void)
{
	db_listen(CHANNEL, word_heard);
	db_announce(CHANNEL, text_from(shared->id)); /* who cannot listen, as PostgreSQL has no connection left, must be known to others all the same before it writes */
	loop_after(HERE_MS, word_say, NULL);
	loop_after(10 * APPLY_MS, look, NULL);
}

void
points_stop(void)
{
	int64_t until_ms = loop_now_ms() + STOP_MS;

	if (!db_ready())
		return;
	while ((at.flying || points_moving() > 0) && loop_now_ms() < until_ms) {
		if (!at.flying)
			send();
		loop_turn(20);
	}
}

/*
 * The database layer against a real PostgreSQL, on a small epoll loop of its own.
 *   db_test [URI]                   values, failures in a batch, mergers, forgotten ops, LISTEN
 *   db_test URI load SECONDS CMD    writers under fire: CMD (shell) is run meanwhile; then every acknowledged row must be there once
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/db.h"
#include "base/http.h"
#include "base/log.h"

#define CHECK(condition) \
	((condition) ? (void)0 : check_failed(#condition, __LINE__))

static _Noreturn void
check_failed(const char *what, int line)
{
	fprintf(stderr, "db_test.c:%d: %s\n", line, what);
	exit(1);
}

/* ---- a loop ---- */
struct loop_timer {
	struct loop_timer *next;
	int64_t at_ms;
	bool dead;
	void (*fire)(void *);
	void *user;
};
struct loop_fd {
	int fd;
	bool dead;
	void (*ready)(void *, int);
	void *user;
	struct loop_fd *next_dead;
};
static int epfd;
static struct loop_timer *timers;
static struct loop_fd *dead_fds;

int64_t
loop_now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
clock_ms(void)
{
	return loop_now_ms();
}

struct loop_timer *
loop_after(int64_t ms, void (*fire)(void *), void *user)
{
	struct loop_timer *t = calloc(1, sizeof(*t));
	CHECK(t != NULL);
	*t = (struct loop_timer){ timers, loop_now_ms() + ms, false, fire, user };
	timers = t;
	return t;
}

void
loop_cancel(struct loop_timer *t)
{
	t->dead = true;
}

static uint32_t
bits_of(int want)
{
	return (want & LOOP_READ ? EPOLLIN : 0u) | (want & LOOP_WRITE ? EPOLLOUT : 0u);
}

struct loop_fd *
loop_watch(int fd, int want, void (*ready)(void *, int), void *user)
{
	struct loop_fd *w = calloc(1, sizeof(*w));
	CHECK(w != NULL);
	*w = (struct loop_fd){ fd, false, ready, user, NULL };
	struct epoll_event event = { .events = bits_of(want), .data.ptr = w };
	CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
	return w;
}

void
loop_want(struct loop_fd *w, int want)
{
	struct epoll_event event = { .events = bits_of(want), .data.ptr = w };
	CHECK(epoll_ctl(epfd, EPOLL_CTL_MOD, w->fd, &event) == 0);
}

void
loop_unwatch(struct loop_fd *w)
{
	CHECK(epoll_ctl(epfd, EPOLL_CTL_DEL, w->fd, NULL) == 0);
	w->dead = true;
	w->next_dead = dead_fds;
	dead_fds = w;
}

static void
timers_run(void)
{
	int64_t now = loop_now_ms();
	for (bool again = true; again;) {
		again = false;
		for (struct loop_timer **at = &timers; *at != NULL;) {
			struct loop_timer *t = *at;
			if (!t->dead && t->at_ms > now) {
				at = &t->next;
				continue;
			}
			*at = t->next;
			bool dead = t->dead;
			void (*fire)(void *) = t->fire;
			void *user = t->user;
			free(t);
			if (!dead)
				fire(user);
			/* The list may be another one now; timers of 0 ms made in fire() wait for the next turn. */
			again = !dead;
			break;
		}
		if (loop_now_ms() > now)
			break;
	}
}

static void
turn(void)
{
	struct epoll_event events[64];
	int64_t wait = 100;
	for (const struct loop_timer *t = timers; t != NULL; t = t->next)
		if (!t->dead && t->at_ms - loop_now_ms() < wait)
			wait = t->at_ms - loop_now_ms();
	int n = epoll_wait(epfd, events, 64, wait < 0 ? 0 : (int)wait);
	for (int i = 0; i < n; i++) {
		struct loop_fd *w = events[i].data.ptr;
		uint32_t e = events[i].events;
		int bits = (e & EPOLLIN ? LOOP_READ : 0) | (e & EPOLLOUT ? LOOP_WRITE : 0) | (e & (EPOLLERR | EPOLLHUP) ? LOOP_READ | LOOP_WRITE : 0);
		if (!w->dead)
			w->ready(w->user, bits);
	}
	for (struct loop_fd *w; (w = dead_fds) != NULL;) {
		dead_fds = w->next_dead;
		free(w);
	}
	timers_run();
}

#define AWAIT(condition) \
	do { \
		int64_t await_until = loop_now_ms() + 20000; \
		while (!(condition)) { \
			CHECK(loop_now_ms() < await_until); \
			turn(); \
		} \
	} while (0)

/* ---- statements ---- */
enum { ECHO, PUT, PUT_MANY, COUNT, BROKEN, DOUBLE };
const struct db_statement db_statements[] = {
	{ "echo", "/**/select $1::bigint, $2::float8, $3::text, $4::boolean, $5::int4, $6::bigint[], $7::text[], $8::float8[], null::text, $9::int4[]", 9, ECHO },
	{ "put", "/**/insert into t (id, word) values ($1::bigint, $2::text) returning id", 2, PUT },
	{ "put_many", "/**/insert into t (id, word) select * from unnest($1::bigint[], $2::text[]) returning id", 2, PUT_MANY },
	{ "count", "/**/select count(*), count(distinct id) from t where id = any($1::bigint[])", 1, COUNT },
	{ "broken", "/**/select no_such_column from t", 0, BROKEN },
	{ "double", "/**/select i, n * 2, word, z from unnest($1::bigint[], $2::text[], $3::int4[]) with ordinality as x(n, word, z, i) where n is distinct from 7 order by i desc", 3, DOUBLE },
};
const size_t db_statement_count = 6;

static struct arena *arena;
static const char *uri;

struct seen {
	int count;
	enum db_outcome outcome;
	int64_t value;
	int tuples;
	char state[6];
};

static void
seen_done(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	struct seen *seen = op->user;
	seen->count++;
	seen->outcome = outcome;
	if (outcome == DB_OK) {
		seen->tuples = PQntuples(result);
		seen->value = seen->tuples > 0 && PQfformat(result, 0) == 1 ? db_int8(result, 0, 0) : 0;
	}
	snprintf(seen->state, sizeof(seen->state), "%s", db_sqlstate(result));
}

static struct db_op *
op_new(int statement, int params, struct seen *seen)
{
	struct db_op *op = ARENA_NEW(arena, struct db_op);
	op->statement = &db_statements[statement];
	op->params = arena_array(arena, (size_t)params + 1, sizeof(struct db_param));
	op->param_count = params;
	op->done = seen_done;
	op->user = seen;
	return op;
}

static void
set_param(struct db_op *op, int i, struct db_param param)
{
	union {
		const struct db_param *kept;
		struct db_param *set;
	} params = { .kept = op->params };
	params.set[i] = param;
}

/* ---- a merger as the nouns write them ---- */
static int merged_ops, freed;

static void
put_merge(struct db_op **ops, size_t n, struct db_op *out)
{
	int64_t *ids = calloc(n, sizeof(*ids));
	struct text *words = calloc(n, sizeof(*words));
	struct db_param *params = calloc(2, sizeof(*params));
	CHECK(ids != NULL && words != NULL && params != NULL);
	for (size_t i = 0; i < n; i++) {
		const unsigned char *bytes = ops[i]->params[0].bytes;
		for (int b = 0; b < 8; b++)
			ids[i] = (int64_t)((uint64_t)ids[i] << 8 | bytes[b]);
		words[i] = (struct text){ ops[i]->params[1].bytes, (size_t)ops[i]->params[1].n };
	}
	params[0] = db_p_int8s(ids, n, NULL);
	params[1] = db_p_texts(words, n, NULL);
	free(ids);
	free(words);
	out->statement = &db_statements[PUT_MANY];
	out->params = params;
	out->param_count = 2;
	merged_ops++;
}

static void
put_split(struct db_op **ops, size_t n, struct db_op *merged, PGresult *result, enum db_outcome outcome)
{
	union {
		const struct db_param *kept;
		struct db_param *freed;
	} params = { .kept = merged->params };
	db_p_array_free(&params.freed[0]);
	db_p_array_free(&params.freed[1]);
	free(params.freed);
	freed++;
	for (size_t i = 0; i < n; i++)
		ops[i]->done(ops[i], result, outcome);
}

static const struct db_merger put_merger = { .merge = put_merge, .split = put_split, .most = 1000 };

static struct db_op *
put_new(int64_t id, const char *word, bool merged, struct seen *seen)
{
	struct db_op *op = op_new(PUT, 2, seen);
	set_param(op, 0, db_p_int8(arena, id));
	set_param(op, 1, db_p_text(arena, text_from(word)));
	op->order = text_format(arena, "%020lld", (long long)(id % 50));
	op->merger = merged ? &put_merger : NULL;
	return op;
}

/* ---- the tests ---- */
static void
test_values(void)
{
	struct seen seen = { 0 };
	struct db_op *op = op_new(ECHO, 9, &seen);
	int64_t ints[] = { 1, -2, INT64_MAX };
	int32_t small[] = { -7, 8 };
	double doubles[] = { 1.5, -0.25 };
	struct text texts[] = { TEXT("a"), TEXT(""), TEXT("\xc3\xa4") };
	bool nulls[] = { false, true, false };
	set_param(op, 0, db_p_int8(arena, -5));
	set_param(op, 1, db_p_float8(arena, 0.1));
	set_param(op, 2, db_p_text(arena, TEXT("x'y")));
	set_param(op, 3, db_p_bool(arena, true));
	set_param(op, 4, db_p_int4(arena, -9));
	set_param(op, 5, db_p_int8s(ints, 3, nulls));
	set_param(op, 6, db_p_texts(texts, 3, NULL));
	set_param(op, 7, db_p_float8s(doubles, 2));
	set_param(op, 8, db_p_int4s(small, 2));
	db_read(op);
	AWAIT(seen.count == 1);
	CHECK(seen.outcome == DB_OK && seen.tuples == 1 && seen.value == -5);

	struct seen bad = { 0 };
	db_read(op_new(BROKEN, 0, &bad));
	AWAIT(bad.count == 1);
	CHECK(bad.outcome == DB_FAILED);

	struct seen text = { 0 };
	struct db_op *plain = op_new(ECHO, 1, &text);
	plain->statement = NULL;
	plain->sql = "/**/select $1 + 1";
	plain->timeout_ms = 700;
	set_param(plain, 0, db_p_int8(arena, 41));
	db_read(plain);
	AWAIT(text.count == 1);
	CHECK(text.outcome == DB_OK && text.value == 42);

	struct seen slow = { 0 };
	struct db_op *sleeper = op_new(ECHO, 0, &slow);
	sleeper->statement = NULL;
	sleeper->sql = "/**/select pg_sleep(5)";
	sleeper->timeout_ms = 100;
	db_read(sleeper);
	AWAIT(slow.count == 1);
	CHECK(slow.outcome == DB_FAILED && strcmp(slow.state, "57014") == 0);
}

static void
test_one_bad_op_fails_alone(bool merged)
{
	enum { N = 100 };
	static struct seen seen[N];
	memset(seen, 0, sizeof(seen));
	int64_t from = merged ? 1000 : 2000;
	for (int i = 0; i < N; i++)
		db_write(put_new(from + i, i == 37 ? "bad" : "good", merged, &seen[i]));
	for (int i = 0; i < N; i++)
		AWAIT(seen[i].count == 1);
	for (int i = 0; i < N; i++)
		CHECK(seen[i].count == 1 && seen[i].outcome == (i == 37 ? DB_FAILED : DB_OK));
	CHECK(strcmp(seen[37].state, "23514") == 0);
	CHECK(merged_ops == freed);
	struct db_stats stats = db_stats();
	CHECK(stats.batch_ops_max >= N && stats.queued == 0);
}

static void
row_done(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	struct seen *seen = op->user;
	CHECK(outcome == DB_OK);
	seen->count++;
	seen->tuples = PQntuples(result);
	seen->value = op->row < 0 ? -1 : db_null(result, op->row, 1) ? -2 : db_int8(result, op->row, 1);
	CHECK(op->row < 0 || (text_is(db_text(result, op->row, 2), "word") && db_null(result, op->row, 3)));
}

/* Each finds its own row; two of one order are two statements, when their merger says so. */
static void
test_rows(bool apart)
{
	static struct db_merger merger = { .merge = db_rows_merge, .split = db_rows_split, .most = 1000 };
	struct seen seen[12] = { 0 };
	merger.apart = apart;
	for (int i = 0; i < 12; i++) {
		struct db_op *op = op_new(DOUBLE, 3, &seen[i]);
		set_param(op, 0, i == 5 ? db_p_null() : db_p_int8(arena, i));
		set_param(op, 1, db_p_text(arena, TEXT("word")));
		set_param(op, 2, db_p_null());
		op->order = i < 10 ? text_format(arena, "%d", i) : TEXT("10");
		op->merger = &merger;
		op->done = row_done;
		db_write(op);
	}
	for (int i = 0; i < 12; i++)
		AWAIT(seen[i].count == 1);
	for (int i = 0; i < 12; i++)
		CHECK(seen[i].count == 1 && seen[i].value == (i == 7 ? -1 : i == 5 ? -2 : 2 * i));
	CHECK(seen[0].tuples + seen[11].tuples == (apart ? 11 : 22));
}

static void
test_forgotten_write_is_carried_out(void)
{
	struct seen seen = { 0 }, after = { 0 };
	struct arena *own = arena_new(), *kept = arena;
	arena = own;
	struct db_op *op = put_new(3000, "forgotten", true, &seen);
	struct db_op *sent = put_new(3001, "forgotten", false, &seen);
	db_write(op);
	db_write(sent);
	db_forget(op);
	turn();
	turn();
	if (seen.count == 0)
		db_forget(sent);
	arena = kept;
	arena_free(own);
	struct db_op *count = op_new(COUNT, 1, &after);
	int64_t ids[] = { 3000, 3001 };
	struct db_param list = db_p_int8s(ids, 2, NULL);
	set_param(count, 0, list);
	int64_t until = loop_now_ms() + 10000;
	do {
		after.count = 0;
		db_read(count);
		AWAIT(after.count == 1);
		CHECK(after.outcome == DB_OK && loop_now_ms() < until);
	} while (after.value != 2);
	db_p_array_free(&list);
	CHECK(seen.count <= 1);
}

static int notes, resyncs;
static char last_note[64];

static void
notified(struct text payload, bool resync)
{
	notes++;
	resyncs += resync;
	snprintf(last_note, sizeof(last_note), TEXT_FMT, TEXT_ARG(payload));
}

static void
test_listen(void)
{
	db_listen("tallyd_test", notified);
	int64_t until = loop_now_ms() + 10000;
	while (notes == resyncs && loop_now_ms() < until) {
		db_notify("tallyd_test", TEXT("it's {\"a\":1}"));
		turn();
	}
	CHECK(notes > resyncs && resyncs > 0 && strcmp(last_note, "it's {\"a\":1}") == 0);
}

/* ---- load ---- */
enum { WRITERS = 128, MOST_IDS = 4000000 };
static unsigned char *state_of; /* by id: 1 acknowledged, 2 unknown, 3 refused */
static int64_t next_id = 1000000;
static bool stopping;
static int open_writers;
static uint64_t acknowledged, unknown, away, failed, read_ok, read_away, read_failed;
static int64_t slowest_ms;

struct writer {
	struct db_op op;
	struct db_param params[2];
	unsigned char id_bytes[8];
	char order[24];
	int64_t id, since_ms;
};

static void writer_next(struct writer *w);

static void
writer_done(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	struct writer *w = op->user;
	(void)result;
	int64_t took = loop_now_ms() - w->since_ms;
	if (took > slowest_ms)
		slowest_ms = took;
	state_of[w->id - 1000000] = outcome == DB_OK ? 1 : outcome == DB_UNKNOWN ? 2 : 3;
	acknowledged += outcome == DB_OK;
	unknown += outcome == DB_UNKNOWN;
	away += outcome == DB_AWAY;
	failed += outcome == DB_FAILED;
	if (outcome == DB_FAILED)
		fprintf(stderr, "failed: %s", PQresultErrorMessage(result));
	writer_next(w);
}

static void
writer_next(struct writer *w)
{
	if (stopping || next_id - 1000000 >= MOST_IDS) {
		open_writers--;
		return;
	}
	w->id = next_id++;
	w->since_ms = loop_now_ms();
	for (int i = 0; i < 8; i++)
		w->id_bytes[i] = (unsigned char)((uint64_t)w->id >> (56 - 8 * i));
	w->params[0] = (struct db_param){ w->id_bytes, 8, false, 0 };
	w->params[1] = (struct db_param){ "load", 4, false, 0 };
	snprintf(w->order, sizeof(w->order), "%lld", (long long)(w->id % 300));
	w->op = (struct db_op){ .statement = &db_statements[PUT], .params = w->params, .param_count = 2, .order = text_from(w->order),
		.merger = w->id % 3 != 0 ? &put_merger : NULL, .done = writer_done, .user = w };
	db_write(&w->op);
}

static void
reader_done(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	(void)result;
	read_ok += outcome == DB_OK;
	read_away += outcome == DB_AWAY;
	read_failed += outcome == DB_FAILED;
	if (stopping)
		open_writers--;
	else
		db_read(op);
}

static void
check_rows(void)
{
	PGconn *conn = NULL;
	int64_t until = loop_now_ms() + 20000;
	for (;;) {
		conn = PQconnectdb(uri);
		if (PQstatus(conn) == CONNECTION_OK)
			break;
		CHECK(loop_now_ms() < until);
		PQfinish(conn);
		usleep(50000);
	}
	PGresult *rows = PQexec(conn, "/**/select id, count(*) from t where id >= 1000000 group by id");
	CHECK(PQresultStatus(rows) == PGRES_TUPLES_OK);
	uint64_t found = 0, doubled = 0, ghosts = 0, found_unknown = 0;
	for (int i = 0; i < PQntuples(rows); i++) {
		int64_t id = strtoll(PQgetvalue(rows, i, 0), NULL, 10);
		doubled += strcmp(PQgetvalue(rows, i, 1), "1") != 0;
		found += state_of[id - 1000000] == 1;
		found_unknown += state_of[id - 1000000] == 2;
		ghosts += state_of[id - 1000000] == 3;
	}
	printf("acknowledged %llu, of them stored %llu, doubled %llu; unknown %llu (stored %llu); refused %llu (stored %llu), failed %llu; reads ok %llu away %llu failed %llu; slowest write %lld ms; reconnects %llu batches %llu largest %llu\n",
	    (unsigned long long)acknowledged, (unsigned long long)found, (unsigned long long)doubled, (unsigned long long)unknown, (unsigned long long)found_unknown,
	    (unsigned long long)away, (unsigned long long)ghosts, (unsigned long long)failed, (unsigned long long)read_ok, (unsigned long long)read_away,
	    (unsigned long long)read_failed, (long long)slowest_ms, (unsigned long long)db_stats().reconnects, (unsigned long long)db_stats().batches,
	    (unsigned long long)db_stats().batch_ops_max);
	CHECK(found == acknowledged && doubled == 0 && ghosts == 0 && failed == 0 && read_failed == 0);
	PQclear(rows);
	PQfinish(conn);
}

static void
test_load(int seconds, const char *command)
{
	static struct writer writers[WRITERS];
	static struct db_op readers[8];
	static struct db_param ids;
	int64_t one[] = { 1, 2, 3 };
	state_of = calloc(MOST_IDS, 1);
	CHECK(state_of != NULL);
	ids = db_p_int8s(one, 3, NULL);
	open_writers = WRITERS + 8;
	for (int i = 0; i < WRITERS; i++)
		writer_next(&writers[i]);
	for (int i = 0; i < 8; i++) {
		readers[i] = (struct db_op){ .statement = &db_statements[COUNT], .params = &ids, .param_count = 1, .done = reader_done };
		db_read(&readers[i]);
	}
	fflush(NULL);
	pid_t child = command != NULL ? fork() : -1;
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	int64_t until = loop_now_ms() + seconds * 1000;
	while (loop_now_ms() < until)
		turn();
	stopping = true;
	AWAIT(open_writers == 0);
	if (child > 0) {
		kill(child, SIGTERM);
		waitpid(child, NULL, 0);
	}
	db_p_array_free(&ids);
	check_rows();
	free(state_of);
}

int
main(int argc, char **argv)
{
	uri = argc > 1 ? argv[1] : getenv("TALLYD_TEST_DATABASE");
	if (uri == NULL) {
		/* From the top folder: with a cluster for the occasion. */
		execl("tests/lib/with-postgres", "with-postgres", argv[0], (char *)NULL);
		perror("tests/lib/with-postgres");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	log_setup(LOG_LEVEL_INFO, 0, "db_test");
	epfd = epoll_create1(EPOLL_CLOEXEC);
	arena = arena_new();
	PGconn *conn = PQconnectdb(uri);
	CHECK(PQstatus(conn) == CONNECTION_OK);
	PQclear(PQexec(conn, "/**/drop table if exists t; create table t (id bigint, word text check (word <> 'bad'))"));
	PQfinish(conn);
	db_start(&(struct db_config){ .uri = uri, .read_lanes = 2, .write_lanes = 2, .listener = true, .application_name = "db_test" });
	AWAIT(db_ready());
	if (argc > 2) {
		test_load((int)strtol(argv[3], NULL, 10), argc > 4 ? argv[4] : NULL);
	} else {
		test_values();
		test_one_bad_op_fails_alone(false);
		test_one_bad_op_fails_alone(true);
		test_rows(false);
		test_rows(true);
		test_forgotten_write_is_carried_out();
		test_listen();
	}
	db_stop();
	arena_free(arena);
	printf("ok\n");
	return 0;
}

#ifndef ENGINE_POINTS_H
#define ENGINE_POINTS_H
/*
 * Logged points on their way: log_write() puts them into metric_log with the commit that answers the client, log_apply() moves them into metrics and latest_metrics (sql/functions). It runs a tenth
 * of a second after the first of them, and before each request that reads points, so that no reader sees less than was answered. Servers on one database say every few seconds that they are there: with
 * others around a request that reads points moves them always, alone a server knows when nothing is on its way.
 */
#include "base/db.h"

/* In the parent, before the workers are forked: what all of them know together. */
void points_prepare(void);
/* In a worker, once the database layer is started. What an earlier server left is moved. */
void points_start(void);
/* The server ends: moves what is left, for eight seconds at most. */
void points_stop(void);

/* n points were committed, or perhaps were. */
void points_logged(size_t n);
/* May there be logged points that were not moved? */
bool points_pending(void);
/* No other server was on the database since then (loop_now_ms()), as far as can be known. */
bool points_alone(int64_t since_ms);
/* How many of this server's, about. */
uint64_t points_moving(void);
/* Are there so many that writers should wait (points_room())? */
bool points_behind(void);

/* Somebody who waits until everything that was logged before points_await() is moved. `result` and `outcome` are of the last try. Stays put until done(). */
struct points_wait {
	void (*done)(void *user, PGresult *result, enum db_outcome outcome);
	void *user;
	struct points_wait *next; /* the module's */
};
void points_await(struct points_wait *);
/* Somebody who waits until there are few enough. `result` and `outcome` as above when nothing could be moved, else NULL and DB_OK. */
void points_room(struct points_wait *);
#endif

/* Asks the database to settle, seal and forget, a little at a time; and gives memory back. */
#include "base/jobs.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/db.h"
#include "base/http.h"
#include "base/log.h"
#include "sql_queries.h"

#define IDLE_MS 4000
#define BUSY_MS 100

static struct db_op op;
static void ask(void *unused);

static void
asked(struct db_op *unused, PGresult *result, enum db_outcome outcome)
{
	int64_t done = outcome == DB_OK ? db_int8(result, 0, 0) : 0;

	(void)unused;
	if (outcome == DB_FAILED)
		log_warn("background work failed: %s", db_message(result));
	/* A history of a million points leaves a hundred megabytes that malloc would keep. */
	if (done <= 0)
		malloc_trim(0);
	/* Spread over the workers, so that they do not ask at one time. */
	loop_after(done > 0 ? BUSY_MS : IDLE_MS + (getpid() % 16) * 50, ask, NULL);
}

static void
ask(void *unused)
{
	(void)unused;
	/* On a read lane: a transaction of its own, apart from the batches of writes. */
	op = (struct db_op){ .statement = SQL_run_jobs, .timeout_ms = 20000, .done = asked };
	db_read(&op);
}

void
jobs_start(void)
{
	loop_after(IDLE_MS, ask, NULL);
}

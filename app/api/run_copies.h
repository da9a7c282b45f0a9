#ifndef API_RUN_COPIES_H
#define API_RUN_COPIES_H
/*
 * Runs as they were last served in a page of a search, kept by each worker: the runs table asks for the same ones again and again. A copy holds until the run is changed through this server (engine/changes.h),
 * at most for COPY_MS, which is for what is changed past it; while other servers are on the database there are none.
 */
#include "base/text.h"

#define COPY_MS 10000

/* The run's JSON, or TEXT_NONE; holds until the next run_copy_keep(). */
struct text run_copy(int64_t run);
/* `changes`: changes_now() from before its rows were read; since_ms: loop_now_ms() of then. */
void run_copy_keep(int64_t run, struct text run_id, struct text json, uint64_t changes, int64_t since_ms);
#endif

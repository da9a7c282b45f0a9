#ifndef BASE_TASK_H
#define BASE_TASK_H
/*
 * A few threads for what would block the loop: fsync, directory walks, RSA. A worker's own, started when first needed.
 * work() runs in a thread: it touches its own struct and nothing else (no arena, no op). done() runs on the loop afterwards, always, exactly once.
 */
#include <stddef.h>

void task_run(void (*work)(void *), void (*done)(void *), void *user);
/* Tasks whose done() has not run yet. */
size_t task_pending(void);
#endif

#ifndef ENGINE_STATS_H
#define ENGINE_STATS_H
#include <stdint.h>

struct call;
struct buf;

/* In the parent, before the workers are forked: memory that all of them share. */
void stats_prepare(int workers);
/* In a worker: which part of it is its own (0 ..). */
void stats_worker(int worker);
/* Counts an ended request by row, status class and time. */
void stats_request(const struct call *);
/* Metric points and runs that were stored. */
void stats_stored(uint64_t points, uint64_t runs);
/* Runs in pages of searches that came from copies. */
void stats_copied(uint64_t runs);
/* Bytes of artifacts that passed through this process, from and to clients. */
void stats_artifact(uint64_t in, uint64_t out);
/* Prometheus text of all workers. */
void stats_print(struct buf *);
#endif

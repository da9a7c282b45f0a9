#ifndef ENGINE_STATS_H
#define ENGINE_STATS_H
struct call;
struct buf;
/* Counts an ended request by row, status class and time. */
void stats_request(const struct call *);
#endif

#ifndef ENGINE_ROUTE_H
#define ENGINE_ROUTE_H
#include "engine/call.h"

/* Reads the tables; ends the process when a row says nothing of what it is about. */
void route_setup(void);
/* Sets call->endpoint, path variables and ajax; false: call->fail is set (404 or 405). */
bool route_find(struct call *) must_check;
/* Value of Allow for a path. */
struct text route_allowed(struct arena *, struct text path);
/* Number of a row, for counters: 0 .. route_count() - 1. */
size_t route_number(const struct endpoint *);
size_t route_count(void);
const struct endpoint *route_row(size_t number);
#endif

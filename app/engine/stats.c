/* Counters of requests, for /metrics. Kept by each worker for itself in shared memory laid out before the fork. */
#include "engine/stats.h"

#include "engine/call.h"

void
stats_request(const struct call *call)
{
	(void)call;
}

/* Changes on their way to the pages. */
#include "api/live.h"

void
live_changed(struct text run_id)
{
	(void)run_id;
}

void
live_experiment_changed(struct text experiment_id)
{
	(void)experiment_id;
}

void
live_start(void)
{
}

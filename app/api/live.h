#ifndef API_LIVE_H
#define API_LIVE_H
#include "base/text.h"
/* A run (or experiment) changed and the change is committed: the pages that show it will hear of it, at most five times a second. */
void live_changed(struct text run_id);
void live_experiment_changed(struct text experiment_id);
/* In a worker, once the database layer is started; before its drain. */
void live_start(void);
void live_stop(void);
size_t live_pages(void);
#endif

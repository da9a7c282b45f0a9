#ifndef BASE_DB_RESOLVE_H
#define BASE_DB_RESOLVE_H
/* Where libpq is to connect to: the connection string with our session settings, and host names turned to addresses off the loop. */
#include "base/db.h"

struct db_target {
	const char *const *keywords;
	const char *const *values;
	int connect_timeout_ms;
};

/* False: the connection string is wrong; *why is malloc'd. */
bool resolve_setup(const struct db_config *config, char **why);
void resolve_teardown(void);
/* True when the target can be used at once: no host name in it, or looked up within the last 10 s. Otherwise a look-up runs in a thread and each `ready` waits for its end. */
bool resolve_fresh(void);
void resolve_wait(void (*ready)(void *user, bool found), void *user);
struct db_target resolve_target(void);
#endif

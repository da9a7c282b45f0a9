#ifndef API_USAGE_H
#define API_USAGE_H
/* Bytes and files of each run's and logged model's artifacts (artifact_usage, model_usage): counted as they come and go, and asked of the bucket where clients write past the server. */
#include "api/artifact.h"

/* What an operation of the store that ended well has stored or removed. Answers do not wait for it. */
void usage_stored(struct artifact *);
void usage_removed(struct artifact *);
/* A client was given an address that it can put a->key to for ttl_s seconds. */
void usage_opened(struct artifact *, int64_t ttl_s);
/* In a worker: asks the bucket now and then. */
void usage_start(void);
#endif

#ifndef STORE_GCS_H
#define STORE_GCS_H
#include "base/text.h"

struct store;

/* gs://bucket or gs://bucket/path. One per worker and destination, never freed. */
struct store *gcs_open(struct text destination, char *why, size_t n);
/* Splits gs://bucket/path; the path without slashes around it. */
bool gcs_split(struct text uri, struct text *bucket, struct text *path) must_check;
#endif

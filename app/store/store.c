/* Which store a destination means. */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/gcs.h"
#include "store/local.h"

struct store *
store_open(const char *destination, char *why, size_t n)
{
	if (strncmp(destination, "gs://", 5) == 0)
		return gcs_open(text_from(destination), why, n);
	if (strncmp(destination, "file://", 7) == 0)
		return local_open(destination + 7, why, n);
	if (strncmp(destination, "file:", 5) == 0)
		return local_open(destination + 5, why, n);
	if (strstr(destination, "://") != NULL) {
		snprintf(why, n, "artifacts can lie in a folder or in gs://bucket/path, not in %s", destination);
		return NULL;
	}
	return local_open(destination, why, n);
}

/* Buckets named by experiments; a handful in practice, and each lookup walks them. */
struct named {
	struct named *next;
	struct store *store;
	size_t n;
	char bucket[];
};

struct store *
store_for_uri(struct text uri, struct text *key_prefix, char *why, size_t n)
{
	static struct named *all;
	struct named *b;
	struct text bucket;
	struct buf address = { 0 };

	if (!gcs_split(uri, &bucket, key_prefix)) {
		snprintf(why, n, "not in a bucket: " TEXT_FMT, TEXT_ARG(uri));
		return NULL;
	}
	for (b = all; b != NULL; b = b->next) {
		if (text_eq(bucket, (struct text){ b->bucket, b->n }))
			return b->store;
	}
	b = calloc(1, sizeof(*b) + bucket.n);
	PRECOND(b != NULL);
	b->n = bucket.n;
	memcpy(b->bucket, bucket.s, bucket.n);
	buf_puts(&address, "gs://");
	buf_text(&address, bucket);
	b->store = gcs_open(buf_view(&address), why, n);
	buf_free(&address);
	if (b->store == NULL) {
		free(b);
		return NULL;
	}
	b->next = all;
	all = b;
	return b->store;
}

void
store_check(struct store *store, void (*done)(void *, bool, struct text), void *user)
{
	store->check(store, done, user);
}

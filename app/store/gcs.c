/*
 * Artifacts in a Google Cloud Storage bucket, by its XML API: it alone has multipart uploads with signed parts. Whatever may be signed is for the client, the rest goes through
 * the server. Here a bucket is opened; gcs_job.h says which file does what.
 */
#include "store/gcs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/gcs_job.h"

bool
gcs_split(struct text uri, struct text *bucket, struct text *path)
{
	struct text rest;
	size_t i, slash;

	if (!text_starts(uri, "gs://"))
		return false;
	rest = text_skip(uri, 5);
	slash = text_find(rest, '/');
	*bucket = (struct text){ rest.s, slash };
	*path = slash < rest.n ? text_skip(rest, slash + 1) : TEXT("");
	while (path->n > 0 && path->s[path->n - 1] == '/')
		path->n--;
	while (path->n > 0 && path->s[0] == '/')
		*path = text_skip(*path, 1);
	/* Google's rule for bucket names. */
	if (bucket->n < 3 || bucket->n > 222)
		return false;
	for (i = 0; i < bucket->n; i++) {
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", bucket->s[i]) == NULL || bucket->s[i] == '\0')
			return false;
	}
	return memchr(path->s, '?', path->n) == NULL && memchr(path->s, '#', path->n) == NULL;
}

static void
endpoint(struct gcs *g)
{
	const char *emulator = getenv("STORAGE_EMULATOR_HOST");
	const char *at = emulator != NULL ? strstr(emulator, "://") : NULL;
	struct buf host = { 0 };

	if (emulator != NULL && *emulator != '\0') {
		g->scheme = at != NULL ? strndup(emulator, (size_t)(at - emulator)) : strdup("http");
		buf_puts(&host, at != NULL ? at + 3 : emulator);
		while (host.n > 0 && host.s[host.n - 1] == '/')
			host.n--;
	} else {
		g->scheme = strdup("https");
		buf_printf(&host, "storage.%s", gcp_universe(g->gcp));
	}
	buf_byte(&host, '\0');
	g->host = host.s;
	PRECOND(g->scheme != NULL);
}

struct store *
gcs_open(struct text destination, char *why, size_t n)
{
	static const struct store functions = {
		.scheme = "gs",
		.can_sign = true,
		.stat = gcs_stat,
		.get = gcs_get,
		.put = gcs_put,
		.put_bytes = gcs_put_bytes,
		.put_end = gcs_put_end,
		.abort = gcs_abort,
		.resume = gcs_resume,
		.list = gcs_list,
		.remove = gcs_remove,
		.sign_get = gcs_sign_get,
		.sign_put = gcs_sign_put,
		.multipart_create = gcs_multipart_create,
		.multipart_complete = gcs_multipart_complete,
		.multipart_abort = gcs_multipart_abort,
		.usage = gcs_usage,
		.sweep = gcs_sweep,
		.check = gcs_check,
	};
	struct gcs *g;
	struct gcp *gcp;
	struct text bucket, path;
	struct buf prefix = { 0 };
	const char *unsigned_why;

	if (!gcs_split(destination, &bucket, &path)) {
		snprintf(why, n, "not a bucket's address: " TEXT_FMT " (gs://bucket/path)", TEXT_ARG(destination));
		return NULL;
	}
	gcp = gcp_open(why, n);
	if (gcp == NULL)
		return NULL;
	g = calloc(1, sizeof(*g));
	PRECOND(g != NULL);
	g->gcp = gcp;
	g->bucket = strndup(bucket.s, bucket.n);
	buf_text(&prefix, path);
	if (path.n > 0)
		buf_byte(&prefix, '/');
	buf_byte(&prefix, '\0');
	g->prefix = prefix.s;
	endpoint(g);
	g->store = functions;
	g->store.can_sign = gcp_can_sign(gcp, &unsigned_why);
	g->store.priv = g;
	return &g->store;
}

/* Whatever is taken as a key stays below its root, however often it is decoded again. */
#include <stdlib.h>

#include "base/arena.h"
#include "store/gcs.h"
#include "store/store.h"
#include "../unit/tiny_loop.h" /* the store's files need a loop to link; nothing runs on it here */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void
stays_inside(struct text key)
{
	struct text rest = key;

	PRECOND(key.n > 0 && key.n <= 1024 && key.s[0] != '/' && text_utf8(key));
	for (;;) {
		size_t slash = text_find(rest, '/');
		struct text segment = { rest.s, slash };

		PRECOND(segment.n > 0 && segment.n <= 255 && !text_is(segment, ".") && !text_is(segment, ".."));
		if (slash == rest.n)
			return;
		rest = text_skip(rest, slash + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct arena *arena = arena_new();
	struct text given = { (const char *)bytes, n }, decoded, key, bucket, path;
	const char *why = NULL;

	if (n > 0 && text_percent_decode(arena, given, false, &decoded) && decoded.n > 0) {
		if (artifact_key(arena, decoded, false, &key, &why)) {
			PRECOND(text_eq(key, decoded));
			stays_inside(key);
			/* Decoded once more it still has the same segments. */
			if (text_percent_decode(arena, key, false, &decoded) && decoded.n > 0 && text_utf8(decoded) && memchr(decoded.s, '%', decoded.n) == NULL)
				stays_inside(decoded);
			PRECOND(artifact_type(key) != NULL);
		} else {
			PRECOND(why != NULL);
		}
	}
	if (gcs_split(given, &bucket, &path))
		PRECOND(bucket.n >= 3 && memchr(bucket.s, '/', bucket.n) == NULL && (path.n == 0 || path.s[0] != '/'));
	arena_free(arena);
	return 0;
}

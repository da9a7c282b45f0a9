#ifndef BASE_ASSET_H
#define BASE_ASSET_H
/* The web UI's files inside the binary (build/generated/ui_assets.c, made by tools/embed.c from app/ui/dist, or from tools/fallback when that is not built). */
#include "base/text.h"

struct asset {
	const char *name; /* path below the UI's folder, e.g. "assets/main-1a2b.js"; sorted */
	const char *type; /* Content-Type */
	const char *etag; /* strong, with its quotes: from the content's hash */
	const unsigned char *bytes;
	size_t n;
	const unsigned char *gzip; /* NULL when packing gains nothing */
	size_t gzip_n;
};
extern const struct asset assets[];
extern const size_t asset_count;
/* NULL when there is none. */
const struct asset *asset_find(struct text name);
#endif

/* Which store a destination means. */
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#include "store/local.h"

struct store *
store_open(const char *destination, char *why, size_t n)
{
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

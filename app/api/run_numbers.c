#include "api/run_numbers.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define SLOTS 16384u /* 640 kB, when a worker logs at all; at three quarters it starts anew */
#define ID_BYTES 32  /* only what looks like an id of ours */

struct known {
	char run_id[ID_BYTES];
	int64_t number; /* 0: free */
};

static struct {
	struct known *slots;
	size_t n;
	int64_t changes;
} cache;

/* Where it is, or where it would go. */
static struct known *
slot(struct text run_id)
{
	size_t i = text_hash(run_id) % SLOTS;

	while (cache.slots[i].number != 0 && memcmp(cache.slots[i].run_id, run_id.s, ID_BYTES) != 0)
		i = (i + 1) % SLOTS;
	return &cache.slots[i];
}

bool
run_number(struct text run_id, int64_t *out)
{
	if (cache.n == 0 || run_id.n != ID_BYTES)
		return false;
	*out = slot(run_id)->number;
	return *out != 0;
}

int64_t
run_numbers_changes(void)
{
	return cache.changes;
}

void
run_numbers_forget(void)
{
	if (cache.n > 0)
		memset(cache.slots, 0, SLOTS * sizeof(*cache.slots));
	cache.n = 0;
}

void
run_number_learn(struct text run_id, int64_t number, int64_t changes)
{
	struct known *known;

	if (run_id.n != ID_BYTES)
		return;
	if (cache.slots == NULL) {
		cache.slots = calloc(SLOTS, sizeof(*cache.slots));
		PRECOND(cache.slots != NULL);
	}
	if (changes != cache.changes || cache.n >= SLOTS / 4 * 3)
		run_numbers_forget();
	cache.changes = changes;
	known = slot(run_id);
	if (known->number != 0)
		return;
	memcpy(known->run_id, run_id.s, ID_BYTES);
	known->number = number;
	cache.n++;
}

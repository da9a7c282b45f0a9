#include "api/run_copies.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/loop.h"
#include "config.h"
#include "engine/changes.h"
#include "engine/points.h"

#define SLOT_BITS 12
#define COPY_MOST ((size_t)256 << 10) /* a larger run is read each time */

struct copy {
	int64_t run;
	struct copy *next;          /* of its slot */
	struct copy *newer, *older; /* in the order in which they were kept */
	uint64_t changes;
	size_t place; /* in engine/changes.h */
	int64_t since_ms;
	size_t n;
	char json[];
};

static struct {
	struct copy **slots;
	struct copy *newest, *oldest;
	size_t bytes;
} kept;

static struct copy **
slot_of(int64_t run)
{
	return &kept.slots[((uint64_t)run * 0x9E3779B97F4A7C15u) >> (64 - SLOT_BITS)];
}

static struct copy **
link_of(int64_t run)
{
	struct copy **at = slot_of(run);

	while (*at != NULL && (*at)->run != run)
		at = &(*at)->next;
	return at;
}

static size_t
size_of(size_t n)
{
	return sizeof(struct copy) + n;
}

static void
drop(struct copy **at)
{
	struct copy *copy = *at;

	*at = copy->next;
	*(copy->newer != NULL ? &copy->newer->older : &kept.newest) = copy->older;
	*(copy->older != NULL ? &copy->older->newer : &kept.oldest) = copy->newer;
	kept.bytes -= size_of(copy->n);
	free(copy);
}

struct text
run_copy(int64_t run)
{
	const struct copy *copy = kept.slots == NULL ? NULL : *link_of(run);

	/* What is too old stays until something new is kept: its text may be in use. */
	if (copy == NULL || copy->since_ms + COPY_MS < loop_now_ms() || !points_alone(copy->since_ms) || changes_of(copy->place) > copy->changes)
		return TEXT_NONE;
	return (struct text){ copy->json, copy->n };
}

void
run_copy_keep(int64_t run, struct text run_id, struct text json, uint64_t changes, int64_t since_ms)
{
	size_t most = (size_t)config->run_copies;
	struct copy **at, *copy;

	if (json.n > COPY_MOST || size_of(json.n) > most || !points_alone(since_ms))
		return;
	if (kept.slots == NULL) {
		kept.slots = calloc((size_t)1 << SLOT_BITS, sizeof(struct copy *));
		PRECOND(kept.slots != NULL);
	}
	at = link_of(run);
	if (*at != NULL)
		drop(at);
	while (kept.bytes + size_of(json.n) > most)
		drop(link_of(kept.oldest->run));
	copy = malloc(size_of(json.n));
	PRECOND(copy != NULL);
	*copy = (struct copy){ .run = run, .changes = changes, .place = changes_place(run_id), .since_ms = since_ms, .n = json.n };
	memcpy(copy->json, json.s, json.n);
	at = slot_of(run);
	copy->next = *at;
	*at = copy;
	copy->older = kept.newest;
	*(kept.newest != NULL ? &kept.newest->newer : &kept.oldest) = copy;
	kept.newest = copy;
	kept.bytes += size_of(json.n);
}

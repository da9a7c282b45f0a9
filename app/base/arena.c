/* Memory that lives as long as one request: chunks of growing size, freed together. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_FIRST 4000
#define CHUNK_MOST 262144
#define SPARE_MOST 32

/* The bytes follow the head. */
struct chunk {
	alignas(max_align_t) struct chunk *before;
	size_t size;
};

struct arena {
	struct chunk *chunk;
	size_t at;
	size_t used;
	struct chunk first;
};

/* Arenas of the first size are kept for the next requests: a worker makes tens of thousands a second. */
static struct arena *spare[SPARE_MOST];
static size_t spare_count;

static void *
take(size_t n)
{
	void *p = malloc(n);

	if (p == NULL) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

struct arena *
arena_new(void)
{
	struct arena *a;

	if (spare_count > 0) {
		a = spare[--spare_count];
	} else {
		a = take(sizeof(*a) + CHUNK_FIRST);
		a->first.before = NULL;
		a->first.size = CHUNK_FIRST;
	}
	a->chunk = &a->first;
	a->at = 0;
	a->used = 0;
	return a;
}

void
arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	while (a->chunk != &a->first) {
		struct chunk *before = a->chunk->before;

		free(a->chunk);
		a->chunk = before;
	}
	if (spare_count < SPARE_MOST)
		spare[spare_count++] = a;
	else
		free(a);
}

void *
arena_alloc(struct arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	void *p;

	if (n > SIZE_MAX / 2) {
		fputs("allocation too large\n", stderr);
		abort();
	}
	n = (n + align - 1) & ~(align - 1);
	if (n == 0)
		n = align;
	if (n > a->chunk->size - a->at) {
		size_t size = a->chunk->size * 2;
		struct chunk *c;

		if (size > CHUNK_MOST)
			size = CHUNK_MOST;
		if (size < n)
			size = n;
		c = take(sizeof(*c) + size);
		c->before = a->chunk;
		c->size = size;
		a->chunk = c;
		a->at = 0;
	}
	p = (char *)(a->chunk + 1) + a->at;
	a->at += n;
	a->used += n;
	memset(p, 0, n);
	return p;
}

void *
arena_array(struct arena *a, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n)) {
		fputs("allocation too large\n", stderr);
		abort();
	}
	return arena_alloc(a, n);
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}

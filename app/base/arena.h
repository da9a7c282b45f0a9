#ifndef BASE_ARENA_H
#define BASE_ARENA_H
/* Memory that lives as long as one request. Nobody frees single pieces. Out of memory ends the process. */
#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a);
/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc, returns_nonnull));
/* Zeroed array; an overflow of count * size ends the process. */
void *arena_array(struct arena *a, size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* Bytes handed out since arena_new(). */
size_t arena_used(const struct arena *a);
#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#endif

#ifndef STORE_LOCAL_H
#define STORE_LOCAL_H
#include <stddef.h>

struct store;

/* A folder, made when missing. One per worker, never freed. */
struct store *local_open(const char *folder, char *why, size_t n);
#endif

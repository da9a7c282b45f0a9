#ifndef MIGRATIONS_H
#define MIGRATIONS_H
/* The SQL files built in (build/migrations.c, made by the Makefile), each list sorted by name. name: file name without folder and ".sql". */
#include <stddef.h>

struct migration {
	const char *name;
	const char *sql;
};
/* sql/migrations: applied once, in order. A first line "-- no-transaction" runs the file's statements one by one outside a transaction. */
extern const struct migration migrations[];
extern const size_t migration_count;
/* sql/functions and sql/report: applied again, whole and in this order, whenever their text changed. */
extern const struct migration functions[];
extern const size_t function_count;
extern const struct migration report[];
extern const size_t report_count;
#endif

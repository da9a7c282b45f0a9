/* PostgreSQL's binary formats, both ways: values of results, parameters, one-dimensional arrays. No connection here. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/db.h"

/* src/include/catalog/pg_type.dat */
enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT4 = 23, OID_TEXT = 25, OID_FLOAT8 = 701 };
enum { OID_INT4S = 1007, OID_TEXTS = 1009, OID_INT8S = 1016, OID_FLOAT8S = 1022 };

static void
put32(unsigned char *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(v >> (24 - 8 * i));
}

static void
put64(unsigned char *to, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		to[i] = (unsigned char)(v >> (56 - 8 * i));
}

static uint64_t
get(const PGresult *result, int r, int c, int size)
{
	PRECOND(PQfformat(result, c) == 1 && PQgetlength(result, r, c) == size);
	const unsigned char *from = (const unsigned char *)PQgetvalue(result, r, c);
	uint64_t v = 0;
	for (int i = 0; i < size; i++)
		v = v << 8 | from[i];
	return v;
}

static uint64_t
bits_of(double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

const char *
db_sqlstate(const PGresult *result)
{
	const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	return state != NULL ? state : "";
}

const char *
db_message(const PGresult *result)
{
	const char *message = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	return message != NULL ? message : "";
}

int64_t
db_int8(const PGresult *result, int r, int c)
{
	return (int64_t)get(result, r, c, 8);
}

int32_t
db_int4(const PGresult *result, int r, int c)
{
	return (int32_t)(uint32_t)get(result, r, c, 4);
}

int16_t
db_int2(const PGresult *result, int r, int c)
{
	return (int16_t)(uint16_t)get(result, r, c, 2);
}

double
db_float8(const PGresult *result, int r, int c)
{
	uint64_t bits = get(result, r, c, 8);
	double v;
	memcpy(&v, &bits, sizeof(v));
	return v;
}

bool
db_bool(const PGresult *result, int r, int c)
{
	return get(result, r, c, 1) != 0;
}

struct text
db_text(const PGresult *result, int r, int c)
{
	if (PQgetisnull(result, r, c))
		return TEXT_NONE;
	return (struct text){ PQgetvalue(result, r, c), (size_t)PQgetlength(result, r, c) };
}

bool
db_null(const PGresult *result, int r, int c)
{
	return PQgetisnull(result, r, c) != 0;
}

struct db_param
db_p_int8(struct arena *arena, int64_t v)
{
	unsigned char *bytes = arena_alloc(arena, 8);
	put64(bytes, (uint64_t)v);
	return (struct db_param){ .bytes = bytes, .n = 8, .type = OID_INT8 };
}

struct db_param
db_p_int4(struct arena *arena, int32_t v)
{
	unsigned char *bytes = arena_alloc(arena, 4);
	put32(bytes, (uint32_t)v);
	return (struct db_param){ .bytes = bytes, .n = 4, .type = OID_INT4 };
}

struct db_param
db_p_float8(struct arena *arena, double v)
{
	unsigned char *bytes = arena_alloc(arena, 8);
	put64(bytes, bits_of(v));
	return (struct db_param){ .bytes = bytes, .n = 8, .type = OID_FLOAT8 };
}

struct db_param
db_p_bool(struct arena *arena, bool v)
{
	unsigned char *bytes = arena_alloc(arena, 1);
	bytes[0] = v ? 1 : 0;
	return (struct db_param){ .bytes = bytes, .n = 1, .type = OID_BOOL };
}

struct db_param
db_p_text(struct arena *arena, struct text v)
{
	(void)arena;
	PRECOND(v.n <= INT32_MAX);
	if (v.s == NULL)
		return db_p_null();
	return (struct db_param){ .bytes = v.s, .n = (int)v.n, .type = OID_TEXT };
}

struct db_param
db_p_null(void)
{
	return (struct db_param){ .bytes = NULL };
}

/* Head of a one-dimensional array (array_recv in PostgreSQL's arrayfuncs.c): dimensions, has nulls, element type, length, lower bound.
 * An array without elements has no dimension. */
static unsigned char *
array_head(unsigned char *to, Oid element, size_t n, bool has_null)
{
	put32(to, n == 0 ? 0 : 1);
	put32(to + 4, has_null ? 1 : 0);
	put32(to + 8, element);
	if (n == 0)
		return to + 12;
	put32(to + 12, (uint32_t)n);
	put32(to + 16, 1);
	return to + 20;
}

static unsigned char *
array_bytes(size_t n, size_t payload)
{
	PRECOND(n <= INT32_MAX / 4 && payload <= INT32_MAX - 20 - 4 * n);
	unsigned char *bytes = malloc(20 + 4 * n + payload);
	PRECOND(bytes != NULL);
	return bytes;
}

static bool
any(const bool *nulls, size_t n)
{
	for (size_t i = 0; nulls != NULL && i < n; i++)
		if (nulls[i])
			return true;
	return false;
}

struct db_param
db_p_int8s(const int64_t *values, size_t n, const bool *nulls)
{
	unsigned char *bytes = array_bytes(n, 8 * n);
	unsigned char *to = array_head(bytes, OID_INT8, n, any(nulls, n));
	for (size_t i = 0; i < n; i++) {
		if (nulls != NULL && nulls[i]) {
			put32(to, UINT32_MAX);
			to += 4;
			continue;
		}
		put32(to, 8);
		put64(to + 4, (uint64_t)values[i]);
		to += 12;
	}
	return (struct db_param){ .bytes = bytes, .n = (int)(to - bytes), .type = OID_INT8S };
}

struct db_param
db_p_int4s(const int32_t *values, size_t n)
{
	unsigned char *bytes = array_bytes(n, 4 * n);
	unsigned char *to = array_head(bytes, OID_INT4, n, false);
	for (size_t i = 0; i < n; i++, to += 8) {
		put32(to, 4);
		put32(to + 4, (uint32_t)values[i]);
	}
	return (struct db_param){ .bytes = bytes, .n = (int)(to - bytes), .type = OID_INT4S };
}

struct db_param
db_p_float8s(const double *values, size_t n)
{
	unsigned char *bytes = array_bytes(n, 8 * n);
	unsigned char *to = array_head(bytes, OID_FLOAT8, n, false);
	for (size_t i = 0; i < n; i++, to += 12) {
		put32(to, 8);
		put64(to + 4, bits_of(values[i]));
	}
	return (struct db_param){ .bytes = bytes, .n = (int)(to - bytes), .type = OID_FLOAT8S };
}

struct db_param
db_p_texts(const struct text *values, size_t n, const bool *nulls)
{
	size_t payload = 0;
	for (size_t i = 0; i < n; i++) {
		PRECOND(values[i].n <= INT32_MAX && payload <= INT32_MAX);
		payload += values[i].n;
	}
	unsigned char *bytes = array_bytes(n, payload);
	unsigned char *to = array_head(bytes, OID_TEXT, n, any(nulls, n));
	for (size_t i = 0; i < n; i++) {
		if (nulls != NULL && nulls[i]) {
			put32(to, UINT32_MAX);
			to += 4;
			continue;
		}
		put32(to, (uint32_t)values[i].n);
		if (values[i].n > 0)
			memcpy(to + 4, values[i].s, values[i].n);
		to += 4 + values[i].n;
	}
	return (struct db_param){ .bytes = bytes, .n = (int)(to - bytes), .type = OID_TEXTS };
}

static Oid
array_of(Oid element)
{
	switch (element) {
	case OID_INT8:
		return OID_INT8S;
	case OID_INT4:
		return OID_INT4S;
	case OID_FLOAT8:
		return OID_FLOAT8S;
	case OID_TEXT:
		return OID_TEXTS;
	}
	abort();
}

struct db_param
db_p_array(const struct db_param *values, size_t n)
{
	size_t payload = 0, nulls = 0;
	Oid element = 0;
	for (size_t i = 0; i < n; i++) {
		if (values[i].bytes == NULL) {
			nulls++;
			continue;
		}
		PRECOND(payload <= INT32_MAX);
		payload += (size_t)values[i].n;
		element = values[i].type;
	}
	if (nulls == n)
		return db_p_null();
	unsigned char *bytes = array_bytes(n, payload);
	unsigned char *to = array_head(bytes, element, n, nulls > 0);
	for (size_t i = 0; i < n; i++) {
		bool null = values[i].bytes == NULL;
		size_t size = null ? 0 : (size_t)values[i].n;
		put32(to, null ? UINT32_MAX : (uint32_t)size);
		if (size > 0)
			memcpy(to + 4, values[i].bytes, size);
		to += 4 + size;
	}
	return (struct db_param){ .bytes = bytes, .n = (int)(to - bytes), .type = array_of(element) };
}

void
db_p_array_free(struct db_param *param)
{
	union {
		const void *kept;
		void *freed;
	} bytes = { .kept = param->bytes };
	free(bytes.freed);
	param->bytes = NULL;
	param->n = 0;
}

/* The worker's cache of key names. */
#include "api/keys.h"

#include <endian.h>
#include <stdlib.h>

#include "base/log.h"
#include "sql_queries.h"

#define KEYS_MOST 200000 /* then the cache starts anew */

struct key {
	struct text name; /* inside json, without quotes when it needs no escape; else a copy */
	struct text json;
	int32_t number;
	struct key *next;
};

static struct key **by_name;   /* hash */
static struct key **by_number; /* index = number */
static size_t name_slots;
static size_t number_slots;
static size_t key_count;

static void
cache_clear(void)
{
	size_t i;

	for (i = 0; i < number_slots; i++) {
		if (by_number[i] == NULL)
			continue;
		free(by_number[i]);
		by_number[i] = NULL;
	}
	memset(by_name, 0, name_slots * sizeof(struct key *));
	key_count = 0;
}

static void
name_slots_grow(void)
{
	size_t slots = name_slots == 0 ? 1024 : name_slots * 4;
	struct key **table = calloc(slots, sizeof(struct key *));
	size_t i;

	PRECOND(table != NULL);
	for (i = 0; i < number_slots; i++) {
		struct key *k = by_number[i];

		if (k == NULL)
			continue;
		k->next = table[text_hash(k->name) & (slots - 1)];
		table[text_hash(k->name) & (slots - 1)] = k;
	}
	free(by_name);
	by_name = table;
	name_slots = slots;
}

static void
key_learn(int32_t number, struct text name)
{
	struct buf json = { 0 };
	struct key *k;
	char *bytes;
	size_t slot;

	PRECOND(number > 0);
	if (key_count >= KEYS_MOST || number > 50000000)
		cache_clear();
	if (number_slots <= (size_t)number) {
		size_t slots = number_slots == 0 ? 1024 : number_slots;

		while (slots <= (size_t)number)
			slots *= 2;
		by_number = realloc(by_number, slots * sizeof(struct key *));
		PRECOND(by_number != NULL);
		memset(by_number + number_slots, 0, (slots - number_slots) * sizeof(struct key *));
		number_slots = slots;
	}
	if (by_number[number] != NULL)
		return;
	if (key_count >= name_slots / 2)
		name_slots_grow();
	buf_json(&json, name);
	k = malloc(sizeof(*k) + name.n + json.n);
	PRECOND(k != NULL);
	bytes = (char *)(k + 1);
	memcpy(bytes, name.s, name.n);
	memcpy(bytes + name.n, json.s, json.n);
	k->name = (struct text){ bytes, name.n };
	k->json = (struct text){ bytes + name.n, json.n };
	k->number = number;
	buf_free(&json);
	slot = text_hash(name) & (name_slots - 1);
	k->next = by_name[slot];
	by_name[slot] = k;
	by_number[number] = k;
	key_count++;
}

bool
key_number(struct text name, int32_t *out)
{
	struct key *k;

	if (name_slots == 0)
		return false;
	for (k = by_name[text_hash(name) & (name_slots - 1)]; k != NULL; k = k->next) {
		if (text_eq(k->name, name)) {
			*out = k->number;
			return true;
		}
	}
	return false;
}

struct text
key_json(int32_t number)
{
	if (number <= 0 || (size_t)number >= number_slots || by_number[number] == NULL)
		return TEXT_NONE;
	return by_number[number]->json;
}

void
keys_learn(const PGresult *r)
{
	int i;

	for (i = 0; i < PQntuples(r); i++)
		key_learn(db_int4(r, i, 0), db_text(r, i, 1));
}

/* ---- names to numbers ---- */

struct resolve {
	const struct text *names;
	size_t n;
	int tries;
	struct db_param param;
	enum next (*then)(struct call *, PGresult *);
	void *before; /* the noun's state */
};

static enum next resolve_step(struct call *, struct resolve *);

static enum next
resolved(struct call *call, PGresult *result)
{
	struct resolve *r = call->state;

	call->state = r->before;
	db_p_array_free(&r->param);
	keys_learn(result);
	return resolve_step(call, r);
}

static enum next
resolve_step(struct call *call, struct resolve *r)
{
	struct text *unknown = arena_array(call->arena, r->n, sizeof(*unknown));
	size_t count = 0;
	size_t i;
	int32_t number;

	for (i = 0; i < r->n; i++)
		if (!key_number(r->names[i], &number))
			unknown[count++] = r->names[i];
	if (count == 0)
		return r->then(call, NULL);
	if (r->tries++ == 8)
		return call_fail(call, TEMPORARILY_UNAVAILABLE, "The names of the request could not be stored. Try again.");
	r->param = db_p_texts(unknown, count, NULL);
	r->before = call->state;
	call->state = r;
	return call_write(call, SQL_keys_of, &r->param, 1, TEXT(""), resolved);
}

enum next
keys_resolve(struct call *call, const struct text *names, size_t n, enum next (*then)(struct call *, PGresult *))
{
	struct resolve *r = ARENA_NEW(call->arena, struct resolve);

	r->names = names;
	r->n = n;
	r->then = then;
	return resolve_step(call, r);
}

/* ---- numbers to names ---- */

struct known {
	PGresult *kept;
	struct db_param param;
	enum next (*then)(struct call *, PGresult *);
	void *before;
};

static enum next
known(struct call *call, PGresult *result)
{
	struct known *k = call->state;
	enum next next;

	call->state = k->before;
	db_p_array_free(&k->param);
	keys_learn(result);
	next = k->then(call, k->kept);
	PQclear(k->kept);
	return next;
}

size_t
keys_packed(struct text column)
{
	return column.n / sizeof(int32_t);
}

int32_t
key_packed(struct text column, size_t i)
{
	uint32_t number;

	memcpy(&number, column.s + i * sizeof(number), sizeof(number));
	return (int32_t)be32toh(number);
}

/* Those of a column that are not known, added to `unknown`. */
static void
unknown_add(struct buf *unknown, struct text column)
{
	for (size_t i = 0; i < keys_packed(column); i++) {
		int32_t number = key_packed(column, i);

		if (key_json(number).s == NULL)
			buf_add(unknown, (const char *)&number, sizeof(number));
	}
}

enum next
keys_known(struct call *call, PGresult *result, enum next (*then)(struct call *, PGresult *))
{
	struct buf unknown = { 0 };
	struct known *k;
	int column = PQfnumber(result, "keys");

	for (int row = 0; row < PQntuples(result); row++)
		unknown_add(&unknown, db_text(result, row, column));
	if (unknown.n == 0)
		return then(call, result);
	k = ARENA_NEW(call->arena, struct known);
	k->param = db_p_int4s((const int32_t *)(const void *)unknown.s, unknown.n / sizeof(int32_t));
	buf_free(&unknown);
	k->then = then;
	k->before = call->state;
	k->kept = PQcopyResult(result, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
	PRECOND(k->kept != NULL);
	call->state = k;
	return call_read(call, SQL_keys_by_id, &k->param, 1, known);
}

/* The worker's cache of key names. */
#include "api/keys.h"

#include <endian.h>
#include <stdlib.h>

#include "api/run_numbers.h"
#include "base/log.h"
#include "sql_queries.h"

#define KEYS_MOST 200000 /* then the cache starts anew */

struct key {
	struct text name; /* inside json, without quotes when it needs no escape; else a copy */
	struct text json;
	int32_t number;
	struct key *next_name, *next_number;
};

/* Chains by the hash of the name and by the number; as many of each. */
static struct key **by_name, **by_number;
static size_t slot_count;
static size_t key_count;
static int32_t largest;

static size_t
name_slot(struct text name)
{
	return text_hash(name) & (slot_count - 1);
}

static size_t
number_slot(int32_t number)
{
	return (size_t)number & (slot_count - 1);
}

static void
link_key(struct key *k)
{
	k->next_name = by_name[name_slot(k->name)];
	by_name[name_slot(k->name)] = k;
	k->next_number = by_number[number_slot(k->number)];
	by_number[number_slot(k->number)] = k;
}

/* Only where a request begins to ask for names: within one, what was known a moment ago must stay known. */
static void
cache_trim(void)
{
	size_t i;

	if (key_count < KEYS_MOST)
		return;
	for (i = 0; i < slot_count; i++) {
		struct key *k, *next;

		for (k = by_number[i]; k != NULL; k = next) {
			next = k->next_number;
			free(k);
		}
	}
	free(by_name);
	free(by_number);
	by_name = by_number = NULL;
	slot_count = key_count = 0;
	largest = 0;
}

static void
slots_grow(void)
{
	struct key **names = by_name, **numbers = by_number;
	size_t i, before = slot_count;

	slot_count = before == 0 ? 1024 : before * 4;
	by_name = calloc(slot_count, sizeof(struct key *));
	by_number = calloc(slot_count, sizeof(struct key *));
	PRECOND(by_name != NULL && by_number != NULL);
	for (i = 0; i < before; i++) {
		struct key *k, *next;

		for (k = numbers[i]; k != NULL; k = next) {
			next = k->next_number;
			link_key(k);
		}
	}
	free(names);
	free(numbers);
}

static const struct key *
key_find(int32_t number)
{
	const struct key *k;

	if (slot_count == 0)
		return NULL;
	for (k = by_number[number_slot(number)]; k != NULL && k->number != number; k = k->next_number)
		;
	return k;
}

static void
key_learn(int32_t number, struct text name)
{
	struct buf json = { 0 };
	struct key *k;
	char *bytes;

	PRECOND(number > 0);
	if (key_find(number) != NULL)
		return;
	if (key_count >= slot_count / 2)
		slots_grow();
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
	link_key(k);
	key_count++;
	if (number > largest)
		largest = number;
}

/* Numbers that the database gives to other names, or runs, than the worker remembers would mix metrics up. A database that knows the latest name knows all before it. */
static const struct db_op *
connected(void)
{
	static struct db_param params[2];
	static struct db_op check;
	static int32_t number_be;
	const struct key *k = key_find(largest);

	run_numbers_forget();
	if (k == NULL)
		return NULL;
	number_be = (int32_t)htobe32((uint32_t)largest);
	params[0] = (struct db_param){ .bytes = &number_be, .n = 4 };
	params[1] = (struct db_param){ .bytes = k->name.s, .n = (int)k->name.n };
	check = (struct db_op){ .statement = SQL_keys_check, .params = params, .param_count = 2 };
	return &check;
}

void
keys_start(void)
{
	db_on_connect(connected);
}

bool
key_number(struct text name, int32_t *out)
{
	struct key *k;

	if (slot_count == 0)
		return false;
	for (k = by_name[name_slot(name)]; k != NULL; k = k->next_name) {
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
	const struct key *k = key_find(number);

	return k != NULL ? k->json : TEXT_NONE;
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

	cache_trim();
	r->names = names;
	r->n = n;
	r->then = then;
	return resolve_step(call, r);
}

/* ---- numbers to names ---- */

struct known {
	PGresult *kept;
	int tries;
	struct db_param param;
	enum next (*then)(struct call *, PGresult *);
	void *before;
};

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

static struct buf
unknown_of(const PGresult *result)
{
	struct buf unknown = { 0 };
	int column = PQfnumber(result, "keys");

	for (int row = 0; row < PQntuples(result); row++)
		unknown_add(&unknown, db_text(result, row, column));
	return unknown;
}

static enum next known(struct call *, PGresult *);

static enum next
known_ask(struct call *call, struct known *k, struct buf *unknown)
{
	k->param = db_p_int4s((const int32_t *)(const void *)unknown->s, unknown->n / sizeof(int32_t));
	buf_free(unknown);
	k->before = call->state;
	call->state = k;
	return call_read(call, SQL_keys_by_id, &k->param, 1, known);
}

static enum next
known(struct call *call, PGresult *result)
{
	struct known *k = call->state;
	struct buf unknown;
	enum next next;

	call->state = k->before;
	db_p_array_free(&k->param);
	keys_learn(result);
	/* Another request may have emptied the cache while this one waited. */
	unknown = unknown_of(k->kept);
	if (unknown.n > 0 && k->tries++ < 8)
		return known_ask(call, k, &unknown);
	buf_free(&unknown);
	next = unknown.n > 0 ? call_fail(call, TEMPORARILY_UNAVAILABLE, "The names of the answer could not be read. Try again.") : k->then(call, k->kept);
	PQclear(k->kept);
	return next;
}

enum next
keys_known(struct call *call, PGresult *result, enum next (*then)(struct call *, PGresult *))
{
	struct buf unknown;
	struct known *k;

	cache_trim();
	unknown = unknown_of(result);
	if (unknown.n == 0)
		return then(call, result);
	k = ARENA_NEW(call->arena, struct known);
	k->then = then;
	k->kept = PQcopyResult(result, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
	PRECOND(k->kept != NULL);
	return known_ask(call, k, &unknown);
}

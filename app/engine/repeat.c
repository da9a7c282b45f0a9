/*
 * Creates that come twice (design.md, Repeats). MLflow's client repeats a POST whose answer got lost, byte for byte and without a key. Each create therefore leaves a row in `repeats` under the hash of
 * principal, path and body; the row is marked with the time once the client's kernel acknowledged the answer. An equal request that finds a row without a mark, or arrived before the mark (and waited in
 * a queue since, here or on another server), gets the first answer; else it is an honest second call. Jobs drop the rows later.
 * Between the acknowledgement and the commit of the mark an honest second call may come, on any worker: workers share a table of keys that were answered, and how often. The n-th equal call of one key
 * has a row of its own.
 * Honest equal calls come at the same time, too: MLflow's autologging creates the runs of a parameter search on eight connections, byte for byte the same. So of equal calls one runs at a time: the
 * others wait until its answer was acknowledged (and are calls of their own), or its connection is gone (and one of them is its repetition). Workers share that claim in the same table; servers do
 * not: there the row is asked again until the mark is there, or it took too long (repeat_of()).
 */
#include "engine/repeat.h"

#include <endian.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/log.h"
#include "sql_queries.h"

#define SLOTS 8192
#define UNDECIDED_MS 300 /* a peer acknowledges within 40 ms when it is there; a busy machine takes longer to look */
#define CLAIM_MS 40000   /* above the usual statement timeout */
#define AGAIN_MS 5
/* A claim is a time in ms, which may wrap around, the worker, a serial number, and a part of the key's hash: whose it is must be known at once, not when slot.hash is set. */
#define WORKER_BITS 10
#define SERIAL_BITS 8
#define KEY_BITS 12
#define REST_BITS (WORKER_BITS + SERIAL_BITS + KEY_BITS)
#define CLAIM_WORKER(claim) (((claim) >> (SERIAL_BITS + KEY_BITS)) & ((1u << WORKER_BITS) - 1))
#define CLAIM_KEY(claim) ((claim) & ((1u << KEY_BITS) - 1))

struct slot {
	_Atomic uint64_t hash;
	_Atomic uint64_t answered;
	_Atomic int64_t under_way; /* answers sent, not yet known to have arrived or been lost */
	_Atomic int64_t sent_ms;   /* the last of them */
	_Atomic uint64_t claim;    /* of the one call that runs; 0 = none */
};

/* Shared by all workers. A slot taken over by another key only means that the row in the database decides alone. */
static struct slot *slots;
static uint64_t own_worker, serial;

/* One answered create, until its row's mark is committed. */
struct answered {
	struct db_op op;
	unsigned char key[32];
	uint64_t hash, nth;
	uint64_t when; /* as PostgreSQL sends it */
	struct db_param params[2];
};

void
repeat_prepare(void)
{
	void *p = mmap(NULL, SLOTS * sizeof(struct slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED)
		slots = p;
}

void
repeat_worker(int worker)
{
	own_worker = (uint64_t)worker & ((1u << WORKER_BITS) - 1);
	for (size_t i = 0; slots != NULL && i < SLOTS; i++) {
		uint64_t left = atomic_load(&slots[i].claim);

		if (left != 0 && CLAIM_WORKER(left) == own_worker)
			(void)atomic_compare_exchange_strong(&slots[i].claim, &left, 0);
	}
}

static int64_t
wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t
answered_before(uint64_t hash)
{
	struct slot *s;

	if (slots == NULL)
		return 0;
	s = &slots[hash % SLOTS];
	return atomic_load(&s->hash) == hash ? atomic_load(&s->answered) : 0;
}

/* The key's slot, taken over from another one where need be; NULL while a call of that one runs. */
static struct slot *
slot_own(uint64_t hash)
{
	struct slot *s = &slots[hash % SLOTS];

	if (atomic_load(&s->hash) != hash) {
		if (atomic_load(&s->claim) != 0)
			return NULL;
		atomic_store(&s->answered, 0);
		atomic_store(&s->under_way, 0);
		atomic_store(&s->hash, hash);
	}
	return s;
}

static void
sent_count(uint64_t hash)
{
	struct slot *s;

	if (slots == NULL || (s = slot_own(hash)) == NULL)
		return;
	atomic_store(&s->sent_ms, loop_now_ms());
	atomic_fetch_add(&s->under_way, 1);
}

/* `answered` first: who sees nothing under way must see it. The answer to a repetition counts as the one it repeats. */
static void
settled_count(const struct answered *a, bool acknowledged)
{
	struct slot *s;
	uint64_t seen;
	int64_t left;

	if (slots == NULL || (s = slot_own(a->hash)) == NULL)
		return;
	seen = atomic_load(&s->answered);
	while (acknowledged && seen <= a->nth && !atomic_compare_exchange_weak(&s->answered, &seen, a->nth + 1))
		;
	/* Another key had the slot in between: it is 0 again. */
	left = atomic_load(&s->under_way);
	while (left > 0 && !atomic_compare_exchange_weak(&s->under_way, &left, left - 1))
		;
}

static void
digest(unsigned char out[32], struct call *call, struct text given, uint64_t nth)
{
	static const char version[] = "tallyd repeat 1";
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned n = 0;

	PRECOND(md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1);
	EVP_DigestUpdate(md, version, sizeof(version));
	EVP_DigestUpdate(md, &nth, sizeof(nth));
	EVP_DigestUpdate(md, call->principal.s, call->principal.n);
	EVP_DigestUpdate(md, "", 1);
	EVP_DigestUpdate(md, call->endpoint->path, strlen(call->endpoint->path) + 1);
	if (given.n > 0) {
		EVP_DigestUpdate(md, "key", 4);
		EVP_DigestUpdate(md, given.s, given.n);
	} else {
		EVP_DigestUpdate(md, call->body.s, call->body.n);
	}
	EVP_DigestFinal_ex(md, out, &n);
	EVP_MD_CTX_free(md);
}

/* Its time may be a little ahead of this worker's. */
static bool
is_claimed(uint64_t claim, int64_t now_ms)
{
	uint64_t age = ((uint64_t)now_ms - (claim >> REST_BITS)) << REST_BITS;

	return claim != 0 && (int64_t)age < ((int64_t)CLAIM_MS << REST_BITS);
}

static uint64_t
claim_new(int64_t now_ms, uint64_t key)
{
	uint64_t number = serial++ & ((1u << SERIAL_BITS) - 1);

	return (uint64_t)now_ms << REST_BITS | own_worker << (SERIAL_BITS + KEY_BITS) | number << KEY_BITS | key;
}

bool
repeat_undecided(struct call *call)
{
	struct slot *s;
	uint64_t held, mine, key;
	int64_t now_ms = loop_now_ms();

	if (slots == NULL || http_header(call->http, "Idempotency-Key").n > 0)
		return false;
	if (call->repeat_hash == 0) {
		digest(call->repeat_key, call, TEXT_NONE, 0);
		memcpy(&call->repeat_hash, call->repeat_key, sizeof(call->repeat_hash));
	}
	s = &slots[call->repeat_hash % SLOTS];
	key = call->repeat_hash >> (64 - KEY_BITS);
	held = atomic_load(&s->claim);
	if (is_claimed(held, now_ms))
		return CLAIM_KEY(held) == key; /* who meets another key's claim runs without one */
	mine = claim_new(now_ms, key);
	if (!atomic_compare_exchange_strong(&s->claim, &held, mine))
		return true;
	call->repeat_claim = mine;
	if (atomic_load(&s->hash) != call->repeat_hash) {
		atomic_store(&s->answered, 0);
		atomic_store(&s->under_way, 0);
		atomic_store(&s->hash, call->repeat_hash);
	}
	http_settle(); /* what was acknowledged by now counts */
	/* A worker that was killed counts down no more: its time passes. */
	if (atomic_load(&s->under_way) > 0 && now_ms - atomic_load(&s->sent_ms) < UNDECIDED_MS) {
		repeat_release(call);
		return true;
	}
	return false;
}

void
repeat_release(struct call *call)
{
	uint64_t mine = call->repeat_claim;

	if (mine == 0)
		return;
	call->repeat_claim = 0;
	(void)atomic_compare_exchange_strong(&slots[call->repeat_hash % SLOTS].claim, &mine, 0);
}

struct db_param
call_repeat_param(struct call *call)
{
	struct text given;

	if (call->repeat_used)
		return (struct db_param){ .bytes = call->repeat_key, .n = sizeof(call->repeat_key), .type = 17 };
	given = call->http != NULL ? http_header(call->http, "Idempotency-Key") : TEXT_NONE;
	call->repeat_used = true;
	call->repeat_forever = given.n > 0;
	digest(call->repeat_key, call, given, 0);
	memcpy(&call->repeat_hash, call->repeat_key, sizeof(call->repeat_hash));
	if (!call->repeat_forever) {
		http_settle(); /* what was acknowledged by now counts */
		call->repeat_nth = answered_before(call->repeat_hash);
		if (call->repeat_nth > 0)
			digest(call->repeat_key, call, given, call->repeat_nth);
	}
	call->repeat_us = wall_us();
	return (struct db_param){ .bytes = call->repeat_key, .n = sizeof(call->repeat_key), .type = 17 };
}

static void
arrived_set(struct call *call, bool enough)
{
	call->repeat_arrived_be = (int64_t)htobe64((uint64_t)call->repeat_us << 2 | (enough ? 2 : 0) | (points_alone(loop_now_ms()) ? 1 : 0));
}

struct db_param
call_repeat_arrived(struct call *call)
{
	arrived_set(call, call->repeat_forever);
	return (struct db_param){ .bytes = &call->repeat_arrived_be, .n = sizeof(call->repeat_arrived_be) };
}

static void
send_again(void *user)
{
	struct call *call = user;

	db_write(&call->op);
}

bool
repeat_again(struct call *call, const PGresult *result)
{
	int64_t now_ms = loop_now_ms();

	if (!call->repeat_used || strcmp(db_sqlstate(result), "TL001") != 0)
		return false;
	if (call->repeat_until_ms == 0)
		call->repeat_until_ms = now_ms + UNDECIDED_MS;
	arrived_set(call, now_ms >= call->repeat_until_ms);
	(void)loop_after(AGAIN_MS, send_again, call);
	return true;
}

static void
marked(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	(void)result;
	(void)outcome; /* a row that stays unmarked is dropped by age */
	free(op->user);
}

static void
settled(void *user, bool acknowledged)
{
	struct answered *a = user;

	settled_count(a, acknowledged);
	if (!acknowledged) {
		free(a);
		return;
	}
	a->params[0] = (struct db_param){ .bytes = a->key, .n = sizeof(a->key) };
	a->when = htobe64((uint64_t)wall_us());
	a->params[1] = (struct db_param){ .bytes = &a->when, .n = sizeof(a->when) };
	a->op = (struct db_op){ .statement = SQL_repeat_answered, .params = a->params, .param_count = 2, .order = { (const char *)a->key, sizeof(a->key) }, .done = marked, .user = a };
	db_write(&a->op);
}

void
repeat_reply(struct call *call, struct http_reply *reply)
{
	struct answered *a;

	if (!call->repeat_used || call->repeat_forever || reply->status >= 300) {
		repeat_release(call);
		return;
	}
	a = calloc(1, sizeof(*a));
	PRECOND(a != NULL);
	memcpy(a->key, call->repeat_key, sizeof(a->key));
	a->hash = call->repeat_hash;
	a->nth = call->repeat_nth;
	sent_count(a->hash);
	repeat_release(call); /* after that: who sees no claim must see what is under way */
	reply->settled = settled;
	reply->settled_user = a;
}

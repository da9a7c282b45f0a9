#include "api/usage.h"

#include <unistd.h>

#include "base/log.h"
#include "config.h"
#include "sql_queries.h"

#define LOOK_MS 10000
#define OPEN_UNKNOWN (-1)

/* ---- as they come and go ---- */

struct used {
	struct db_op op;
	struct arena *arena;
};

static void
used_done(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	struct used *u = op->user;

	(void)result;
	if (outcome != DB_OK)
		log_warn("artifacts: what a run or model uses was not counted");
	arena_free(u->arena);
}

static bool
is_hex(struct text id)
{
	size_t i;

	for (i = 0; i < id.n; i++)
		if (memchr("0123456789abcdef", id.s[i], 16) == NULL)
			return false;
	return id.n == 32;
}

/* ".../<run>/artifacts/..." or ".../models/m-<id>/artifacts/...", or the folder of one itself: whose bytes they are. */
static bool
owner_of(struct text key, struct text *id, bool *model)
{
	while (key.n > 0) {
		size_t end = text_find(key, '/');

		*id = (struct text){ key.s, end };
		key = text_skip(key, end < key.n ? end + 1 : end);
		*model = text_starts(*id, "m-");
		if (is_hex(*model ? text_skip(*id, 2) : *id) && (key.n == 0 || text_is((struct text){ key.s, text_find(key, '/') }, "artifacts")))
			return true;
	}
	return false;
}

/* open_until: until when the client may write past us, ms since 1970; 0: it may not. */
static void
count_usage(struct artifact *a, int64_t bytes, int64_t files, int64_t open_until)
{
	struct text owner;
	struct arena *arena;
	struct db_param *p;
	struct used *u;
	bool model;

	if ((bytes == 0 && files == 0 && open_until == 0) || !owner_of(a->key, &owner, &model))
		return;
	arena = arena_new();
	owner = text_copy(arena, owner);
	u = ARENA_NEW(arena, struct used);
	u->arena = arena;
	p = arena_array(arena, 5, sizeof(*p));
	p[0] = db_p_text(arena, owner);
	p[1] = db_p_int8(arena, bytes);
	p[2] = db_p_int8(arena, files);
	p[3] = open_until == OPEN_UNKNOWN ? db_p_null() : db_p_int8(arena, open_until);
	p[4] = db_p_int8(arena, clock_ms());
	u->op = (struct db_op){ .statement = model ? SQL_artifact_model_used : SQL_artifact_used, .params = p, .param_count = 5, .order = owner, .done = used_done, .user = u };
	db_write(&u->op);
}

void
usage_stored(struct artifact *a)
{
	int64_t before = a->op.replaced;

	count_usage(a, a->op.bytes - (before > 0 ? before : 0), before >= 0 ? 0 : 1, before == STORE_REPLACED_UNKNOWN ? OPEN_UNKNOWN : 0);
}

void
usage_removed(struct artifact *a)
{
	count_usage(a, -a->op.bytes, -a->op.objects, 0);
}

void
usage_opened(struct artifact *a, int64_t ttl_s)
{
	count_usage(a, 0, 0, clock_ms() + ttl_s * 1000);
}

/* ---- asked of the bucket: a few runs and models, one after the other ---- */

struct look {
	bool model;
	int64_t id, claimed;
	struct text uri;
};

/* One round; its statements run as reads do, each a transaction of its own, apart from the batches of writes. */
static struct {
	struct arena *arena;
	struct look *looks;
	size_t count, at;
	struct store_op asked;
	struct db_op op;
} look;

static void look_next(void);
static void look_begin(void *unused);

static void
look_over(bool more)
{
	arena_free(look.arena);
	/* Spread over the workers, so that they do not ask at one time. */
	loop_after(more ? 100 : LOOK_MS + (getpid() % 16) * 100, look_begin, NULL);
}

static void
noted(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	(void)op;
	if (outcome == DB_FAILED)
		log_warn("artifacts: what the bucket holds was not noted: %s", db_message(result));
	look.at++;
	look_next();
}

static void
note(const struct look *l, const struct db_statement *statement, int params)
{
	struct db_param *p = arena_array(look.arena, 5, sizeof(*p));

	p[0] = db_p_int8(look.arena, l->id);
	p[1] = db_p_int8(look.arena, l->claimed);
	p[2] = db_p_int8(look.arena, look.asked.bytes);
	p[3] = db_p_int8(look.arena, look.asked.objects);
	p[4] = db_p_int8(look.arena, clock_ms());
	look.op = (struct db_op){ .statement = statement, .params = p, .param_count = params, .done = noted };
	db_read(&look.op);
}

static void
counted(struct store_op *op, enum store_result result)
{
	const struct look *l = &look.looks[look.at];

	if (result == STORE_OK) {
		note(l, l->model ? SQL_usage_model_counted : SQL_usage_counted, 5);
		return;
	}
	/* The claim runs out: another round asks again. */
	log_info("artifacts: what lies at " TEXT_FMT " was not counted: %s", TEXT_ARG(l->uri), op->why);
	look.at++;
	look_next();
}

static void
look_next(void)
{
	const struct look *l = &look.looks[look.at];
	struct store *store;
	struct text prefix;
	char why[300];

	if (look.at == look.count) {
		look_over(look.count > 0);
		return;
	}
	look.asked = (struct store_op){ .arena = look.arena, .done = counted, .fd = -1 };
	store = artifact_place(l->uri, &prefix, why, sizeof(why));
	if (store != NULL)
		store->usage(store, prefix, &look.asked);
	else if (why[0] == '\0')
		note(l, l->model ? SQL_usage_model_foreign : SQL_usage_foreign, 2);
	else
		look_over(false);
}

static void
claimed(struct db_op *op, PGresult *result, enum db_outcome outcome)
{
	int i, n = outcome == DB_OK ? PQntuples(result) : 0;

	(void)op;
	if (outcome == DB_FAILED)
		log_warn("artifacts: what the buckets hold cannot be counted: %s", db_message(result));
	look.looks = arena_array(look.arena, (size_t)n + 1, sizeof(*look.looks));
	look.count = (size_t)n;
	look.at = 0;
	for (i = 0; i < n; i++)
		look.looks[i] = (struct look){ .model = db_bool(result, i, 0), .id = db_int8(result, i, 1), .claimed = db_int8(result, i, 2), .uri = text_copy(look.arena, db_text(result, i, 3)) };
	look_next();
}

static void
look_begin(void *unused)
{
	struct db_param *p;

	(void)unused;
	look.arena = arena_new();
	p = arena_array(look.arena, 1, sizeof(*p));
	p[0] = db_p_int8(look.arena, clock_ms());
	look.op = (struct db_op){ .statement = SQL_usage_claim, .params = p, .param_count = 1, .done = claimed };
	db_read(&look.op);
}

void
usage_start(void)
{
	/* Into a folder clients come through the server only. */
	if (text_starts(text_from(config->artifacts_destination), "gs://") || text_starts(text_from(config->default_artifact_root), "gs://"))
		loop_after(LOOK_MS, look_begin, NULL);
}

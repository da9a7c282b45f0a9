/*
 * Removes runs, logged models and experiments that were deleted long ago, with their artifacts; aborts stale uploads; names folders that belong to no run. A process of its own
 * beside the servers. Each run is a transaction that holds its row while its files go, files first: stopped at any point, the next gc goes on from there.
 */
#include "gc.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <libpq-fe.h>

#include "api/artifact.h"
#include "base/arena.h"
#include "base/loop.h"
#include "config.h"
#include "sql_queries.h"

/* Parts of an upload that began longer ago than this belong to nobody. */
#define STALE_UPLOAD_MS ((int64_t)7 * 24 * 3600 * 1000)

struct totals {
	long runs, models, kept, failed;
	int64_t bytes, objects;
};

static PGconn *db;
static volatile sig_atomic_t stop;

static void
on_signal(int unused)
{
	(void)unused;
	stop = 1;
}

/* "30d", "12h", "15m", "90s" or seconds. */
static bool
age_ms(const char *text, int64_t *out)
{
	char *end;
	long long n = strtoll(text, &end, 10);
	int64_t unit = 1000;

	if (end == text || n < 0 || n > 1000000000 || (*end != '\0' && end[1] != '\0'))
		return false;
	switch (*end) {
	case 'd':
		unit *= 24 * 3600;
		break;
	case 'h':
		unit *= 3600;
		break;
	case 'm':
		unit *= 60;
		break;
	case 's':
	case '\0':
		break;
	default:
		return false;
	}
	*out = n * unit;
	return true;
}

/* ---- the database, blocking ---- */

static PGresult *
query(const struct db_statement *sql, const char *a, const char *b)
{
	const char *values[2] = { a, b };
	PGresult *r = PQexecParams(db, sql->sql, b != NULL ? 2 : a != NULL ? 1 : 0, NULL, values, NULL, NULL, 0);

	if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK) {
		fprintf(stderr, "tallyd gc: %s", PQerrorMessage(db));
		PQclear(r);
		return NULL;
	}
	return r;
}

static bool
command(const char *sql)
{
	PGresult *r = PQexec(db, sql);
	bool good = PQresultStatus(r) == PGRES_COMMAND_OK;

	if (!good)
		fprintf(stderr, "tallyd gc: %s", PQerrorMessage(db));
	PQclear(r);
	return good;
}

/* ---- the store, waited for ---- */

struct waiting {
	struct store_op op;
	bool over;
	enum store_result result;
};

static void
waited(struct store_op *op, enum store_result result)
{
	struct waiting *w = op->user;

	w->over = true;
	w->result = result;
}

static void
wait_begin(struct waiting *w)
{
	*w = (struct waiting){ .op = { .arena = arena_new(), .done = waited, .fd = -1 } };
	w->op.user = w;
}

static enum store_result
wait_end(struct waiting *w)
{
	while (!w->over)
		loop_turn(1000);
	if (w->result != STORE_OK)
		fprintf(stderr, "tallyd gc: artifacts: %s\n", w->op.why);
	return w->result;
}

/* Removes (or only adds up) everything below an artifact URI. Artifacts that are not ours to remove (a client's own bucket) do not hold the row. */
static bool
files_go(const char *uri, struct totals *t, int64_t *bytes, int64_t *objects)
{
	struct text prefix;
	char why[300];
	struct store *store = artifact_place(text_from(uri), &prefix, why, sizeof(why));
	struct waiting w;
	bool good;

	*bytes = *objects = 0;
	if (store == NULL) {
		if (why[0] != '\0')
			fprintf(stderr, "tallyd gc: artifacts: %s\n", why);
		else
			printf("  its artifacts at %s are not kept by this server: they stay\n", uri);
		return why[0] == '\0';
	}
	/* A root itself is never a run's folder. */
	if (text_find(prefix, '/') == prefix.n)
		return true;
	wait_begin(&w);
	if (config->dry_run)
		store->usage(store, prefix, &w.op);
	else
		store->remove(store, prefix, &w.op);
	good = wait_end(&w) == STORE_OK;
	*bytes = w.op.bytes;
	*objects = w.op.objects;
	t->bytes += w.op.bytes;
	t->objects += w.op.objects;
	arena_free(w.op.arena);
	return good;
}

/* ---- one thing ---- */

static const char *const words[] = { "run", "model" };

static bool
one_goes(int kind, const char *id, const char *name, const char *uri, struct totals *t)
{
	PGresult *claimed, *deleted = NULL;
	int64_t bytes, objects;
	bool good;

	if (config->dry_run) {
		good = files_go(uri, t, &bytes, &objects);
		printf("would remove %s %s: %lld files, %lld bytes\n", words[kind], name, (long long)objects, (long long)bytes);
		return good;
	}
	if (!command("begin"))
		return false;
	claimed = query(kind == 0 ? SQL_gc_run_claim : SQL_gc_model_claim, id, NULL);
	if (claimed == NULL || PQntuples(claimed) == 0) {
		good = claimed != NULL;
		PQclear(claimed);
		return command("rollback") && good;
	}
	PQclear(claimed);
	if (files_go(uri, t, &bytes, &objects))
		deleted = query(kind == 0 ? SQL_gc_run_delete : SQL_gc_model_delete, id, NULL);
	good = deleted != NULL;
	PQclear(deleted);
	good = command(good ? "commit" : "rollback") && good;
	if (good)
		printf("removed %s %s: %lld files, %lld bytes\n", words[kind], name, (long long)objects, (long long)bytes);
	return good;
}

/* All of a kind, page by page in order of their ids. */
static bool
kind_goes(int kind, const char *before, struct totals *t)
{
	char last[32] = "0";

	while (!stop) {
		PGresult *page = query(kind == 0 ? SQL_gc_runs : SQL_gc_models, before, last);
		int i, n = page != NULL ? PQntuples(page) : 0;

		if (page == NULL)
			return false;
		for (i = 0; i < n && !stop; i++) {
			const char *name = PQgetvalue(page, i, 1);

			snprintf(last, sizeof(last), "%s", PQgetvalue(page, i, 0));
			if (!PQgetisnull(page, i, 3)) {
				t->kept++;
				printf("kept %s %s: %s needs it\n", words[kind], name, PQgetvalue(page, i, 3));
			} else if (!one_goes(kind, last, name, PQgetvalue(page, i, 2), t)) {
				t->failed++;
			} else if (kind == 0) {
				t->runs++;
			} else {
				t->models++;
			}
		}
		PQclear(page);
		if (n == 0)
			return true;
	}
	return true;
}

/* ---- what is in the store but not in the database ---- */

static bool
list_at(struct store *store, struct text key, struct waiting *w)
{
	wait_begin(w);
	store->list(store, key, &w->op);
	return wait_end(w) == STORE_OK;
}

/* A folder of the store, as keys and as URIs name it. */
struct folder {
	struct store *store;
	struct text key, uri;
};

static struct folder
folder_in(struct arena *arena, const struct folder *f, struct text name)
{
	return (struct folder){
		.store = f->store,
		.key = f->key.n > 0 ? text_format(arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(f->key), TEXT_ARG(name)) : name,
		.uri = text_format(arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(f->uri), TEXT_ARG(name)),
	};
}

/* Names the folders of an experiment, or of its logged models, that are none in the database. */
static long
orphans_in(const struct folder *f, bool models)
{
	struct waiting w;
	struct buf names = { 0 };
	PGresult *r = NULL;
	long count = 0;
	size_t i;

	if (list_at(f->store, f->key, &w)) {
		buf_byte(&names, '[');
		for (i = 0; i < w.op.entry_count; i++) {
			struct text name = w.op.entries[i].name;

			if (!w.op.entries[i].is_dir)
				continue;
			if (!models && text_is(name, "models")) {
				struct folder below = folder_in(w.op.arena, f, name);

				count += orphans_in(&below, true);
			} else if (models || !text_is(name, "traces")) {
				if (names.n > 1)
					buf_byte(&names, ',');
				buf_json(&names, name);
			}
		}
		buf_puts(&names, "]");
		buf_byte(&names, '\0');
		r = query(models ? SQL_gc_unknown_models : SQL_gc_unknown, names.s, text_z(w.op.arena, f->uri));
	}
	for (i = 0; r != NULL && i < (size_t)PQntuples(r); i++) {
		printf("orphan: folder " TEXT_FMT "/%s belongs to no %s\n", TEXT_ARG(f->uri), PQgetvalue(r, (int)i, 0), words[models]);
		count++;
	}
	PQclear(r);
	buf_free(&names);
	arena_free(w.op.arena);
	return count;
}

/* A root: each folder in it is an experiment. */
static long
orphans_below(const struct folder *root)
{
	struct waiting w;
	long count = 0;
	size_t i;

	if (list_at(root->store, root->key, &w)) {
		for (i = 0; i < w.op.entry_count && !stop; i++) {
			struct folder f = folder_in(w.op.arena, root, w.op.entries[i].name);

			if (w.op.entries[i].is_dir)
				count += orphans_in(&f, false);
		}
	}
	arena_free(w.op.arena);
	return count;
}

static bool
folder_of(const char *uri, struct folder *f)
{
	char why[300];

	*f = (struct folder){ .uri = text_trim_end(text_from(uri), '/') };
	f->store = artifact_place(text_from(uri), &f->key, why, sizeof(why));
	return f->store != NULL;
}

/* The roots of the server, and experiments that lie elsewhere. */
static void
orphans(void)
{
	const char *roots[2] = { "mlflow-artifacts:/", config->default_artifact_root };
	PGresult *r = query(SQL_gc_locations, roots[0], roots[1]);
	struct folder f;
	long count = 0;
	int i;

	for (i = 0; i < 2 && !stop; i++)
		if (folder_of(roots[i], &f))
			count += orphans_below(&f);
	for (i = 0; r != NULL && i < PQntuples(r) && !stop; i++)
		if (folder_of(PQgetvalue(r, i, 0), &f))
			count += orphans_in(&f, false);
	PQclear(r);
	if (count > 0)
		printf("%ld folders belong to no run or model. They are only named: look before you remove them.\n", count);
}

/* Begun through the proxy: to a direct root clients write without parts, and its bucket may be others' too. */
static void
uploads(void)
{
	struct waiting w;
	struct folder f;

	if (!folder_of("mlflow-artifacts:/", &f))
		return;
	wait_begin(&w);
	f.store->sweep(f.store, clock_ms() - STALE_UPLOAD_MS, config->dry_run, &w.op);
	if (wait_end(&w) == STORE_OK && w.op.objects > 0)
		printf("%s %lld uploads that were never finished\n", config->dry_run ? "would abort" : "aborted", (long long)w.op.objects);
	arena_free(w.op.arena);
}

static bool
all_goes(int64_t older_ms)
{
	struct totals t = { 0 };
	PGresult *r;
	char before[32];
	bool good;

	snprintf(before, sizeof(before), "%lld", (long long)(clock_ms() - older_ms));
	good = kind_goes(0, before, &t) && kind_goes(1, before, &t);
	r = good && !stop ? query(SQL_gc_experiments, before, config->dry_run ? "false" : "true") : NULL;
	if (r != NULL && strcmp(PQgetvalue(r, 0, 0), "0") != 0)
		printf("%s %s empty experiments\n", config->dry_run ? "would remove" : "removed", PQgetvalue(r, 0, 0));
	PQclear(r);
	if (!stop) {
		uploads();
		orphans();
	}
	printf("%s: %ld runs, %ld models, %lld files, %lld bytes%s; kept for versions: %ld; failed: %ld\n", config->dry_run ? "dry run" : "removed", t.runs, t.models, (long long)t.objects, (long long)t.bytes,
	    stop ? " (stopped)" : "", t.kept, t.failed);
	return good && t.failed == 0;
}

int
gc_run(void)
{
	int64_t older_ms;
	PGresult *locked;
	bool good = false;

	if (!age_ms(config->older_than, &older_ms)) {
		fprintf(stderr, "tallyd gc: --older-than wants 30d, 12h, 15m or 90s, not %s\n", config->older_than);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	loop_alone();
	db = PQconnectdb(config->database);
	if (PQstatus(db) != CONNECTION_OK) {
		fprintf(stderr, "tallyd gc: %s", PQerrorMessage(db));
	} else {
		locked = query(SQL_gc_lock, NULL, NULL);
		if (locked != NULL && PQgetvalue(locked, 0, 0)[0] == 't')
			good = all_goes(older_ms);
		else if (locked != NULL)
			fprintf(stderr, "tallyd gc: another gc is at work\n");
		PQclear(locked);
	}
	PQfinish(db);
	return good ? 0 : 1;
}

/* What goes over many objects, a page of the bucket's list at a time: list, usage, remove, and the sweep of unfinished uploads. */
#include "store/gcs_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "store/xml.h"

#define LIST_MOST 50000

/* ---- pages ---- */

static struct name *
name_add(struct job *j, struct text name, bool is_dir, int64_t size, int64_t generation)
{
	struct name *added;

	if (j->name_count == j->name_cap) {
		j->name_cap = j->name_cap == 0 ? 64 : j->name_cap * 2;
		j->names = realloc(j->names, j->name_cap * sizeof(*j->names));
		PRECOND(j->names != NULL);
	}
	added = &j->names[j->name_count++];
	*added = (struct name){ .s = strndup(name.s, name.n), .is_dir = is_dir, .size = size, .generation = generation };
	PRECOND(added->s != NULL);
	return added;
}

/*
 * Adds a page's objects and folders to the names, or its objects to the sums, and keeps the next page's token. False: an answer that is no page, not a whole one, or one that
 * leads back to itself; the job is finished, or asks again with a new token.
 */
static bool
page_read(struct job *j, const struct out_answer *a, bool named)
{
	static const char end[] = "</ListBucketResult>";
	struct arena *arena;
	struct text body = a->body, inner, next;
	size_t at = 0, prefix = strlen(j->object);
	int64_t size, generation;
	bool good = true;

	if (a->status != 200) {
		gcs_failed(j, a, "storage.objects.list");
		return false;
	}
	if (body.n == 0 || memmem(body.s, body.n, end, sizeof(end) - 1) == NULL) {
		gcs_finish(j, STORE_BUSY, "the bucket's list is cut short");
		return false;
	}
	arena = arena_new();
	while (xml_next(body, &at, "Contents", &inner)) {
		struct text key = xml_value(arena, inner, "Key");

		if (!text_int(xml_value(arena, inner, "Size"), &size))
			size = 0;
		if (!text_int(xml_value(arena, inner, "Generation"), &generation))
			generation = 0;
		/* The object "folder/" that some tools make is the folder itself. */
		if (!text_starts(key, j->object) || (key.n == prefix && !j->recursive))
			continue;
		if (named) {
			name_add(j, j->recursive ? key : text_skip(key, prefix), false, size, generation);
		} else {
			j->bytes += size;
			j->objects++;
		}
	}
	at = 0;
	while (xml_next(body, &at, "CommonPrefixes", &inner)) {
		struct text key = xml_value(arena, inner, "Prefix");

		if (named && key.n > prefix + 1 && key.s[key.n - 1] == '/' && text_starts(key, j->object))
			name_add(j, (struct text){ key.s + prefix, key.n - prefix - 1 }, true, 0, 0);
	}
	next = xml_value(arena, body, "NextContinuationToken");
	j->more = text_is(xml_value(arena, body, "IsTruncated"), "true");
	if (j->more && (next.n == 0 || text_eq(next, buf_view(&j->page)))) {
		gcs_finish(j, STORE_BUSY, "the bucket's list does not go on");
		good = false;
	}
	j->page.n = 0;
	buf_text(&j->page, next);
	arena_free(arena);
	return good;
}

static void
page_go(struct job *j)
{
	struct ask a = { .method = "GET", .repeat = true, .done = j->answered };

	gcs_ask_query(&a, "list-type", TEXT("2"));
	gcs_ask_query(&a, "max-keys", TEXT(GCS_PAGE));
	gcs_ask_query(&a, "prefix", text_from(j->object));
	if (!j->recursive)
		gcs_ask_query(&a, "delimiter", TEXT("/"));
	if (j->page.n > 0)
		gcs_ask_query(&a, "continuation-token", buf_view(&j->page));
	j->call = gcs_ask_send(j, &a);
}

static void
page_ask(struct job *j, void (*answered)(void *, struct out_call *, const struct out_answer *))
{
	j->answered = answered;
	gcs_with_token(j, page_go);
}

/* "folder" becomes "folder/": foo never lists foobar. */
static void
object_as_folder(struct job *j)
{
	size_t n = strlen(j->object);

	if (n == 0 || j->object[n - 1] == '/')
		return;
	j->object = realloc(j->object, n + 2);
	PRECOND(j->object != NULL);
	j->object[n] = '/';
	j->object[n + 1] = '\0';
}

/* ---- list ---- */

static int
name_compare(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return strcmp(x->s, y->s);
}

static void
entries_give(struct job *j)
{
	struct store_op *op = j->op;
	size_t i;

	if (j->name_count > 0)
		qsort(j->names, j->name_count, sizeof(*j->names), name_compare);
	op->entry_count = j->name_count;
	op->entries = arena_array(op->arena, j->name_count + 1, sizeof(*op->entries));
	for (i = 0; i < j->name_count; i++) {
		op->entries[i].name = text_copy(op->arena, text_from(j->names[i].s));
		op->entries[i].is_dir = j->names[i].is_dir;
		op->entries[i].size = j->names[i].size;
	}
}

static void
list_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	if (!page_read(j, a, true))
		return;
	if (j->name_count > LIST_MOST) {
		gcs_finish(j, STORE_BAD, "the folder has more than 50,000 entries; list a folder below it");
	} else if (j->more) {
		page_ask(j, list_answered);
	} else {
		entries_give(j);
		gcs_finish(j, STORE_OK, NULL);
	}
}

void
gcs_list(struct store *store, struct text key, struct store_op *op)
{
	struct job *j = gcs_job_new(store, key, op);

	object_as_folder(j);
	page_ask(j, list_answered);
}

/* ---- usage ---- */

static void
usage_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	if (!page_read(j, a, false))
		return;
	if (j->more)
		page_ask(j, usage_answered);
	else
		gcs_finish(j, STORE_OK, NULL);
}

void
gcs_usage(struct store *store, struct text key, struct store_op *op)
{
	struct job *j = gcs_job_new(store, key, op);

	j->recursive = true;
	object_as_folder(j);
	page_ask(j, usage_answered);
}

/* ---- remove ---- */

static void deletes_send(struct job *);
static void remove_listed(void *, struct out_call *, const struct out_answer *);

/* Only the generation that was seen is removed: a repeat after a lost answer leaves alone what was written since. */
static struct out_call *
delete_send(struct job *j, struct ask *a, int64_t generation)
{
	gcs_cache_drop(j->gcs, a->object);
	if (generation != 0)
		gcs_ask_match(a, generation);
	return gcs_ask_send(j, a);
}

static void
deleted(void *user, struct out_call *call, const struct out_answer *a)
{
	struct flight *f = user;
	struct job *j = f->job;
	size_t i;

	(void)call;
	f->call = NULL;
	if (j->finished)
		return;
	if (a->status == 401 && !j->second_token) {
		/* The page is listed again with the next token; what is gone stays gone. */
		j->second_token = true;
		gcp_token_refused(j->gcs->gcp, buf_view(&j->token));
		j->next_delete = j->name_count;
		j->more = true;
		j->page.n = 0;
	} else if (!gcs_gone(a->status)) {
		gcs_refused(j, a, "storage.objects.delete");
		return;
	} else if (gcs_good(a->status)) {
		j->bytes += f->size;
		j->objects++;
	}
	if (j->next_delete < j->name_count) {
		deletes_send(j);
		return;
	}
	for (i = 0; i < GCS_DELETES_WIDE; i++) {
		if (j->flights[i].call != NULL)
			return;
	}
	if (j->more)
		page_ask(j, remove_listed);
	else
		gcs_finish(j, STORE_OK, NULL);
}

static void
deletes_send(struct job *j)
{
	size_t i;

	for (i = 0; i < GCS_DELETES_WIDE && j->next_delete < j->name_count; i++) {
		struct flight *f = &j->flights[i];
		struct name *name = &j->names[j->next_delete];
		struct ask a = { .method = "DELETE", .object = name->s, .repeat = true, .done = deleted, .user = f };

		if (f->call != NULL)
			continue;
		j->next_delete++;
		f->job = j;
		f->size = name->size;
		f->call = delete_send(j, &a, name->generation);
	}
}

static void
remove_listed(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	gcs_names_free(j);
	j->next_delete = 0;
	/* Counted when they are gone. */
	if (!page_read(j, a, true))
		return;
	if (j->name_count > 0)
		deletes_send(j);
	else if (j->more)
		page_ask(j, remove_listed);
	else
		gcs_finish(j, STORE_OK, NULL);
}

static void
remove_single_gone(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	if (!gcs_gone(a->status)) {
		gcs_failed(j, a, "storage.objects.delete");
		return;
	}
	if (gcs_good(a->status)) {
		j->bytes = j->size;
		j->objects = 1;
	}
	object_as_folder(j);
	page_ask(j, remove_listed);
}

static void
remove_single_go(struct job *j)
{
	struct ask a = { .method = "DELETE", .object = j->object, .repeat = true, .done = remove_single_gone };

	j->call = delete_send(j, &a, (int64_t)j->op->stat.generation);
}

/* Is the key itself an object? Then it goes first. */
static void
remove_looked(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct store_stat st;

	j->call = NULL;
	if (a->status == 200) {
		gcs_answer_stat(call, &st);
		j->op->stat = st;
		j->size = st.size > 0 ? st.size : 0;
		gcs_with_token(j, remove_single_go);
	} else if (a->status == 404) {
		object_as_folder(j);
		page_ask(j, remove_listed);
	} else {
		gcs_failed(j, a, "storage.objects.get");
	}
}

void
gcs_remove(struct store *store, struct text key, struct store_op *op)
{
	struct job *j = gcs_job_new(store, key, op);

	/* An empty key would be everything. */
	PRECOND(key.n > 0);
	j->recursive = true;
	gcs_look(j, remove_looked);
}

/* ---- uploads that nobody finished: their parts are billed until they are aborted ---- */

static void sweep_next(struct job *);
static void sweep_go(struct job *);

static void
swept(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	if (gcs_renewed(j, a))
		return;
	if (a->status != 404 && !gcs_good(a->status)) {
		gcs_refused(j, a, "storage.multipartUploads.abort");
		return;
	}
	j->objects++;
	j->next_delete++;
	gcs_with_token(j, sweep_next);
}

static void
sweep_next(struct job *j)
{
	struct name *name = &j->names[j->next_delete];
	struct ask a = { .method = "DELETE", .repeat = true, .done = swept };

	if (j->next_delete == j->name_count) {
		gcs_finish(j, STORE_OK, NULL);
		return;
	}
	a.object = name->s;
	gcs_ask_query(&a, "uploadId", text_from(name->upload));
	j->call = gcs_ask_send(j, &a);
}

static void
sweep_listed(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct text inner, key_marker, id_marker;
	size_t at = 0;

	(void)call;
	j->call = NULL;
	if (gcs_renewed(j, a))
		return;
	if (a->status != 200) {
		gcs_failed(j, a, "storage.multipartUploads.list");
		return;
	}
	while (xml_next(a->body, &at, "Upload", &inner)) {
		struct text key = xml_value(j->op->arena, inner, "Key"), id = xml_value(j->op->arena, inner, "UploadId"), begun = xml_value(j->op->arena, inner, "Initiated");
		struct tm tm = { 0 };

		if (key.n == 0 || id.n == 0 || strptime(text_z(j->op->arena, begun), "%Y-%m-%dT%H:%M:%S", &tm) == NULL || (int64_t)timegm(&tm) >= j->begun_s)
			continue;
		name_add(j, key, false, 0, 0)->upload = strndup(id.s, id.n);
	}
	key_marker = xml_value(j->op->arena, a->body, "NextKeyMarker");
	id_marker = xml_value(j->op->arena, a->body, "NextUploadIdMarker");
	if (text_is(xml_value(j->op->arena, a->body, "IsTruncated"), "true") && id_marker.n > 0 && !text_eq(id_marker, buf_view(&j->upload)) && j->name_count < LIST_MOST) {
		j->page.n = j->upload.n = 0;
		buf_text(&j->page, key_marker);
		buf_text(&j->upload, id_marker);
		gcs_with_token(j, sweep_go);
	} else if (j->count_only) {
		j->objects = (int64_t)j->name_count;
		gcs_finish(j, STORE_OK, NULL);
	} else {
		gcs_with_token(j, sweep_next);
	}
}

static void
sweep_go(struct job *j)
{
	struct ask a = { .method = "GET", .repeat = true, .done = sweep_listed };

	gcs_ask_query(&a, "uploads", TEXT_NONE);
	gcs_ask_query(&a, "prefix", text_from(j->object));
	if (j->upload.n > 0) {
		gcs_ask_query(&a, "key-marker", buf_view(&j->page));
		gcs_ask_query(&a, "upload-id-marker", buf_view(&j->upload));
	}
	j->call = gcs_ask_send(j, &a);
}

void
gcs_sweep(struct store *store, int64_t before_ms, bool count_only, struct store_op *op)
{
	struct job *j = gcs_job_new(store, TEXT(""), op);

	j->begun_s = before_ms / 1000;
	j->count_only = count_only;
	gcs_with_token(j, sweep_go);
}

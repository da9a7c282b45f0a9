/* One object: what it is (stat), and its bytes through the server (get), in pieces, on from where an answer broke off. */
#include "store/gcs_job.h"

#include <stdio.h>

#include "store/crc32c.h"

#define RESUMES_MOST 4

/* ---- stat ---- */

static void
stat_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	j->call = NULL;
	if (a->status == 200) {
		gcs_answer_stat(call, &j->op->stat);
		gcs_finish(j, STORE_OK, NULL);
	} else {
		gcs_failed(j, a, "storage.objects.get");
	}
}

void
gcs_stat(struct store *store, struct text key, struct store_op *op)
{
	gcs_look(gcs_job_new(store, key, op), stat_answered);
}

/* ---- get ---- */

static void get_go(struct job *);

/* "bytes 5-9/20": where the piece begins and how long the object is. */
static bool
content_range(struct text t, int64_t *from, int64_t *total)
{
	struct text rest;
	size_t dash, slash;

	if (!text_starts(t, "bytes "))
		return false;
	rest = text_skip(t, 6);
	dash = text_find(rest, '-');
	slash = text_find(rest, '/');
	return dash < slash && slash < rest.n && text_int((struct text){ rest.s, dash }, from) && text_int(text_skip(rest, slash + 1), total);
}

static bool
get_checks(struct job *j, struct out_call *call, int status, struct store_stat *st)
{
	int64_t from = 0, total = -1, content;
	bool ranged = j->offset + j->delivered > 0 || j->length >= 0;

	gcs_answer_stat(call, st);
	if (!text_int(out_answer_header(call, "content-length"), &content))
		content = -1;
	if (status == 206 && content_range(out_answer_header(call, "content-range"), &from, &total)) {
		if (from != j->offset + j->delivered)
			return false;
		st->size = total;
	} else if (ranged) {
		/* A whole body where a piece was asked for would corrupt the file. */
		return false;
	}
	if (st->size < 0)
		st->size = content;
	j->expected = j->length >= 0 ? j->length : st->size >= 0 ? st->size - j->offset : -1;
	if (j->expected >= 0 && st->size >= 0 && j->expected > st->size - j->offset)
		j->expected = st->size - j->offset;
	return content < 0 || j->expected < 0 || content == j->expected - j->delivered;
}

static void
on_head(void *user, struct out_call *call, int status)
{
	struct job *j = user;
	struct store_stat st;

	if (j->finished)
		return;
	if (!get_checks(j, call, status, &st) || (j->told && st.generation != j->op->stat.generation)) {
		gcs_finish(j, STORE_CORRUPT, "the bucket's answer does not fit what was asked");
		return;
	}
	if (j->told)
		return;
	j->told = true;
	j->op->stat = st;
	j->summing = j->offset == 0 && j->length < 0 && !st.encoded && gcs_answer_crc(call, &j->crc_wanted);
	if (j->op->head != NULL)
		j->op->head(j->op);
}

static bool
on_data(void *user, const void *bytes, size_t n)
{
	struct job *j = user;
	bool freed = false, more;

	if (j->finished)
		return true;
	if (j->expected >= 0 && (int64_t)n > j->expected - j->delivered) {
		gcs_finish(j, STORE_CORRUPT, "the bucket sent more than it said");
		return true;
	}
	if (j->summing)
		j->crc = crc32c(j->crc, bytes, n);
	/* The last piece is kept back when the sum is wrong: a file that arrived whole would be taken for good. */
	if (j->summing && j->expected >= 0 && j->delivered + (int64_t)n == j->expected && j->crc != j->crc_wanted) {
		gcs_finish(j, STORE_CORRUPT, "the checksum differs from the bucket's");
		return true;
	}
	j->delivered += (int64_t)n;
	j->freed = &freed;
	more = j->op->data(j->op, bytes, n);
	if (!freed)
		j->freed = NULL;
	return more;
}

static void
get_again(void *user)
{
	struct job *j = user;

	j->timer = NULL;
	gcs_with_token(j, get_go);
}

static void
get_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	bool whole, freed = false;

	j->call = NULL;
	if (j->finished)
		return;
	if (!j->told && (a->status == 200 || a->status == 206)) {
		/* An empty object: no data came, so nobody was told. */
		j->freed = &freed;
		on_head(j, call, a->status);
		if (freed)
			return;
		j->freed = NULL;
	}
	if (j->finished)
		return;
	if (gcs_good(a->status) && j->told) {
		whole = j->expected < 0 || j->delivered == j->expected;
		if (whole && (!j->summing || j->crc == j->crc_wanted)) {
			gcs_finish(j, STORE_OK, NULL);
			return;
		}
		if (whole) {
			gcs_finish(j, STORE_CORRUPT, "the checksum differs from the bucket's");
			return;
		}
	}
	if (j->told) {
		/* Broken off in the middle: on from where it stopped, of the same generation. */
		if (a->status != 404 && a->status != 412 && j->resumes++ < RESUMES_MOST)
			j->timer = loop_after(250 << j->resumes, get_again, j);
		else
			gcs_finish(j, STORE_BUSY, "the bucket broke off");
		return;
	}
	gcs_failed(j, a, "storage.objects.get");
}

static void
get_go(struct job *j)
{
	struct ask a = { .method = "GET", .object = j->object, .repeat = true, .head = on_head, .data = on_data, .done = get_answered };
	int64_t from = j->offset + j->delivered;
	char range[64];

	gcs_ask_header(&a, "Accept-Encoding", TEXT("gzip"));
	if (from > 0 || j->length >= 0) {
		if (j->length >= 0)
			snprintf(range, sizeof(range), "bytes=%lld-%lld", (long long)from, (long long)(j->offset + j->length - 1));
		else
			snprintf(range, sizeof(range), "bytes=%lld-", (long long)from);
		gcs_ask_header(&a, "Range", text_from(range));
	}
	if (j->told)
		gcs_ask_generation(&a, j->op->stat.generation);
	j->call = gcs_ask_send(j, &a);
}

void
gcs_get(struct store *store, struct text key, int64_t offset, int64_t length, struct store_op *op)
{
	struct job *j = gcs_job_new(store, key, op);

	j->offset = offset;
	j->length = length;
	j->expected = -1;
	if (length == 0)
		gcs_finish(j, STORE_RANGE, "an empty range");
	gcs_with_token(j, get_go);
}

void
gcs_resume(struct store_op *op)
{
	struct job *j = op->priv;

	if (j != NULL && j->call != NULL)
		out_resume(j->call);
}

/* Bytes through the server into one object: a small one in one piece, which can be repeated; a big one as a stream, which cannot. */
#include "store/gcs_job.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "store/crc32c.h"

/* Up to here a put is collected and sent in one piece: it can be repeated, and the bucket checks its sum before it keeps it. */
#define SMALL_MOST ((size_t)256 * 1024)
/* So often another's write between our look and our put sends us back to look. */
#define LOOKS_MOST 4

static void
crc_text(uint32_t crc, char out[24])
{
	unsigned char raw[4] = { (unsigned char)(crc >> 24), (unsigned char)(crc >> 16), (unsigned char)(crc >> 8), (unsigned char)crc };

	memcpy(out, "crc32c=", 7);
	EVP_EncodeBlock((unsigned char *)out + 7, raw, 4);
}

void
gcs_put_stored(struct job *j, int64_t size)
{
	gcs_cache_drop(j->gcs, j->object);
	j->bytes = size;
	gcs_finish(j, STORE_OK, NULL);
}

static void
corrupt_removed(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	gcs_finish(j, STORE_CORRUPT, gcs_gone(a->status) ? "the bucket's checksum differs from what was sent; the object was removed" : "the bucket's checksum differs from what was sent, and the object could not be removed");
}

/* The bucket holds something else than we sent: that generation goes. */
static void
corrupt_go(struct job *j)
{
	struct ask a = { .method = "DELETE", .object = j->object, .repeat = true, .done = corrupt_removed };

	gcs_ask_generation(&a, j->op->stat.generation);
	j->call = gcs_ask_send(j, &a);
}

static void
sum_looked(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct store_stat st;
	uint32_t crc;

	j->call = NULL;
	if (a->status == 200) {
		gcs_answer_stat(call, &st);
		/* It may be another's by now, so it is left where it is. */
		if (st.size != j->given || (gcs_answer_crc(call, &crc) && crc != j->crc)) {
			gcs_finish(j, STORE_CORRUPT, "the object in the bucket is not what was sent");
			return;
		}
	}
	gcs_put_stored(j, j->given);
}

/* The bucket says that it has the object: does it say so of the bytes that were sent? */
static void
sum_compare(struct job *j, const struct out_call *call)
{
	uint32_t crc;

	gcs_answer_stat(call, &j->op->stat);
	if (!gcs_answer_crc(call, &crc))
		gcs_look(j, sum_looked);
	else if (crc != j->crc)
		gcs_with_token(j, corrupt_go);
	else
		gcs_put_stored(j, j->given);
}

/* ---- in one piece ---- */

static void
small_again(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct store_stat st;
	uint32_t crc;

	j->call = NULL;
	if (a->status == 404) {
		/* It went away between the two. */
		j->overwrite = j->looks >= LOOKS_MOST;
		j->over = 0;
		gcs_with_token(j, gcs_put_small);
		return;
	}
	if (gcs_renewed(j, a))
		return;
	if (a->status != 200) {
		gcs_refused(j, a, "storage.objects.get");
		return;
	}
	gcs_answer_stat(call, &st);
	j->replaced = st.size;
	/* The same bytes are there already: logged twice, or our own put whose answer was lost. No permission to overwrite is needed. */
	if (!st.encoded && st.size == (int64_t)j->small.n && gcs_answer_crc(call, &crc) && crc == j->crc) {
		gcs_put_stored(j, st.size);
		return;
	}
	/* Only what was seen is replaced, so a repeat after a lost answer cannot undo another's write. Where others write all the time, the last one wins in the end. */
	j->overwrite = true;
	j->over = j->looks < LOOKS_MOST ? (int64_t)st.generation : 0;
	gcs_with_token(j, gcs_put_small);
}

static void
small_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	j->call = NULL;
	if (gcs_good(a->status)) {
		if (!j->overwrite)
			j->replaced = STORE_REPLACED_NONE;
		sum_compare(j, call);
		return;
	}
	if (a->status == 412 && (!j->overwrite || j->over != 0)) {
		j->looks++;
		gcs_look(j, small_again);
		return;
	}
	if (!gcs_renewed(j, a))
		gcs_write_refused(j, a, j->overwrite ? "storage.objects.delete (needed to overwrite)" : "storage.objects.create");
}

/* First "only if nothing is there": one request for a new object, safe to repeat, and it says whether something is replaced. */
void
gcs_put_small(struct job *j)
{
	struct ask a = { .method = "PUT", .object = j->object, .body = buf_view(&j->small), .has_body = true, .repeat = !j->overwrite || j->over != 0, .done = small_answered };
	char hash[24];

	crc_text(j->crc, hash);
	gcs_ask_type(&a, j);
	gcs_ask_header(&a, "x-goog-hash", text_from(hash));
	if (a.repeat)
		gcs_ask_match(&a, j->overwrite ? j->over : 0);
	j->call = gcs_ask_send(j, &a);
}

/* ---- as a stream ---- */

static void
big_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	j->call = NULL;
	if (j->finished)
		return;
	if (gcs_good(a->status)) {
		sum_compare(j, call);
		return;
	}
	if (a->status == 401) {
		/* The bytes are gone, so it cannot be done once more. */
		gcp_token_refused(j->gcs->gcp, buf_view(&j->token));
		gcs_finish(j, STORE_BUSY, "the bucket did not take the token; the next one is being fetched");
		return;
	}
	gcs_write_refused(j, a, j->replaced == STORE_REPLACED_NONE ? "storage.objects.create" : j->replaced >= 0 ? "storage.objects.delete (needed to overwrite)" : "storage.objects.create, or storage.objects.delete to overwrite,");
}

static void
on_room(void *user)
{
	struct job *j = user;

	/* Called by the timer that big_go() set, or by out.c. */
	if (j->finished)
		return;
	j->timer = NULL;
	j->held = false;
	if (!j->ended && j->op->room != NULL)
		j->op->room(j->op);
}

static void
big_go(struct job *j)
{
	struct ask a = { .method = "PUT", .object = j->object, .stream = true, .length = j->length, .room = on_room, .done = big_answered };

	gcs_ask_type(&a, j);
	j->call = gcs_ask_send(j, &a);
	j->held = !out_give(j->call, j->small.s, j->small.n);
	buf_free(&j->small);
	if (j->ended)
		out_end(j->call);
	else if (!j->held && j->op->room != NULL)
		j->timer = loop_after(0, on_room, j);
}

static void
big_looked(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	j->look = NULL;
	if (gcs_renewed(j, a))
		return;
	gcs_note_replaced(j, call, a);
	big_go(j);
}

/* First what will be replaced: once the bytes are on their way the bucket may show those. Asked once, for usage only. */
static void
big_look(struct job *j)
{
	j->look = gcs_look_send(j, false, big_looked);
}

static void
big_start(struct job *j)
{
	j->streaming = true;
	gcs_with_token(j, big_look);
}

void
gcs_put(struct store *store, struct text key, int64_t length, struct text content_type, struct store_op *op)
{
	struct job *j = gcs_job_new(store, key, op);

	PRECOND(key.n > 0);
	j->length = length;
	gcs_type_set(j, content_type);
	if (length > (int64_t)SMALL_MOST)
		big_start(j);
}

bool
gcs_put_bytes(struct store_op *op, const void *bytes, size_t n)
{
	struct job *j = op->priv;

	if (j == NULL || j->finished)
		return true;
	j->crc = crc32c(j->crc, bytes, n);
	j->given += (int64_t)n;
	if (j->call != NULL && j->streaming) {
		j->held = !out_give(j->call, bytes, n);
		return !j->held;
	}
	buf_add(&j->small, bytes, n);
	if (j->small.n <= SMALL_MOST)
		return true;
	if (!j->streaming)
		big_start(j);
	/* Without a token yet: wait for room(). */
	return j->call != NULL && !j->held;
}

void
gcs_put_end(struct store_op *op)
{
	struct job *j = op->priv;

	if (j == NULL || j->finished)
		return;
	j->ended = true;
	if (j->length >= 0 && j->given != j->length) {
		if (j->call != NULL)
			out_cancel(j->call);
		j->call = NULL;
		gcs_finish(j, STORE_BAD, "the body is shorter or longer than it was said to be");
	} else if (!j->streaming) {
		gcs_with_token(j, gcs_put_small);
	} else if (j->call != NULL) {
		out_end(j->call);
	}
}

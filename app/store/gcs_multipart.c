/*
 * Uploads in parts that the client sends to signed addresses. A signed POST is refused by Google, so they begin and end here. One part alone is one signed PUT, none an empty
 * object: neither is an upload to the bucket, and the client need not know.
 */
#include "store/gcs_job.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "store/xml.h"

#define PARTS_MOST 10000

/* ---- the upload id ---- */

/*
 * What the client holds as upload_id: kind, parts, time, a tag over them and the object, and the bucket's own id. So complete and abort cannot be aimed elsewhere,
 * on any server, without a table.
 */
static void
upload_tag(const struct job *j, const char *head, struct text id, char out[33])
{
	unsigned char secret[32], digest[SHA256_DIGEST_LENGTH];
	struct buf text = { 0 };
	unsigned int n = 0;

	gcp_secret(j->gcs->gcp, secret);
	buf_printf(&text, "%s\n%s\n%s\n", head, j->gcs->bucket, j->object);
	buf_text(&text, id);
	PRECOND(HMAC(EVP_sha256(), secret, sizeof(secret), (const unsigned char *)text.s, text.n, digest, &n) != NULL);
	text_hex(digest, 16, out);
	out[32] = '\0';
	buf_free(&text);
	OPENSSL_cleanse(secret, sizeof(secret));
}

static void
upload_id_give(struct job *j, struct text id)
{
	struct buf out = { 0 };
	char head[64], tag[33];

	snprintf(head, sizeof(head), "%c.%d.%lld", (int)j->kind, j->parts, (long long)(clock_ms() / 1000));
	upload_tag(j, head, id, tag);
	buf_printf(&out, "%s.%s.", head, tag);
	buf_text(&out, id);
	j->op->upload_id = text_copy(j->op->arena, buf_view(&out));
	buf_free(&out);
}

static bool
take_until_dot(struct text *rest, struct text *piece)
{
	size_t dot = text_find(*rest, '.');

	if (dot == rest->n)
		return false;
	*piece = (struct text){ rest->s, dot };
	*rest = text_skip(*rest, dot + 1);
	return true;
}

/* Reads an upload_id of ours into the job; false when it is not, or not for this object. */
static bool
upload_id_take(struct job *j, struct text given)
{
	struct text rest = given, kind, parts, begun, tag;
	int64_t n, seconds;
	char head[64], want[33];

	if (!take_until_dot(&rest, &kind) || !take_until_dot(&rest, &parts) || !take_until_dot(&rest, &begun) || !take_until_dot(&rest, &tag))
		return false;
	if (kind.n != 1 || memchr("mse", kind.s[0], 3) == NULL || !text_int(parts, &n) || n < 0 || n > PARTS_MOST || !text_int(begun, &seconds))
		return false;
	j->kind = (enum upload_kind)kind.s[0];
	j->parts = (int)n;
	j->begun_s = seconds;
	snprintf(head, sizeof(head), "%c.%d.%lld", (int)j->kind, j->parts, (long long)seconds);
	upload_tag(j, head, rest, want);
	if (tag.n != 32 || CRYPTO_memcmp(tag.s, want, 32) != 0)
		return false;
	buf_text(&j->upload, rest);
	return true;
}

/* ---- create ---- */

static void
create_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct text id;

	(void)call;
	j->call = NULL;
	if (a->status != 200) {
		if (!gcs_renewed(j, a))
			gcs_write_refused(j, a, "storage.multipartUploads.create");
		return;
	}
	id = xml_value(j->op->arena, a->body, "UploadId");
	if (id.n == 0) {
		gcs_finish(j, STORE_BUSY, "the bucket gave no upload id");
		return;
	}
	buf_text(&j->upload, id);
	upload_id_give(j, id);
	gcs_sign_parts(j);
}

static void
create_go(struct job *j)
{
	struct ask a = { .method = "POST", .object = j->object, .has_body = true, .repeat = true, .done = create_answered };

	gcs_ask_query(&a, "uploads", TEXT_NONE);
	gcs_ask_type(&a, j);
	j->call = gcs_ask_send(j, &a);
}

static void
create_single_go(struct job *j)
{
	upload_id_give(j, TEXT("-"));
	gcs_sign_one(j, "PUT", NULL, 0);
}

void
gcs_multipart_create(struct store *store, struct text key, int parts, struct text content_type, struct store_op *op)
{
	struct job *j = gcs_job_new(store, key, op);

	j->parts = parts;
	gcs_type_set(j, content_type);
	j->kind = parts == 0 ? UPLOAD_EMPTY : parts == 1 ? UPLOAD_SINGLE : UPLOAD_PARTS;
	if (parts < 0 || parts > PARTS_MOST) {
		gcs_finish(j, STORE_UNSUPPORTED, "Multipart upload is not supported for the current artifact repository: more than 10,000 parts");
		return;
	}
	/* All parts are signed now and the client never asks again: twenty seconds each, an hour at least, half a day at most. */
	if (!gcs_can_sign(j, parts * 20 < 3600 ? 3600 : parts * 20 > 43200 ? 43200 : parts * 20))
		return;
	if (parts == 0) {
		upload_id_give(j, TEXT("-"));
		gcs_finish(j, STORE_OK, NULL);
	} else {
		gcs_with_token(j, parts == 1 ? create_single_go : create_go);
	}
}

/* ---- complete ---- */

static struct text
unquoted(struct text t)
{
	return t.n >= 2 && t.s[0] == '"' && t.s[t.n - 1] == '"' ? (struct text){ t.s + 1, t.n - 2 } : t;
}

/* The object as it is after the upload. */
static void
complete_looked(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct store_stat st;
	struct text sent = TEXT_NONE;

	j->call = NULL;
	if (a->status == 404) {
		gcs_finish(j, STORE_BAD, j->kind == UPLOAD_SINGLE ? "the file was not uploaded to its address" : "the upload is unknown, aborted or too old");
		return;
	}
	if (a->status != 200) {
		gcs_failed(j, a, "storage.objects.get");
		return;
	}
	gcs_answer_stat(call, &st);
	/* After an answer that was lost, or of a single PUT: is it ours? By the tag that its PUT was answered with; else by its time: another's may have come after ours. Two clocks are compared. */
	if (j->kind == UPLOAD_SINGLE)
		sent = unquoted(j->given_parts[0].etag);
	if ((sent.n == 0 || !text_eq(sent, unquoted(out_answer_header(call, "etag")))) && st.mtime_ms != 0 && st.mtime_ms / 1000 + (sent.n > 0 ? 2 : 60) < j->begun_s) {
		gcs_finish(j, STORE_BAD, "the upload did not arrive; an older object is there");
		return;
	}
	if (j->size >= 0 && st.size != j->size) {
		gcs_finish(j, STORE_CORRUPT, "the object's size is not that of its parts");
		return;
	}
	j->op->stat = st;
	gcs_put_stored(j, st.size);
}

static void
completed(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	size_t at = 0;
	struct text code = TEXT_NONE;

	(void)call;
	j->call = NULL;
	if (!xml_next(a->body, &at, "Code", &code))
		code = TEXT_NONE;
	if ((gcs_good(a->status) && code.s == NULL) || text_is(code, "NoSuchUpload")) {
		gcs_look(j, complete_looked);
	} else if (a->status == 200) {
		gcs_finish(j, STORE_BUSY, "the bucket could not join the parts");
	} else {
		gcs_failed(j, a, "storage.objects.create (and storage.objects.delete to overwrite)");
	}
}

static void
complete_go(struct job *j)
{
	struct ask a = { .method = "POST", .object = j->object, .has_body = true, .repeat = true, .done = completed };
	struct buf body = { 0 };
	size_t i;

	buf_puts(&body, "<CompleteMultipartUpload>");
	for (i = 0; i < j->listed_count; i++) {
		buf_printf(&body, "<Part><PartNumber>%d</PartNumber><ETag>", j->listed[i].number);
		xml_escape(&body, j->listed[i].etag);
		buf_puts(&body, "</ETag></Part>");
	}
	buf_puts(&body, "</CompleteMultipartUpload>");
	a.body = buf_view(&body);
	gcs_ask_query(&a, "uploadId", buf_view(&j->upload));
	gcs_ask_header(&a, "Content-Type", TEXT("application/xml"));
	j->call = gcs_ask_send(j, &a);
	buf_free(&body);
}

/* The bucket's list of parts against the client's: all there, the same, and of one size but the last. NULL when they agree. */
static const char *
parts_fault(struct job *j)
{
	bool *named = arena_array(j->op->arena, (size_t)j->parts + 1, sizeof(*named));
	size_t i, k;

	memset(named, 0, ((size_t)j->parts + 1) * sizeof(*named));
	if (j->listed_count != (size_t)j->parts)
		return "parts are missing in the bucket";
	if (j->given_part_count != (size_t)j->parts)
		return "the list of parts is not complete";
	for (i = 0; i < j->listed_count; i++) {
		if (j->listed[i].number != (int)i + 1)
			return "parts are missing in the bucket";
		if (i + 1 < j->listed_count && j->listed_size[i] != j->listed_size[0])
			return "a part is shorter or longer than the others";
	}
	for (k = 0; k < j->given_part_count; k++) {
		const struct store_part *p = &j->given_parts[k];

		if (p->number < 1 || p->number > j->parts)
			return "a part's number is out of range";
		if (named[p->number])
			return "a part is named twice";
		named[p->number] = true;
		if (p->etag.n > 0 && !text_eq(unquoted(p->etag), unquoted(j->listed[p->number - 1].etag)))
			return "a part in the bucket is not the one that was sent";
	}
	return NULL;
}

static void parts_go(struct job *);

static void
parts_read(struct job *j, struct text body)
{
	struct text inner;
	size_t at = 0;

	while (j->listed_count < PARTS_MOST && xml_next(body, &at, "Part", &inner)) {
		int64_t number, size;

		if (!text_int(xml_value(j->op->arena, inner, "PartNumber"), &number) || !text_int(xml_value(j->op->arena, inner, "Size"), &size))
			continue;
		j->listed[j->listed_count].number = (int)number;
		j->listed[j->listed_count].etag = xml_value(j->op->arena, inner, "ETag");
		j->listed_size[j->listed_count++] = size;
	}
}

static void
parts_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct text marker;
	const char *fault;
	size_t i, before = j->listed_count;

	(void)call;
	j->call = NULL;
	if (a->status == 404) {
		/* Completed by an earlier try whose answer was lost, or never begun. */
		gcs_look(j, complete_looked);
		return;
	}
	if (a->status != 200) {
		gcs_failed(j, a, "storage.multipartUploads.listParts");
		return;
	}
	parts_read(j, a->body);
	marker = xml_value(j->op->arena, a->body, "NextPartNumberMarker");
	if (text_is(xml_value(j->op->arena, a->body, "IsTruncated"), "true") && marker.n > 0 && j->listed_count > before) {
		j->page.n = 0;
		buf_text(&j->page, marker);
		gcs_with_token(j, parts_go);
		return;
	}
	fault = parts_fault(j);
	if (fault != NULL) {
		gcs_finish(j, STORE_BAD, fault);
		return;
	}
	j->size = 0;
	for (i = 0; i < j->listed_count; i++)
		j->size += j->listed_size[i];
	gcs_with_token(j, complete_go);
}

static void
parts_go(struct job *j)
{
	struct ask a = { .method = "GET", .object = j->object, .repeat = true, .done = parts_answered };

	gcs_ask_query(&a, "uploadId", buf_view(&j->upload));
	gcs_ask_query(&a, "max-parts", TEXT(GCS_PAGE));
	if (j->page.n > 0)
		gcs_ask_query(&a, "part-number-marker", buf_view(&j->page));
	j->call = gcs_ask_send(j, &a);
}

static void
before_looked(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	j->call = NULL;
	if (gcs_renewed(j, a))
		return;
	gcs_note_replaced(j, call, a);
	gcs_with_token(j, parts_go);
}

void
gcs_multipart_complete(struct store *store, struct text key, struct text upload_id, const struct store_part *parts, size_t n, struct store_op *op)
{
	struct job *j = gcs_job_new(store, key, op);
	size_t i;

	if (!upload_id_take(j, upload_id)) {
		gcs_finish(j, STORE_BAD, "the upload id does not belong to this path");
		return;
	}
	/* Kept in the op's arena: the caller's list may go. */
	{
		struct store_part *copy = arena_array(op->arena, n + 1, sizeof(*copy));

		for (i = 0; i < n; i++) {
			copy[i].number = parts[i].number;
			copy[i].etag = text_copy(op->arena, parts[i].etag);
		}
		j->given_parts = copy;
		j->given_part_count = n;
	}
	if (j->kind != UPLOAD_PARTS && n != (size_t)j->parts) {
		gcs_finish(j, STORE_BAD, "the list of parts is not complete");
	} else if (j->kind == UPLOAD_EMPTY) {
		gcs_type_set(j, text_from(artifact_type(key)));
		gcs_with_token(j, gcs_put_small);
	} else if (j->kind == UPLOAD_SINGLE) {
		gcs_look(j, complete_looked);
	} else {
		j->listed = calloc(PARTS_MOST, sizeof(*j->listed));
		j->listed_size = calloc(PARTS_MOST, sizeof(*j->listed_size));
		PRECOND(j->listed != NULL && j->listed_size != NULL);
		gcs_look(j, before_looked);
	}
}

/* ---- abort ---- */

static void
aborted(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	if (a->status == 404 || gcs_good(a->status))
		gcs_finish(j, STORE_OK, NULL);
	else
		gcs_failed(j, a, "storage.multipartUploads.abort");
}

static void
abort_go(struct job *j)
{
	struct ask a = { .method = "DELETE", .object = j->object, .repeat = true, .done = aborted };

	gcs_ask_query(&a, "uploadId", buf_view(&j->upload));
	j->call = gcs_ask_send(j, &a);
}

void
gcs_multipart_abort(struct store *store, struct text key, struct text upload_id, struct store_op *op)
{
	struct job *j = gcs_job_new(store, key, op);

	if (!upload_id_take(j, upload_id))
		gcs_finish(j, STORE_BAD, "the upload id does not belong to this path");
	else if (j->kind != UPLOAD_PARTS)
		gcs_finish(j, STORE_OK, NULL);
	else
		gcs_with_token(j, abort_go);
}

/*
 * The life of one operation on a bucket: its token, its requests, its end; and what the bucket's answers mean. What the server does itself goes with a token (or, with HMAC keys
 * only, with a signed header).
 */
#include "store/gcs_job.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "store/xml.h"

#define OBJECT_NAME_MOST 1024

/* ---- the life of a job ---- */

void
gcs_names_free(struct job *j)
{
	size_t i;

	for (i = 0; i < j->name_count; i++) {
		free(j->names[i].s);
		free(j->names[i].upload);
	}
	j->name_count = 0;
}

void
gcs_job_free(struct job *j)
{
	size_t i;

	if (j->freed != NULL)
		*j->freed = true;
	if (j->call != NULL)
		out_cancel(j->call);
	if (j->look != NULL)
		out_cancel(j->look);
	if (j->wait != NULL)
		gcp_token_cancel(j->wait);
	if (j->sign != NULL)
		gcp_sign_cancel(j->sign);
	if (j->timer != NULL)
		loop_cancel(j->timer);
	for (i = 0; i < GCS_DELETES_WIDE; i++) {
		if (j->flights[i].call != NULL)
			out_cancel(j->flights[i].call);
	}
	gcs_names_free(j);
	free(j->names);
	for (i = 0; i < j->url_count; i++)
		buf_free(&j->urls[i]);
	free(j->urls);
	free(j->listed);
	free(j->listed_size);
	buf_free(&j->token);
	buf_free(&j->small);
	buf_free(&j->page);
	buf_free(&j->upload);
	free(j->type);
	free(j->object);
	free(j);
}

static void
deliver(void *user)
{
	struct job *j = user;
	struct store_op *op = j->op;
	enum store_result result = j->result;
	size_t i;

	j->timer = NULL;
	op->priv = NULL;
	snprintf(op->why, sizeof(op->why), "%s", j->why);
	op->bytes = j->bytes;
	op->objects = j->objects;
	op->replaced = j->replaced;
	if (result == STORE_OK && j->url_count > 0) {
		op->urls = arena_array(op->arena, j->url_count, sizeof(*op->urls));
		op->url_count = j->url_count;
		for (i = 0; i < j->url_count; i++) {
			op->urls[i].url = text_copy(op->arena, buf_view(&j->urls[i]));
			op->urls[i].size = j->size;
		}
	}
	gcs_job_free(j);
	op->done(op, result);
}

void
gcs_finish(struct job *j, enum store_result result, const char *why)
{
	if (j->finished)
		return;
	j->finished = true;
	j->result = result;
	snprintf(j->why, sizeof(j->why), "%s", why != NULL ? why : "");
	if (j->timer != NULL)
		loop_cancel(j->timer);
	j->timer = loop_after(0, deliver, j);
}

struct job *
gcs_job_new(struct store *store, struct text key, struct store_op *op)
{
	struct job *j = calloc(1, sizeof(*j));
	struct buf object = { 0 };

	PRECOND(j != NULL && op->priv == NULL);
	j->gcs = store->priv;
	j->op = op;
	j->replaced = STORE_REPLACED_UNKNOWN;
	j->size = -1;
	buf_puts(&object, j->gcs->prefix);
	buf_text(&object, key);
	buf_byte(&object, '\0');
	j->object = object.s;
	op->priv = j;
	op->fd = -1;
	op->why[0] = '\0';
	if (object.n - 1 > OBJECT_NAME_MOST)
		gcs_finish(j, STORE_BAD, "the name is longer than the bucket takes (1,024 bytes)");
	return j;
}

void
gcs_abort(struct store_op *op)
{
	struct job *j = op->priv;

	if (j == NULL)
		return;
	op->priv = NULL;
	gcs_job_free(j);
}

/* ---- requests ---- */

static void
token_came(void *user, struct text token, const char *why)
{
	struct job *j = user;

	j->wait = NULL;
	if (token.n == 0) {
		gcs_finish(j, STORE_BUSY, why);
		return;
	}
	j->token.n = 0;
	buf_text(&j->token, token);
	j->go(j);
}

void
gcs_with_token(struct job *j, void (*go)(struct job *))
{
	struct text token;

	j->go = go;
	if (j->finished)
		return;
	if (!gcp_token_now(j->gcs->gcp, &token)) {
		j->wait = gcp_token(j->gcs->gcp, token_came, j);
		return;
	}
	j->token.n = 0;
	buf_text(&j->token, token);
	go(j);
}

bool
gcs_renewed(struct job *j, const struct out_answer *a)
{
	if (a->status != 401 || j->second_token || j->token.n == 0)
		return false;
	j->second_token = true;
	gcp_token_refused(j->gcs->gcp, buf_view(&j->token));
	gcs_with_token(j, j->go);
	return true;
}

void
gcs_ask_query(struct ask *a, const char *name, struct text value)
{
	PRECOND(a->query_count < GCS_ASK_MOST);
	a->query[a->query_count++] = (struct v4_pair){ text_from(name), value };
}

void
gcs_ask_header(struct ask *a, const char *name, struct text value)
{
	PRECOND(a->header_count < GCS_ASK_MOST);
	a->headers[a->header_count++] = (struct out_header){ name, value };
}

void
gcs_type_set(struct job *j, struct text type)
{
	if (type.n == 0)
		type = TEXT("application/octet-stream");
	j->type = strndup(type.s, type.n);
	PRECOND(j->type != NULL);
}

void
gcs_ask_type(struct ask *a, const struct job *j)
{
	gcs_ask_header(a, "Content-Type", text_from(j->type));
	gcs_ask_header(a, "Cache-Control", TEXT("private, max-age=0, no-transform"));
}

void
gcs_ask_generation(struct ask *a, uint64_t generation)
{
	if (generation == 0)
		return;
	snprintf(a->generation, sizeof(a->generation), "%llu", (unsigned long long)generation);
	gcs_ask_query(a, "generation", text_from(a->generation));
}

void
gcs_ask_match(struct ask *a, int64_t generation)
{
	snprintf(a->generation, sizeof(a->generation), "%lld", (long long)generation);
	gcs_ask_header(a, "x-goog-if-generation-match", text_from(a->generation));
}

void
gcs_object_path(const struct gcs *g, const char *object, struct buf *out)
{
	buf_byte(out, '/');
	buf_puts(out, g->bucket);
	if (object != NULL) {
		buf_byte(out, '/');
		buf_puts(out, object);
	}
}

static void
ask_url(const struct gcs *g, const struct ask *a, struct text path, struct buf *url)
{
	size_t i;

	buf_printf(url, "%s://%s", g->scheme, g->host);
	buf_percent(url, path, "/");
	for (i = 0; i < a->query_count; i++) {
		buf_byte(url, i == 0 ? '?' : '&');
		buf_percent(url, a->query[i].name, "");
		if (a->query[i].value.s != NULL) {
			buf_byte(url, '=');
			buf_percent(url, a->query[i].value, "");
		}
	}
}

/* Only x-goog-* headers must be signed; the others are left free. */
static bool
hmac_header(const struct gcs *g, const struct ask *a, struct text path, struct buf *authorization, char stamp[24])
{
	struct v4_pair headers[GCS_ASK_MOST];
	struct v4_request r = { .kind = V4_HMAC, .method = a->method, .host = text_from(g->host), .path = path, .credential = gcp_hmac_id(g->gcp), .time_s = clock_ms() / 1000, .query = a->query, .query_count = a->query_count,
		.headers = headers };
	size_t i;

	for (i = 0; i < a->header_count; i++) {
		if (text_starts(text_from(a->headers[i].name), "x-goog-"))
			headers[r.header_count++] = (struct v4_pair){ text_from(a->headers[i].name), a->headers[i].value };
	}
	return v4_authorize(&r, gcp_hmac_secret(g->gcp), authorization, stamp);
}

struct out_call *
gcs_ask_send(struct job *j, struct ask *a)
{
	const struct gcs *g = j->gcs;
	struct buf path = { 0 }, url = { 0 }, authorization = { 0 };
	struct out_request r = { .method = a->method, .body = a->body, .has_body = a->has_body, .stream = a->stream, .length = a->length, .repeat = a->repeat, .head = a->head, .data = a->data, .room = a->room, .done = a->done, .user = a->user != NULL ? a->user : j };
	struct out_call *call;
	char stamp[24];

	gcs_object_path(g, a->object, &path);
	ask_url(g, a, buf_view(&path), &url);
	if (j->token.n > 0) {
		buf_puts(&authorization, "Bearer ");
		buf_text(&authorization, buf_view(&j->token));
	} else if (gcp_hmac_only(g->gcp) && hmac_header(g, a, buf_view(&path), &authorization, stamp)) {
		a->headers[a->header_count++] = (struct out_header){ "x-goog-date", text_from(stamp) };
		a->headers[a->header_count++] = (struct out_header){ "x-goog-content-sha256", TEXT("UNSIGNED-PAYLOAD") };
	}
	if (authorization.n > 0)
		a->headers[a->header_count++] = (struct out_header){ "Authorization", buf_view(&authorization) };
	r.headers = a->headers;
	r.header_count = a->header_count;
	r.url = buf_view(&url);
	call = out_send(&r);
	buf_free(&path);
	buf_free(&url);
	if (authorization.s != NULL)
		OPENSSL_cleanse(authorization.s, authorization.n);
	buf_free(&authorization);
	return call;
}

void
gcs_refused(struct job *j, const struct out_answer *a, const char *permission)
{
	struct text message = TEXT_NONE;
	char why[256];
	size_t at = 0;

	if (a->body.n > 0 && xml_next(a->body, &at, "Message", &message) && message.n > 120)
		message.n = 120;
	switch (a->status) {
	case 404:
		gcs_finish(j, STORE_MISSING, "no such object");
		break;
	case 401:
		gcs_finish(j, STORE_DENIED, "the bucket does not take the server's credentials");
		break;
	case 403:
		snprintf(why, sizeof(why), "the server's account (%.100s) lacks %s on the bucket", gcp_name(j->gcs->gcp), permission);
		gcs_finish(j, STORE_DENIED, why);
		break;
	case 400:
		snprintf(why, sizeof(why), "the bucket refuses: " TEXT_FMT, TEXT_ARG(message));
		gcs_finish(j, STORE_BAD, why);
		break;
	case 416:
		gcs_finish(j, STORE_RANGE, "the range begins behind the end");
		break;
	default:
		if (a->status == 0)
			snprintf(why, sizeof(why), "the bucket cannot be reached: %s", a->why);
		else
			snprintf(why, sizeof(why), "the bucket answered %d", a->status);
		gcs_finish(j, STORE_BUSY, why);
	}
}

void
gcs_failed(struct job *j, const struct out_answer *a, const char *permission)
{
	if (!gcs_renewed(j, a))
		gcs_refused(j, a, permission);
}

void
gcs_write_refused(struct job *j, const struct out_answer *a, const char *permission)
{
	if (a->status == 404)
		gcs_finish(j, STORE_DENIED, "the bucket does not exist");
	else
		gcs_refused(j, a, permission);
}

bool
gcs_good(int status)
{
	return status >= 200 && status < 300;
}

bool
gcs_gone(int status)
{
	return status == 404 || status == 412 || gcs_good(status);
}

/* ---- what an answer says of an object ---- */

static int64_t
http_date_ms(struct text t)
{
	struct tm tm = { 0 };
	char z[64];

	if (t.n == 0 || t.n >= sizeof(z))
		return 0;
	memcpy(z, t.s, t.n);
	z[t.n] = '\0';
	return strptime(z, "%a, %d %b %Y %H:%M:%S", &tm) != NULL ? (int64_t)timegm(&tm) * 1000 : 0;
}

bool
gcs_answer_crc(const struct out_call *call, uint32_t *crc)
{
	struct text t = out_answer_header(call, "x-goog-hash");
	unsigned char raw[12];
	size_t i;

	/* "crc32c=AAAAAA==,md5=..." or either alone. */
	for (i = 0; i + 15 <= t.n; i++) {
		if (memcmp(t.s + i, "crc32c=", 7) != 0)
			continue;
		if (EVP_DecodeBlock(raw, (const unsigned char *)t.s + i + 7, 8) != 6)
			return false;
		*crc = (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 | (uint32_t)raw[2] << 8 | raw[3];
		return true;
	}
	return false;
}

void
gcs_answer_stat(const struct out_call *call, struct store_stat *st)
{
	struct text length = out_answer_header(call, "x-goog-stored-content-length"), encoding = out_answer_header(call, "x-goog-stored-content-encoding"), etag = out_answer_header(call, "etag");
	int64_t generation = 0;

	memset(st, 0, sizeof(*st));
	if (length.s == NULL)
		length = out_answer_header(call, "content-length");
	if (!text_int(length, &st->size))
		st->size = -1;
	if (encoding.s == NULL)
		encoding = out_answer_header(call, "content-encoding");
	st->encoded = encoding.n > 0 && !text_is_nocase(encoding, "identity");
	if (st->encoded)
		snprintf(st->encoding, sizeof(st->encoding), TEXT_FMT, TEXT_ARG(encoding));
	if (text_int(out_answer_header(call, "x-goog-generation"), &generation))
		st->generation = (uint64_t)generation;
	st->mtime_ms = http_date_ms(out_answer_header(call, "last-modified"));
	if (etag.n >= 2 && etag.s[0] == '"')
		etag = (struct text){ etag.s + 1, etag.n - 2 };
	if (generation > 0)
		snprintf(st->etag, sizeof(st->etag), "%lld", (long long)generation);
	else if (etag.n < sizeof(st->etag))
		snprintf(st->etag, sizeof(st->etag), TEXT_FMT, TEXT_ARG(etag));
}

struct out_call *
gcs_look_send(struct job *j, bool repeat, void (*done)(void *, struct out_call *, const struct out_answer *))
{
	struct ask a = { .method = "HEAD", .object = j->object, .repeat = repeat, .done = done };

	/* Else a gzip object is shown as it would be unpacked, without its stored length. */
	gcs_ask_header(&a, "Accept-Encoding", TEXT("gzip"));
	return gcs_ask_send(j, &a);
}

static void
look_go(struct job *j)
{
	j->call = gcs_look_send(j, true, j->answered);
}

void
gcs_look(struct job *j, void (*answered)(void *, struct out_call *, const struct out_answer *))
{
	j->answered = answered;
	gcs_with_token(j, look_go);
}

void
gcs_note_replaced(struct job *j, struct out_call *call, const struct out_answer *a)
{
	struct store_stat st;

	if (a->status == 404) {
		j->replaced = STORE_REPLACED_NONE;
	} else if (a->status == 200) {
		gcs_answer_stat(call, &st);
		j->replaced = st.size;
	}
}

/*
 * Artifacts in a Google Cloud Storage bucket, by its XML API: it alone has multipart uploads with signed parts. Whatever may be signed is for the client; what the server does
 * itself goes with a token (or, with HMAC keys only, with a signed header). A signed POST is refused by Google, so multipart uploads begin and end here.
 */
#include "store/gcs.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/http.h"
#include "base/log.h"
#include "base/out.h"
#include "store/crc32c.h"
#include "store/gcp_token.h"
#include "store/store.h"
#include "store/v4sign.h"
#include "store/xml.h"

/* Up to here a put is collected and sent in one piece: it can be repeated, and the bucket checks its sum before it keeps it. */
#define SMALL_MOST ((size_t)256 * 1024)
#define LIST_MOST 50000
#define PAGE "1000"
#define DELETES_WIDE 16
#define PARTS_MOST 10000
#define OBJECT_NAME_MOST 1024
#define RESUMES_MOST 4
/* So often another's write between our look and our put sends us back to look. */
#define LOOKS_MOST 4
#define SIGN_REST_MS 60000
/* What we sign is dated back by this, for clocks that differ. */
#define SKEW_S 30
#define CACHE_SETS 1024
#define CACHE_WAYS 4
#define CACHE_CONTROL "private, max-age=0, no-transform"

struct cached {
	char *object;
	int64_t ttl_s;
	uint64_t generation;
	int64_t size;
	int64_t until_ms, used_ms;
	char *url;
};

struct gcs {
	struct store store;
	struct gcp *gcp;
	char *bucket;
	char *prefix; /* "" or "path/" */
	char *scheme, *host;
	struct cached cache[CACHE_SETS][CACHE_WAYS];
};

struct job;

struct flight {
	struct job *job;
	struct out_call *call;
	int64_t size;
};

struct name {
	char *s;
	char *upload; /* sweep: its id */
	int64_t size;
	int64_t generation; /* 0: not said */
	bool is_dir;
};

/* One operation. Owned by itself: freed after done() or by abort, which cancels all it has under way. */
struct job {
	struct gcs *gcs;
	struct store_op *op;
	char *object;
	enum store_result result;
	char why[256];
	struct out_call *call, *look;
	struct gcp_wait *wait;
	struct gcp_sign *sign;
	struct loop_timer *timer;
	void (*go)(struct job *); /* what the token is for */
	struct buf token;         /* the one the last request went with */
	bool second_token, finished;
	bool *freed; /* set when the job is freed below a callback */
	/* get */
	int64_t offset, length, delivered, expected, total;
	int resumes;
	bool told, summing;
	uint32_t crc, crc_wanted;
	/* put */
	struct buf small;
	char *type;
	int64_t given;
	bool streaming, ended, held, overwrite;
	int64_t over; /* the generation that an overwriting put replaces; 0: whatever is there */
	int looks;
	int64_t replaced;
	/* lists */
	struct name *names;
	size_t name_count, name_cap;
	struct buf page; /* continuation token */
	bool recursive, more;
	int64_t bytes, objects;
	/* remove */
	size_t next_delete;
	struct flight flights[DELETES_WIDE];
	/* signatures */
	int64_t ttl_s;
	struct buf *urls;
	size_t url_count;
	/* multipart */
	int parts;
	struct buf upload;
	struct store_part *listed;
	int64_t *listed_size;
	size_t listed_count;
	const struct store_part *given_parts;
	size_t given_part_count;
	int64_t begun_s;
	char kind;
};

/* ---- the life of a job ---- */

static void
names_free(struct job *j)
{
	size_t i;

	for (i = 0; i < j->name_count; i++) {
		free(j->names[i].s);
		free(j->names[i].upload);
	}
	j->name_count = 0;
}

static void
job_free(struct job *j)
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
	for (i = 0; i < DELETES_WIDE; i++) {
		if (j->flights[i].call != NULL)
			out_cancel(j->flights[i].call);
	}
	names_free(j);
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
			op->urls[i].size = j->total;
		}
	}
	job_free(j);
	op->done(op, result);
}

static void
finish(struct job *j, enum store_result result, const char *why)
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

static struct job *
job_new(struct store *store, struct text key, struct store_op *op)
{
	struct job *j = calloc(1, sizeof(*j));
	struct buf object = { 0 };

	PRECOND(j != NULL && op->priv == NULL);
	j->gcs = store->priv;
	j->op = op;
	j->replaced = STORE_REPLACED_UNKNOWN;
	j->total = -1;
	buf_puts(&object, j->gcs->prefix);
	buf_text(&object, key);
	buf_byte(&object, '\0');
	j->object = object.s;
	op->priv = j;
	op->fd = -1;
	op->why[0] = '\0';
	if (object.n - 1 > OBJECT_NAME_MOST)
		finish(j, STORE_BAD, "the name is longer than the bucket takes (1,024 bytes)");
	return j;
}

/* ---- requests ---- */

static void
token_came(void *user, struct text token, const char *why)
{
	struct job *j = user;

	j->wait = NULL;
	if (token.n == 0) {
		finish(j, STORE_BUSY, why);
		return;
	}
	j->token.n = 0;
	buf_text(&j->token, token);
	j->go(j);
}

/* Runs go() with a valid token at hand: now, or when there is one. */
static void
with_token(struct job *j, void (*go)(struct job *))
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

/* The bucket did not take the token: once more with a new one. True when it is being done. */
static bool
renewed(struct job *j, const struct out_answer *a)
{
	if (a->status != 401 || j->second_token || j->token.n == 0)
		return false;
	j->second_token = true;
	gcp_token_refused(j->gcs->gcp, buf_view(&j->token));
	with_token(j, j->go);
	return true;
}

struct ask {
	const char *method;
	const char *object; /* NULL: the bucket itself */
	struct v4_pair query[8];
	size_t query_count;
	struct out_header headers[10];
	size_t header_count;
	struct text body;
	bool has_body, stream, repeat, get_body;
	int64_t length;
	void (*done)(void *, struct out_call *, const struct out_answer *);
	void *user; /* NULL: the job */
};

static void
ask_query(struct ask *a, const char *name, struct text value)
{
	PRECOND(a->query_count < 8);
	a->query[a->query_count++] = (struct v4_pair){ text_from(name), value };
}

static void
ask_header(struct ask *a, const char *name, struct text value)
{
	PRECOND(a->header_count < 8);
	a->headers[a->header_count++] = (struct out_header){ name, value };
}

static void
object_path(const struct gcs *g, const char *object, struct buf *out)
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
	struct v4_pair headers[10];
	struct v4_request r = { .kind = V4_HMAC, .method = a->method, .host = text_from(g->host), .path = path, .credential = gcp_hmac_id(g->gcp), .time_s = clock_ms() / 1000, .query = a->query, .query_count = a->query_count,
		.headers = headers };
	size_t i;

	for (i = 0; i < a->header_count; i++) {
		if (text_starts(text_from(a->headers[i].name), "x-goog-"))
			headers[r.header_count++] = (struct v4_pair){ text_from(a->headers[i].name), a->headers[i].value };
	}
	return v4_authorize(&r, gcp_hmac_secret(g->gcp), authorization, stamp);
}

static bool on_data(void *user, const void *bytes, size_t n);
static void on_head(void *user, struct out_call *call, int status);
static void on_room(void *user);

static struct out_call *
ask_send(struct job *j, struct ask *a)
{
	const struct gcs *g = j->gcs;
	struct buf path = { 0 }, url = { 0 }, authorization = { 0 };
	struct out_request r = { .method = a->method, .body = a->body, .has_body = a->has_body, .stream = a->stream, .length = a->length, .repeat = a->repeat, .done = a->done, .user = a->user != NULL ? a->user : j };
	struct out_call *call;
	char stamp[24];

	object_path(g, a->object, &path);
	ask_url(g, a, buf_view(&path), &url);
	if (j->token.n > 0) {
		buf_puts(&authorization, "Bearer ");
		buf_text(&authorization, buf_view(&j->token));
	} else if (gcp_hmac_only(g->gcp) && hmac_header(g, a, buf_view(&path), &authorization, stamp)) {
		a->headers[a->header_count++] = (struct out_header){ "x-goog-date", text_from(stamp) };
		a->headers[a->header_count++] = (struct out_header){ "x-goog-content-sha256", TEXT("UNSIGNED-PAYLOAD") };
	}
	{
		struct out_header headers[12];
		size_t i;

		for (i = 0; i < a->header_count; i++)
			headers[i] = a->headers[i];
		if (authorization.n > 0)
			headers[a->header_count++] = (struct out_header){ "Authorization", buf_view(&authorization) };
		r.headers = headers;
		r.header_count = a->header_count;
		r.url = buf_view(&url);
		if (a->get_body) {
			r.head = on_head;
			r.data = on_data;
		}
		if (a->stream)
			r.room = on_room;
		call = out_send(&r);
	}
	buf_free(&path);
	buf_free(&url);
	if (authorization.s != NULL)
		OPENSSL_cleanse(authorization.s, authorization.n);
	buf_free(&authorization);
	return call;
}

/* What a refusal means. `permission` is named when the bucket says 403. */
static void
refused(struct job *j, const struct out_answer *a, const char *permission)
{
	struct text message = TEXT_NONE;
	char why[256];
	size_t at = 0;

	if (a->body.n > 0 && xml_next(a->body, &at, "Message", &message) && message.n > 120)
		message.n = 120;
	switch (a->status) {
	case 404:
		finish(j, STORE_MISSING, "no such object");
		break;
	case 401:
		finish(j, STORE_DENIED, "the bucket does not take the server's credentials");
		break;
	case 403:
		snprintf(why, sizeof(why), "the server's account (%.100s) lacks %s on the bucket", gcp_name(j->gcs->gcp), permission);
		finish(j, STORE_DENIED, why);
		break;
	case 400:
		snprintf(why, sizeof(why), "the bucket refuses: " TEXT_FMT, TEXT_ARG(message));
		finish(j, STORE_BAD, why);
		break;
	case 416:
		finish(j, STORE_RANGE, "the range begins behind the end");
		break;
	default:
		if (a->status == 0)
			snprintf(why, sizeof(why), "the bucket cannot be reached: %s", a->why);
		else
			snprintf(why, sizeof(why), "the bucket answered %d", a->status);
		finish(j, STORE_BUSY, why);
	}
}

/* After a DELETE. 412: another has written it anew meanwhile. */
static bool
gone(int status)
{
	return status == 404 || status == 412 || (status >= 200 && status < 300);
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

static bool
crc_header(const struct out_call *call, uint32_t *crc)
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

static void
crc_text(uint32_t crc, char out[24])
{
	unsigned char raw[4] = { (unsigned char)(crc >> 24), (unsigned char)(crc >> 16), (unsigned char)(crc >> 8), (unsigned char)crc };

	memcpy(out, "crc32c=", 7);
	EVP_EncodeBlock((unsigned char *)out + 7, raw, 4);
}

static void
stat_read(const struct out_call *call, struct store_stat *st)
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

static struct out_call *
look_asked(struct job *j, bool repeat, void (*done)(void *, struct out_call *, const struct out_answer *))
{
	struct ask a = { .method = "HEAD", .object = j->object, .repeat = repeat, .done = done };

	/* Else a gzip object is shown as it would be unpacked, without its stored length. */
	ask_header(&a, "Accept-Encoding", TEXT("gzip"));
	return ask_send(j, &a);
}

static struct out_call *
look(struct job *j, void (*done)(void *, struct out_call *, const struct out_answer *))
{
	return look_asked(j, true, done);
}

/* From a look before the write: what it will replace, for the accounts. */
static void
replaced_note(struct job *j, struct out_call *call, const struct out_answer *a)
{
	struct store_stat st;

	if (a->status == 404) {
		j->replaced = STORE_REPLACED_NONE;
	} else if (a->status == 200) {
		stat_read(call, &st);
		j->replaced = st.size;
	}
}

/* ---- stat ---- */

static void
stat_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	j->call = NULL;
	if (a->status == 200) {
		stat_read(call, &j->op->stat);
		finish(j, STORE_OK, NULL);
	} else if (!renewed(j, a)) {
		refused(j, a, "storage.objects.get");
	}
}

static void
stat_go(struct job *j)
{
	j->call = look(j, stat_answered);
}

static void
gcs_stat(struct store *store, struct text key, struct store_op *op)
{
	with_token(job_new(store, key, op), stat_go);
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

	stat_read(call, st);
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
		finish(j, STORE_CORRUPT, "the bucket's answer does not fit what was asked");
		return;
	}
	if (j->told)
		return;
	j->told = true;
	j->op->stat = st;
	j->summing = j->offset == 0 && j->length < 0 && !st.encoded && crc_header(call, &j->crc_wanted);
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
		finish(j, STORE_CORRUPT, "the bucket sent more than it said");
		return true;
	}
	if (j->summing)
		j->crc = crc32c(j->crc, bytes, n);
	/* The last piece is kept back when the sum is wrong: a file that arrived whole would be taken for good. */
	if (j->summing && j->expected >= 0 && j->delivered + (int64_t)n == j->expected && j->crc != j->crc_wanted) {
		finish(j, STORE_CORRUPT, "the checksum differs from the bucket's");
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
	with_token(j, get_go);
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
	if (a->status >= 200 && a->status < 300 && j->told) {
		whole = j->expected < 0 || j->delivered == j->expected;
		if (whole && (!j->summing || j->crc == j->crc_wanted)) {
			finish(j, STORE_OK, NULL);
			return;
		}
		if (whole) {
			finish(j, STORE_CORRUPT, "the checksum differs from the bucket's");
			return;
		}
	}
	if (j->told) {
		/* Broken off in the middle: on from where it stopped, of the same generation. */
		if (a->status != 404 && a->status != 412 && j->resumes++ < RESUMES_MOST)
			j->timer = loop_after(250 << j->resumes, get_again, j);
		else
			finish(j, STORE_BUSY, "the bucket broke off");
		return;
	}
	if (!renewed(j, a))
		refused(j, a, "storage.objects.get");
}

static void
get_go(struct job *j)
{
	struct ask a = { .method = "GET", .object = j->object, .repeat = true, .get_body = true, .done = get_answered };
	int64_t from = j->offset + j->delivered;
	char range[64], generation[32];

	ask_header(&a, "Accept-Encoding", TEXT("gzip"));
	if (from > 0 || j->length >= 0) {
		if (j->length >= 0)
			snprintf(range, sizeof(range), "bytes=%lld-%lld", (long long)from, (long long)(j->offset + j->length - 1));
		else
			snprintf(range, sizeof(range), "bytes=%lld-", (long long)from);
		ask_header(&a, "Range", text_from(range));
	}
	if (j->told && j->op->stat.generation != 0) {
		snprintf(generation, sizeof(generation), "%llu", (unsigned long long)j->op->stat.generation);
		ask_query(&a, "generation", text_from(generation));
	}
	j->call = ask_send(j, &a);
}

static void
gcs_get(struct store *store, struct text key, int64_t offset, int64_t length, struct store_op *op)
{
	struct job *j = job_new(store, key, op);

	j->offset = offset;
	j->length = length;
	j->expected = -1;
	if (length == 0)
		finish(j, STORE_RANGE, "an empty range");
	with_token(j, get_go);
}

static void
gcs_resume(struct store_op *op)
{
	struct job *j = op->priv;

	if (j != NULL && j->call != NULL)
		out_resume(j->call);
}

/* ---- what the cache of signed addresses knows ---- */

static struct cached *
cache_find(struct gcs *g, const char *object, int64_t ttl_s)
{
	struct cached *set = g->cache[text_hash(text_from(object)) % CACHE_SETS];
	size_t i;

	for (i = 0; i < CACHE_WAYS; i++) {
		if (set[i].object != NULL && set[i].ttl_s == ttl_s && strcmp(set[i].object, object) == 0)
			return &set[i];
	}
	return NULL;
}

static void
cached_clear(struct cached *c)
{
	free(c->object);
	if (c->url != NULL)
		OPENSSL_cleanse(c->url, strlen(c->url));
	free(c->url);
	memset(c, 0, sizeof(*c));
}

/* After our own write or removal. */
static void
cache_drop(struct gcs *g, const char *object)
{
	struct cached *set = g->cache[text_hash(text_from(object)) % CACHE_SETS];
	size_t i;

	for (i = 0; i < CACHE_WAYS; i++) {
		if (set[i].object != NULL && strcmp(set[i].object, object) == 0)
			cached_clear(&set[i]);
	}
}

static void
cache_store(struct job *j, const struct store_stat *st, struct text url)
{
	struct gcs *g = j->gcs;
	struct cached *c = cache_find(g, j->object, j->ttl_s), *set = g->cache[text_hash(text_from(j->object)) % CACHE_SETS];
	size_t i;

	if (c == NULL) {
		for (c = &set[0], i = 1; i < CACHE_WAYS; i++) {
			if (set[i].used_ms < c->used_ms)
				c = &set[i];
		}
	}
	cached_clear(c);
	c->object = strdup(j->object);
	c->url = strndup(url.s, url.n);
	PRECOND(c->object != NULL && c->url != NULL);
	c->ttl_s = j->ttl_s;
	c->generation = st->generation;
	c->size = st->encoded ? -1 : st->size;
	c->used_ms = loop_now_ms();
	/* Half its life is left to whoever gets it from here. */
	c->until_ms = clock_ms() + j->ttl_s * 500;
}

/* ---- put ---- */

static void small_go(struct job *);

static void
put_stored(struct job *j, int64_t size)
{
	cache_drop(j->gcs, j->object);
	j->bytes = size;
	finish(j, STORE_OK, NULL);
}

static void
corrupt_removed(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	finish(j, STORE_CORRUPT, gone(a->status) ? "the bucket's checksum differs from what was sent; the object was removed" : "the bucket's checksum differs from what was sent, and the object could not be removed");
}

/* The bucket holds something else than we sent: that generation goes. */
static void
corrupt_go(struct job *j)
{
	struct ask a = { .method = "DELETE", .object = j->object, .repeat = true, .done = corrupt_removed };
	char generation[32];

	snprintf(generation, sizeof(generation), "%llu", (unsigned long long)j->op->stat.generation);
	if (j->op->stat.generation != 0)
		ask_query(&a, "generation", text_from(generation));
	j->call = ask_send(j, &a);
}

static void
sum_looked(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct store_stat st;
	uint32_t crc;

	j->call = NULL;
	if (a->status == 200) {
		stat_read(call, &st);
		/* It may be another's by now, so it is left where it is. */
		if (st.size != j->given || (crc_header(call, &crc) && crc != j->crc)) {
			finish(j, STORE_CORRUPT, "the object in the bucket is not what was sent");
			return;
		}
	}
	put_stored(j, j->given);
}

static void
sum_look(struct job *j)
{
	j->call = look(j, sum_looked);
}

/* The bucket says that it has the object: does it say so of the bytes that were sent? */
static void
sum_compare(struct job *j, const struct out_call *call)
{
	uint32_t crc;

	stat_read(call, &j->op->stat);
	if (!crc_header(call, &crc))
		with_token(j, sum_look);
	else if (crc != j->crc)
		with_token(j, corrupt_go);
	else
		put_stored(j, j->given);
}

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
		with_token(j, small_go);
		return;
	}
	if (a->status != 200) {
		refused(j, a, "storage.objects.get");
		return;
	}
	stat_read(call, &st);
	j->replaced = st.size;
	/* The same bytes are there already: logged twice, or our own put whose answer was lost. No permission to overwrite is needed. */
	if (!st.encoded && st.size == (int64_t)j->small.n && crc_header(call, &crc) && crc == j->crc) {
		put_stored(j, st.size);
		return;
	}
	/* Only what was seen is replaced, so a repeat after a lost answer cannot undo another's write. Where others write all the time, the last one wins in the end. */
	j->overwrite = true;
	j->over = j->looks < LOOKS_MOST ? (int64_t)st.generation : 0;
	with_token(j, small_go);
}

static void
small_look(struct job *j)
{
	j->looks++;
	j->call = look(j, small_again);
}

static void
small_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	j->call = NULL;
	if (a->status >= 200 && a->status < 300) {
		if (!j->overwrite)
			j->replaced = STORE_REPLACED_NONE;
		sum_compare(j, call);
		return;
	}
	if (a->status == 412 && (!j->overwrite || j->over != 0)) {
		with_token(j, small_look);
		return;
	}
	if (renewed(j, a))
		return;
	if (a->status == 404)
		finish(j, STORE_DENIED, "the bucket does not exist");
	else
		refused(j, a, j->overwrite ? "storage.objects.delete (needed to overwrite)" : "storage.objects.create");
}

/* First "only if nothing is there": one request for a new object, safe to repeat, and it says whether something is replaced. */
static void
small_go(struct job *j)
{
	struct ask a = { .method = "PUT", .object = j->object, .body = buf_view(&j->small), .has_body = true, .repeat = !j->overwrite || j->over != 0, .done = small_answered };
	char hash[24], generation[32];

	crc_text(j->crc, hash);
	ask_header(&a, "Content-Type", text_from(j->type));
	ask_header(&a, "Cache-Control", TEXT(CACHE_CONTROL));
	ask_header(&a, "x-goog-hash", text_from(hash));
	if (a.repeat) {
		snprintf(generation, sizeof(generation), "%lld", (long long)(j->overwrite ? j->over : 0));
		ask_header(&a, "x-goog-if-generation-match", text_from(generation));
	}
	j->call = ask_send(j, &a);
}

static void
big_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	j->call = NULL;
	if (j->finished)
		return;
	if (a->status >= 200 && a->status < 300) {
		sum_compare(j, call);
		return;
	}
	if (a->status == 401)
		gcp_token_refused(j->gcs->gcp, buf_view(&j->token));
	if (a->status == 404)
		finish(j, STORE_DENIED, "the bucket does not exist");
	else if (a->status == 401)
		finish(j, STORE_BUSY, "the bucket did not take the token; the next one is being fetched");
	else
		refused(j, a, j->replaced == STORE_REPLACED_NONE ? "storage.objects.create" : j->replaced >= 0 ? "storage.objects.delete (needed to overwrite)" : "storage.objects.create, or storage.objects.delete to overwrite,");
}

static void
big_go(struct job *j)
{
	struct ask a = { .method = "PUT", .object = j->object, .stream = true, .length = j->length, .done = big_answered };

	ask_header(&a, "Content-Type", text_from(j->type));
	ask_header(&a, "Cache-Control", TEXT(CACHE_CONTROL));
	j->call = ask_send(j, &a);
	j->held = !out_give(j->call, j->small.s, j->small.n);
	buf_free(&j->small);
	if (j->ended)
		out_end(j->call);
	else if (!j->held && j->op->room != NULL)
		j->timer = loop_after(0, on_room, j);
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
big_looked(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	j->look = NULL;
	if (renewed(j, a))
		return;
	replaced_note(j, call, a);
	big_go(j);
}

/* First what will be replaced: once the bytes are on their way the bucket may show those. Asked once, for usage only. */
static void
big_look(struct job *j)
{
	j->look = look_asked(j, false, big_looked);
}

static void
big_start(struct job *j)
{
	j->streaming = true;
	with_token(j, big_look);
}

static void
gcs_put(struct store *store, struct text key, int64_t length, struct text content_type, struct store_op *op)
{
	struct job *j = job_new(store, key, op);

	PRECOND(key.n > 0);
	j->length = length;
	j->type = strndup(content_type.n > 0 ? content_type.s : "application/octet-stream", content_type.n > 0 ? content_type.n : 24);
	PRECOND(j->type != NULL);
	if (length > (int64_t)SMALL_MOST)
		big_start(j);
}

static bool
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

static void
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
		finish(j, STORE_BAD, "the body is shorter or longer than it was said to be");
	} else if (!j->streaming) {
		with_token(j, small_go);
	} else if (j->call != NULL) {
		out_end(j->call);
	}
}

static void
gcs_abort(struct store_op *op)
{
	struct job *j = op->priv;

	if (j == NULL)
		return;
	op->priv = NULL;
	job_free(j);
}

/* ---- lists ---- */

static void
name_add(struct job *j, struct text name, bool is_dir, int64_t size, int64_t generation)
{
	if (j->name_count == j->name_cap) {
		j->name_cap = j->name_cap == 0 ? 64 : j->name_cap * 2;
		j->names = realloc(j->names, j->name_cap * sizeof(*j->names));
		PRECOND(j->names != NULL);
	}
	j->names[j->name_count].s = strndup(name.s, name.n);
	PRECOND(j->names[j->name_count].s != NULL);
	j->names[j->name_count].upload = NULL;
	j->names[j->name_count].is_dir = is_dir;
	j->names[j->name_count].size = size;
	j->names[j->name_count].generation = generation;
	j->name_count++;
}

/* Adds a page's objects and folders to names (or to the sums only), and keeps the next page's token. False: not a whole page, or one that leads back to itself. */
static bool
page_read(struct job *j, struct text body, bool keep)
{
	static const char end[] = "</ListBucketResult>";
	struct arena *arena;
	struct text inner, next;
	size_t at = 0, prefix = strlen(j->object);
	int64_t size, generation;
	bool good = true;

	if (body.n == 0 || memmem(body.s, body.n, end, sizeof(end) - 1) == NULL) {
		finish(j, STORE_BUSY, "the bucket's list is cut short");
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
		j->bytes += size;
		j->objects++;
		if (keep)
			name_add(j, j->recursive ? key : text_skip(key, prefix), false, size, generation);
	}
	at = 0;
	while (xml_next(body, &at, "CommonPrefixes", &inner)) {
		struct text key = xml_value(arena, inner, "Prefix");

		if (keep && key.n > prefix + 1 && key.s[key.n - 1] == '/' && text_starts(key, j->object))
			name_add(j, (struct text){ key.s + prefix, key.n - prefix - 1 }, true, 0, 0);
	}
	next = xml_value(arena, body, "NextContinuationToken");
	j->more = text_is(xml_value(arena, body, "IsTruncated"), "true");
	if (j->more && (next.n == 0 || text_eq(next, buf_view(&j->page)))) {
		finish(j, STORE_BUSY, "the bucket's list does not go on");
		good = false;
	}
	j->page.n = 0;
	buf_text(&j->page, next);
	arena_free(arena);
	return good;
}

static void
page_ask(struct job *j, void (*done)(void *, struct out_call *, const struct out_answer *))
{
	struct ask a = { .method = "GET", .repeat = true, .done = done };

	ask_query(&a, "list-type", TEXT("2"));
	ask_query(&a, "max-keys", TEXT(PAGE));
	ask_query(&a, "prefix", text_from(j->object));
	if (!j->recursive)
		ask_query(&a, "delimiter", TEXT("/"));
	if (j->page.n > 0)
		ask_query(&a, "continuation-token", buf_view(&j->page));
	j->call = ask_send(j, &a);
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

static void list_go(struct job *);

static void
list_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	if (a->status != 200) {
		if (!renewed(j, a))
			refused(j, a, "storage.objects.list");
		return;
	}
	if (!page_read(j, a->body, true))
		return;
	if (j->name_count > LIST_MOST)
		finish(j, STORE_BAD, "the folder has more than 50,000 entries; list a folder below it");
	else if (j->more)
		with_token(j, list_go);
	else {
		entries_give(j);
		finish(j, STORE_OK, NULL);
	}
}

static void
list_go(struct job *j)
{
	page_ask(j, list_answered);
}

static void
gcs_list(struct store *store, struct text key, struct store_op *op)
{
	struct job *j = job_new(store, key, op);

	object_as_folder(j);
	with_token(j, list_go);
}

static void usage_go(struct job *);

static void
usage_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	if (a->status != 200) {
		if (!renewed(j, a))
			refused(j, a, "storage.objects.list");
		return;
	}
	if (!page_read(j, a->body, false))
		return;
	if (j->more)
		with_token(j, usage_go);
	else
		finish(j, STORE_OK, NULL);
}

static void
usage_go(struct job *j)
{
	page_ask(j, usage_answered);
}

static void
gcs_usage(struct store *store, struct text key, struct store_op *op)
{
	struct job *j = job_new(store, key, op);

	j->recursive = true;
	object_as_folder(j);
	with_token(j, usage_go);
}

/* ---- remove ---- */

static void remove_page_go(struct job *);

static void deletes_send(struct job *);

/* Only the generation that was seen is removed: a repeat after a lost answer leaves alone what was written since. */
static void
ask_generation(struct ask *a, int64_t generation, char text[32])
{
	if (generation == 0)
		return;
	snprintf(text, 32, "%lld", (long long)generation);
	ask_header(a, "x-goog-if-generation-match", text_from(text));
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
	} else if (!gone(a->status)) {
		refused(j, a, "storage.objects.delete");
		return;
	} else if (a->status != 404 && a->status != 412) {
		j->bytes += f->size;
		j->objects++;
	}
	if (j->next_delete < j->name_count) {
		deletes_send(j);
		return;
	}
	for (i = 0; i < DELETES_WIDE; i++) {
		if (j->flights[i].call != NULL)
			return;
	}
	if (j->more)
		with_token(j, remove_page_go);
	else
		finish(j, STORE_OK, NULL);
}

static void
deletes_send(struct job *j)
{
	size_t i;

	for (i = 0; i < DELETES_WIDE && j->next_delete < j->name_count; i++) {
		struct flight *f = &j->flights[i];
		struct name *name = &j->names[j->next_delete];
		struct ask a = { .method = "DELETE", .object = name->s, .repeat = true, .done = deleted, .user = f };
		char generation[32];

		if (f->call != NULL)
			continue;
		j->next_delete++;
		f->job = j;
		f->size = name->size;
		cache_drop(j->gcs, name->s);
		ask_generation(&a, name->generation, generation);
		f->call = ask_send(j, &a);
	}
}

static void
remove_listed(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	int64_t bytes = j->bytes, objects = j->objects;

	(void)call;
	j->call = NULL;
	if (a->status != 200) {
		if (!renewed(j, a))
			refused(j, a, "storage.objects.list");
		return;
	}
	names_free(j);
	j->next_delete = 0;
	if (!page_read(j, a->body, true))
		return;
	/* Counted when they are gone. */
	j->bytes = bytes;
	j->objects = objects;
	if (j->name_count > 0)
		deletes_send(j);
	else if (j->more)
		with_token(j, remove_page_go);
	else
		finish(j, STORE_OK, NULL);
}

static void
remove_page_go(struct job *j)
{
	page_ask(j, remove_listed);
}

static void
remove_single_gone(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	if (!gone(a->status)) {
		if (!renewed(j, a))
			refused(j, a, "storage.objects.delete");
		return;
	}
	if (a->status != 404 && a->status != 412) {
		j->bytes = j->total;
		j->objects = 1;
	}
	j->total = -1;
	object_as_folder(j);
	with_token(j, remove_page_go);
}

static void
remove_single_go(struct job *j)
{
	struct ask a = { .method = "DELETE", .object = j->object, .repeat = true, .done = remove_single_gone };
	char generation[32];

	cache_drop(j->gcs, j->object);
	ask_generation(&a, (int64_t)j->op->stat.generation, generation);
	j->call = ask_send(j, &a);
}

/* Is the key itself an object? Then it goes first. */
static void
remove_looked(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct store_stat st;

	j->call = NULL;
	if (a->status == 200) {
		stat_read(call, &st);
		j->op->stat = st;
		j->total = st.size > 0 ? st.size : 0;
		with_token(j, remove_single_go);
	} else if (a->status == 404) {
		object_as_folder(j);
		with_token(j, remove_page_go);
	} else if (!renewed(j, a)) {
		refused(j, a, "storage.objects.get");
	}
}

static void
remove_go(struct job *j)
{
	j->call = look(j, remove_looked);
}

static void
gcs_remove(struct store *store, struct text key, struct store_op *op)
{
	struct job *j = job_new(store, key, op);

	/* An empty key would be everything. */
	PRECOND(key.n > 0);
	j->recursive = true;
	with_token(j, remove_go);
}

/* ---- signed addresses ---- */

static void
sign_again(void *user)
{
	struct gcs *g = user;

	g->store.can_sign = true;
}

/* IAM does not let us sign: everything goes through the server, and a minute later it is tried again. */
static bool
sign_rests(struct gcs *g)
{
	if (!gcp_sign_refused(g->gcp))
		return false;
	if (g->store.can_sign) {
		g->store.can_sign = false;
		loop_after(SIGN_REST_MS, sign_again, g);
	}
	return true;
}

static void
sign_done(void *user, const struct text *hex, const char *why)
{
	struct job *j = user;
	size_t i;

	j->sign = NULL;
	if (hex == NULL) {
		finish(j, sign_rests(j->gcs) ? STORE_UNSUPPORTED : STORE_BUSY, why);
		return;
	}
	for (i = 0; i < j->url_count; i++)
		v4_append(&j->urls[i], hex[i]);
	/* Without a generation it leads to whatever is there, of whatever size. */
	if (j->ttl_s > 0 && j->kind == 'g' && j->op->stat.generation != 0)
		cache_store(j, &j->op->stat, buf_view(&j->urls[0]));
	finish(j, STORE_OK, NULL);
}

static int64_t
ttl_capped(const struct gcs *g, int64_t ttl_s)
{
	int64_t most = gcp_sign_most_s(g->gcp) - SKEW_S;

	return ttl_s < 1 ? 1 : ttl_s > most ? most : ttl_s;
}

/* One address of the object, prepared for its signature. */
static void
prepare(struct job *j, const char *method, const struct v4_pair *query, size_t n, struct buf *url, struct buf *to_sign)
{
	const struct gcs *g = j->gcs;
	struct buf path = { 0 };
	struct v4_request r = { .kind = gcp_sign_kind(g->gcp), .method = method, .scheme = text_from(g->scheme), .host = text_from(g->host), .credential = gcp_signer(g->gcp), .time_s = clock_ms() / 1000 - SKEW_S,
		.expires_s = j->ttl_s + SKEW_S, .query = query, .query_count = n };

	object_path(g, j->object, &path);
	r.path = buf_view(&path);
	v4_prepare(&r, url, to_sign, NULL);
	buf_free(&path);
}

static void
sign_one(struct job *j, const char *method, const struct v4_pair *query, size_t n)
{
	struct buf to_sign = { 0 };
	struct text one;

	j->urls = calloc(1, sizeof(*j->urls));
	PRECOND(j->urls != NULL);
	j->url_count = 1;
	prepare(j, method, query, n, &j->urls[0], &to_sign);
	one = buf_view(&to_sign);
	j->sign = gcp_sign(j->gcs->gcp, &one, 1, sign_done, j);
	buf_free(&to_sign);
}

static bool
can_sign(struct job *j)
{
	const char *why;

	if (gcp_can_sign(j->gcs->gcp, &why))
		return true;
	finish(j, STORE_UNSUPPORTED, why);
	return false;
}

static void
give_cached(struct job *j, struct cached *c)
{
	j->urls = calloc(1, sizeof(*j->urls));
	PRECOND(j->urls != NULL);
	j->url_count = 1;
	buf_puts(&j->urls[0], c->url);
	j->total = c->size;
	j->op->stat.generation = c->generation;
	j->op->stat.size = c->size;
	c->used_ms = loop_now_ms();
	finish(j, STORE_OK, NULL);
}

/* RFC 6266: the name for people, so that a browser saves and never shows it. */
static void
disposition(const char *object, struct buf *out)
{
	const char *slash = strrchr(object, '/');

	buf_puts(out, "attachment; filename*=UTF-8''");
	buf_percent(out, text_from(slash != NULL ? slash + 1 : object), "");
}

static void
sign_get_looked(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct cached *c;
	struct v4_pair query[2];
	struct buf name = { 0 };
	char generation[32];
	size_t n = 0;

	j->call = NULL;
	if (a->status != 200) {
		if (!renewed(j, a))
			refused(j, a, "storage.objects.get");
		return;
	}
	stat_read(call, &j->op->stat);
	j->total = j->op->stat.encoded ? -1 : j->op->stat.size;
	c = cache_find(j->gcs, j->object, j->ttl_s);
	if (c != NULL && c->generation == j->op->stat.generation && clock_ms() < c->until_ms) {
		give_cached(j, c);
		return;
	}
	disposition(j->object, &name);
	query[n++] = (struct v4_pair){ TEXT("response-content-disposition"), buf_view(&name) };
	if (j->op->stat.generation != 0) {
		/* Pieces of two versions never mix: after an overwrite this address gives 404. */
		snprintf(generation, sizeof(generation), "%llu", (unsigned long long)j->op->stat.generation);
		query[n++] = (struct v4_pair){ TEXT("generation"), text_from(generation) };
	}
	j->kind = 'g';
	sign_one(j, "GET", query, n);
	buf_free(&name);
}

static void
sign_get_go(struct job *j)
{
	j->call = look(j, sign_get_looked);
}

static void
gcs_sign_get(struct store *store, struct text key, int64_t ttl_s, struct store_op *op)
{
	struct job *j = job_new(store, key, op);

	j->ttl_s = ttl_capped(j->gcs, ttl_s);
	if (!can_sign(j))
		return;
	/* The object is looked at each time: another worker or server may just have replaced it, and a client reads what it wrote. Only signatures are kept. */
	with_token(j, sign_get_go);
}

static void
sign_put_go(struct job *j)
{
	sign_one(j, "PUT", NULL, 0);
}

static void
gcs_sign_put(struct store *store, struct text key, int64_t ttl_s, struct store_op *op)
{
	struct job *j = job_new(store, key, op);

	j->ttl_s = ttl_capped(j->gcs, ttl_s);
	if (!can_sign(j))
		return;
	cache_drop(j->gcs, j->object);
	/* The signer's address comes with the first token. */
	with_token(j, sign_put_go);
}

/* ---- multipart uploads ---- */

/*
 * What the client holds as upload_id: kind, parts, time, a tag over them and the object, and the bucket's own id. So complete and abort cannot be aimed elsewhere,
 * on any server, without a table. kind: m multipart, s one signed PUT, e empty.
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

	snprintf(head, sizeof(head), "%c.%d.%lld", j->kind, j->parts, (long long)(clock_ms() / 1000));
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
	j->kind = kind.s[0];
	j->parts = (int)n;
	j->begun_s = seconds;
	snprintf(head, sizeof(head), "%c.%d.%lld", j->kind, j->parts, (long long)seconds);
	upload_tag(j, head, rest, want);
	if (tag.n != 32 || CRYPTO_memcmp(tag.s, want, 32) != 0)
		return false;
	buf_text(&j->upload, rest);
	return true;
}

static void
parts_sign(struct job *j)
{
	struct text *strings = calloc((size_t)j->parts, sizeof(*strings));
	struct buf *to_sign = calloc((size_t)j->parts, sizeof(*to_sign));
	char number[16];
	int i;

	j->urls = calloc((size_t)j->parts, sizeof(*j->urls));
	PRECOND(j->urls != NULL && strings != NULL && to_sign != NULL);
	j->url_count = (size_t)j->parts;
	for (i = 0; i < j->parts; i++) {
		struct v4_pair query[2] = { { TEXT("partNumber"), TEXT_NONE }, { TEXT("uploadId"), buf_view(&j->upload) } };

		snprintf(number, sizeof(number), "%d", i + 1);
		query[0].value = text_from(number);
		prepare(j, "PUT", query, 2, &j->urls[i], &to_sign[i]);
		strings[i] = buf_view(&to_sign[i]);
	}
	j->sign = gcp_sign(j->gcs->gcp, strings, (size_t)j->parts, sign_done, j);
	for (i = 0; i < j->parts; i++)
		buf_free(&to_sign[i]);
	free(to_sign);
	free(strings);
}

static void
create_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct text id;

	(void)call;
	j->call = NULL;
	if (a->status != 200) {
		if (renewed(j, a))
			return;
		if (a->status == 404)
			finish(j, STORE_DENIED, "the bucket does not exist");
		else
			refused(j, a, "storage.multipartUploads.create");
		return;
	}
	id = xml_value(j->op->arena, a->body, "UploadId");
	if (id.n == 0) {
		finish(j, STORE_BUSY, "the bucket gave no upload id");
		return;
	}
	buf_text(&j->upload, id);
	upload_id_give(j, id);
	parts_sign(j);
}

static void
create_go(struct job *j)
{
	struct ask a = { .method = "POST", .object = j->object, .has_body = true, .repeat = true, .done = create_answered };

	ask_query(&a, "uploads", TEXT_NONE);
	ask_header(&a, "Content-Type", text_from(j->type));
	ask_header(&a, "Cache-Control", TEXT(CACHE_CONTROL));
	j->call = ask_send(j, &a);
}

static void
create_single_go(struct job *j)
{
	upload_id_give(j, TEXT("-"));
	sign_one(j, "PUT", NULL, 0);
}

static void
gcs_multipart_create(struct store *store, struct text key, int parts, struct text content_type, struct store_op *op)
{
	struct job *j = job_new(store, key, op);

	j->parts = parts;
	j->type = strndup(content_type.n > 0 ? content_type.s : "application/octet-stream", content_type.n > 0 ? content_type.n : 24);
	PRECOND(j->type != NULL);
	/* All parts are signed now and the client never asks again: twenty seconds each, an hour at least, half a day at most. */
	j->ttl_s = ttl_capped(j->gcs, parts * 20 < 3600 ? 3600 : parts * 20 > 43200 ? 43200 : parts * 20);
	j->kind = parts == 0 ? 'e' : parts == 1 ? 's' : 'm';
	if (parts < 0 || parts > PARTS_MOST) {
		finish(j, STORE_UNSUPPORTED, "Multipart upload is not supported for the current artifact repository: more than 10,000 parts");
	} else if (!can_sign(j)) {
		return;
	} else if (parts == 0) {
		upload_id_give(j, TEXT("-"));
		finish(j, STORE_OK, NULL);
	} else {
		with_token(j, parts == 1 ? create_single_go : create_go);
	}
}

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
		finish(j, STORE_BAD, j->kind == 's' ? "the file was not uploaded to its address" : "the upload is unknown, aborted or too old");
		return;
	}
	if (a->status != 200) {
		if (!renewed(j, a))
			refused(j, a, "storage.objects.get");
		return;
	}
	stat_read(call, &st);
	/* After an answer that was lost, or of a single PUT: is it ours? By the tag that its PUT was answered with; else by its time: another's may have come after ours. Two clocks are compared. */
	if (j->kind == 's')
		sent = unquoted(j->given_parts[0].etag);
	if ((sent.n == 0 || !text_eq(sent, unquoted(out_answer_header(call, "etag")))) && st.mtime_ms != 0 && st.mtime_ms / 1000 + (sent.n > 0 ? 2 : 60) < j->begun_s) {
		finish(j, STORE_BAD, "the upload did not arrive; an older object is there");
		return;
	}
	if (j->total >= 0 && st.size != j->total) {
		finish(j, STORE_CORRUPT, "the object's size is not that of its parts");
		return;
	}
	j->op->stat = st;
	j->total = -1;
	put_stored(j, st.size);
}

static void
complete_look(struct job *j)
{
	j->call = look(j, complete_looked);
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
	if ((a->status >= 200 && a->status < 300 && code.s == NULL) || text_is(code, "NoSuchUpload")) {
		with_token(j, complete_look);
	} else if (a->status == 200) {
		finish(j, STORE_BUSY, "the bucket could not join the parts");
	} else if (!renewed(j, a)) {
		refused(j, a, "storage.objects.create (and storage.objects.delete to overwrite)");
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
	ask_query(&a, "uploadId", buf_view(&j->upload));
	ask_header(&a, "Content-Type", TEXT("application/xml"));
	j->call = ask_send(j, &a);
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
		j->total = -1;
		with_token(j, complete_look);
		return;
	}
	if (a->status != 200) {
		if (!renewed(j, a))
			refused(j, a, "storage.multipartUploads.listParts");
		return;
	}
	parts_read(j, a->body);
	marker = xml_value(j->op->arena, a->body, "NextPartNumberMarker");
	if (text_is(xml_value(j->op->arena, a->body, "IsTruncated"), "true") && marker.n > 0 && j->listed_count > before) {
		j->page.n = 0;
		buf_text(&j->page, marker);
		with_token(j, parts_go);
		return;
	}
	fault = parts_fault(j);
	if (fault != NULL) {
		finish(j, STORE_BAD, fault);
		return;
	}
	j->total = 0;
	for (i = 0; i < j->listed_count; i++)
		j->total += j->listed_size[i];
	with_token(j, complete_go);
}

static void
parts_go(struct job *j)
{
	struct ask a = { .method = "GET", .object = j->object, .repeat = true, .done = parts_answered };

	ask_query(&a, "uploadId", buf_view(&j->upload));
	ask_query(&a, "max-parts", TEXT(PAGE));
	if (j->page.n > 0)
		ask_query(&a, "part-number-marker", buf_view(&j->page));
	j->call = ask_send(j, &a);
}

static void
before_looked(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	j->call = NULL;
	if (renewed(j, a))
		return;
	replaced_note(j, call, a);
	with_token(j, parts_go);
}

static void
before_go(struct job *j)
{
	j->call = look(j, before_looked);
}

static void
gcs_multipart_complete(struct store *store, struct text key, struct text upload_id, const struct store_part *parts, size_t n, struct store_op *op)
{
	struct job *j = job_new(store, key, op);
	size_t i;

	if (!upload_id_take(j, upload_id)) {
		finish(j, STORE_BAD, "the upload id does not belong to this path");
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
	if (j->kind != 'm' && n != (size_t)j->parts) {
		finish(j, STORE_BAD, "the list of parts is not complete");
	} else if (j->kind == 'e') {
		j->type = strdup(artifact_type(key));
		PRECOND(j->type != NULL);
		with_token(j, small_go);
	} else if (j->kind == 's') {
		with_token(j, complete_look);
	} else {
		j->listed = calloc(PARTS_MOST, sizeof(*j->listed));
		j->listed_size = calloc(PARTS_MOST, sizeof(*j->listed_size));
		PRECOND(j->listed != NULL && j->listed_size != NULL);
		with_token(j, before_go);
	}
}

static void
aborted(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	if (a->status == 404 || (a->status >= 200 && a->status < 300))
		finish(j, STORE_OK, NULL);
	else if (!renewed(j, a))
		refused(j, a, "storage.multipartUploads.abort");
}

static void
abort_go(struct job *j)
{
	struct ask a = { .method = "DELETE", .object = j->object, .repeat = true, .done = aborted };

	ask_query(&a, "uploadId", buf_view(&j->upload));
	j->call = ask_send(j, &a);
}

static void
gcs_multipart_abort(struct store *store, struct text key, struct text upload_id, struct store_op *op)
{
	struct job *j = job_new(store, key, op);

	if (!upload_id_take(j, upload_id))
		finish(j, STORE_BAD, "the upload id does not belong to this path");
	else if (j->kind != 'm')
		finish(j, STORE_OK, NULL);
	else
		with_token(j, abort_go);
}

/* ---- uploads that nobody finished: their parts are billed until they are aborted ---- */

static void sweep_next(struct job *);

static void
swept(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;

	(void)call;
	j->call = NULL;
	if (a->status != 404 && (a->status < 200 || a->status >= 300)) {
		refused(j, a, "storage.multipartUploads.abort");
		return;
	}
	j->objects++;
	with_token(j, sweep_next);
}

static void
sweep_next(struct job *j)
{
	struct name *name = &j->names[j->next_delete];
	struct ask a = { .method = "DELETE", .repeat = true, .done = swept };

	if (j->next_delete == j->name_count) {
		finish(j, STORE_OK, NULL);
		return;
	}
	j->next_delete++;
	a.object = name->s;
	ask_query(&a, "uploadId", text_from(name->upload));
	j->call = ask_send(j, &a);
}

static void sweep_go(struct job *);

static void
sweep_listed(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct text inner, key_marker, id_marker;
	size_t at = 0;

	(void)call;
	j->call = NULL;
	if (a->status != 200) {
		if (!renewed(j, a))
			refused(j, a, "storage.multipartUploads.list");
		return;
	}
	while (xml_next(a->body, &at, "Upload", &inner)) {
		struct text key = xml_value(j->op->arena, inner, "Key"), id = xml_value(j->op->arena, inner, "UploadId"), begun = xml_value(j->op->arena, inner, "Initiated");
		struct tm tm = { 0 };

		if (key.n == 0 || id.n == 0 || strptime(text_z(j->op->arena, begun), "%Y-%m-%dT%H:%M:%S", &tm) == NULL || (int64_t)timegm(&tm) >= j->begun_s)
			continue;
		name_add(j, key, false, 0, 0);
		j->names[j->name_count - 1].upload = strndup(id.s, id.n);
	}
	key_marker = xml_value(j->op->arena, a->body, "NextKeyMarker");
	id_marker = xml_value(j->op->arena, a->body, "NextUploadIdMarker");
	if (text_is(xml_value(j->op->arena, a->body, "IsTruncated"), "true") && id_marker.n > 0 && !text_eq(id_marker, buf_view(&j->upload)) && j->name_count < LIST_MOST) {
		j->page.n = j->upload.n = 0;
		buf_text(&j->page, key_marker);
		buf_text(&j->upload, id_marker);
		with_token(j, sweep_go);
	} else if (j->ended) {
		j->objects = (int64_t)j->name_count;
		finish(j, STORE_OK, NULL);
	} else {
		with_token(j, sweep_next);
	}
}

static void
sweep_go(struct job *j)
{
	struct ask a = { .method = "GET", .repeat = true, .done = sweep_listed };

	ask_query(&a, "uploads", TEXT_NONE);
	ask_query(&a, "prefix", text_from(j->object));
	if (j->upload.n > 0) {
		ask_query(&a, "key-marker", buf_view(&j->page));
		ask_query(&a, "upload-id-marker", buf_view(&j->upload));
	}
	j->call = ask_send(j, &a);
}

static void
gcs_sweep(struct store *store, int64_t before_ms, bool count_only, struct store_op *op)
{
	struct job *j = job_new(store, TEXT(""), op);

	j->begun_s = before_ms / 1000;
	j->ended = count_only;
	with_token(j, sweep_go);
}

/* ---- the check at start ---- */

static const struct {
	const char *permission;
	const char *without;
} needs[] = {
	{ "storage.objects.get", "downloads and the artifact view fail" },
	{ "storage.objects.list", "artifacts cannot be listed" },
	{ "storage.objects.create", "uploads fail" },
	{ "storage.objects.delete", "overwriting a file (log_artifact twice, a model logged again), deleting and gc fail" },
	{ "storage.multipartUploads.create", "large files pass through the server" },
	{ "storage.multipartUploads.abort", "parts of failed uploads stay and are billed" },
	{ "storage.multipartUploads.listParts", "large uploads cannot be completed" },
	{ "storage.multipartUploads.list", "gc cannot find unfinished uploads" },
};
#define NEEDS (sizeof(needs) / sizeof(needs[0]))

/* A check is a job of its own with an op of its own, freed at its end. */
struct check {
	struct store_op op;
	struct job *job;
	struct buf report;
	struct buf url;
	bool usable;
	void (*done)(void *, bool, struct text);
	void *user;
};

static void
check_over(struct check *c)
{
	c->done(c->user, c->usable, buf_view(&c->report));
	job_free(c->job);
	arena_free(c->op.arena);
	buf_free(&c->report);
	buf_free(&c->url);
	free(c);
}

static void
check_probed(void *user, struct out_call *call, const struct out_answer *a)
{
	struct check *c = user;
	struct text code = TEXT_NONE;
	size_t at = 0;

	(void)call;
	c->job->call = NULL;
	if (!xml_next(a->body, &at, "Code", &code))
		code = TEXT_NONE;
	if (a->status == 404)
		buf_puts(&c->report, "ok: signed addresses work\n");
	else if (a->status == 0)
		buf_printf(&c->report, "signed address could not be tried: %s\n", a->why);
	else
		buf_printf(&c->report, "signed addresses are refused (%d " TEXT_FMT "): look at the server's clock and at the key's account\n", a->status, TEXT_ARG(code));
	check_over(c);
}

static void
check_signed(void *user, const struct text *hex, const char *why)
{
	struct check *c = user;
	struct out_request r = { .method = "GET", .repeat = true, .budget_ms = 8000, .done = check_probed, .user = c };

	c->job->sign = NULL;
	if (hex == NULL) {
		(void)sign_rests(c->job->gcs);
		buf_printf(&c->report, "signed addresses do not work: %s\n", why);
		check_over(c);
		return;
	}
	v4_append(&c->url, hex[0]);
	r.url = buf_view(&c->url);
	c->job->call = out_send(&r);
}

static void
check_sign(struct check *c)
{
	struct buf to_sign = { 0 };
	struct text one;
	const char *why;

	if (!gcp_can_sign(c->job->gcs->gcp, &why)) {
		buf_printf(&c->report, "signed addresses: none; %s\n", why);
		check_over(c);
		return;
	}
	c->job->ttl_s = 60;
	prepare(c->job, "GET", NULL, 0, &c->url, &to_sign);
	one = buf_view(&to_sign);
	c->job->sign = gcp_sign(c->job->gcs->gcp, &one, 1, check_signed, c);
	buf_free(&to_sign);
}

static bool
granted(const json_t *list, const char *permission)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *s = json_string_value(one);

		if (s != NULL && strcmp(s, permission) == 0)
			return true;
	}
	return false;
}

static void
check_permissions(void *user, struct out_call *call, const struct out_answer *a)
{
	struct check *c = user;
	json_t *o = NULL;
	size_t i, missing = 0;

	(void)call;
	c->job->call = NULL;
	if (a->status != 200) {
		if (a->status == 0)
			buf_printf(&c->report, "the bucket %s cannot be reached: %s\n", c->job->gcs->bucket, a->why);
		else if (a->status == 404)
			buf_printf(&c->report, "the bucket %s does not exist, or %s may not see it\n", c->job->gcs->bucket, gcp_name(c->job->gcs->gcp));
		else
			buf_printf(&c->report, "the permissions on bucket %s could not be asked (%d)\n", c->job->gcs->bucket, a->status);
		c->usable = a->status != 0 && a->status != 404 && a->status != 401;
		if (c->usable)
			check_sign(c);
		else
			check_over(c);
		return;
	}
	o = json_loadb(a->body.s != NULL ? a->body.s : "", a->body.n, 0, NULL);
	for (i = 0; i < NEEDS; i++) {
		if (granted(json_object_get(o, "permissions"), needs[i].permission))
			continue;
		missing++;
		buf_printf(&c->report, "missing %s: %s\n", needs[i].permission, needs[i].without);
	}
	if (missing == 0)
		buf_puts(&c->report, "ok: all permissions\n");
	else
		buf_puts(&c->report, "the role to grant on the bucket is roles/storage.objectUser (Storage Object User)\n");
	c->usable = missing < NEEDS;
	json_decref(o);
	check_sign(c);
}

static void
check_go(struct job *j)
{
	struct check *c = j->op->user;
	struct buf url = { 0 }, authorization = { 0 };
	struct out_header header = { "Authorization", TEXT_NONE };
	struct out_request r = { .method = "GET", .headers = &header, .repeat = true, .budget_ms = 8000, .done = check_permissions, .user = c };
	size_t i;

	buf_printf(&c->report, "bucket %s as %s\n", j->gcs->bucket, gcp_name(j->gcs->gcp));
	if (j->token.n == 0) {
		buf_puts(&c->report, "permissions were not asked: that takes a token\n");
		c->usable = true;
		check_sign(c);
		return;
	}
	buf_printf(&url, "%s://%s/storage/v1/b/%s/iam/testPermissions", j->gcs->scheme, j->gcs->host, j->gcs->bucket);
	for (i = 0; i < NEEDS; i++)
		buf_printf(&url, "%cpermissions=%s", i == 0 ? '?' : '&', needs[i].permission);
	buf_puts(&authorization, "Bearer ");
	buf_text(&authorization, buf_view(&j->token));
	header.value = buf_view(&authorization);
	r.header_count = 1;
	r.url = buf_view(&url);
	j->call = out_send(&r);
	buf_free(&url);
	buf_free(&authorization);
}

/* Only when the token could not be had. */
static void
check_failed(struct store_op *op, enum store_result result)
{
	struct check *c = op->user;

	(void)result;
	buf_printf(&c->report, "no access token: %s\n", op->why);
	c->done(c->user, false, buf_view(&c->report));
	arena_free(op->arena);
	buf_free(&c->report);
	free(c);
}

static void
gcs_check(struct store *store, void (*done)(void *, bool, struct text), void *user)
{
	struct check *c = calloc(1, sizeof(*c));

	PRECOND(c != NULL);
	c->done = done;
	c->user = user;
	c->op.arena = arena_new();
	c->op.user = c;
	c->op.done = check_failed;
	c->job = job_new(store, TEXT(".probe"), &c->op);
	with_token(c->job, check_go);
}

/* ---- opening ---- */

bool
gcs_split(struct text uri, struct text *bucket, struct text *path)
{
	struct text rest;
	size_t i, slash;

	if (!text_starts(uri, "gs://"))
		return false;
	rest = text_skip(uri, 5);
	slash = text_find(rest, '/');
	*bucket = (struct text){ rest.s, slash };
	*path = slash < rest.n ? text_skip(rest, slash + 1) : TEXT("");
	while (path->n > 0 && path->s[path->n - 1] == '/')
		path->n--;
	while (path->n > 0 && path->s[0] == '/')
		*path = text_skip(*path, 1);
	/* Google's rule for bucket names. */
	if (bucket->n < 3 || bucket->n > 222)
		return false;
	for (i = 0; i < bucket->n; i++) {
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", bucket->s[i]) == NULL || bucket->s[i] == '\0')
			return false;
	}
	return memchr(path->s, '?', path->n) == NULL && memchr(path->s, '#', path->n) == NULL;
}

static void
endpoint(struct gcs *g)
{
	const char *emulator = getenv("STORAGE_EMULATOR_HOST");
	const char *at = emulator != NULL ? strstr(emulator, "://") : NULL;
	struct buf host = { 0 };

	if (emulator != NULL && *emulator != '\0') {
		g->scheme = at != NULL ? strndup(emulator, (size_t)(at - emulator)) : strdup("http");
		buf_puts(&host, at != NULL ? at + 3 : emulator);
		while (host.n > 0 && host.s[host.n - 1] == '/')
			host.n--;
	} else {
		g->scheme = strdup("https");
		buf_printf(&host, "storage.%s", gcp_universe(g->gcp));
	}
	buf_byte(&host, '\0');
	g->host = host.s;
	PRECOND(g->scheme != NULL);
}

struct store *
gcs_open(struct text destination, char *why, size_t n)
{
	static const struct store functions = {
		.scheme = "gs",
		.can_sign = true,
		.stat = gcs_stat,
		.get = gcs_get,
		.put = gcs_put,
		.put_bytes = gcs_put_bytes,
		.put_end = gcs_put_end,
		.abort = gcs_abort,
		.resume = gcs_resume,
		.list = gcs_list,
		.remove = gcs_remove,
		.sign_get = gcs_sign_get,
		.sign_put = gcs_sign_put,
		.multipart_create = gcs_multipart_create,
		.multipart_complete = gcs_multipart_complete,
		.multipart_abort = gcs_multipart_abort,
		.usage = gcs_usage,
		.sweep = gcs_sweep,
		.check = gcs_check,
	};
	struct gcs *g;
	struct gcp *gcp;
	struct text bucket, path;
	struct buf prefix = { 0 };
	const char *unsigned_why;

	if (!gcs_split(destination, &bucket, &path)) {
		snprintf(why, n, "not a bucket's address: " TEXT_FMT " (gs://bucket/path)", TEXT_ARG(destination));
		return NULL;
	}
	gcp = gcp_open(why, n);
	if (gcp == NULL)
		return NULL;
	g = calloc(1, sizeof(*g));
	PRECOND(g != NULL);
	g->gcp = gcp;
	g->bucket = strndup(bucket.s, bucket.n);
	buf_text(&prefix, path);
	if (path.n > 0)
		buf_byte(&prefix, '/');
	buf_byte(&prefix, '\0');
	g->prefix = prefix.s;
	endpoint(g);
	g->store = functions;
	g->store.can_sign = gcp_can_sign(gcp, &unsigned_why);
	g->store.priv = g;
	return &g->store;
}

/* Files to clients: conditions and ranges by RFC 9110, one range at most; from the disk by sendfile, from a bucket streamed or by redirect. Nothing a browser would run, but for ?view=1, in a sandbox. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "api/artifact.h"
#include "config.h"
#include "engine/stats.h"

/* What a page shows passes through the server up to this size; more goes by redirect. */
#define VIEW_MOST ((int64_t)64 * 1024 * 1024)
#define REDIRECT_TTL_S 300
#define HEADERS_MOST 12
/*
 * A report that our page frames. The sandbox gives it an origin of its own, so its scripts reach neither the page nor the API, and it may load nothing from anywhere: a report that
 * brings its scripts with it works, one that fetches them from another host does not.
 */
#define FRAMED_POLICY \
	"sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; style-src 'unsafe-inline' data:; " \
	"img-src data: blob:; font-src data:; media-src data: blob:; worker-src blob:; form-action 'none'; frame-ancestors 'self'"

struct headers {
	struct http_header_out list[HEADERS_MOST];
	size_t n;
};

static void
add(struct headers *h, const char *name, struct text value)
{
	PRECOND(h->n < HEADERS_MOST);
	h->list[h->n++] = (struct http_header_out){ name, value };
}

struct text
artifact_disposition(struct arena *arena, struct text key)
{
	struct buf b = { 0 };
	struct text name = key, out;
	size_t i;
	bool token = true, ascii = true;

	for (i = key.n; i > 0 && key.s[i - 1] != '/'; i--) {
		unsigned char c = (unsigned char)key.s[i - 1];

		ascii = ascii && c < 0x80;
		token = token && c < 0x80 && (strchr("!#$%&'*+-.^_`|~", c) != NULL || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'));
	}
	name = text_skip(key, i);
	buf_puts(&b, "attachment; filename=");
	if (token) {
		buf_text(&b, name);
	} else {
		buf_byte(&b, '"');
		for (i = 0; i < name.n; i++) {
			if ((unsigned char)name.s[i] >= 0x80)
				continue;
			if (name.s[i] == '"' || name.s[i] == '\\')
				buf_byte(&b, '\\');
			buf_byte(&b, name.s[i]);
		}
		buf_byte(&b, '"');
	}
	if (!ascii) {
		buf_puts(&b, "; filename*=UTF-8''");
		buf_percent(&b, name, "!#$&+^`|");
	}
	out = text_copy(arena, buf_view(&b));
	buf_free(&b);
	return out;
}

static struct text
http_date(struct arena *arena, int64_t ms)
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;
	char z[40];

	gmtime_r(&t, &tm);
	strftime(z, sizeof(z), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	return text_copy(arena, text_from(z));
}

static struct text
etag(struct artifact *a)
{
	return text_format(a->call->arena, "\"%s\"", a->stat.etag);
}

/* Is the client's copy good? If-None-Match decides when it is there, else the date, compared as text: we only ever sent one. */
static bool
unchanged(struct artifact *a)
{
	struct text none = http_header(a->call->http, "If-None-Match"), since = http_header(a->call->http, "If-Modified-Since");
	struct text tag = etag(a);

	if (none.s != NULL)
		return text_is(text_trim(none), "*") || memmem(none.s, none.n, tag.s, tag.n) != NULL;
	return since.s != NULL && a->stat.mtime_ms > 0 && text_eq(text_trim(since), http_date(a->call->arena, a->stat.mtime_ms));
}

/* If-Match: the client wants this version or none. A weak tag is never the same. */
static bool
another(struct artifact *a)
{
	struct text wanted = http_header(a->call->http, "If-Match"), tag = etag(a);
	size_t at = 0;

	if (wanted.s == NULL || text_is(text_trim(wanted), "*"))
		return false;
	while (at < wanted.n) {
		size_t n = text_find(text_skip(wanted, at), ',');

		if (text_eq(text_trim((struct text){ wanted.s + at, n }), tag))
			return false;
		at += n + 1;
	}
	return true;
}

/* One range into from and length: 206, or 416; anything we do not understand is no range (200). */
static int
range_read(struct artifact *a)
{
	struct text asked = http_header(a->call->http, "Range"), when = http_header(a->call->http, "If-Range"), first, last;
	int64_t size = a->stat.size, from, to;
	size_t dash;

	a->from = 0;
	a->length = size;
	/* RFC 9110 14.2: Range means something for GET alone. */
	if (asked.s == NULL || a->call->head || a->stat.encoded || !text_starts(asked, "bytes=") || text_find(asked, ',') < asked.n)
		return 200;
	if (when.s != NULL && !text_eq(text_trim(when), etag(a)) && !text_eq(text_trim(when), http_date(a->call->arena, a->stat.mtime_ms)))
		return 200;
	asked = text_trim(text_skip(asked, 6));
	dash = text_find(asked, '-');
	if (dash == asked.n)
		return 200;
	first = (struct text){ asked.s, dash };
	last = text_skip(asked, dash + 1);
	if (first.n == 0) {
		if (!text_int(last, &to) || to < 0)
			return 200;
		if (to == 0 || size == 0)
			return 416;
		from = to > size ? 0 : size - to;
		to = size - 1;
	} else {
		if (!text_int(first, &from) || from < 0)
			return 200;
		if (last.n == 0)
			to = size - 1;
		else if (!text_int(last, &to) || to < from)
			return 200;
		if (from >= size)
			return 416;
		if (to >= size)
			to = size - 1;
	}
	a->from = from;
	a->length = to - from + 1;
	return 206;
}

static void
headers_fill(struct artifact *a, struct headers *h)
{
	struct arena *arena = a->call->arena;

	add(h, "X-Content-Type-Options", TEXT("nosniff"));
	if (a->framed) {
		add(h, "Content-Security-Policy", TEXT(FRAMED_POLICY));
	} else {
		add(h, "Content-Disposition", artifact_disposition(arena, a->key));
		add(h, "Content-Security-Policy", TEXT("sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"));
	}
	add(h, "Cache-Control", TEXT("private, no-cache"));
	add(h, "ETag", etag(a));
	if (a->stat.mtime_ms > 0)
		add(h, "Last-Modified", http_date(arena, a->stat.mtime_ms));
	if (a->stat.encoded)
		add(h, "Content-Encoding", text_from(a->stat.encoding));
	else
		add(h, "Accept-Ranges", TEXT("bytes"));
	if (a->status == 206)
		add(h, "Content-Range", text_format(arena, "bytes %lld-%lld/%lld", (long long)a->from, (long long)(a->from + a->length - 1), (long long)a->stat.size));
	else if (a->status == 416)
		add(h, "Content-Range", text_format(arena, "bytes */%lld", (long long)a->stat.size));
}

/* 304, 412 and 416: a head alone. */
static enum next
reply_short(struct artifact *a)
{
	struct headers h = { .n = 0 };
	struct http_reply reply = { .status = a->status };
	struct buf nothing = { 0 };

	headers_fill(a, &h);
	reply.headers = h.list;
	reply.header_count = h.n;
	a->call->status = a->status;
	http_reply(a->call->http, &reply, &nothing);
	return call_done(a->call);
}

/* ---- from the disk ---- */

static enum next
file_ready(struct artifact *a, enum store_result result)
{
	struct headers h = { .n = 0 };
	struct http_reply reply = { .type = artifact_type(a->key) };

	if (result != STORE_OK)
		return artifact_failed(a, result);
	if (a->call->http == NULL) {
		close(a->op.fd);
		return call_done(a->call);
	}
	a->stat = a->op.stat;
	a->status = another(a) ? 412 : unchanged(a) ? 304 : range_read(a);
	if (a->status != 200 && a->status != 206) {
		close(a->op.fd);
		return reply_short(a);
	}
	headers_fill(a, &h);
	reply.status = a->call->status = a->status;
	reply.headers = h.list;
	reply.header_count = h.n;
	if (!a->call->head)
		stats_artifact(0, (uint64_t)a->length);
	http_reply_file(a->call->http, &reply, a->op.fd, (off_t)a->from, (off_t)a->length);
	return call_done(a->call);
}

/* ---- from a bucket ---- */

static void
drained(struct http_request *http)
{
	struct call *call = http->user;

	if (call != NULL) {
		struct artifact *a = call->state;

		if (a->busy)
			a->store->resume(&a->op);
	}
}

static void
begin(struct artifact *a)
{
	struct headers h = { .n = 0 };
	struct http_reply reply = { .type = artifact_type(a->key) };

	headers_fill(a, &h);
	reply.status = a->call->status = a->status;
	reply.headers = h.list;
	reply.header_count = h.n;
	http_reply_begin(a->call->http, &reply, a->length, drained);
}

static void
stream_head(struct store_op *op)
{
	struct artifact *a = op->user;

	if (a->call->http == NULL)
		return;
	/* The client puts parts together by the ETag it was told: one of another version must not come under it. */
	a->moved = a->status == 206 && op->stat.generation != a->stat.generation;
	if (a->moved)
		return;
	a->streaming = true;
	/* The object may have been replaced since it was looked at: its own head counts. */
	if (a->status == 200) {
		a->stat = op->stat;
		a->length = op->stat.size;
	}
	begin(a);
}

static bool
stream_data(struct store_op *op, const void *bytes, size_t n)
{
	struct artifact *a = op->user;

	if (a->moved)
		return true;
	stats_artifact(0, n);
	return a->call->http == NULL || http_reply_write(a->call->http, bytes, n);
}

static enum next
stream_over(struct artifact *a, enum store_result result)
{
	if (a->moved)
		return call_fail(a->call, TEMPORARILY_UNAVAILABLE, "The file was replaced while it was read. Ask again.");
	if (!a->streaming)
		return artifact_failed(a, result);
	if (a->call->http != NULL) {
		/* A short body must be seen as one. */
		if (result == STORE_OK)
			http_reply_end(a->call->http);
		else
			http_reply_abort(a->call->http);
	}
	return call_done(a->call);
}

static enum next looked(struct artifact *a, enum store_result result);

static enum next
redirect_ready(struct artifact *a, enum store_result result)
{
	struct http_header_out headers[3] = { { "Location", TEXT_NONE }, { "Cache-Control", TEXT("private, no-store") }, { "Referrer-Policy", TEXT("no-referrer") } };
	struct http_reply reply = { .status = 302, .headers = headers, .header_count = 3 };
	struct buf nothing = { 0 };

	if (result == STORE_UNSUPPORTED) {
		/* Not signed after all: through the server. */
		a->store->stat(a->store, a->key, artifact_begin(a, looked));
		return WAIT;
	}
	if (result != STORE_OK)
		return artifact_failed(a, result);
	if (a->call->http == NULL)
		return call_done(a->call);
	headers[0].value = a->op.urls[0].url;
	a->call->status = 302;
	http_reply(a->call->http, &reply, &nothing);
	return call_done(a->call);
}

static enum next
redirect(struct artifact *a)
{
	a->store->sign_get(a->store, a->key, REDIRECT_TTL_S, artifact_begin(a, redirect_ready));
	return WAIT;
}

static enum next
looked(struct artifact *a, enum store_result result)
{
	struct store_op *op;

	if (result != STORE_OK)
		return artifact_failed(a, result);
	if (a->call->http == NULL)
		return call_done(a->call);
	a->stat = a->op.stat;
	a->status = another(a) ? 412 : unchanged(a) ? 304 : range_read(a);
	if (a->status != 200 && a->status != 206)
		return reply_short(a);
	if (a->call->head) {
		begin(a);
		http_reply_end(a->call->http);
		return call_done(a->call);
	}
	if (a->store->can_sign && a->stat.size > VIEW_MOST && a->length > VIEW_MOST)
		return redirect(a);
	op = artifact_begin(a, stream_over);
	op->head = stream_head;
	op->data = stream_data;
	if (a->status == 206)
		a->store->get(a->store, a->key, a->from, a->length, op);
	else
		a->store->get(a->store, a->key, 0, -1, op);
	return WAIT;
}

enum next
artifact_send(struct artifact *a)
{
	bool direct = a->store->can_sign && strcmp(config->artifact_get, "redirect") == 0;

	if (strcmp(a->store->scheme, "file") == 0)
		a->store->get(a->store, a->key, 0, -1, artifact_begin(a, file_ready));
	else if (direct && !a->view && !a->call->ajax && !a->call->head)
		return redirect(a);
	else
		a->store->stat(a->store, a->key, artifact_begin(a, looked));
	return WAIT;
}

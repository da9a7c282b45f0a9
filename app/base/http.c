/*
 * HTTP/1.1 over links: see http.h. A connection runs one request at a time; what a client sends ahead waits unparsed. Nothing here is re-entered: what the engine
 * calls only marks the connection, and conn_run() does the reading, parsing and sending, from the loop.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <llhttp.h>
#include <zlib.h>

#include "base/arena.h"
#include "base/http.h"
#include "base/link.h"
#include "base/log.h"

#define READ_BYTES 65536
#define READS_A_TURN 8           /* then other connections have their turn */
#define SENDS_A_TURN 4
#define HEADERS_MOST 500
#define PIECE_BYTES 16384        /* of queued reply bytes; larger bodies are queued without a copy */
#define PIECES_SPARE 64
#define QUEUED_MOST ((size_t)262144) /* above, a streamed reply is told to stop */
#define QUEUED_LOW ((size_t)65536)   /* below, it is told to go on */
#define SENDFILE_MOST 1048576    /* a turn */
#define DRAIN_BYTES 1048576      /* of a body nobody wants; more costs the connection */
#define LINGER_BYTES 268435456
#define RESTED_LINGER_MS 200
#define HELD_SMALL 65536         /* of a body: taken however much is held */
#define GZIP_FROM 1024
#define SWEEP_MS 250
#define SWEEPS_PATIENT 4
#define SETTLE_FIRST_MS 2
#define SETTLE_NEXT_MS 20
#define SETTLE_GIVE_UP_MS 10000

enum piece_kind { PIECE_OWNED, PIECE_STATIC, PIECE_FILE };

/* Bytes on their way out, in order. */
struct piece {
	struct piece *next;
	enum piece_kind kind;
	char *s; /* owned: malloc'ed, `cap` bytes */
	size_t n, at, cap;
	int fd;
	off_t offset;
	size_t left; /* of the file */
};

/* A reply whose arrival somebody wants to know. */
struct unsettled {
	struct unsettled *next;
	void (*settled)(void *, bool);
	void *user;
	uint64_t end; /* bytes of the connection up to the reply's last one */
	int64_t since_ms;
};

struct span {
	uint32_t name_at, name_n, value_at, value_n;
};

/* What a connection waits for, each with its own time limit. */
enum waiting { WAIT_ENGINE, WAIT_REQUEST, WAIT_HEAD, WAIT_BODY, WAIT_READER, WAIT_LINGER };

enum part { PART_NONE, PART_NAME, PART_VALUE };

/* A request and its reply. In its own arena, owned by the connection. */
struct work {
	struct http_request request; /* first: the engine's pointer is ours */
	struct conn *conn;
	/* the head as it comes in */
	char *head;
	size_t head_n, head_cap, url_n;
	struct span *spans;
	size_t span_n, span_cap;
	enum part part;
	size_t trailer_n;
	/* the body */
	struct http_body want;
	struct buf body;
	z_stream *inflating;
	size_t got; /* body bytes on the wire */
	size_t held; /* of `body`, as counted in `held` */
	bool headed;       /* head() was called, or we refused */
	bool whole;        /* nothing more of it will come in */
	bool complete_due; /* complete() waits for http_resume() */
	bool continues;    /* the client waits for 100 Continue */
	bool paused;
	unsigned sweeps; /* that saw it wait for a reply */
	/* the reply */
	bool keep;    /* the client and the version allow another request */
	bool given;   /* a reply was begun */
	bool done;    /* and is whole in the queue */
	bool hidden;  /* HEAD: the body is not sent */
	bool chunked;
	bool counted; /* in `active` */
	int64_t left; /* of a streamed reply with a length */
	void (*drain)(struct http_request *);
	bool stopped; /* http_reply_write() said so: drain() is due */
	void (*settled)(void *, bool);
	void *settled_user;
};

struct conn {
	struct link *link;
	llhttp_t parser;
	struct work *work;
	struct buf ahead; /* bytes read and not yet parsed */
	size_t ahead_at;
	struct piece *out_first, *out_last;
	size_t queued; /* bytes in `out`, files not counted */
	uint64_t sent;
	struct unsettled *unsettled;
	enum waiting waiting;
	int64_t deadline_ms; /* 0 = none */
	int64_t measured_ms; /* since then `measured` more bytes of a body or a reply have moved */
	uint64_t measured;
	uint64_t taken; /* bytes of bodies */
	struct conn *before, *after; /* all connections */
	struct conn *next_dirty;
	size_t lingered;
	/* where the last piece of a header value ended, to see a folded line */
	const char *gap_from;
	bool gap_newline;
	bool readable, writable;
	bool in_head;   /* bytes of a head have come */
	bool half;      /* the peer's FIN has come, maybe behind bytes that are not read yet */
	bool ended;     /* the peer's end of input */
	bool closing;   /* after what is queued, no further request */
	bool lingering; /* FIN sent; reading and dropping */
	bool rested;    /* had nothing under way when the server began to end: nothing can be lost */
	bool finished;  /* and the peer's FIN came, no reset */
	bool broken;
	bool cut;       /* close with a reset */
	bool progress; /* bytes of a body or a reply moved since the deadline was set */
	bool running, dirty;
	char peer_bytes[48];
	struct text peer;
};

static const struct http_handler *handler;
static struct http_limits limits;
static llhttp_settings_t settings;
static struct conn *conns;
static size_t conn_count, active;
static size_t held; /* bytes of all requests' bodies */
static struct conn *dirty_first, *dirty_last;
static struct loop_timer *dirty_timer, *sweep_timer, *settle_timer;
static struct piece *spare_pieces;
static size_t spare_piece_count;
static uint64_t last_id;
static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
static char process_name[9]; /* the first half of the names that we give to requests */
static bool draining;
static z_stream *deflating;
static char read_bytes[READ_BYTES];

static void conn_run(struct conn *);
static void touch(struct conn *);
static void give(struct work *, const struct http_reply *, int64_t length);

static void *
take(size_t n)
{
	void *p = calloc(1, n);

	PRECOND(p != NULL);
	return p;
}

static inline struct work *
work_of(const struct http_request *request)
{
	const void *p = request;
	struct work *w;

	memcpy(&w, &p, sizeof(w));
	return w;
}

/* ---- reply bytes */

static struct piece *
piece_new(void)
{
	struct piece *p = spare_pieces;

	if (p != NULL) {
		spare_pieces = p->next;
		spare_piece_count--;
		p->next = NULL;
		return p;
	}
	p = take(sizeof(*p));
	p->cap = PIECE_BYTES;
	p->s = take(PIECE_BYTES);
	return p;
}

static void
piece_free(struct piece *p)
{
	if (p->kind == PIECE_OWNED && p->cap == PIECE_BYTES && spare_piece_count < PIECES_SPARE) {
		p->n = p->at = 0;
		p->next = spare_pieces;
		spare_pieces = p;
		spare_piece_count++;
		return;
	}
	if (p->kind == PIECE_OWNED)
		free(p->s);
	if (p->kind == PIECE_FILE)
		close(p->fd);
	free(p);
}

static void
queue(struct conn *c, struct piece *p)
{
	if (c->out_last != NULL)
		c->out_last->next = p;
	else
		c->out_first = p;
	c->out_last = p;
}

/* `n` bytes of room at the end of the queue; n is at most PIECE_BYTES. */
static char *
room(struct conn *c, size_t n)
{
	struct piece *p = c->out_last;

	if (p == NULL || p->kind != PIECE_OWNED || p->cap - p->n < n) {
		p = piece_new();
		queue(c, p);
	}
	return p->s + p->n;
}

static void
used(struct conn *c, size_t n)
{
	c->out_last->n += n;
	c->queued += n;
}

static void
put(struct conn *c, const void *bytes, size_t n)
{
	const char *s = bytes;

	while (n > 0) {
		struct piece *last = c->out_last;
		size_t fits = last != NULL && last->kind == PIECE_OWNED ? last->cap - last->n : 0;

		if (fits == 0)
			fits = PIECE_BYTES;
		if (fits > n)
			fits = n;
		memcpy(room(c, fits), s, fits);
		used(c, fits);
		s += fits;
		n -= fits;
	}
}

static void
put_owned(struct conn *c, char *s, size_t n, size_t cap)
{
	struct piece *p = take(sizeof(*p));

	p->kind = PIECE_OWNED;
	p->s = s;
	p->n = n;
	p->cap = cap;
	queue(c, p);
	c->queued += n;
}

static void
put_static(struct conn *c, struct text t)
{
	struct piece *p = take(sizeof(*p));

	p->kind = PIECE_STATIC;
	memcpy(&p->s, &t.s, sizeof(p->s));
	p->n = t.n;
	queue(c, p);
	c->queued += t.n;
}

static void
put_file(struct conn *c, int fd, off_t offset, size_t length)
{
	struct piece *p = take(sizeof(*p));

	p->kind = PIECE_FILE;
	p->fd = fd;
	p->offset = offset;
	p->left = length;
	queue(c, p);
}

static void
drop_out(struct conn *c)
{
	while (c->out_first != NULL) {
		struct piece *p = c->out_first;

		c->out_first = p->next;
		piece_free(p);
	}
	c->out_last = NULL;
	c->queued = 0;
}

/* True while there is more to send and the link takes it. */
static bool
send_some(struct conn *c)
{
	struct iovec parts[16];
	int count = 0;
	struct piece *p;
	ssize_t sent;

	p = c->out_first;
	if (p->kind == PIECE_FILE) {
		sent = link_sendfile(c->link, p->fd, &p->offset, p->left < SENDFILE_MOST ? p->left : SENDFILE_MOST);
		if (sent > 0) {
			p->left -= (size_t)sent;
			c->sent += (uint64_t)sent;
		}
		if (sent == 0)
			c->broken = true; /* the file is shorter than it was */
	} else {
		for (; p != NULL && p->kind != PIECE_FILE && count < 16; p = p->next) {
			parts[count].iov_base = p->s + p->at;
			parts[count].iov_len = p->n - p->at;
			count++;
		}
		sent = link_send(c->link, parts, count, p != NULL);
		if (sent > 0) {
			size_t left = (size_t)sent;

			c->sent += left;
			c->queued -= left;
			for (p = c->out_first; p != NULL && p->kind != PIECE_FILE && left > 0; p = p->next) {
				size_t n = p->n - p->at < left ? p->n - p->at : left;

				p->at += n;
				left -= n;
			}
		}
	}
	if (sent == -1) {
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			c->writable = false;
		else if (errno != EINTR)
			c->broken = true;
		return false;
	}
	while (c->out_first != NULL && (c->out_first->kind == PIECE_FILE ? c->out_first->left == 0 : c->out_first->at == c->out_first->n)) {
		p = c->out_first;
		c->out_first = p->next;
		if (c->out_first == NULL)
			c->out_last = NULL;
		piece_free(p);
	}
	c->progress = true;
	return c->out_first != NULL && !c->broken;
}

static void
flush(struct conn *c)
{
	int sends = 0;

	if (c->out_first == NULL || !c->writable || c->broken)
		return;
	while (send_some(c) && ++sends < SENDS_A_TURN)
		;
}

/* ---- acknowledged? */

static void
linger_read(struct conn *c)
{
	while (c->readable && !c->broken) {
		ssize_t got = c->ended ? 0 : link_read(c->link, read_bytes, sizeof(read_bytes));

		if (got == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			c->readable = false;
		} else if (got <= 0 || (c->lingered += (size_t)got) > LINGER_BYTES) {
			c->finished = got == 0;
			c->broken = true;
		}
	}
}

static void
settle(struct conn *c, bool broken)
{
	struct unsettled **at = &c->unsettled;
	int64_t now_ms = loop_now_ms();
	int64_t unacked;
	bool whole, alive;

	if (c->unsettled == NULL)
		return;
	/* A peer that read the answer and closed (FIN) has acknowledged it; one that reset has not. Asked in this order: a reset in between empties the queue as well. */
	unacked = link_unacked(c->link);
	whole = link_state(c->link) != LINK_GONE;
	if (!whole && c->lingering) {
		/* Closed by both sides, or reset? Only reading tells. */
		c->readable = true;
		linger_read(c);
		whole = c->finished;
	}
	alive = !broken && whole;
	while (*at != NULL) {
		struct unsettled *u = *at;
		bool arrived = whole && unacked >= 0 && c->sent - (uint64_t)unacked >= u->end;

		if (!arrived && alive && now_ms - u->since_ms < SETTLE_GIVE_UP_MS) {
			at = &u->next;
			continue;
		}
		*at = u->next;
		u->settled(u->user, arrived);
		free(u);
	}
}

static void
settle_all(void *unused)
{
	bool more = false;

	(void)unused;
	settle_timer = NULL;
	for (struct conn *c = conns; c != NULL; c = c->after) {
		if (c->unsettled != NULL)
			settle(c, false);
		more = more || c->unsettled != NULL;
	}
	if (more && settle_timer == NULL)
		settle_timer = loop_after(SETTLE_NEXT_MS, settle_all, NULL);
}

void
http_settle(void)
{
	for (struct conn *c = conns; c != NULL; c = c->after)
		if (c->unsettled != NULL)
			settle(c, false);
}

static void
settle_later(struct work *w)
{
	struct conn *c = w->conn;
	struct unsettled *u = take(sizeof(*u));
	struct unsettled **at = &c->unsettled;

	u->settled = w->settled;
	u->user = w->settled_user;
	u->since_ms = loop_now_ms();
	u->end = c->sent + c->queued;
	for (struct piece *p = c->out_first; p != NULL; p = p->next)
		if (p->kind == PIECE_FILE)
			u->end += p->left;
	w->settled = NULL;
	while (*at != NULL)
		at = &(*at)->next;
	*at = u;
	if (settle_timer == NULL)
		settle_timer = loop_after(SETTLE_FIRST_MS, settle_all, NULL);
}

/* ---- requests */

static struct work *
work_new(struct conn *c)
{
	struct arena *arena = arena_new();
	struct work *w = ARENA_NEW(arena, struct work);

	w->request.arena = arena;
	w->request.id = ++last_id;
	w->request.peer = c->peer;
	w->conn = c;
	w->head_cap = 1024;
	w->head = arena_alloc(arena, w->head_cap);
	w->span_cap = 16;
	w->spans = arena_array(arena, w->span_cap, sizeof(*w->spans));
	w->counted = true;
	active++;
	c->work = w;
	c->rested = false;
	return w;
}

static void
body_drop(struct work *w)
{
	buf_free(&w->body);
	held -= w->held;
	w->held = 0;
}

static void
work_free(struct work *w)
{
	if (w->inflating != NULL) {
		inflateEnd(w->inflating);
		free(w->inflating);
	}
	body_drop(w);
	if (w->settled != NULL)
		w->settled(w->settled_user, false);
	active--;
	w->conn->work = NULL;
	arena_free(w->request.arena);
}

static bool
head_add(struct work *w, const char *s, size_t n)
{
	if (w->head_n + n > w->head_cap) {
		size_t cap = w->head_cap * 2;
		char *more;

		while (cap < w->head_n + n)
			cap *= 2;
		more = arena_alloc(w->request.arena, cap);
		memcpy(more, w->head, w->head_n);
		w->head = more;
		w->head_cap = cap;
	}
	memcpy(w->head + w->head_n, s, n);
	w->head_n += n;
	return true;
}

/* The layer's own answer. Nothing after it can be trusted to be a request: the connection ends. */
static void
refuse(struct conn *c, int status, const char *why)
{
	struct work *w = c->work != NULL ? c->work : work_new(c);
	struct buf body = { NULL, 0, 0 };
	static const struct http_header_out later = { "Retry-After", { "1", 1 } };
	struct http_reply reply = { .status = status, .type = "application/json", .close = true };

	if (status == 503) {
		reply.headers = &later;
		reply.header_count = 1;
	}
	c->closing = true;
	if (w->given) {
		/* Half a reply is out: it cannot be turned into another. */
		if (!w->done)
			c->broken = true;
		w->whole = true;
		return;
	}
	if (w->headed && handler->gone != NULL)
		handler->gone(&w->request);
	w->headed = true;
	w->whole = true;
	w->keep = false;
	handler->refuse(status, why, &body);
	http_reply(&w->request, &reply, &body);
}

static int
stop(llhttp_t *parser, int status, const char *why)
{
	refuse(parser->data, status, why);
	return -1;
}

static int
on_message_begin(llhttp_t *parser)
{
	struct conn *c = parser->data;

	(void)work_new(c);
	c->gap_from = NULL;
	c->gap_newline = false;
	c->in_head = true;
	return 0;
}

static int
on_url(llhttp_t *parser, const char *s, size_t n)
{
	struct conn *c = parser->data;
	struct work *w = c->work;

	if (w->head_n + n > limits.head_bytes)
		return stop(parser, 414, "The request's URI is too long.");
	head_add(w, s, n);
	w->url_n = w->head_n;
	return 0;
}

static int
on_field(llhttp_t *parser, const char *s, size_t n)
{
	struct conn *c = parser->data;
	struct work *w = c->work;

	if (w->headed) {
		w->trailer_n += n;
		return w->trailer_n > limits.head_bytes ? stop(parser, 431, "The trailer is too large.") : 0;
	}
	if (w->part != PART_NAME) {
		if (w->span_n == HEADERS_MOST)
			return stop(parser, 431, "The request has too many header fields.");
		if (w->span_n == w->span_cap) {
			struct span *more = arena_array(w->request.arena, w->span_cap * 2, sizeof(*more));

			memcpy(more, w->spans, w->span_n * sizeof(*more));
			w->spans = more;
			w->span_cap *= 2;
		}
		w->spans[w->span_n] = (struct span){ .name_at = (uint32_t)w->head_n };
		w->span_n++;
		w->part = PART_NAME;
	}
	if (w->head_n + n > w->url_n + limits.head_bytes)
		return stop(parser, 431, "The request's header is too large.");
	head_add(w, s, n);
	w->spans[w->span_n - 1].name_n += (uint32_t)n;
	w->spans[w->span_n - 1].value_at = (uint32_t)w->head_n;
	c->gap_from = s + n;
	c->gap_newline = false;
	return 0;
}

static int
on_value(llhttp_t *parser, const char *s, size_t n)
{
	struct conn *c = parser->data;
	struct work *w = c->work;

	if (w->headed) {
		w->trailer_n += n;
		return w->trailer_n > limits.head_bytes ? stop(parser, 431, "The trailer is too large.") : 0;
	}
	/* An empty value is reported where the next line begins. */
	if (n == 0)
		return 0;
	if (w->part == PART_NONE)
		return stop(parser, 400, "A header field has no name.");
	/* A line break between a field's name and its value, or between two pieces of a value, is a folded line: obsolete (RFC 9112 5.2), and read differently by others. */
	if (c->gap_newline || (c->gap_from != NULL && memchr(c->gap_from, '\n', (size_t)(s - c->gap_from)) != NULL))
		return stop(parser, 400, "A folded header line is not accepted.");
	if (w->head_n + n > w->url_n + limits.head_bytes)
		return stop(parser, 431, "The request's header is too large.");
	if (w->part != PART_VALUE) {
		w->spans[w->span_n - 1].value_at = (uint32_t)w->head_n;
		w->part = PART_VALUE;
	}
	head_add(w, s, n);
	w->spans[w->span_n - 1].value_n += (uint32_t)n;
	c->gap_from = s + n;
	return 0;
}

static int
on_value_complete(llhttp_t *parser)
{
	struct conn *c = parser->data;

	c->work->part = PART_NONE;
	return 0;
}

static enum http_method
method_of(uint8_t method)
{
	switch (method) {
	case HTTP_GET:
		return HTTP_M_GET;
	case HTTP_HEAD:
		return HTTP_M_HEAD;
	case HTTP_POST:
		return HTTP_M_POST;
	case HTTP_PUT:
		return HTTP_M_PUT;
	case HTTP_PATCH:
		return HTTP_M_PATCH;
	case HTTP_DELETE:
		return HTTP_M_DELETE;
	case HTTP_OPTIONS:
		return HTTP_M_OPTIONS;
	default:
		return HTTP_M_OTHER;
	}
}

/* The head's pieces become the request. NULL, or why it is refused with 400. */
static const char *
head_read(struct conn *c, struct work *w)
{
	struct http_request *r = &w->request;
	struct http_header *headers = arena_array(r->arena, w->span_n > 0 ? w->span_n : 1, sizeof(*headers));
	struct text url = { w->head, w->url_n };
	struct text authority = TEXT_NONE, host = TEXT_NONE;
	size_t hosts = 0, codings = 0, mark;

	for (size_t i = 0; i < w->span_n; i++) {
		headers[i].name = (struct text){ w->head + w->spans[i].name_at, w->spans[i].name_n };
		if (headers[i].name.n == 0)
			return "A header field has no name.";
		headers[i].value = text_trim((struct text){ w->head + w->spans[i].value_at, w->spans[i].value_n });
		if (text_is_nocase(headers[i].name, "host")) {
			hosts++;
			host = headers[i].value;
		} else if (text_is_nocase(headers[i].name, "transfer-encoding")) {
			codings++;
			if (!text_is_nocase(headers[i].value, "chunked"))
				return "Only chunked is accepted in Transfer-Encoding.";
		}
	}
	r->headers = headers;
	r->header_count = w->span_n;
	r->method = method_of(c->parser.method);
	r->method_name = text_from(llhttp_method_name((llhttp_method_t)c->parser.method));
	if (hosts > 1 || (hosts == 0 && c->parser.http_minor == 1))
		return "The request needs exactly one Host header.";
	if (codings > 1 || (codings == 1 && c->parser.http_minor == 0))
		return "Transfer-Encoding is not accepted here.";
	if (c->parser.method == HTTP_CONNECT)
		return "CONNECT is not served.";
	if (url.n > 0 && url.s[0] != '/' && !(url.n == 1 && url.s[0] == '*')) {
		/* The absolute form, as to a proxy: its authority must be the Host, so that nobody checks one and we serve the other. */
		if (text_starts(url, "http://"))
			url = text_skip(url, 7);
		else if (text_starts(url, "https://"))
			url = text_skip(url, 8);
		else
			return "The request's target is malformed.";
		authority = (struct text){ url.s, text_find(url, '/') };
		if (authority.n > text_find(url, '?'))
			authority.n = text_find(url, '?');
		url = text_skip(url, authority.n);
		if (hosts == 0 || authority.n != host.n || text_compare(authority, host) != 0)
			return "The request's target and its Host header differ.";
	}
	if (text_find(url, '#') < url.n)
		return "A fragment is not part of a request's target.";
	mark = text_find(url, '?');
	r->path = mark > 0 ? (struct text){ url.s, mark } : TEXT("/");
	r->query = mark < url.n ? text_skip(url, mark + 1) : TEXT("");
	if ((c->parser.flags & F_CHUNKED) == 0 && c->parser.content_length > INT64_MAX)
		return "The body's length is out of range.";
	r->content_length = (c->parser.flags & F_CHUNKED) != 0 ? -1 : (int64_t)c->parser.content_length;
	return NULL;
}

static bool
begin_inflate(struct work *w, struct text coding)
{
	bool zipped = text_is_nocase(coding, "gzip") || text_is_nocase(coding, "x-gzip");

	if (coding.n == 0 || text_is_nocase(coding, "identity"))
		return true;
	if (!zipped && !text_is_nocase(coding, "deflate"))
		return false;
	w->inflating = take(sizeof(*w->inflating));
	/* 32: gzip or zlib by its header. */
	return inflateInit2(w->inflating, 15 + 32) == Z_OK;
}

static int
on_headers_complete(llhttp_t *parser)
{
	struct conn *c = parser->data;
	struct work *w = c->work;
	struct text expect;
	const char *why;

	c->gap_from = NULL;
	c->in_head = false;
	/* Offers to upgrade are not taken up. */
	parser->upgrade = 0;
	if (parser->http_major != 1 || parser->http_minor > 1)
		return stop(parser, 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
	why = head_read(c, w);
	if (why != NULL)
		return stop(parser, 400, why);
	w->keep = llhttp_should_keep_alive(parser) != 0;
	w->hidden = w->request.method == HTTP_M_HEAD;
	expect = http_header(&w->request, "expect");
	if (expect.n > 0 && !text_is_nocase(expect, "100-continue"))
		return stop(parser, 417, "Only 100-continue is accepted in Expect.");
	w->continues = expect.n > 0 && parser->http_minor == 1 && w->request.content_length != 0;
	w->headed = true;
	w->want = handler->head(&w->request);
	if (w->given) {
		if (w->continues)
			c->closing = true;
		w->want = (struct http_body){ .mode = HTTP_DISCARD, .limit = DRAIN_BYTES };
		return 0;
	}
	if (w->want.mode == HTTP_BUFFER) {
		if (!begin_inflate(w, http_header(&w->request, "content-encoding")))
			return stop(parser, 415, "Only gzip and deflate are accepted in Content-Encoding.");
		if (w->request.content_length > 0 && (uint64_t)w->request.content_length > w->want.limit)
			return stop(parser, 413, "The request's body is too large.");
		if (w->request.content_length > 0 && w->inflating == NULL)
			buf_reserve(&w->body, (size_t)w->request.content_length < READ_BYTES ? (size_t)w->request.content_length : READ_BYTES);
	}
	if (w->continues)
		put(c, go_on, sizeof(go_on) - 1);
	return 0;
}

/* 0, or the status that refuses the body. */
static int
inflate_some(struct work *w, const char *s, size_t n)
{
	z_stream *z = w->inflating;
	char out[16384];

	memcpy(&z->next_in, &s, sizeof(s));
	z->avail_in = (uInt)n;
	while (z->avail_in > 0 || z->avail_out == 0) {
		int result;

		memcpy(&z->next_out, &(char *){ out }, sizeof(char *));
		z->avail_out = sizeof(out);
		result = inflate(z, Z_NO_FLUSH);
		if (w->body.n + (sizeof(out) - z->avail_out) > w->want.limit)
			return 413;
		buf_add(&w->body, out, sizeof(out) - z->avail_out);
		if (result == Z_STREAM_END)
			return z->avail_in > 0 ? 400 : 0;
		if (result == Z_BUF_ERROR && z->avail_in == 0)
			return 0;
		if (result != Z_OK)
			return 400;
	}
	return 0;
}

/* Is there no room for what the body has become? Many large ones at once, each within its limit, would otherwise take all memory. */
static bool
crowded(struct work *w)
{
	size_t most = (size_t)limits.held_bytes > 2 * w->want.limit ? (size_t)limits.held_bytes : 2 * w->want.limit;

	held += w->body.n - w->held;
	w->held = w->body.n;
	return held > most && w->held > HELD_SMALL;
}

static int
on_body(llhttp_t *parser, const char *s, size_t n)
{
	struct conn *c = parser->data;
	struct work *w = c->work;
	int status = 0;

	c->progress = true;
	c->taken += n;
	w->got += n;
	if (w->given || w->want.mode == HTTP_DISCARD) {
		if (w->got > w->want.limit) {
			if (!w->given)
				return stop(parser, 413, "The request's body is too large.");
			c->closing = true;
			w->whole = true;
			return -1;
		}
		return 0;
	}
	if (w->want.mode == HTTP_STREAM) {
		handler->body(&w->request, s, n);
		if (w->given && w->want.mode == HTTP_STREAM)
			w->want = (struct http_body){ .mode = HTTP_DISCARD, .limit = w->got + DRAIN_BYTES };
		return 0;
	}
	if (w->inflating != NULL)
		status = inflate_some(w, s, n);
	else if (w->body.n + n > w->want.limit)
		status = 413;
	else
		buf_add(&w->body, s, n);
	if (status == 413)
		return stop(parser, 413, "The request's body is too large.");
	if (status != 0)
		return stop(parser, 400, "The request's body is not what its Content-Encoding says.");
	if (crowded(w)) {
		body_drop(w);
		return stop(parser, 503, "The server holds as many large requests as it can. Try again.");
	}
	return 0;
}

static void
complete(struct work *w)
{
	w->complete_due = false;
	if (w->want.mode == HTTP_BUFFER)
		w->request.body = w->body.s != NULL ? buf_view(&w->body) : TEXT("");
	handler->complete(&w->request);
}

static int
on_message_complete(llhttp_t *parser)
{
	struct conn *c = parser->data;
	struct work *w = c->work;

	if (w->inflating != NULL && !w->given && w->got > 0) {
		/* A cut gzip stream must not pass for a short body. */
		char byte[64];
		int result;

		memcpy(&w->inflating->next_out, &(char *){ byte }, sizeof(char *));
		w->inflating->avail_out = sizeof(byte);
		w->inflating->avail_in = 0;
		result = inflate(w->inflating, Z_FINISH);
		if (result != Z_STREAM_END)
			return stop(parser, 400, "The request's body ends within its Content-Encoding.");
	}
	w->whole = true;
	if (!w->given) {
		if (w->paused)
			w->complete_due = true;
		else
			complete(w);
	}
	return HPE_PAUSED;
}

static int
on_chunk_complete(llhttp_t *parser)
{
	struct conn *c = parser->data;

	return c->work != NULL && c->work->paused ? HPE_PAUSED : 0;
}

/* ---- replies */

static const char *
phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} known[] = {
		{ 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" }, { 206, "Partial Content" }, { 301, "Moved Permanently" },
		{ 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" }, { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" },
		{ 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" }, { 408, "Request Timeout" }, { 409, "Conflict" }, { 410, "Gone" }, { 411, "Length Required" },
		{ 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 414, "URI Too Long" }, { 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" }, { 417, "Expectation Failed" }, { 421, "Misdirected Request" }, { 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" }, { 501, "Not Implemented" },
		{ 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
		{ 507, "Insufficient Storage" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].status == status)
			return known[i].phrase;
	return "Unknown";
}

static size_t
add(char *at, const char *s)
{
	size_t n = strlen(s);

	memcpy(at, s, n);
	return n;
}

static size_t
add_number(char *at, uint64_t v)
{
	char digits[20];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	for (size_t i = 0; i < n; i++)
		at[i] = digits[n - 1 - i];
	return n;
}

/* "Date: ...\r\n", made once a second. */
static struct text
date_line(void)
{
	static char line[64];
	static size_t n;
	static time_t made;
	time_t now = time(NULL);

	if (now != made || n == 0) {
		struct tm tm;

		gmtime_r(&now, &tm);
		n = strftime(line, sizeof(line), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
		made = now;
	}
	return (struct text){ line, n };
}

static bool
no_body(int status)
{
	return status == 204 || status == 304 || (status >= 100 && status < 200);
}

size_t
http_name(const struct http_request *r, char out[HTTP_NAME_MOST + 1])
{
	static const char digits[] = "0123456789abcdef";
	struct text given = http_header(r, "x-request-id");
	uint64_t id = r->id;
	size_t i, n = 0;

	for (i = 0; i < given.n && given.n <= HTTP_NAME_MOST && (isalnum((unsigned char)given.s[i]) || memchr("-_.:+/=", given.s[i], 7) != NULL); i++)
		out[i] = given.s[i];
	if (i > 0 && i == given.n)
		return i;
	memcpy(out, process_name, 8);
	out[8] = '-';
	for (i = 60; i > 0 && id >> i == 0; i -= 4)
		;
	for (n = 9;; i -= 4) {
		out[n++] = digits[id >> i & 15];
		if (i == 0)
			return n;
	}
}

/* Writes the reply's head. length -1: not known. */
static void
give(struct work *w, const struct http_reply *reply, int64_t length)
{
	struct conn *c = w->conn;
	char *start = room(c, 512);
	char *at = start;
	struct text date = date_line();
	char name[HTTP_NAME_MOST + 1];

	PRECOND(!w->given);
	w->given = true;
	w->settled = reply->settled;
	w->settled_user = reply->settled_user;
	if (reply->close || draining || c->ended || (!w->whole && w->want.mode == HTTP_BUFFER && w->headed && w->request.content_length > DRAIN_BYTES) ||
	    (!w->whole && w->request.content_length > (int64_t)(w->got + DRAIN_BYTES)))
		w->keep = false;
	w->hidden = w->hidden || no_body(reply->status);
	w->chunked = length < 0 && !w->hidden && c->parser.http_minor == 1;
	if (length < 0 && !w->chunked && !w->hidden)
		w->keep = false;
	if (w->want.mode == HTTP_STREAM && !w->whole)
		w->want = (struct http_body){ .mode = HTTP_DISCARD, .limit = w->got + DRAIN_BYTES };
	at += add(at, "HTTP/1.1 ");
	at += add_number(at, (uint64_t)reply->status);
	*at++ = ' ';
	at += add(at, phrase(reply->status));
	at += add(at, "\r\n");
	memcpy(at, date.s, date.n);
	at += date.n;
	if (w->chunked) {
		at += add(at, "Transfer-Encoding: chunked\r\n");
	} else if (length >= 0 && !no_body(reply->status)) {
		at += add(at, "Content-Length: ");
		at += add_number(at, (uint64_t)length);
		at += add(at, "\r\n");
	}
	if (!w->keep)
		at += add(at, "Connection: close\r\n");
	else if (c->parser.http_minor == 0)
		at += add(at, "Connection: keep-alive\r\n");
	used(c, (size_t)(at - start));
	if (reply->type != NULL) {
		put(c, "Content-Type: ", 14);
		put(c, reply->type, strlen(reply->type));
		put(c, "\r\n", 2);
	}
	for (size_t i = 0; i < reply->header_count; i++) {
		const struct http_header_out *h = &reply->headers[i];

		PRECOND(memchr(h->value.s != NULL ? h->value.s : "", '\r', h->value.n) == NULL && memchr(h->value.s != NULL ? h->value.s : "", '\n', h->value.n) == NULL);
		put(c, h->name, strlen(h->name));
		put(c, ": ", 2);
		put(c, h->value.s, h->value.n);
		put(c, "\r\n", 2);
	}
	put(c, "X-Request-Id: ", 14);
	put(c, name, http_name(&w->request, name));
	put(c, "\r\n\r\n", 4);
	w->stopped = false;
	touch(c);
}

static void
done(struct work *w)
{
	w->done = true;
	if (w->settled != NULL)
		settle_later(w);
	if (!w->keep)
		w->conn->closing = true;
	touch(w->conn);
}

/* Accept-Encoding names gzip, and not with q=0. */
static bool
takes_gzip(const struct http_request *r)
{
	struct text list = http_header(r, "accept-encoding");

	while (list.n > 0) {
		size_t n = text_find(list, ',');
		struct text item = { list.s, n };
		size_t semicolon = text_find(item, ';');
		struct text name = text_trim((struct text){ item.s, semicolon });

		list = text_skip(list, n < list.n ? n + 1 : n);
		if (text_is_nocase(name, "gzip")) {
			struct text q = text_trim(text_skip(item, semicolon < item.n ? semicolon + 1 : semicolon));

			return !(text_starts(q, "q=0") && (q.n == 3 || text_starts(q, "q=0.0") || q.s[3] != '.'));
		}
	}
	return false;
}

/* Replaces the body by its gzip form. Level 1: half a millisecond for 100 KB of JSON, and already a tenth of its size. */
static bool
compress_body(struct buf *body)
{
	struct buf packed = { NULL, 0, 0 };
	char *in = body->s;

	if (deflating == NULL) {
		deflating = take(sizeof(*deflating));
		PRECOND(deflateInit2(deflating, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	}
	deflateReset(deflating);
	buf_reserve(&packed, deflateBound(deflating, body->n));
	memcpy(&deflating->next_in, &in, sizeof(in));
	memcpy(&deflating->next_out, &packed.s, sizeof(in));
	deflating->avail_in = (uInt)body->n;
	deflating->avail_out = (uInt)packed.cap;
	if (deflate(deflating, Z_FINISH) != Z_STREAM_END) {
		buf_free(&packed);
		return false;
	}
	packed.n = packed.cap - deflating->avail_out;
	buf_free(body);
	*body = packed;
	return true;
}

void
http_reply(struct http_request *r, const struct http_reply *reply, struct buf *body)
{
	static const struct http_header_out packed[] = {
		{ "Content-Encoding", { "gzip", 4 } },
		{ "Vary", { "Accept-Encoding", 15 } },
	};
	struct work *w = work_of(r);
	struct http_reply with;

	if (reply->compress && body->n > GZIP_FROM && body->n < UINT32_MAX / 2 && takes_gzip(r) && compress_body(body)) {
		struct http_header_out *all = arena_array(r->arena, reply->header_count + 2, sizeof(*all));

		if (reply->header_count > 0)
			memcpy(all, reply->headers, reply->header_count * sizeof(*all));
		memcpy(all + reply->header_count, packed, sizeof(packed));
		with = *reply;
		with.headers = all;
		with.header_count += 2;
		reply = &with;
	}
	give(w, reply, (int64_t)body->n);
	if (w->hidden || body->n == 0) {
		buf_free(body);
	} else if (body->n <= PIECE_BYTES / 2) {
		put(w->conn, body->s, body->n);
		buf_free(body);
	} else {
		put_owned(w->conn, body->s, body->n, body->cap);
		*body = (struct buf){ NULL, 0, 0 };
	}
	done(w);
}

void
http_reply_static(struct http_request *r, const struct http_reply *reply, struct text body)
{
	struct work *w = work_of(r);

	give(w, reply, (int64_t)body.n);
	if (!w->hidden && body.n > 0) {
		if (body.n <= PIECE_BYTES / 4)
			put(w->conn, body.s, body.n);
		else
			put_static(w->conn, body);
	}
	done(w);
}

void
http_reply_file(struct http_request *r, const struct http_reply *reply, int fd, off_t offset, off_t length)
{
	struct work *w = work_of(r);

	give(w, reply, length);
	if (w->hidden || length == 0)
		close(fd);
	else
		put_file(w->conn, fd, offset, (size_t)length);
	done(w);
}

void
http_reply_begin(struct http_request *r, const struct http_reply *reply, int64_t length, void (*drain)(struct http_request *))
{
	struct work *w = work_of(r);

	give(w, reply, length);
	w->left = length;
	w->drain = drain;
}

bool
http_reply_write(struct http_request *r, const void *bytes, size_t n)
{
	struct work *w = work_of(r);
	struct conn *c = w->conn;
	bool more;

	PRECOND(w->given && !w->done);
	if (w->left >= 0) {
		PRECOND(w->left >= (int64_t)n);
		w->left -= (int64_t)n;
	}
	if (n > 0 && !w->hidden && !c->broken) {
		if (w->chunked) {
			char size[24];

			put(c, size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", n));
		}
		put(c, bytes, n);
		if (w->chunked)
			put(c, "\r\n", 2);
		touch(c);
	}
	more = c->queued <= QUEUED_MOST;
	w->stopped = !more;
	return more;
}

size_t
http_reply_queued(const struct http_request *r)
{
	return work_of(r)->conn->queued;
}

void
http_reply_end(struct http_request *r)
{
	struct work *w = work_of(r);

	PRECOND(w->given && !w->done);
	if (w->left > 0 && !w->hidden) {
		http_reply_abort(r);
		return;
	}
	if (w->chunked)
		put(w->conn, "0\r\n\r\n", 5);
	done(w);
}

void
http_reply_abort(struct http_request *r)
{
	struct work *w = work_of(r);

	w->given = true;
	w->done = true;
	w->conn->broken = true;
	w->conn->cut = true;
	touch(w->conn);
}

void
http_pause(struct http_request *r)
{
	work_of(r)->paused = true;
}

void
http_resume(struct http_request *r)
{
	struct work *w = work_of(r);

	if (!w->paused)
		return;
	w->paused = false;
	touch(w->conn);
}

struct text
http_header(const struct http_request *r, const char *name)
{
	for (size_t i = 0; i < r->header_count; i++)
		if (text_is_nocase(r->headers[i].name, name))
			return r->headers[i].value;
	return TEXT_NONE;
}

/* ---- connections */

/* Of a reply those that arrived: the socket takes them in lumps, which a slow reader needs minutes for. */
static uint64_t
moved(const struct conn *c)
{
	int64_t unacked;

	if (c->waiting != WAIT_READER)
		return c->taken;
	unacked = link_unacked(c->link);
	return unacked > 0 ? c->sent - (uint64_t)unacked : c->sent;
}

/* Once in body_ms, while a body or a reply's reader is waited for: does it move too slowly? */
static bool
crawls(struct conn *c, int64_t now_ms)
{
	uint64_t before = c->measured;

	if ((c->waiting != WAIT_BODY && c->waiting != WAIT_READER) || now_ms - c->measured_ms < limits.body_ms)
		return false;
	c->measured_ms = now_ms;
	c->measured = moved(c);
	if (c->measured - before < (uint64_t)(limits.body_rate * limits.body_ms / 1000))
		return true;
	c->deadline_ms = now_ms + limits.body_ms;
	return false;
}

/* Has it closed, or only its sending side? Both look the same, until something is sent: who has closed answers with a reset, who has not skips the line. */
static void
ask_for_client(struct conn *c)
{
	struct work *w = c->work;

	if (w == NULL || !w->request.in_vain || !w->whole || w->given || c->parser.http_minor == 0)
		return;
	if (++w->sweeps % SWEEPS_PATIENT != 0 || !c->half)
		return;
	w->request.in_vain = false;
	put(c, go_on, sizeof(go_on) - 1);
	touch(c);
}

static void
sweep(void *unused)
{
	int64_t now_ms = loop_now_ms();

	(void)unused;
	sweep_timer = NULL;
	for (struct conn *c = conns, *after; c != NULL; c = after) {
		after = c->after;
		ask_for_client(c);
		if (!crawls(c, now_ms) && (c->deadline_ms == 0 || now_ms < c->deadline_ms))
			continue;
		c->deadline_ms = 0;
		if (c->lingering || c->out_first != NULL || c->work == NULL)
			c->broken = true;
		else if (!c->work->whole)
			refuse(c, 408, c->work->headed ? "The request's body came too slowly." : "The request's head took too long.");
		touch(c);
	}
	if (conns != NULL && sweep_timer == NULL)
		sweep_timer = loop_after(SWEEP_MS, sweep, NULL);
}

void *
http_connected(struct link *link, struct text peer)
{
	struct conn *c;

	PRECOND(handler != NULL);
	c = take(sizeof(*c));
	c->link = link;
	c->writable = true;
	if (settings.on_body == NULL) {
		llhttp_settings_init(&settings);
		settings.on_message_begin = on_message_begin;
		settings.on_url = on_url;
		settings.on_header_field = on_field;
		settings.on_header_value = on_value;
		settings.on_header_value_complete = on_value_complete;
		settings.on_headers_complete = on_headers_complete;
		settings.on_body = on_body;
		settings.on_message_complete = on_message_complete;
		settings.on_chunk_complete = on_chunk_complete;
	}
	llhttp_init(&c->parser, HTTP_REQUEST, &settings);
	c->parser.data = c;
	if (peer.n > sizeof(c->peer_bytes))
		peer.n = sizeof(c->peer_bytes);
	memcpy(c->peer_bytes, peer.s, peer.n);
	c->peer = (struct text){ c->peer_bytes, peer.n };
	c->waiting = WAIT_REQUEST;
	c->deadline_ms = loop_now_ms() + limits.head_ms; /* the first request is expected at once */
	c->after = conns;
	if (conns != NULL)
		conns->before = c;
	conns = c;
	conn_count++;
	if (sweep_timer == NULL)
		sweep_timer = loop_after(SWEEP_MS, sweep, NULL);
	return c;
}

static void
conn_free(struct conn *c)
{
	struct work *w = c->work;

	if (w != NULL) {
		if (w->headed && !w->done && handler->gone != NULL) {
			w->given = true;
			w->done = true;
			handler->gone(&w->request);
		}
		work_free(w);
	}
	settle(c, true);
	drop_out(c);
	buf_free(&c->ahead);
	if (c->before != NULL)
		c->before->after = c->after;
	else
		conns = c->after;
	if (c->after != NULL)
		c->after->before = c->before;
	conn_count--;
	if (c->dirty) {
		/* Its turn would come later: leave the list first. */
		struct conn **at = &dirty_first, *last = NULL;

		while (*at != c) {
			last = *at;
			at = &(*at)->next_dirty;
		}
		*at = c->next_dirty;
		if (dirty_last == c)
			dirty_last = last;
	}
	free(c);
}

void
http_lost(void *conn)
{
	struct conn *c = conn;

	c->running = true; /* nothing may be asked of it any more */
	conn_free(c);
}

static void
run_dirty(void *unused)
{
	struct conn *last = dirty_last;

	(void)unused;
	dirty_timer = NULL;
	while (dirty_first != NULL) {
		struct conn *c = dirty_first;
		bool final = c == last;

		dirty_first = c->next_dirty;
		if (dirty_first == NULL)
			dirty_last = NULL;
		c->dirty = false;
		conn_run(c);
		if (final)
			break;
	}
	if (dirty_first != NULL && dirty_timer == NULL)
		dirty_timer = loop_after(0, run_dirty, NULL);
}

/* The connection gets its turn before this turn of the loop ends (or in the next one). */
static void
touch(struct conn *c)
{
	if (c->running || c->dirty)
		return;
	c->dirty = true;
	c->next_dirty = NULL;
	if (dirty_last != NULL)
		dirty_last->next_dirty = c;
	else
		dirty_first = c;
	dirty_last = c;
	if (dirty_timer == NULL)
		dirty_timer = loop_after(0, run_dirty, NULL);
}

static bool
may_parse(const struct conn *c)
{
	const struct work *w = c->work;

	if (c->broken || c->closing || c->lingering)
		return false;
	if (w == NULL)
		return c->queued <= QUEUED_MOST;
	return !w->whole && !w->paused;
}

/* Parses; returns the number of bytes consumed. */
static size_t
parse(struct conn *c, const char *s, size_t n)
{
	llhttp_errno_t result;
	const char *stopped;

	if (c->gap_from != NULL)
		c->gap_from = s;
	result = llhttp_execute(&c->parser, s, n);
	if (c->gap_from != NULL) {
		/* The pieces may go on in the next read: remember a line break at the end of this one. */
		if (memchr(c->gap_from, '\n', (size_t)(s + n - c->gap_from)) != NULL)
			c->gap_newline = true;
		c->gap_from = s + n;
	}
	if (result == HPE_OK)
		return n;
	stopped = llhttp_get_error_pos(&c->parser);
	if (result == HPE_PAUSED) {
		llhttp_resume(&c->parser);
		return (size_t)(stopped - s);
	}
	if (!c->closing && !c->broken) {
		if (result == HPE_INVALID_VERSION)
			refuse(c, 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
		else
			refuse(c, 400, "The request is not well-formed HTTP/1.1.");
	}
	return n;
}

/* The request is over when its reply is whole and its body is in. */
static void
end_work(struct conn *c)
{
	struct work *w = c->work;

	if (w == NULL || !w->done || !(w->whole || c->closing || c->ended))
		return;
	if (!w->keep || !w->whole)
		c->closing = true;
	work_free(w);
}

static void
feed(struct conn *c, const char *s, size_t n, size_t *taken)
{
	*taken = 0;
	while (*taken < n && may_parse(c)) {
		c->in_head = c->in_head || c->work == NULL;
		*taken += parse(c, s + *taken, n - *taken);
		end_work(c);
	}
}

static void
at_end(struct conn *c)
{
	c->ended = true;
	if (c->work == NULL || !c->work->whole) {
		if (c->work != NULL && c->work->headed && !c->work->done) {
			c->broken = true; /* a body that will never be whole */
			return;
		}
		c->closing = true;
		if (c->work != NULL && !c->work->headed)
			c->broken = true;
	} else if (c->work->given && !c->work->done && c->work->left < 0) {
		/* Nobody half-closes and then listens to an endless stream: the page was left. */
		c->broken = true;
	}
}

/* One step of reading; false when there is nothing to do for now. */
static bool
read_some(struct conn *c)
{
	size_t taken;
	ssize_t got;

	if (c->ahead_at < c->ahead.n) {
		if (!may_parse(c))
			return false;
		feed(c, c->ahead.s + c->ahead_at, c->ahead.n - c->ahead_at, &taken);
		c->ahead_at += taken;
		if (c->ahead_at == c->ahead.n || c->closing) {
			buf_free(&c->ahead);
			c->ahead_at = 0;
		}
		return taken > 0;
	}
	if (!c->readable || c->ended || !may_parse(c))
		return false;
	got = link_read(c->link, read_bytes, sizeof(read_bytes));
	if (got == -1) {
		c->readable = false;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			c->broken = true;
		return false;
	}
	if (got == 0) {
		at_end(c);
		return false;
	}
	if ((size_t)got < sizeof(read_bytes))
		c->readable = c->half; /* a short read: the socket is empty, the next bytes bring an event */
	feed(c, read_bytes, (size_t)got, &taken);
	if (taken < (size_t)got && !c->closing && !c->broken)
		buf_add(&c->ahead, read_bytes + taken, (size_t)got - taken);
	return true;
}

/* After the last reply: FIN, then read on for a while, so that unread bytes do not turn it into a reset that swallows the reply. */
static void
linger(struct conn *c)
{
	if (!c->lingering) {
		c->lingering = true;
		c->readable = true;
		link_end(c->link);
	}
	linger_read(c);
}

static void
drain_reply(struct conn *c)
{
	struct work *w = c->work;

	if (w == NULL || !w->stopped || w->done || c->broken || c->queued > QUEUED_LOW)
		return;
	w->stopped = false;
	if (w->drain != NULL)
		w->drain(&w->request);
}

/* Sets the deadline when what is waited for changed, or moved. */
static void
wait_for(struct conn *c)
{
	const struct work *w = c->work;
	enum waiting now;
	int64_t ms = 0;

	if (c->lingering) {
		now = WAIT_LINGER;
		ms = c->rested && limits.linger_ms > RESTED_LINGER_MS ? RESTED_LINGER_MS : limits.linger_ms;
	} else if (c->out_first != NULL) {
		now = WAIT_READER;
		ms = limits.body_ms;
	} else if (w == NULL && !c->in_head) {
		now = WAIT_REQUEST;
		ms = limits.idle_ms;
	} else if (w == NULL || !w->headed) {
		now = WAIT_HEAD;
		ms = limits.head_ms;
	} else if (!w->whole && !w->paused) {
		now = WAIT_BODY;
		ms = limits.body_ms;
	} else {
		now = WAIT_ENGINE;
	}
	if (now != c->waiting || (c->progress && (now == WAIT_READER || now == WAIT_BODY || now == WAIT_REQUEST)) || (ms == 0) != (c->deadline_ms == 0))
		c->deadline_ms = ms > 0 ? loop_now_ms() + ms : 0;
	if (now != c->waiting) {
		c->waiting = now;
		c->measured_ms = loop_now_ms();
		c->measured = moved(c);
	}
	c->progress = false;
}

static void
conn_run(struct conn *c)
{
	bool again = false;

	PRECOND(!c->running);
	c->running = true;
	for (int turn = 0; !c->broken; turn++) {
		bool progress;

		if (turn == READS_A_TURN) {
			again = true;
			break;
		}
		end_work(c);
		if (c->work != NULL && c->work->complete_due && !c->work->paused)
			complete(c->work);
		end_work(c);
		progress = read_some(c);
		if (!progress || c->queued > QUEUED_MOST || turn == READS_A_TURN - 1)
			flush(c);
		drain_reply(c);
		end_work(c);
		if (!progress && !(c->out_first != NULL && c->writable) && !(c->ahead_at < c->ahead.n && may_parse(c)))
			break;
	}
	if (!c->broken && c->out_first == NULL && c->work == NULL && (c->closing || (draining && !c->in_head && c->ahead_at == c->ahead.n)))
		linger(c);
	c->running = false;
	if (c->broken) {
		struct link *link = c->link;
		bool cut = c->cut;

		if (c->unsettled != NULL && !cut && c->out_first == NULL)
			settle(c, false);
		conn_free(c);
		link_close(link, cut);
		return;
	}
	wait_for(c);
	if (again)
		touch(c);
}

void
http_ready(void *conn, int bits, bool trouble)
{
	struct conn *c = conn;

	if ((bits & LOOP_READ) != 0)
		c->readable = true;
	if ((bits & LOOP_WRITE) != 0)
		c->writable = true;
	if (trouble) {
		enum link_state state = link_state(c->link);

		c->readable = true;
		c->half = c->half || state == LINK_HALF;
		/* A FIN comes with the acknowledgement of all that its sender read; once our own FIN is out, it can no longer be asked for. */
		if (state == LINK_HALF && c->unsettled != NULL)
			settle(c, false);
		if (state == LINK_GONE && !c->lingering)
			c->broken = true;
		else if (state == LINK_HALF && c->work != NULL && c->work->whole)
			at_end(c);
	}
	if (!c->dirty)
		conn_run(c);
}

/* ---- for the whole worker */

void
http_setup(const struct http_handler *h)
{
	uint32_t noise = 0;

	handler = h;
	if (limits.head_bytes == 0)
		limits = HTTP_LIMITS;
	if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) < 0)
		noise = (uint32_t)getpid();
	snprintf(process_name, sizeof(process_name), "%08x", noise);
}

void
http_limit(const struct http_limits *l)
{
	limits = *l;
}

size_t
http_connections(void)
{
	return conn_count;
}

size_t
http_active(void)
{
	return active;
}

void
http_drain(void)
{
	draining = true;
	for (struct conn *c = conns; c != NULL; c = c->after) {
		struct work *w = c->work;

		/* An event stream has no end of its own. */
		if (w != NULL && w->given && !w->done && w->left < 0 && w->drain == NULL) {
			if (handler->gone != NULL)
				handler->gone(&w->request);
			http_reply_end(&w->request);
		}
		c->rested = w == NULL && c->out_first == NULL && c->ahead_at == c->ahead.n && link_unacked(c->link) == 0;
		c->readable = true;
		touch(c);
	}
}

void
http_cut(void)
{
	for (struct conn *c = conns; c != NULL; c = c->after) {
		c->broken = true;
		touch(c);
	}
}

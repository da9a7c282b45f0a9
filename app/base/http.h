#ifndef BASE_HTTP_H
#define BASE_HTTP_H
/*
 * HTTP/1.1 on Kore's connections, parsed by llhttp in strict mode. One reading of every framing. No routing, no JSON: the engine does that.
 * Everything runs in a worker's event loop; nothing here blocks.
 */
#include <sys/types.h>
#include "base/text.h"

struct arena;

enum http_method { HTTP_M_GET, HTTP_M_HEAD, HTTP_M_POST, HTTP_M_PUT, HTTP_M_PATCH, HTTP_M_DELETE, HTTP_M_OPTIONS, HTTP_M_OTHER };

struct http_header {
	struct text name; /* as sent; compare with text_is_nocase() */
	struct text value;
};

/* One request. Owned by its connection; valid from head() until its reply has been sent or gone() was called. */
struct http_request {
	enum http_method method; /* HEAD stays HEAD; the layer drops the reply's body itself */
	struct text method_name;
	struct text path;  /* raw, undecoded, up to '?' */
	struct text query; /* raw, after '?' */
	const struct http_header *headers;
	size_t header_count;
	int64_t content_length; /* of the body as sent; -1 when chunked */
	struct text body; /* whole and inflated, when head() asked for HTTP_BUFFER; valid from complete() on */
	struct text peer; /* the client's address as text */
	bool tls;
	bool in_vain; /* the engine's: without its client there is no use in going on. One that has said its end is asked, after a second, whether it still listens */
	uint64_t id; /* unique in this worker */
	struct arena *arena; /* freed by the layer after the reply */
	void *user; /* the engine's */
};

/* What head() wants done with the body. */
enum http_body_mode {
	HTTP_BUFFER, /* collect up to http_body.limit bytes (after inflating), then complete(); more is answered 413 by the layer */
	HTTP_STREAM, /* body() for each piece as it arrives (identity or chunked decoded, NOT inflated), then complete() */
	HTTP_DISCARD /* read and drop what comes (at most http_body.limit, then close), then complete() */
};
struct http_body {
	enum http_body_mode mode;
	size_t limit;
};

struct http_handler {
	/* The head is whole and well-formed (Host present, version 1.0/1.1). May reply at once; then the body is drained and no more is called. */
	struct http_body (*head)(struct http_request *);
	void (*body)(struct http_request *, const void *bytes, size_t n);
	void (*complete)(struct http_request *);
	/* The client went away, or timed out, before the reply was given: last call for this request, forget it. Never called after http_reply*() or http_reply_end(). */
	void (*gone)(struct http_request *);
	/* The layer itself refuses (400 bad framing, 408, 413, 414, 431 ...): writes the error's JSON body for `status`. */
	void (*refuse)(int status, const char *why, struct buf *out);
};
struct http_limits {
	int64_t head_ms;   /* a request's head must be there this long after its first byte */
	int64_t body_ms;   /* a body must make progress within this time, and so must a reply's reader */
	int64_t body_rate; /* and, over each such time, so many bytes a second: with a byte a minute a connection could be held for ever. The poorest line there is brings ten times this */
	int64_t idle_ms;   /* a kept-alive connection waits this long for its next request */
	int64_t linger_ms; /* after an early reply the rest of a body is read and dropped this long */
	size_t head_bytes; /* of the URI, and of all header fields together */
	int64_t held_bytes; /* of bodies that a worker holds whole for its engine, together; or twice the largest one, if that is more. What is small is taken all the same */
};
#define HTTP_LIMITS ((struct http_limits){ .head_ms = 10000, .body_ms = 60000, .body_rate = 1024, .idle_ms = 75000, .linger_ms = 5000, .head_bytes = 65536, .held_bytes = 268435456 })
/* HTTP_LIMITS when never called. Copied. */
void http_limit(const struct http_limits *limits);
void http_setup(const struct http_handler *handler);

struct http_header_out {
	const char *name;
	struct text value; /* copied */
};
struct http_reply {
	int status;
	const char *type;                       /* Content-Type, or NULL for none */
	const struct http_header_out *headers;  /* extra ones; CR and LF in a value are refused by PRECOND */
	size_t header_count;
	bool compress;                          /* gzip when the client takes it and the body is over 1 KiB */
	bool close;                             /* Connection: close after this reply */
	/* Called once, after the reply left: true when the peer acknowledged its last byte (SIOCOUTQ 0) and no reset was seen, false when the connection broke first. May be NULL. */
	void (*settled)(void *user, bool acknowledged);
	void *settled_user;
};
/* Whole reply. Takes the buffer's memory over (body may be an empty buf). Exactly one http_reply*() per request. */
void http_reply(struct http_request *, const struct http_reply *, struct buf *body);
/* Looks now, not at the next tick, whose last byte was acknowledged: calls settled() of those. */
void http_settle(void);
/* Bytes that outlive the process's requests (embedded assets). */
void http_reply_static(struct http_request *, const struct http_reply *, struct text body);
/* `length` bytes of fd from `offset` by sendfile (copied on TLS); takes fd over and closes it. Range and conditions are the caller's. */
void http_reply_file(struct http_request *, const struct http_reply *, int fd, off_t offset, off_t length);
/* Streamed reply; length -1 = chunked. write() copies; returns false when more than 256 KiB are queued: stop until drain() is called.
 * drain may be NULL (SSE drops slow readers by http_reply_queued()). http_reply_abort() cuts the connection, so that a short body is seen as such. */
void http_reply_begin(struct http_request *, const struct http_reply *, int64_t length, void (*drain)(struct http_request *));
bool http_reply_write(struct http_request *, const void *bytes, size_t n);
size_t http_reply_queued(const struct http_request *);
void http_reply_end(struct http_request *);
void http_reply_abort(struct http_request *);

/* Back-pressure on a streamed request body: no body() between the two. Both may be called at any time. */
void http_pause(struct http_request *);
void http_resume(struct http_request *);

struct text http_header(const struct http_request *, const char *name); /* first value, or TEXT_NONE */
/* What the request is called in logs and in the reply's X-Request-Id: the client's own when it is a short plain word, else ours. Into `out`; its length. */
#define HTTP_NAME_MOST 64
size_t http_name(const struct http_request *, char out[HTTP_NAME_MOST + 1]);

/* Open connections and requests in work, for /metrics and the drain at SIGTERM. */
size_t http_connections(void);
size_t http_active(void);
/* Stop keeping connections alive: each answers what it runs, says Connection: close, and ends. */
void http_drain(void);
/* Time is up: cuts what is still open. */
void http_cut(void);

/* ---- the worker's loop, for everyone (implemented beside Kore, so that no other file includes kore.h) ---- */
struct loop_timer;
/* One-shot; fires once after ms (0 = at the end of this turn of the loop). Returns a handle valid until it fired or was cancelled. */
struct loop_timer *loop_after(int64_t ms, void (*fire)(void *), void *user);
void loop_cancel(struct loop_timer *);
/* Level-triggered readiness of a file descriptor. want: LOOP_READ | LOOP_WRITE; 0 removes. ready() gets the same bits (errors as both). */
#define LOOP_READ 1
#define LOOP_WRITE 2
struct loop_fd;
struct loop_fd *loop_watch(int fd, int want, void (*ready)(void *, int bits), void *user);
void loop_want(struct loop_fd *, int want);
void loop_unwatch(struct loop_fd *); /* before close(fd) */
int64_t loop_now_ms(void);  /* monotonic */
int64_t clock_ms(void);     /* wall clock, ms since 1970 */
#endif

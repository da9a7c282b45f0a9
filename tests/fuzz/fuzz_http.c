/*
 * Feeds bytes to the HTTP layer through a link that is not there: the first four bytes choose how the rest is cut into reads, how much each send takes, and what the
 * engine does with a request. Held: every request that began is answered, refused or gone exactly once, and nothing is left behind.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/http.h"
#include "base/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct link {
	const uint8_t *at;
	size_t left, cut;
	bool closed, full, broken;
	uint32_t dice;
	size_t out;
};

struct loop_timer {
	int64_t at_ms;
	void (*fire)(void *);
	void *user;
	struct loop_timer *next;
};

static struct loop_timer *timers;
static int64_t clock_now_ms = 1000;
static struct link *the_link;
static size_t begun, ended;
static struct http_request *waiting, *paused;

static uint32_t
roll(uint32_t n)
{
	the_link->dice = the_link->dice * 1664525u + 1013904223u;
	return (the_link->dice >> 8) % n;
}

int64_t
loop_now_ms(void)
{
	return clock_now_ms;
}

int64_t
clock_ms(void)
{
	return clock_now_ms;
}

struct loop_timer *
loop_after(int64_t ms, void (*fire)(void *), void *user)
{
	struct loop_timer *t = calloc(1, sizeof(*t)), **at = &timers;

	PRECOND(t != NULL);
	t->at_ms = clock_now_ms + ms;
	t->fire = fire;
	t->user = user;
	while (*at != NULL && (*at)->at_ms <= t->at_ms)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	return t;
}

void
loop_cancel(struct loop_timer *t)
{
	for (struct loop_timer **at = &timers; *at != NULL; at = &(*at)->next)
		if (*at == t) {
			*at = t->next;
			free(t);
			return;
		}
}

static void
pass(int64_t ms)
{
	clock_now_ms += ms;
	for (int most = 0; timers != NULL && timers->at_ms <= clock_now_ms && most < 100; most++) {
		struct loop_timer *t = timers;

		timers = t->next;
		t->fire(t->user);
		free(t);
	}
}

ssize_t
link_read(struct link *l, void *bytes, size_t n)
{
	PRECOND(!l->closed && n > 0);
	if (l->broken) {
		errno = ECONNRESET;
		return -1;
	}
	if (n > l->cut)
		n = l->cut;
	if (n == 0 && l->left > 0) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(bytes, l->at, n);
	l->at += n;
	l->left -= n;
	l->cut -= n;
	return (ssize_t)n;
}

ssize_t
link_send(struct link *l, const struct iovec *parts, int count, bool more)
{
	size_t n = 0;

	(void)more;
	PRECOND(!l->closed);
	for (int i = 0; i < count; i++)
		n += parts[i].iov_len;
	PRECOND(n > 0);
	if (l->broken) {
		errno = EPIPE;
		return -1;
	}
	if (l->full || roll(4) == 0) {
		l->full = true;
		errno = EAGAIN;
		return -1;
	}
	n = 1 + roll((uint32_t)n);
	l->out += n;
	return (ssize_t)n;
}

ssize_t
link_sendfile(struct link *l, int fd, off_t *offset, size_t n)
{
	(void)fd;
	PRECOND(!l->closed);
	n = 1 + roll((uint32_t)n);
	*offset += (off_t)n;
	return (ssize_t)n;
}

void
link_end(struct link *l)
{
	PRECOND(!l->closed);
}

void
link_close(struct link *l, bool reset)
{
	(void)reset;
	PRECOND(!l->closed);
	l->closed = true;
}

enum link_state
link_state(const struct link *l)
{
	return l->broken ? LINK_GONE : LINK_OPEN;
}

int64_t
link_unacked(const struct link *l)
{
	(void)l;
	return 0;
}

static void
settled(void *user, bool arrived)
{
	(void)user;
	(void)arrived;
}

static void
drain(struct http_request *r)
{
	(void)http_reply_write(r, "more", 4);
	http_reply_end(r);
}

static void
answer(struct http_request *r)
{
	const struct http_reply reply = { .status = roll(5) == 0 ? 204 : 200, .type = "text/plain", .compress = roll(2) == 0, .close = roll(8) == 0, .settled = roll(2) == 0 ? settled : NULL };
	struct buf body = { NULL, 0, 0 };
	size_t n = roll(4) == 0 ? roll(400000) : roll(100);

	ended++;
	switch (roll(5)) {
	case 0:
		http_reply_static(r, &reply, TEXT("static"));
		break;
	case 1:
		http_reply_begin(r, &reply, -1, drain);
		buf_reserve(&body, n + 1);
		memset(body.s, 'b', n);
		if (http_reply_write(r, body.s, n))
			http_reply_end(r);
		buf_free(&body);
		break;
	case 2:
		http_reply_file(r, &reply, dup(0), 0, (off_t)n);
		break;
	default:
		buf_reserve(&body, n + 1);
		memset(body.s, 'a', n);
		body.n = n;
		http_reply(r, &reply, &body);
	}
}

static struct http_body
head(struct http_request *r)
{
	begun++;
	PRECOND(r->path.n > 0 && r->user == NULL);
	for (size_t i = 0; i < r->header_count; i++)
		PRECOND(r->headers[i].name.n > 0 && memchr(r->headers[i].value.s != NULL ? r->headers[i].value.s : "", '\n', r->headers[i].value.n) == NULL);
	r->user = &begun;
	if (roll(6) == 0)
		answer(r);
	switch (roll(3)) {
	case 0:
		return (struct http_body){ .mode = HTTP_STREAM };
	case 1:
		return (struct http_body){ .mode = HTTP_DISCARD, .limit = 1000 };
	default:
		return (struct http_body){ .mode = HTTP_BUFFER, .limit = 100000 };
	}
}

static void
body(struct http_request *r, const void *bytes, size_t n)
{
	PRECOND(r != paused && n > 0);
	(void)bytes;
	if (roll(4) == 0) {
		paused = r;
		http_pause(r);
	} else if (roll(10) == 0) {
		answer(r);
	}
}

static void
complete(struct http_request *r)
{
	PRECOND(r != paused);
	if (roll(3) == 0)
		waiting = r;
	else
		answer(r);
}

static void
gone(struct http_request *r)
{
	/* A streamed reply that was begun and not ended counted already. */
	if (r == waiting || r == paused || r->user == &begun)
		ended++;
	if (r == waiting)
		waiting = NULL;
	if (r == paused)
		paused = NULL;
}

static void
refuse(int status, const char *why, struct buf *out)
{
	buf_printf(out, "{\"status\": %d, \"message\": \"%s\"}", status, why);
}

static const struct http_handler engine = { .head = head, .body = body, .complete = complete, .gone = gone, .refuse = refuse };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct link link = { .at = data + 4, .left = size - 4 };
	void *conn;

	if (size < 5)
		return 0;
	the_link = &link;
	memcpy(&link.dice, data, sizeof(link.dice));
	begun = ended = 0;
	waiting = paused = NULL;
	http_setup(&engine);
	conn = http_connected(&link, TEXT("192.0.2.1"));
	for (int steps = 0; !link.closed && steps < 100000; steps++) {
		bool end = link.left == 0 || (link.cut == 0 && roll(2000) == 0);

		if (link.cut == 0)
			link.cut = 1 + (roll(3) == 0 ? roll(65536) : roll(64));
		if (link.cut > link.left)
			link.cut = link.left;
		link.full = link.full && roll(2) == 0;
		if (end && roll(3) == 0)
			link.broken = roll(2) == 0;
		http_ready(conn, LOOP_READ | (link.full ? 0 : LOOP_WRITE), link.broken);
		if (!link.closed)
			pass(0);
		if (!link.closed && paused != NULL && roll(2) == 0) {
			struct http_request *r = paused;

			paused = NULL;
			http_resume(r);
			pass(0);
		}
		if (!link.closed && waiting != NULL && roll(2) == 0) {
			struct http_request *r = waiting;

			waiting = NULL;
			answer(r);
			pass(0);
		}
		if (!link.closed && end && roll(20) == 0)
			pass(100000);
	}
	if (!link.closed)
		http_lost(conn);
	PRECOND(http_connections() == 0 && http_active() == 0);
	PRECOND(ended >= begun);
	while (timers != NULL)
		pass(100000);
	return 0;
}

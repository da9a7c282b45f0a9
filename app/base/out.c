/* libcurl's multi interface on the worker's loop. */
#include "base/out.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/http.h"
#include "base/log.h"

/* What a streamed upload may hold here; with curl's own buffers a transfer stays under 512 KiB. */
#define GIVE_MOST ((size_t)256 * 1024)
#define CURL_BUFFER 65536L
/* Each upload and download that passes through has one as long as its client takes: too few, and some slow clients would hold up all others. */
#define HOST_CONNECTIONS 1024L
#define KEPT_CONNECTIONS 32L
#define COLLECT_MOST ((size_t)4 * 1024 * 1024)
#define HEADERS_MOST ((size_t)64 * 1024)
#define SPARE_MOST 32
#define WATCH_EVERY_MS 2000

struct out_call {
	struct out_request want; /* method, callbacks, limits; texts point into `held` */
	struct out_call *before, *after;
	struct buf held_url, held_body;
	struct curl_slist *held_headers;
	CURL *easy;
	struct buf headers, collected;
	int status;
	bool head_told, over;
	bool dead; /* cancelled from within a callback of curl's: freed as soon as curl lets go */
	/* repeats */
	int tries;
	int64_t started_ms;
	struct loop_timer *again;
	/* streamed upload */
	struct buf given;
	size_t given_at;
	bool ended, wants_room, took_some;
	size_t body_at;
	/* pauses */
	bool send_paused, receive_paused, hold;
	struct loop_timer *nudge; /* unpauses and tells of room at the end of the turn */
	int64_t moved_ms;
};

struct socket_watch {
	struct loop_fd *fd;
};

uint64_t out_bytes_sent, out_bytes_received;

static CURLM *multi;
static struct loop_timer *multi_timer, *watch_timer;
static struct out_call *calls;
static size_t active;
static CURL *spare[SPARE_MOST];
static size_t spare_count;
static int64_t first_ms = 1000, most_ms = 60000, budget_ms = 32000;

/* curl is calling us: handles can be neither added nor removed now. */
static bool inside;

static void begin(struct out_call *);
static void nudge_soon(struct out_call *);

void
out_tune(int64_t first, int64_t most, int64_t budget)
{
	first_ms = first;
	most_ms = most;
	budget_ms = budget;
}

size_t
out_active(void)
{
	return active;
}

/* ---- curl's sockets and timer on the loop ---- */

static void collect_finished(void);

static void
act(curl_socket_t fd, int mask)
{
	int running;

	curl_multi_socket_action(multi, fd, mask, &running);
	collect_finished();
}

static void
socket_ready(void *user, int bits)
{
	act((curl_socket_t)(intptr_t)user, ((bits & LOOP_READ) != 0 ? CURL_CSELECT_IN : 0) | ((bits & LOOP_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *unused, void *assigned)
{
	struct socket_watch *w = assigned;
	int want = (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? LOOP_READ : 0) | (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? LOOP_WRITE : 0);

	(void)easy;
	(void)unused;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			loop_unwatch(w->fd);
			free(w);
			curl_multi_assign(multi, fd, NULL);
		}
		return 0;
	}
	if (w != NULL) {
		loop_want(w->fd, want);
		return 0;
	}
	w = calloc(1, sizeof(*w));
	PRECOND(w != NULL);
	w->fd = loop_watch((int)fd, want, socket_ready, (void *)(intptr_t)fd);
	curl_multi_assign(multi, fd, w);
	return 0;
}

static void
timer_fired(void *unused)
{
	(void)unused;
	multi_timer = NULL;
	act(CURL_SOCKET_TIMEOUT, 0);
}

static int
on_timer(CURLM *m, long ms, void *unused)
{
	(void)m;
	(void)unused;
	if (multi_timer != NULL)
		loop_cancel(multi_timer);
	multi_timer = ms >= 0 ? loop_after(ms, timer_fired, NULL) : NULL;
	return 0;
}

static void
setup(void)
{
	if (multi != NULL)
		return;
	PRECOND(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	multi = curl_multi_init();
	PRECOND(multi != NULL);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
}

/* ---- callbacks of one transfer ---- */

static size_t
on_header(char *line, size_t size, size_t n, void *user)
{
	struct out_call *c = user;
	size_t i, bytes = size * n;
	struct text t = { line, bytes };

	c->moved_ms = loop_now_ms();
	if (text_starts(t, "HTTP/")) {
		/* A new head: what came before was an interim answer (100). */
		c->headers.n = 0;
		return bytes;
	}
	if (c->headers.n + bytes > HEADERS_MOST)
		return 0;
	for (i = 0; i < bytes && line[i] != ':'; i++)
		buf_byte(&c->headers, (char)(line[i] >= 'A' && line[i] <= 'Z' ? line[i] | 0x20 : line[i]));
	buf_add(&c->headers, line + i, bytes - i);
	return bytes;
}

static void
tell_head(struct out_call *c)
{
	long status = 0;

	if (c->head_told)
		return;
	c->head_told = true;
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	c->status = (int)status;
	/* An answer that will be asked for again is nobody's business yet. */
	if (c->want.head != NULL && !c->dead && status >= 200 && status < 300)
		c->want.head(c->want.user, c, c->status);
}

static size_t
on_data(char *bytes, size_t size, size_t n, void *user)
{
	struct out_call *c = user;
	size_t count = size * n, most = c->want.body_most != 0 ? c->want.body_most : COLLECT_MOST;

	c->moved_ms = loop_now_ms();
	if (c->hold) {
		c->receive_paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	inside = true;
	tell_head(c);
	out_bytes_received += count;
	if (c->want.data != NULL && c->status >= 200 && c->status < 300) {
		if (!c->dead && !c->want.data(c->want.user, bytes, count))
			c->hold = true;
		inside = false;
		return c->dead ? 0 : count;
	}
	inside = false;
	if (c->collected.n + count > most)
		return 0;
	buf_add(&c->collected, bytes, count);
	return count;
}

static size_t
read_whole(struct out_call *c, char *to, size_t room)
{
	size_t n = c->held_body.n - c->body_at;

	if (n > room)
		n = room;
	if (n > 0)
		memcpy(to, c->held_body.s + c->body_at, n);
	c->body_at += n;
	return n;
}

static size_t
on_read(char *to, size_t size, size_t count, void *user)
{
	struct out_call *c = user;
	size_t room = size * count, n;

	c->moved_ms = loop_now_ms();
	if (!c->want.stream) {
		n = read_whole(c, to, room);
		out_bytes_sent += n;
		return n;
	}
	n = c->given.n - c->given_at;
	if (n == 0 && !c->ended) {
		c->send_paused = true;
		return CURL_READFUNC_PAUSE;
	}
	if (n > room)
		n = room;
	if (n > 0) {
		memcpy(to, c->given.s + c->given_at, n);
		c->took_some = true;
	}
	c->given_at += n;
	if (c->given_at == c->given.n)
		c->given.n = c->given_at = 0;
	if (c->wants_room && c->given.n - c->given_at <= GIVE_MOST / 2)
		nudge_soon(c);
	out_bytes_sent += n;
	return n;
}

/* curl rewinds when a kept connection turns out to be closed before anything was answered. */
static int
on_seek(void *user, curl_off_t offset, int origin)
{
	struct out_call *c = user;

	if (c->want.stream || origin != SEEK_SET || offset < 0 || (size_t)offset > c->held_body.n)
		return CURL_SEEKFUNC_CANTSEEK;
	c->body_at = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* ---- one attempt ---- */

static bool
is_loopback(struct text url)
{
	struct text host = url;
	size_t slash = text_find(url, '/');

	if (slash + 2 < url.n)
		host = text_skip(url, slash + 2);
	return text_starts(host, "127.") || text_starts(host, "localhost") || text_starts(host, "[::1]") || text_starts(host, "169.254.") || text_starts(host, "metadata.");
}

static void
set_method(struct out_call *c)
{
	const char *m = c->want.method;
	CURL *e = c->easy;
	curl_off_t length = c->want.stream ? (curl_off_t)c->want.length : (curl_off_t)c->held_body.n;

	if (strcmp(m, "HEAD") == 0) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	} else if (strcmp(m, "PUT") == 0) {
		curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
		if (length >= 0)
			curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, length);
	} else if (strcmp(m, "POST") == 0 || c->want.has_body) {
		curl_easy_setopt(e, CURLOPT_POST, 1L);
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, length);
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, m);
	} else if (strcmp(m, "GET") != 0) {
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, m);
	}
}

static void
begin(struct out_call *c)
{
	CURL *e = spare_count > 0 ? spare[--spare_count] : curl_easy_init();

	PRECOND(e != NULL);
	c->easy = e;
	c->headers.n = c->collected.n = 0;
	c->body_at = 0;
	c->status = 0;
	c->head_told = c->send_paused = c->receive_paused = false;
	c->moved_ms = loop_now_ms();
	curl_easy_setopt(e, CURLOPT_URL, c->held_url.s);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, c->held_headers);
	curl_easy_setopt(e, CURLOPT_PRIVATE, c);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(e, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, CURL_BUFFER);
	curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, CURL_BUFFER);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(c->want.connect_ms != 0 ? c->want.connect_ms : 10000));
	curl_easy_setopt(e, CURLOPT_USERAGENT, "tallyd");
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(e, CURLOPT_READDATA, c);
	curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(e, CURLOPT_SEEKDATA, c);
	/* The metadata server and stand-ins are never behind a proxy. */
	if (is_loopback(buf_view(&c->held_url)))
		curl_easy_setopt(e, CURLOPT_PROXY, "");
	set_method(c);
	PRECOND(curl_multi_add_handle(multi, e) == CURLM_OK);
}

static void
let_go(struct out_call *c)
{
	CURL *e = c->easy;

	if (e == NULL)
		return;
	c->easy = NULL;
	curl_multi_remove_handle(multi, e);
	if (spare_count < SPARE_MOST) {
		curl_easy_reset(e);
		spare[spare_count++] = e;
	} else {
		curl_easy_cleanup(e);
	}
}

static void
call_free(struct out_call *c)
{
	let_go(c);
	if (c->again != NULL)
		loop_cancel(c->again);
	if (c->nudge != NULL)
		loop_cancel(c->nudge);
	*(c->before != NULL ? &c->before->after : &calls) = c->after;
	if (c->after != NULL)
		c->after->before = c->before;
	active--;
	curl_slist_free_all(c->held_headers);
	/* The URL may be a credential, a header is one. */
	if (c->held_url.s != NULL)
		explicit_bzero(c->held_url.s, c->held_url.n);
	buf_free(&c->held_url);
	buf_free(&c->held_body);
	buf_free(&c->headers);
	buf_free(&c->collected);
	buf_free(&c->given);
	free(c);
}

/* ---- the end of an attempt ---- */

static void
finish(struct out_call *c, const char *why)
{
	struct out_answer answer = { .status = c->status, .why = why, .body = buf_view(&c->collected), .sent_nothing = !c->took_some };

	c->over = true;
	if (!c->dead)
		c->want.done(c->want.user, c, &answer);
	call_free(c);
}

static bool
passes(int status)
{
	return status == 0 || status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

/* Milliseconds the answer asks us to wait, or 0. Dates are not used by Google here. */
static int64_t
retry_after(const struct out_call *c)
{
	int64_t seconds;

	if (!text_int(out_answer_header(c, "retry-after"), &seconds) || seconds < 0)
		return 0;
	return seconds > 120 ? 120000 : seconds * 1000;
}

static int64_t
backoff(const struct out_call *c)
{
	int64_t wait = first_ms;
	uint32_t noise = 0;
	int i;

	for (i = 1; i < c->tries && wait < most_ms; i++)
		wait *= 2;
	if (wait > most_ms)
		wait = most_ms;
	if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) < 0)
		noise = 0x80000000u;
	/* Between half and one and a half. */
	wait = wait / 2 + (int64_t)((double)wait * noise / 4294967296.0);
	return wait > retry_after(c) ? wait : retry_after(c);
}

static void
try_again(void *user)
{
	struct out_call *c = user;

	c->again = NULL;
	begin(c);
}

/* The attempt is over with status 0 or an answer. */
static void
attempt_over(struct out_call *c, const char *why)
{
	int64_t budget = c->want.budget_ms != 0 ? c->want.budget_ms : budget_ms, wait;
	bool delivered = c->want.data != NULL && c->head_told && c->status >= 200 && c->status < 300;

	/* A body handed on in part cannot be taken back; the caller sees the break. */
	if (why != NULL && c->status != 0)
		c->status = 0;
	let_go(c);
	if (!c->dead && passes(c->status) && c->want.repeat && !c->want.stream && !delivered) {
		c->tries++;
		wait = backoff(c);
		if (loop_now_ms() + wait - c->started_ms <= budget) {
			c->again = loop_after(wait, try_again, c);
			return;
		}
	}
	finish(c, why != NULL ? why : "");
}

static void
collect_finished(void)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(multi, &left)) != NULL) {
		struct out_call *c = NULL;
		CURLcode rc = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		PRECOND(c != NULL && c->easy == m->easy_handle);
		/* The peer may answer (403) and close while we still send: that answer counts. */
		if (rc == CURLE_OK || rc == CURLE_SEND_ERROR) {
			long status = 0;

			curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
			if (status >= (rc == CURLE_OK ? 200 : 300)) {
				tell_head(c);
				attempt_over(c, NULL);
				continue;
			}
		}
		attempt_over(c, curl_easy_strerror(rc));
	}
}

/* Gives up on what no longer moves. A transfer that we paused ourselves waits for its client, whose own time-out is the HTTP layer's. */
static void
watch(void *unused)
{
	struct out_call *c, *next;
	int64_t now = loop_now_ms();

	(void)unused;
	watch_timer = calls != NULL ? loop_after(WATCH_EVERY_MS, watch, NULL) : NULL;
	for (c = calls; c != NULL; c = next) {
		int64_t idle = c->want.idle_ms != 0 ? c->want.idle_ms : 60000;

		next = c->after;
		if (c->easy != NULL && !c->send_paused && !c->receive_paused && !c->hold && now - c->moved_ms > idle) {
			c->status = 0;
			attempt_over(c, "nothing moved for too long");
		}
	}
}

/* ---- for callers ---- */

struct out_call *
out_send(const struct out_request *want)
{
	struct out_call *c = calloc(1, sizeof(*c));
	struct buf line = { 0 };
	size_t i;

	PRECOND(c != NULL && want->done != NULL);
	setup();
	c->want = *want;
	buf_text(&c->held_url, want->url);
	buf_byte(&c->held_url, '\0');
	c->held_url.n--;
	buf_text(&c->held_body, want->body);
	for (i = 0; i < want->header_count; i++) {
		line.n = 0;
		/* "name;" is curl's way to an empty value. */
		buf_printf(&line, want->headers[i].value.n > 0 ? "%s: " : "%s;", want->headers[i].name);
		buf_text(&line, want->headers[i].value);
		PRECOND(memchr(line.s, '\n', line.n) == NULL && memchr(line.s, '\r', line.n) == NULL);
		buf_byte(&line, '\0');
		c->held_headers = curl_slist_append(c->held_headers, line.s);
	}
	buf_free(&line);
	/* Waiting a second for "100 Continue" helps nobody here. */
	c->held_headers = curl_slist_append(c->held_headers, "Expect:");
	c->started_ms = loop_now_ms();
	c->after = calls;
	if (calls != NULL)
		calls->before = c;
	calls = c;
	active++;
	if (watch_timer == NULL)
		watch_timer = loop_after(WATCH_EVERY_MS, watch, NULL);
	if (inside)
		c->again = loop_after(0, try_again, c);
	else
		begin(c);
	return c;
}

static void
nudge(void *user)
{
	struct out_call *c = user;
	bool unpause = (c->send_paused && (c->given.n > c->given_at || c->ended)) || (c->receive_paused && !c->hold);

	c->nudge = NULL;
	if (c->wants_room && c->given.n - c->given_at <= GIVE_MOST / 2 && c->want.room != NULL) {
		c->wants_room = false;
		c->want.room(c->want.user);
		/* room() may give, end or cancel: what it gave has asked for a nudge of its own. */
		return;
	}
	if (unpause && c->easy != NULL) {
		c->moved_ms = loop_now_ms();
		c->send_paused = c->receive_paused = false;
		curl_easy_pause(c->easy, CURLPAUSE_CONT);
		collect_finished();
	}
}

static void
nudge_soon(struct out_call *c)
{
	if (c->nudge == NULL)
		c->nudge = loop_after(0, nudge, c);
}

bool
out_give(struct out_call *c, const void *bytes, size_t n)
{
	if (c->over)
		return true;
	if (c->given_at > GIVE_MOST) {
		memmove(c->given.s, c->given.s + c->given_at, c->given.n - c->given_at);
		c->given.n -= c->given_at;
		c->given_at = 0;
	}
	buf_add(&c->given, bytes, n);
	if (c->send_paused)
		nudge_soon(c);
	if (c->given.n - c->given_at < GIVE_MOST)
		return true;
	c->wants_room = true;
	return false;
}

void
out_end(struct out_call *c)
{
	c->ended = true;
	if (c->send_paused)
		nudge_soon(c);
}

void
out_resume(struct out_call *c)
{
	c->hold = false;
	if (c->receive_paused)
		nudge_soon(c);
}

void
out_cancel(struct out_call *c)
{
	/* From within done() the call is freed there; from within head() and data() when curl returns. */
	if (inside)
		c->dead = true;
	else if (!c->over)
		call_free(c);
}

struct text
out_answer_header(const struct out_call *c, const char *name)
{
	struct text rest = buf_view(&c->headers);
	size_t n = strlen(name);

	while (rest.n > 0) {
		size_t end = text_find(rest, '\n');
		struct text line = { rest.s, end };

		if (line.n > n && line.s[n] == ':' && memcmp(line.s, name, n) == 0)
			return text_trim(text_skip(line, n + 1));
		rest = text_skip(rest, end < rest.n ? end + 1 : end);
	}
	return TEXT_NONE;
}

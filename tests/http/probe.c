/*
 * The HTTP layer and its server with a small engine of their own, so that tests/api/test_http.py can ask for what no endpoint does at will:
 * slow consumers, endless streams, files, crashes. Linked in place of everything above app/base.
 *
 *   /echo          answers method, path, query, length and hash of the body as JSON
 *   /stream?ms=N   reads the body piece by piece; after each 64 KiB it pauses for N ms; answers as /echo
 *   /early         answers 403 from the head, whatever body follows
 *   /big?n=N       N bytes, compressed when asked for
 *   /static        a body that outlives the request
 *   /chunks?n=N    N bytes as a chunked stream, under back-pressure
 *   /length?n=N    the same with a length; &short=1 breaks off half-way
 *   /file?path=P   P by sendfile
 *   /slow?ms=N     answers after N ms
 *   /events        an event stream: one event every 50 ms
 *   /settled       the outcomes of all replies to /tell so far
 *   /tell?ms=N     a reply whose arrival is watched, given after N ms
 *   /gone          how many requests ended without a reply
 *   /pid           the worker's process id
 *   /crash         aborts the worker
 *   /syscall       makes a system call that no rule of the sandbox names
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/http.h"
#include "config.h"
#include "engine/engine.h"
#include "server.h"

struct probe {
	struct http_request *request;
	EVP_MD_CTX *hash;
	size_t got, since_pause;
	int64_t left;
	bool chunked_source;
	struct loop_timer *timer;
};

static int64_t acknowledged, unacknowledged, gone_count, live;

static struct probe *
probe_of(struct http_request *r)
{
	return r->user;
}

static int64_t
number(const struct http_request *r, const char *name, int64_t otherwise)
{
	struct text rest = r->query;
	size_t n = strlen(name);

	while (rest.n > 0) {
		size_t end = text_find(rest, '&');
		struct text item = { rest.s, end };
		int64_t v;

		if (text_starts(item, name) && item.n > n && item.s[n] == '=' && text_int(text_skip(item, n + 1), &v))
			return v;
		rest = text_skip(rest, end < rest.n ? end + 1 : end);
	}
	return otherwise;
}

static void
answer(struct http_request *r, int status, struct buf *body)
{
	const struct http_reply reply = { .status = status, .type = "application/json", .compress = true };

	http_reply(r, &reply, body);
}

static void
echo(struct probe *p)
{
	struct http_request *r = p->request;
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[EVP_MAX_MD_SIZE * 2 + 1];
	unsigned n = 0;
	struct buf body = { NULL, 0, 0 };

	EVP_DigestFinal_ex(p->hash, digest, &n);
	text_hex(digest, n, hex);
	buf_puts(&body, "{\"method\": ");
	buf_json(&body, r->method_name);
	buf_puts(&body, ", \"path\": ");
	buf_json(&body, r->path);
	buf_puts(&body, ", \"query\": ");
	buf_json(&body, r->query);
	buf_puts(&body, ", \"headers\": ");
	buf_int(&body, (int64_t)r->header_count);
	buf_puts(&body, ", \"x\": ");
	buf_json(&body, http_header(r, "x-test"));
	buf_puts(&body, ", \"length\": ");
	buf_int(&body, (int64_t)p->got);
	buf_puts(&body, ", \"content_length\": ");
	buf_int(&body, r->content_length);
	buf_puts(&body, ", \"sha256\": ");
	buf_json(&body, (struct text){ hex, n * 2 });
	buf_puts(&body, "}");
	answer(r, 200, &body);
}

static void
end(struct probe *p)
{
	if (p->hash != NULL)
		EVP_MD_CTX_free(p->hash);
	loop_cancel(p->timer);
	p->hash = NULL;
	p->timer = NULL;
	live--;
}

static void
settled(void *user, bool arrived)
{
	(void)user;
	if (arrived)
		acknowledged++;
	else
		unacknowledged++;
}

static void
late(void *user)
{
	struct probe *p = user;
	const struct http_reply told = { .status = 200, .type = "text/plain", .settled = settled };
	struct buf body = { NULL, 0, 0 };

	p->timer = NULL;
	buf_puts(&body, "late");
	if (text_is(p->request->path, "/tell"))
		http_reply(p->request, &told, &body);
	else
		answer(p->request, 200, &body);
	end(p);
}

static void
go_on(void *user)
{
	struct probe *p = user;

	p->timer = NULL;
	http_resume(p->request);
}

static void
event(void *user)
{
	struct probe *p = user;
	static const char line[] = "data: x\n\n";

	(void)http_reply_write(p->request, line, sizeof(line) - 1);
	p->timer = loop_after(50, event, p);
}

static void
pour(struct http_request *r)
{
	struct probe *p = probe_of(r);
	char bytes[4096];

	memset(bytes, 'x', sizeof(bytes));
	while (p->left > 0) {
		size_t n = p->left < (int64_t)sizeof(bytes) ? (size_t)p->left : sizeof(bytes);

		p->left -= (int64_t)n;
		if (!http_reply_write(r, bytes, n) && p->left > 0)
			return;
	}
	http_reply_end(r);
	end(p);
}

static void
send_file(struct probe *p)
{
	struct http_request *r = p->request;
	const struct http_reply reply = { .status = 200, .type = "application/octet-stream" };
	struct text path;
	struct stat st;
	int fd = -1;

	if (text_starts(r->query, "path=") && text_percent_decode(r->arena, text_skip(r->query, 5), false, &path))
		fd = open(text_z(r->arena, path), O_RDONLY | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1) {
		struct buf body = { NULL, 0, 0 };

		answer(r, 404, &body);
	} else {
		http_reply_file(r, &reply, fd, 0, st.st_size);
	}
	end(p);
}

static struct http_body
head(struct http_request *r)
{
	struct probe *p = ARENA_NEW(r->arena, struct probe);

	r->user = p;
	p->request = r;
	live++;
	p->hash = EVP_MD_CTX_new();
	EVP_DigestInit_ex(p->hash, EVP_sha256(), NULL);
	if (text_is(r->path, "/early")) {
		struct buf body = { NULL, 0, 0 };

		buf_puts(&body, "{\"early\": true}");
		answer(r, 403, &body);
		end(p);
	}
	if (text_is(r->path, "/stream"))
		return (struct http_body){ .mode = HTTP_STREAM, .limit = 0 };
	return (struct http_body){ .mode = HTTP_BUFFER, .limit = 1048576 };
}

static void
piece(struct http_request *r, const void *bytes, size_t n)
{
	struct probe *p = probe_of(r);
	int64_t ms = number(r, "ms", 0);

	PRECOND(p->timer == NULL);
	EVP_DigestUpdate(p->hash, bytes, n);
	p->got += n;
	p->since_pause += n;
	if (ms > 0 && p->since_pause >= 65536) {
		p->since_pause = 0;
		http_pause(r);
		p->timer = loop_after(ms, go_on, p);
	}
}

static void
complete(struct http_request *r)
{
	struct probe *p = probe_of(r);
	struct text path = r->path;
	struct buf body = { NULL, 0, 0 };

	if (!text_is(path, "/stream")) {
		EVP_DigestUpdate(p->hash, r->body.s, r->body.n);
		p->got = r->body.n;
	}
	if (text_is(path, "/echo") || text_is(path, "/stream")) {
		echo(p);
		end(p);
	} else if (text_is(path, "/big")) {
		int64_t n = number(r, "n", 0);

		for (int64_t i = 0; i < n; i++)
			buf_byte(&body, (char)('a' + i % 26));
		answer(r, 200, &body);
		end(p);
	} else if (text_is(path, "/static")) {
		static char fixed[100000];
		const struct http_reply reply = { .status = 200, .type = "text/plain" };

		memset(fixed, 's', sizeof(fixed));
		http_reply_static(r, &reply, (struct text){ fixed, sizeof(fixed) });
		end(p);
	} else if (text_is(path, "/chunks") || text_is(path, "/length")) {
		const struct http_reply reply = { .status = 200, .type = "text/plain" };
		int64_t n = number(r, "n", 0);

		p->left = number(r, "short", 0) != 0 ? n / 2 : n;
		http_reply_begin(r, &reply, text_is(path, "/chunks") ? -1 : n, pour);
		pour(r);
	} else if (text_is(path, "/file")) {
		send_file(p);
	} else if (text_is(path, "/slow") || text_is(path, "/tell")) {
		p->timer = loop_after(number(r, "ms", 0), late, p);
	} else if (text_is(path, "/events")) {
		const struct http_reply reply = { .status = 200, .type = "text/event-stream" };

		http_reply_begin(r, &reply, -1, NULL);
		event(p);
	} else if (text_is(path, "/settled")) {
		buf_printf(&body, "{\"acknowledged\": %lld, \"unacknowledged\": %lld}", (long long)acknowledged, (long long)unacknowledged);
		answer(r, 200, &body);
		end(p);
	} else if (text_is(path, "/gone")) {
		buf_printf(&body, "{\"gone\": %lld, \"live\": %lld, \"connections\": %zu, \"active\": %zu}", (long long)gone_count, (long long)live - 1, http_connections(), http_active());
		answer(r, 200, &body);
		end(p);
	} else if (text_is(path, "/pid")) {
		buf_int(&body, getpid());
		answer(r, 200, &body);
		end(p);
	} else if (text_is(path, "/crash")) {
		abort();
	} else if (text_is(path, "/syscall")) {
		long got = syscall(SYS_acct, NULL);

		buf_int(&body, got == -1 ? errno : 0);
		answer(r, 200, &body);
		end(p);
	} else {
		buf_puts(&body, "{}");
		answer(r, 404, &body);
		end(p);
	}
}

static void
gone(struct http_request *r)
{
	gone_count++;
	if (r->user != NULL)
		end(probe_of(r));
}

static void
refuse(int status, const char *why, struct buf *out)
{
	buf_printf(out, "{\"status\": %d, \"message\": ", status);
	buf_json(out, text_from(why));
	buf_byte(out, '}');
}

static const struct http_handler probe_handler = { .head = head, .body = piece, .complete = complete, .gone = gone, .refuse = refuse };

void
engine_start(int worker)
{
	(void)worker;
	if (getenv("PROBE_DIES") != NULL)
		_exit(3);
	http_setup(&probe_handler);
}

void
engine_prepare(int workers)
{
	(void)workers;
}

void
engine_drain(void)
{
}

void
engine_stop(void)
{
}

static struct config options = { .command = "serve", .host = "127.0.0.1", .workers = 1, .user = "" };
const struct config *config = &options;

int
main(int argc, char **argv)
{
	if (argc != 4) {
		fputs("usage: probe PORT WORKERS USER\n", stderr);
		return 2;
	}
	options.port = (int)strtol(argv[1], NULL, 10);
	options.workers = (int)strtol(argv[2], NULL, 10);
	options.user = strdup(argv[3]);
	return server_run(argc, argv);
}

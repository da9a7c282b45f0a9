/*
 * Changes on their way to the pages: after its commits a worker tells the others, by one coalesced NOTIFY at most every 200 ms on its listening connection (never inside a write transaction: NOTIFY takes
 * a lock on the whole cluster until the commit). Every worker passes what it hears on to its pages as Server-Sent Events, at most twice a second.
 */
#include "api/live.h"

#include <stdlib.h>

#include "base/http.h"
#include "base/log.h"
#include "engine/call.h"
#include "sql_queries.h"

#define CHANNEL "tallyd_live"
#define TELL_MS 200
#define PASS_MS 400
#define HEARTBEAT_MS 15000
#define RUNS_MOST 150      /* named in one notification; more: only their experiments */
#define PAYLOAD_MOST 7900  /* PostgreSQL refuses 8000 bytes */
#define PAGES_MOST 10000
#define QUEUE_MOST 1048576 /* a page that reads slower than this is cut and comes back */

/* A small set of texts on malloc. */
struct set {
	struct text *items;
	size_t n;
	size_t most;
	bool overflow;
};

struct page_stream {
	struct call *call;
	struct page_stream *next;
	struct page_stream **link;
};

/* Owned by this file, one of each a worker. */
static struct set changed_runs = { .most = RUNS_MOST };
static struct set changed_experiments = { .most = RUNS_MOST };
static struct set heard_runs = { .most = 4 * RUNS_MOST };
static struct set heard_experiments = { .most = 4 * RUNS_MOST };
static bool heard_gap;
static bool telling;
static bool passing;
static struct page_stream *streams;
static size_t stream_count;
static uint64_t sequence;
static struct db_op tell_op;
static struct db_param tell_params[1];

static void tell(void *unused);
static void pass_on(void *unused);

static void
set_add(struct set *s, struct text t)
{
	size_t i;

	if (s->overflow)
		return;
	for (i = 0; i < s->n; i++)
		if (text_eq(s->items[i], t))
			return;
	if (s->n == s->most) {
		s->overflow = true;
		return;
	}
	if (s->items == NULL)
		s->items = calloc(s->most, sizeof(*s->items));
	PRECOND(s->items != NULL);
	s->items[s->n].s = memcpy(malloc(t.n + 1), t.s, t.n);
	s->items[s->n++].n = t.n;
}

static void
set_clear(struct set *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		free((void *)(uintptr_t)s->items[i].s);
	s->n = 0;
	s->overflow = false;
}

static void
set_print(struct buf *b, const struct set *s, bool quoted)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (i > 0)
			buf_byte(b, ',');
		if (quoted)
			buf_json(b, s->items[i]);
		else
			buf_text(b, s->items[i]);
	}
}

/* ---- telling the others ---- */

/* Payload: experiments, a semicolon, runs; "*" for more runs than fit. */
static void
notify(void)
{
	struct buf b = { 0 };

	set_print(&b, &changed_experiments, false);
	buf_byte(&b, ';');
	if (changed_runs.overflow || b.n + changed_runs.n * 40 > PAYLOAD_MOST)
		buf_byte(&b, '*');
	else
		set_print(&b, &changed_runs, false);
	if (b.n > PAYLOAD_MOST || changed_experiments.overflow) {
		b.n = 0;
		buf_puts(&b, "*");
	}
	db_notify(CHANNEL, buf_view(&b));
	buf_free(&b);
	set_clear(&changed_runs);
	set_clear(&changed_experiments);
}

static void
told(struct db_op *op, PGresult *r, enum db_outcome outcome)
{
	int i;

	(void)op;
	db_p_array_free(&tell_params[0]);
	telling = false;
	if (outcome == DB_OK) {
		for (i = 0; i < PQntuples(r); i++)
			set_add(&changed_experiments, db_text(r, i, 0));
		notify();
	}
	if (changed_runs.n > 0) {
		telling = true;
		loop_after(TELL_MS, tell, NULL);
	}
}

static void
tell(void *unused)
{
	(void)unused;
	if (changed_runs.n == 0) {
		telling = false;
		notify();
		return;
	}
	tell_params[0] = db_p_texts(changed_runs.items, changed_runs.n, NULL);
	tell_op = (struct db_op){ .statement = SQL_runs_experiments, .params = tell_params, .param_count = 1, .done = told };
	db_read(&tell_op);
}

static void
tell_soon(void)
{
	if (telling)
		return;
	telling = true;
	loop_after(TELL_MS, tell, NULL);
}

void
live_changed(struct text run_id)
{
	set_add(&changed_runs, run_id);
	tell_soon();
}

void
live_experiment_changed(struct text experiment_id)
{
	set_add(&changed_experiments, experiment_id);
	tell_soon();
}

/* ---- passing on to the pages ---- */

static void
broadcast(struct text event)
{
	struct page_stream *s;
	struct page_stream *next;

	for (s = streams; s != NULL; s = next) {
		next = s->next;
		if (http_reply_queued(s->call->http) > QUEUE_MOST)
			http_reply_abort(s->call->http);
		else
			http_reply_write(s->call->http, event.s, event.n);
	}
}

static void
pass_on(void *unused)
{
	struct buf b = { 0 };

	(void)unused;
	passing = false;
	sequence++;
	buf_printf(&b, "event: change\nid: %llu\ndata: {\"seq\":%llu", (unsigned long long)sequence, (unsigned long long)sequence);
	if (heard_gap || heard_experiments.overflow) {
		buf_puts(&b, ",\"resync\":true");
	} else {
		buf_puts(&b, ",\"experiments\":[");
		set_print(&b, &heard_experiments, true);
		buf_puts(&b, "],\"runs\":[");
		if (!heard_runs.overflow)
			set_print(&b, &heard_runs, true);
		buf_byte(&b, ']');
	}
	buf_puts(&b, "}\n\n");
	broadcast(buf_view(&b));
	buf_free(&b);
	set_clear(&heard_runs);
	set_clear(&heard_experiments);
	heard_gap = false;
}

static void
list_take(struct set *s, struct text list)
{
	while (list.n > 0) {
		size_t end = text_find(list, ',');

		if (end == 1 && list.s[0] == '*')
			s->overflow = true;
		else if (end > 0)
			set_add(s, (struct text){ list.s, end });
		list = text_skip(list, end < list.n ? end + 1 : end);
	}
}

static void
heard(struct text payload, bool resync)
{
	size_t semicolon = text_find(payload, ';');

	if (resync || semicolon == payload.n) {
		heard_gap = true;
	} else {
		list_take(&heard_experiments, (struct text){ payload.s, semicolon });
		list_take(&heard_runs, text_skip(payload, semicolon + 1));
	}
	if (!passing) {
		passing = true;
		loop_after(PASS_MS, pass_on, NULL);
	}
}

static void
heartbeat(void *unused)
{
	(void)unused;
	broadcast(TEXT(": here\n\n"));
	loop_after(HEARTBEAT_MS, heartbeat, NULL);
}

/* ---- the endpoint ---- */

static void
stream_gone(struct call *call)
{
	struct page_stream *s = call->state;

	*s->link = s->next;
	if (s->next != NULL)
		s->next->link = s->link;
	stream_count--;
}

static enum next
live(struct call *call)
{
	static const struct http_header_out headers[] = { { "Cache-Control", { "no-store", 8 } }, { "X-Accel-Buffering", { "no", 2 } }, { "X-Content-Type-Options", { "nosniff", 7 } } };
	struct http_reply reply = { .status = 200, .type = "text/event-stream", .headers = headers, .header_count = 3 };
	struct page_stream *s = ARENA_NEW(call->arena, struct page_stream);

	if (stream_count >= PAGES_MOST)
		return call_fail(call, TEMPORARILY_UNAVAILABLE, "Too many pages listen to this server.");
	if (call->head) {
		http_reply_begin(call->http, &reply, -1, NULL);
		http_reply_end(call->http);
		return call_done(call);
	}
	s->call = call;
	s->next = streams;
	s->link = &streams;
	if (streams != NULL)
		streams->link = &s->next;
	streams = s;
	stream_count++;
	call->state = s;
	call->on_gone = stream_gone;
	http_reply_begin(call->http, &reply, -1, NULL);
	http_reply_write(call->http, "retry: 2000\n\n", 13);
	return WAIT;
}

void
live_start(void)
{
	db_listen(CHANNEL, heard);
	loop_after(HEARTBEAT_MS, heartbeat, NULL);
}

void
live_stop(void)
{
	while (streams != NULL) {
		struct page_stream *s = streams;
		struct call *call = s->call;

		stream_gone(call);
		http_reply_end(call->http);
		(void)call_done(call);
	}
}

size_t
live_pages(void)
{
	return stream_count;
}

static const struct endpoint live_endpoints[] = {
	{ .method = HTTP_M_GET, .path = "tallyd/live", .access = ACCESS_READ, .on = SERVER, .run = live, .doc = "Server-Sent Events: what changed, within a second of its commit." },
};
const struct endpoint_table live_table = ENDPOINT_TABLE(live_endpoints);

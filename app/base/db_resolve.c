/* libpq's PQconnectStart() looks names up while it blocks; with hostaddr it does not. So names are looked up here, in a thread, again at every reconnect. */
#include "base/db_resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/http.h"
#include "base/log.h"

enum { MOST_OPTIONS = 64, MOST_WAITING = 32, MOST_ADDRESSES = 4, FRESH_MS = 10000, CONNECT_TIMEOUT_S = 3 };

/* Owned by whoever handles it: the loop, or the thread between its start and its byte on the pipe. */
struct lookup {
	pthread_t thread;
	int pipe[2];
	char *hosts, *ports;         /* as configured */
	struct buf host, addr, port; /* the answer, comma lists of equal length */
	bool found;
};

static struct {
	const char *keywords[MOST_OPTIONS];
	char *values[MOST_OPTIONS];
	int count;
	int host_at, addr_at, port_at;
	char *hosts, *ports; /* as configured */
	int connect_timeout_ms;
	bool names; /* a host is a name, to be looked up */
	int64_t found_ms;
	struct lookup *running;
	struct loop_fd *watch;
	struct {
		void (*ready)(void *, bool);
		void *user;
	} waiting[MOST_WAITING];
	int waiting_count;
} target;

static char *
keep(const char *s)
{
	char *copy = strdup(s);
	PRECOND(copy != NULL);
	return copy;
}

/* Index of the keyword's value, or -1. */
static int
find(const char *keyword)
{
	for (int i = 0; i < target.count; i++)
		if (strcmp(target.keywords[i], keyword) == 0)
			return i;
	return -1;
}

static int
set(const char *keyword, const char *value)
{
	int at = find(keyword);
	if (at < 0) {
		PRECOND(target.count < MOST_OPTIONS - 1);
		at = target.count++;
		target.keywords[at] = keep(keyword);
		target.values[at] = NULL;
	}
	free(target.values[at]);
	target.values[at] = keep(value);
	return at;
}

static void
set_default(const char *keyword, const char *value)
{
	if (find(keyword) < 0)
		set(keyword, value);
}

static bool
is_name(struct text host)
{
	char z[256];
	unsigned char bytes[16];
	if (host.n == 0 || host.n >= sizeof(z) || host.s[0] == '/' || host.s[0] == '@')
		return false;
	memcpy(z, host.s, host.n);
	z[host.n] = '\0';
	return inet_pton(AF_INET, z, bytes) != 1 && inet_pton(AF_INET6, z, bytes) != 1;
}

/* The next element of a comma list; false at its end. */
static bool
next_of(struct text *list, struct text *element)
{
	if (list->s == NULL)
		return false;
	size_t n = text_find(*list, ',');
	*element = (struct text){ list->s, n };
	*list = n < list->n ? text_skip(*list, n + 1) : TEXT_NONE;
	return true;
}

static void
set_session(const struct db_config *config)
{
	struct buf options = { 0 };
	int given = find("options");

	/* Our own settings first, so that those of the connection string win. */
	buf_printf(&options, "-c statement_timeout=%lld -c max_parallel_workers_per_gather=0 -c jit=off -c search_path=public"
	    " -c idle_in_transaction_session_timeout=60000 -c lock_timeout=20000 -c datestyle=iso -c timezone=UTC",
	    (long long)(config->statement_timeout_ms > 0 ? config->statement_timeout_ms : 30000));
	if (given >= 0 && target.values[given][0] != '\0')
		buf_printf(&options, " %s", target.values[given]);
	buf_byte(&options, '\0');
	set("options", options.s);
	buf_free(&options);
	set_default("application_name", config->application_name != NULL ? config->application_name : "tallyd");
	set("client_encoding", "UTF8");
	set_default("tcp_user_timeout", "5000");
	set_default("keepalives_idle", "10");
	set_default("keepalives_interval", "3");
	set_default("keepalives_count", "3");
}

bool
resolve_setup(const struct db_config *config, char **why)
{
	char *error = NULL;
	PQconninfoOption *options = PQconninfoParse(config->uri, &error);
	if (options == NULL) {
		*why = keep(error != NULL ? error : "not a connection string");
		PQfreemem(error);
		return false;
	}
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
		if (o->val != NULL)
			set(o->keyword, o->val);
	PQconninfoFree(options);
	set_session(config);

	int timeout = find("connect_timeout");
	int64_t seconds = 0;
	if (timeout < 0 || !text_int(text_from(target.values[timeout]), &seconds) || seconds <= 0 || seconds > 60)
		seconds = CONNECT_TIMEOUT_S;
	target.connect_timeout_ms = (int)seconds * 1000;

	target.host_at = find("host");
	target.port_at = find("port");
	if (target.host_at < 0 || find("hostaddr") >= 0)
		return true;
	target.hosts = keep(target.values[target.host_at]);
	target.ports = target.port_at >= 0 ? keep(target.values[target.port_at]) : NULL;
	struct text list = text_from(target.hosts);
	for (struct text host; next_of(&list, &host);)
		target.names = target.names || is_name(host);
	target.addr_at = -1;
	return true;
}

static void
lookup_free(struct lookup *lookup)
{
	close(lookup->pipe[0]);
	close(lookup->pipe[1]);
	free(lookup->hosts);
	free(lookup->ports);
	buf_free(&lookup->host);
	buf_free(&lookup->addr);
	buf_free(&lookup->port);
	free(lookup);
}

void
resolve_teardown(void)
{
	if (target.running != NULL) {
		/* Ends by itself; its memory goes with the process. */
		loop_unwatch(target.watch);
		pthread_detach(target.running->thread);
	}
	for (int i = 0; i < target.count; i++) {
		union {
			const char *kept;
			void *freed;
		} keyword = { .kept = target.keywords[i] };
		free(keyword.freed);
		free(target.values[i]);
	}
	free(target.hosts);
	free(target.ports);
	memset(&target, 0, sizeof(target));
}

static void
add_one(struct lookup *lookup, struct text host, struct text port, const char *addr)
{
	bool first = lookup->host.n == 0;
	if (!first) {
		buf_byte(&lookup->host, ',');
		buf_byte(&lookup->addr, ',');
		buf_byte(&lookup->port, ',');
	}
	buf_text(&lookup->host, host);
	buf_puts(&lookup->addr, addr);
	buf_text(&lookup->port, port);
}

static void
look_up_one(struct lookup *lookup, struct text host, struct text port)
{
	char name[256];
	if (!is_name(host)) {
		add_one(lookup, host, port, "");
		lookup->found = true;
		return;
	}
	memcpy(name, host.s, host.n);
	name[host.n] = '\0';
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;
	if (getaddrinfo(name, NULL, &hints, &found) != 0)
		return;
	int n = 0;
	for (const struct addrinfo *a = found; a != NULL && n < MOST_ADDRESSES; a = a->ai_next) {
		char addr[64];
		if (getnameinfo(a->ai_addr, a->ai_addrlen, addr, sizeof(addr), NULL, 0, NI_NUMERICHOST) != 0)
			continue;
		add_one(lookup, host, port, addr);
		lookup->found = true;
		n++;
	}
	freeaddrinfo(found);
}

static void *
look_up(void *of)
{
	struct lookup *lookup = of;
	struct text hosts = text_from(lookup->hosts), ports = text_from(lookup->ports);
	struct text host, port = TEXT("");
	while (next_of(&hosts, &host)) {
		/* One port stands for all hosts. */
		(void)!next_of(&ports, &port);
		look_up_one(lookup, host, port);
	}
	(void)!write(lookup->pipe[1], "", 1);
	return NULL;
}

static void
looked_up(void *unused, int bits)
{
	(void)unused;
	(void)bits;
	struct lookup *lookup = target.running;
	loop_unwatch(target.watch);
	target.running = NULL;
	pthread_join(lookup->thread, NULL);
	bool found = lookup->found;
	if (found) {
		buf_byte(&lookup->host, '\0');
		buf_byte(&lookup->addr, '\0');
		buf_byte(&lookup->port, '\0');
		set("host", lookup->host.s);
		set("hostaddr", lookup->addr.s);
		if (target.ports != NULL)
			set("port", lookup->port.s);
		target.found_ms = loop_now_ms();
	} else {
		log_warn("database: no address found for host %s", target.hosts);
		/* The last known addresses are better than none. */
		found = find("hostaddr") >= 0;
	}
	lookup_free(lookup);
	int n = target.waiting_count;
	target.waiting_count = 0;
	for (int i = 0; i < n; i++)
		target.waiting[i].ready(target.waiting[i].user, found);
}

bool
resolve_fresh(void)
{
	return !target.names || (target.found_ms != 0 && loop_now_ms() - target.found_ms < FRESH_MS);
}

void
resolve_wait(void (*ready)(void *user, bool found), void *user)
{
	PRECOND(target.waiting_count < MOST_WAITING);
	target.waiting[target.waiting_count].ready = ready;
	target.waiting[target.waiting_count++].user = user;
	if (target.running != NULL)
		return;
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	PRECOND(lookup != NULL);
	lookup->hosts = keep(target.hosts);
	lookup->ports = target.ports != NULL ? keep(target.ports) : NULL;
	PRECOND(pipe(lookup->pipe) == 0);
	target.running = lookup;
	target.watch = loop_watch(lookup->pipe[0], LOOP_READ, looked_up, NULL);
	PRECOND(pthread_create(&lookup->thread, NULL, look_up, lookup) == 0);
}

struct db_target
resolve_target(void)
{
	union {
		char *const *ours;
		const char *const *theirs;
	} values = { .ours = target.values };
	target.keywords[target.count] = NULL;
	return (struct db_target){ target.keywords, values.theirs, target.connect_timeout_ms };
}

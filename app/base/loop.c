/*
 * The worker's event loop for everyone else: one-shot timers and level-triggered descriptors on Kore's loop.
 * Kore keeps its timers in a sorted list; ours are a heap behind a single Kore timer, so that thousands cost nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include <kore.h>

#include "base/http.h"
#include "base/loop.h"

struct loop_timer {
	int64_t at_ms;
	uint64_t order; /* among equal times, first come first */
	size_t place;   /* in the heap */
	void (*fire)(void *);
	void *user;
	struct loop_timer *next; /* spare list */
};

struct loop_fd {
	struct kore_event event; /* first: Kore's loop gets this address */
	int fd;
	int want;
	void (*ready)(void *, int bits);
	void *user;
	bool dead;
	struct loop_fd *next; /* dead list */
};

static struct loop_timer **heap;
static size_t heap_n, heap_cap;
static uint64_t heap_order;
static struct loop_timer *spare_timers;
static struct kore_timer *armed;
static int64_t armed_at_ms;
static struct loop_fd *dead_fds;
static bool burying;
static int epoll_fd = -1;

/* Kore keeps its epoll descriptor to itself, and ends the process when a removal fails; libraries do close descriptors before they say so. */
int __wrap_epoll_create(int size);
int __real_epoll_create(int size);
int
__wrap_epoll_create(int size)
{
	epoll_fd = __real_epoll_create(size);
	return epoll_fd;
}

static void *
take(size_t n)
{
	void *p = calloc(1, n);

	PRECOND(p != NULL);
	return p;
}

int64_t
loop_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool
before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void
put(size_t place, struct loop_timer *t)
{
	heap[place] = t;
	t->place = place;
}

static void
up(size_t place)
{
	struct loop_timer *t = heap[place];

	while (place > 0 && before(t, heap[(place - 1) / 2])) {
		put(place, heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	put(place, t);
}

static void
down(size_t place)
{
	struct loop_timer *t = heap[place];

	for (;;) {
		size_t child = place * 2 + 1;

		if (child >= heap_n)
			break;
		if (child + 1 < heap_n && before(heap[child + 1], heap[child]))
			child++;
		if (!before(heap[child], t))
			break;
		put(place, heap[child]);
		place = child;
	}
	put(place, t);
}

static void
take_out(struct loop_timer *t)
{
	size_t place = t->place;
	struct loop_timer *last = heap[--heap_n];

	if (last != t) {
		put(place, last);
		up(place);
		down(last->place);
	}
}

static void run(void *arg, u_int64_t now);

static void
arm(void)
{
	int64_t wait_ms;

	if (heap_n == 0 || (armed != NULL && armed_at_ms <= heap[0]->at_ms))
		return;
	if (armed != NULL)
		kore_timer_remove(armed);
	armed_at_ms = heap[0]->at_ms;
	wait_ms = armed_at_ms - loop_now_ms();
	armed = kore_timer_add(run, wait_ms > 0 ? (u_int64_t)wait_ms : 0, NULL, KORE_TIMER_ONESHOT);
}

static void
run(void *arg, u_int64_t unused)
{
	int64_t now_ms = loop_now_ms();
	uint64_t newest = heap_order;

	(void)arg;
	(void)unused;
	/* Kore frees a one-shot timer itself, after this returns. What fires may ask for more "now": that waits for the next turn. */
	armed_at_ms = INT64_MIN;
	while (heap_n > 0 && heap[0]->at_ms <= now_ms && heap[0]->order <= newest) {
		struct loop_timer *t = heap[0];
		void (*fire)(void *) = t->fire;
		void *user = t->user;

		take_out(t);
		t->next = spare_timers;
		spare_timers = t;
		fire(user);
	}
	armed = NULL;
	arm();
}

struct loop_timer *
loop_after(int64_t ms, void (*fire)(void *), void *user)
{
	struct loop_timer *t = spare_timers;

	if (t != NULL)
		spare_timers = t->next;
	else
		t = take(sizeof(*t));
	if (heap_n == heap_cap) {
		heap_cap = heap_cap > 0 ? heap_cap * 2 : 64;
		heap = realloc(heap, heap_cap * sizeof(*heap));
		PRECOND(heap != NULL);
	}
	t->at_ms = loop_now_ms() + (ms > 0 ? ms : 0);
	t->order = ++heap_order;
	t->fire = fire;
	t->user = user;
	heap[heap_n++] = t;
	up(heap_n - 1);
	arm();
	return t;
}

void
loop_cancel(struct loop_timer *t)
{
	if (t == NULL)
		return;
	take_out(t);
	t->next = spare_timers;
	spare_timers = t;
}

static void
handle(void *arg, int error)
{
	struct loop_fd *w = arg;
	int bits = 0;

	if ((w->event.flags & KORE_EVENT_READ) != 0)
		bits |= LOOP_READ;
	if ((w->event.flags & KORE_EVENT_WRITE) != 0)
		bits |= LOOP_WRITE;
	w->event.flags = 0; /* Kore only ever adds to them */
	if (error)
		bits = LOOP_READ | LOOP_WRITE;
	if (!w->dead && bits != 0)
		w->ready(w->user, bits);
}

static void
control(int operation, struct loop_fd *w, int want)
{
	struct epoll_event e = { .events = 0, .data.ptr = w };

	if ((want & LOOP_READ) != 0)
		e.events |= EPOLLIN;
	if ((want & LOOP_WRITE) != 0)
		e.events |= EPOLLOUT;
	(void)epoll_ctl(epoll_fd, operation, w->fd, &e);
}

struct loop_fd *
loop_watch(int fd, int want, void (*ready)(void *, int bits), void *user)
{
	struct loop_fd *w = take(sizeof(*w));

	w->event.type = 0;
	w->event.handle = handle;
	w->fd = fd;
	w->ready = ready;
	w->user = user;
	w->want = want;
	control(EPOLL_CTL_ADD, w, want);
	return w;
}

void
loop_want(struct loop_fd *w, int want)
{
	if (w->want == want)
		return;
	w->want = want;
	control(EPOLL_CTL_MOD, w, want);
}

static void
bury(void *unused)
{
	(void)unused;
	burying = false;
	while (dead_fds != NULL) {
		struct loop_fd *w = dead_fds;

		dead_fds = w->next;
		free(w);
	}
}

void
loop_unwatch(struct loop_fd *w)
{
	if (w == NULL || w->dead)
		return;
	control(EPOLL_CTL_DEL, w, 0);
	/* This turn of the loop may still hold an event for it. */
	w->dead = true;
	w->next = dead_fds;
	dead_fds = w;
	if (!burying) {
		burying = true;
		(void)loop_after(0, bury, NULL);
	}
}

void
loop_alone(void)
{
	kore_mem_init();
	kore_connection_init();
	kore_platform_event_init();
	kore_timer_init();
}

void
loop_turn(int64_t most_ms)
{
	u_int64_t wait_ms = kore_timer_next_run(kore_time_ms());

	if (wait_ms == KORE_WAIT_INFINITE || wait_ms > (u_int64_t)most_ms)
		wait_ms = (u_int64_t)most_ms;
	kore_platform_event_wait(wait_ms);
	kore_timer_run(kore_time_ms());
	kore_connection_prune(KORE_CONNECTION_PRUNE_DISCONNECT);
}

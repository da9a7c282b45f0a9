/* The loop's promises (base/http.h) on a small epoll of the test's own, so that modules on the loop run without Kore. Include it once in a test. */
#ifndef TINY_LOOP_H
#define TINY_LOOP_H
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/http.h"
#include "base/loop.h"

#define CHECK(x) ((x) ? (void)0 : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x), exit(1)))

struct loop_timer {
	struct loop_timer *next;
	int64_t at;
	void (*fire)(void *);
	void *user;
};
struct loop_fd {
	struct loop_fd *garbage, *before, *after;
	int fd;
	bool gone;
	void (*ready)(void *, int);
	void *user;
};

static struct loop_timer *tiny_timers;
static struct loop_fd *tiny_garbage;
static struct loop_fd *tiny_watched;
static int tiny_epoll = -1;
static int64_t tiny_shift_ms; /* added to both clocks */

int64_t
loop_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + tiny_shift_ms;
}

int64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + tiny_shift_ms;
}

struct loop_timer *
loop_after(int64_t ms, void (*fire)(void *), void *user)
{
	struct loop_timer *t = calloc(1, sizeof(*t));
	struct loop_timer **at = &tiny_timers;

	CHECK(t != NULL);
	t->at = loop_now_ms() + ms;
	t->fire = fire;
	t->user = user;
	while (*at != NULL && (*at)->at <= t->at)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	return t;
}

void
loop_cancel(struct loop_timer *timer)
{
	struct loop_timer **at = &tiny_timers;

	while (*at != NULL && *at != timer)
		at = &(*at)->next;
	CHECK(*at == timer);
	*at = timer->next;
	free(timer);
}

static uint32_t
tiny_events(int want)
{
	return ((want & LOOP_READ) != 0 ? EPOLLIN : 0u) | ((want & LOOP_WRITE) != 0 ? EPOLLOUT : 0u);
}

struct loop_fd *
loop_watch(int fd, int want, void (*ready)(void *, int), void *user)
{
	struct loop_fd *w = calloc(1, sizeof(*w));
	struct epoll_event event = { .events = tiny_events(want), .data.ptr = w };

	CHECK(w != NULL);
	if (tiny_epoll == -1)
		tiny_epoll = epoll_create1(EPOLL_CLOEXEC);
	w->fd = fd;
	w->ready = ready;
	w->user = user;
	CHECK(epoll_ctl(tiny_epoll, EPOLL_CTL_ADD, fd, &event) == 0);
	w->after = tiny_watched;
	if (tiny_watched != NULL)
		tiny_watched->before = w;
	tiny_watched = w;
	return w;
}

void
loop_want(struct loop_fd *w, int want)
{
	struct epoll_event event = { .events = tiny_events(want), .data.ptr = w };

	CHECK(epoll_ctl(tiny_epoll, EPOLL_CTL_MOD, w->fd, &event) == 0);
}

void
loop_unwatch(struct loop_fd *w)
{
	epoll_ctl(tiny_epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->gone = true;
	if (w->after != NULL)
		w->after->before = w->before;
	*(w->before != NULL ? &w->before->after : &tiny_watched) = w->after;
	w->garbage = tiny_garbage;
	tiny_garbage = w;
}

void
loop_turn(int64_t most_ms)
{
	struct epoll_event events[16];
	struct loop_fd *w;
	int64_t wait = tiny_timers != NULL ? tiny_timers->at - loop_now_ms() : most_ms;
	int i, n;

	if (wait > most_ms)
		wait = most_ms;
	if (tiny_epoll == -1)
		tiny_epoll = epoll_create1(EPOLL_CLOEXEC);
	n = epoll_wait(tiny_epoll, events, 16, wait < 0 ? 0 : (int)wait);
	CHECK(n >= 0 || errno == EINTR);
	for (i = 0; i < n; i++) {
		int bits = ((events[i].events & EPOLLIN) != 0 ? LOOP_READ : 0) | ((events[i].events & EPOLLOUT) != 0 ? LOOP_WRITE : 0);

		w = events[i].data.ptr;
		if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0)
			bits = LOOP_READ | LOOP_WRITE;
		if (!w->gone)
			w->ready(w->user, bits);
	}
	while (tiny_timers != NULL && tiny_timers->at <= loop_now_ms()) {
		struct loop_timer *t = tiny_timers;

		tiny_timers = t->next;
		t->fire(t->user);
		free(t);
	}
	while ((w = tiny_garbage) != NULL) {
		tiny_garbage = w->garbage;
		free(w);
	}
}

static inline void
tiny_turn(void)
{
	loop_turn(1000);
}

/* Turns until *flag; a minute without it is a failure. */
static inline void
tiny_until(const bool *flag)
{
	int64_t start = loop_now_ms() - tiny_shift_ms;

	while (!*flag) {
		tiny_turn();
		CHECK(loop_now_ms() - tiny_shift_ms - start < 60000);
	}
}
#endif

/* A small pool of threads; results come back to the loop by an eventfd. */
#include "base/task.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/http.h"
#include "base/log.h"
#include "base/text.h"

/* Enough to keep a disk's queue busy while a directory walk runs beside it. */
#define THREADS_MOST 4
#define STACK_BYTES ((size_t)256 * 1024)

struct task {
	struct task *next;
	void (*work)(void *);
	void (*done)(void *);
	void *user;
};

struct queue {
	struct task *first;
	struct task **last;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static struct queue waiting; /* under lock */
static struct queue ready;   /* under lock */
static size_t idle;          /* under lock */
static size_t threads;
static size_t pending;
static int wake = -1;

static void
queue_put(struct queue *q, struct task *t)
{
	t->next = NULL;
	if (q->first == NULL)
		q->last = &q->first;
	*q->last = t;
	q->last = &t->next;
}

static struct task *
queue_take(struct queue *q)
{
	struct task *t = q->first;

	if (t != NULL)
		q->first = t->next;
	return t;
}

static void *
thread_main(void *unused)
{
	const uint64_t one = 1;
	struct task *t;

	(void)unused;
	pthread_mutex_lock(&lock);
	for (;;) {
		while ((t = queue_take(&waiting)) == NULL) {
			idle++;
			pthread_cond_wait(&more, &lock);
			idle--;
		}
		pthread_mutex_unlock(&lock);
		t->work(t->user);
		pthread_mutex_lock(&lock);
		queue_put(&ready, t);
		if (write(wake, &one, sizeof(one)) < 0) {
			/* EAGAIN: the counter is full, so the loop is awake already. */
		}
	}
	return NULL;
}

static void
deliver(void *unused, int bits)
{
	uint64_t count;
	struct task *t;

	(void)unused;
	(void)bits;
	if (read(wake, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
		log_error("task: eventfd: %s", strerror(errno));
	for (;;) {
		pthread_mutex_lock(&lock);
		t = queue_take(&ready);
		pthread_mutex_unlock(&lock);
		if (t == NULL)
			return;
		pending--;
		t->done(t->user);
		free(t);
	}
}

/* Without a thread (a limit of the machine) the work is done at the end of this turn of the loop: slow, but right. */
static void
run_here(void *user)
{
	struct task *t = user;

	t->work(t->user);
	pending--;
	t->done(t->user);
	free(t);
}

static void
thread_start(void)
{
	pthread_attr_t attr;
	pthread_t id;
	sigset_t all, before;
	int rc;

	/* Signals belong to the loop's thread, but for those that a thread's own fault raises. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	rc = pthread_create(&id, &attr, thread_main, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0)
		threads++;
	else
		log_warn("task: no thread: %s", strerror(rc));
}

static bool
setup(void)
{
	if (wake != -1)
		return true;
	wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (wake == -1) {
		log_error("task: eventfd: %s", strerror(errno));
		return false;
	}
	PRECOND(loop_watch(wake, LOOP_READ, deliver, NULL) != NULL);
	return true;
}

void
task_run(void (*work)(void *), void (*done)(void *), void *user)
{
	struct task *t = calloc(1, sizeof(*t));
	bool short_of;

	PRECOND(t != NULL);
	t->work = work;
	t->done = done;
	t->user = user;
	pending++;
	if (!setup()) {
		loop_after(0, run_here, t);
		return;
	}
	pthread_mutex_lock(&lock);
	short_of = idle == 0 && threads < THREADS_MOST;
	pthread_mutex_unlock(&lock);
	if (short_of)
		thread_start();
	if (threads == 0) {
		loop_after(0, run_here, t);
		return;
	}
	pthread_mutex_lock(&lock);
	queue_put(&waiting, t);
	pthread_cond_signal(&more);
	pthread_mutex_unlock(&lock);
}

size_t
task_pending(void)
{
	return pending;
}

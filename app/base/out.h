#ifndef BASE_OUT_H
#define BASE_OUT_H
/*
 * Outgoing HTTP(S) on the worker's loop: one libcurl multi, connections kept alive, bodies streamed both ways with back-pressure, repeats as Google prescribes
 * (408, 429, 5xx, time-outs, resets; exponential, with jitter; Retry-After honoured). No callback runs from within the call that caused it.
 */
#include "base/text.h"

struct out_call;

struct out_header {
	const char *name;
	struct text value;
};

struct out_answer {
	int status;         /* 0: no answer came; why says what happened */
	const char *why;    /* never holds a URL */
	struct text body;   /* what was collected */
	bool sent_nothing;  /* status 0 and not a byte of a streamed body was taken */
};

struct out_request {
	const char *method;
	struct text url; /* copied; never logged */
	const struct out_header *headers; /* copied */
	size_t header_count;
	struct text body;  /* whole body, copied */
	bool has_body;     /* send Content-Length even when body is empty */
	bool stream;       /* the body comes by out_give() and out_end(); not repeated */
	int64_t length;    /* of a streamed body; -1: chunked */
	bool repeat;       /* may be sent again after a failure that passes */
	int64_t budget_ms; /* stop repeating after this long; 0: 32 s */
	int64_t idle_ms;   /* give up when nothing moves for this long; 0: 60 s */
	int64_t connect_ms; /* 0: 10 s */
	size_t body_most;  /* collect at most this much of the answer; 0: 4 MiB */
	/* All may be NULL but done. */
	void (*head)(void *user, struct out_call *, int status); /* final status and headers; before any data() */
	bool (*data)(void *user, const void *bytes, size_t n);   /* bytes of a 2xx answer instead of collecting; false: pause until out_resume() */
	void (*room)(void *user);                                /* after out_give() said false */
	void (*done)(void *user, struct out_call *, const struct out_answer *); /* the call is freed afterwards */
	void *user;
};

/* Owned by out.c until done() has returned or out_cancel() is called. */
struct out_call *out_send(const struct out_request *);
/* Copies; false when no more is wanted until room(). What is given after a failure is dropped. */
bool out_give(struct out_call *, const void *bytes, size_t n);
void out_end(struct out_call *);
void out_resume(struct out_call *);
/* Forgets the call: no callback any more. A streamed body is cut, so that the peer sees it as incomplete. */
void out_cancel(struct out_call *);
/* A header of the answer, lower-case name; TEXT_NONE when absent. Valid until done() returns. */
struct text out_answer_header(const struct out_call *, const char *name);

/* The times between repeats: first, most, and the default budget. For tests with no patience. */
void out_tune(int64_t first_ms, int64_t most_ms, int64_t budget_ms);
/* Calls under way, for /metrics. */
size_t out_active(void);
/* Bytes sent and received as bodies since start. */
extern uint64_t out_bytes_sent, out_bytes_received;
#endif

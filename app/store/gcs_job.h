#ifndef STORE_GCS_JOB_H
#define STORE_GCS_JOB_H
/*
 * Inside of the bucket store: one operation as its parts see it. Nobody but app/store/gcs*.c includes this.
 *   gcs.c            opens a bucket               gcs_write.c      put
 *   gcs_job.c        life, token, requests        gcs_sign.c       signed addresses and their cache
 *   gcs_read.c       stat, get                    gcs_multipart.c  uploads in parts
 *   gcs_walk.c       list, usage, remove, sweep   gcs_check.c      the check at start
 */
#include "base/http.h"
#include "base/log.h"
#include "base/out.h"
#include "store/gcp_token.h"
#include "store/gcs.h"
#include "store/store.h"
#include "store/v4sign.h"

/* The most that a page of a list holds, of objects and of parts. */
#define GCS_PAGE "1000"
#define GCS_DELETES_WIDE 16
/* Pairs of the query, and headers, that one request has at most. */
#define GCS_ASK_MOST 8

struct loop_timer;
struct cached;

/* One bucket, opened. Never freed. */
struct gcs {
	struct store store;
	struct gcp *gcp;
	char *bucket;
	char *prefix; /* "" or "path/" */
	char *scheme, *host;
	struct cached *cache; /* gcs_sign.c; NULL until it is wanted */
};

struct job;

/* remove: a DELETE under way. */
struct flight {
	struct job *job;
	struct out_call *call;
	int64_t size;
};

struct name {
	char *s;
	char *upload; /* sweep: the bucket's id of it */
	int64_t size;
	int64_t generation; /* 0: not said */
	bool is_dir;
};

/* What an upload_id of ours stands for; the letter is in it. */
enum upload_kind { UPLOAD_EMPTY = 'e', UPLOAD_SINGLE = 's', UPLOAD_PARTS = 'm' };

/* One operation. Owned by itself: freed after done() or by abort, which cancels all it has under way. */
struct job {
	struct gcs *gcs;
	struct store_op *op;
	char *object;
	enum store_result result;
	char why[256];
	struct out_call *call, *look;
	struct gcp_wait *wait;
	struct gcp_sign *sign;
	struct loop_timer *timer;
	void (*go)(struct job *); /* what the token is for */
	void (*answered)(void *, struct out_call *, const struct out_answer *); /* who gets the answer, where go() serves several: looks, pages */
	struct buf token; /* the one the last request went with */
	bool second_token, finished;
	bool *freed;                      /* set when the job is freed below a callback */
	int64_t size;                     /* the object's, as far as known; complete: what its parts add up to; else -1 */
	int64_t bytes, objects, replaced; /* for the op */
	/* get, put */
	int64_t length; /* asked for, or announced; -1 */
	uint32_t crc;   /* of what went through so far */
	/* get */
	int64_t offset, delivered, expected;
	int resumes;
	bool told, summing;
	uint32_t crc_wanted;
	/* put */
	struct buf small; /* collected bytes: all of a small object, the beginning of a big one until its request is out */
	char *type;       /* multipart too */
	int64_t given;
	bool streaming, ended, held;
	bool overwrite; /* small: something is there, and is to be replaced */
	int64_t over;   /* the generation that an overwriting put replaces; 0: whatever is there */
	int looks;
	/* lists, remove, sweep */
	struct name *names;
	size_t name_count, name_cap;
	struct buf page; /* where the next page begins, in the bucket's words; of the list of parts too */
	bool recursive, more, count_only;
	size_t next_delete;
	struct flight flights[GCS_DELETES_WIDE];
	/* signatures */
	int64_t ttl_s;
	struct buf *urls;
	size_t url_count;
	bool cacheable; /* urls[0] leads to one generation of the object */
	/* multipart, sweep */
	struct buf upload; /* the bucket's id of it; sweep: where the next page begins, with `page` */
	int64_t begun_s;   /* when it began; sweep: only those from before */
	/* multipart */
	enum upload_kind kind;
	int parts;
	struct store_part *listed;
	int64_t *listed_size;
	size_t listed_count;
	const struct store_part *given_parts;
	size_t given_part_count;
};

/* One request to the bucket. What it points to need only live until gcs_ask_send() has returned. */
struct ask {
	const char *method;
	const char *object; /* NULL: the bucket itself */
	struct v4_pair query[GCS_ASK_MOST];
	size_t query_count;
	struct out_header headers[GCS_ASK_MOST + 3]; /* with those that gcs_ask_send() adds */
	size_t header_count;
	char generation[24]; /* its text, for query or header */
	struct text body;
	bool has_body, stream, repeat;
	int64_t length;
	/* As in struct out_request. */
	void (*head)(void *, struct out_call *, int status);
	bool (*data)(void *, const void *bytes, size_t n);
	void (*room)(void *);
	void (*done)(void *, struct out_call *, const struct out_answer *);
	void *user; /* NULL: the job */
};

/* ---- gcs_job.c: the life of a job ---- */

struct job *gcs_job_new(struct store *, struct text key, struct store_op *);
void gcs_job_free(struct job *);
/* The first call counts; the op's done() follows from the loop. */
void gcs_finish(struct job *, enum store_result, const char *why);
/* Runs go() with a valid token at hand: now, or when there is one. Not when the job is finished. */
void gcs_with_token(struct job *, void (*go)(struct job *));
/* The bucket did not take the token: once more with a new one. True when it is being done. */
bool gcs_renewed(struct job *, const struct out_answer *);
/* Ends the job by what a refusal means. `permission` is named when the bucket says 403. */
void gcs_refused(struct job *, const struct out_answer *, const char *permission);
/* Renewed or, when that is of no use, refused. */
void gcs_failed(struct job *, const struct out_answer *, const char *permission);
/* The same of a request that makes an object: 404 can only mean the bucket. */
void gcs_write_refused(struct job *, const struct out_answer *, const char *permission);
bool gcs_good(int status);
/* After a DELETE. 412: another has written it anew meanwhile. */
bool gcs_gone(int status);
void gcs_names_free(struct job *);
/* Empty: bytes of any kind. */
void gcs_type_set(struct job *, struct text type);

void gcs_ask_query(struct ask *, const char *name, struct text value);
void gcs_ask_header(struct ask *, const char *name, struct text value);
/* How the object is to be served: its type, and that nobody in between keeps or changes it. */
void gcs_ask_type(struct ask *, const struct job *);
/* This generation of the object; 0: whatever is there. */
void gcs_ask_generation(struct ask *, uint64_t generation);
/* Only when this generation is there; 0: only when nothing is. */
void gcs_ask_match(struct ask *, int64_t generation);
struct out_call *gcs_ask_send(struct job *, struct ask *);
/* A look: HEAD on the job's object, with a token. */
void gcs_look(struct job *, void (*answered)(void *, struct out_call *, const struct out_answer *));
struct out_call *gcs_look_send(struct job *, bool repeat, void (*done)(void *, struct out_call *, const struct out_answer *));
/* "/bucket/object", not encoded. */
void gcs_object_path(const struct gcs *, const char *object, struct buf *out);

void gcs_answer_stat(const struct out_call *, struct store_stat *);
bool gcs_answer_crc(const struct out_call *, uint32_t *crc) must_check;
/* From a look before the write: what it will replace, for the accounts. */
void gcs_note_replaced(struct job *, struct out_call *, const struct out_answer *);

/* ---- gcs_write.c, gcs_sign.c: what other parts need of them ---- */

/* j->small to the object, in one piece. */
void gcs_put_small(struct job *);
/* The object is in the bucket: forgets its cached addresses, ends the job. */
void gcs_put_stored(struct job *, int64_t size);

/* After our own write or removal. */
void gcs_cache_drop(struct gcs *, const char *object);
/* Whether addresses can be signed, for ttl_s or the most that is allowed (j->ttl_s); else the job is finished. */
bool gcs_can_sign(struct job *, int64_t ttl_s) must_check;
/* One address of the object, prepared for its signature. */
void gcs_sign_prepare(struct job *, const char *method, const struct v4_pair *query, size_t n, struct buf *url, struct buf *to_sign);
/* The job ends with signed addresses: of the object; of each part of j->upload. */
void gcs_sign_one(struct job *, const char *method, const struct v4_pair *query, size_t n);
void gcs_sign_parts(struct job *);
/* IAM does not let us sign: everything goes through the server, and a minute later it is tried again. False: it was something else. */
bool gcs_sign_rests(struct gcs *);

/* ---- the store's functions: see store.h ---- */

void gcs_stat(struct store *, struct text key, struct store_op *);
void gcs_get(struct store *, struct text key, int64_t offset, int64_t length, struct store_op *);
void gcs_resume(struct store_op *);
void gcs_put(struct store *, struct text key, int64_t length, struct text content_type, struct store_op *);
bool gcs_put_bytes(struct store_op *, const void *bytes, size_t n);
void gcs_put_end(struct store_op *);
void gcs_abort(struct store_op *);
void gcs_list(struct store *, struct text key, struct store_op *);
void gcs_usage(struct store *, struct text key, struct store_op *);
void gcs_remove(struct store *, struct text key, struct store_op *);
void gcs_sweep(struct store *, int64_t before_ms, bool count_only, struct store_op *);
void gcs_sign_get(struct store *, struct text key, int64_t ttl_s, struct store_op *);
void gcs_sign_put(struct store *, struct text key, int64_t ttl_s, struct store_op *);
void gcs_multipart_create(struct store *, struct text key, int parts, struct text content_type, struct store_op *);
void gcs_multipart_complete(struct store *, struct text key, struct text upload_id, const struct store_part *parts, size_t n, struct store_op *);
void gcs_multipart_abort(struct store *, struct text key, struct text upload_id, struct store_op *);
void gcs_check(struct store *, void (*done)(void *user, bool usable, struct text report), void *user);
#endif

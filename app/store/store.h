#ifndef STORE_STORE_H
#define STORE_STORE_H
/*
 * Where artifacts lie: one struct of functions, two stores (local folder, Google Cloud Storage). Keys are checked, relative, decoded paths (artifact_key()).
 * Everything is asynchronous: an op's done() is called from the loop, never from within the call that started it.
 */
#include "base/text.h"

struct arena;

enum store_result {
	STORE_OK,
	STORE_MISSING,     /* no such object */
	STORE_DENIED,      /* bucket refused: permission in op->why, e.g. "storage.objects.delete" */
	STORE_BUSY,        /* bucket or disk away, or out of retries: 503, Retry-After */
	STORE_FULL,        /* no space: 507 */
	STORE_BAD,         /* the request makes no sense (bad part list, directory where a file was meant): 400, why */
	STORE_RANGE,       /* range not satisfiable */
	STORE_CORRUPT,     /* checksum or size differs: 502; nothing is visible */
	STORE_UNSUPPORTED  /* the store cannot (sign, multipart): 501 */
};

struct store_stat {
	int64_t size;
	int64_t mtime_ms;
	uint64_t generation; /* GCS; local: inode-mtime mix */
	bool encoded;        /* stored with a Content-Encoding: never hand out ranges */
	char encoding[16];   /* that encoding ("gzip"): the bytes are handed on as they are stored */
	char etag[72];       /* without quotes */
};
struct store_entry {
	struct text name; /* last segment */
	bool is_dir;
	int64_t size;
};
struct store_part {
	int number;
	struct text etag;
};
struct store_signed {
	struct text url;
	int64_t size; /* for GET: of the object (also when encoded: -1) */
};

#define STORE_REPLACED_UNKNOWN (-1)
#define STORE_REPLACED_NONE (-2)

struct store;
struct store_op {
	struct arena *arena;
	void *user;
	void (*done)(struct store_op *, enum store_result);
	char why[256]; /* reason in the client's terms; never a URL with a signature */
	/* results */
	struct store_stat stat;
	int fd;                       /* local get: open file for sendfile, or -1: bytes come through data() */
	struct store_entry *entries;  /* list */
	size_t entry_count;
	struct store_signed *urls;    /* sign, multipart_create: one per part */
	size_t url_count;
	struct text upload_id;        /* multipart_create */
	int64_t bytes;                /* put, multipart_complete, usage: bytes; remove: bytes removed */
	int64_t objects;              /* remove, usage: how many objects */
	int64_t replaced;             /* put, complete: bytes of the object that was there before, or one of the two below */
	/* get through the server (fd == -1): each piece; return false to pause, store_resume() goes on. head() comes first, with op->stat set. */
	void (*head)(struct store_op *);
	bool (*data)(struct store_op *, const void *bytes, size_t n);
	/* put: called when the store can take more; give bytes by store_put_bytes() */
	void (*room)(struct store_op *);
	void *priv; /* the store's; NULL when nothing is under way */
};

struct store {
	const char *scheme; /* "file" or "gs" */
	bool can_sign;      /* signed URLs and multipart */
	void (*stat)(struct store *, struct text key, struct store_op *);
	/* offset/length: length -1 = to the end */
	void (*get)(struct store *, struct text key, int64_t offset, int64_t length, struct store_op *);
	/* length -1 = unknown (chunked). Nothing is visible before done(STORE_OK). Bytes may be given as soon as put() has returned. done() may come early with an error; later bytes are dropped. */
	void (*put)(struct store *, struct text key, int64_t length, struct text content_type, struct store_op *);
	/* returns false when it wants no more until room(); the bytes given are always taken */
	bool (*put_bytes)(struct store_op *, const void *bytes, size_t n);
	void (*put_end)(struct store_op *);
	/* client gone or error: forget the op, leave nothing visible; done() is not called */
	void (*abort)(struct store_op *);
	void (*resume)(struct store_op *);
	/* direct children of folder `key` ("" = the root), sorted by name; missing or a file: STORE_OK with none */
	void (*list)(struct store *, struct text key, struct store_op *);
	/* a file, or a folder with all below; missing is STORE_OK */
	void (*remove)(struct store *, struct text key, struct store_op *);
	/* signed GET (size and generation are looked up) or PUT */
	void (*sign_get)(struct store *, struct text key, int64_t ttl_s, struct store_op *);
	void (*sign_put)(struct store *, struct text key, int64_t ttl_s, struct store_op *);
	void (*multipart_create)(struct store *, struct text key, int parts, struct text content_type, struct store_op *);
	void (*multipart_complete)(struct store *, struct text key, struct text upload_id, const struct store_part *parts, size_t n, struct store_op *);
	void (*multipart_abort)(struct store *, struct text key, struct text upload_id, struct store_op *);
	/* unfinished multipart uploads begun before `before_ms` (wall clock): aborted, or only counted: op->objects */
	void (*sweep)(struct store *, int64_t before_ms, bool count_only, struct store_op *);
	void (*check)(struct store *, void (*done)(void *user, bool usable, struct text report), void *user);
	/* every object below key, recursive, for usage and gc: op->bytes, op->objects */
	void (*usage)(struct store *, struct text key, struct store_op *);
	void *priv;
};

/* In the worker, after the loop is up. destination: folder or gs://bucket/path. NULL with a message in why (of n bytes). */
struct store *store_open(const char *destination, char *why, size_t n);
/* A store for a gs://bucket/path that is an experiment's own root (direct mode): list, get, sign with the server's credentials. Cached by bucket. */
struct store *store_for_uri(struct text uri, struct text *key_prefix, char *why, size_t n);

/* Tries what the server will need (permissions, a signature, a writable folder) and says in plain lines what will not work. usable: false when nothing will. */
void store_check(struct store *, void (*done)(void *user, bool usable, struct text report), void *user);

/*
 * Checks a decoded artifact path (percent-decoding was done once by the caller) and copies it to *key: UTF-8, relative, no empty, "." or ".." segment, no control bytes, backslash, '#', drive letter,
 * no remaining %2e %2f %5c %00, segments <= 255 bytes, whole <= 1,024 bytes. An empty path is allowed only with allow_empty. False: *why says what is wrong, or is empty where
 * MLflow refuses too, with the two words "Invalid path".
 */
bool artifact_key(struct arena *, struct text path, bool allow_empty, struct text *key, const char **why) must_check;
/* Content type by file name as MLflow serves it (text-like names are text/plain). */
const char *artifact_type(struct text name);
#endif

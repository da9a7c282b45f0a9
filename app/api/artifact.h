#ifndef API_ARTIFACT_H
#define API_ARTIFACT_H
/* What the artifact routes share: where a URI lies, one operation of a store as a step, sending a file. */
#include "engine/call.h"
#include "store/store.h"

/* State of a call that works on artifacts: call->state. */
struct artifact {
	struct call *call;
	struct store *store;
	struct text key;      /* in the store */
	struct text prefix;   /* of the run or model, in the store's keys; "" for the proxy routes */
	struct text root_uri; /* as clients know it */
	struct text path;     /* relative to the root, as asked */
	struct store_op op;
	bool busy;            /* an operation is under way: it holds the call */
	enum next (*then)(struct artifact *, enum store_result);
	/* sending */
	bool streaming;
	bool moved; /* replaced between our look and our read of a part of it */
	bool view;   /* for a page: through the server as long as it is small */
	bool framed; /* ?view=1: shown in a frame of our page rather than saved */
	struct store_stat stat;
	int64_t from, length; /* what is asked of the file */
	int status;
	/* receiving */
	bool paused, over, body_ended;
	int64_t received;
	/* a listing */
	bool relative; /* names with the asked path before them */
	void *user;    /* of who works on more than one file */
};

/* The proxy's store, opened when first asked for. NULL: call->fail is set. */
struct store *artifact_store(struct call *);
/* The store and key an artifact URI means; NULL when it is none of ours (why is empty) or cannot be used (why says). */
struct store *artifact_place(struct text uri, struct text *prefix, char *why, size_t n);
/* A path as a key, or MLflow's refusal. */
bool artifact_path_valid(struct call *, struct text path, bool allow_empty, struct text *key) must_check;
/* A path below a run or a model. A folder's, when it may be empty: slashes at its end and a dot alone are nothing. */
bool artifact_below_valid(struct call *, struct text path, bool allow_empty, struct text *key) must_check;
/* call->state for a key in the proxy's store. False: call->fail is set. */
bool artifact_proxied(struct call *, struct text path, bool allow_empty, struct artifact **) must_check;
/* The same for a path below an artifact URI that the database gave. */
bool artifact_at(struct call *, struct text uri, struct text path, bool allow_empty, struct artifact **) must_check;
/* Begins an operation whose end goes to `then`; set a->op's callbacks before. The caller starts the store's function afterwards and returns WAIT. */
struct store_op *artifact_begin(struct artifact *, enum next (*then)(struct artifact *, enum store_result));
enum next artifact_failed(struct artifact *, enum store_result);
/* Content-Disposition for the last segment of a key, in MLflow's form: a bare token, else quoted; names beyond ASCII get an ASCII one and the real one (RFC 6266). */
struct text artifact_disposition(struct arena *, struct text key);
/* Sends a->key: from the disk, streamed, or by redirect. */
enum next artifact_send(struct artifact *);
/* {"files":[...]} or {"root_uri":...,"files":[...]} */
enum next artifact_list(struct artifact *);
/* Opens the store and says what will not work. */
void artifacts_start(void);
/* Whether clients may be told to go past the server, to addresses that it signs. */
bool artifacts_direct(void);
#endif

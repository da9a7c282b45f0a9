#ifndef BASE_DB_H
#define BASE_DB_H
/*
 * PostgreSQL on the worker's loop: non-blocking libpq in pipeline mode, prepared statements, binary parameters and results.
 * A worker has db_config.read_lanes and .write_lanes connections and one listener.
 * Reads: each op is sent at once on the least busy read lane, with its own Sync. A cancel that hits the op behind the one that was meant has it sent again.
 * Writes: what arrives while a lane's batch is in flight becomes its next batch: ops that share a merger are made one op by it, the rest are sent one after the other,
 * all sorted by `order` (so that row locks are taken in one order), then one Sync: one transaction, one commit. If the batch fails as a whole, its ops are run one by one.
 */
#include <libpq-fe.h>
#include "base/text.h"

enum db_outcome {
	DB_OK,      /* committed (writes) or read; result is there */
	DB_FAILED,  /* PostgreSQL refused: result carries SQLSTATE; nothing was stored */
	DB_AWAY,    /* no connection within wait_ms: surely not done. 503 */
	DB_UNKNOWN  /* the connection broke after it was sent: may be done (writes only; reads are repeated by the layer) */
};

/* A statement of sql/queries, made at build (build/sql_queries.h): prepared on a lane at first use. */
struct db_statement {
	const char *name;
	const char *sql;
	int params;
	uint32_t slot; /* index in the generated table: lanes remember by it what they prepared */
};
extern const struct db_statement db_statements[];
extern const size_t db_statement_count;

struct db_param {
	const void *bytes; /* NULL = SQL null */
	int n;
	bool text;  /* format: false = binary in PostgreSQL's send format */
	Oid type;   /* of unprepared text; 0 = let the server infer. Prepared statements are always inferred, so that the first caller's NULL decides nothing */
};

struct db_op;
struct db_merger {
	/* Turns n ops (in queue order, all with this merger) into one by filling `out` (statement, params; memory from its own malloc, freed in split()). */
	void (*merge)(struct db_op **ops, size_t n, struct db_op *out);
	/* The merged op ended: frees what merge() made and calls done() of each op. When the batch failed the layer runs its ops again in smaller parts, at last each through
	 * merge() alone; then split() is called with n = 0 for the failed attempt, only to free. A forgotten op is a stand-in here: params are copies, user is NULL. */
	void (*split)(struct db_op **ops, size_t n, struct db_op *merged, PGresult *result, enum db_outcome outcome);
	size_t most; /* ops in one merged op at most */
	int rank;    /* its own; the lower ones come first in a batch, so that all take the same kinds of locks in the same order */
	bool apart;  /* ops of the same order go into several, one after the other */
};
/* For statements that take an array for each parameter (null: nothing but nulls) and answer at most one row for each element, whose first column says which, from 1: op->row is where its row is. */
void db_rows_merge(struct db_op **ops, size_t n, struct db_op *out);
void db_rows_split(struct db_op **ops, size_t n, struct db_op *merged, PGresult *result, enum db_outcome outcome);

/* One execution of one statement. Owned by the caller; must stay put until done(). */
struct db_op {
	const struct db_statement *statement; /* or NULL and: */
	const char *sql;                      /* or text (search), parameters only */
	bool steady;                          /* with sql: one of a few texts whose plan does not depend on the values; a lane prepares it when it comes a second time */
	const struct db_param *params;
	int param_count;
	struct text order; /* writes: lock order, e.g. the run id */
	const struct db_merger *merger; /* writes: or NULL */
	int64_t timeout_ms; /* reads: statement timeout; 0 = the default */
	const bool *gone; /* reads: true when nobody waits for it any more: what is long already is canceled then, and done() comes early. Or NULL */
	/* Result is cleared by the layer after done(); NULL unless DB_OK or DB_FAILED. May submit new ops. */
	void (*done)(struct db_op *, PGresult *result, enum db_outcome outcome);
	void *user;
	int row; /* of the result, the first that is this op's; -1: none (db_rows_split()) */
	/* the layer's */
	struct db_op *next;
	int64_t since_ms;
	int tries;
	int lane;
};

void db_read(struct db_op *);
void db_write(struct db_op *);
/* A read that may take long or wait for a lock, on the listener's connection: no request's read stands behind it. */
void db_background(struct db_op *);
/* The same for a command that must be alone in its transaction, such as vacuum; fire and forget. */
void db_background_command(const char *command);
/* The caller no longer cares (client gone): done() will not be called and nothing of the op is touched any more. A write is still carried out, from the layer's own copy. */
void db_forget(struct db_op *);

struct db_config {
	const char *uri;   /* libpq connection string or URI */
	int read_lanes;
	int write_lanes;
	bool listener;
	int64_t wait_ms;   /* 3000: how long an op waits for a lost database before DB_AWAY */
	const char *application_name;
	int64_t statement_timeout_ms; /* 0 = 30000 */
};
void db_start(const struct db_config *); /* in the worker; connects without blocking */
void db_stop(void);
bool db_ready(void);
/* For each new connection of writes, before a batch goes over it: what is remembered of the database may have become wrong meanwhile, as when it was restored. The
 * statement that it returns (or NULL) gives one boolean: is this the database that the process has known? If not, the process ends, and Kore starts another one that remembers nothing. */
void db_on_connect(const struct db_op *(*connected)(void));
/* Payloads of NOTIFY on `channel`, a literal. resync: it is listened to from now on; what came before, or while a connection was lost, was missed. */
void db_listen(const char *channel, void (*notified)(struct text payload, bool resync));
/* Fire and forget on the listener connection, or one for reads while that is away (never inside a write batch). */
void db_notify(const char *channel, struct text payload);
/* The same on each new connection of writes, before a batch goes over it; both stay as they are. */
void db_announce(const char *channel, struct text payload);
struct db_stats { uint64_t reads, writes, batches, batch_ops_max, reconnects, failures; size_t queued; bool ready; };
struct db_stats db_stats(void);
/* SQLSTATE of a failed result, "" when none. */
const char *db_sqlstate(const PGresult *);
/* Its message without the context, which may be a whole statement. */
const char *db_message(const PGresult *);

/* Binary values of results: column c of row r (PRECOND on wrong size). */
int64_t db_int8(const PGresult *, int r, int c);
int32_t db_int4(const PGresult *, int r, int c);
int16_t db_int2(const PGresult *, int r, int c);
double db_float8(const PGresult *, int r, int c);
bool db_bool(const PGresult *, int r, int c);
struct text db_text(const PGresult *, int r, int c);
bool db_null(const PGresult *, int r, int c);

/* Binary parameters, memory from `arena`. */
struct db_param db_p_int8(struct arena *, int64_t);
struct db_param db_p_int4(struct arena *, int32_t);
struct db_param db_p_float8(struct arena *, double);
struct db_param db_p_bool(struct arena *, bool);
struct db_param db_p_text(struct arena *, struct text); /* binary text, no copy of the bytes */
struct db_param db_p_null(void);
/* One-dimensional arrays in PostgreSQL's binary format, on malloc: db_p_array_free() after use. An element that is null: see nulls (may be NULL). */
struct db_param db_p_int8s(const int64_t *, size_t n, const bool *nulls);
struct db_param db_p_int4s(const int32_t *, size_t n);
struct db_param db_p_float8s(const double *, size_t n);
struct db_param db_p_texts(const struct text *, size_t n, const bool *nulls);
struct db_param db_p_array(const struct db_param *, size_t n); /* of binary parameters of one type; null when all are */
void db_p_array_free(struct db_param *);
#endif

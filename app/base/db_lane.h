#ifndef BASE_DB_LANE_H
#define BASE_DB_LANE_H
/* Inside of the database layer: one connection (db_lane.c) as seen by the queues (db.c). Nobody else includes this. */
#include "base/db.h"

struct batch;
struct piece;
struct loop_fd;
struct loop_timer;

enum lane_kind { LANE_READ, LANE_WRITE, LANE_LISTEN };
enum lane_state { LANE_DOWN, LANE_RESOLVING, LANE_CONNECTING, LANE_UP };
enum flight_kind { FLIGHT_COMMAND, FLIGHT_CHECK, FLIGHT_PREPARE, FLIGHT_READ, FLIGHT_PIECE, FLIGHT_SYNC };

enum { SHAPES = 24 }; /* texts that a lane remembers; each costs PostgreSQL up to 400 kB for its plan */

/* A text of an op that is steady; all zero: a free place. */
struct shape {
	uint64_t hash;
	uint64_t used;   /* when, as lane->uses counts */
	uint64_t number; /* its statement is shape<number>; 0: seen once, not prepared */
	char *sql;       /* of the statement */
};

/* Something sent whose answer is awaited; answers come in the order of sending. */
struct flight {
	struct flight *next;
	enum flight_kind kind;
	bool answered;       /* its result came; the NULL that ends it did not */
	uint32_t slot;       /* PREPARE: the statement's, or a shape's (db_lane.c) */
	struct db_op *op;    /* READ; NULL = forgotten */
	struct batch *batch; /* PIECE, and the SYNC that ends a batch */
	struct piece *piece; /* PIECE */
	int64_t sent_ms;
};

/* One connection. Lives from db_start() to db_stop(). */
struct lane {
	int index;
	enum lane_kind kind;
	enum lane_state state;
	PGconn *conn;
	struct loop_fd *watch;
	int fd; /* what is watched, ours to close */
	struct loop_timer *timer; /* next attempt, or the end of this one */
	bool broken;              /* a send failed: taken down at the end of the turn */
	bool last_words;          /* PostgreSQL ended the connection instead of answering the first flight: that one and all later ones were not carried out */
	bool stale;               /* its session cannot write: once it is idle it is made anew */
	bool was_up;
	int64_t up_ms;
	int64_t backoff_ms;
	bool *prepared; /* by db_statement.slot */
	struct shape *shapes; /* SHAPES of them */
	uint64_t uses;
	PGresult *refused; /* why the last statement could not be prepared, for the op behind it */
	struct flight *first, *last;
	size_t in_flight; /* READ and PIECE flights */
	int64_t canceled_ms; /* when the last cancel had arrived; INT64_MAX while it is on its way, 0 = never */
	struct batch *unsent; /* batches whose Sync could not be queued: surely not done */
};

/* Starts connecting; comes back through lane_is_up() or tries again by itself. */
void lane_connect(struct lane *lane);
void lane_close(struct lane *lane);
void lane_break(struct lane *lane, const char *why);
/* The senders queue bytes; a failure marks the lane broken. */
bool lane_send_op(struct lane *lane, const struct db_op *op, const struct flight *as);
/* Prepares the op's statement if this lane has not yet, in a transaction of its own. */
bool lane_send_prepare(struct lane *lane, const struct db_op *op);
bool lane_send_command(struct lane *lane, const char *command);
/* Its one boolean has to be true. */
bool lane_send_check(struct lane *lane, const struct db_op *op);
bool lane_send_sync(struct lane *lane, struct batch *batch);
void lane_flush(struct lane *lane);
/* The statement failed by a cancel that may have been meant for another one. */
bool lane_hit(const struct lane *lane, const PGresult *result);
void lane_setup(const struct db_config *config);
void lane_teardown(void);

/* db.c: what a lane tells the queues. */
void lane_is_up(struct lane *lane);
/* The flight's only result; taken over. */
void flight_result(struct lane *lane, struct flight *flight, PGresult *result);
void flight_synced(struct lane *lane, struct batch *batch); /* NULL: of a command */
/* The connection is gone; these were in flight (taken over, freed by flight_free()). See lane->last_words. */
void flights_lost(struct lane *lane, struct flight *first);
void flight_free(struct flight *flight);
void lane_notified(struct lane *lane, const char *channel, struct text payload);
struct flight *flight_new(void);
#endif

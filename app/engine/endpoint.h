#ifndef ENGINE_ENDPOINT_H
#define ENGINE_ENDPOINT_H
/*
 * A request is a row, not a function. Each noun's file holds a table of rows; the engine runs them:
 *   find -> authorize -> bind -> check -> SQL -> wire
 * A row without .on does not start (see engine_start()).
 */
#include "base/db.h"
#include "base/http.h"
#include "base/text.h"

struct call;
struct endpoint;
struct json;

/* A step of a request. WAIT: something was submitted and call_resume() or a result comes; DONE: the reply was sent. FAILED: call->fail says why. */
enum next { NEXT, WAIT, DONE, FAILED };

enum fail_code {
	FAIL_NONE,
#define FAIL(code, status, sqlstate, klass) code,
#include "engine/fail.def"
#undef FAIL
};

/* ---- fields ---- */
enum field_type {
	F_TEXT,
	F_URI,    /* text; translated for clients that do not know mlflow-artifacts: */
	F_INT,    /* 64 bits, a number or a decimal string */
	F_INT32,
	F_DOUBLE, /* a number, a numeric string, "NaN", "Infinity", "-Infinity" */
	F_BOOL,
	F_ENUM,   /* a word of .words, or its number */
	F_OBJECT,
	F_TEXTS,  /* lists */
	F_OBJECTS
};

struct word {
	const char *word;
	int value;
};

struct field {
	const char *name; /* snake_case; camelCase is taken in JSON too */
	enum field_type type;
	bool required;
	const char *absent;         /* what to say then, where MLflow has words of its own for it */
	const char *alias;          /* e.g. run_uuid for run_id */
	const struct word *words;   /* F_ENUM, ended by a NULL word */
	const struct field *fields; /* F_OBJECT, F_OBJECTS, ended by a NULL name */
	size_t most;                /* code points; 0 = no limit */
	int64_t fallback;           /* value when absent (F_INT, F_INT32, F_ENUM, F_BOOL) */
	bool has_fallback;
	bool explicit_type;         /* the real server looks at the type only after a failed parse; true: the API docs hint is left out */
};
#define FIELDS_END { .name = NULL }

/* A bound field. Texts lie in the call's arena. */
struct value {
	bool given;
	struct text text;
	int64_t i; /* F_INT, F_INT32, F_ENUM, F_BOOL */
	double d;
	struct value *fields; /* F_OBJECT: one per field */
	struct value *items;  /* F_TEXTS, F_OBJECTS */
	size_t count;
	const struct json *json;
};

/* ---- rows ---- */
enum access { ACCESS_PUBLIC, ACCESS_READ, ACCESS_EDIT, ACCESS_MANAGE, ACCESS_ADMIN };

/* What a request is about: the object that access control looks at. */
enum object { ON_NOTHING_SAID, ON_SERVER, ON_EXPERIMENT, ON_EXPERIMENT_NAME, ON_EXPERIMENTS, ON_RUN, ON_RUNS, ON_MODEL, ON_LOGGED_MODEL, ON_ARTIFACT_PATH };
struct on {
	enum object kind;
	const char *field; /* or path variable, that names it */
};
#define SERVER { ON_SERVER, NULL }
#define RUN(f) { ON_RUN, f }
#define RUNS(f) { ON_RUNS, f }
#define EXPERIMENT(f) { ON_EXPERIMENT, f }
#define EXPERIMENT_NAME(f) { ON_EXPERIMENT_NAME, f }
#define EXPERIMENTS(f) { ON_EXPERIMENTS, f }
#define MODEL(f) { ON_MODEL, f }
#define LOGGED_MODEL(f) { ON_LOGGED_MODEL, f }
#define ARTIFACT_PATH(f) { ON_ARTIFACT_PATH, f }

/* Under which prefixes a path is served. */
enum api {
	API_2,      /* /api/2.0/P, /ajax-api/2.0/P and, for mlflow/..., /api/2.0/preview/P */
	API_3,      /* /api/3.0/P and /ajax-api/3.0/P */
	API_2_AJAX, /* /ajax-api/2.0/P only */
	API_3_AJAX,
	API_ROOT    /* /P */
};

enum shape {
	SHAPE_CUSTOM, /* .reply or .run writes it */
	SHAPE_EMPTY,  /* {} */
	SHAPE_OBJECT, /* first row; {"wrap": {...}}, or the columns at the top when wrap is NULL */
	SHAPE_LIST    /* {"wrap": [{...}, ...]}, left out when empty */
};

/* What a word in the result column `fail` means. The message may name fields: {run_id}. */
struct refusal {
	const char *word;
	enum fail_code code;
	const char *message;
};

enum body_kind { BODY_JSON, BODY_RAW /* streamed: .run gets the head, .body the bytes, .body_end */ };

struct endpoint {
	enum http_method method;
	enum api api;
	const char *path; /* "mlflow/runs/log-batch"; <name> is one segment, a last <name:path> the rest */
	enum access access;
	struct on on;
	const struct field *fields; /* ended by FIELDS_END; NULL = none */
	bool (*check)(struct call *); /* false: call->fail is set */
	/* SQL: */
	const struct db_statement *sql; /* SQL_x of the generated list */
	const char *args; /* "experiment_id:int key value @now": fields (or path variables) in order of $1.., ":int" binds text as bigint, @now ms, @user principal, @repeat the repeat key */
	bool alone;       /* a write in a transaction of its own (a read lane), never batched with others: it locks rows of a run that log_write() locks too. Must be safe to run twice */
	bool fresh;       /* reads metric points, or must not meet any on their way: what was logged is moved first (points.h) */
	bool writes;      /* runs in a write lane; row locks in order of the .on field */
	const struct db_merger *merger; /* of its writes, or NULL: the statement takes arrays then, see db_rows_merge() */
	enum shape shape;
	const char *wrap;
	const char *missing; /* RESOURCE_DOES_NOT_EXIST when no row comes back */
	const struct refusal *refusals; /* ended by a NULL word */
	/* Where data stops: */
	enum next (*run)(struct call *);                 /* instead of SQL */
	enum next (*reply)(struct call *, PGresult *);   /* instead of the shape */
	enum body_kind body;
	size_t body_limit; /* when more than config->body_limit */
	bool creates;      /* .run uses call_repeat_param(): an equal request waits until the one before it was answered and it is known whether that arrived */
	bool once;         /* a write that must not be run a second time when its outcome is unknown: 504 then */
	const char *doc;   /* one line for `tallyd routes` */
};

struct endpoint_table {
	const struct endpoint *rows;
	size_t count;
};
#define ENDPOINT_TABLE(rows) { rows, sizeof(rows) / sizeof((rows)[0]) }

/* Every noun's table (app/api/tables.c). */
extern const struct endpoint_table *const endpoint_tables[];
extern const size_t endpoint_table_count;
/* Their background work in a worker: once the database layer is started, and when it stops taking requests. */
void nouns_start(void);
void nouns_drain(void);
#endif

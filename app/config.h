#ifndef CONFIG_H
#define CONFIG_H
/* Options: flags, then environment TALLYD_*, then the conf file. One table in config.c: name, type, default, doc. Read-only after config_load(). */
#include <stdbool.h>
#include <stdint.h>

struct config {
	const char *command; /* serve, migrate, check-config, gc, doctor, routes */
	const char *host;
	int port;
	int workers;
	const char *database;      /* libpq URI; "" = embedded cluster in data_dir, until config_set_database() */
	bool embedded;             /* it is that cluster's */
	const char *data_dir;
	const char *default_artifact_root; /* "" = mlflow-artifacts:/ */
	const char *artifacts_destination; /* folder or gs://bucket/path; "" = data_dir/artifacts */
	bool serve_artifacts;
	const char *static_prefix; /* "" or "/prefix" */
	const char *ui_dir;        /* folder with MLflow's own web UI, or "" */
	bool insecure;
	const char *allowed_hosts; /* comma-separated names */
	const char *conf;          /* conf file that was read, or "" */
	const char *user;          /* account to run as when started by root */
	const char *log_format;    /* text | json */
	const char *log_level;
	int64_t body_limit;        /* JSON bodies, bytes (16 MiB) */
	int64_t run_copies;        /* bytes of a worker (16 MiB) */
	int64_t artifact_limit;    /* one artifact, bytes (0 = none) */
	int read_lanes, write_lanes; /* connections a worker */
	int64_t statement_timeout_ms;
	const char *artifact_put; /* proxy | redirect */
	const char *artifact_get; /* redirect | proxy */
	int64_t presign_ttl_s;
	bool multipart;
	const char *older_than; /* gc: age of deletion, e.g. 30d */
	bool dry_run;           /* gc */
};
extern const struct config *config;

/* Fills `config`. Prints and exits for --help and --version; a bad option ends the process with status 2. Keeps copies of what it needs of argv (Kore overwrites it). */
void config_load(int argc, char **argv);
/* check-config: every option with its effective value and where it came from. */
void config_print(void);
/* config->database without its password, for people. Valid until the next call. */
const char *config_database_shown(void);
/* The embedded cluster's address, once it is known. */
void config_set_database(const char *uri);
#endif

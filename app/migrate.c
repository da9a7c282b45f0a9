/* Brings a database to this binary's schema: each migration once, in order, in its own transaction; functions and views whenever their text changed. One server at a time. */
#include "migrate.h"

#include <libpq-fe.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "config.h"
#include "migrations.h"
#include "sql_queries.h"
#include "version.h"

/* Any number will do that no other program uses on this database. */
#define LOCK "8241129571"
enum { WAIT_S = 15, OLDEST_SERVER = 140000 };

static bool quiet;

static bool
failed(const char *what, PGconn *conn, PGresult *result)
{
	fprintf(stderr, "tallyd: schema: %s: %s", what, result != NULL ? PQresultErrorMessage(result) : PQerrorMessage(conn));
	PQclear(result);
	return false;
}

static bool
run(PGconn *conn, const char *sql, const char *what)
{
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY)
		return failed(what, conn, result);
	PQclear(result);
	return true;
}

static PGresult *
ask(PGconn *conn, const struct db_statement *statement, const char *const *values)
{
	PGresult *result = PQexecParams(conn, statement->sql, statement->params, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return result;
	(void)failed(statement->name, conn, result);
	return NULL;
}

static void
checksum_of(const char *sql, char out[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	PRECOND(EVP_Digest(sql, strlen(sql), digest, &n, EVP_sha256(), NULL) == 1 && n == 32);
	text_hex(digest, n, out);
	out[64] = '\0';
}

static int
row_of(const PGresult *applied, const char *name)
{
	for (int i = 0; applied != NULL && i < PQntuples(applied); i++)
		if (strcmp(PQgetvalue(applied, i, 0), name) == 0)
			return i;
	return -1;
}

static bool
is_known(const char *name)
{
	for (size_t i = 0; i < migration_count; i++)
		if (strcmp(migrations[i].name, name) == 0)
			return true;
	return false;
}

static bool
record(PGconn *conn, const struct migration *m, const char *checksum, bool repeatable)
{
	const char *values[] = { m->name, checksum, repeatable ? "true" : "false", tallyd_version };
	PGresult *result = ask(conn, &sql_schema_add, values);
	PQclear(result);
	return result != NULL;
}

/* For `create index concurrently`: each statement, ended by ';' at a line's end, by itself. */
static bool
run_apart(PGconn *conn, const struct migration *m)
{
	struct buf one = { 0 };
	bool good = true;
	for (const char *at = m->sql; good && *at != '\0';) {
		const char *end = strstr(at, ";\n");
		size_t n = end != NULL ? (size_t)(end - at) + 1 : strlen(at);
		one.n = 0;
		buf_add(&one, at, n);
		buf_byte(&one, '\0');
		good = run(conn, one.s, m->name);
		at += n;
	}
	buf_free(&one);
	return good;
}

static bool
apply(PGconn *conn, const struct migration *m, const char *checksum, bool repeatable)
{
	if (!quiet)
		fprintf(stderr, "tallyd: schema: applying %s\n", m->name);
	if (strncmp(m->sql, "-- no-transaction", 17) == 0)
		return run_apart(conn, m) && record(conn, m, checksum, repeatable);
	if (run(conn, "begin", m->name) && run(conn, m->sql, m->name) && record(conn, m, checksum, repeatable) && run(conn, "commit", m->name))
		return true;
	PQclear(PQexec(conn, "rollback"));
	return false;
}

/* The database's history must be the beginning of ours. */
static bool
check_history(const PGresult *applied)
{
	for (int i = 0; i < PQntuples(applied); i++) {
		const char *name = PQgetvalue(applied, i, 0);
		if (strcmp(PQgetvalue(applied, i, 2), "f") == 0 && !is_known(name)) {
			fprintf(stderr, "tallyd: the database's schema is newer than this tallyd (%s): it has the migration %s, and the newest one known here is %s. Install the newer tallyd.\n",
			    tallyd_version, name, migrations[migration_count - 1].name);
			return false;
		}
	}
	bool gap = false;
	for (size_t i = 0; i < migration_count; i++) {
		char checksum[65];
		int row = row_of(applied, migrations[i].name);
		if (row < 0) {
			gap = true;
			continue;
		}
		checksum_of(migrations[i].sql, checksum);
		if (strcmp(PQgetvalue(applied, row, 1), checksum) != 0) {
			fprintf(stderr, "tallyd: migration %s was changed after it had been applied to this database: its checksum there is %.12s..., here %.12s.... "
					"Use the tallyd that made this database, or a new database.\n",
			    migrations[i].name, PQgetvalue(applied, row, 1), checksum);
			return false;
		}
		if (gap) {
			fprintf(stderr, "tallyd: migration %s is in the database, but an earlier one is not. Use the tallyd that made this database, or a new database.\n", migrations[i].name);
			return false;
		}
	}
	return true;
}

static bool
apply_list(PGconn *conn, const PGresult *applied, const struct migration *list, size_t n, bool repeatable)
{
	for (size_t i = 0; i < n; i++) {
		char checksum[65];
		int row = row_of(applied, list[i].name);
		checksum_of(list[i].sql, checksum);
		if (row >= 0 && (!repeatable || strcmp(PQgetvalue(applied, row, 1), checksum) == 0))
			continue;
		if (!apply(conn, &list[i], checksum, repeatable))
			return false;
	}
	return true;
}

static bool
migrate_locked(PGconn *conn)
{
	PGresult *result = ask(conn, &sql_schema_exists, NULL);
	if (result == NULL)
		return false;
	bool present = strcmp(PQgetvalue(result, 0, 0), "t") == 0;
	bool utf8 = strcmp(PQgetvalue(result, 0, 1), "UTF8") == 0;
	if (!utf8)
		fprintf(stderr, "tallyd: the database's encoding is %s; make one with encoding UTF8\n", PQgetvalue(result, 0, 1));
	PQclear(result);
	if (!utf8)
		return false;
	PGresult *applied = present ? ask(conn, &sql_schema_applied, NULL) : NULL;
	if (present && applied == NULL)
		return false;
	bool good = (applied == NULL || check_history(applied)) && apply_list(conn, applied, migrations, migration_count, false) &&
	    apply_list(conn, applied, functions, function_count, true) && apply_list(conn, applied, report, report_count, true);
	PQclear(applied);
	return good;
}

/* The experiment 0, before the first request could miss it. */
static bool
make_default(PGconn *conn)
{
	struct timespec now;
	char ms[32];
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(ms, sizeof(ms), "%lld", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	const char *values[] = { config->default_artifact_root[0] != '\0' ? config->default_artifact_root : "mlflow-artifacts:/", ms };
	PGresult *result = ask(conn, &sql_experiment_default, values);
	PQclear(result);
	return result != NULL;
}

static void
notice(void *unused, const PGresult *result)
{
	(void)unused;
	if (strcmp(PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED), "WARNING") == 0)
		fprintf(stderr, "tallyd: schema: %s", PQresultErrorMessage(result));
}

/* A database that is just starting is waited for. */
static PGconn *
connect_patiently(void)
{
	bool said = false;
	for (int tries = 0;; tries++) {
		const char *keywords[] = { "dbname", "application_name", "client_encoding", "connect_timeout", "options", NULL };
		const char *values[] = { config->database, "tallyd migrate", "UTF8", "5", "-c statement_timeout=0 -c search_path=public", NULL };
		PGconn *conn = PQconnectdbParams(keywords, values, 1);
		if (PQstatus(conn) == CONNECTION_OK)
			return conn;
		const char *why = PQerrorMessage(conn);
		/* What does not pass by waiting. */
		bool final = strstr(why, "authentication failed") != NULL || strstr(why, "does not exist") != NULL || strstr(why, "no pg_hba.conf") != NULL;
		if (final || tries >= WAIT_S * 2) {
			fprintf(stderr, "tallyd: cannot connect to the database %s: %s", config_database_shown(), why);
			PQfinish(conn);
			return NULL;
		}
		if (!said)
			fprintf(stderr, "tallyd: waiting for the database: %s", why);
		said = true;
		PQfinish(conn);
		nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
	}
}

bool
migrate_run(bool be_quiet)
{
	quiet = be_quiet;
	PGconn *conn = connect_patiently();
	if (conn == NULL)
		return false;
	PQsetNoticeReceiver(conn, notice, NULL);
	bool good = PQserverVersion(conn) >= OLDEST_SERVER;
	if (!good)
		fprintf(stderr, "tallyd: the database is PostgreSQL %d; 14 or newer is needed\n", PQserverVersion(conn) / 10000);
	if (good) {
		/* Held until the connection ends. */
		const char *values[] = { LOCK };
		PGresult *locked = ask(conn, &sql_schema_lock, values);
		good = locked != NULL && migrate_locked(conn) && make_default(conn);
		PQclear(locked);
	}
	PQfinish(conn);
	return good;
}

int
migrate_version(void)
{
	return migration_count > 0 ? (int)strtol(migrations[migration_count - 1].name, NULL, 10) : 0;
}

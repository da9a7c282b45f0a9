/* Looks at what the server stands on, one thing a line: ok or WRONG, and what to do. */
#include "doctor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <jansson.h>
#include <libpq-fe.h>

#include "base/text.h"
#include "config.h"
#include "sql_queries.h"

static int wrong;

static void __attribute__((format(printf, 3, 4)))
line(bool good, const char *what, const char *format, ...)
{
	va_list ap;

	printf("%-6s %-10s ", good ? "ok" : "WRONG", what);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	wrong += good ? 0 : 1;
}

static int64_t
wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static long
number(const PGresult *r, int c)
{
	return strtol(PQgetvalue(r, 0, c), NULL, 10);
}

static void
schema_look(PGconn *db)
{
	PGresult *r = PQexec(db, SQL_doctor_schema->sql);

	if (PQresultStatus(r) == PGRES_TUPLES_OK)
		line(true, "schema", "%ld migrations, newest %s", number(r, 0), PQgetvalue(r, 0, 1));
	else
		line(false, "schema", "%s", PQresultErrorMessage(r));
	PQclear(r);
}

static void
database_look(void)
{
	PGconn *db = PQconnectdb(config->database);
	PGresult *r;
	int64_t before = wall_ms();
	int64_t apart;

	if (PQstatus(db) != CONNECTION_OK) {
		line(false, "database", "%s", PQerrorMessage(db));
		puts("       -> Is it running? On Cloud SQL: is the private address reachable, does the user exist, is sslmode right?");
		PQfinish(db);
		return;
	}
	r = PQexec(db, SQL_doctor_database->sql);
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		line(false, "database", "%s", PQresultErrorMessage(r));
	} else {
		long budget = (long)config->workers * (config->read_lanes + config->write_lanes + 1);

		line(number(r, 1) >= 140000, "database", "PostgreSQL %s, %s%s", PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 7), number(r, 1) >= 140000 ? "" : " -> 14 or newer is needed");
		apart = strtoll(PQgetvalue(r, 0, 2), NULL, 10) - before;
		line(llabs(apart) < 5000, "clock", "%lld ms from the database's%s", (long long)apart, llabs(apart) < 5000 ? "" : " -> start a time service; signed URLs fail when the clock is off");
		line(PQgetvalue(r, 0, 3)[0] == 't', "durable", "%s", PQgetvalue(r, 0, 3)[0] == 't' ? "fsync and synchronous_commit are on" : "fsync or synchronous_commit is off -> acknowledged writes can be lost");
		line(number(r, 4) >= number(r, 5) + budget || number(r, 5) >= budget, "slots", "%ld of %ld connections used; this server takes %ld", number(r, 5), number(r, 4), budget);
		line(PQgetvalue(r, 0, 8)[0] == 't', "rights", "%s", PQgetvalue(r, 0, 8)[0] == 't' ? "schemas can be made" : "no CREATE on the database -> grant create on database to this user");
		if (PQgetvalue(r, 0, 6)[0] == 't')
			schema_look(db);
		else
			line(false, "schema", "none yet -> run tallyd migrate, or start the server");
	}
	PQclear(r);
	PQfinish(db);
}

static size_t
keep(char *bytes, size_t size, size_t n, void *to)
{
	buf_add(to, bytes, size * n);
	return size * n;
}

/* GET from the server itself. HTTP status, 0 when nobody answers. */
static long
ask(const char *path, struct buf *out)
{
	CURL *curl = curl_easy_init();
	struct buf url = { 0 };
	long status = 0;

	if (curl == NULL)
		return 0;
	buf_printf(&url, "http://%s:%d%s%s", strcmp(config->host, "0.0.0.0") == 0 ? "127.0.0.1" : config->host, config->port, config->static_prefix, path);
	buf_byte(&url, '\0');
	curl_easy_setopt(curl, CURLOPT_URL, url.s);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	buf_free(&url);
	return status;
}

static void
report_print(const struct buf *out)
{
	json_t *root = json_loadb(out->s, out->n, 0, NULL);
	struct text rest = text_from(json_string_value(json_object_get(root, "report")));
	bool usable = json_is_true(json_object_get(root, "usable"));

	if (!usable && rest.n == 0)
		line(false, "artifacts", "%.*s", (int)out->n, out->s);
	while (rest.n > 0) {
		size_t end = text_find(rest, '\n');
		struct text one = { rest.s, end };

		if (one.n > 0)
			line(usable && (text_starts(one, "ok") || text_starts(one, "bucket ")), "artifacts", TEXT_FMT, TEXT_ARG(one));
		rest = text_skip(rest, end < rest.n ? end + 1 : end);
	}
	json_decref(root);
}

static void
server_look(void)
{
	struct buf out = { 0 };
	long status = ask("/health", &out);

	if (status == 0) {
		line(true, "server", "nobody answers on %s:%d; start it with tallyd serve. It tries the artifact store itself and logs what will not work", config->host, config->port);
		buf_free(&out);
		return;
	}
	line(status == 200, "server", "%s:%d answers %ld%s", config->host, config->port, status, status == 200 ? "" : " -> another program may hold the port");
	out.n = 0;
	status = ask("/ready", &out);
	line(status == 200, "ready", "%ld%s", status, status == 200 ? "" : " -> the server cannot reach its database");
	out.n = 0;
	if (ask("/api/2.0/tallyd/doctor", &out) != 0)
		report_print(&out);
	buf_free(&out);
}

static void
folder_look(void)
{
	struct statvfs fs;
	struct stat st;

	if (strncmp(config->artifacts_destination, "gs://", 5) == 0 || config->artifacts_destination[0] == '\0')
		return;
	if (stat(config->artifacts_destination, &st) != 0) {
		line(errno == ENOENT, "folder", "%s: %s%s", config->artifacts_destination, strerror(errno), errno == ENOENT ? "; it is made at the start" : "");
		return;
	}
	if (statvfs(config->artifacts_destination, &fs) == 0) {
		double free_gb = (double)fs.f_bavail * (double)fs.f_frsize / 1e9;

		line(free_gb > 1, "folder", "%s: %.1f GB free%s", config->artifacts_destination, free_gb, free_gb > 1 ? "" : " -> make room: uploads will fail with 507");
	}
}

int
doctor_run(void)
{
	wrong = 0;
	database_look();
	folder_look();
	server_look();
	if (wrong > 0)
		printf("%d thing%s wrong.\n", wrong, wrong == 1 ? " is" : "s are");
	else
		puts("Nothing is wrong.");
	return wrong > 0 ? 1 : 0;
}

/* Options. The table below is the only place that knows an option: --help, the environment, the conf file, check-config and conf/tallyd.conf all come from it. */
#include "config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "version.h"

extern char **environ;

enum kind { K_TEXT, K_INT, K_SIZE, K_BOOL, K_CHOICE };

struct option {
	const char *name;
	const char *value; /* the default, as written */
	enum kind kind;
	size_t at;         /* in struct config */
	int64_t least, most;
	const char *choices; /* a|b */
	const char *hint;
	const char *doc;
};

static struct config now;
const struct config *config = &now;

#define AT(field) offsetof(struct config, field)
#define TEXT_OPTION(name, field, value, hint, doc) { name, value, K_TEXT, AT(field), 0, 0, NULL, hint, doc }
#define INT_OPTION(name, field, value, least, most, doc) { name, value, K_INT, AT(field), least, most, NULL, "N", doc }
#define SIZE_OPTION(name, field, value, least, most, doc) { name, value, K_SIZE, AT(field), least, most, NULL, "N", doc }
#define BOOL_OPTION(name, field, value, doc) { name, value, K_BOOL, AT(field), 0, 0, NULL, NULL, doc }
#define CHOICE_OPTION(name, field, value, choices, doc) { name, value, K_CHOICE, AT(field), 0, 0, choices, NULL, doc }

static const struct option options[] = {
	TEXT_OPTION("host", host, "127.0.0.1", "ADDRESS", "Address to listen on. Anything but a loopback or private address needs --insecure."),
	INT_OPTION("port", port, "5000", 1, 65535, "Port to listen on."),
	INT_OPTION("workers", workers, "2", 1, 64, "Worker processes. Each opens read_lanes + write_lanes + 1 database connections."),
	TEXT_OPTION("database", database, "", "URI", "PostgreSQL (14 or newer) as libpq URI or connection string. Empty: a private cluster in data_dir. Synonym: backend-store-uri."),
	TEXT_OPTION("data-dir", data_dir, "./tallyd-data", "FOLDER", "Where the private cluster and local artifacts live."),
	TEXT_OPTION("default-artifact-root", default_artifact_root, "", "URI", "Where clients put artifacts of new experiments. Empty: through this server (mlflow-artifacts:/). gs://bucket/path: straight to a bucket."),
	TEXT_OPTION("artifacts-destination", artifacts_destination, "", "FOLDER", "Where this server keeps what comes through it: a folder or gs://bucket/path. Empty: data_dir/artifacts."),
	BOOL_OPTION("serve-artifacts", serve_artifacts, "true", "Take and give artifacts through this server."),
	CHOICE_OPTION("artifact-put", artifact_put, "proxy", "proxy|redirect", "Uploads to a bucket: through the server, or by redirect to a signed URL."),
	CHOICE_OPTION("artifact-get", artifact_get, "redirect", "redirect|proxy", "Downloads from a bucket: by redirect to a signed URL, or through the server."),
	SIZE_OPTION("presign-ttl-s", presign_ttl_s, "900", 10, 604800, "Seconds a signed URL is valid."),
	BOOL_OPTION("multipart", multipart, "true", "Offer MLflow's multipart upload for buckets."),
	SIZE_OPTION("artifact-limit", artifact_limit, "0", 0, INT64_MAX, "Largest artifact that passes through the server, in bytes (K, M, G, T allowed); what clients send straight to a bucket is not held to it. 0: no limit."),
	SIZE_OPTION("body-limit", body_limit, "16M", 65536, 1 << 30, "Largest JSON body in bytes, after inflating."),
	SIZE_OPTION("run-copies", run_copies, "16M", 0, 1 << 30, "Memory of each worker for runs as they were last served in pages of a search; 0 for none. A copy is used until the run changes, for ten seconds at most."),
	TEXT_OPTION("static-prefix", static_prefix, "", "/PATH", "Everything is served below this path."),
	TEXT_OPTION("ui-dir", ui_dir, "", "FOLDER", "Serve MLflow's own web UI from this folder (.../mlflow/server/js/build) instead of tallyd's."),
	BOOL_OPTION("insecure", insecure, "false", "Listen on any address although nobody has to log in."),
	TEXT_OPTION("allowed-hosts", allowed_hosts, "", "NAME,NAME", "Host names that requests may carry beside localhost and addresses. '*.example.org' and '*' are possible."),
	TEXT_OPTION("user", user, "", "ACCOUNT", "Account to run as when started by root. Empty: the owner of data_dir, else tallyd, else postgres."),
	CHOICE_OPTION("log-level", log_level, "info", "error|warn|info|debug", "What is logged."),
	CHOICE_OPTION("log-format", log_format, "text", "text|json", "How it is logged."),
	INT_OPTION("read-lanes", read_lanes, "2", 1, 8, "Database connections a worker reads with."),
	INT_OPTION("write-lanes", write_lanes, "2", 1, 8, "Database connections a worker writes with."),
	SIZE_OPTION("statement-timeout-ms", statement_timeout_ms, "30000", 100, 3600000, "Longest statement in ms."),
	TEXT_OPTION("older-than", older_than, "30d", "AGE", "gc: only what was deleted longer ago (12h, 30d)."),
	BOOL_OPTION("dry-run", dry_run, "false", "gc: say what would go, remove nothing."),
	TEXT_OPTION("conf", conf, "", "FILE", "Conf file. Else conf/tallyd.conf, then /etc/tallyd/tallyd.conf, when there is one."),
};
enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

static const struct {
	const char *name;
	const char *means;
} synonyms[] = {
	{ "backend-store-uri", "database" },
	{ "registry-store-uri", "database" },
	{ "h", "host" },
	{ "p", "port" },
	{ "w", "workers" },
};

static const struct {
	const char *name;
	const char *doc;
} commands[] = {
	{ "serve", "Run the server (the default)." },
	{ "migrate", "Bring the database to this version's schema, then end." },
	{ "check-config", "Print every option with its value and where it came from." },
	{ "gc", "Remove what was deleted long ago, for good." },
	{ "doctor", "Look at the database and artifacts, and say what is wrong." },
	{ "routes", "Print the table of endpoints as JSON." },
};

static const char *origins[OPTIONS];
static char shown[512];

static _Noreturn void refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void
refuse(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	fputs("tallyd: ", stderr);
	vfprintf(stderr, format, ap);
	fputs("\n", stderr);
	va_end(ap);
	exit(2);
}

static char *
keep(const char *s)
{
	char *copy = strdup(s);
	if (copy == NULL)
		refuse("out of memory");
	return copy;
}

static bool
same_name(const char *a, const char *b)
{
	for (; *a != '\0' && *b != '\0'; a++, b++) {
		char x = *a == '_' ? '-' : (char)tolower((unsigned char)*a);
		char y = *b == '_' ? '-' : (char)tolower((unsigned char)*b);
		if (x != y)
			return false;
	}
	return *a == *b;
}

static int
option_find(const char *name)
{
	for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
		if (same_name(synonyms[i].name, name))
			name = synonyms[i].means;
	for (int i = 0; i < OPTIONS; i++)
		if (same_name(options[i].name, name))
			return i;
	return -1;
}

/* Letters to change, add or drop between two short names; for "did you mean". */
static size_t
distance(const char *a, const char *b)
{
	enum { MOST = 40 };
	size_t row[MOST + 1], n = strlen(b);
	if (n > MOST || strlen(a) > MOST)
		return MOST;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t above = row[j];
			size_t change = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
			size_t best = above < row[j - 1] ? above + 1 : row[j - 1] + 1;
			row[j] = change < best ? change : best;
			diagonal = above;
		}
	}
	return row[n];
}

static const char *
option_near(const char *name)
{
	const char *near = NULL;
	size_t best = 4;
	for (int i = 0; i < OPTIONS; i++) {
		size_t d = distance(name, options[i].name);
		if (d < best) {
			best = d;
			near = options[i].name;
		}
	}
	return near;
}

static _Noreturn void
refuse_name(const char *where, const char *name, const char *value)
{
	const char *near = option_near(name);
	refuse("%s: unknown option \"%s\"%s%s%s%s%s%s; \"tallyd --help\" lists them all", where, name, value != NULL ? " (value \"" : "", value != NULL ? value : "",
	    value != NULL ? "\")" : "", near != NULL ? ", did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
}

static _Noreturn void
refuse_value(const char *where, const char *name, const char *value, const char *right)
{
	refuse("%s: %s = \"%s\" is not possible: %s", where, name, value, right);
}

static bool
parse_size(const char *value, int64_t *out)
{
	struct text t = text_from(value);
	int shift = 0;
	if (t.n > 1 && text_ends(t, "B"))
		t.n--;
	if (t.n > 2 && text_ends(t, "i"))
		t.n--;
	if (t.n > 1)
		switch (toupper((unsigned char)t.s[t.n - 1])) {
		case 'K': shift = 10; break;
		case 'M': shift = 20; break;
		case 'G': shift = 30; break;
		case 'T': shift = 40; break;
		default: break;
		}
	if (shift != 0)
		t.n--;
	if (!text_int(t, out) || *out < 0 || *out > INT64_MAX >> shift)
		return false;
	*out <<= shift;
	return true;
}

static bool
parse_bool(const char *value, bool *out)
{
	static const char *const yes[] = { "true", "yes", "on", "1" }, *const no[] = { "false", "no", "off", "0" };
	for (size_t i = 0; i < 4; i++) {
		if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
			*out = strcasecmp(value, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

static bool
is_choice(const char *choices, const char *value)
{
	size_t n = strlen(value);
	for (const char *at = choices; at != NULL; at = strchr(at, '|') != NULL ? strchr(at, '|') + 1 : NULL)
		if (n > 0 && strncmp(at, value, n) == 0 && (at[n] == '|' || at[n] == '\0'))
			return true;
	return false;
}

static void
store(int at, const char *value, const char *where)
{
	const struct option *option = &options[at];
	char *field = (char *)&now + option->at;
	char right[160];
	int64_t number = 0;
	bool truth = false;
	const char *text;

	switch (option->kind) {
	case K_INT:
	case K_SIZE:
		if (!(option->kind == K_INT ? text_int(text_from(value), &number) : parse_size(value, &number)) || number < option->least || number > option->most) {
			snprintf(right, sizeof(right), "a whole number from %lld to %lld is", (long long)option->least, (long long)option->most);
			refuse_value(where, option->name, value, right);
		}
		if (option->kind == K_SIZE)
			memcpy(field, &number, sizeof(number));
		else
			memcpy(field, &(int){ (int)number }, sizeof(int));
		break;
	case K_BOOL:
		if (!parse_bool(value, &truth))
			refuse_value(where, option->name, value, "true or false is");
		memcpy(field, &truth, sizeof(truth));
		break;
	case K_CHOICE:
		if (!is_choice(option->choices, value)) {
			snprintf(right, sizeof(right), "one of %s is", option->choices);
			refuse_value(where, option->name, value, right);
		}
		__attribute__((fallthrough));
	case K_TEXT:
		/* Later checks fill what is empty: nothing is lost then. */
		text = value[0] != '\0' ? keep(value) : "";
		memcpy(field, &text, sizeof(text));
		break;
	}
	origins[at] = where;
}

static const char *
text_of(int at)
{
	const char *text;
	memcpy(&text, (const char *)&now + options[at].at, sizeof(text));
	return text;
}

static void
env_name(const char *name, char *out, size_t n)
{
	snprintf(out, n, "TALLYD_%s", name);
	for (char *c = out; *c != '\0'; c++)
		*c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

static void
help(void)
{
	printf("tallyd %s: a tracking server that speaks MLflow's REST API\n\nusage: tallyd [command] [--option value ...]\n\n", tallyd_version);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %-14s%s\n", commands[i].name, commands[i].doc);
	printf("\nOptions, also as environment TALLYD_NAME and as \"name = value\" in the conf file; a flag wins over the environment, that over the file.\n\n");
	for (int i = 0; i < OPTIONS; i++) {
		char head[64];
		const struct option *o = &options[i];
		snprintf(head, sizeof(head), "--%s%s%s", o->name, o->kind == K_BOOL ? "" : " ", o->kind == K_BOOL ? "" : o->kind == K_CHOICE ? o->choices : o->hint);
		printf("  %-36s%s", head, o->doc);
		if (o->value[0] != '\0')
			printf(" [%s]", o->value);
		printf("\n");
	}
	printf("  %-36s%s\n  %-36s%s\n", "--version", "Print the version.", "--help", "Print this.");
}

/* conf/tallyd.conf, as it is shipped. */
static void
template(void)
{
	printf("# tallyd's options. A flag (--name) wins over the environment (TALLYD_NAME), that over this file.\n"
	       "# Made by \"tallyd check-config --template\": every option, commented out, with its default.\n");
	for (int i = 0; i < OPTIONS; i++) {
		const struct option *o = &options[i];
		if (strcmp(o->name, "conf") == 0 || strcmp(o->name, "dry-run") == 0)
			continue;
		char name[64];
		snprintf(name, sizeof(name), "%s", o->name);
		for (char *c = name; *c != '\0'; c++)
			*c = *c == '-' ? '_' : *c;
		printf("\n# %s%s%s%s\n#%s =%s%s\n", o->doc, o->choices != NULL ? " (" : "", o->choices != NULL ? o->choices : "", o->choices != NULL ? ")" : "", name,
		    o->value[0] != '\0' ? " " : "", o->value);
	}
}

static void
read_flags(int argc, char **argv)
{
	now.command = "serve";
	bool has_command = false;
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];
		if (strcmp(arg, "--help") == 0 || strcmp(arg, "help") == 0 || (strcmp(arg, "-h") == 0 && i + 1 == argc)) {
			help();
			exit(0);
		}
		if (strcmp(arg, "--version") == 0) {
			printf("tallyd %s\n", tallyd_version);
			exit(0);
		}
		if (strcmp(arg, "--template") == 0) {
			template();
			exit(0);
		}
		if (arg[0] != '-') {
			bool known = false;
			for (size_t c = 0; c < sizeof(commands) / sizeof(commands[0]); c++)
				known = known || strcmp(commands[c].name, arg) == 0;
			if (!known || has_command)
				refuse("\"%s\" is not a command here; serve, migrate, check-config, gc, doctor and routes are", arg);
			now.command = keep(arg);
			has_command = true;
			continue;
		}
		char *name = keep(arg + (arg[1] == '-' ? 2 : 1));
		char *value = strchr(name, '=');
		if (value != NULL)
			*value++ = '\0';
		int at = option_find(name);
		bool negated = at < 0 && strncmp(name, "no-", 3) == 0 && (at = option_find(name + 3)) >= 0 && options[at].kind == K_BOOL;
		if (at < 0 || (strncmp(name, "no-", 3) == 0 && !negated && option_find(name) < 0))
			refuse_name("command line", name, value);
		if (value == NULL && options[at].kind == K_BOOL)
			value = negated ? keep("false") : keep("true");
		if (value == NULL && ++i < argc)
			value = argv[i];
		if (value == NULL)
			refuse("command line: --%s needs a value", name);
		store(at, value, "command line");
		free(name);
	}
}

static void
read_environment(void)
{
	for (int i = 0; i < OPTIONS; i++) {
		char name[64];
		env_name(options[i].name, name, sizeof(name));
		const char *value = getenv(name);
		if (value != NULL && origins[i] == NULL)
			store(i, value, "environment");
	}
	for (size_t i = 0; i < 2; i++) {
		char name[64];
		env_name(synonyms[i].name, name, sizeof(name));
		const char *value = getenv(name);
		int at = option_find(synonyms[i].means);
		if (value != NULL && origins[at] == NULL)
			store(at, value, "environment");
	}
	/* Others may be set for other programs (test runs, container links); a slip of the keys should not pass in silence. */
	for (char **e = environ; *e != NULL; e++) {
		char name[64];
		const char *equals = strchr(*e, '=');
		if (strncmp(*e, "TALLYD_", 7) != 0 || equals == NULL || (size_t)(equals - *e) >= sizeof(name))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(equals - *e) - 7, *e + 7);
		for (char *c = name; *c != '\0'; c++)
			*c = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
		const char *near = option_near(name);
		if (option_find(name) < 0 && near != NULL && distance(name, near) < 3) {
			char right[64];
			env_name(near, right, sizeof(right));
			fprintf(stderr, "tallyd: environment: %.*s is no option and is ignored; did you mean %s?\n", (int)(equals - *e), *e, right);
		}
	}
}

static void
read_line(const char *file, int line_number, struct text line)
{
	char where[300];
	line = text_trim(line);
	if (line.n == 0 || line.s[0] == '#')
		return;
	snprintf(where, sizeof(where), "%s:%d", file, line_number);
	size_t equals = text_find(line, '=');
	if (equals == line.n)
		refuse("%s: \"" TEXT_FMT "\" is not \"name = value\"", where, TEXT_ARG(line));
	struct text name = text_trim((struct text){ line.s, equals });
	struct text value = text_trim(text_skip(line, equals + 1));
	if (value.n >= 2 && (value.s[0] == '"' || value.s[0] == '\'') && value.s[value.n - 1] == value.s[0])
		value = (struct text){ value.s + 1, value.n - 2 };
	char *name_z = strndup(name.s, name.n), *value_z = strndup(value.n > 0 ? value.s : "", value.n);
	if (name_z == NULL || value_z == NULL)
		refuse("out of memory");
	int at = option_find(name_z);
	if (at < 0)
		refuse_name(where, name_z, value_z);
	if (origins[at] == NULL)
		store(at, value_z, keep(where));
	free(name_z);
	free(value_z);
}

static void
read_conf(void)
{
	static const char *const usual[] = { "conf/tallyd.conf", "/etc/tallyd/tallyd.conf" };
	int at = option_find("conf");
	const char *file = origins[at] != NULL ? text_of(at) : NULL;
	for (size_t i = 0; file == NULL && i < 2; i++)
		if (access(usual[i], R_OK) == 0)
			file = usual[i];
	if (file == NULL || file[0] == '\0')
		return;
	FILE *f = fopen(file, "re");
	if (f == NULL)
		refuse("conf = \"%s\" cannot be read: %s", file, strerror(errno));
	char *line = NULL;
	size_t room = 0;
	int line_number = 0;
	for (ssize_t n; (n = getline(&line, &room, f)) >= 0;)
		read_line(file, ++line_number, (struct text){ line, (size_t)n });
	free(line);
	fclose(f);
	if (origins[at] == NULL)
		store(at, file, "found");
}

enum reach { LOOPBACK, PRIVATE, OPEN };

static enum reach
reach4(uint32_t a)
{
	if (a >> 24 == 127)
		return LOOPBACK;
	bool private = a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 16 == 0xa9fe || a >> 22 == (0x64400000u >> 22);
	return private ? PRIVATE : OPEN;
}

static enum reach
reach_of(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, address, sizeof(in));
		return reach4(ntohl(in.sin_addr.s_addr));
	}
	struct sockaddr_in6 in6;
	memcpy(&in6, address, sizeof(in6));
	const unsigned char *b = in6.sin6_addr.s6_addr;
	if (IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr))
		return LOOPBACK;
	if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
		return reach4((uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 | (uint32_t)b[14] << 8 | b[15]);
	return (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80) ? PRIVATE : OPEN;
}

static void
check_host(void)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found = NULL;
	enum reach reach = LOOPBACK;
	int at = option_find("host");
	if (now.host[0] == '\0' || getaddrinfo(now.host, NULL, &hints, &found) != 0)
		refuse_value(origins[at], "host", now.host, "an address of this machine is");
	for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
		if (reach_of(a->ai_addr) > reach)
			reach = reach_of(a->ai_addr);
	freeaddrinfo(found);
	if (strcmp(now.command, "serve") != 0 && strcmp(now.command, "check-config") != 0)
		return;
	if (reach == OPEN && !now.insecure)
		refuse_value(origins[at], "host", now.host,
		    "everyone who reaches this address could read and change everything, since nobody has to log in; a loopback or private address is, or add --insecure when a firewall or proxy guards it");
	if (reach != LOOPBACK)
		fprintf(stderr, "tallyd: warning: everyone who reaches %s can read and change everything, since nobody has to log in\n", now.host);
}

static void
check_database(const char *name, const char **uri)
{
	char *error = NULL;
	int at = option_find(name);
	const char *plus = strncmp(*uri, "postgres", 8) == 0 ? strchr(*uri, '+') : NULL;
	const char *scheme_end = strstr(*uri, "://");
	/* SQLAlchemy's spelling, as in MLflow's --backend-store-uri: postgresql+psycopg2://... */
	if (plus != NULL && scheme_end != NULL && plus < scheme_end) {
		struct buf plain = { 0 };
		buf_puts(&plain, "postgresql");
		buf_puts(&plain, scheme_end);
		buf_byte(&plain, '\0');
		*uri = plain.s;
	}
	if ((*uri)[0] == '\0')
		return;
	PQconninfoOption *parsed = PQconninfoParse(*uri, &error);
	if (parsed == NULL)
		refuse_value(origins[at], name, "...", "a PostgreSQL address is, like postgresql://user:password@host:5432/name?sslmode=require");
	PQconninfoFree(parsed);
}

static void
check_paths(void)
{
	size_t n = strlen(now.static_prefix);
	if (n > 0 && (now.static_prefix[0] != '/' || now.static_prefix[n - 1] == '/' || strpbrk(now.static_prefix, "?#% ") != NULL))
		refuse_value(origins[option_find("static-prefix")], "static-prefix", now.static_prefix, "a path like /mlflow, that begins with / and does not end with it, is");
	if (strncmp(now.artifacts_destination, "file://", 7) == 0)
		now.artifacts_destination += 7;
	const char *colon = strstr(now.artifacts_destination, "://");
	if (colon != NULL && (strncmp(now.artifacts_destination, "gs://", 5) != 0 || now.artifacts_destination[5] == '\0' || now.artifacts_destination[5] == '/'))
		refuse_value(origins[option_find("artifacts-destination")], "artifacts-destination", now.artifacts_destination, "a folder or gs://bucket/path is");
	if (now.data_dir[0] == '\0')
		refuse_value(origins[option_find("data-dir")], "data-dir", "", "a folder is");
	if (now.ui_dir[0] != '\0' && access(now.ui_dir, R_OK | X_OK) != 0)
		refuse_value(origins[option_find("ui-dir")], "ui-dir", now.ui_dir, "a readable folder is");
	if (now.data_dir[0] != '/') {
		char *here = getcwd(NULL, 0);
		struct buf path = { 0 };
		if (here == NULL)
			refuse("the current folder is gone");
		const char *below = strncmp(now.data_dir, "./", 2) == 0 ? now.data_dir + 2 : now.data_dir;
		buf_printf(&path, "%s/%s", here, below);
		buf_byte(&path, '\0');
		now.data_dir = path.s;
		free(here);
	}
	if (now.artifacts_destination[0] == '\0') {
		struct buf path = { 0 };
		buf_printf(&path, "%s/artifacts", now.data_dir);
		buf_byte(&path, '\0');
		now.artifacts_destination = path.s;
	}
}

/* Root runs nothing but the supervisor: the rest belongs to the folder's owner, or an account made for it. */
static void
check_user(void)
{
	struct stat st;
	struct passwd *account;
	int at = option_find("user");
	if (getuid() != 0) {
		now.user = "";
		return;
	}
	if (now.user[0] == '\0' && stat(now.data_dir, &st) == 0 && st.st_uid != 0 && (account = getpwuid(st.st_uid)) != NULL)
		now.user = keep(account->pw_name);
	if (now.user[0] == '\0')
		now.user = getpwnam("tallyd") != NULL ? "tallyd" : getpwnam("postgres") != NULL ? "postgres" : "nobody";
	account = getpwnam(now.user);
	if (account == NULL || account->pw_uid == 0)
		refuse_value(origins[at], "user", now.user, account == NULL ? "an account of this machine is" : "an account other than root is");
}

/* libpq and others look for files at home, and stop when they may not read root's. Kore writes its process titles over the environment and counts on it lying where
 * it lay at the start, so it is not changed in place: the program begins again with another one. */
static void
enter_home(char **argv)
{
	const struct passwd *account = now.user[0] != '\0' ? getpwnam(now.user) : NULL;
	const char *home = getenv("HOME");
	bool runs = strcmp(now.command, "check-config") != 0 && strcmp(now.command, "routes") != 0;
	if (account == NULL || !runs || (home != NULL && strcmp(home, account->pw_dir) == 0))
		return;
	if (setenv("HOME", account->pw_dir, 1) == 0 && setenv("USER", account->pw_name, 1) == 0 && setenv("LOGNAME", account->pw_name, 1) == 0)
		execv("/proc/self/exe", argv);
	refuse("cannot begin again as %s: %s", now.user, strerror(errno));
}

void
config_load(int argc, char **argv)
{
	read_flags(argc, argv);
	read_environment();
	read_conf();
	for (int i = 0; i < OPTIONS; i++)
		if (origins[i] == NULL)
			store(i, options[i].value, "default");
	check_paths();
	check_user();
	enter_home(argv);
	check_host();
	check_database("database", &now.database);
}

static const char *
value_of(const PQconninfoOption *parsed, const char *keyword)
{
	for (const PQconninfoOption *o = parsed; o->keyword != NULL; o++)
		if (strcmp(o->keyword, keyword) == 0)
			return o->val != NULL ? o->val : "";
	return "";
}

static const char *
show_database(const char *uri)
{
	PQconninfoOption *parsed = uri[0] != '\0' ? PQconninfoParse(uri, NULL) : NULL;
	if (parsed == NULL)
		return "";
	const char *user = value_of(parsed, "user"), *host = value_of(parsed, "host"), *port = value_of(parsed, "port");
	snprintf(shown, sizeof(shown), "postgresql://%s%s%s%s%s/%s%s%s", user, user[0] != '\0' ? "@" : "", host[0] == '/' ? "" : host,
	    port[0] != '\0' && host[0] != '/' ? ":" : "", host[0] != '/' ? port : "", value_of(parsed, "dbname"), host[0] == '/' ? "?host=" : "", host[0] == '/' ? host : "");
	PQconninfoFree(parsed);
	return shown;
}

const char *
config_database_shown(void)
{
	return show_database(now.database);
}

void
config_print(void)
{
	for (int i = 0; i < OPTIONS; i++) {
		const char *field = (const char *)&now + options[i].at;
		char value[600];
		int number;
		int64_t size;
		bool truth;
		switch (options[i].kind) {
		case K_INT:
			memcpy(&number, field, sizeof(number));
			snprintf(value, sizeof(value), "%d", number);
			break;
		case K_SIZE:
			memcpy(&size, field, sizeof(size));
			snprintf(value, sizeof(value), "%lld", (long long)size);
			break;
		case K_BOOL:
			memcpy(&truth, field, sizeof(truth));
			snprintf(value, sizeof(value), "%s", truth ? "true" : "false");
			break;
		case K_TEXT:
		case K_CHOICE:
		default:
			/* Without the password. */
			snprintf(value, sizeof(value), "%s", strstr(options[i].name, "database") != NULL ? show_database(text_of(i)) : text_of(i));
			break;
		}
		printf("%-22s = %-40s # %s\n", options[i].name, value, origins[i]);
	}
}

void
config_set_database(const char *uri)
{
	now.database = keep(uri);
	now.embedded = true;
}

/*
 * Turns files into C at build time.
 *   embed queries OUT.h OUT.c FILE.sql...     the "-- name: x" blocks as db_statements[]; "-- like: y x a b" is block x once more as y, over table b where that has a
 *   embed migrations OUT.c LIST FILE.sql... [LIST FILE.sql...]   whole files, lists of app/migrations.h
 *   embed assets OUT.c FOLDER NAME...         the web UI's files, with type, hash and gzip bytes
 */
#include <ctype.h>
#include <errno.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct bytes {
	unsigned char *s;
	size_t n;
};

static _Noreturn void
die(const char *what, const char *about)
{
	fprintf(stderr, "embed: %s: %s\n", about, what);
	exit(1);
}

static void *
take(size_t n)
{
	void *p = malloc(n > 0 ? n : 1);

	if (p == NULL)
		die("out of memory", "malloc");
	return p;
}

static struct bytes
read_file(const char *path)
{
	struct bytes b = { NULL, 0 };
	FILE *f = fopen(path, "rb");
	size_t cap = 65536, got;

	if (f == NULL)
		die(strerror(errno), path);
	b.s = take(cap + 1);
	while ((got = fread(b.s + b.n, 1, cap - b.n, f)) > 0) {
		b.n += got;
		if (b.n == cap) {
			unsigned char *more = take(cap * 2 + 1);

			memcpy(more, b.s, b.n);
			free(b.s);
			b.s = more;
			cap *= 2;
		}
	}
	if (ferror(f))
		die(strerror(errno), path);
	fclose(f);
	b.s[b.n] = '\0';
	return b;
}

static FILE *
open_out(const char *path)
{
	FILE *f = fopen(path, "w");

	if (f == NULL)
		die(strerror(errno), path);
	fputs("/* Made by tools/embed.c at build. */\n", f);
	return f;
}

static void
close_out(FILE *f, const char *path)
{
	if (fclose(f) != 0)
		die(strerror(errno), path);
}

static void
put_string(FILE *out, const char *s, size_t n)
{
	fputs("\n\t\t\"", out);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '\n')
			fputs(i + 1 < n ? "\\n\"\n\t\t\"" : "\\n", out);
		else if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c == '?')
			fputs("\\?", out);
		else if (c < 32 || c > 126)
			fprintf(out, "\\%03o", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void
put_name(FILE *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fputc(isalnum((unsigned char)s[i]) ? s[i] : '_', out);
}

/* The largest N of "$N" outside of strings, quoted names, comments and dollar quotes. */
static int
count_params(const char *s, size_t n)
{
	int most = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\'' || s[i] == '"') {
			char quote = s[i];

			for (i++; i < n && s[i] != quote; i++)
				;
		} else if (s[i] == '-' && i + 1 < n && s[i + 1] == '-') {
			while (i < n && s[i] != '\n')
				i++;
		} else if (s[i] == '$' && i + 1 < n && isdigit((unsigned char)s[i + 1]) &&
		    (i == 0 || (!isalnum((unsigned char)s[i - 1]) && s[i - 1] != '_'))) {
			int v = 0;

			while (i + 1 < n && isdigit((unsigned char)s[i + 1]) && v < 100000)
				v = v * 10 + (s[++i] - '0');
			if (v > most)
				most = v;
		}
	}
	return most;
}

struct query {
	char *name;
	char *sql;
	size_t n;
};

static struct query queries[4096];
static size_t query_count;

static void
add_query(const char *path, const char *name, size_t name_n, const char *body, size_t n)
{
	struct query *q = &queries[query_count];

	while (n > 0 && isspace((unsigned char)body[0])) {
		body++;
		n--;
	}
	while (n > 0 && (isspace((unsigned char)body[n - 1]) || body[n - 1] == ';'))
		n--;
	if (n == 0)
		die("a block without a statement", path);
	if (query_count == sizeof(queries) / sizeof(queries[0]))
		die("too many blocks", path);
	q->name = take(name_n + 1);
	memcpy(q->name, name, name_n);
	q->name[name_n] = '\0';
	for (size_t i = 0; i < query_count; i++)
		if (strcmp(queries[i].name, q->name) == 0)
			die("this name is taken by another block", q->name);
	q->sql = take(n + 1);
	memcpy(q->sql, body, n);
	q->n = n;
	query_count++;
}

/* "-- like: NEW OLD FROM TO" */
static void
add_like(const char *path, const char *line, const char *stop)
{
	const char *words[4], *at = line;
	size_t sizes[4], n = 0;
	const struct query *old = NULL;
	char *body;

	for (int i = 0; i < 4; i++) {
		while (at < stop && isspace((unsigned char)*at))
			at++;
		for (words[i] = at; at < stop && !isspace((unsigned char)*at);)
			at++;
		sizes[i] = (size_t)(at - words[i]);
		if (sizes[i] == 0)
			die("\"-- like:\" takes a new name, an old one, a table and another", path);
	}
	for (size_t i = 0; i < query_count; i++)
		if (strlen(queries[i].name) == sizes[1] && memcmp(queries[i].name, words[1], sizes[1]) == 0)
			old = &queries[i];
	if (old == NULL)
		die("\"-- like:\" an unknown block", path);
	body = take(old->n * (sizes[3] + 1));
	for (size_t i = 0; i < old->n;) {
		if (old->n - i >= sizes[2] && memcmp(old->sql + i, words[2], sizes[2]) == 0) {
			memcpy(body + n, words[3], sizes[3]);
			n += sizes[3];
			i += sizes[2];
		} else {
			body[n++] = old->sql[i++];
		}
	}
	add_query(path, words[0], sizes[0], body, n);
	free(body);
}

/* Lines that are only a comment are dropped: they may sit above the next block's name. */
static void
read_queries(const char *path)
{
	struct bytes file = read_file(path);
	const char *at = (const char *)file.s, *end = at + file.n;
	char *body = take(file.n + 1);
	char *name = NULL;
	size_t n = 0, name_n = 0;

	while (at < end) {
		const char *line = at;
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		const char *first;

		stop = stop == NULL ? end : stop + 1;
		at = stop;
		for (first = line; first < stop && (*first == ' ' || *first == '\t'); first++)
			;
		if (strncmp(line, "-- like:", 8) == 0) {
			if (name != NULL)
				add_query(path, name, name_n, body, n);
			free(name);
			name = NULL;
			add_like(path, line + 8, stop);
		} else if (strncmp(line, "-- name:", 8) == 0) {
			if (name != NULL)
				add_query(path, name, name_n, body, n);
			for (first = line + 8; first < stop && (*first == ' ' || *first == '\t'); first++)
				;
			for (name_n = 0; first + name_n < stop && !isspace((unsigned char)first[name_n]); name_n++)
				;
			if (name_n == 0)
				die("a \"-- name:\" without a name", path);
			free(name);
			name = take(name_n);
			memcpy(name, first, name_n);
			n = 0;
		} else if (strncmp(first, "--", 2) != 0 && name != NULL) {
			memcpy(body + n, line, (size_t)(stop - line));
			n += (size_t)(stop - line);
		}
	}
	if (name != NULL)
		add_query(path, name, name_n, body, n);
	free(name);
	free(body);
	free(file.s);
}

static int
make_queries(int argc, char **argv)
{
	FILE *h = open_out(argv[2]), *c = open_out(argv[3]);

	for (int i = 4; i < argc; i++)
		read_queries(argv[i]);
	fputs("#ifndef SQL_QUERIES_H\n#define SQL_QUERIES_H\n#include \"base/db.h\"\n", h);
	fputs("/* `&sql_x` and `SQL_x` are the address of block x: a constant, good in static tables. */\n", h);
	fputs("#include \"sql_queries.h\"\n#pragma GCC diagnostic ignored \"-Woverlength-strings\"\n\nconst struct db_statement db_statements[] = {\n", c);
	for (size_t i = 0; i < query_count; i++) {
		fputs("#define sql_", h);
		put_name(h, queries[i].name, strlen(queries[i].name));
		fprintf(h, " (db_statements[%zu])\n#define SQL_", i);
		put_name(h, queries[i].name, strlen(queries[i].name));
		fprintf(h, " (&db_statements[%zu])\n", i);
		fprintf(c, "\t{ .name = \"%s\", .params = %d, .slot = %zu, .sql = ", queries[i].name, count_params(queries[i].sql, queries[i].n), i);
		put_string(c, queries[i].sql, queries[i].n);
		fputs(" },\n", c);
	}
	if (query_count == 0)
		fputs("\t{ .name = \"\", .sql = \"\" },\n", c);
	fprintf(c, "};\nconst size_t db_statement_count = %zu;\n", query_count);
	fputs("#endif\n", h);
	close_out(c, argv[3]);
	close_out(h, argv[2]);
	return 0;
}

static bool
ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

static void
close_list(FILE *out, const char *list, size_t count)
{
	char singular[64];

	if (list == NULL)
		return;
	if (count == 0)
		fputs("\t{ .name = \"\", .sql = \"\" },\n", out);
	snprintf(singular, sizeof(singular), "%.*s", (int)(strlen(list) - (ends(list, "s") ? 1 : 0)), list);
	fprintf(out, "};\nconst size_t %s_count = %zu;\n", singular, count);
}

static int
make_migrations(int argc, char **argv)
{
	FILE *out = open_out(argv[2]);
	const char *list = NULL;
	size_t count = 0;

	fputs("#include \"migrations.h\"\n#pragma GCC diagnostic ignored \"-Woverlength-strings\"\n", out);
	for (int i = 3; i < argc; i++) {
		const char *base;
		struct bytes file;

		if (!ends(argv[i], ".sql")) {
			close_list(out, list, count);
			list = argv[i];
			count = 0;
			fprintf(out, "\nconst struct migration %s[] = {\n", list);
			continue;
		}
		base = strrchr(argv[i], '/');
		base = base == NULL ? argv[i] : base + 1;
		file = read_file(argv[i]);
		fprintf(out, "\t{ .name = \"%.*s\", .sql = ", (int)(strlen(base) - 4), base);
		put_string(out, (const char *)file.s, file.n);
		fputs(" },\n", out);
		free(file.s);
		count++;
	}
	close_list(out, list, count);
	close_out(out, argv[2]);
	return 0;
}

static const char *
type_of(const char *name)
{
	static const struct {
		const char *suffix, *type;
	} types[] = {
		{ ".html", "text/html; charset=utf-8" },
		{ ".js", "text/javascript; charset=utf-8" },
		{ ".mjs", "text/javascript; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" },
		{ ".svg", "image/svg+xml" },
		{ ".json", "application/json" },
		{ ".map", "application/json" },
		{ ".png", "image/png" },
		{ ".ico", "image/x-icon" },
		{ ".webp", "image/webp" },
		{ ".woff2", "font/woff2" },
		{ ".wasm", "application/wasm" },
		{ ".txt", "text/plain; charset=utf-8" },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (ends(name, types[i].suffix))
			return types[i].type;
	return "application/octet-stream";
}

static struct bytes
gzip(struct bytes plain)
{
	struct bytes packed;
	z_stream z;

	memset(&z, 0, sizeof(z));
	if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		die("deflateInit2", "zlib");
	packed.n = deflateBound(&z, plain.n);
	packed.s = take(packed.n);
	z.next_in = plain.s;
	z.avail_in = (uInt)plain.n;
	z.next_out = packed.s;
	z.avail_out = (uInt)packed.n;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		die("deflate", "zlib");
	packed.n = z.total_out;
	deflateEnd(&z);
	return packed;
}

static void
put_bytes(FILE *out, const char *label, size_t i, struct bytes b)
{
	fprintf(out, "static const unsigned char %s_%zu[] = {", label, i);
	for (size_t at = 0; at < b.n; at++)
		fprintf(out, "%s%u,", at % 32 == 0 ? "\n" : "", b.s[at]);
	fputs(b.n == 0 ? "0 };\n" : "\n};\n", out);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
make_assets(int argc, char **argv)
{
	FILE *out = open_out(argv[2]);
	size_t count = (size_t)(argc - 4);
	char *table = NULL;
	size_t table_n = 0;
	FILE *rows = open_memstream(&table, &table_n);

	if (rows == NULL)
		die(strerror(errno), "open_memstream");
	qsort(argv + 4, count, sizeof(argv[0]), by_name);
	fputs("#include \"base/asset.h\"\n", out);
	for (size_t i = 0; i < count; i++) {
		char path[4096];
		unsigned char hash[SHA256_DIGEST_LENGTH];
		struct bytes plain, packed;
		bool smaller;

		snprintf(path, sizeof(path), "%s/%s", argv[3], argv[4 + i]);
		plain = read_file(path);
		packed = gzip(plain);
		smaller = packed.n + 64 < plain.n;
		SHA256(plain.s, plain.n, hash);
		put_bytes(out, "plain", i, plain);
		if (smaller)
			put_bytes(out, "packed", i, packed);
		fprintf(rows, "\t{ .name = \"%s\", .type = \"%s\", .etag = \"\\\"", argv[4 + i], type_of(argv[4 + i]));
		for (size_t k = 0; k < 16; k++)
			fprintf(rows, "%02x", hash[k]);
		fprintf(rows, "\\\"\", .bytes = plain_%zu, .n = %zu", i, plain.n);
		if (smaller)
			fprintf(rows, ", .gzip = packed_%zu, .gzip_n = %zu", i, packed.n);
		fputs(" },\n", rows);
		free(plain.s);
		free(packed.s);
	}
	fclose(rows);
	fprintf(out, "\nconst struct asset assets[] = {\n%s};\nconst size_t asset_count = %zu;\n", table, count);
	free(table);
	close_out(out, argv[2]);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "queries") == 0)
		return make_queries(argc, argv);
	if (argc >= 3 && strcmp(argv[1], "migrations") == 0)
		return make_migrations(argc, argv);
	if (argc >= 5 && strcmp(argv[1], "assets") == 0)
		return make_assets(argc, argv);
	fputs("usage: embed queries|migrations|assets OUT ...\n", stderr);
	return 2;
}

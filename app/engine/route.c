/*
 * From a path to its row. Every row's full paths (three prefixes for most) are in one hash table; paths with variables are matched one after the other.
 * The preview mirror serves clients before 2.0: Java 1.x uses it for everything.
 */
#include "engine/route.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "config.h"
#include "engine/engine.h"

#define FALLBACK "<rest:path>"
#define SLOTS 4096 /* power of two, over twice the paths */

struct path {
	struct text text;
	const struct endpoint *row;
	struct path *next; /* same path, another method; or the next pattern */
	bool ajax;
};

static struct path *slots[SLOTS];
static struct path *patterns;
static struct path *fallback; /* the row whose whole path is one variable: for a browser's address that no other row has */
static const struct endpoint *rows[512];
static size_t row_count;
static struct arena *route_arena; /* lives as long as the worker */

static const char *
method_word(enum http_method m)
{
	static const char *const words[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER" };

	return words[m];
}

static void
path_add(const struct endpoint *row, const char *prefix, bool ajax)
{
	struct path *p = ARENA_NEW(route_arena, struct path);
	struct path **link;
	const char *fixed = prefix == config->static_prefix ? "" : config->static_prefix;

	p->text = text_format(route_arena, "%s%s%s", fixed, prefix, row->path);
	p->row = row;
	p->ajax = ajax;
	if (strcmp(row->path, FALLBACK) == 0) {
		fallback = p;
		return;
	}
	if (strchr(row->path, '<') != NULL) {
		for (link = &patterns; *link != NULL; link = &(*link)->next)
			;
		*link = p;
		return;
	}
	link = &slots[text_hash(p->text) & (SLOTS - 1)];
	p->next = *link;
	*link = p;
}

static void
row_add(const struct endpoint *row)
{
	PRECOND(row_count < sizeof(rows) / sizeof(rows[0]));
	if (row->on.kind == ON_NOTHING_SAID) {
		fprintf(stderr, "endpoint %s %s does not say what it is about (.on)\n", method_word(row->method), row->path);
		exit(70);
	}
	rows[row_count++] = row;
	switch (row->api) {
	case API_2:
		path_add(row, "/api/2.0/", false);
		path_add(row, "/ajax-api/2.0/", true);
		if (strncmp(row->path, "mlflow/", 7) == 0)
			path_add(row, "/api/2.0/preview/", false);
		break;
	case API_3:
		path_add(row, "/api/3.0/", false);
		path_add(row, "/ajax-api/3.0/", true);
		break;
	case API_2_AJAX:
		path_add(row, "/ajax-api/2.0/", true);
		break;
	case API_3_AJAX:
		path_add(row, "/ajax-api/3.0/", true);
		break;
	case API_ROOT:
		path_add(row, "/", true);
		/* The page's folder without its slash: pages.c redirects. */
		if (config->static_prefix[0] != '\0' && row->path[0] == '\0')
			path_add(row, config->static_prefix, true);
	}
}

void
route_setup(void)
{
	size_t t;
	size_t r;

	if (route_arena != NULL)
		return;
	route_arena = arena_new();
	for (t = 0; t < endpoint_table_count; t++)
		for (r = 0; r < endpoint_tables[t]->count; r++)
			row_add(&endpoint_tables[t]->rows[r]);
}

/* Matches "a/<x>/b/<rest:path>"; fills the call's path variables, decoded once. 1 yes, 0 no, -1 broken escape. */
static int
pattern_match(struct call *call, struct text pattern, struct text path)
{
	size_t count = 0;

	for (;;) {
		size_t ps = text_find(pattern, '/');
		struct text want = { pattern.s, ps };
		size_t ss = text_find(path, '/');

		if (want.n > 0 && want.s[0] == '<') {
			struct text name = { want.s + 1, want.n - 2 };
			bool rest = text_ends(name, ":path");
			struct text got = rest ? path : (struct text){ path.s, ss };

			if (rest)
				name.n -= strlen(":path");
			if (got.n == 0 || count == PATH_ARGS_MOST)
				return 0;
			call->path_names[count] = name;
			if (!text_percent_decode(call->arena, got, false, &call->path_args[count]))
				return -1;
			count++;
			if (rest) {
				call->path_count = count;
				return 1;
			}
		} else if (!text_eq(want, (struct text){ path.s, ss })) {
			return 0;
		}
		if (ps == pattern.n || ss == path.n) {
			call->path_count = count;
			return ps == pattern.n && ss == path.n;
		}
		pattern = text_skip(pattern, ps + 1);
		path = text_skip(path, ss + 1);
	}
}

static bool
method_fits(const struct endpoint *row, enum http_method m)
{
	return row->method == m || (m == HTTP_M_HEAD && row->method == HTTP_M_GET);
}

/* A person looks at an address: a browser says that it takes HTML, and the API's own paths stay the API's. */
static bool
wants_page(struct call *call, struct text path)
{
	struct text accept = http_header(call->http, "Accept");
	struct text own = text_starts(path, config->static_prefix) ? text_skip(path, strlen(config->static_prefix)) : path;

	return (call->http->method == HTTP_M_GET || call->http->method == HTTP_M_HEAD) && accept.n > 0 && memmem(accept.s, accept.n, "text/html", 9) != NULL && !text_starts(own, "/api/") && !text_starts(own, "/ajax-api/");
}

bool
route_find(struct call *call)
{
	struct text path;
	bool known = false;
	struct path *p;

	/* An address put together from "host/" and "/path": MLflow takes it, too. */
	while (text_starts(call->http->path, "//"))
		call->http->path = text_skip(call->http->path, 1);
	path = call->http->path;
	for (p = slots[text_hash(path) & (SLOTS - 1)]; p != NULL; p = p->next) {
		if (!text_eq(p->text, path))
			continue;
		known = true;
		if (method_fits(p->row, call->http->method)) {
			call->endpoint = p->row;
			call->ajax = p->ajax;
			return true;
		}
	}
	for (p = patterns; p != NULL; p = p->next) {
		int match = pattern_match(call, p->text, path);

		if (match < 0)
			return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid percent-encoding in the path.");
		if (match == 0)
			continue;
		known = true;
		if (method_fits(p->row, call->http->method)) {
			call->endpoint = p->row;
			call->ajax = p->ajax;
			return true;
		}
	}
	if (known)
		return call_refuse(call, METHOD_NOT_ALLOWED, "The method %.*s is not allowed for %.*s.", TEXT_ARG(call->http->method_name), TEXT_ARG(path));
	if (fallback != NULL && wants_page(call, path)) {
		call->endpoint = fallback->row;
		return true;
	}
	return call_refuse(call, ENDPOINT_NOT_FOUND, "No API found for '%.*s %.*s'.", TEXT_ARG(call->http->method_name), TEXT_ARG(path));
}

struct text
route_allowed(struct arena *arena, struct text path)
{
	struct call probe = { .arena = arena };
	struct buf b = { 0 };
	struct path *p;
	struct text t;
	bool seen[HTTP_M_OTHER + 1] = { false };
	int m;

	for (p = slots[text_hash(path) & (SLOTS - 1)]; p != NULL; p = p->next)
		if (text_eq(p->text, path))
			seen[p->row->method] = true;
	for (p = patterns; p != NULL; p = p->next)
		if (pattern_match(&probe, p->text, path) == 1)
			seen[p->row->method] = true;
	seen[HTTP_M_HEAD] = seen[HTTP_M_GET];
	seen[HTTP_M_OPTIONS] = true;
	for (m = 0; m < HTTP_M_OTHER; m++)
		if (seen[m])
			buf_printf(&b, "%s%s", b.n > 0 ? ", " : "", method_word((enum http_method)m));
	t = text_copy(arena, buf_view(&b));
	buf_free(&b);
	return t;
}

size_t
route_number(const struct endpoint *row)
{
	size_t i;

	for (i = 0; i < row_count; i++)
		if (rows[i] == row)
			return i;
	return 0;
}

size_t
route_count(void)
{
	return row_count;
}

const struct endpoint *
route_row(size_t number)
{
	return rows[number];
}

/* ---- `tallyd routes` ---- */

static void
fields_print(struct buf *out, const struct field *f)
{
	static const char *const types[] = { "string", "uri", "int64", "int32", "double", "bool", "enum", "object", "string[]", "object[]" };
	bool first = true;

	buf_byte(out, '[');
	for (; f != NULL && f->name != NULL; f++) {
		buf_printf(out, "%s{\"name\":\"%s\",\"type\":\"%s\",\"required\":%s", first ? "" : ",", f->name, types[f->type], f->required ? "true" : "false");
		if (f->alias != NULL)
			buf_printf(out, ",\"alias\":\"%s\"", f->alias);
		if (f->most > 0)
			buf_printf(out, ",\"max_length\":%zu", f->most);
		if (f->words != NULL) {
			const struct word *w;

			buf_puts(out, ",\"words\":[");
			for (w = f->words; w->word != NULL; w++)
				buf_printf(out, "%s\"%s\"", w == f->words ? "" : ",", w->word);
			buf_byte(out, ']');
		}
		if (f->fields != NULL) {
			buf_puts(out, ",\"fields\":");
			fields_print(out, f->fields);
		}
		buf_byte(out, '}');
		first = false;
	}
	buf_byte(out, ']');
}

void
engine_routes(struct buf *out)
{
	static const char *const prefixes[][3] = {
		[API_2] = { "/api/2.0/", "/ajax-api/2.0/", "/api/2.0/preview/" },
		[API_3] = { "/api/3.0/", "/ajax-api/3.0/", NULL },
		[API_2_AJAX] = { "/ajax-api/2.0/", NULL, NULL },
		[API_3_AJAX] = { "/ajax-api/3.0/", NULL, NULL },
		[API_ROOT] = { "/", NULL, NULL },
	};
	static const char *const access[] = { "public", "read", "edit", "manage", "admin" };
	static const char *const on[] = { "", "server", "experiment", "experiment", "experiments", "run", "runs", "model", "logged model", "artifact path" };
	size_t i;
	int p;

	route_setup();
	buf_puts(out, "[\n");
	for (i = 0; i < row_count; i++) {
		const struct endpoint *e = rows[i];

		buf_printf(out, "%s{\"method\":\"%s\",\"path\":\"%s\",\"paths\":[", i == 0 ? "" : ",\n", method_word(e->method), e->path);
		for (p = 0; p < 3 && prefixes[e->api][p] != NULL; p++)
			if (p < 2 || strncmp(e->path, "mlflow/", 7) == 0)
				buf_printf(out, "%s\"%s%s\"", p == 0 ? "" : ",", prefixes[e->api][p], e->path);
		buf_printf(out, "],\"access\":\"%s\",\"on\":\"%s\",\"body\":\"%s\",\"fields\":", access[e->access], on[e->on.kind], e->body == BODY_RAW ? "raw" : "json");
		fields_print(out, e->fields);
		if (e->doc != NULL) {
			buf_puts(out, ",\"doc\":");
			buf_json(out, text_from(e->doc));
		}
		buf_byte(out, '}');
	}
	buf_puts(out, "\n]\n");
}

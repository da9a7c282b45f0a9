/*
 * The web page: our own from the binary, or MLflow's from the folder --ui-dir. Every view is a path that the page itself reads, so each answers with the page.
 * index-N.html has its relative addresses written for a path N folders deep: that is how the page works under any prefix.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/asset.h"
#include "base/http.h"
#include "config.h"
#include "engine/call.h"
#include "store/store.h"

#define OWN_POLICY "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; frame-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
/* MLflow's bundle evaluates code and writes styles: it gets what it needs and no other host. */
#define MLFLOW_POLICY "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; frame-src 'self' blob: data:; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

#define HEADERS_MOST 8

struct headers {
	struct http_header_out list[HEADERS_MOST];
	size_t n;
};

static void
header_add(struct headers *h, const char *name, struct text value)
{
	PRECOND(h->n < HEADERS_MOST);
	h->list[h->n++] = (struct http_header_out){ name, value };
}

static bool
matches(const struct call *call, const char *etag)
{
	struct text asked = http_header(call->http, "If-None-Match");

	return asked.n > 0 && (text_is(asked, "*") || memmem(asked.s, asked.n, etag, strlen(etag)) != NULL);
}

static enum next
asset_reply(struct call *call, const struct asset *a, bool page, int status)
{
	struct headers h = { .n = 0 };
	struct text accept = http_header(call->http, "Accept-Encoding");
	bool packed = a->gzip != NULL && memmem(accept.s == NULL ? "" : accept.s, accept.n, "gzip", 4) != NULL;
	struct http_reply reply = { .status = status, .type = a->type };
	struct text body = { (const char *)a->bytes, a->n };

	header_add(&h, "X-Content-Type-Options", TEXT("nosniff"));
	header_add(&h, "ETag", text_from(a->etag));
	header_add(&h, "Cache-Control", page ? TEXT("no-cache") : TEXT("public, max-age=31536000, immutable"));
	if (a->gzip != NULL)
		header_add(&h, "Vary", TEXT("Accept-Encoding"));
	if (page) {
		header_add(&h, "Content-Security-Policy", TEXT(OWN_POLICY));
		header_add(&h, "Referrer-Policy", TEXT("no-referrer"));
		header_add(&h, "X-Frame-Options", TEXT("DENY"));
	}
	if (status == 200 && matches(call, a->etag)) {
		reply.status = 304;
		body = TEXT("");
	} else if (packed) {
		header_add(&h, "Content-Encoding", TEXT("gzip"));
		body = (struct text){ (const char *)a->gzip, a->gzip_n };
	}
	reply.headers = h.list;
	reply.header_count = h.n;
	http_reply_static(call->http, &reply, body);
	return call_done(call);
}

/* ---- MLflow's own page from a folder ---- */

static enum next
folder_reply(struct call *call, struct text path, bool page)
{
	struct headers h = { .n = 0 };
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	struct stat st;
	int root = open(config->ui_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = root < 0 ? -1 : (int)syscall(SYS_openat2, root, text_z(call->arena, path), &how, sizeof(how));
	struct http_reply reply = { .status = 200, .type = artifact_type(path) };

	if (root >= 0)
		close(root);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return call_fail(call, NOT_FOUND, "The folder --ui-dir has no file '%.*s'.", TEXT_ARG(path));
	}
	if (text_ends(path, ".js"))
		reply.type = "text/javascript; charset=utf-8";
	else if (text_ends(path, ".css"))
		reply.type = "text/css; charset=utf-8";
	else if (text_ends(path, ".html"))
		reply.type = "text/html; charset=utf-8";
	else if (text_ends(path, ".svg"))
		reply.type = "image/svg+xml";
	else if (text_ends(path, ".wasm"))
		reply.type = "application/wasm";
	header_add(&h, "X-Content-Type-Options", TEXT("nosniff"));
	header_add(&h, "Cache-Control", page ? TEXT("no-cache") : TEXT("public, max-age=2419200"));
	if (page || text_ends(path, ".html"))
		header_add(&h, "Content-Security-Policy", TEXT(MLFLOW_POLICY));
	reply.headers = h.list;
	reply.header_count = h.n;
	http_reply_file(call->http, &reply, fd, 0, st.st_size);
	return call_done(call);
}

static bool
path_clean(struct text path)
{
	return path.n > 0 && text_find(path, '\0') == path.n && path.s[0] != '/';
}

static enum next
static_file(struct call *call)
{
	struct text path = call_path_arg(call, "path");

	if (config->ui_dir[0] == '\0' || !path_clean(path))
		return call_fail(call, NOT_FOUND, "No such file.");
	return folder_reply(call, path, false);
}

static enum next
asset(struct call *call)
{
	struct text name = text_format(call->arena, "assets/%.*s", TEXT_ARG(call_path_arg(call, "name")));
	const struct asset *a = asset_find(name);

	if (a == NULL)
		return call_fail(call, NOT_FOUND, "No such file.");
	return asset_reply(call, a, false, 200);
}

/* ---- ours ---- */

/* The page for a path so many folders deep. */
static const struct asset *
page_for(struct call *call, struct text path)
{
	size_t depth = 0;
	size_t i;

	for (i = 1; i < path.n; i++)
		depth += path.s[i] == '/';
	return asset_find(depth == 0 ? TEXT("index.html") : text_format(call->arena, "index-%zu.html", depth));
}

static enum next
page(struct call *call)
{
	struct text path = text_skip(call->http->path, strlen(config->static_prefix));
	const struct asset *a;

	if (path.n == 0) {
		struct http_header_out location = { "Location", text_format(call->arena, "%s/", config->static_prefix) };
		struct http_reply reply = { .status = 308, .headers = &location, .header_count = 1 };

		http_reply_static(call->http, &reply, TEXT(""));
		return call_done(call);
	}
	if (config->ui_dir[0] != '\0')
		return folder_reply(call, TEXT("index.html"), true);
	a = page_for(call, path);
	if (a == NULL)
		a = asset_find(TEXT("index.html"));
	if (a == NULL)
		return call_fail(call, NOT_FOUND, "This build has no web page.");
	return asset_reply(call, a, true, 200);
}

/* An address that leads nowhere, in a browser: the page says so and shows the way back. Paths deeper than any of ours, or outside of the prefix, get a page without assets. */
static enum next
page_missing(struct call *call)
{
	struct text path = call->http->path;
	const struct asset *a = NULL;
	static const struct http_header_out headers[] = { { "Cache-Control", { "no-cache", 8 } }, { "X-Content-Type-Options", { "nosniff", 7 } }, { "Content-Security-Policy", { "default-src 'none'; frame-ancestors 'none'", 42 } } };
	struct http_reply reply = { .status = 404, .type = "text/html; charset=utf-8", .headers = headers, .header_count = sizeof(headers) / sizeof(headers[0]) };

	if (config->ui_dir[0] == '\0' && text_starts(path, config->static_prefix))
		a = page_for(call, text_skip(path, strlen(config->static_prefix)));
	if (a != NULL)
		return asset_reply(call, a, true, 404);
	http_reply_static(call->http, &reply, text_format(call->arena, "<!doctype html><html lang=\"en\"><title>Not found - tallyd</title><h1>There is nothing at this address</h1><p><a href=\"%s/\">To the experiments</a></p></html>\n", config->static_prefix));
	return call_done(call);
}

#define PAGE(p) { .method = HTTP_M_GET, .api = API_ROOT, .path = p, .access = ACCESS_READ, .on = SERVER, .run = page, .doc = "The web page." }

static const struct endpoint page_endpoints[] = {
	PAGE(""),
	PAGE("experiments"),
	PAGE("experiments/<rest:path>"),
	PAGE("runs/<rest:path>"),
	PAGE("models"),
	PAGE("models/<rest:path>"),
	PAGE("settings"),
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "<rest:path>", .access = ACCESS_READ, .on = SERVER, .run = page_missing, .doc = "The web page with status 404, for an address in a browser that no other row has." },
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "assets/<name>", .access = ACCESS_PUBLIC, .on = SERVER, .run = asset, .doc = "Files of the web page; names carry a hash of the content." },
	{ .method = HTTP_M_GET, .api = API_ROOT, .path = "static-files/<path:path>", .access = ACCESS_PUBLIC, .on = SERVER, .run = static_file, .doc = "Files of MLflow's own web page (--ui-dir)." },
};
const struct endpoint_table page_table = ENDPOINT_TABLE(page_endpoints);

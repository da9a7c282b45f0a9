/* Which store and key an artifact URI means, and a store's operation as a step of a call. Only roots that this server was given are ever opened. */
#include <stdio.h>

#include "api/artifact.h"
#include "base/log.h"
#include "config.h"

static struct store *proxy;
static char proxy_why[300];
static int64_t proxy_tried_ms;

/* A folder that cannot be made now may be there later: tried again, not at every request. */
static struct store *
proxy_open(void)
{
	if (proxy != NULL || (proxy_tried_ms != 0 && loop_now_ms() - proxy_tried_ms < 5000))
		return proxy;
	proxy_tried_ms = loop_now_ms();
	proxy = store_open(config->artifacts_destination, proxy_why, sizeof(proxy_why));
	if (proxy == NULL)
		log_error("artifacts: %s", proxy_why);
	return proxy;
}

struct store *
artifact_store(struct call *call)
{
	struct store *s = proxy_open();

	if (s == NULL)
		(void)call_fail(call, TEMPORARILY_UNAVAILABLE, "The artifact store cannot be used: %s", proxy_why);
	return s;
}

/* Lines for the log: what works needs no word at each start. */
static void
checked(void *user, bool usable, struct text report)
{
	struct text rest = report;

	(void)user;
	while (rest.n > 0) {
		size_t end = text_find(rest, '\n');
		struct text line = { rest.s, end };

		if (!usable)
			log_error("artifacts: " TEXT_FMT, TEXT_ARG(line));
		else if (text_starts(line, "ok") || text_starts(line, "bucket "))
			log_debug("artifacts: " TEXT_FMT, TEXT_ARG(line));
		else
			log_warn("artifacts: " TEXT_FMT, TEXT_ARG(line));
		rest = text_skip(rest, end < rest.n ? end + 1 : end);
	}
}

void
artifacts_start(void)
{
	struct store *s = config->serve_artifacts ? proxy_open() : NULL;
	struct text prefix;
	char why[300];

	if (s != NULL)
		store_check(s, checked, NULL);
	if (strncmp(config->default_artifact_root, "gs://", 5) != 0)
		return;
	s = store_for_uri(text_from(config->default_artifact_root), &prefix, why, sizeof(why));
	if (s == NULL)
		log_error("artifacts: %s", why);
	else
		store_check(s, checked, NULL);
}

bool
artifacts_direct(void)
{
	struct store *s = config->serve_artifacts && config->multipart && config->default_artifact_root[0] == '\0' ? proxy_open() : NULL;

	return s != NULL && s->can_sign;
}

static struct artifact *
artifact_new(struct call *call, struct store *store)
{
	struct artifact *a = ARENA_NEW(call->arena, struct artifact);

	a->call = call;
	a->store = store;
	a->prefix = a->root_uri = a->path = TEXT("");
	a->length = -1;
	call->state = a;
	return a;
}

bool
artifact_path_valid(struct call *call, struct text path, bool allow_empty, struct text *key)
{
	const char *why;

	return artifact_key(call->arena, path, allow_empty, key, &why) || call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid path%s%s", why[0] != '\0' ? ": " : "", why);
}

bool
artifact_below_valid(struct call *call, struct text path, bool allow_empty, struct text *key)
{
	if (allow_empty)
		path = text_trim_end(path, '/');
	if (text_is(path, ".") && allow_empty)
		path = TEXT("");
	return artifact_path_valid(call, path, allow_empty, key);
}

bool
artifact_proxied(struct call *call, struct text path, bool allow_empty, struct artifact **out)
{
	struct text key;
	struct store *store;

	if (!config->serve_artifacts)
		return call_refuse(call, TEMPORARILY_UNAVAILABLE, "The artifact endpoints are off: the server runs with --no-serve-artifacts.");
	if (!artifact_path_valid(call, path, allow_empty, &key))
		return false;
	store = artifact_store(call);
	if (store == NULL)
		return false;
	*out = artifact_new(call, store);
	(*out)->key = key;
	return true;
}

/* The rest of uri behind root and a slash; false when it lies elsewhere. */
static bool
below(struct text uri, struct text root, struct text *rest)
{
	root = text_trim_end(root, '/');
	if (uri.n < root.n || memcmp(uri.s, root.s, root.n) != 0 || (uri.n > root.n && uri.s[root.n] != '/'))
		return false;
	*rest = text_skip(uri, root.n);
	while (rest->n > 0 && rest->s[0] == '/')
		*rest = text_skip(*rest, 1);
	return true;
}

/* mlflow-artifacts:/x, mlflow-artifacts://host/x, http(s)://host/api/2.0/mlflow-artifacts/artifacts/x, dbfs:/mlflow-artifacts/x: all are x in our own store. */
static bool
is_proxied(struct text uri, struct text *rest)
{
	static const char *const heads[] = { "mlflow-artifacts:", "dbfs:/mlflow-artifacts" };
	static const char route[] = "/api/2.0/mlflow-artifacts/artifacts";
	const char *found;
	size_t i;

	for (i = 0; i < 2; i++) {
		if (!text_starts(uri, heads[i]))
			continue;
		*rest = text_skip(uri, strlen(heads[i]));
		if (text_starts(*rest, "//") && !text_starts(*rest, "///"))
			*rest = text_skip(*rest, 2 + text_find(text_skip(*rest, 2), '/'));
		while (rest->n > 0 && rest->s[0] == '/')
			*rest = text_skip(*rest, 1);
		return true;
	}
	if (!text_starts(uri, "http://") && !text_starts(uri, "https://"))
		return false;
	found = memmem(uri.s, uri.n, route, sizeof(route) - 1);
	return found != NULL && below(text_skip(uri, (size_t)(found - uri.s)), TEXT(route), rest);
}

/* A path or file: URI below our own folder. */
static bool
is_ours_on_disk(struct text uri, struct text *rest)
{
	struct text path = text_starts(uri, "file://") ? text_skip(uri, 7) : text_starts(uri, "file:") ? text_skip(uri, 5) : uri;

	return path.n > 0 && path.s[0] == '/' && config->artifacts_destination[0] == '/' && below(path, text_from(config->artifacts_destination), rest);
}

/* A bucket of ours: what the server was told, and below. Any other one would be read with the server's credentials for whoever names it. */
static bool
is_our_bucket(struct text uri)
{
	struct text rest;

	return text_starts(uri, "gs://") && ((strncmp(config->default_artifact_root, "gs://", 5) == 0 && below(uri, text_from(config->default_artifact_root), &rest)) ||
	    (strncmp(config->artifacts_destination, "gs://", 5) == 0 && below(uri, text_from(config->artifacts_destination), &rest)));
}

struct store *
artifact_place(struct text uri, struct text *prefix, char *why, size_t n)
{
	struct store *store;

	why[0] = '\0';
	if (is_proxied(uri, prefix) || is_ours_on_disk(uri, prefix)) {
		store = proxy_open();
		if (store == NULL)
			snprintf(why, n, "%s", proxy_why);
	} else if (is_our_bucket(uri)) {
		store = store_for_uri(uri, prefix, why, n);
	} else {
		store = NULL;
	}
	/* Without a store nothing was written to *prefix. */
	while (store != NULL && prefix->n > 0 && prefix->s[prefix->n - 1] == '/')
		prefix->n--;
	return store;
}

static struct store *
place(struct call *call, struct text uri, struct text *prefix)
{
	char why[300];
	struct store *store = artifact_place(uri, prefix, why, sizeof(why));

	if (store != NULL)
		return store;
	if (why[0] != '\0')
		(void)call_fail(call, TEMPORARILY_UNAVAILABLE, "The artifact store cannot be used: %s", why);
	else
		(void)call_fail(call, INVALID_PARAMETER_VALUE, "The artifacts at '" TEXT_FMT "' are not kept by this server.", TEXT_ARG(uri));
	return NULL;
}

bool
artifact_at(struct call *call, struct text uri, struct text path, bool allow_empty, struct artifact **out)
{
	struct text prefix, key, whole;
	struct store *store;

	if (!artifact_below_valid(call, path, allow_empty, &key))
		return false;
	store = place(call, uri, &prefix);
	if (store == NULL)
		return false;
	whole = prefix.n == 0 ? key : key.n == 0 ? prefix : text_format(call->arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(prefix), TEXT_ARG(key));
	if (!artifact_path_valid(call, whole, allow_empty, &whole))
		return false;
	*out = artifact_new(call, store);
	(*out)->key = whole;
	(*out)->prefix = text_copy(call->arena, prefix);
	(*out)->root_uri = text_copy(call->arena, uri);
	(*out)->path = key;
	return true;
}

/* ---- operations ---- */

static void
op_done(struct store_op *op, enum store_result result)
{
	struct artifact *a = op->user;
	struct call *call = a->call;

	a->busy = false;
	call_step(call, a->then(a, result));
	call_release(call);
}

static void
gone(struct call *call)
{
	struct artifact *a = call->state;

	if (!a->busy)
		return;
	a->busy = false;
	a->store->abort(&a->op);
	call_release(call);
}

struct store_op *
artifact_begin(struct artifact *a, enum next (*then)(struct artifact *, enum store_result))
{
	PRECOND(!a->busy);
	a->busy = true;
	a->then = then;
	a->op.arena = a->call->arena;
	a->op.user = a;
	a->op.done = op_done;
	a->call->on_gone = gone;
	call_hold(a->call);
	return &a->op;
}

enum next
artifact_failed(struct artifact *a, enum store_result result)
{
	struct call *call = a->call;
	const char *why = a->op.why;

	switch (result) {
	case STORE_OK:
		return NEXT;
	case STORE_MISSING:
		return call_fail(call, RESOURCE_DOES_NOT_EXIST, "No such artifact: '" TEXT_FMT "'", TEXT_ARG(a->key));
	case STORE_DENIED:
		return call_fail(call, PERMISSION_DENIED, "The artifact store refuses: %s", why);
	case STORE_FULL:
		return call_fail(call, INSUFFICIENT_STORAGE, "%s", why);
	case STORE_BAD:
		return call_fail(call, INVALID_PARAMETER_VALUE, "%s", why);
	case STORE_RANGE:
		return call_fail(call, RANGE_NOT_SATISFIABLE, "The range lies outside of the file.");
	case STORE_CORRUPT:
		return call_fail(call, BAD_GATEWAY, "%s", why);
	case STORE_UNSUPPORTED:
		return call_fail(call, NOT_IMPLEMENTED, "%s", why);
	case STORE_BUSY:
		break;
	}
	call->fail.retry_after_s = 2;
	return call_fail(call, TEMPORARILY_UNAVAILABLE, "The artifact store cannot serve this now: %s", why);
}

static void
file_add(struct artifact *a, const struct store_entry *e)
{
	struct buf *out = &a->call->out;

	buf_puts(out, "{\"path\":");
	buf_json(out, a->relative && a->path.n > 0 ? text_format(a->call->arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(a->path), TEXT_ARG(e->name)) : e->name);
	if (e->is_dir)
		buf_puts(out, ",\"is_dir\":true}");
	else
		buf_printf(out, ",\"is_dir\":false,\"file_size\":%lld}", (long long)e->size);
}

static enum next
listed(struct artifact *a, enum store_result result)
{
	struct buf *out = &a->call->out;
	size_t i;

	if (result != STORE_OK)
		return artifact_failed(a, result);
	buf_byte(out, '{');
	if (a->relative) {
		buf_puts(out, "\"root_uri\":");
		buf_json(out, a->root_uri);
	}
	if (a->op.entry_count > 0)
		buf_puts(out, a->relative ? ",\"files\":[" : "\"files\":[");
	for (i = 0; i < a->op.entry_count; i++) {
		if (i > 0)
			buf_byte(out, ',');
		file_add(a, &a->op.entries[i]);
	}
	if (a->op.entry_count > 0)
		buf_byte(out, ']');
	buf_byte(out, '}');
	return call_reply_json(a->call);
}

enum next
artifact_list(struct artifact *a)
{
	a->store->list(a->store, a->key, artifact_begin(a, listed));
	return WAIT;
}

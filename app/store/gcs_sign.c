/* Signed addresses, with which bytes go straight between client and bucket, and the cache of those that lead to an object. */
#include "store/gcs_job.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So long nothing is signed once IAM has refused. */
#define SIGN_REST_MS 60000
/* What we sign is dated back by this, for clocks that differ. */
#define SKEW_S 30
#define CACHE_SETS 1024
#define CACHE_WAYS 4

/* An address that leads to one generation of an object, owned by the cache. */
struct cached {
	char *object;
	int64_t ttl_s;
	uint64_t generation;
	int64_t size;
	int64_t until_ms, used_ms;
	char *url;
};

/* ---- the cache ---- */

static struct cached *
cache_set(struct gcs *g, const char *object)
{
	if (g->cache == NULL)
		g->cache = calloc(CACHE_SETS * CACHE_WAYS, sizeof(*g->cache));
	PRECOND(g->cache != NULL);
	return &g->cache[text_hash(text_from(object)) % CACHE_SETS * CACHE_WAYS];
}

static struct cached *
cache_find(struct gcs *g, const char *object, int64_t ttl_s)
{
	struct cached *set = cache_set(g, object);
	size_t i;

	for (i = 0; i < CACHE_WAYS; i++) {
		if (set[i].object != NULL && set[i].ttl_s == ttl_s && strcmp(set[i].object, object) == 0)
			return &set[i];
	}
	return NULL;
}

static void
cached_clear(struct cached *c)
{
	free(c->object);
	if (c->url != NULL)
		OPENSSL_cleanse(c->url, strlen(c->url));
	free(c->url);
	memset(c, 0, sizeof(*c));
}

void
gcs_cache_drop(struct gcs *g, const char *object)
{
	struct cached *set = cache_set(g, object);
	size_t i;

	for (i = 0; i < CACHE_WAYS; i++) {
		if (set[i].object != NULL && strcmp(set[i].object, object) == 0)
			cached_clear(&set[i]);
	}
}

static void
cache_store(struct job *j, const struct store_stat *st, struct text url)
{
	struct gcs *g = j->gcs;
	struct cached *c = cache_find(g, j->object, j->ttl_s), *set = cache_set(g, j->object);
	size_t i;

	if (c == NULL) {
		for (c = &set[0], i = 1; i < CACHE_WAYS; i++) {
			if (set[i].used_ms < c->used_ms)
				c = &set[i];
		}
	}
	cached_clear(c);
	c->object = strdup(j->object);
	c->url = strndup(url.s, url.n);
	PRECOND(c->object != NULL && c->url != NULL);
	c->ttl_s = j->ttl_s;
	c->generation = st->generation;
	c->size = st->encoded ? -1 : st->size;
	c->used_ms = loop_now_ms();
	/* Half its life is left to whoever gets it from here. */
	c->until_ms = clock_ms() + j->ttl_s * 500;
}

/* ---- signatures ---- */

static void
sign_again(void *user)
{
	struct gcs *g = user;

	g->store.can_sign = true;
}

bool
gcs_sign_rests(struct gcs *g)
{
	if (!gcp_sign_refused(g->gcp))
		return false;
	if (g->store.can_sign) {
		g->store.can_sign = false;
		loop_after(SIGN_REST_MS, sign_again, g);
	}
	return true;
}

bool
gcs_can_sign(struct job *j, int64_t ttl_s)
{
	int64_t most = gcp_sign_most_s(j->gcs->gcp) - SKEW_S;
	const char *why;

	j->ttl_s = ttl_s < 1 ? 1 : ttl_s > most ? most : ttl_s;
	if (gcp_can_sign(j->gcs->gcp, &why))
		return true;
	gcs_finish(j, STORE_UNSUPPORTED, why);
	return false;
}

static void
urls_new(struct job *j, size_t n)
{
	j->urls = calloc(n, sizeof(*j->urls));
	PRECOND(j->urls != NULL);
	j->url_count = n;
}

void
gcs_sign_prepare(struct job *j, const char *method, const struct v4_pair *query, size_t n, struct buf *url, struct buf *to_sign)
{
	const struct gcs *g = j->gcs;
	struct buf path = { 0 };
	struct v4_request r = { .kind = gcp_sign_kind(g->gcp), .method = method, .scheme = text_from(g->scheme), .host = text_from(g->host), .credential = gcp_signer(g->gcp), .time_s = clock_ms() / 1000 - SKEW_S,
		.expires_s = j->ttl_s + SKEW_S, .query = query, .query_count = n };

	gcs_object_path(g, j->object, &path);
	r.path = buf_view(&path);
	v4_prepare(&r, url, to_sign, NULL);
	buf_free(&path);
}

static void
sign_done(void *user, const struct text *hex, const char *why)
{
	struct job *j = user;
	size_t i;

	j->sign = NULL;
	if (hex == NULL) {
		gcs_finish(j, gcs_sign_rests(j->gcs) ? STORE_UNSUPPORTED : STORE_BUSY, why);
		return;
	}
	for (i = 0; i < j->url_count; i++)
		v4_append(&j->urls[i], hex[i]);
	if (j->cacheable)
		cache_store(j, &j->op->stat, buf_view(&j->urls[0]));
	gcs_finish(j, STORE_OK, NULL);
}

void
gcs_sign_one(struct job *j, const char *method, const struct v4_pair *query, size_t n)
{
	struct buf to_sign = { 0 };
	struct text one;

	urls_new(j, 1);
	gcs_sign_prepare(j, method, query, n, &j->urls[0], &to_sign);
	one = buf_view(&to_sign);
	j->sign = gcp_sign(j->gcs->gcp, &one, 1, sign_done, j);
	buf_free(&to_sign);
}

void
gcs_sign_parts(struct job *j)
{
	struct text *strings = calloc((size_t)j->parts, sizeof(*strings));
	struct buf *to_sign = calloc((size_t)j->parts, sizeof(*to_sign));
	char number[16];
	int i;

	PRECOND(strings != NULL && to_sign != NULL);
	urls_new(j, (size_t)j->parts);
	for (i = 0; i < j->parts; i++) {
		struct v4_pair query[2] = { { TEXT("partNumber"), TEXT_NONE }, { TEXT("uploadId"), buf_view(&j->upload) } };

		snprintf(number, sizeof(number), "%d", i + 1);
		query[0].value = text_from(number);
		gcs_sign_prepare(j, "PUT", query, 2, &j->urls[i], &to_sign[i]);
		strings[i] = buf_view(&to_sign[i]);
	}
	j->sign = gcp_sign(j->gcs->gcp, strings, (size_t)j->parts, sign_done, j);
	for (i = 0; i < j->parts; i++)
		buf_free(&to_sign[i]);
	free(to_sign);
	free(strings);
}

/* ---- get ---- */

static void
give_cached(struct job *j, struct cached *c)
{
	urls_new(j, 1);
	buf_puts(&j->urls[0], c->url);
	j->size = c->size;
	j->op->stat.generation = c->generation;
	j->op->stat.size = c->size;
	c->used_ms = loop_now_ms();
	gcs_finish(j, STORE_OK, NULL);
}

/* RFC 6266: the name for people, so that a browser saves and never shows it. */
static void
disposition(const char *object, struct buf *out)
{
	const char *slash = strrchr(object, '/');

	buf_puts(out, "attachment; filename*=UTF-8''");
	buf_percent(out, text_from(slash != NULL ? slash + 1 : object), "");
}

static void
sign_get_looked(void *user, struct out_call *call, const struct out_answer *a)
{
	struct job *j = user;
	struct cached *c;
	struct v4_pair query[2];
	struct buf name = { 0 };
	char generation[32];
	size_t n = 0;

	j->call = NULL;
	if (a->status != 200) {
		gcs_failed(j, a, "storage.objects.get");
		return;
	}
	gcs_answer_stat(call, &j->op->stat);
	j->size = j->op->stat.encoded ? -1 : j->op->stat.size;
	c = cache_find(j->gcs, j->object, j->ttl_s);
	if (c != NULL && c->generation == j->op->stat.generation && clock_ms() < c->until_ms) {
		give_cached(j, c);
		return;
	}
	disposition(j->object, &name);
	query[n++] = (struct v4_pair){ TEXT("response-content-disposition"), buf_view(&name) };
	if (j->op->stat.generation != 0) {
		/* Pieces of two versions never mix: after an overwrite this address gives 404. */
		snprintf(generation, sizeof(generation), "%llu", (unsigned long long)j->op->stat.generation);
		query[n++] = (struct v4_pair){ TEXT("generation"), text_from(generation) };
		/* Without one it leads to whatever is there, of whatever size. */
		j->cacheable = true;
	}
	gcs_sign_one(j, "GET", query, n);
	buf_free(&name);
}

void
gcs_sign_get(struct store *store, struct text key, int64_t ttl_s, struct store_op *op)
{
	struct job *j = gcs_job_new(store, key, op);

	if (!gcs_can_sign(j, ttl_s))
		return;
	/* The object is looked at each time: another worker or server may just have replaced it, and a client reads what it wrote. Only signatures are kept. */
	gcs_look(j, sign_get_looked);
}

/* ---- put ---- */

static void
sign_put_go(struct job *j)
{
	gcs_sign_one(j, "PUT", NULL, 0);
}

void
gcs_sign_put(struct store *store, struct text key, int64_t ttl_s, struct store_op *op)
{
	struct job *j = gcs_job_new(store, key, op);

	if (!gcs_can_sign(j, ttl_s))
		return;
	gcs_cache_drop(j->gcs, j->object);
	/* The signer's address comes with the first token. */
	gcs_with_token(j, sign_put_go);
}

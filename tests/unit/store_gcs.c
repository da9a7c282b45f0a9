/* The bucket store against the checking stand-in (tests/gcs/standin.py): every function, signatures verified by the other side, faults, roles, checksums. */
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/out.h"
#include "base/task.h"
#include "store/crc32c.h"
#include "store/store.h"
#include "tiny_loop.h"

static struct arena *arena;
static struct store *store;
static char base[64];
static bool over;
static enum store_result last;
static char why[256];
static struct buf got;
static int pauses, heads;

/* ---- plain HTTP to the stand-in ---- */

static int status;
static struct buf answer;
static char etag[100];

static void
answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct text tag = out_answer_header(call, "etag");

	(void)user;
	status = a->status;
	answer.n = 0;
	buf_text(&answer, a->body);
	snprintf(etag, sizeof(etag), TEXT_FMT, TEXT_ARG(tag));
	over = true;
}

static int
http(const char *method, struct text url, struct text body)
{
	struct out_request r = { .method = method, .url = url, .body = body, .has_body = strcmp(method, "GET") != 0, .body_most = 16u << 20, .done = answered };

	over = false;
	out_send(&r);
	CHECK(!over);
	tiny_until(&over);
	return status;
}

static json_t *
tell(const char *method, const char *path, const char *body)
{
	char url[200];
	json_t *o;

	snprintf(url, sizeof(url), "%s%s", base, path);
	CHECK(http(method, text_from(url), text_from(body)) == 200);
	o = json_loadb(answer.s, answer.n, 0, NULL);
	CHECK(o != NULL);
	return o;
}

static void
say(const char *path, const char *body)
{
	json_decref(tell("POST", path, body));
}

static long long
stat_of(const char *name)
{
	json_t *o = tell("GET", "/_stats", "");
	long long v = json_integer_value(json_object_get(o, name));

	json_decref(o);
	return v;
}

/* ---- operations, waited for ---- */

static void
done(struct store_op *op, enum store_result result)
{
	CHECK(op->priv == NULL);
	last = result;
	snprintf(why, sizeof(why), "%s", op->why);
	over = true;
}

static bool has_room;

static void
room(struct store_op *op)
{
	(void)op;
	has_room = true;
}

static void
head(struct store_op *op)
{
	(void)op;
	heads++;
}

static void
resume(void *user)
{
	struct store_op *op = user;

	store->resume(op);
}

static bool
data(struct store_op *op, const void *bytes, size_t n)
{
	buf_add(&got, bytes, n);
	if (++pauses % 3 != 0)
		return true;
	loop_after(1, resume, op);
	return false;
}

static struct store_op *
op_new(void)
{
	struct store_op *op = ARENA_NEW(arena, struct store_op);

	op->arena = arena;
	op->done = done;
	op->room = room;
	op->head = head;
	op->data = data;
	over = false;
	got.n = 0;
	heads = 0;
	return op;
}

static struct store_op *
put(const char *key, const void *bytes, size_t n, int64_t length)
{
	struct store_op *op = op_new();
	const char *at = bytes;
	size_t left = n;

	store->put(store, text_from(key), length, TEXT("text/x-test"), op);
	while (left > 0 && !over) {
		size_t piece = left > 50000 ? 50000 : left;

		has_room = false;
		if (!store->put_bytes(op, at, piece)) {
			while (!has_room && !over)
				tiny_turn();
		}
		at += piece;
		left -= piece;
	}
	store->put_end(op);
	tiny_until(&over);
	return op;
}

static struct store_op *
get(const char *key, int64_t offset, int64_t length)
{
	struct store_op *op = op_new();

	store->get(store, text_from(key), offset, length, op);
	tiny_until(&over);
	return op;
}

#define WAIT(call) (over = false, (call), tiny_until(&over), last)

static char *big;
#define BIG ((size_t)5 * 1024 * 1024 + 12345)

static void
test_put_get(void)
{
	struct store_op *op;

	op = put("1/r/artifacts/a b+\xc3\xa9%25.txt", "hello", 5, 5);
	CHECK(last == STORE_OK && op->bytes == 5 && op->replaced == STORE_REPLACED_NONE);
	op = get("1/r/artifacts/a b+\xc3\xa9%25.txt", 0, -1);
	CHECK(last == STORE_OK && heads == 1 && text_is(buf_view(&got), "hello") && op->stat.size == 5);
	op = put("1/r/artifacts/a b+\xc3\xa9%25.txt", "hello again", 11, -1);
	CHECK(last == STORE_OK && op->replaced == 5);
	op = get("1/r/artifacts/a b+\xc3\xa9%25.txt", 6, 3);
	CHECK(last == STORE_OK && text_is(buf_view(&got), "aga") && op->stat.size == 11);
	get("1/r/artifacts/a b+\xc3\xa9%25.txt", 6, -1);
	CHECK(last == STORE_OK && text_is(buf_view(&got), "again"));
	get("1/r/artifacts/a b+\xc3\xa9%25.txt", 11, -1);
	CHECK(last == STORE_RANGE);
	put("1/r/artifacts/empty", "", 0, 0);
	CHECK(last == STORE_OK);
	get("1/r/artifacts/empty", 0, -1);
	CHECK(last == STORE_OK && heads == 1 && got.n == 0);
	get("1/r/artifacts/none", 0, -1);
	CHECK(last == STORE_MISSING && heads == 0);
	put("1/r/artifacts/cut", "x", 1, 2);
	CHECK(last == STORE_BAD);
	op = put("1/r/artifacts/big", big, BIG, (int64_t)BIG);
	CHECK(last == STORE_OK && op->bytes == (int64_t)BIG && op->replaced == STORE_REPLACED_NONE);
	op = put("1/r/artifacts/big", big, BIG, -1);
	CHECK(last == STORE_OK && op->replaced == (int64_t)BIG);
	get("1/r/artifacts/big", 0, -1);
	CHECK(last == STORE_OK && got.n == BIG && memcmp(got.s, big, BIG) == 0 && pauses > 6);
	op = op_new();
	CHECK(WAIT(store->stat(store, TEXT("1/r/artifacts/big"), op)) == STORE_OK && op->stat.size == (int64_t)BIG && op->stat.generation != 0 && !op->stat.encoded);
	CHECK(WAIT(store->stat(store, TEXT("1/r/artifacts"), op_new())) == STORE_MISSING);
	put("1/r/artifacts/big2", big, BIG - 1, (int64_t)BIG);
	CHECK(last == STORE_BAD && WAIT(store->stat(store, TEXT("1/r/artifacts/big2"), op_new())) == STORE_MISSING);
}

static void
test_lists(void)
{
	struct store_op *op = op_new();
	char key[64];
	int i;

	CHECK(WAIT(store->list(store, TEXT("1/r/artifacts"), op)) == STORE_OK && op->entry_count == 3);
	CHECK(text_is(op->entries[0].name, "a b+\xc3\xa9%25.txt") && op->entries[0].size == 11 && text_is(op->entries[1].name, "big"));
	op = op_new();
	CHECK(WAIT(store->list(store, TEXT("1/r/artifacts/big"), op)) == STORE_OK && op->entry_count == 0);
	say("/_config", "{\"page_most\":7}");
	for (i = 0; i < 25; i++) {
		snprintf(key, sizeof(key), "2/many/d%d/f&<%02d>", i % 3, i);
		put(key, key, strlen(key), -1);
		CHECK(last == STORE_OK);
	}
	put("2/manyX", "x", 1, 1);
	put("2/many", "x", 1, 1);
	op = op_new();
	CHECK(WAIT(store->list(store, TEXT("2/many"), op)) == STORE_OK && op->entry_count == 3 && op->entries[2].is_dir && text_is(op->entries[2].name, "d2"));
	op = op_new();
	CHECK(WAIT(store->list(store, TEXT("2/many/d0"), op)) == STORE_OK && op->entry_count == 9 && text_is(op->entries[0].name, "f&<00>"));
	op = op_new();
	CHECK(WAIT(store->usage(store, TEXT("2/many"), op)) == STORE_OK && op->objects == 25 && op->bytes > 200);
	op = op_new();
	CHECK(WAIT(store->remove(store, TEXT("2/many"), op)) == STORE_OK && op->objects == 26);
	CHECK(WAIT(store->stat(store, TEXT("2/manyX"), op_new())) == STORE_OK && WAIT(store->stat(store, TEXT("2/many"), op_new())) == STORE_MISSING);
	op = op_new();
	CHECK(WAIT(store->remove(store, TEXT("2/none"), op)) == STORE_OK && op->objects == 0);
	op = op_new();
	CHECK(WAIT(store->remove(store, TEXT("1/r/artifacts/empty"), op)) == STORE_OK && op->objects == 1);
	say("/_config", "{\"page_most\":1000}");
}

static void
test_signed(void)
{
	struct store_op *op = op_new();
	struct text url, first;
	long long before;
	struct buf bad = { 0 };

	CHECK(WAIT(store->sign_get(store, TEXT("1/r/artifacts/a b+\xc3\xa9%25.txt"), 300, op)) == STORE_OK && op->url_count == 1 && op->urls[0].size == 11);
	url = op->urls[0].url;
	CHECK(http("GET", url, TEXT_NONE) == 200 && text_is(buf_view(&answer), "hello again"));
	CHECK(http("PUT", url, TEXT("x")) == 403);
	buf_text(&bad, url);
	buf_puts(&bad, "&x=1");
	CHECK(http("GET", buf_view(&bad), TEXT_NONE) == 403);
	buf_free(&bad);
	before = stat_of("requests");
	op = op_new();
	CHECK(WAIT(store->sign_get(store, TEXT("1/r/artifacts/a b+\xc3\xa9%25.txt"), 300, op)) == STORE_OK && text_eq(op->urls[0].url, url) && op->urls[0].size == 11);
	CHECK(stat_of("requests") == before + 2);
	/* After an overwrite the old address is dead, and a new one is made. */
	put("1/r/artifacts/a b+\xc3\xa9%25.txt", "new text", 8, 8);
	CHECK(http("GET", url, TEXT_NONE) == 404);
	op = op_new();
	CHECK(WAIT(store->sign_get(store, TEXT("1/r/artifacts/a b+\xc3\xa9%25.txt"), 300, op)) == STORE_OK && !text_eq(op->urls[0].url, url) && op->urls[0].size == 8);
	first = op->urls[0].url;
	CHECK(http("GET", first, TEXT_NONE) == 200);
	say("/_clock", "{\"add\":400}");
	CHECK(http("GET", first, TEXT_NONE) == 400);
	say("/_clock", "{\"add\":-400}");
	CHECK(WAIT(store->sign_get(store, TEXT("none"), 300, op_new())) == STORE_MISSING);
	op = op_new();
	CHECK(WAIT(store->sign_put(store, TEXT("1/r/artifacts/direct"), 900, op)) == STORE_OK && http("PUT", op->urls[0].url, TEXT("direct")) == 200);
	get("1/r/artifacts/direct", 0, -1);
	CHECK(last == STORE_OK && text_is(buf_view(&got), "direct"));
	/* Stored gzipped: no size is told, the bytes go on as they are. */
	say("/_put", "{\"bucket\":\"bucket\",\"name\":\"some/path/gz.txt\",\"headers\":{\"Content-Encoding\":\"gzip\"},\"data\":\"H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==\"}");
	op = op_new();
	CHECK(WAIT(store->sign_get(store, TEXT("gz.txt"), 300, op)) == STORE_OK && op->urls[0].size == -1);
	op = get("gz.txt", 0, -1);
	CHECK(last == STORE_OK && op->stat.encoded && strcmp(op->stat.encoding, "gzip") == 0 && got.n == 25);
}

static struct text
member(struct store_op *op)
{
	return op->upload_id;
}

static void
test_multipart(void)
{
	struct store_op *op = op_new();
	struct store_part parts[3] = { { 1, TEXT_NONE }, { 2, TEXT_NONE }, { 3, TEXT_NONE } };
	struct text id;
	long long token_in = stat_of("token_in");
	int i;

	say("/_config", "{\"min_part\":1000}");
	CHECK(WAIT(store->multipart_create(store, TEXT("3/mp.bin"), 3, TEXT("a/b"), op)) == STORE_OK && op->url_count == 3);
	id = member(op);
	for (i = 2; i >= 0; i--) {
		CHECK(http("PUT", op->urls[i].url, (struct text){ big + i * 2000, i == 2 ? 77 : 2000 }) == 200);
		parts[i].etag = text_copy(arena, text_from(i == 1 ? "" : etag));
	}
	CHECK(WAIT(store->multipart_complete(store, TEXT("3/other"), id, parts, 3, op_new())) == STORE_BAD);
	CHECK(WAIT(store->multipart_complete(store, TEXT("3/mp.bin"), id, parts, 2, op_new())) == STORE_BAD);
	op = op_new();
	CHECK(WAIT(store->multipart_complete(store, TEXT("3/mp.bin"), id, parts, 3, op)) == STORE_OK && op->bytes == 4077 && op->replaced == STORE_REPLACED_NONE);
	get("3/mp.bin", 0, -1);
	CHECK(last == STORE_OK && got.n == 4077 && memcmp(got.s, big, 4077) == 0);
	/* The answer of complete was lost on its way: the client asks again. */
	op = op_new();
	CHECK(WAIT(store->multipart_complete(store, TEXT("3/mp.bin"), id, parts, 3, op)) == STORE_OK && op->bytes == 4077);
	/* A missing tail, unequal parts, a lost answer between us and the bucket. */
	op = op_new();
	CHECK(WAIT(store->multipart_create(store, TEXT("3/tail"), 3, TEXT_NONE, op)) == STORE_OK);
	id = member(op);
	http("PUT", op->urls[0].url, (struct text){ big, 2000 });
	http("PUT", op->urls[1].url, (struct text){ big, 2000 });
	parts[0].etag = parts[1].etag = parts[2].etag = TEXT_NONE;
	CHECK(WAIT(store->multipart_complete(store, TEXT("3/tail"), id, parts, 3, op_new())) == STORE_BAD);
	http("PUT", op->urls[2].url, (struct text){ big, 1 });
	http("PUT", op->urls[1].url, (struct text){ big, 1999 });
	CHECK(WAIT(store->multipart_complete(store, TEXT("3/tail"), id, parts, 3, op_new())) == STORE_BAD);
	http("PUT", op->urls[1].url, (struct text){ big, 2000 });
	say("/_fault", "{\"method\":\"POST\",\"match\":\"3/tail\",\"lost\":true}");
	CHECK(WAIT(store->multipart_complete(store, TEXT("3/tail"), id, parts, 3, op_new())) == STORE_OK);
	/* Aborted: parts are refused from then on; abort is repeatable. */
	op = op_new();
	CHECK(WAIT(store->multipart_create(store, TEXT("3/ab"), 2, TEXT_NONE, op)) == STORE_OK);
	id = member(op);
	CHECK(WAIT(store->multipart_abort(store, TEXT("3/ab"), id, op_new())) == STORE_OK && WAIT(store->multipart_abort(store, TEXT("3/ab"), id, op_new())) == STORE_OK);
	CHECK(http("PUT", op->urls[0].url, TEXT("x")) == 404 && WAIT(store->multipart_abort(store, TEXT("3/ab"), TEXT("nonsense"), op_new())) == STORE_BAD);
	CHECK(WAIT(store->multipart_complete(store, TEXT("3/ab"), id, parts, 2, op_new())) == STORE_BAD);
	/* One part is a plain signed PUT; none is the empty file. */
	op = op_new();
	CHECK(WAIT(store->multipart_create(store, TEXT("3/one"), 1, TEXT_NONE, op)) == STORE_OK && op->url_count == 1);
	id = member(op);
	CHECK(WAIT(store->multipart_complete(store, TEXT("3/one"), id, parts, 1, op_new())) == STORE_BAD);
	CHECK(http("PUT", op->urls[0].url, TEXT("one")) == 200);
	op = op_new();
	CHECK(WAIT(store->multipart_complete(store, TEXT("3/one"), id, parts, 1, op)) == STORE_OK && op->bytes == 3);
	op = op_new();
	CHECK(WAIT(store->multipart_create(store, TEXT("3/none"), 0, TEXT_NONE, op)) == STORE_OK && op->url_count == 0);
	id = member(op);
	op = op_new();
	CHECK(WAIT(store->multipart_complete(store, TEXT("3/none"), id, parts, 0, op)) == STORE_OK && op->bytes == 0);
	CHECK(WAIT(store->stat(store, TEXT("3/none"), op_new())) == STORE_OK);
	CHECK(WAIT(store->multipart_create(store, TEXT("3/x"), 10001, TEXT_NONE, op_new())) == STORE_UNSUPPORTED && strstr(why, "Multipart upload is not supported for the current artifact repository") == why);
	op = op_new();
	CHECK(WAIT(store->multipart_create(store, TEXT("3/huge"), 10000, TEXT_NONE, op)) == STORE_OK && op->url_count == 10000);
	CHECK(http("PUT", op->urls[9999].url, TEXT("x")) == 200);
	CHECK(stat_of("token_in") == token_in);
}

static void
test_faults(void)
{
	out_tune(5, 20, 2000);
	say("/_fault", "{\"n\":2,\"method\":\"PUT\",\"status\":503}");
	put("4/a", "x", 1, 1);
	CHECK(last == STORE_OK);
	/* Stored, but its answer was lost: the repeat finds its own bytes. */
	say("/_fault", "{\"method\":\"PUT\",\"lost\":true}");
	put("4/lost", "xyz", 3, 3);
	CHECK(last == STORE_OK);
	say("/_fault", "{\"n\":2,\"method\":\"GET\",\"drop\":true}");
	get("4/a", 0, -1);
	CHECK(last == STORE_OK && text_is(buf_view(&got), "x"));
	/* Broken in the middle: read on from there. */
	say("/_fault", "{\"method\":\"GET\",\"match\":\"big\",\"drop_after\":1500000}");
	get("1/r/artifacts/big", 0, -1);
	CHECK(last == STORE_OK && heads == 1 && got.n == BIG && memcmp(got.s, big, BIG) == 0);
	say("/_fault", "{\"method\":\"GET\",\"match\":\"big\",\"ignore_range\":true}");
	get("1/r/artifacts/big", 100, 100);
	CHECK(last == STORE_CORRUPT && got.n == 0);
	say("/_fault", "{\"method\":\"GET\",\"match\":\"big\",\"short\":50}");
	get("1/r/artifacts/big", 100, 100);
	CHECK(last == STORE_CORRUPT && got.n == 0);
	say("/_fault", "{\"method\":\"PUT\",\"match\":\"corrupt\",\"corrupt\":true}");
	put("4/corrupt", big, BIG, (int64_t)BIG);
	CHECK(last == STORE_CORRUPT && WAIT(store->stat(store, TEXT("4/corrupt"), op_new())) == STORE_MISSING);
	say("/_fault", "{\"method\":\"PUT\",\"match\":\"half\",\"drop_after\":600000}");
	put("4/half", big, BIG, (int64_t)BIG);
	CHECK(last == STORE_BUSY && WAIT(store->stat(store, TEXT("4/half"), op_new())) == STORE_MISSING);
	say("/_fault", "{\"n\":1000,\"match\":\"/bucket\",\"status\":503}");
	CHECK(WAIT(store->list(store, TEXT("1"), op_new())) == STORE_BUSY);
	put("4/away", "x", 1, 1);
	CHECK(last == STORE_BUSY);
	say("/_reset", "{}");
	/* The reset forgot all tokens: the next request is refused once and goes with a new one. */
	CHECK(WAIT(store->stat(store, TEXT("1/r"), op_new())) == STORE_MISSING);
	out_tune(1000, 60000, 32000);
}

static void
test_roles(void)
{
	struct store_op *op;

	say("/_role", "{\"permissions\":[\"storage.objects.get\",\"storage.objects.list\",\"storage.objects.create\",\"storage.multipartUploads.create\",\"storage.multipartUploads.abort\",\"storage.multipartUploads.listParts\"]}");
	put("5/a", "x", 1, 1);
	CHECK(last == STORE_OK);
	op = put("5/a", "x", 1, 1);
	CHECK(last == STORE_OK && op->replaced == 1);
	put("5/a", "other", 5, 5);
	CHECK(last == STORE_DENIED && strstr(why, "storage.objects.delete") != NULL);
	put("5/a", big, BIG, (int64_t)BIG);
	CHECK(last == STORE_DENIED && strstr(why, "storage.objects.delete") != NULL);
	CHECK(WAIT(store->remove(store, TEXT("5/a"), op_new())) == STORE_DENIED && strstr(why, "storage.objects.delete") != NULL);
	say("/_role", "{\"permissions\":[]}");
	CHECK(WAIT(store->list(store, TEXT("5"), op_new())) == STORE_DENIED && strstr(why, "storage.objects.list") != NULL);
}

static void
test_aborts(void)
{
	struct store_op *op = op_new();
	int i;

	say("/_reset", "{}");
	store->put(store, TEXT("6/a"), (int64_t)BIG, TEXT_NONE, op);
	for (i = 0; i < 10; i++) {
		store->put_bytes(op, big, 40000);
		tiny_turn();
	}
	store->abort(op);
	op = op_new();
	store->put(store, TEXT("6/b"), 1, TEXT_NONE, op);
	store->put_bytes(op, "x", 1);
	store->abort(op);
	op = op_new();
	store->multipart_create(store, TEXT("6/c"), 5000, TEXT_NONE, op);
	while (stat_of("requests") < 4)
		tiny_turn();
	tiny_turn();
	store->abort(op);
	op = op_new();
	store->remove(store, TEXT("6"), op);
	store->abort(op);
	CHECK(WAIT(store->stat(store, TEXT("6/a"), op_new())) == STORE_MISSING && WAIT(store->stat(store, TEXT("6/b"), op_new())) == STORE_MISSING);
	while (out_active() > 0 || task_pending() > 0)
		tiny_turn();
}

static struct buf report;
static bool usable;

static void
checked(void *user, bool works, struct text text)
{
	(void)user;
	usable = works;
	report.n = 0;
	buf_text(&report, text);
	buf_byte(&report, '\0');
	over = true;
}

static void
test_check(void)
{
	over = false;
	store_check(store, checked, NULL);
	tiny_until(&over);
	CHECK(usable && strstr(report.s, "ok: all permissions") != NULL && strstr(report.s, "ok: signed addresses work") != NULL);
	say("/_role", "{\"permissions\":[\"storage.objects.get\",\"storage.objects.list\",\"storage.objects.create\"]}");
	over = false;
	store_check(store, checked, NULL);
	tiny_until(&over);
	CHECK(usable && strstr(report.s, "missing storage.objects.delete") != NULL && strstr(report.s, "objectUser") != NULL);
	say("/_config", "{\"buckets\":[\"other\"]}");
	over = false;
	store_check(store, checked, NULL);
	tiny_until(&over);
	CHECK(!usable && strstr(report.s, "does not exist") != NULL);
	say("/_reset", "{}");
}

/* ---- credentials: each kind in a process of its own, for the credentials are opened once ---- */

static void
short_walk(const char *name)
{
	struct store_op *op;
	struct text prefix;
	char reason[200] = "";

	store = store_for_uri(TEXT("gs://bucket/some/path/"), &prefix, reason, sizeof(reason));
	CHECK(store != NULL && text_is(prefix, "some/path") && store == store_for_uri(TEXT("gs://bucket/x"), &prefix, reason, sizeof(reason)));
	put("c/a", "hello", 5, 5);
	if (last != STORE_OK)
		fprintf(stderr, "%s: %s\n", name, why);
	CHECK(last == STORE_OK);
	put("c/a", big, BIG, (int64_t)BIG);
	CHECK(last == STORE_OK);
	get("c/a", 0, -1);
	CHECK(last == STORE_OK && got.n == BIG);
	op = op_new();
	CHECK(WAIT(store->list(store, TEXT("c"), op)) == STORE_OK && op->entry_count == 1);
	op = op_new();
	store->sign_get(store, TEXT("c/a"), 300, op);
	tiny_until(&over);
	if (strcmp(name, "user") == 0)
		CHECK(last == STORE_UNSUPPORTED && strstr(why, "user account") != NULL && !store->can_sign);
	else
		CHECK(last == STORE_OK && http("GET", op->urls[0].url, TEXT_NONE) == 200 && answer.n == BIG);
	if (strcmp(name, "user") != 0) {
		op = op_new();
		CHECK(WAIT(store->multipart_create(store, TEXT("c/m"), 40, TEXT_NONE, op)) == STORE_OK && http("PUT", op->urls[39].url, TEXT("x")) == 200);
		CHECK(WAIT(store->multipart_abort(store, TEXT("c/m"), op->upload_id, op_new())) == STORE_OK);
	}
	CHECK(WAIT(store->remove(store, TEXT("c"), op_new())) == STORE_OK);
	over = false;
	store_check(store, checked, NULL);
	tiny_until(&over);
	CHECK(usable);
}

static void
credential(const char *name, const char *file)
{
	char path[] = "/tmp/tallyd-credential-XXXXXX", subject[] = "/tmp/tallyd-subject-XXXXXX";
	struct buf text = { 0 };
	int fd = mkstemp(path), subject_fd = mkstemp(subject), result;
	pid_t pid;

	/* % is the stand-in's address, ~ the subject token's file. */
	for (const char *at = file; *at != '\0'; at++) {
		if (*at == '%')
			buf_puts(&text, base);
		else if (*at == '~')
			buf_puts(&text, subject);
		else
			buf_byte(&text, *at);
	}
	CHECK(fd != -1 && write(fd, text.s, text.n) == (ssize_t)text.n && write(subject_fd, "subject-of-the-platform\n", 24) == 24);
	close(fd);
	close(subject_fd);
	buf_free(&text);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		unsetenv("TALLYD_TOKEN_URI");
		if (*file == '{')
			setenv("GOOGLE_APPLICATION_CREDENTIALS", path, 1);
		else
			unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
		if (strcmp(name, "metadata") == 0)
			setenv("GCE_METADATA_HOST", base + 7, 1);
		if (strcmp(name, "hmac") == 0) {
			setenv("TALLYD_GCS_HMAC_ID", "GOOGTEST", 1);
			setenv("TALLYD_GCS_HMAC_SECRET", "hmac-secret", 1);
		}
		setenv("TALLYD_IAM_ENDPOINT", base, 1);
		short_walk(name);
		_exit(0);
	}
	CHECK(waitpid(pid, &result, 0) == pid);
	unlink(path);
	unlink(subject);
	if (result != 0)
		fprintf(stderr, "credentials of kind %s\n", name);
	CHECK(result == 0);
}

static pid_t
standin_start(void)
{
	int out[2];
	char line[64] = "";
	pid_t pid;
	int port = 0;
	size_t n = 0;

	CHECK(pipe(out) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		close(out[0]);
		execlp("python3", "python3", "tests/gcs/standin.py", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	/* Started through a shell's shim it may come in pieces. */
	while (memchr(line, '\n', n) == NULL) {
		ssize_t more = read(out[0], line + n, sizeof(line) - 1 - n);

		CHECK(more > 0);
		n += (size_t)more;
	}
	CHECK(sscanf(line, "ready %d", &port) == 1);
	snprintf(base, sizeof(base), "http://127.0.0.1:%d", port);
	return pid;
}

/* LeakSanitizer itself falls over at exit here (SIGSEGV in its own tracer, seen with libcurl's resolver threads behind us and an empty environment), after every check has passed. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

int
main(void)
{
	char reason[200] = "", uri[100];
	pid_t standin = standin_start();
	size_t i;

	CHECK(crc32c(0, "123456789", 9) == 0xe3069283u);
	arena = arena_new();
	big = malloc(BIG);
	CHECK(big != NULL);
	for (i = 0; i < BIG; i++)
		big[i] = (char)(i * 2654435761u >> 13);
	setenv("STORAGE_EMULATOR_HOST", base, 1);
	/* Each kind of credential, before this process opens its own. */
	credential("metadata", "-");
	credential("hmac", "-");
	credential("user", "{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"s\",\"refresh_token\":\"refresh-me\",\"token_uri\":\"%/token\"}");
	credential("impersonated", "{\"type\":\"impersonated_service_account\",\"source_credentials\":{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"s\",\"refresh_token\":\"refresh-me\",\"token_uri\":\"%/token\"},"
	    "\"service_account_impersonation_url\":\"%/v1/projects/-/serviceAccounts/test-iam-credentials@dummy-project-id.iam.gserviceaccount.com:generateAccessToken\"}");
	credential("external", "{\"type\":\"external_account\",\"audience\":\"//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q\",\"subject_token_type\":\"urn:ietf:params:oauth:token-type:jwt\",\"token_url\":\"%/sts\",\"credential_source\":{\"file\":\"~\"},"
	    "\"service_account_impersonation_url\":\"%/v1/projects/-/serviceAccounts/test-iam-credentials@dummy-project-id.iam.gserviceaccount.com:generateAccessToken\"}");
	setenv("GOOGLE_APPLICATION_CREDENTIALS", "tests/gcs/vectors/test_service_account.not-a-test.json", 1);
	snprintf(uri, sizeof(uri), "%s/token", base);
	setenv("TALLYD_TOKEN_URI", uri, 1);
	store = store_open("gs://bucket/some/path", reason, sizeof(reason));
	CHECK(store != NULL && store->can_sign);
	test_put_get();
	test_lists();
	test_signed();
	test_multipart();
	test_faults();
	test_roles();
	test_aborts();
	test_check();
	kill(standin, SIGTERM);
	waitpid(standin, NULL, 0);
	free(big);
	buf_free(&got);
	buf_free(&answer);
	buf_free(&report);
	arena_free(arena);
	puts("ok store_gcs");
	return 0;
}

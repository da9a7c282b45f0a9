/* The local store: whole or absent, inside its folder, nothing left behind. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/task.h"
#include "store/store.h"
#include "tiny_loop.h"

static struct store *store;
static struct arena *arena;
static char folder[] = "/tmp/tallyd-store-XXXXXX";
static bool over;
static enum store_result last;

static void
done(struct store_op *op, enum store_result result)
{
	CHECK(op->priv == NULL);
	last = result;
	over = true;
}

static bool has_room;
static void
room(struct store_op *op)
{
	(void)op;
	has_room = true;
}

static struct store_op *
op_new(void)
{
	struct store_op *op = ARENA_NEW(arena, struct store_op);

	op->arena = arena;
	op->done = done;
	op->room = room;
	over = false;
	return op;
}

static enum store_result
put(const char *key, const char *bytes, size_t n, int64_t length)
{
	struct store_op *op = op_new();

	store->put(store, text_from(key), length, TEXT("text/plain"), op);
	CHECK(!over);
	store->put_bytes(op, bytes, n);
	store->put_end(op);
	tiny_until(&over);
	if (last == STORE_OK)
		CHECK(op->bytes == (int64_t)n);
	return last;
}

static void
expect(const char *key, const char *bytes)
{
	struct store_op *op = op_new();
	char got[256];

	store->get(store, text_from(key), 0, -1, op);
	CHECK(!over);
	tiny_until(&over);
	CHECK(last == STORE_OK && op->stat.size == (int64_t)strlen(bytes));
	CHECK(read(op->fd, got, sizeof(got)) == (ssize_t)strlen(bytes) && memcmp(got, bytes, strlen(bytes)) == 0);
	close(op->fd);
}

static enum store_result
look(const char *key)
{
	store->stat(store, text_from(key), op_new());
	tiny_until(&over);
	return last;
}

static struct store_op *
list(const char *key)
{
	struct store_op *op = op_new();

	store->list(store, text_from(key), op);
	tiny_until(&over);
	CHECK(last == STORE_OK);
	return op;
}

static struct store_op *
drop(const char *key)
{
	struct store_op *op = op_new();

	store->remove(store, text_from(key), op);
	tiny_until(&over);
	CHECK(last == STORE_OK);
	return op;
}

static int
leftovers(void)
{
	char path[64];
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/.tallyd-tmp", folder);
	dir = opendir(path);
	CHECK(dir != NULL);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;
}

static void
test_files(void)
{
	struct store_op *op;

	CHECK(put("1/run/artifacts/a.txt", "hello", 5, 5) == STORE_OK);
	expect("1/run/artifacts/a.txt", "hello");
	CHECK(put("1/run/artifacts/a.txt", "hello again", 11, -1) == STORE_OK);
	expect("1/run/artifacts/a.txt", "hello again");
	CHECK(put("1/run/artifacts/empty", "", 0, 0) == STORE_OK);
	expect("1/run/artifacts/empty", "");
	CHECK(put("1/run/artifacts/s mall \xc3\xa9%25.bin", "x", 1, 1) == STORE_OK);
	CHECK(put("1/run/artifacts/cut", "x", 1, 2) == STORE_BAD && look("1/run/artifacts/cut") == STORE_MISSING);
	CHECK(put("1/run/artifacts", "x", 1, 1) == STORE_BAD);
	CHECK(put("1/run/artifacts/a.txt/b", "x", 1, 1) == STORE_BAD);
	CHECK(look("1/run") == STORE_BAD && look("nothing") == STORE_MISSING && look("1/run/artifacts/a.txt/b") == STORE_MISSING);
	CHECK(put("1/run/artifacts/dir/b", "xy", 2, 2) == STORE_OK);
	op = list("1/run/artifacts");
	CHECK(op->entry_count == 4);
	CHECK(text_is(op->entries[0].name, "a.txt") && op->entries[0].size == 11 && !op->entries[0].is_dir);
	CHECK(text_is(op->entries[1].name, "dir") && op->entries[1].is_dir);
	CHECK(list("1/run/artifacts/a.txt")->entry_count == 0 && list("1/none/x")->entry_count == 0);
	op = list("");
	CHECK(op->entry_count == 1 && text_is(op->entries[0].name, "1"));
	op = op_new();
	store->usage(store, TEXT("1"), op);
	tiny_until(&over);
	CHECK(op->objects == 4 && op->bytes == 14);
	op = op_new();
	store->get(store, TEXT("1/run/artifacts/a.txt"), 11, -1, op);
	tiny_until(&over);
	CHECK(last == STORE_RANGE);
	CHECK(put("1/run/artifactsX", "x", 1, 1) == STORE_OK);
	op = drop("1/run/artifacts");
	CHECK(op->objects == 4 && op->bytes == 14 && look("1/run/artifactsX") == STORE_OK && look("1/run/artifacts/dir/b") == STORE_MISSING);
	CHECK(drop("1/run/artifacts")->objects == 0 && drop("1/run/artifactsX")->objects == 1);
	CHECK(leftovers() == 0);
}

static void
test_outside(void)
{
	char path[96];
	struct store_op *op;

	CHECK(put("1/run/kept", "x", 1, 1) == STORE_OK);
	snprintf(path, sizeof(path), "%s/1/link", folder);
	CHECK(symlink("/etc", path) == 0);
	snprintf(path, sizeof(path), "%s/1/passwd", folder);
	CHECK(symlink("/etc/passwd", path) == 0);
	CHECK(look("1/link/passwd") == STORE_MISSING && look("1/passwd") == STORE_MISSING);
	CHECK(put("1/link/x", "x", 1, 1) == STORE_BAD && list("1/link")->entry_count == 0);
	op = list("1");
	CHECK(op->entry_count == 1 && text_is(op->entries[0].name, "run"));
	CHECK(look("../../etc/passwd") == STORE_MISSING && look("/etc/passwd") == STORE_MISSING);
	CHECK(look(".tallyd-tmp") == STORE_MISSING && put(".tallyd-tmp/x", "x", 1, 1) == STORE_DENIED && list(".tallyd-tmp")->entry_count == 0);
	drop("1");
	CHECK(access("/etc/passwd", R_OK) == 0);
}

static void
test_large(void)
{
	static char piece[65536];
	struct store_op *op = op_new();
	int i, stops = 0;

	memset(piece, 'z', sizeof(piece));
	store->put(store, TEXT("big"), (int64_t)sizeof(piece) * 1600, TEXT_NONE, op);
	for (i = 0; i < 1600; i++) {
		has_room = false;
		if (!store->put_bytes(op, piece, sizeof(piece))) {
			stops++;
			tiny_until(&has_room);
		}
	}
	CHECK(look("big") == STORE_MISSING);
	over = false;
	store->put_end(op);
	tiny_until(&over);
	CHECK(last == STORE_OK && op->bytes == 104857600 && look("big") == STORE_OK && stops > 0);
	drop("big");
}

static void
test_aborts(void)
{
	static char piece[65536];
	struct store_op *op = op_new();
	int i;

	store->put(store, TEXT("gone"), -1, TEXT_NONE, op);
	for (i = 0; i < 400; i++)
		store->put_bytes(op, piece, sizeof(piece));
	store->abort(op);
	op = op_new();
	store->list(store, TEXT(""), op);
	store->abort(op);
	op = op_new();
	store->stat(store, TEXT("gone"), op);
	store->abort(op);
	CHECK(!over);
	while (task_pending() > 0)
		tiny_turn();
	CHECK(look("gone") == STORE_MISSING && leftovers() == 0);
}

static void
test_killed(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	CHECK(pipe(ready) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct store_op *op = op_new();

		store->put(store, TEXT("1/half"), -1, TEXT_NONE, op);
		store->put_bytes(op, "half of it", 10);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	CHECK(read(ready[0], &byte, 1) == 1);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	CHECK(look("1/half") == STORE_MISSING && leftovers() == 0);
	CHECK(put("1/half", "whole", 5, 5) == STORE_OK);
	expect("1/half", "whole");
}

static void
test_keys(void)
{
	static const char *const good[] = { "a", "a/b.c", "7/abcd/artifacts/s mall \xc3\xa9%25.bin", "..a/b..", "a b+c&;=,@~$!()[].bin", "C/x", "pct%zz", ".hidden" };
	static const char *const bad[] = { "", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "a\\b", "C:/x", "c:", "a#b", "a\nb", "a\x7f", "%2e%2e/x", "x%2Fy", "%5c", "a%00", "\xff", "\xc0\xaf",
		"\xed\xa0\x80" };
	struct text key;
	const char *why;
	char longest[1100];
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(artifact_key(arena, text_from(good[i]), false, &key, &why) && text_is(key, good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!artifact_key(arena, text_from(bad[i]), false, &key, &why) && why != NULL);
	CHECK(artifact_key(arena, TEXT(""), true, &key, &why) && key.n == 0);
	CHECK(!artifact_key(arena, (struct text){ "a\0b", 3 }, false, &key, &why));
	memset(longest, 'a', sizeof(longest));
	CHECK(artifact_key(arena, (struct text){ longest, 255 }, false, &key, &why) && !artifact_key(arena, (struct text){ longest, 256 }, false, &key, &why));
	for (i = 200; i < sizeof(longest); i += 200)
		longest[i] = '/';
	CHECK(artifact_key(arena, (struct text){ longest, 1024 }, false, &key, &why) && !artifact_key(arena, (struct text){ longest, 1025 }, false, &key, &why));
}

static void
test_types(void)
{
	static const char *const rows[][2] = { { "MLmodel", "text/plain" }, { "a/MLproject", "text/plain" }, { "a/mlproject", "text/plain" }, { "x.yaml", "text/plain" }, { "x.json", "text/plain" }, { "x.PNG", "image/png" }, { "x.html", "text/html" },
		{ "x.svg", "image/svg+xml" }, { "x.pkl", "application/octet-stream" }, { "noext", "application/octet-stream" }, { ".csv", "application/octet-stream" }, { "x.JSON", "application/json" }, { "x.zip", "application/zip" },
		{ "x.3gp", "audio/3gpp" }, { "a.b/c", "application/octet-stream" }, { "x.", "application/octet-stream" }, { "", "application/octet-stream" } };
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK(strcmp(artifact_type(text_from(rows[i][0])), rows[i][1]) == 0);
}

int
main(void)
{
	char why[200] = "";

	arena = arena_new();
	CHECK(mkdtemp(folder) != NULL);
	store = store_open(folder, why, sizeof(why));
	CHECK(store != NULL);
	test_keys();
	test_types();
	test_files();
	test_outside();
	test_large();
	test_aborts();
	test_killed();
	drop("1");
	CHECK(store_open("ftp://x/y", why, sizeof(why)) == NULL && store_open("/proc/nowhere", why, sizeof(why)) == NULL);
	arena_free(arena);
	snprintf(why, sizeof(why), "%s/.tallyd-tmp", folder);
	CHECK(rmdir(why) == 0 && rmdir(folder) == 0);
	puts("ok store_local");
	return 0;
}

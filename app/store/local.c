/*
 * Artifacts in a folder. No path is ever opened by name: every file is reached from the root's descriptor by openat2(), beneath it and through no symbolic link.
 * A put is an unnamed file (O_TMPFILE) until it is whole and synced, so that a killed server leaves nothing behind; where the file system cannot do that, a file in
 * ".tallyd-tmp". What may block (fsync, walks) runs in task threads on a struct of its own.
 */
#include "store/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/http.h"
#include "base/log.h"
#include "base/task.h"
#include "store/store.h"

/* Holds files on their way in or out; never listed, never reached by a key. */
#define TMP ".tallyd-tmp"
#define FILE_MODE 0640
#define FOLDER_MODE 0750
/* A list longer than this is refused: the wire has no paging. */
#define LIST_MOST 50000
/* Written, not yet synced bytes after which a sync is started; one more such piece while it runs stops the upload. */
#define SYNC_EVERY ((int64_t)16 * 1024 * 1024)
/* As deep as a key can be (1,024 bytes, two a level). */
#define DEPTH_MOST 512
/* A named temporary file this old has no writer any more. */
#define STALE_S (24 * 3600)
#define REMOVING_S 600

struct local {
	struct store store;
	int root;
	bool unnamed; /* O_TMPFILE and linkat work here */
};

struct found {
	char *name;
	bool is_dir;
	int64_t size;
};

/* One operation. Owned by itself: freed after done(), or when its task is over after an abort. `op` is NULL from the abort on, and never read in a thread. */
struct work {
	struct local *local;
	struct store_op *op;
	struct loop_timer *timer;
	char *key;
	enum store_result result;
	const char *why; /* static text */
	bool busy;       /* in a thread: the struct is the thread's */
	/* put */
	int fd;
	char *temp; /* name in TMP, or NULL when unnamed */
	int64_t expected, written, synced;
	bool syncing, stopped, ended, over;
	int sync_error;
	int64_t replaced;
	/* list, remove, usage */
	struct found *found;
	size_t found_count, found_cap;
	int64_t bytes, objects;
};

/* ---- reaching files; safe in threads ---- */

/* The kernel has no openat2 (before 5.6, or a sandbox hides it): one component at a time, none of them a link. The key holds no "..". */
static int
open_stepwise(int root, const char *path, int flags, mode_t mode)
{
	int dir = root, fd;
	char name[256];
	const char *slash;

	while ((slash = strchr(path, '/')) != NULL) {
		size_t n = (size_t)(slash - path);

		if (n >= sizeof(name)) {
			errno = ENAMETOOLONG;
			goto failed;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		if (strcmp(name, "..") == 0) {
			errno = ENOENT;
			goto failed;
		}
		fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd == -1)
			goto failed;
		if (dir != root)
			close(dir);
		dir = fd;
		path = slash + 1;
	}
	if (strcmp(path, "..") == 0) {
		errno = ENOENT;
		goto failed;
	}
	fd = openat(dir, path, flags | O_NOFOLLOW | O_CLOEXEC, mode);
	if (dir != root) {
		int e = errno;

		close(dir);
		errno = e;
	}
	return fd;
failed:
	if (dir != root) {
		int e = errno;

		close(dir);
		errno = e;
	}
	return -1;
}

static int
open_beneath(int root, const char *path, int flags, mode_t mode)
{
	static bool missing;
	struct open_how how = { 0 };
	long fd;

	if (!__atomic_load_n(&missing, __ATOMIC_RELAXED)) {
		how.flags = (unsigned long long)(flags | O_CLOEXEC);
		how.mode = mode;
		how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
		if (fd != -1 || (errno != ENOSYS && errno != EPERM))
			return (int)fd;
		__atomic_store_n(&missing, true, __ATOMIC_RELAXED);
	}
	return open_stepwise(root, path, flags, mode);
}

static enum store_result
failure(int e, const char **why)
{
	switch (e) {
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case EXDEV:
	case ENXIO: /* a socket or pipe that somebody put there */
		*why = "no such file";
		return STORE_MISSING;
	case EACCES:
	case EPERM:
	case EROFS:
		*why = "the artifact folder does not permit it";
		return STORE_DENIED;
	case ENOSPC:
	case EDQUOT:
		*why = "no space left for artifacts";
		return STORE_FULL;
	case EISDIR:
		*why = "the path is a folder";
		return STORE_BAD;
	case ENAMETOOLONG:
		*why = "the path is too long";
		return STORE_BAD;
	default:
		*why = "the artifact folder cannot be used now";
		return STORE_BUSY;
	}
}

static void
fail_errno(struct work *w, int e)
{
	w->result = failure(e, &w->why);
	if (w->result == STORE_BUSY)
		log_error("artifacts: %s", strerror(e));
}

/* The folder of a key's last segment, made when wanted; each new folder's parent is synced. `*name` is the last segment. */
static int
open_parent(int root, const char *key, bool create, const char **name)
{
	char *path = strdup(key);
	char *at, *slash, *last = path != NULL ? strrchr(path, '/') : NULL;
	int fd;

	PRECOND(path != NULL);
	*name = strrchr(key, '/') != NULL ? strrchr(key, '/') + 1 : key;
	if (last == NULL) {
		free(path);
		return open_beneath(root, ".", O_RDONLY | O_DIRECTORY, 0);
	}
	*last = '\0';
	fd = open_beneath(root, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd != -1 || errno != ENOENT || !create) {
		int e = errno;

		free(path);
		errno = e;
		return fd;
	}
	fd = open_beneath(root, ".", O_RDONLY | O_DIRECTORY, 0);
	for (at = path; fd != -1 && at != NULL; at = slash != NULL ? slash + 1 : NULL) {
		int next, e;

		slash = strchr(at, '/');
		if (slash != NULL)
			*slash = '\0';
		if (mkdirat(fd, at, FOLDER_MODE) == 0)
			fsync(fd);
		next = open_beneath(fd, at, O_RDONLY | O_DIRECTORY, 0);
		e = errno;
		close(fd);
		errno = e;
		fd = next;
	}
	{
		int e = errno;

		free(path);
		errno = e;
	}
	return fd;
}

static void
temp_name(const char *prefix, char *out, size_t n)
{
	unsigned char random[8] = { 0 };
	char hex[17];

	if (getrandom(random, sizeof(random), GRND_NONBLOCK) < 0)
		memcpy(random, &(uint64_t){ (uint64_t)clock_ms() }, sizeof(random));
	text_hex(random, sizeof(random), hex);
	hex[16] = '\0';
	snprintf(out, n, TMP "/%s-%ld-%s", prefix, (long)getpid(), hex);
}

/* Links the unnamed or temporary file to `name` in `dir`, in place of what was there. 0 or -1 with errno. */
static int
publish(struct work *w, int dir, const char *name)
{
	char proc[40], temp[96];
	int e;

	if (w->temp != NULL)
		return renameat(w->local->root, w->temp, dir, name);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", w->fd);
	if (linkat(AT_FDCWD, proc, dir, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	/* A link cannot replace: give it a temporary name, then rename over the old one. */
	temp_name("put", temp, sizeof(temp));
	if (linkat(AT_FDCWD, proc, w->local->root, temp, AT_SYMLINK_FOLLOW) == -1)
		return -1;
	if (renameat(w->local->root, temp, dir, name) == 0)
		return 0;
	e = errno;
	unlinkat(w->local->root, temp, 0);
	errno = e;
	return -1;
}

/* ---- deletion of a tree; in threads ---- */

static bool
is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Adds what was removed to *bytes and *objects. */
static int
remove_tree(int parent, const char *name, int depth, int64_t *bytes, int64_t *objects)
{
	struct dirent *entry;
	struct stat st;
	DIR *dir;
	int fd, failed = 0;

	if (depth > DEPTH_MOST) {
		errno = ELOOP;
		return -1;
	}
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return -1;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (is_dots(entry->d_name) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			continue;
		if (S_ISDIR(st.st_mode)) {
			failed |= remove_tree(fd, entry->d_name, depth + 1, bytes, objects);
			continue;
		}
		if (unlinkat(fd, entry->d_name, 0) == 0) {
			*bytes += (int64_t)st.st_size;
			*objects += 1;
		} else if (errno != ENOENT) {
			failed = -1;
		}
	}
	closedir(dir);
	if (failed == 0 && unlinkat(parent, name, AT_REMOVEDIR) == -1 && errno != ENOENT)
		failed = -1;
	return failed;
}

/* Folders that the removal left empty go too, as they would in a bucket. Whoever puts something there at the same time makes them anew. */
static void
prune(struct work *w)
{
	const char *name;
	char *slash;
	int dir, rc;

	while ((slash = strrchr(w->key, '/')) != NULL) {
		*slash = '\0';
		dir = open_parent(w->local->root, w->key, false, &name);
		rc = dir != -1 ? unlinkat(dir, name, AT_REMOVEDIR) : -1;
		if (dir != -1)
			close(dir);
		if (rc == -1)
			return;
	}
}

static void
remove_work(void *user)
{
	struct work *w = user;
	const char *name;
	char temp[96];
	struct stat st;
	int dir = open_parent(w->local->root, w->key, false, &name);

	if (dir == -1 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno != ENOENT && errno != ENOTDIR)
			fail_errno(w, errno);
	} else if (S_ISDIR(st.st_mode)) {
		/* Out of sight in one step; what a crash leaves of it goes at the next start. */
		temp_name("del", temp, sizeof(temp));
		if (renameat(dir, name, w->local->root, temp) == -1)
			fail_errno(w, errno);
		else if (remove_tree(w->local->root, temp, 0, &w->bytes, &w->objects) == -1)
			fail_errno(w, errno);
	} else if (unlinkat(dir, name, 0) == 0) {
		w->bytes = (int64_t)st.st_size;
		w->objects = 1;
	} else if (errno != ENOENT) {
		fail_errno(w, errno);
	}
	if (dir != -1) {
		fsync(dir);
		close(dir);
	}
	if (w->result == STORE_OK)
		prune(w);
}

/* ---- lists; in threads ---- */

static int
found_compare(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static bool
found_add(struct work *w, const char *name, const struct stat *st)
{
	struct found *f;

	if (w->found_count == LIST_MOST) {
		w->result = STORE_BAD;
		w->why = "the folder has more than 50,000 entries; list a folder below it";
		return false;
	}
	if (w->found_count == w->found_cap) {
		w->found_cap = w->found_cap == 0 ? 64 : w->found_cap * 2;
		w->found = realloc(w->found, w->found_cap * sizeof(*w->found));
		PRECOND(w->found != NULL);
	}
	f = &w->found[w->found_count++];
	f->name = strdup(name);
	PRECOND(f->name != NULL);
	f->is_dir = S_ISDIR(st->st_mode);
	f->size = f->is_dir ? 0 : (int64_t)st->st_size;
	return true;
}

static void
list_work(void *user)
{
	struct work *w = user;
	bool top = w->key[0] == '\0';
	int fd = open_beneath(w->local->root, top ? "." : w->key, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct stat st;

	if (dir == NULL) {
		int e = errno;

		if (fd != -1)
			close(fd);
		if (e != ENOENT && e != ENOTDIR && e != ELOOP)
			fail_errno(w, e);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (is_dots(entry->d_name) || (top && strcmp(entry->d_name, TMP) == 0))
			continue;
		if (!text_utf8(text_from(entry->d_name)) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			continue;
		if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
			continue;
		if (!found_add(w, entry->d_name, &st))
			break;
	}
	closedir(dir);
	if (w->found_count > 0)
		qsort(w->found, w->found_count, sizeof(*w->found), found_compare);
}

static void
usage_tree(struct work *w, int parent, const char *name, bool top, int depth)
{
	int fd = depth > DEPTH_MOST ? -1 : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct stat st;

	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (is_dots(entry->d_name) || (top && strcmp(entry->d_name, TMP) == 0) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			continue;
		if (S_ISDIR(st.st_mode)) {
			usage_tree(w, fd, entry->d_name, false, depth + 1);
		} else if (S_ISREG(st.st_mode)) {
			w->bytes += (int64_t)st.st_size;
			w->objects++;
		}
	}
	closedir(dir);
}

static void
usage_work(void *user)
{
	struct work *w = user;
	const char *name;
	struct stat st;
	int dir;

	if (w->key[0] == '\0') {
		usage_tree(w, w->local->root, ".", true, 0);
		return;
	}
	dir = open_parent(w->local->root, w->key, false, &name);
	if (dir == -1)
		return;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
		w->bytes = (int64_t)st.st_size;
		w->objects = 1;
	} else {
		usage_tree(w, dir, name, false, 0);
	}
	close(dir);
}

/* ---- the life of a work ---- */

static void
work_free(struct work *w)
{
	size_t i;

	for (i = 0; i < w->found_count; i++)
		free(w->found[i].name);
	free(w->found);
	if (w->fd != -1)
		close(w->fd);
	if (w->temp != NULL && w->result != STORE_OK)
		unlinkat(w->local->root, w->temp, 0);
	free(w->temp);
	free(w->key);
	free(w);
}

static struct work *
work_new(struct store *store, struct text key, struct store_op *op)
{
	struct work *w = calloc(1, sizeof(*w));

	PRECOND(w != NULL && op->priv == NULL);
	w->local = store->priv;
	w->op = op;
	w->fd = -1;
	w->key = strndup(key.n > 0 ? key.s : "", key.n);
	PRECOND(w->key != NULL);
	op->priv = w;
	op->why[0] = '\0';
	op->fd = -1;
	return w;
}

static void
entries_give(struct work *w, struct store_op *op)
{
	size_t i;

	op->entry_count = w->found_count;
	op->entries = arena_array(op->arena, w->found_count + 1, sizeof(*op->entries));
	for (i = 0; i < w->found_count; i++) {
		op->entries[i].name = text_copy(op->arena, text_from(w->found[i].name));
		op->entries[i].is_dir = w->found[i].is_dir;
		op->entries[i].size = w->found[i].size;
	}
}

/* On the loop: hands the result to the op, if it still wants it. */
static void
deliver(void *user)
{
	struct work *w = user;
	struct store_op *op = w->op;
	enum store_result result = w->result;

	w->timer = NULL;
	if (w->syncing)
		return; /* sync_done() comes back here */
	if (op == NULL) {
		work_free(w);
		return;
	}
	op->priv = NULL;
	if (result == STORE_OK)
		entries_give(w, op);
	op->bytes = w->bytes;
	op->objects = w->objects;
	op->replaced = w->replaced;
	if (w->why != NULL)
		snprintf(op->why, sizeof(op->why), "%s", w->why);
	work_free(w);
	op->done(op, result);
}

static void
deliver_task(void *user)
{
	struct work *w = user;

	w->busy = false;
	deliver(w);
}

static void
deliver_soon(struct work *w)
{
	if (w->timer == NULL)
		w->timer = loop_after(0, deliver, w);
}

static void
work_start(struct work *w, void (*run)(void *))
{
	w->busy = true;
	task_run(run, deliver_task, w);
}

/* True when the key points into our own folder of temporary files. */
static bool
is_hidden(struct text key)
{
	return text_starts(key, TMP) && (key.n == sizeof(TMP) - 1 || key.s[sizeof(TMP) - 1] == '/');
}

/* ---- stat and get ---- */

static void
stat_fill(struct store_stat *out, const struct stat *st)
{
	uint64_t stamp = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;

	out->size = (int64_t)st->st_size;
	out->mtime_ms = (int64_t)(stamp / 1000000u);
	out->generation = stamp ^ ((uint64_t)st->st_ino << 40) ^ ((uint64_t)st->st_ino >> 24);
	out->encoded = false;
	snprintf(out->etag, sizeof(out->etag), "%llx-%llx-%llx", (unsigned long long)stamp, (unsigned long long)st->st_size, (unsigned long long)st->st_ino);
}

/* Opens a regular file and fills op->stat; -1 with w->result set. */
static int
open_file(struct work *w, struct store_op *op, struct text key)
{
	struct stat st;
	int fd;

	if (key.n == 0 || is_hidden(key)) {
		fail_errno(w, ENOENT);
		return -1;
	}
	/* O_NONBLOCK: a pipe somebody put there must not hold the worker. */
	fd = open_beneath(w->local->root, w->key, O_RDONLY | O_NONBLOCK, 0);
	if (fd == -1) {
		fail_errno(w, errno);
		return -1;
	}
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		fail_errno(w, S_ISDIR(st.st_mode) ? EISDIR : ENOENT);
		close(fd);
		return -1;
	}
	stat_fill(&op->stat, &st);
	return fd;
}

static void
local_stat(struct store *store, struct text key, struct store_op *op)
{
	struct work *w = work_new(store, key, op);
	int fd = open_file(w, op, key);

	if (fd != -1)
		close(fd);
	deliver_soon(w);
}

static void
local_get(struct store *store, struct text key, int64_t offset, int64_t length, struct store_op *op)
{
	struct work *w = work_new(store, key, op);
	int fd = open_file(w, op, key);

	(void)length;
	if (fd != -1 && offset > 0 && offset >= op->stat.size) {
		close(fd);
		fd = -1;
		w->result = STORE_RANGE;
	}
	op->fd = fd;
	deliver_soon(w);
}

/* ---- put ---- */

static void
put_fail(struct work *w, int e)
{
	if (w->over)
		return;
	fail_errno(w, e);
	w->over = true;
	deliver_soon(w);
}

static bool
temp_open(struct work *w)
{
	char name[96];

	if (w->local->unnamed) {
		w->fd = open_beneath(w->local->root, ".", O_TMPFILE | O_WRONLY, FILE_MODE);
		return w->fd != -1;
	}
	temp_name("put", name, sizeof(name));
	w->fd = open_beneath(w->local->root, name, O_CREAT | O_EXCL | O_WRONLY, FILE_MODE);
	if (w->fd == -1)
		return false;
	w->temp = strdup(name);
	PRECOND(w->temp != NULL);
	return true;
}

static bool
space_for(struct local *local, int64_t length)
{
	struct statvfs fs;

	if (length <= 0 || fstatvfs(local->root, &fs) == -1)
		return true;
	return (uint64_t)length <= (uint64_t)fs.f_bavail * (uint64_t)fs.f_frsize;
}

static void
local_put(struct store *store, struct text key, int64_t length, struct text content_type, struct store_op *op)
{
	struct work *w = work_new(store, key, op);

	(void)content_type;
	w->expected = length;
	w->replaced = STORE_REPLACED_UNKNOWN;
	PRECOND(key.n > 0);
	if (is_hidden(key))
		put_fail(w, EACCES);
	else if (!space_for(w->local, length))
		put_fail(w, ENOSPC);
	else if (!temp_open(w))
		put_fail(w, errno);
}

/* In a thread: everything after the last byte. */
static void
commit_work(void *user)
{
	struct work *w = user;
	const char *name;
	struct stat st;
	int dir, tries, e = 0;

	if (fsync(w->fd) == -1) {
		fail_errno(w, errno);
		return;
	}
	/* Somebody may remove the folder between making it and linking into it. */
	for (tries = 0; tries < 4; tries++) {
		dir = open_parent(w->local->root, w->key, true, &name);
		if (dir == -1) {
			e = errno;
			continue;
		}
		w->replaced = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (int64_t)st.st_size : STORE_REPLACED_NONE;
		e = publish(w, dir, name) == 0 ? 0 : errno;
		if (e == 0 && fsync(dir) == -1)
			e = errno;
		close(dir);
		if (e != ENOENT)
			break;
	}
	if (e == ENOTDIR || e == EEXIST || e == ELOOP) {
		w->result = STORE_BAD;
		w->why = "a file lies where the path wants a folder";
	} else if (e != 0) {
		fail_errno(w, e);
	}
	w->bytes = w->written;
}

static void
put_end_now(struct work *w)
{
	w->over = true;
	if (w->sync_error != 0) {
		w->over = false;
		put_fail(w, w->sync_error);
		return;
	}
	work_start(w, commit_work);
}

/* A sync in mid-upload: keeps the last one short and the page cache clean. It uses its own descriptor, for the upload may be aborted meanwhile. */
struct sync {
	struct work *work;
	int fd;
	int error;
};

static void
sync_work(void *user)
{
	struct sync *s = user;

	if (fdatasync(s->fd) == -1)
		s->error = errno;
}

static void
sync_done(void *user)
{
	struct sync *s = user;
	struct work *w = s->work;
	bool stopped = w->stopped;

	close(s->fd);
	w->syncing = false;
	w->stopped = false;
	w->sync_error = s->error;
	free(s);
	if (w->op == NULL) {
		work_free(w);
		return;
	}
	if (w->over)
		deliver_soon(w);
	else if (w->ended)
		put_end_now(w);
	else if (stopped && w->op->room != NULL)
		w->op->room(w->op);
}

static void
sync_start(struct work *w)
{
	struct sync *s = calloc(1, sizeof(*s));

	PRECOND(s != NULL);
	s->work = w;
	s->fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 3);
	if (s->fd == -1) {
		free(s);
		return;
	}
	w->syncing = true;
	w->synced = w->written;
	task_run(sync_work, sync_done, s);
}

static bool
local_put_bytes(struct store_op *op, const void *bytes, size_t n)
{
	struct work *w = op->priv;
	const char *at = bytes;

	if (w == NULL || w->over)
		return true;
	while (n > 0) {
		ssize_t done = write(w->fd, at, n);

		if (done == -1 && errno == EINTR)
			continue;
		if (done <= 0) {
			put_fail(w, done == 0 ? EIO : errno);
			return true;
		}
		at += done;
		n -= (size_t)done;
		w->written += done;
	}
	if (w->written - w->synced < SYNC_EVERY)
		return true;
	if (!w->syncing) {
		sync_start(w);
		return true;
	}
	w->stopped = true;
	return false;
}

static void
local_put_end(struct store_op *op)
{
	struct work *w = op->priv;

	if (w == NULL || w->over)
		return;
	if (w->expected >= 0 && w->expected != w->written) {
		w->over = true;
		w->result = STORE_BAD;
		w->why = "the body is shorter or longer than it was said to be";
		deliver_soon(w);
		return;
	}
	w->ended = true;
	if (!w->syncing)
		put_end_now(w);
}

/* ---- the rest ---- */

static void
local_abort(struct store_op *op)
{
	struct work *w = op->priv;

	if (w == NULL)
		return;
	op->priv = NULL;
	w->op = NULL;
	if (w->timer != NULL) {
		loop_cancel(w->timer);
		w->timer = NULL;
	}
	if (op->fd != -1) {
		close(op->fd);
		op->fd = -1;
	}
	if (w->result == STORE_OK && !w->busy)
		w->result = STORE_BUSY;
	if (!w->busy && !w->syncing)
		work_free(w);
}

static void
local_resume(struct store_op *op)
{
	(void)op;
}

static void
local_list(struct store *store, struct text key, struct store_op *op)
{
	struct work *w = work_new(store, key, op);

	if (is_hidden(key))
		deliver_soon(w);
	else
		work_start(w, list_work);
}

static void
local_remove(struct store *store, struct text key, struct store_op *op)
{
	struct work *w = work_new(store, key, op);

	/* An empty key would be everything. */
	PRECOND(key.n > 0);
	if (is_hidden(key))
		deliver_soon(w);
	else
		work_start(w, remove_work);
}

static void
local_usage(struct store *store, struct text key, struct store_op *op)
{
	work_start(work_new(store, key, op), usage_work);
}

/* There are no uploads in parts here; what crashed ones left goes at each start. */
static void
local_sweep(struct store *store, int64_t before_ms, bool count_only, struct store_op *op)
{
	(void)before_ms;
	(void)count_only;
	deliver_soon(work_new(store, TEXT(""), op));
}

static void
unsupported(struct store *store, struct text key, struct store_op *op, const char *why)
{
	struct work *w = work_new(store, key, op);

	w->result = STORE_UNSUPPORTED;
	w->why = why;
	deliver_soon(w);
}

static void
local_sign(struct store *store, struct text key, int64_t ttl_s, struct store_op *op)
{
	(void)ttl_s;
	unsupported(store, key, op, "Signed addresses are not supported for the current artifact repository");
}

static void
local_multipart_create(struct store *store, struct text key, int parts, struct text content_type, struct store_op *op)
{
	(void)parts;
	(void)content_type;
	unsupported(store, key, op, "Multipart upload is not supported for the current artifact repository");
}

static void
local_multipart_complete(struct store *store, struct text key, struct text upload_id, const struct store_part *parts, size_t n, struct store_op *op)
{
	(void)upload_id;
	(void)parts;
	(void)n;
	unsupported(store, key, op, "Multipart upload is not supported for the current artifact repository");
}

static void
local_multipart_abort(struct store *store, struct text key, struct text upload_id, struct store_op *op)
{
	(void)upload_id;
	unsupported(store, key, op, "Multipart upload is not supported for the current artifact repository");
}

/* ---- the check at start ---- */

struct check {
	struct local *local;
	void (*done)(void *, bool, struct text);
	void *user;
};

static void
check_now(void *user)
{
	struct check *c = user;
	struct buf report = { 0 };
	struct statvfs fs;
	char name[96];
	int fd;
	bool usable;

	temp_name("try", name, sizeof(name));
	fd = open_beneath(c->local->root, name, O_CREAT | O_EXCL | O_WRONLY, FILE_MODE);
	usable = fd != -1;
	if (!usable)
		buf_printf(&report, "the artifact folder cannot be written: %s\n", strerror(errno));
	else if (fstatvfs(c->local->root, &fs) == 0)
		buf_printf(&report, "ok: the artifact folder can be written, %lld MiB free\n", (long long)((uint64_t)fs.f_bavail * (uint64_t)fs.f_frsize / 1048576));
	if (usable) {
		close(fd);
		unlinkat(c->local->root, name, 0);
	}
	c->done(c->user, usable, buf_view(&report));
	buf_free(&report);
	free(c);
}

static void
local_check(struct store *store, void (*done)(void *, bool, struct text), void *user)
{
	struct check *c = calloc(1, sizeof(*c));

	PRECOND(c != NULL);
	c->local = store->priv;
	c->done = done;
	c->user = user;
	loop_after(0, check_now, c);
}

/* ---- opening ---- */

/* In a thread, at start: what crashed servers left in TMP. */
static void
sweep_work(void *user)
{
	const struct local *local = user;
	int64_t bytes = 0, objects = 0;
	int fd = open_beneath(local->root, TMP, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct stat st;

	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (is_dots(entry->d_name) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			continue;
		/* A folder that another process is removing now is its to count: moving it here set its ctime. */
		if (S_ISDIR(st.st_mode) && time(NULL) - st.st_ctime > REMOVING_S)
			remove_tree(fd, entry->d_name, 0, &bytes, &objects);
		else if (!S_ISDIR(st.st_mode) && time(NULL) - st.st_mtime > STALE_S)
			unlinkat(fd, entry->d_name, 0);
	}
	closedir(dir);
}

static void
sweep_done(void *user)
{
	(void)user;
}

/* mkdir -p. The folder is the administrator's: links in it are theirs. */
static bool
folder_make(const char *folder)
{
	char *path = strdup(folder);
	char *at;
	int rc;

	PRECOND(path != NULL);
	for (at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		mkdir(path, FOLDER_MODE);
		*at = '/';
	}
	rc = mkdir(path, FOLDER_MODE);
	free(path);
	return rc == 0 || errno == EEXIST;
}

static bool
unnamed_works(int root)
{
	char proc[40], temp[96];
	int fd = open_beneath(root, ".", O_TMPFILE | O_WRONLY, FILE_MODE);
	bool works;

	if (fd == -1)
		return false;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	temp_name("try", temp, sizeof(temp));
	works = linkat(AT_FDCWD, proc, root, temp, AT_SYMLINK_FOLLOW) == 0;
	if (works)
		unlinkat(root, temp, 0);
	close(fd);
	return works;
}

struct store *
local_open(const char *folder, char *why, size_t n)
{
	static const struct store functions = {
		.scheme = "file",
		.can_sign = false,
		.stat = local_stat,
		.get = local_get,
		.put = local_put,
		.put_bytes = local_put_bytes,
		.put_end = local_put_end,
		.abort = local_abort,
		.resume = local_resume,
		.list = local_list,
		.remove = local_remove,
		.sign_get = local_sign,
		.sign_put = local_sign,
		.multipart_create = local_multipart_create,
		.multipart_complete = local_multipart_complete,
		.multipart_abort = local_multipart_abort,
		.usage = local_usage,
		.sweep = local_sweep,
		.check = local_check,
	};
	struct local *local = calloc(1, sizeof(*local));

	PRECOND(local != NULL);
	local->root = folder_make(folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (local->root == -1 || (mkdirat(local->root, TMP, FOLDER_MODE) == -1 && errno != EEXIST)) {
		snprintf(why, n, "artifact folder %s: %s", folder, strerror(errno));
		if (local->root != -1)
			close(local->root);
		free(local);
		return NULL;
	}
	local->unnamed = unnamed_works(local->root);
	local->store = functions;
	local->store.priv = local;
	task_run(sweep_work, sweep_done, local);
	return &local->store;
}

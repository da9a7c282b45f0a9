/*
 * A folder of a run or logged model as one zip, made while it is sent: the folder is walked first, so that what is wrong with it is told as an error, then one file after the other is read, deflated and
 * passed on, as fast as the client takes it. A file that is gone or breaks off by then cuts the connection: half a zip must not look like a whole one.
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>
#define ZLIB_CONST
#include <zlib.h>

#include "api/artifact.h"
#include "base/task.h"
#include "engine/stats.h"
#include "sql_queries.h"

/* With the list of names in memory until the end; below 65,535, where the counts of the format end. */
#define FILES_MOST 50000
/* A file read or sent through a thread in pieces. */
#define PIECE ((size_t)64 * 1024)
/* What deflate may still hold of earlier pieces comes on top of a piece. */
#define PIECE_OUT ((size_t)256 * 1024)
/* Sizes from here on are written in 64 bits; below the real bound, since deflate can make a file a little larger. */
#define WIDE_FROM ((int64_t)0xf0000000)
#define NARROW_MOST ((int64_t)0xffffffff)
#define UTF8_AND_SIZES_BEHIND 0x0808
#define DEFLATED 8
#define UNIX_FILE_MODE ((uint32_t)0100644 << 16)

/* A file or folder below the one asked for. */
struct item {
	struct item *next;
	struct text path; /* in the zip */
	bool is_dir;
	bool wide;
	uint32_t crc, when;
	int64_t size, packed, offset;
};

struct zip {
	struct artifact *a;
	struct text owner;           /* id of the run or model */
	struct item *todo;           /* while walking: folders and files not yet seen to */
	struct item *files, **end;   /* in the order of the zip */
	struct item *now;            /* being sent; in the directory: the next to be written */
	size_t count;
	bool walked;                 /* the first folder was read */
	bool full;                   /* the client has to catch up */
	enum next (*go)(struct zip *); /* then on with this */
	z_stream z;
	int level;
	int64_t at, directory;
	unsigned char *out; /* PIECE_OUT */
	/* of a file on the disk; the thread's while `reading` */
	unsigned char *in;
	int fd;
	bool reading, last, broken;
	int64_t left;
	size_t got, made;
};

static enum next send_next(struct zip *zip);
static enum next walk_on(struct zip *zip);

/* ---- the format ---- */

static void
little(struct buf *b, uint64_t v, size_t bytes)
{
	for (; bytes > 0; bytes--, v >>= 8)
		buf_byte(b, (char)(v & 0xff));
}

static uint32_t
narrow(int64_t v)
{
	return v >= NARROW_MOST ? UINT32_MAX : (uint32_t)v;
}

static uint32_t
dos_time(int64_t ms)
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < 80 || tm.tm_year > 207)
		return 1u << 21 | 1u << 16;
	return (uint32_t)(tm.tm_year - 80) << 25 | (uint32_t)(tm.tm_mon + 1) << 21 | (uint32_t)tm.tm_mday << 16 | (uint32_t)tm.tm_hour << 11 | (uint32_t)tm.tm_min << 5 | (uint32_t)tm.tm_sec / 2;
}

static void
emit(struct zip *zip, const void *bytes, size_t n)
{
	struct call *call = zip->a->call;

	if (call->http == NULL || n == 0)
		return;
	zip->at += (int64_t)n;
	stats_artifact(0, n);
	if (!http_reply_write(call->http, bytes, n))
		zip->full = true;
}

static void
emit_buf(struct zip *zip, struct buf *b)
{
	emit(zip, b->s, b->n);
	buf_free(b);
}

/* What both headers of a file say up to its time. */
static void
header_start(struct buf *b, const struct item *f)
{
	little(b, f->wide ? 45 : 20, 2);
	little(b, UTF8_AND_SIZES_BEHIND, 2);
	little(b, DEFLATED, 2);
	little(b, f->when, 4);
}

static void
file_header(struct zip *zip)
{
	struct item *f = zip->now;
	struct buf b = { 0 };

	f->offset = zip->at;
	little(&b, 0x04034b50, 4);
	header_start(&b, f);
	little(&b, 0, 4);
	little(&b, f->wide ? UINT64_MAX : 0, 8);
	little(&b, f->path.n, 2);
	little(&b, f->wide ? 20 : 0, 2);
	buf_text(&b, f->path);
	if (f->wide) {
		little(&b, 1, 2);
		little(&b, 16, 2);
		little(&b, 0, 8);
		little(&b, 0, 8);
	}
	emit_buf(zip, &b);
}

static void
file_descriptor(struct zip *zip)
{
	struct item *f = zip->now;
	struct buf b = { 0 };

	little(&b, 0x08074b50, 4);
	little(&b, f->crc, 4);
	little(&b, (uint64_t)f->packed, f->wide ? 8 : 4);
	little(&b, (uint64_t)f->size, f->wide ? 8 : 4);
	emit_buf(zip, &b);
}

static void
directory_entry(struct zip *zip, const struct item *f)
{
	struct buf b = { 0 };
	bool far = f->offset >= NARROW_MOST;
	size_t more = (f->wide ? 16u : 0u) + (far ? 8u : 0u);

	little(&b, 0x02014b50, 4);
	little(&b, 3 << 8 | 45, 2);
	header_start(&b, f);
	little(&b, f->crc, 4);
	little(&b, f->wide ? UINT32_MAX : (uint32_t)f->packed, 4);
	little(&b, f->wide ? UINT32_MAX : (uint32_t)f->size, 4);
	little(&b, f->path.n, 2);
	little(&b, more > 0 ? more + 4 : 0, 2);
	little(&b, 0, 6);
	little(&b, UNIX_FILE_MODE, 4);
	little(&b, narrow(f->offset), 4);
	buf_text(&b, f->path);
	if (more > 0) {
		little(&b, 1, 2);
		little(&b, more, 2);
	}
	if (f->wide) {
		little(&b, (uint64_t)f->size, 8);
		little(&b, (uint64_t)f->packed, 8);
	}
	if (far)
		little(&b, (uint64_t)f->offset, 8);
	emit_buf(zip, &b);
}

static void
directory_end(struct zip *zip)
{
	int64_t end = zip->at, size = end - zip->directory;
	struct buf b = { 0 };

	if (end >= NARROW_MOST) {
		little(&b, 0x06064b50, 4);
		little(&b, 44, 8);
		little(&b, 3 << 8 | 45, 2);
		little(&b, 45, 2);
		little(&b, 0, 8);
		little(&b, zip->count, 8);
		little(&b, zip->count, 8);
		little(&b, (uint64_t)size, 8);
		little(&b, (uint64_t)zip->directory, 8);
		little(&b, 0x07064b50, 4);
		little(&b, 0, 4);
		little(&b, (uint64_t)end, 8);
		little(&b, 1, 4);
	}
	little(&b, 0x06054b50, 4);
	little(&b, 0, 4);
	little(&b, zip->count, 2);
	little(&b, zip->count, 2);
	little(&b, narrow(size), 4);
	little(&b, narrow(zip->directory), 4);
	little(&b, 0, 2);
	emit_buf(zip, &b);
}

/* ---- the flow ---- */

/* Half a zip: the connection is cut. */
static enum next
cut(struct zip *zip)
{
	struct call *call = zip->a->call;

	if (zip->fd != -1)
		close(zip->fd);
	zip->fd = -1;
	if (call->http != NULL)
		http_reply_abort(call->http);
	return call_done(call);
}

static enum next
go_on(struct zip *zip, enum next (*go)(struct zip *))
{
	if (!zip->full)
		return go(zip);
	zip->go = go;
	return WAIT;
}

static void
drained(struct http_request *http)
{
	struct call *call = http->user;
	struct artifact *a;
	struct zip *zip;
	enum next (*go)(struct zip *);

	if (call == NULL)
		return;
	a = call->state;
	zip = a->user;
	zip->full = false;
	go = zip->go;
	zip->go = NULL;
	if (go != NULL)
		call_step(call, go(zip));
	else if (a->busy)
		a->store->resume(&a->op);
}

/* The client left between two operations of the store. A thread that reads sees to the rest itself. */
static void
gone(struct call *call)
{
	struct artifact *a = call->state;
	struct zip *zip = a->user;

	if (zip->reading || zip->fd == -1)
		return;
	close(zip->fd);
	zip->fd = -1;
}

static void *
from_arena(void *arena, unsigned count, unsigned size)
{
	return arena_array(arena, count, size);
}

static void
to_arena(void *arena, void *memory)
{
	(void)arena;
	(void)memory;
}

/* Packed already: passed on in stored blocks. */
static bool
is_packed(struct text name)
{
	static const char *const ends[] = { ".gz", ".tgz", ".zip", ".npz", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp3", ".mp4", ".webm", ".parquet", ".bz2", ".xz", ".zst", ".7z", ".pt", ".pth",
		".safetensors", ".ckpt", ".keras", ".woff2" };
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (text_ends(name, ends[i]))
			return true;
	return false;
}

static bool
file_begin(struct zip *zip)
{
	struct artifact *a = zip->a;
	struct item *f = zip->now;
	int level = is_packed(f->path) ? Z_NO_COMPRESSION : Z_BEST_SPEED;

	/* Stored packed in the bucket and read as it is stored. */
	if (a->op.stat.encoded && strcmp(a->op.stat.encoding, "gzip") == 0 && !text_ends(f->path, ".gz"))
		f->path = text_format(a->call->arena, TEXT_FMT ".gz", TEXT_ARG(f->path));
	f->wide = a->op.stat.size < 0 || a->op.stat.size >= WIDE_FROM;
	f->when = dos_time(a->op.stat.mtime_ms);
	f->crc = 0;
	f->size = f->packed = 0;
	if (deflateReset(&zip->z) != Z_OK || (level != zip->level && deflateParams(&zip->z, level, Z_DEFAULT_STRATEGY) != Z_OK))
		return false;
	zip->level = level;
	file_header(zip);
	return true;
}

static enum next
file_end(struct zip *zip)
{
	struct item *f = zip->now;

	if (!f->wide && (f->size > NARROW_MOST || f->packed > NARROW_MOST))
		return cut(zip);
	file_descriptor(zip);
	zip->now = f->next;
	return go_on(zip, send_next);
}

/* ---- files of a bucket: pieces come as the store reads them ---- */

static bool
squeeze(struct zip *zip, const void *bytes, size_t n, int flush)
{
	struct item *f = zip->now;
	int done;

	zip->z.next_in = bytes;
	zip->z.avail_in = (uInt)n;
	f->crc = (uint32_t)crc32_z(f->crc, bytes, n);
	f->size += (int64_t)n;
	do {
		zip->z.next_out = zip->out;
		zip->z.avail_out = PIECE_OUT;
		done = deflate(&zip->z, flush);
		if (done == Z_STREAM_ERROR)
			return false;
		f->packed += (int64_t)(PIECE_OUT - zip->z.avail_out);
		emit(zip, zip->out, PIECE_OUT - zip->z.avail_out);
	} while (flush == Z_FINISH ? done != Z_STREAM_END : zip->z.avail_out == 0);
	return true;
}

static void
stream_head(struct store_op *op)
{
	struct artifact *a = op->user;
	struct zip *zip = a->user;

	zip->broken = !file_begin(zip);
}

static bool
stream_data(struct store_op *op, const void *bytes, size_t n)
{
	struct artifact *a = op->user;
	struct zip *zip = a->user;

	zip->broken = zip->broken || !squeeze(zip, bytes, n, Z_NO_FLUSH);
	return !zip->full;
}

static enum next
stream_over(struct artifact *a, enum store_result result)
{
	struct zip *zip = a->user;

	if (a->call->http == NULL)
		return call_done(a->call);
	if (result != STORE_OK || zip->broken || !squeeze(zip, "", 0, Z_FINISH))
		return cut(zip);
	return file_end(zip);
}

/* ---- files on the disk: read and deflated in a thread, a piece at a time ---- */

static void
piece_work(void *user)
{
	struct zip *zip = user;
	struct item *f = zip->now;
	size_t want = zip->left < (int64_t)PIECE ? (size_t)zip->left : PIECE;
	int done;

	zip->got = 0;
	while (zip->got < want) {
		ssize_t n = read(zip->fd, zip->in + zip->got, want - zip->got);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			zip->broken = true;
			return;
		}
		zip->got += (size_t)n;
	}
	zip->left -= (int64_t)zip->got;
	zip->last = zip->left == 0;
	f->crc = (uint32_t)crc32_z(f->crc, zip->in, zip->got);
	f->size += (int64_t)zip->got;
	zip->z.next_in = zip->in;
	zip->z.avail_in = (uInt)zip->got;
	zip->z.next_out = zip->out;
	zip->z.avail_out = PIECE_OUT;
	done = deflate(&zip->z, zip->last ? Z_FINISH : Z_NO_FLUSH);
	zip->made = PIECE_OUT - zip->z.avail_out;
	f->packed += (int64_t)zip->made;
	zip->broken = zip->last ? done != Z_STREAM_END : done != Z_OK || zip->z.avail_in > 0 || zip->z.avail_out == 0;
}

static enum next piece_next(struct zip *zip);

static enum next
piece_over(struct zip *zip)
{
	struct call *call = zip->a->call;

	if (call->http == NULL || zip->broken)
		return cut(zip);
	emit(zip, zip->out, zip->made);
	if (!zip->last)
		return go_on(zip, piece_next);
	close(zip->fd);
	zip->fd = -1;
	return file_end(zip);
}

static void
piece_done(void *user)
{
	struct zip *zip = user;
	struct call *call = zip->a->call;

	zip->reading = false;
	call_step(call, piece_over(zip));
	call_release(call);
}

static enum next
piece_next(struct zip *zip)
{
	zip->reading = true;
	call_hold(zip->a->call);
	task_run(piece_work, piece_done, zip);
	return WAIT;
}

static enum next
file_opened(struct artifact *a, enum store_result result)
{
	struct zip *zip = a->user;

	if (result != STORE_OK)
		return cut(zip);
	zip->fd = a->op.fd;
	zip->left = a->op.stat.size;
	a->op.fd = -1;
	a->call->on_gone = gone;
	if (a->call->http == NULL || !file_begin(zip))
		return cut(zip);
	return piece_next(zip);
}

/* ---- one after the other ---- */

static struct text
key_of(struct zip *zip, struct text path)
{
	struct artifact *a = zip->a;

	return a->key.n == 0 ? path : path.n == 0 ? a->key : text_format(a->call->arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(a->key), TEXT_ARG(path));
}

static enum next
send_directory(struct zip *zip)
{
	struct call *call = zip->a->call;

	while (zip->now != NULL) {
		directory_entry(zip, zip->now);
		zip->now = zip->now->next;
		if (zip->full)
			return go_on(zip, send_directory);
	}
	directory_end(zip);
	http_reply_end(call->http);
	return call_done(call);
}

static enum next
send_next(struct zip *zip)
{
	struct artifact *a = zip->a;
	struct store_op *op;

	if (zip->now == NULL) {
		zip->directory = zip->at;
		zip->now = zip->files;
		return send_directory(zip);
	}
	if (strcmp(a->store->scheme, "file") == 0) {
		op = artifact_begin(a, file_opened);
	} else {
		op = artifact_begin(a, stream_over);
		op->head = stream_head;
		op->data = stream_data;
	}
	a->store->get(a->store, key_of(zip, zip->now->path), 0, -1, op);
	return WAIT;
}

static enum next
send_start(struct zip *zip)
{
	struct artifact *a = zip->a;
	struct call *call = a->call;
	struct text name = a->path.n > 0 ? a->path : zip->owner;
	struct http_header_out headers[3] = {
		{ "Content-Disposition", artifact_disposition(call->arena, text_format(call->arena, TEXT_FMT ".zip", TEXT_ARG(name))) },
		{ "X-Content-Type-Options", TEXT("nosniff") },
		{ "Cache-Control", TEXT("no-store") },
	};
	struct http_reply reply = { .status = 200, .type = "application/zip", .headers = headers, .header_count = 3 };

	call->status = 200;
	http_reply_begin(call->http, &reply, -1, drained);
	if (call->head) {
		http_reply_end(call->http);
		return call_done(call);
	}
	zip->out = arena_alloc(call->arena, PIECE_OUT);
	if (strcmp(a->store->scheme, "file") == 0)
		zip->in = arena_alloc(call->arena, PIECE);
	zip->z.zalloc = from_arena;
	zip->z.zfree = to_arena;
	zip->z.opaque = call->arena;
	zip->level = Z_BEST_SPEED;
	if (deflateInit2(&zip->z, zip->level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return cut(zip);
	zip->now = zip->files;
	return send_next(zip);
}

/* ---- the walk ---- */

/* Nothing in it: is there such a folder at all? A bucket knows none without files. */
static enum next
looked(struct artifact *a, enum store_result result)
{
	if (result == STORE_OK)
		return call_fail(a->call, INVALID_PARAMETER_VALUE, "'" TEXT_FMT "' is a file, not a folder.", TEXT_ARG(a->path));
	if (result != STORE_BAD)
		return artifact_failed(a, result);
	return a->call->http == NULL ? call_done(a->call) : send_start(a->user);
}

static enum next
listed(struct artifact *a, enum store_result result)
{
	struct zip *zip = a->user;
	struct call *call = a->call;
	struct item *folder = zip->todo;
	const char *why;
	size_t i;

	if (result != STORE_OK)
		return artifact_failed(a, result);
	if (call->http == NULL)
		return call_done(call);
	zip->todo = folder->next;
	zip->count += a->op.entry_count;
	if (zip->count > FILES_MOST)
		return call_fail(call, INVALID_PARAMETER_VALUE, "The folder holds more than %d files and folders; ask for a folder below it.", FILES_MOST);
	if (!zip->walked && a->op.entry_count == 0 && a->path.n > 0) {
		a->store->stat(a->store, a->key, artifact_begin(a, looked));
		return WAIT;
	}
	zip->walked = true;
	if (call->head)
		return send_start(zip);
	/* The last one first: the list of what to do is a stack. */
	for (i = a->op.entry_count; i > 0; i--) {
		const struct store_entry *e = &a->op.entries[i - 1];
		struct item *f = ARENA_NEW(call->arena, struct item);
		struct text key;

		f->path = folder->path.n == 0 ? text_copy(call->arena, e->name) : text_format(call->arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(folder->path), TEXT_ARG(e->name));
		/* A bucket may hold names that lead out of a folder when they are unpacked. */
		if (!artifact_key(call->arena, f->path, false, &key, &why))
			return call_fail(call, INVALID_PARAMETER_VALUE, "The folder holds a file that cannot be put into a zip, '" TEXT_FMT "': %s", TEXT_ARG(f->path), why[0] != '\0' ? why : "Invalid path");
		f->is_dir = e->is_dir;
		f->next = zip->todo;
		zip->todo = f;
	}
	return walk_on(zip);
}

static enum next
walk_on(struct zip *zip)
{
	struct artifact *a = zip->a;

	while (zip->todo != NULL && !zip->todo->is_dir) {
		struct item *f = zip->todo;

		zip->todo = f->next;
		f->next = NULL;
		*zip->end = f;
		zip->end = &f->next;
	}
	if (zip->todo != NULL) {
		a->store->list(a->store, key_of(zip, zip->todo->path), artifact_begin(a, listed));
		return WAIT;
	}
	/* From here on the number of files alone. */
	zip->count = 0;
	for (zip->now = zip->files; zip->now != NULL; zip->now = zip->now->next)
		zip->count++;
	return send_start(zip);
}

static struct text
owner(struct call *call)
{
	struct text run = call_text(call, "run_id");

	return run.n > 0 ? run : call_text(call, "model_id");
}

static enum next
placed(struct call *call, PGresult *r)
{
	struct artifact *a;
	struct zip *zip;

	if (PQntuples(r) == 0)
		return call_fail(call, RESOURCE_DOES_NOT_EXIST, "%s with id=" TEXT_FMT " not found", call_text(call, "run_id").n > 0 ? "Run" : "Logged model", TEXT_ARG(owner(call)));
	if (!artifact_at(call, db_text(r, 0, 0), call_text(call, "path"), true, &a))
		return FAILED;
	zip = ARENA_NEW(call->arena, struct zip);
	zip->a = a;
	zip->owner = owner(call);
	zip->fd = -1;
	zip->end = &zip->files;
	zip->todo = ARENA_NEW(call->arena, struct item);
	zip->todo->path = TEXT("");
	zip->todo->is_dir = true;
	a->user = zip;
	return walk_on(zip);
}

static enum next
zip_run(struct call *call)
{
	struct db_param *p = arena_array(call->arena, 1, sizeof(*p));

	if (owner(call).n == 0)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Missing value for required parameter 'run_id'. See the API docs for more information about request parameters.");
	p[0] = db_p_text(call->arena, owner(call));
	return call_read(call, call_text(call, "run_id").n > 0 ? SQL_run_place : SQL_logged_model_place, p, 1, placed);
}

static const struct field zip_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .alias = "run_uuid" },
	{ .name = "model_id", .type = F_TEXT },
	{ .name = "path", .type = F_TEXT },
	FIELDS_END,
};

static const struct endpoint zip_endpoints[] = {
	{ .method = HTTP_M_GET, .path = "tallyd/artifacts/zip", .access = ACCESS_READ, .on = RUN("run_id"), .fields = zip_fields, .run = zip_run, .doc = "A folder of a run or logged model as one zip." },
};
const struct endpoint_table zip_table = ENDPOINT_TABLE(zip_endpoints);

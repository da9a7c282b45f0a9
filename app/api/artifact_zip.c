/* A folder of a run or model as a zip file, made while it is sent: lists first, then one file after the other, deflated. No zip64: at most 65,535 files and 4 GiB. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "api/artifact.h"
#include "sql_queries.h"

#define FILES_MOST 65000
#define BYTES_MOST ((int64_t)0xf0000000)
#define PIECE 65536

struct item {
	struct item *next;
	struct text path; /* below the zipped folder */
	int64_t size;
};

/* Owned by itself from the first list to the end of the reply; call->state meanwhile, and it holds the call. */
struct zip {
	struct call *call;
	struct artifact *a;
	struct text base; /* key of the zipped folder */
	struct item *folders, *files, **files_last, *at;
	size_t count;
	int64_t bytes;
	bool begun, full;
	int fd; /* local file being read */
	z_stream deflater;
	bool deflating;
	uint32_t crc, in, out;
	uint64_t offset;
	struct buf central;
	unsigned char packed[PIECE];
	unsigned char piece[PIECE];
};

static void next_file(struct zip *);
static enum next list_next(struct zip *);

static void
zip_free(struct zip *z)
{
	if (z->deflating)
		deflateEnd(&z->deflater);
	if (z->fd != -1)
		close(z->fd);
	buf_free(&z->central);
	z->call->state = NULL;
	z->call->on_gone = NULL;
	free(z);
}

static void
zip_gone(struct call *call)
{
	struct zip *z = call->state;

	if (z->a->busy) {
		z->a->busy = false;
		z->a->store->abort(&z->a->op);
		call_release(call);
	}
	zip_free(z);
	call_release(call);
}

/* ---- little-endian numbers ---- */

static void
le(struct buf *b, uint32_t v, int bytes)
{
	while (bytes-- > 0) {
		buf_byte(b, (char)(v & 0xff));
		v >>= 8;
	}
}

static void
send(struct zip *z, const void *bytes, size_t n)
{
	z->offset += n;
	artifact_bytes_out += n;
	if (!http_reply_write(z->call->http, bytes, n))
		z->full = true;
}

/* Version 2.0, sizes behind the data, names in UTF-8; 1980-01-01. */
static void
entry_head(struct buf *b, const struct zip *z, bool after)
{
	le(b, 20, 2);
	le(b, 0x0808, 2);
	le(b, 8, 2);
	le(b, 0, 2);
	le(b, 0x21, 2);
	le(b, after ? z->crc : 0, 4);
	le(b, after ? z->out : 0, 4);
	le(b, after ? z->in : 0, 4);
	le(b, (uint32_t)z->at->path.n, 2);
	le(b, 0, 2);
}

static void
file_begin(struct zip *z)
{
	struct buf b = { 0 };

	z->crc = z->in = z->out = 0;
	PRECOND(deflateInit2(&z->deflater, 1, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	z->deflating = true;
	/* Where this entry is, for the directory: kept in the item's size, which has served. */
	z->at->size = (int64_t)z->offset;
	le(&b, 0x04034b50, 4);
	entry_head(&b, z, false);
	buf_text(&b, z->at->path);
	send(z, b.s, b.n);
	buf_free(&b);
}

static void
pack(struct zip *z, const void *bytes, size_t n, int flush)
{
	z->crc = (uint32_t)crc32(z->crc, bytes, (uInt)n);
	z->in += (uint32_t)n;
	z->deflater.next_in = (Bytef *)(uintptr_t)bytes;
	z->deflater.avail_in = (uInt)n;
	do {
		size_t made;

		z->deflater.next_out = z->packed;
		z->deflater.avail_out = sizeof(z->packed);
		deflate(&z->deflater, flush);
		made = sizeof(z->packed) - z->deflater.avail_out;
		z->out += (uint32_t)made;
		if (made > 0)
			send(z, z->packed, made);
	} while (z->deflater.avail_out == 0);
}

static void
file_end(struct zip *z)
{
	struct buf b = { 0 };

	pack(z, z->piece, 0, Z_FINISH);
	deflateEnd(&z->deflater);
	z->deflating = false;
	le(&b, 0x08074b50, 4);
	le(&b, z->crc, 4);
	le(&b, z->out, 4);
	le(&b, z->in, 4);
	send(z, b.s, b.n);
	buf_free(&b);
	le(&z->central, 0x02014b50, 4);
	le(&z->central, 20, 2);
	entry_head(&z->central, z, true);
	le(&z->central, 0, 6); /* comment, disk, inner attributes */
	le(&z->central, 0, 4);
	le(&z->central, (uint32_t)z->at->size, 4);
	buf_text(&z->central, z->at->path);
	z->at = z->at->next;
}

static void
zip_end(struct zip *z)
{
	struct call *call = z->call;
	uint64_t start = z->offset;
	struct buf b = { 0 };

	if (z->central.n > 0)
		send(z, z->central.s, z->central.n);
	le(&b, 0x06054b50, 4);
	le(&b, 0, 4);
	le(&b, (uint32_t)z->count, 2);
	le(&b, (uint32_t)z->count, 2);
	le(&b, (uint32_t)z->central.n, 4);
	le(&b, (uint32_t)start, 4);
	le(&b, 0, 2);
	send(z, b.s, b.n);
	buf_free(&b);
	http_reply_end(call->http);
	zip_free(z);
	(void)call_done(call);
	call_release(call);
}

/* In the middle: the client must see that the file is not whole. */
static void
zip_break(struct zip *z)
{
	struct call *call = z->call;

	http_reply_abort(call->http);
	zip_free(z);
	(void)call_done(call);
	call_release(call);
}

/* ---- the bytes of one file ---- */

/* Reads a local file as far as the client takes it. */
static void
disk_read(struct zip *z)
{
	while (!z->full) {
		ssize_t n = read(z->fd, z->piece, sizeof(z->piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			zip_break(z);
			return;
		}
		if (n == 0) {
			close(z->fd);
			z->fd = -1;
			file_end(z);
			next_file(z);
			return;
		}
		pack(z, z->piece, (size_t)n, Z_NO_FLUSH);
	}
}

static void
drained(struct http_request *http)
{
	struct call *call = http->user;
	struct zip *z = call != NULL ? call->state : NULL;

	if (z == NULL || !z->full)
		return;
	z->full = false;
	if (z->a->busy)
		z->a->store->resume(&z->a->op);
	else if (z->fd != -1)
		disk_read(z);
	else
		next_file(z);
}

static bool
data(struct store_op *op, const void *bytes, size_t n)
{
	struct artifact *a = op->user;
	struct zip *z = a->call->state;

	pack(z, bytes, n, Z_NO_FLUSH);
	return !z->full;
}

static enum next
file_over(struct artifact *a, enum store_result result)
{
	struct zip *z = a->call->state;

	if (result != STORE_OK) {
		zip_break(z);
	} else if (a->op.fd != -1) {
		z->fd = a->op.fd;
		disk_read(z);
	} else {
		file_end(z);
		next_file(z);
	}
	return WAIT;
}

static void
next_file(struct zip *z)
{
	struct store_op *op;

	if (z->full)
		return;
	if (z->at == NULL) {
		zip_end(z);
		return;
	}
	file_begin(z);
	z->a->key = z->base.n > 0 ? text_format(z->call->arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(z->base), TEXT_ARG(z->at->path)) : z->at->path;
	op = artifact_begin(z->a, file_over);
	z->call->on_gone = zip_gone;
	op->data = data;
	z->a->store->get(z->a->store, z->a->key, 0, -1, op);
}

/* ---- what there is ---- */

static void
files_begin(struct zip *z)
{
	struct text name = z->base;
	size_t i;
	struct http_header_out headers[3] = { { "Content-Disposition", TEXT_NONE }, { "X-Content-Type-Options", TEXT("nosniff") }, { "Cache-Control", TEXT("no-store") } };
	struct http_reply reply = { .status = 200, .type = "application/zip", .headers = headers, .header_count = 3 };
	struct buf b = { 0 };

	for (i = name.n; i > 0 && name.s[i - 1] != '/'; i--)
		continue;
	name = text_skip(name, i);
	buf_puts(&b, "attachment; filename=artifacts.zip; filename*=UTF-8''");
	buf_percent(&b, name, "");
	buf_puts(&b, ".zip");
	headers[0].value = buf_view(&b);
	z->call->status = 200;
	z->at = z->files;
	http_reply_begin(z->call->http, &reply, -1, drained);
	buf_free(&b);
	next_file(z);
}

static enum next
give_up(struct zip *z, enum fail_code code, const char *why)
{
	struct call *call = z->call;

	zip_free(z);
	call->pending--; /* its hold; the step that called us has one too */
	return call_fail(call, code, "%s", why);
}

static enum next
listed(struct artifact *a, enum store_result result)
{
	struct zip *z = a->call->state;
	struct text folder = z->folders->path;
	size_t i;

	if (result != STORE_OK) {
		enum next next = artifact_failed(a, result);

		zip_free(z);
		a->call->pending--;
		return next;
	}
	z->folders = z->folders->next;
	for (i = 0; i < a->op.entry_count; i++) {
		const struct store_entry *e = &a->op.entries[i];
		struct item *item = ARENA_NEW(a->call->arena, struct item);

		item->path = folder.n > 0 ? text_format(a->call->arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(folder), TEXT_ARG(e->name)) : e->name;
		item->size = e->size;
		if (e->is_dir) {
			item->next = z->folders;
			z->folders = item;
			continue;
		}
		z->bytes += e->size;
		if (++z->count > FILES_MOST || z->bytes > BYTES_MOST)
			return give_up(z, INVALID_PARAMETER_VALUE, "The folder is too large for a zip file (65,000 files, 4 GB): fetch it with the client (mlflow.artifacts.download_artifacts).");
		*z->files_last = item;
		z->files_last = &item->next;
	}
	return list_next(z);
}

static enum next
list_next(struct zip *z)
{
	struct artifact *a = z->a;

	if (z->folders == NULL) {
		if (z->count == 0)
			return give_up(z, RESOURCE_DOES_NOT_EXIST, "There are no files to zip.");
		files_begin(z);
		return WAIT;
	}
	a->key = z->base.n == 0 ? z->folders->path : z->folders->path.n == 0 ? z->base : text_format(z->call->arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(z->base), TEXT_ARG(z->folders->path));
	{
		struct store_op *op = artifact_begin(a, listed);

		z->call->on_gone = zip_gone;
		a->store->list(a->store, a->key, op);
	}
	return WAIT;
}

static enum next
zip_at(struct call *call, PGresult *r)
{
	struct artifact *a;
	struct zip *z;

	if (PQntuples(r) == 0)
		return call_fail(call, RESOURCE_DOES_NOT_EXIST, "The run or logged model was not found");
	if (!artifact_at(call, db_text(r, 0, 0), call_text(call, "path"), true, &a))
		return FAILED;
	if (call->http == NULL)
		return call_done(call);
	z = calloc(1, sizeof(*z));
	PRECOND(z != NULL);
	z->call = call;
	z->a = a;
	z->fd = -1;
	z->base = a->key;
	z->files_last = &z->files;
	z->folders = ARENA_NEW(call->arena, struct item);
	z->folders->path = TEXT("");
	call->state = z;
	call_hold(call);
	return list_next(z);
}

static enum next
zip(struct call *call)
{
	struct db_param *p = arena_array(call->arena, 1, sizeof(*p));
	bool run = call_text(call, "run_id").n > 0;

	p[0] = db_p_text(call->arena, run ? call_text(call, "run_id") : call_text(call, "model_id"));
	return call_read(call, run ? SQL_run_place : SQL_logged_model_place, p, 1, zip_at);
}

static const struct field zip_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .alias = "run_uuid" },
	{ .name = "model_id", .type = F_TEXT },
	{ .name = "path", .type = F_TEXT },
	FIELDS_END,
};

static const struct endpoint zip_endpoints[] = {
	{ .method = HTTP_M_GET, .path = "tallyd/artifacts/zip", .access = ACCESS_READ, .on = RUN("run_id"), .fields = zip_fields, .run = zip, .doc = "A folder of a run or logged model as a zip file." },
};
const struct endpoint_table artifact_zip_table = ENDPOINT_TABLE(zip_endpoints);

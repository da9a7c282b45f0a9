/* What an artifact's path may be, and the content type its name stands for. Pure. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "store/store.h"

/* ext4's and XFS's limit of one name. */
#define SEGMENT_MOST 255
/* GCS takes 1,024 bytes; with the bucket's prefix gcs_job.c counts again. */
#define KEY_MOST 1024

static const char *
segment_fault(struct text s)
{
	if (s.n == 0)
		return "empty segment";
	if (text_is(s, ".."))
		return "";
	if (text_is(s, "."))
		return "relative segment";
	if (s.n > SEGMENT_MOST)
		return "a name is longer than 255 bytes";
	return NULL;
}

static bool
hex_pair_is(struct text t, size_t at, const char *low)
{
	return at + 2 < t.n && t.s[at] == '%' && t.s[at + 1] == low[0] && (t.s[at + 2] | 0x20) == low[1];
}

static const char *
bytes_fault(struct text t)
{
	size_t i;

	for (i = 0; i < t.n; i++) {
		unsigned char c = (unsigned char)t.s[i];

		if (c < 0x20 || c == 0x7f)
			return "control character";
		if (c == '\\')
			return "backslash";
		if (c == '#')
			return "";
		/* A second decoding somewhere behind us must find nothing: %2e %2f %5c %00. */
		if (hex_pair_is(t, i, "2e") || hex_pair_is(t, i, "2f") || hex_pair_is(t, i, "5c"))
			return "";
		if (c == '%' && i + 2 < t.n && t.s[i + 1] == '0' && t.s[i + 2] == '0')
			return "";
	}
	return NULL;
}

static const char *
key_fault(struct text path)
{
	struct text rest = path;
	const char *fault;

	if (path.n > KEY_MOST)
		return "longer than 1,024 bytes";
	if (path.s[0] == '/')
		return "";
	if (path.n >= 2 && path.s[1] == ':' && ((path.s[0] | 0x20) >= 'a' && (path.s[0] | 0x20) <= 'z'))
		return "";
	if (text_starts(path, "file:/"))
		return "";
	if (!text_utf8(path))
		return "not UTF-8";
	fault = bytes_fault(path);
	if (fault != NULL)
		return fault;
	for (;;) {
		size_t slash = text_find(rest, '/');

		fault = segment_fault((struct text){ rest.s, slash });
		if (fault != NULL)
			return fault;
		if (slash == rest.n)
			return NULL;
		rest = text_skip(rest, slash + 1);
	}
}

bool
artifact_key(struct arena *arena, struct text path, bool allow_empty, struct text *key, const char **why)
{
	const char *fault;

	if (path.n == 0) {
		*key = TEXT("");
		if (!allow_empty)
			*why = "empty path";
		return allow_empty;
	}
	fault = key_fault(path);
	if (fault != NULL) {
		*why = fault;
		return false;
	}
	*key = text_copy(arena, path);
	return true;
}

/* MLflow utils/mime_type_utils.py: these names, in this case, are shown as plain text. */
static const char *const text_names[] = { "txt", "log", "err", "cfg", "conf", "cnf", "cf", "ini", "properties", "prop", "hocon", "toml", "yaml", "yml", "xml", "json", "js", "py", "py3",
	"csv", "tsv", "md", "rst", "ipynb", "MLmodel", "MLproject", "mlproject" };

/* Sorted by extension, lower case. */
static const struct type_row {
	const char *extension;
	const char *type;
} types[] = {
	{ "3gp", "audio/3gpp" },
	{ "aac", "audio/aac" },
	{ "adts", "audio/aac" },
	{ "ai", "application/postscript" },
	{ "aif", "audio/x-aiff" },
	{ "aiff", "audio/x-aiff" },
	{ "au", "audio/basic" },
	{ "avi", "video/x-msvideo" },
	{ "avif", "image/avif" },
	{ "bat", "text/plain" },
	{ "bcpio", "application/x-bcpio" },
	{ "bmp", "image/bmp" },
	{ "c", "text/plain" },
	{ "cdf", "application/x-netcdf" },
	{ "cpio", "application/x-cpio" },
	{ "csh", "application/x-csh" },
	{ "css", "text/css" },
	{ "doc", "application/msword" },
	{ "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
	{ "dvi", "application/x-dvi" },
	{ "eml", "message/rfc822" },
	{ "eps", "application/postscript" },
	{ "epub", "application/epub+zip" },
	{ "flac", "audio/flac" },
	{ "geojson", "application/geo+json" },
	{ "gif", "image/gif" },
	{ "glb", "model/gltf-binary" },
	{ "gltf", "model/gltf+json" },
	{ "gtar", "application/x-gtar" },
	{ "h", "text/plain" },
	{ "h5", "application/x-hdf5" },
	{ "hdf", "application/x-hdf" },
	{ "heic", "image/heic" },
	{ "htm", "text/html" },
	{ "html", "text/html" },
	{ "ico", "image/vnd.microsoft.icon" },
	{ "ics", "text/calendar" },
	{ "jpe", "image/jpeg" },
	{ "jpeg", "image/jpeg" },
	{ "jpg", "image/jpeg" },
	{ "js", "text/javascript" },
	{ "json", "application/json" },
	{ "ksh", "text/plain" },
	{ "latex", "application/x-latex" },
	{ "m3u8", "application/vnd.apple.mpegurl" },
	{ "m4a", "audio/mp4" },
	{ "markdown", "text/markdown" },
	{ "md", "text/markdown" },
	{ "mid", "audio/midi" },
	{ "midi", "audio/midi" },
	{ "mjs", "text/javascript" },
	{ "mov", "video/quicktime" },
	{ "mp3", "audio/mpeg" },
	{ "mp4", "video/mp4" },
	{ "mpeg", "video/mpeg" },
	{ "mpg", "video/mpeg" },
	{ "nc", "application/x-netcdf" },
	{ "nq", "application/n-quads" },
	{ "nt", "application/n-triples" },
	{ "oga", "audio/ogg" },
	{ "ogg", "audio/ogg" },
	{ "ogv", "video/ogg" },
	{ "opus", "audio/opus" },
	{ "otf", "font/otf" },
	{ "pbm", "image/x-portable-bitmap" },
	{ "pdf", "application/pdf" },
	{ "pgm", "image/x-portable-graymap" },
	{ "pl", "text/plain" },
	{ "png", "image/png" },
	{ "pnm", "image/x-portable-anymap" },
	{ "ppm", "image/x-portable-pixmap" },
	{ "ppt", "application/vnd.ms-powerpoint" },
	{ "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
	{ "ps", "application/postscript" },
	{ "qt", "video/quicktime" },
	{ "r", "text/plain" },
	{ "rtf", "application/rtf" },
	{ "rtx", "text/richtext" },
	{ "sgm", "text/x-sgml" },
	{ "sgml", "text/x-sgml" },
	{ "sh", "application/x-sh" },
	{ "snd", "audio/basic" },
	{ "sql", "application/sql" },
	{ "sqlite", "application/vnd.sqlite3" },
	{ "srt", "text/plain" },
	{ "stl", "model/stl" },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "tcl", "application/x-tcl" },
	{ "tex", "application/x-tex" },
	{ "tif", "image/tiff" },
	{ "tiff", "image/tiff" },
	{ "trig", "application/trig" },
	{ "ts", "video/mp2t" },
	{ "tsv", "text/tab-separated-values" },
	{ "ttf", "font/ttf" },
	{ "txt", "text/plain" },
	{ "ustar", "application/x-ustar" },
	{ "vcf", "text/x-vcard" },
	{ "vtt", "text/vtt" },
	{ "wasm", "application/wasm" },
	{ "wav", "audio/x-wav" },
	{ "webm", "video/webm" },
	{ "webp", "image/webp" },
	{ "woff", "font/woff" },
	{ "woff2", "font/woff2" },
	{ "xls", "application/vnd.ms-excel" },
	{ "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
	{ "xml", "text/xml" },
	{ "xpm", "image/x-xpixmap" },
	{ "zip", "application/zip" },
};

static int
type_compare(const void *key, const void *row)
{
	const struct text *extension = key;
	const struct type_row *r = row;
	int d = strncasecmp(extension->s, r->extension, extension->n);

	return d != 0 ? d : -(r->extension[extension->n] != '\0');
}

const char *
artifact_type(struct text name)
{
	const struct type_row *row;
	struct text extension;
	size_t i, dot = name.n;

	for (i = name.n; i > 0 && name.s[i - 1] != '/'; i--) {
		if (name.s[i - 1] == '.' && dot == name.n)
			dot = i - 1;
	}
	name = text_skip(name, i);
	dot -= i;
	/* ".bashrc" has no extension; a name without one is looked up itself (MLmodel). */
	extension = dot < name.n && dot > 0 ? text_skip(name, dot + 1) : name;
	for (i = 0; i < sizeof(text_names) / sizeof(text_names[0]); i++) {
		if (text_is(extension, text_names[i]))
			return "text/plain";
	}
	if (dot == 0 || dot >= name.n)
		return "application/octet-stream";
	row = bsearch(&extension, types, sizeof(types) / sizeof(types[0]), sizeof(types[0]), type_compare);
	return row != NULL ? row->type : "application/octet-stream";
}

/* MLflow's rules for names and lengths, and the names we give. */
#include "api/names.h"

#include <locale.h>
#include <stdlib.h>
#include <wctype.h>

#include <openssl/rand.h>

#include "base/log.h"

/* Python's \w: letters and digits of any script, and the underscore. */
static bool
word_char(unsigned code)
{
	static locale_t utf8;

	if (code < 0x80)
		return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z') || code == '_';
	if (utf8 == (locale_t)0)
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	return utf8 != (locale_t)0 && iswalnum_l((wint_t)code, utf8);
}

static unsigned
code_next(struct text *t)
{
	unsigned char c = (unsigned char)t->s[0];
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	unsigned code = n == 1 ? c : c & (0x7fu >> n);
	size_t i;

	if (n > t->n)
		n = t->n;
	for (i = 1; i < n; i++)
		code = (code << 6) | ((unsigned char)t->s[i] & 0x3fu);
	*t = text_skip(*t, n);
	return code;
}

static bool
characters_valid(struct text name, const char *extra)
{
	while (name.n > 0) {
		unsigned code = code_next(&name);

		if (!word_char(code) && (code >= 0x80 || code == 0 || strchr(extra, (int)code) == NULL))
			return false;
	}
	return true;
}

struct text
path_norm(struct arena *arena, struct text name)
{
	struct text parts[256];
	struct buf b = { 0 };
	struct text out;
	size_t count = 0;
	size_t slashes = 0;
	size_t i;

	if (name.n == 0)
		return TEXT(".");
	while (slashes < name.n && name.s[slashes] == '/')
		slashes++;
	/* POSIX: exactly two leading slashes are kept. */
	slashes = slashes == 0 ? 0 : slashes == 2 ? 2 : 1;
	while (name.n > 0) {
		size_t end = text_find(name, '/');
		struct text part = { name.s, end };

		name = text_skip(name, end < name.n ? end + 1 : end);
		if (part.n == 0 || text_is(part, "."))
			continue;
		if (text_is(part, "..") && (slashes > 0 || (count > 0 && !text_is(parts[count - 1], "..")))) {
			if (count > 0)
				count--;
			continue;
		}
		if (count < sizeof(parts) / sizeof(parts[0]))
			parts[count++] = part;
	}
	for (i = 0; i < slashes; i++)
		buf_byte(&b, '/');
	for (i = 0; i < count; i++) {
		if (i > 0)
			buf_byte(&b, '/');
		buf_text(&b, parts[i]);
	}
	if (b.n == 0)
		buf_byte(&b, '.');
	out = text_copy(arena, buf_view(&b));
	buf_free(&b);
	return out;
}

static bool
letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool
name_plain(struct text name, size_t most)
{
	size_t i;

	if (name.n == 0 || name.n > most)
		return false;
	for (i = 0; i < name.n; i++) {
		if (letter(name.s[i]) || (name.s[i] == '.' && i > 0 && name.s[i - 1] != '/'))
			continue;
		if (name.s[i] != '/' || i == 0 || !letter(name.s[i - 1]) || i + 1 == name.n)
			return false;
	}
	return true;
}

bool
name_valid(struct call *call, struct text name, const char *path)
{
	struct text norm;

	if (name_plain(name, SIZE_MAX))
		return true;
	if (!characters_valid(name, "/.- :"))
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid value %.*s for parameter '%s' supplied: Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).", TEXT_ARG(json_dump_text(call->arena, name)), path);
	norm = path_norm(call->arena, name);
	if (!text_eq(norm, name) || text_is(norm, ".") || text_starts(norm, "..") || text_starts(norm, "/"))
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid value %.*s for parameter '%s' supplied: Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would resolve to %.*s", TEXT_ARG(json_dump_text(call->arena, name)), path, TEXT_ARG(python_repr(call->arena, norm)));
	return true;
}

bool
length_valid(struct call *call, struct text value, size_t most, const char *what)
{
	if (value.n <= most || text_chars(value) <= most)
		return true;
	return call_refuse(call, INVALID_PARAMETER_VALUE, "'%s' exceeds the maximum length of %zu characters", what, most);
}

struct text
length_cut(struct text value, size_t most)
{
	return value.n <= most ? value : text_prefix(value, most);
}

bool
run_id_valid(struct call *call, struct text id)
{
	struct text rest = id;
	size_t chars = text_chars(id);

	if (chars >= 1 && chars <= 256 && (unsigned char)id.s[0] < 0x80 && id.s[0] != '_' && word_char((unsigned char)id.s[0]) && characters_valid(rest, "-"))
		return true;
	return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid value %.*s for parameter 'run_id' supplied.", TEXT_ARG(json_dump_text(call->arena, id)));
}

bool
experiment_id_parse(struct call *call, struct text id, int64_t *out)
{
	if (text_int(text_trim(id), out))
		return true;
	return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid experiment ID '%.*s'. Experiment ID must be a valid integer.", TEXT_ARG(id));
}

/* getrandom() by way of OpenSSL, in blocks: an id a request is a system call saved. */
static void
random_bytes(unsigned char *out, size_t n)
{
	static unsigned char pool[1024];
	static size_t left;

	PRECOND(n <= sizeof(pool));
	if (left < n) {
		PRECOND(RAND_bytes(pool, sizeof(pool)) == 1);
		left = sizeof(pool);
	}
	left -= n;
	memcpy(out, pool + left, n);
	memset(pool + left, 0, n);
}

struct text
random_id(struct arena *arena, const char *prefix)
{
	unsigned char bytes[16];
	size_t n = strlen(prefix);
	char *s = arena_alloc(arena, n + 33);

	random_bytes(bytes, sizeof(bytes));
	/* A version 4 UUID without dashes, as Python's uuid4().hex. */
	bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
	memcpy(s, prefix, n);
	text_hex(bytes, sizeof(bytes), s + n);
	return (struct text){ s, n + 32 };
}

struct text
random_name(struct arena *arena)
{
	static const char *const adjectives[] = { "able", "amber", "ample", "azure", "bold", "brave", "brisk", "calm", "clear", "clever", "cosmic", "crisp", "daring", "deft", "eager", "early", "fair", "fleet", "fond", "fresh", "gentle", "glad", "golden", "grand", "green", "happy", "hardy", "honest", "humble", "keen", "kind", "lively", "lucid", "lucky", "mellow", "merry", "mild", "neat", "nimble", "noble", "patient", "placid", "plucky", "prime", "proud", "quick", "quiet", "rapid", "ready", "robust", "rosy", "serene", "sharp", "silent", "smooth", "snowy", "solid", "spry", "steady", "stout", "sunny", "swift", "tidy", "trusty", "upbeat", "vivid", "warm", "wise", "witty", "zesty" };
	static const char *const nouns[] = { "acorn", "anchor", "aspen", "badger", "beaver", "birch", "bison", "bloom", "breeze", "brook", "canyon", "cedar", "cliff", "cloud", "comet", "condor", "coral", "crane", "creek", "delta", "dove", "dune", "eagle", "ember", "falcon", "fern", "finch", "fjord", "flame", "forest", "fox", "glade", "grove", "harbor", "hare", "hawk", "heron", "hill", "ibis", "island", "ivy", "jay", "kite", "lake", "lark", "lotus", "lynx", "maple", "marsh", "meadow", "moth", "oak", "orca", "otter", "owl", "panda", "peak", "pine", "plum", "quail", "raven", "reef", "ridge", "river", "robin", "sage", "seal", "shore", "spruce", "star", "stone", "stork", "swan", "tern", "tiger", "trout", "vale", "wave", "willow", "wren" };
	unsigned char bytes[6];
	struct text name;

	do {
		random_bytes(bytes, sizeof(bytes));
		name = text_format(arena, "%s-%s-%u", adjectives[(size_t)(bytes[0] | bytes[1] << 8) % (sizeof(adjectives) / sizeof(adjectives[0]))],
		    nouns[(size_t)(bytes[2] | bytes[3] << 8) % (sizeof(nouns) / sizeof(nouns[0]))], (unsigned)((bytes[4] | bytes[5] << 8) % 1001));
	} while (name.n > 20);
	return name;
}

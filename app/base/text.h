#ifndef BASE_TEXT_H
#define BASE_TEXT_H
/* Slices of bytes, and buffers that grow. A text is not NUL-terminated and owns nothing. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define must_check __attribute__((warn_unused_result))

struct arena;

struct text {
	const char *s;
	size_t n;
};

#define TEXT(literal) ((struct text){ (literal), sizeof(literal) - 1 })
#define TEXT_NONE ((struct text){ NULL, 0 })
#define TEXT_FMT "%.*s"
#define TEXT_ARG(t) (int)(t).n, ((t).s != NULL ? (t).s : "")

/* A text over a NUL-terminated string, which must outlive it. NULL gives TEXT_NONE. */
struct text text_from(const char *s);
bool text_eq(struct text a, struct text b);
bool text_is(struct text a, const char *b);
/* ASCII case is ignored. */
bool text_is_nocase(struct text a, const char *b);
bool text_starts(struct text a, const char *prefix);
bool text_ends(struct text a, const char *suffix);
int text_compare(struct text a, struct text b);
/* Index of the first that equals one before it, or n. */
size_t text_repeated(const struct text *texts, size_t n);
struct text text_skip(struct text a, size_t n);
/* Index of the first `c`, or a.n. */
size_t text_find(struct text a, char c);
struct text text_trim(struct text a);
/* Without the c's at its end. */
struct text text_trim_end(struct text a, char c);
struct text text_copy(struct arena *arena, struct text a);
/* NUL-terminated copy, for a library's door. */
char *text_z(struct arena *arena, struct text a);
struct text text_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct text text_vformat(struct arena *arena, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
/* Whole text as a decimal int64, sign allowed; false when it is anything else or out of range. */
bool text_int(struct text a, int64_t *out) must_check;
/* Whole text as a double in C's syntax, "NaN", "Infinity" and "-Infinity" too. */
bool text_double(struct text a, double *out) must_check;
/* True when the bytes are well-formed UTF-8 without NUL. */
bool text_utf8(struct text a);
/* Number of code points; the bytes must be well-formed. */
size_t text_chars(struct text a);
/* The longest prefix of at most `chars` code points. */
struct text text_prefix(struct text a, size_t chars);
/* Percent-decodes once; plus: '+' means space (query strings). False on a broken escape. */
bool text_percent_decode(struct arena *arena, struct text a, bool plus, struct text *out) must_check;
uint64_t text_hash(struct text a);
void text_hex(const void *bytes, size_t n, char *out);

/* A growing buffer on malloc. Owned by whoever declared it; buf_free() or hand it on. It never fails: out of memory ends the process. */
struct buf {
	char *s;
	size_t n;
	size_t cap;
};

void buf_free(struct buf *b);
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_text(struct buf *b, struct text t);
void buf_puts(struct buf *b, const char *s);
void buf_byte(struct buf *b, char c);
void buf_int(struct buf *b, int64_t v);
/* Shortest digits that read back as the same double, always with a fraction or exponent ("1.0"). */
void buf_double(struct buf *b, double v);
/* The text as a JSON string with its quotes; ASCII controls and quotes escaped, UTF-8 kept. */
void buf_json(struct buf *b, struct text t);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Percent-encodes all but A-Z a-z 0-9 - _ . ~ and the bytes in `keep`. */
void buf_percent(struct buf *b, struct text t, const char *keep);
struct text buf_view(const struct buf *b);

/* A broken invariant: logged, then abort(); Kore restarts the worker. On in production. */
#define PRECOND(condition) \
	((condition) ? (void)0 : precond_failed(#condition, __FILE__, __LINE__))
_Noreturn void precond_failed(const char *what, const char *file, int line);
#endif

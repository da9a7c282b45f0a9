/* V4 signing. The one normative text is Google's: https://cloud.google.com/storage/docs/authentication/canonical-requests */
#include "store/v4sign.h"

#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <time.h>

#define SCOPE_TAIL "/auto/storage/goog4_request"

/* An encoded or lowered pair, ready to be sorted. */
struct ready {
	struct buf name;
	struct buf value;
};

static int
ready_compare(const void *a, const void *b)
{
	const struct ready *x = a, *y = b;
	int d = text_compare(buf_view(&x->name), buf_view(&y->name));

	return d != 0 ? d : text_compare(buf_view(&x->value), buf_view(&y->value));
}

static void
ready_free(struct ready *r, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		buf_free(&r[i].name);
		buf_free(&r[i].value);
	}
}

static void
add_query(struct ready *to, struct text name, struct text value)
{
	buf_percent(&to->name, name, "");
	buf_percent(&to->value, value, "");
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Lower-case name; value trimmed, runs of white space made one space. */
static void
add_header(struct ready *to, struct text name, struct text value)
{
	size_t i;
	bool space = false;

	for (i = 0; i < name.n; i++)
		buf_byte(&to->name, (char)(name.s[i] >= 'A' && name.s[i] <= 'Z' ? name.s[i] | 0x20 : name.s[i]));
	for (i = 0; i < value.n; i++) {
		if (is_space(value.s[i])) {
			space = to->value.n > 0;
			continue;
		}
		if (space)
			buf_byte(&to->value, ' ');
		space = false;
		buf_byte(&to->value, value.s[i]);
	}
}

/* The host is signed without its port. */
static struct text
bare_host(struct text host)
{
	size_t colon = text_find(host, ':');

	return (struct text){ host.s, colon };
}

static void
add_digest(struct buf *out, struct text of)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	char hex[SHA256_DIGEST_LENGTH * 2];

	SHA256((const unsigned char *)of.s, of.n, digest);
	text_hex(digest, sizeof(digest), hex);
	buf_add(out, hex, sizeof(hex));
}

static const char *
algorithm(enum v4_kind kind)
{
	return kind == V4_RSA ? "GOOG4-RSA-SHA256" : "GOOG4-HMAC-SHA256";
}

static void
query_join(const struct ready *q, size_t n, struct buf *out)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_byte(out, '&');
		buf_text(out, buf_view(&q[i].name));
		buf_byte(out, '=');
		buf_text(out, buf_view(&q[i].value));
	}
}

static void
query_string(const struct v4_request *r, const char *date, const char *stamp, struct text names, struct buf *out)
{
	struct ready q[V4_PAIRS_MOST + 5] = { 0 };
	struct buf credential = { 0 }, expires = { 0 };
	size_t i, n = 0;

	PRECOND(r->query_count <= V4_PAIRS_MOST);
	buf_text(&credential, r->credential);
	buf_printf(&credential, "/%s" SCOPE_TAIL, date);
	buf_int(&expires, r->expires_s);
	add_query(&q[n++], TEXT("X-Goog-Algorithm"), text_from(algorithm(r->kind)));
	add_query(&q[n++], TEXT("X-Goog-Credential"), buf_view(&credential));
	add_query(&q[n++], TEXT("X-Goog-Date"), text_from(stamp));
	add_query(&q[n++], TEXT("X-Goog-Expires"), buf_view(&expires));
	add_query(&q[n++], TEXT("X-Goog-SignedHeaders"), names);
	for (i = 0; i < r->query_count; i++)
		add_query(&q[n++], r->query[i].name, r->query[i].value);
	qsort(q, n, sizeof(q[0]), ready_compare);
	query_join(q, n, out);
	ready_free(q, n);
	buf_free(&credential);
	buf_free(&expires);
}

/* What both forms share: sorted headers, encoded path, and the canonical request over a finished query string. */
struct form {
	struct buf path, names, headers;
	struct text payload;
	char date[16], stamp[24];
};

static void
form_make(const struct v4_request *r, struct form *f)
{
	struct ready h[V4_PAIRS_MOST + 1] = { 0 };
	time_t when = (time_t)r->time_s;
	struct tm tm;
	size_t i, n = 0;

	PRECOND(r->header_count <= V4_PAIRS_MOST);
	f->payload = TEXT("UNSIGNED-PAYLOAD");
	gmtime_r(&when, &tm);
	strftime(f->date, sizeof(f->date), "%Y%m%d", &tm);
	strftime(f->stamp, sizeof(f->stamp), "%Y%m%dT%H%M%SZ", &tm);
	add_header(&h[n++], TEXT("host"), bare_host(r->host));
	for (i = 0; i < r->header_count; i++) {
		add_header(&h[n++], r->headers[i].name, r->headers[i].value);
		if (text_is_nocase(r->headers[i].name, "x-goog-content-sha256"))
			f->payload = r->headers[i].value;
	}
	qsort(h, n, sizeof(h[0]), ready_compare);
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_byte(&f->names, ';');
		buf_text(&f->names, buf_view(&h[i].name));
		buf_text(&f->headers, buf_view(&h[i].name));
		buf_byte(&f->headers, ':');
		buf_text(&f->headers, buf_view(&h[i].value));
		buf_byte(&f->headers, '\n');
	}
	buf_percent(&f->path, r->path, "/");
	ready_free(h, n);
}

static void
form_free(struct form *f)
{
	buf_free(&f->path);
	buf_free(&f->names);
	buf_free(&f->headers);
}

static void
canonical_and_string(const struct v4_request *r, const struct form *f, struct text query, struct buf *canonical, struct buf *to_sign)
{
	buf_printf(canonical, "%s\n", r->method);
	buf_text(canonical, buf_view(&f->path));
	buf_byte(canonical, '\n');
	buf_text(canonical, query);
	buf_byte(canonical, '\n');
	buf_text(canonical, buf_view(&f->headers));
	buf_byte(canonical, '\n');
	buf_text(canonical, buf_view(&f->names));
	buf_byte(canonical, '\n');
	buf_text(canonical, f->payload);
	buf_printf(to_sign, "%s\n%s\n%s" SCOPE_TAIL "\n", algorithm(r->kind), f->stamp, f->date);
	add_digest(to_sign, buf_view(canonical));
}

void
v4_prepare(const struct v4_request *r, struct buf *url, struct buf *to_sign, struct buf *canonical)
{
	struct form f = { 0 };
	struct buf query = { 0 }, text = { 0 };

	form_make(r, &f);
	query_string(r, f.date, f.stamp, buf_view(&f.names), &query);
	canonical_and_string(r, &f, buf_view(&query), &text, to_sign);
	buf_text(url, r->scheme);
	buf_puts(url, "://");
	buf_text(url, r->host);
	buf_text(url, buf_view(&f.path));
	buf_byte(url, '?');
	buf_text(url, buf_view(&query));
	if (canonical != NULL)
		buf_text(canonical, buf_view(&text));
	form_free(&f);
	buf_free(&query);
	buf_free(&text);
}

bool
v4_sign_rsa(EVP_PKEY *key, struct text to_sign, struct buf *out)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char signature[1024];
	char hex[sizeof(signature) * 2];
	size_t n = sizeof(signature);
	/* PKCS#1 v1.5 is OpenSSL's default padding for RSA keys. */
	bool signed_it = md != NULL && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestSign(md, signature, &n, (const unsigned char *)to_sign.s, to_sign.n) == 1;

	EVP_MD_CTX_free(md);
	if (!signed_it)
		return false;
	text_hex(signature, n, hex);
	buf_add(out, hex, n * 2);
	return true;
}

static bool
mac(const void *key, size_t key_bytes, struct text data, unsigned char out[SHA256_DIGEST_LENGTH])
{
	unsigned int n = 0;

	return HMAC(EVP_sha256(), key, (int)key_bytes, (const unsigned char *)data.s, data.n, out, &n) != NULL && n == SHA256_DIGEST_LENGTH;
}

static struct text
after_line(struct text t)
{
	size_t end = text_find(t, '\n');

	return text_skip(t, end < t.n ? end + 1 : end);
}

bool
v4_sign_hmac(struct text secret, struct text to_sign, struct buf *out)
{
	unsigned char key[SHA256_DIGEST_LENGTH];
	char hex[sizeof(key) * 2];
	struct buf start = { 0 };
	/* algorithm \n time \n date/auto/storage/goog4_request \n digest */
	struct text scope = after_line(after_line(to_sign));
	bool good;

	PRECOND(scope.n > 8);
	buf_puts(&start, "GOOG4");
	buf_text(&start, secret);
	good = mac(start.s, start.n, (struct text){ scope.s, 8 }, key) && mac(key, sizeof(key), TEXT("auto"), key) && mac(key, sizeof(key), TEXT("storage"), key) &&
	    mac(key, sizeof(key), TEXT("goog4_request"), key) && mac(key, sizeof(key), to_sign, key);
	buf_free(&start);
	if (!good)
		return false;
	text_hex(key, sizeof(key), hex);
	buf_add(out, hex, sizeof(hex));
	return true;
}

bool
v4_authorize(const struct v4_request *given, struct text secret, struct buf *authorization, char stamp[24])
{
	struct v4_request r = *given;
	struct v4_pair headers[V4_PAIRS_MOST];
	struct ready q[V4_PAIRS_MOST] = { 0 };
	struct form f = { 0 };
	struct buf query = { 0 }, text = { 0 }, to_sign = { 0 };
	time_t when = (time_t)r.time_s;
	struct tm tm;
	size_t i;
	bool good;

	PRECOND(r.header_count + 2 <= V4_PAIRS_MOST && r.query_count <= V4_PAIRS_MOST);
	gmtime_r(&when, &tm);
	strftime(stamp, 24, "%Y%m%dT%H%M%SZ", &tm);
	for (i = 0; i < r.header_count; i++)
		headers[i] = r.headers[i];
	headers[r.header_count++] = (struct v4_pair){ TEXT("x-goog-date"), text_from(stamp) };
	headers[r.header_count++] = (struct v4_pair){ TEXT("x-goog-content-sha256"), TEXT("UNSIGNED-PAYLOAD") };
	r.headers = headers;
	form_make(&r, &f);
	for (i = 0; i < r.query_count; i++)
		add_query(&q[i], r.query[i].name, r.query[i].value);
	qsort(q, r.query_count, sizeof(q[0]), ready_compare);
	query_join(q, r.query_count, &query);
	ready_free(q, r.query_count);
	canonical_and_string(&r, &f, buf_view(&query), &text, &to_sign);
	buf_printf(authorization, "%s Credential=", algorithm(r.kind));
	buf_text(authorization, r.credential);
	buf_printf(authorization, "/%s" SCOPE_TAIL ",SignedHeaders=", f.date);
	buf_text(authorization, buf_view(&f.names));
	buf_puts(authorization, ",Signature=");
	good = v4_sign_hmac(secret, buf_view(&to_sign), authorization);
	form_free(&f);
	buf_free(&query);
	buf_free(&text);
	buf_free(&to_sign);
	return good;
}

void
v4_append(struct buf *url, struct text signature)
{
	buf_puts(url, "&X-Goog-Signature=");
	buf_text(url, signature);
}

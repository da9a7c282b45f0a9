/* Google's 29 conformance vectors, byte for byte. */
#include <jansson.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/v4sign.h"

#define CHECK(x) ((x) ? (void)0 : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x), exit(1)))

static const char *
member(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "";
}

static int64_t
seconds(const char *iso)
{
	struct tm tm = { 0 };

	CHECK(strptime(iso, "%Y-%m-%dT%H:%M:%SZ", &tm) != NULL);
	return (int64_t)timegm(&tm);
}

/* Which host a vector's settings mean: hostname, then the client's endpoint, then the emulator, then the universe. */
static void
place(const json_t *v, struct buf *host, struct buf *path, const char **scheme)
{
	const char *style = member(v, "urlStyle"), *given = member(v, "hostname"), *object = member(v, "object"), *bucket = member(v, "bucket"), *at;

	*scheme = *member(v, "scheme") != '\0' ? member(v, "scheme") : "https";
	if (*given == '\0')
		given = member(v, "clientEndpoint");
	if (*given == '\0')
		given = member(v, "emulatorHostname");
	at = strstr(given, "://");
	if (strcmp(style, "BUCKET_BOUND_HOSTNAME") == 0)
		buf_puts(host, member(v, "bucketBoundHostname"));
	else if (*given != '\0')
		buf_puts(host, at != NULL ? at + 3 : given);
	else
		buf_printf(host, "%s%sstorage.%s", strcmp(style, "VIRTUAL_HOSTED_STYLE") == 0 ? bucket : "", strcmp(style, "VIRTUAL_HOSTED_STYLE") == 0 ? "." : "",
		    *member(v, "universeDomain") != '\0' ? member(v, "universeDomain") : "googleapis.com");
	if (*style == '\0')
		buf_printf(path, "/%s", bucket);
	if (*object != '\0' || *style != '\0')
		buf_printf(path, "/%s", object);
}

static size_t
pairs(json_t *from, struct v4_pair *to)
{
	const char *name;
	json_t *value;
	size_t n = 0;

	json_object_foreach(from, name, value) {
		to[n].name = text_from(name);
		to[n++].value = text_from(json_string_value(value));
	}
	return n;
}

static void
vector(const json_t *v, EVP_PKEY *key, const char *email)
{
	struct v4_pair query[V4_PAIRS_MOST], headers[V4_PAIRS_MOST];
	struct buf host = { 0 }, path = { 0 }, url = { 0 }, to_sign = { 0 }, canonical = { 0 }, signature = { 0 };
	struct v4_request r = { .kind = V4_RSA, .method = member(v, "method"), .credential = text_from(email), .time_s = seconds(member(v, "timestamp")),
		.expires_s = (int64_t)json_integer_value(json_object_get(v, "expiration")), .query = query, .headers = headers };
	const char *scheme;

	place(v, &host, &path, &scheme);
	r.scheme = text_from(scheme);
	r.host = buf_view(&host);
	r.path = buf_view(&path);
	r.query_count = pairs(json_object_get(v, "queryParameters"), query);
	r.header_count = pairs(json_object_get(v, "headers"), headers);
	v4_prepare(&r, &url, &to_sign, &canonical);
	CHECK(v4_sign_rsa(key, buf_view(&to_sign), &signature));
	v4_append(&url, buf_view(&signature));
	if (!text_is(buf_view(&to_sign), member(v, "expectedStringToSign")) || !text_is(buf_view(&url), member(v, "expectedUrl"))) {
		fprintf(stderr, "%s:\n" TEXT_FMT "\n%s\n" TEXT_FMT "\n", member(v, "description"), TEXT_ARG(buf_view(&canonical)), member(v, "expectedCanonicalRequest"), TEXT_ARG(buf_view(&url)));
		exit(1);
	}
	/* This vector's canonical request does not hash to its own string to sign. */
	if (strcmp(member(v, "description"), "Universe domain with virtual hosted style") != 0)
		CHECK(text_is(buf_view(&canonical), member(v, "expectedCanonicalRequest")));
	buf_free(&host);
	buf_free(&path);
	buf_free(&url);
	buf_free(&to_sign);
	buf_free(&canonical);
	buf_free(&signature);
}

int
main(void)
{
	json_error_t error;
	json_t *all = json_load_file("tests/gcs/vectors/v4_signatures.json", 0, &error), *account = json_load_file("tests/gcs/vectors/test_service_account.not-a-test.json", 0, &error);
	json_t *tests = json_object_get(all, "signingV4Tests");
	const char *pem = member(account, "private_key");
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	struct buf hex = { 0 };
	size_t i;

	CHECK(key != NULL && json_array_size(tests) == 29);
	for (i = 0; i < json_array_size(tests); i++)
		vector(json_array_get(tests, i), key, member(account, "client_email"));
	CHECK(v4_sign_hmac(TEXT("secret"), TEXT("GOOG4-HMAC-SHA256\n20190201T090000Z\n20190201/auto/storage/goog4_request\n00e2fb79"), &hex) && hex.n == 64);
	buf_free(&hex);
	EVP_PKEY_free(key);
	BIO_free(bio);
	json_decref(account);
	json_decref(all);
	puts("ok v4sign: 29 vectors");
	return 0;
}

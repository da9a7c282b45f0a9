#ifndef STORE_V4SIGN_H
#define STORE_V4SIGN_H
/* Google Cloud Storage's V4 signed URLs: canonical request, string to sign, signature. Pure and safe in threads. */
#include <openssl/evp.h>

#include "base/text.h"

struct v4_pair {
	struct text name;
	struct text value;
};

enum v4_kind { V4_RSA, V4_HMAC };

struct v4_request {
	enum v4_kind kind;
	const char *method;
	struct text scheme;     /* https */
	struct text host;       /* with port, as in the URL */
	struct text path;       /* "/bucket/object", not encoded */
	struct text credential; /* service account's address, or HMAC key's id */
	int64_t time_s;
	int64_t expires_s;
	const struct v4_pair *query;
	size_t query_count;
	const struct v4_pair *headers; /* what the client must send, beside Host */
	size_t header_count;
};

/* More than any request of ours has. */
#define V4_PAIRS_MOST 24

/* `url`: the URL up to and without its signature. `to_sign`: what is to be signed. `canonical` may be NULL. */
void v4_prepare(const struct v4_request *, struct buf *url, struct buf *to_sign, struct buf *canonical);
/* Hexadecimal signatures, appended to out. */
bool v4_sign_rsa(EVP_PKEY *key, struct text to_sign, struct buf *out) must_check;
/* The secret as Google shows it; the date is read from the string to sign. */
bool v4_sign_hmac(struct text secret, struct text to_sign, struct buf *out) must_check;
/* An Authorization header with an HMAC key, for requests that cannot carry their signature in the URL. expires_s and query's X-Goog pairs play no part; x-goog-date and
 * x-goog-content-sha256: UNSIGNED-PAYLOAD must be sent (and are signed here). */
bool v4_authorize(const struct v4_request *, struct text secret, struct buf *authorization, char stamp[24]) must_check;
void v4_append(struct buf *url, struct text signature);
#endif

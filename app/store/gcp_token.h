#ifndef STORE_GCP_TOKEN_H
#define STORE_GCP_TOKEN_H
/* Google credentials of this process: where they come from, access tokens, signatures. Nothing here is ever logged. */
#include "base/text.h"
#include "store/v4sign.h"

struct gcp;
struct gcp_wait;
struct gcp_sign;

/*
 * In the order of Google's libraries: GOOGLE_APPLICATION_CREDENTIALS (service_account, authorized_user, impersonated_service_account, external_account), the account
 * gcloud left in its configuration, STORAGE_EMULATOR_HOST without a credential (anonymous), the metadata server. TALLYD_GCS_HMAC_ID and TALLYD_GCS_HMAC_SECRET sign instead.
 * One per worker, never freed. NULL: why says what is wrong.
 */
struct gcp *gcp_open(char *why, size_t n);
/* For people: "service account a@b (key file)". */
const char *gcp_name(const struct gcp *);
/* No token at all: anonymous (emulator), or HMAC keys that sign each request. */
bool gcp_anonymous(const struct gcp *);
bool gcp_hmac_only(const struct gcp *);
/* Whether signed URLs can be made, as far as one knows without asking; `why` when not. */
bool gcp_can_sign(const struct gcp *, const char **why);
/* Longest life of a signed URL: 12 hours when IAM signs, for its keys change. */
int64_t gcp_sign_most_s(const struct gcp *);
/* storage.googleapis.com, or that of another universe. */
const char *gcp_universe(const struct gcp *);
/* Signs one request with the HMAC key, for its Authorization header. */
struct text gcp_hmac_id(const struct gcp *);
struct text gcp_hmac_secret(const struct gcp *);
/* 32 bytes that all servers with the same credential share. */
void gcp_secret(const struct gcp *, unsigned char out[32]);

/* The token, owned by the credentials, valid until the loop runs again; false: ask gcp_token(). Starts a refresh in the background five minutes before it ends. */
bool gcp_token_now(struct gcp *, struct text *token);
/* One fetch for all who wait. ready() from the loop; token.n == 0: why. */
struct gcp_wait *gcp_token(struct gcp *, void (*ready)(void *user, struct text token, const char *why), void *user);
void gcp_token_cancel(struct gcp_wait *);
/* The bucket refused this token (401): the next one is fetched. */
void gcp_token_refused(struct gcp *, struct text token);

/* Who signs; known after the first token. */
struct text gcp_signer(const struct gcp *);
enum v4_kind gcp_sign_kind(const struct gcp *);
/* Signs n strings (copied): here, in a thread, or by IAM. done() from the loop with n hexadecimal signatures valid during the call, or NULL and why. */
struct gcp_sign *gcp_sign(struct gcp *, const struct text *to_sign, size_t n, void (*done)(void *user, const struct text *hex, const char *why), void *user);
void gcp_sign_cancel(struct gcp_sign *);
/* IAM refused the last signature for want of a permission: asking again soon is of no use. */
bool gcp_sign_refused(const struct gcp *);
#endif

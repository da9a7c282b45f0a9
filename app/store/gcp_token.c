/*
 * Access tokens and signatures. A token comes from a base (key file's JWT, metadata server, refresh token, token exchange), then perhaps through an impersonation.
 * One fetch is under way at most; the old token serves as long as it is valid, whatever a refresh says.
 */
#include "store/gcp_token.h"

#include <jansson.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/http.h"
#include "base/log.h"
#include "base/out.h"
#include "base/task.h"

#define SCOPE "https://www.googleapis.com/auth/devstorage.read_write"
#define SCOPE_CLOUD "https://www.googleapis.com/auth/cloud-platform"
#define REFRESH_BEFORE_MS (300 * 1000)
/* A failed fetch is not repeated for everybody at once. */
#define FAIL_HOLD_MS 2000
#define SIGNBLOB_WIDE 16
/* Twelve hours: a key of IAM's stays valid at least that long. */
#define SIGNBLOB_MOST_S (12 * 3600)
#define SIGN_MOST_S 604800

enum base_kind { BASE_NONE, BASE_KEY, BASE_METADATA, BASE_USER, BASE_EXTERNAL };

struct gcp_wait {
	struct gcp_wait *next;
	struct gcp *gcp;
	void (*ready)(void *, struct text, const char *);
	void *user;
};

struct gcp {
	enum base_kind base;
	EVP_PKEY *key;
	char *key_id, *issuer, *email, *token_uri, *audience, *subject_type, *subject_file, *subject_url, *subject_field, *client_id, *client_secret, *refresh_token;
	json_t *subject_headers;
	char *impersonate; /* URL of generateAccessToken, or NULL */
	char *hmac_id, *hmac_secret;
	char *metadata, *iam, *universe;
	char *name;
	unsigned char secret[32];
	/* tokens */
	struct buf token, base_token;
	int64_t expires_ms, base_expires_ms, failed_ms;
	bool fetching, email_known, sign_refused;
	struct out_call *call;
	struct loop_timer *soon;
	struct gcp_wait *waiting;
	char why[200];
};

static void fetch(struct gcp *);

/* ---- reading credentials ---- */

static const char *
env(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && *v != '\0' ? v : NULL;
}

static char *
keep(const char *s)
{
	char *copy = s != NULL ? strdup(s) : NULL;

	PRECOND(s == NULL || copy != NULL);
	return copy;
}

static char *
keep_format(const char *format, const char *a, const char *b)
{
	struct buf out = { 0 };

	for (; *format != '\0'; format++) {
		if (*format == '%') {
			buf_puts(&out, a);
			a = b;
		} else {
			buf_byte(&out, *format);
		}
	}
	buf_byte(&out, '\0');
	return out.s;
}

static const char *
member(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static EVP_PKEY *
key_read(const char *pem)
{
	BIO *bio = pem != NULL ? BIO_new_mem_buf(pem, -1) : NULL;
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	if (key != NULL && EVP_PKEY_base_id(key) != EVP_PKEY_RSA) {
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

/* The account in ".../serviceAccounts/EMAIL:generateAccessToken". */
static char *
email_of(const char *url)
{
	const char *at = strstr(url, "/serviceAccounts/");
	const char *end = at != NULL ? strchr(at + 17, ':') : NULL;

	return end != NULL ? strndup(at + 17, (size_t)(end - at - 17)) : NULL;
}

static bool
read_account(struct gcp *g, const json_t *file, char *why, size_t n)
{
	g->key = key_read(member(file, "private_key"));
	if (g->key == NULL || member(file, "client_email") == NULL) {
		snprintf(why, n, "the service account file has no usable private_key or client_email");
		return false;
	}
	g->base = BASE_KEY;
	g->issuer = keep(member(file, "client_email"));
	g->email = keep(g->issuer);
	g->email_known = true;
	g->key_id = keep(member(file, "private_key_id"));
	g->token_uri = keep(member(file, "token_uri") != NULL ? member(file, "token_uri") : "https://oauth2.googleapis.com/token");
	g->name = keep_format("service account % (key file)", g->email, "");
	SHA256((const unsigned char *)member(file, "private_key"), strlen(member(file, "private_key")), g->secret);
	return true;
}

static bool
read_user(struct gcp *g, const json_t *file, char *why, size_t n)
{
	g->client_id = keep(member(file, "client_id"));
	g->client_secret = keep(member(file, "client_secret"));
	g->refresh_token = keep(member(file, "refresh_token"));
	if (g->client_id == NULL || g->client_secret == NULL || g->refresh_token == NULL) {
		snprintf(why, n, "the authorized_user file has no client_id, client_secret or refresh_token");
		return false;
	}
	g->base = BASE_USER;
	g->token_uri = keep(member(file, "token_uri") != NULL ? member(file, "token_uri") : "https://oauth2.googleapis.com/token");
	g->name = keep("user account (cannot sign addresses)");
	return true;
}

static bool
read_external(struct gcp *g, const json_t *file, char *why, size_t n)
{
	const json_t *source = json_object_get(file, "credential_source"), *format = json_object_get(source, "format");

	g->audience = keep(member(file, "audience"));
	g->subject_type = keep(member(file, "subject_token_type"));
	g->token_uri = keep(member(file, "token_url"));
	g->subject_file = keep(member(source, "file"));
	g->subject_url = keep(member(source, "url"));
	g->subject_headers = json_incref(json_object_get(source, "headers"));
	if (member(format, "type") != NULL && strcmp(member(format, "type"), "json") == 0)
		g->subject_field = keep(member(format, "subject_token_field_name"));
	if (g->audience == NULL || g->subject_type == NULL || g->token_uri == NULL || (g->subject_file == NULL && g->subject_url == NULL) || member(source, "environment_id") != NULL) {
		snprintf(why, n, "external_account: only credential_source with file or url is served (with audience, subject_token_type and token_url)");
		return false;
	}
	g->base = BASE_EXTERNAL;
	g->impersonate = keep(member(file, "service_account_impersonation_url"));
	if (g->impersonate != NULL) {
		g->email = email_of(g->impersonate);
		g->email_known = g->email != NULL;
	}
	g->name = g->email != NULL ? keep_format("workload identity federation as %", g->email, "") : keep("workload identity federation (cannot sign addresses)");
	return true;
}

static bool read_by_type(struct gcp *, const json_t *file, bool nested, char *why, size_t n);

static bool
read_impersonated(struct gcp *g, const json_t *file, char *why, size_t n)
{
	const char *url = member(file, "service_account_impersonation_url");

	if (url == NULL || !read_by_type(g, json_object_get(file, "source_credentials"), true, why, n)) {
		if (url == NULL)
			snprintf(why, n, "the impersonated_service_account file has no service_account_impersonation_url");
		return false;
	}
	free(g->email);
	free(g->name);
	g->impersonate = keep(url);
	g->email = email_of(url);
	g->email_known = g->email != NULL;
	g->name = keep_format("impersonated service account %", g->email != NULL ? g->email : "?", "");
	return true;
}

static bool
read_by_type(struct gcp *g, const json_t *file, bool nested, char *why, size_t n)
{
	const char *type = member(file, "type");

	if (member(file, "universe_domain") != NULL) {
		free(g->universe);
		g->universe = keep(member(file, "universe_domain"));
	}
	if (type != NULL && strcmp(type, "service_account") == 0)
		return read_account(g, file, why, n);
	if (type != NULL && strcmp(type, "authorized_user") == 0)
		return read_user(g, file, why, n);
	if (type != NULL && strcmp(type, "external_account") == 0)
		return read_external(g, file, why, n);
	if (type != NULL && strcmp(type, "impersonated_service_account") == 0 && !nested)
		return read_impersonated(g, file, why, n);
	snprintf(why, n, "credentials of type \"%s\" are not served; take service_account, impersonated_service_account, external_account or authorized_user", type != NULL ? type : "(none)");
	return false;
}

static bool
read_file(struct gcp *g, const char *path, char *why, size_t n)
{
	json_error_t error;
	json_t *file = json_load_file(path, 0, &error);
	bool good;

	if (file == NULL) {
		snprintf(why, n, "credentials file %s: %s", path, error.line == -1 ? "cannot be read" : "is not JSON");
		return false;
	}
	good = read_by_type(g, file, false, why, n);
	json_decref(file);
	return good;
}

/* What `gcloud auth application-default login` leaves. */
static char *
gcloud_file(void)
{
	const char *home = env("HOME");
	char *path = home != NULL ? keep_format("%/.config/gcloud/application_default_credentials.json", home, "") : NULL;
	FILE *f = path != NULL ? fopen(path, "re") : NULL;

	if (f == NULL) {
		free(path);
		return NULL;
	}
	fclose(f);
	return path;
}

struct gcp *
gcp_open(char *why, size_t n)
{
	static struct gcp *opened;
	struct gcp *g;
	const char *path = env("GOOGLE_APPLICATION_CREDENTIALS");
	char *left;

	if (opened != NULL)
		return opened;
	g = calloc(1, sizeof(*g));
	PRECOND(g != NULL);
	g->universe = keep(env("GOOGLE_CLOUD_UNIVERSE_DOMAIN") != NULL ? env("GOOGLE_CLOUD_UNIVERSE_DOMAIN") : "googleapis.com");
	g->hmac_id = keep(env("TALLYD_GCS_HMAC_ID"));
	g->hmac_secret = keep(env("TALLYD_GCS_HMAC_SECRET"));
	if ((g->hmac_id == NULL) != (g->hmac_secret == NULL)) {
		snprintf(why, n, "TALLYD_GCS_HMAC_ID and TALLYD_GCS_HMAC_SECRET go together");
		return NULL;
	}
	if (path != NULL) {
		if (!read_file(g, path, why, n))
			return NULL;
	} else if (g->hmac_id != NULL) {
		g->name = keep("HMAC key");
	} else if (env("STORAGE_EMULATOR_HOST") != NULL && env("GCE_METADATA_HOST") == NULL) {
		g->name = keep("anonymous (emulator)");
	} else if (env("GCE_METADATA_HOST") == NULL && (left = gcloud_file()) != NULL) {
		bool good = read_file(g, left, why, n);

		free(left);
		if (!good)
			return NULL;
	} else {
		g->base = BASE_METADATA;
		g->name = keep("metadata server");
	}
	if (g->hmac_id != NULL)
		SHA256((const unsigned char *)g->hmac_secret, strlen(g->hmac_secret), g->secret);
	if (env("TALLYD_TOKEN_URI") != NULL && g->base != BASE_NONE) {
		free(g->token_uri);
		g->token_uri = keep(env("TALLYD_TOKEN_URI"));
	}
	g->metadata = keep(env("GCE_METADATA_HOST") != NULL ? env("GCE_METADATA_HOST") : "metadata.google.internal");
	g->iam = env("TALLYD_IAM_ENDPOINT") != NULL ? keep(env("TALLYD_IAM_ENDPOINT")) : keep_format("https://iamcredentials.%", g->universe, "");
	opened = g;
	return g;
}

const char *
gcp_name(const struct gcp *g)
{
	return g->name;
}

bool
gcp_anonymous(const struct gcp *g)
{
	return g->base == BASE_NONE;
}

bool
gcp_hmac_only(const struct gcp *g)
{
	return g->base == BASE_NONE && g->hmac_id != NULL;
}

static bool
signs_here(const struct gcp *g)
{
	return g->hmac_id != NULL || (g->base == BASE_KEY && g->impersonate == NULL);
}

bool
gcp_can_sign(const struct gcp *g, const char **why)
{
	*why = NULL;
	if (signs_here(g) || g->base == BASE_METADATA || g->impersonate != NULL)
		return true;
	if (g->base == BASE_USER)
		*why = "a user account cannot sign addresses: use a service account, or impersonate one (gcloud auth application-default login --impersonate-service-account=...)";
	else if (g->base == BASE_EXTERNAL)
		*why = "workload identity federation signs only through a service account: set service_account_impersonation_url";
	else
		*why = "without a credential nothing can be signed: all bytes pass through the server";
	return false;
}

int64_t
gcp_sign_most_s(const struct gcp *g)
{
	return signs_here(g) ? SIGN_MOST_S : SIGNBLOB_MOST_S;
}

const char *
gcp_universe(const struct gcp *g)
{
	return g->universe;
}

struct text
gcp_hmac_id(const struct gcp *g)
{
	return text_from(g->hmac_id);
}

struct text
gcp_hmac_secret(const struct gcp *g)
{
	return text_from(g->hmac_secret);
}

void
gcp_secret(const struct gcp *g, unsigned char out[32])
{
	memcpy(out, g->secret, 32);
}

struct text
gcp_signer(const struct gcp *g)
{
	return text_from(g->hmac_id != NULL ? g->hmac_id : g->email);
}

enum v4_kind
gcp_sign_kind(const struct gcp *g)
{
	return g->hmac_id != NULL ? V4_HMAC : V4_RSA;
}

/* ---- fetching a token ---- */

static void
base64url(struct buf *out, const void *bytes, size_t n)
{
	size_t start = out->n, i;

	buf_reserve(out, n / 3 * 4 + 8);
	out->n += (size_t)EVP_EncodeBlock((unsigned char *)out->s + start, bytes, (int)n);
	while (out->n > start && out->s[out->n - 1] == '=')
		out->n--;
	for (i = start; i < out->n; i++) {
		if (out->s[i] == '+')
			out->s[i] = '-';
		else if (out->s[i] == '/')
			out->s[i] = '_';
	}
}

static bool
jwt(const struct gcp *g, struct buf *out)
{
	struct buf head = { 0 }, claims = { 0 };
	int64_t now = clock_ms() / 1000;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char signature[1024];
	size_t n = sizeof(signature);
	bool good;

	buf_puts(&head, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":");
	buf_json(&head, text_from(g->key_id != NULL ? g->key_id : ""));
	buf_byte(&head, '}');
	buf_puts(&claims, "{\"iss\":");
	buf_json(&claims, text_from(g->issuer));
	buf_puts(&claims, g->impersonate != NULL ? ",\"scope\":\"" SCOPE_CLOUD "\",\"aud\":" : ",\"scope\":\"" SCOPE "\",\"aud\":");
	buf_json(&claims, text_from(g->token_uri));
	/* A clock a little ahead of Google's must not make it a token from the future. */
	buf_printf(&claims, ",\"iat\":%lld,\"exp\":%lld}", (long long)(now - 10), (long long)(now + 3500));
	base64url(out, head.s, head.n);
	buf_byte(out, '.');
	base64url(out, claims.s, claims.n);
	good = md != NULL && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, g->key) == 1 && EVP_DigestSign(md, signature, &n, (const unsigned char *)out->s, out->n) == 1;
	if (good) {
		buf_byte(out, '.');
		base64url(out, signature, n);
	}
	EVP_MD_CTX_free(md);
	buf_free(&head);
	buf_free(&claims);
	return good;
}

static void
form_add(struct buf *form, const char *name, struct text value)
{
	if (form->n > 0)
		buf_byte(form, '&');
	buf_puts(form, name);
	buf_byte(form, '=');
	buf_percent(form, value, "");
}

/* Everybody who waits gets the token, or the reason. */
static void
tell_waiting(void *user)
{
	struct gcp *g = user;
	struct gcp_wait *w, *all = g->waiting;
	struct buf token = { 0 };
	bool good = g->token.n > 0 && clock_ms() < g->expires_ms;

	g->soon = NULL;
	g->waiting = NULL;
	if (good)
		buf_text(&token, buf_view(&g->token));
	while ((w = all) != NULL) {
		all = w->next;
		if (w->ready != NULL)
			w->ready(w->user, buf_view(&token), g->why);
		free(w);
	}
	buf_free(&token);
}

static void
fetch_over(struct gcp *g, const char *why)
{
	g->fetching = false;
	if (why != NULL) {
		snprintf(g->why, sizeof(g->why), "%s", why);
		g->failed_ms = loop_now_ms();
		log_warn("google credentials: %s", why);
	}
	if (g->waiting != NULL && g->soon == NULL)
		g->soon = loop_after(0, tell_waiting, g);
}

/* Keeps a token of an answer in {"access_token", "expires_in"} or {"accessToken", "expireTime"}. */
static bool
token_read(const struct out_answer *a, struct buf *token, int64_t *expires_ms)
{
	json_t *o = json_loadb(a->body.s != NULL ? a->body.s : "", a->body.n, 0, NULL);
	const char *t = member(o, "access_token");
	json_t *in = json_object_get(o, "expires_in");
	int64_t seconds = json_is_number(in) ? (int64_t)json_number_value(in) : 3600;

	if (t == NULL) {
		struct tm tm = { 0 };

		t = member(o, "accessToken");
		if (t != NULL && member(o, "expireTime") != NULL && strptime(member(o, "expireTime"), "%Y-%m-%dT%H:%M:%S", &tm) != NULL)
			seconds = (int64_t)timegm(&tm) - clock_ms() / 1000;
	}
	if (t != NULL && strpbrk(t, "\r\n") == NULL) {
		token->n = 0;
		buf_puts(token, t);
		*expires_ms = clock_ms() + seconds * 1000;
	}
	json_decref(o);
	return t != NULL;
}

static void
answer_why(const struct out_answer *a, const char *who, char *out, size_t n)
{
	json_t *o = json_loadb(a->body.s != NULL ? a->body.s : "", a->body.n, 0, NULL);
	const char *said = member(o, "error_description");

	if (said == NULL)
		said = member(json_object_get(o, "error"), "message");
	if (said == NULL)
		said = member(o, "error");
	if (a->status == 0)
		snprintf(out, n, "%s: %s", who, a->why);
	else
		snprintf(out, n, "%s answered %d%s%.120s", who, a->status, said != NULL ? ": " : "", said != NULL ? said : "");
	json_decref(o);
}

static struct out_call *
post(struct gcp *g, const char *url, const char *type, struct text body, struct text bearer, void (*done)(void *, struct out_call *, const struct out_answer *))
{
	struct buf authorization = { 0 };
	struct out_header headers[2] = { { "Content-Type", text_from(type) } };
	struct out_request r = { .method = "POST", .url = text_from(url), .headers = headers, .header_count = 1, .body = body, .has_body = true, .repeat = true, .budget_ms = 20000, .idle_ms = 10000, .done = done, .user = g };
	struct out_call *c;

	if (bearer.n > 0) {
		buf_puts(&authorization, "Bearer ");
		buf_text(&authorization, bearer);
		headers[1].name = "Authorization";
		headers[1].value = buf_view(&authorization);
		r.header_count = 2;
	}
	c = out_send(&r);
	buf_free(&authorization);
	return c;
}

static void
impersonated(void *user, struct out_call *call, const struct out_answer *a)
{
	struct gcp *g = user;
	char why[200];

	(void)call;
	g->call = NULL;
	if (a->status == 200 && token_read(a, &g->token, &g->expires_ms)) {
		fetch_over(g, NULL);
		return;
	}
	answer_why(a, "IAM (generateAccessToken)", why, sizeof(why));
	fetch_over(g, why);
}

/* The base's token is here: it is the token, or the key to another account's. */
static void
base_ready(struct gcp *g)
{
	if (g->impersonate == NULL) {
		g->token.n = 0;
		buf_text(&g->token, buf_view(&g->base_token));
		g->expires_ms = g->base_expires_ms;
		fetch_over(g, NULL);
		return;
	}
	g->call = post(g, g->impersonate, "application/json", TEXT("{\"scope\":[\"" SCOPE_CLOUD "\"],\"lifetime\":\"3600s\"}"), buf_view(&g->base_token), impersonated);
}

static void
metadata_email(void *user, struct out_call *call, const struct out_answer *a)
{
	struct gcp *g = user;
	struct text email = text_trim(a->body);

	(void)call;
	g->call = NULL;
	if (a->status == 200 && email.n > 0 && email.n < 256) {
		free(g->email);
		g->email = strndup(email.s, email.n);
		g->email_known = true;
		free(g->name);
		g->name = keep_format("service account % (metadata server)", g->email, "");
	} else {
		g->failed_ms = loop_now_ms();
	}
	base_ready(g);
}

static struct out_call *
metadata_get(struct gcp *g, const char *path, void (*done)(void *, struct out_call *, const struct out_answer *))
{
	struct buf url = { 0 };
	const struct out_header flavor = { "Metadata-Flavor", TEXT("Google") };
	struct out_request r = { .method = "GET", .headers = &flavor, .header_count = 1, .repeat = true, .budget_ms = 9000, .idle_ms = 3000, .connect_ms = 3000, .done = done, .user = g };
	struct out_call *c;

	buf_printf(&url, "http://%s/computeMetadata/v1/instance/service-accounts/default/%s", g->metadata, path);
	r.url = buf_view(&url);
	c = out_send(&r);
	buf_free(&url);
	return c;
}

static void
base_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct gcp *g = user;
	const char *who = g->base == BASE_METADATA ? "the metadata server" : g->base == BASE_EXTERNAL ? "the token exchange" : "the token endpoint";
	char why[200];

	g->call = NULL;
	if (a->status == 200 && g->base == BASE_METADATA && !text_is_nocase(out_answer_header(call, "metadata-flavor"), "Google")) {
		fetch_over(g, "what answers at the metadata address is not Google's metadata server");
		return;
	}
	if (a->status != 200 || !token_read(a, &g->base_token, &g->base_expires_ms)) {
		answer_why(a, who, why, sizeof(why));
		if (g->base == BASE_METADATA && a->status == 0)
			snprintf(why, sizeof(why), "no credentials: GOOGLE_APPLICATION_CREDENTIALS is not set and there is no metadata server here (%s)", a->why);
		fetch_over(g, why);
		return;
	}
	if (g->base == BASE_METADATA && !g->email_known)
		g->call = metadata_get(g, "email", metadata_email);
	else
		base_ready(g);
}

static void
exchange(struct gcp *g, struct text subject)
{
	struct buf form = { 0 };

	form_add(&form, "grant_type", TEXT("urn:ietf:params:oauth:grant-type:token-exchange"));
	form_add(&form, "audience", text_from(g->audience));
	form_add(&form, "scope", TEXT(SCOPE_CLOUD));
	form_add(&form, "requested_token_type", TEXT("urn:ietf:params:oauth:token-type:access_token"));
	form_add(&form, "subject_token_type", text_from(g->subject_type));
	form_add(&form, "subject_token", subject);
	g->call = post(g, g->token_uri, "application/x-www-form-urlencoded", buf_view(&form), TEXT_NONE, base_answered);
	buf_free(&form);
}

/* The subject token as it came from its file or address: whole, or a member of a JSON document. */
static void
subject_ready(struct gcp *g, struct text raw)
{
	json_t *o = NULL;
	struct text subject = text_trim(raw);

	if (g->subject_field != NULL) {
		o = json_loadb(raw.s != NULL ? raw.s : "", raw.n, 0, NULL);
		subject = text_from(member(o, g->subject_field));
	}
	if (subject.n == 0)
		fetch_over(g, "external_account: no subject token where credential_source says");
	else
		exchange(g, subject);
	json_decref(o);
}

static void
subject_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct gcp *g = user;

	(void)call;
	g->call = NULL;
	if (a->status == 200)
		subject_ready(g, a->body);
	else
		fetch_over(g, "external_account: the address of the subject token does not answer");
}

static void
fetch_external(struct gcp *g)
{
	struct out_header headers[8];
	struct out_request r = { .method = "GET", .headers = headers, .repeat = true, .budget_ms = 9000, .idle_ms = 5000, .done = subject_answered, .user = g };
	const char *name;
	json_t *value;
	char bytes[16384];
	size_t n;
	FILE *f;

	if (g->subject_url != NULL) {
		json_object_foreach(g->subject_headers, name, value) {
			if (r.header_count < 8 && json_string_value(value) != NULL)
				headers[r.header_count++] = (struct out_header){ name, text_from(json_string_value(value)) };
		}
		r.url = text_from(g->subject_url);
		g->call = out_send(&r);
		return;
	}
	/* Read anew each time: the platform replaces it. */
	f = fopen(g->subject_file, "re");
	n = f != NULL ? fread(bytes, 1, sizeof(bytes), f) : 0;
	if (f != NULL)
		fclose(f);
	subject_ready(g, (struct text){ bytes, n });
}

static void
fetch_key(struct gcp *g)
{
	struct buf form = { 0 }, assertion = { 0 };

	if (!jwt(g, &assertion)) {
		fetch_over(g, "the private key of the service account cannot sign");
	} else {
		form_add(&form, "grant_type", TEXT("urn:ietf:params:oauth:grant-type:jwt-bearer"));
		form_add(&form, "assertion", buf_view(&assertion));
		g->call = post(g, g->token_uri, "application/x-www-form-urlencoded", buf_view(&form), TEXT_NONE, base_answered);
	}
	buf_free(&form);
	buf_free(&assertion);
}

static void
fetch_user(struct gcp *g)
{
	struct buf form = { 0 };

	form_add(&form, "grant_type", TEXT("refresh_token"));
	form_add(&form, "client_id", text_from(g->client_id));
	form_add(&form, "client_secret", text_from(g->client_secret));
	form_add(&form, "refresh_token", text_from(g->refresh_token));
	g->call = post(g, g->token_uri, "application/x-www-form-urlencoded", buf_view(&form), TEXT_NONE, base_answered);
	buf_free(&form);
}

static void
fetch(struct gcp *g)
{
	if (g->fetching)
		return;
	g->fetching = true;
	switch (g->base) {
	case BASE_KEY:
		fetch_key(g);
		break;
	case BASE_METADATA:
		g->call = metadata_get(g, "token", base_answered);
		break;
	case BASE_USER:
		fetch_user(g);
		break;
	case BASE_EXTERNAL:
		fetch_external(g);
		break;
	case BASE_NONE:
		fetch_over(g, "no credential");
		break;
	}
}

bool
gcp_token_now(struct gcp *g, struct text *token)
{
	int64_t left = g->expires_ms - clock_ms();

	*token = TEXT_NONE;
	if (g->base == BASE_NONE)
		return true;
	/* Who signs must be known before there is something to sign; while it is not told, everything else goes on. */
	if (g->token.n == 0 || left <= 0 || (g->base == BASE_METADATA && !g->email_known && loop_now_ms() - g->failed_ms > FAIL_HOLD_MS))
		return false;
	if (left < REFRESH_BEFORE_MS && loop_now_ms() - g->failed_ms > FAIL_HOLD_MS)
		fetch(g);
	*token = buf_view(&g->token);
	return true;
}

struct gcp_wait *
gcp_token(struct gcp *g, void (*ready)(void *, struct text, const char *), void *user)
{
	struct gcp_wait *w = calloc(1, sizeof(*w));

	PRECOND(w != NULL);
	w->gcp = g;
	w->ready = ready;
	w->user = user;
	w->next = g->waiting;
	g->waiting = w;
	if (!g->fetching && g->failed_ms != 0 && loop_now_ms() - g->failed_ms < FAIL_HOLD_MS) {
		if (g->soon == NULL)
			g->soon = loop_after(0, tell_waiting, g);
	} else {
		fetch(g);
	}
	return w;
}

void
gcp_token_cancel(struct gcp_wait *w)
{
	w->ready = NULL;
}

void
gcp_token_refused(struct gcp *g, struct text token)
{
	if (text_eq(token, buf_view(&g->token)))
		g->expires_ms = 0;
}

/* ---- signatures ---- */

/* One of the calls to IAM in flight. */
struct blob {
	struct gcp_sign *sign;
	struct out_call *call;
	size_t index;
};

struct gcp_sign {
	struct gcp *gcp;
	void (*done)(void *, const struct text *, const char *);
	void *user;
	struct buf strings, hex;
	size_t *ends, *hex_ends; /* where each string and signature ends */
	size_t n, sent, answered;
	char (*blobs)[1024]; /* signBlob: signatures come in any order */
	struct blob flying[SIGNBLOB_WIDE];
	struct gcp_wait *wait;
	struct loop_timer *soon;
	bool in_thread, failed, cancelled;
	char why[200];
};

static void
sign_free(struct gcp_sign *s)
{
	buf_free(&s->strings);
	buf_free(&s->hex);
	free(s->ends);
	free(s->hex_ends);
	free(s->blobs);
	free(s);
}

static struct text
sign_string(const struct gcp_sign *s, size_t i)
{
	size_t from = i > 0 ? s->ends[i - 1] : 0;

	return (struct text){ s->strings.s + from, s->ends[i] - from };
}

static void
sign_deliver(void *user)
{
	struct gcp_sign *s = user;
	struct text *list;
	size_t i, from = 0;

	s->soon = NULL;
	if (s->cancelled) {
		sign_free(s);
		return;
	}
	if (s->failed) {
		s->done(s->user, NULL, s->why);
		sign_free(s);
		return;
	}
	list = calloc(s->n, sizeof(*list));
	PRECOND(list != NULL);
	for (i = 0; i < s->n; i++) {
		list[i] = (struct text){ s->hex.s + from, s->hex_ends[i] - from };
		from = s->hex_ends[i];
	}
	s->done(s->user, list, NULL);
	free(list);
	sign_free(s);
}

/* In a thread or here: reads the key, writes its own struct. */
static void
sign_work(void *user)
{
	struct gcp_sign *s = user;
	const struct gcp *g = s->gcp;
	size_t i;

	for (i = 0; i < s->n && !s->failed && !__atomic_load_n(&s->cancelled, __ATOMIC_RELAXED); i++) {
		s->failed = g->hmac_id != NULL ? !v4_sign_hmac(text_from(g->hmac_secret), sign_string(s, i), &s->hex) : !v4_sign_rsa(g->key, sign_string(s, i), &s->hex);
		s->hex_ends[i] = s->hex.n;
	}
	if (s->failed)
		snprintf(s->why, sizeof(s->why), "signing failed");
}

static void
blob_send(struct gcp_sign *);

static void
blob_fail(struct gcp_sign *s, const char *why)
{
	size_t i;

	s->failed = true;
	snprintf(s->why, sizeof(s->why), "%s", why);
	for (i = 0; i < SIGNBLOB_WIDE; i++) {
		if (s->flying[i].call != NULL)
			out_cancel(s->flying[i].call);
		s->flying[i].call = NULL;
	}
	if (s->soon == NULL)
		s->soon = loop_after(0, sign_deliver, s);
}

static bool
blob_read(const struct out_answer *a, char out[1024])
{
	json_t *o = json_loadb(a->body.s != NULL ? a->body.s : "", a->body.n, 0, NULL);
	const char *b64 = member(o, "signedBlob");
	unsigned char bytes[512];
	size_t n = b64 != NULL ? strlen(b64) : 0, size;
	bool good = n >= 4 && n % 4 == 0 && n / 4 * 3 <= sizeof(bytes) && EVP_DecodeBlock(bytes, (const unsigned char *)b64, (int)n) > 0;

	if (good) {
		size = n / 4 * 3 - (b64[n - 1] == '=' ? 1u : 0u) - (b64[n - 2] == '=' ? 1u : 0u);
		if (size * 2 >= 1024)
			good = false;
		else {
			text_hex(bytes, size, out);
			out[size * 2] = '\0';
		}
	}
	json_decref(o);
	return good;
}

static void
blobs_join(struct gcp_sign *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		buf_puts(&s->hex, s->blobs[i]);
		s->hex_ends[i] = s->hex.n;
	}
	if (s->soon == NULL)
		s->soon = loop_after(0, sign_deliver, s);
}

static void
blob_answered(void *user, struct out_call *call, const struct out_answer *a)
{
	struct blob *b = user;
	struct gcp_sign *s = b->sign;
	size_t index = b->index;
	char why[200];

	(void)call;
	b->call = NULL;
	if (a->status != 200 || !blob_read(a, s->blobs[index])) {
		answer_why(a, "IAM (signBlob)", why, sizeof(why));
		/* Of an impersonation, the first token may end before the second. */
		if (a->status == 401)
			gcp_token_refused(s->gcp, buf_view(&s->gcp->token));
		s->gcp->sign_refused = a->status == 403;
		if (a->status == 403)
			snprintf(why, sizeof(why), "IAM refuses to sign: the service account needs roles/iam.serviceAccountTokenCreator on itself, and the IAM Credentials API must be on");
		blob_fail(s, why);
		return;
	}
	s->gcp->sign_refused = false;
	s->answered++;
	if (s->answered == s->n)
		blobs_join(s);
	else
		blob_send(s);
}

static void
blob_call(struct gcp_sign *s, struct blob *b, size_t index)
{
	struct gcp *g = s->gcp;
	struct buf url = { 0 }, body = { 0 }, authorization = { 0 };
	struct out_header headers[2] = { { "Content-Type", TEXT("application/json") }, { "Authorization", TEXT_NONE } };
	struct out_request r = { .method = "POST", .headers = headers, .header_count = 2, .has_body = true, .repeat = true, .budget_ms = 20000, .idle_ms = 10000, .done = blob_answered };
	struct text string = sign_string(s, index);

	b->sign = s;
	b->index = index;
	r.user = b;
	buf_printf(&url, "%s/v1/projects/-/serviceAccounts/%s:signBlob", g->iam, g->email);
	buf_puts(&body, "{\"payload\":\"");
	buf_reserve(&body, string.n * 2 + 16);
	body.n += (size_t)EVP_EncodeBlock((unsigned char *)body.s + body.n, (const unsigned char *)string.s, (int)string.n);
	buf_puts(&body, "\"}");
	buf_puts(&authorization, "Bearer ");
	buf_text(&authorization, buf_view(&g->base_token));
	headers[1].value = buf_view(&authorization);
	r.url = buf_view(&url);
	r.body = buf_view(&body);
	b->call = out_send(&r);
	buf_free(&url);
	buf_free(&body);
	buf_free(&authorization);
}

static void
blob_send(struct gcp_sign *s)
{
	size_t i;

	for (i = 0; i < SIGNBLOB_WIDE && s->sent < s->n; i++) {
		if (s->flying[i].call == NULL)
			blob_call(s, &s->flying[i], s->sent++);
	}
}

static void
blob_token(void *user, struct text token, const char *why)
{
	struct gcp_sign *s = user;

	s->wait = NULL;
	if (token.n == 0)
		blob_fail(s, why);
	else
		blob_send(s);
}

struct gcp_sign *
gcp_sign(struct gcp *g, const struct text *to_sign, size_t n, void (*done)(void *, const struct text *, const char *), void *user)
{
	struct gcp_sign *s = calloc(1, sizeof(*s));
	struct text token;
	size_t i;

	PRECOND(s != NULL && n > 0);
	s->gcp = g;
	s->n = n;
	s->done = done;
	s->user = user;
	s->ends = calloc(n, sizeof(*s->ends));
	s->hex_ends = calloc(n, sizeof(*s->hex_ends));
	PRECOND(s->ends != NULL && s->hex_ends != NULL);
	for (i = 0; i < n; i++) {
		buf_text(&s->strings, to_sign[i]);
		s->ends[i] = s->strings.n;
	}
	if (signs_here(g)) {
		/* A signature takes a quarter of a millisecond. */
		s->in_thread = n > 2;
		if (s->in_thread) {
			task_run(sign_work, sign_deliver, s);
		} else {
			sign_work(s);
			s->soon = loop_after(0, sign_deliver, s);
		}
		return s;
	}
	s->blobs = calloc(n, sizeof(*s->blobs));
	PRECOND(s->blobs != NULL);
	/* It stands in what is to be signed: too late to ask now. */
	if (!g->email_known)
		blob_fail(s, "who signs is not known: the metadata server did not tell the service account's address");
	else if (gcp_token_now(g, &token) && token.n > 0)
		blob_send(s);
	else
		s->wait = gcp_token(g, blob_token, s);
	return s;
}

void
gcp_sign_cancel(struct gcp_sign *s)
{
	size_t i;

	/* A thread that signs thousands of parts for a client that left stops at the next one. */
	__atomic_store_n(&s->cancelled, true, __ATOMIC_RELAXED);
	if (s->in_thread)
		return; /* sign_deliver() frees it */
	if (s->soon != NULL)
		loop_cancel(s->soon);
	if (s->wait != NULL)
		gcp_token_cancel(s->wait);
	for (i = 0; i < SIGNBLOB_WIDE; i++) {
		if (s->flying[i].call != NULL)
			out_cancel(s->flying[i].call);
	}
	sign_free(s);
}

bool
gcp_sign_refused(const struct gcp *g)
{
	return g->sign_refused;
}

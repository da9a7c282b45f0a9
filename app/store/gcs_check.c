/* The check at start, and the doctor's: which permissions are missing, and whether signed addresses work. */
#include "store/gcs_job.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "store/xml.h"

static const struct {
	const char *permission;
	const char *without;
} needs[] = {
	{ "storage.objects.get", "downloads and the artifact view fail" },
	{ "storage.objects.list", "artifacts cannot be listed" },
	{ "storage.objects.create", "uploads fail" },
	{ "storage.objects.delete", "overwriting a file (log_artifact twice, a model logged again), deleting and gc fail" },
	{ "storage.multipartUploads.create", "large files pass through the server" },
	{ "storage.multipartUploads.abort", "parts of failed uploads stay and are billed" },
	{ "storage.multipartUploads.listParts", "large uploads cannot be completed" },
	{ "storage.multipartUploads.list", "gc cannot find unfinished uploads" },
};
#define NEEDS (sizeof(needs) / sizeof(needs[0]))

/* A check is a job of its own with an op of its own, freed at its end. */
struct check {
	struct store_op op;
	struct job *job;
	struct buf report;
	struct buf url;
	bool usable;
	void (*done)(void *, bool, struct text);
	void *user;
};

static void
check_over(struct check *c)
{
	c->done(c->user, c->usable, buf_view(&c->report));
	if (c->job != NULL)
		gcs_job_free(c->job);
	arena_free(c->op.arena);
	buf_free(&c->report);
	buf_free(&c->url);
	free(c);
}

static void
check_probed(void *user, struct out_call *call, const struct out_answer *a)
{
	struct check *c = user;
	struct text code = TEXT_NONE;
	size_t at = 0;

	(void)call;
	c->job->call = NULL;
	if (!xml_next(a->body, &at, "Code", &code))
		code = TEXT_NONE;
	if (a->status == 404)
		buf_puts(&c->report, "ok: signed addresses work\n");
	else if (a->status == 0)
		buf_printf(&c->report, "signed address could not be tried: %s\n", a->why);
	else
		buf_printf(&c->report, "signed addresses are refused (%d " TEXT_FMT "): look at the server's clock and at the key's account\n", a->status, TEXT_ARG(code));
	check_over(c);
}

static void
check_signed(void *user, const struct text *hex, const char *why)
{
	struct check *c = user;
	struct out_request r = { .method = "GET", .repeat = true, .budget_ms = 8000, .done = check_probed, .user = c };

	c->job->sign = NULL;
	if (hex == NULL) {
		(void)gcs_sign_rests(c->job->gcs);
		buf_printf(&c->report, "signed addresses do not work: %s\n", why);
		check_over(c);
		return;
	}
	v4_append(&c->url, hex[0]);
	r.url = buf_view(&c->url);
	c->job->call = out_send(&r);
}

static void
check_sign(struct check *c)
{
	struct buf to_sign = { 0 };
	struct text one;
	const char *why;

	if (!gcp_can_sign(c->job->gcs->gcp, &why)) {
		buf_printf(&c->report, "signed addresses: none; %s\n", why);
		check_over(c);
		return;
	}
	c->job->ttl_s = 60;
	gcs_sign_prepare(c->job, "GET", NULL, 0, &c->url, &to_sign);
	one = buf_view(&to_sign);
	c->job->sign = gcp_sign(c->job->gcs->gcp, &one, 1, check_signed, c);
	buf_free(&to_sign);
}

static bool
granted(const json_t *list, const char *permission)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *s = json_string_value(one);

		if (s != NULL && strcmp(s, permission) == 0)
			return true;
	}
	return false;
}

static void
check_permissions(void *user, struct out_call *call, const struct out_answer *a)
{
	struct check *c = user;
	json_t *o = NULL;
	size_t i, missing = 0;

	(void)call;
	c->job->call = NULL;
	if (a->status != 200) {
		if (a->status == 0)
			buf_printf(&c->report, "the bucket %s cannot be reached: %s\n", c->job->gcs->bucket, a->why);
		else if (a->status == 404)
			buf_printf(&c->report, "the bucket %s does not exist, or %s may not see it\n", c->job->gcs->bucket, gcp_name(c->job->gcs->gcp));
		else
			buf_printf(&c->report, "the permissions on bucket %s could not be asked (%d)\n", c->job->gcs->bucket, a->status);
		c->usable = a->status != 0 && a->status != 404 && a->status != 401;
		if (c->usable)
			check_sign(c);
		else
			check_over(c);
		return;
	}
	o = json_loadb(a->body.s != NULL ? a->body.s : "", a->body.n, 0, NULL);
	for (i = 0; i < NEEDS; i++) {
		if (granted(json_object_get(o, "permissions"), needs[i].permission))
			continue;
		missing++;
		buf_printf(&c->report, "missing %s: %s\n", needs[i].permission, needs[i].without);
	}
	if (missing == 0)
		buf_puts(&c->report, "ok: all permissions\n");
	else
		buf_puts(&c->report, "the role to grant on the bucket is roles/storage.objectUser (Storage Object User)\n");
	c->usable = missing < NEEDS;
	json_decref(o);
	check_sign(c);
}

static void
check_go(struct job *j)
{
	struct check *c = j->op->user;
	struct buf url = { 0 }, authorization = { 0 };
	struct out_header header = { "Authorization", TEXT_NONE };
	struct out_request r = { .method = "GET", .headers = &header, .repeat = true, .budget_ms = 8000, .done = check_permissions, .user = c };
	size_t i;

	buf_printf(&c->report, "bucket %s as %s\n", j->gcs->bucket, gcp_name(j->gcs->gcp));
	if (j->token.n == 0) {
		buf_puts(&c->report, "permissions were not asked: that takes a token\n");
		c->usable = true;
		check_sign(c);
		return;
	}
	buf_printf(&url, "%s://%s/storage/v1/b/%s/iam/testPermissions", j->gcs->scheme, j->gcs->host, j->gcs->bucket);
	for (i = 0; i < NEEDS; i++)
		buf_printf(&url, "%cpermissions=%s", i == 0 ? '?' : '&', needs[i].permission);
	buf_puts(&authorization, "Bearer ");
	buf_text(&authorization, buf_view(&j->token));
	header.value = buf_view(&authorization);
	r.header_count = 1;
	r.url = buf_view(&url);
	j->call = out_send(&r);
	buf_free(&url);
	buf_free(&authorization);
}

/* Only when the token could not be had. The job is freed already. */
static void
check_failed(struct store_op *op, enum store_result result)
{
	struct check *c = op->user;

	(void)result;
	buf_printf(&c->report, "no access token: %s\n", op->why);
	c->job = NULL;
	check_over(c);
}

void
gcs_check(struct store *store, void (*done)(void *, bool, struct text), void *user)
{
	struct check *c = calloc(1, sizeof(*c));

	PRECOND(c != NULL);
	c->done = done;
	c->user = user;
	c->op.arena = arena_new();
	c->op.user = c;
	c->op.done = check_failed;
	c->job = gcs_job_new(store, TEXT(".probe"), &c->op);
	gcs_with_token(c->job, check_go);
}

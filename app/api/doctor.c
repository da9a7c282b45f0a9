/* What the running server finds when it tries its artifact store, for `tallyd doctor`. */
#include "api/artifact.h"
#include "engine/call.h"

static void
checked(void *user, bool usable, struct text report)
{
	struct call *call = user;

	buf_printf(&call->out, "{\"usable\":%s,\"report\":", usable ? "true" : "false");
	buf_json(&call->out, report);
	buf_byte(&call->out, '}');
	call_step(call, call_reply_json(call));
	call_release(call);
}

static enum next
doctor(struct call *call)
{
	struct store *store = artifact_store(call);

	if (store == NULL)
		return FAILED;
	call_hold(call);
	store_check(store, checked, call);
	return WAIT;
}

static const struct endpoint doctor_endpoints[] = {
	{ .method = HTTP_M_GET, .path = "tallyd/doctor", .access = ACCESS_ADMIN, .on = SERVER, .run = doctor, .doc = "Tries the artifact store: each permission, a signature, a writable folder." },
};
const struct endpoint_table doctor_table = ENDPOINT_TABLE(doctor_endpoints);

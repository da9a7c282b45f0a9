/*
 * What a browser must not be made to do. A Host that is an IP literal passes (rebinding needs a name, and a cloud VM does not know its external address);
 * names must be known. Origin must be the server itself. JSON from a page must say so; scripts and old Java clients may send any type.
 */
#include "engine/guard.h"

#include <arpa/inet.h>
#include <unistd.h>

#include "config.h"
#include "engine/engine.h"

static char machine[256];

void
guard_setup(void)
{
	if (gethostname(machine, sizeof(machine) - 1) != 0)
		machine[0] = '\0';
}

/* The host without port and brackets. */
static struct text
host_only(struct text host)
{
	size_t i;

	if (host.n > 0 && host.s[0] == '[') {
		i = text_find(host, ']');
		if (i + 1 < host.n && host.s[i + 1] != ':')
			return host; /* "[::1].a.example" is no address */
		return (struct text){ host.s + 1, i > 0 ? i - 1 : 0 };
	}
	for (i = host.n; i > 0; i--)
		if (host.s[i - 1] == ':')
			return (struct text){ host.s, i - 1 };
	return host;
}

static bool
is_address(struct call *call, struct text host)
{
	unsigned char out[16];
	const char *z = text_z(call->arena, host);

	return inet_pton(AF_INET, z, out) == 1 || inet_pton(AF_INET6, z, out) == 1;
}

/* "a.example", "*.example", "*" */
static bool
name_listed(struct text host, struct text list)
{
	while (list.n > 0) {
		size_t end = text_find(list, ',');
		struct text one = text_trim((struct text){ list.s, end });

		if (text_is(one, "*"))
			return true;
		if (one.n > 1 && one.s[0] == '*' && host.n >= one.n - 1 && text_eq(text_skip(host, host.n - (one.n - 1)), text_skip(one, 1)))
			return true;
		if (one.n > 0 && one.n == host.n && strncasecmp(one.s, host.s, one.n) == 0)
			return true;
		list = text_skip(list, end < list.n ? end + 1 : end);
	}
	return false;
}

static bool
host_allowed(struct call *call)
{
	struct text host = http_header(call->http, "Host");
	struct text name = host_only(host);

	if (name.n == 0 || is_address(call, name) || text_is_nocase(name, "localhost"))
		return true;
	if (text_is_nocase(name, config->host) || (machine[0] != '\0' && text_is_nocase(name, machine)))
		return true;
	return name_listed(name, text_from(config->allowed_hosts));
}

static bool
changes(enum http_method m)
{
	return m != HTTP_M_GET && m != HTTP_M_HEAD && m != HTTP_M_OPTIONS;
}

static bool
json_type(struct text type)
{
	return text_is_nocase(text_trim((struct text){ type.s, text_find(type, ';') }), "application/json");
}

bool
guard_allows(struct call *call)
{
	struct text origin = http_header(call->http, "Origin");
	struct text workspace = http_header(call->http, "X-MLFLOW-WORKSPACE");
	bool page = origin.n > 0 || http_header(call->http, "Sec-Fetch-Site").n > 0;

	if (call->endpoint->access != ACCESS_PUBLIC && !host_allowed(call))
		return call_refuse(call, PERMISSION_DENIED, "Invalid Host header - possible DNS rebinding attack detected. Start the server with --allowed-hosts %.*s if the name is meant.", TEXT_ARG(host_only(http_header(call->http, "Host"))));
	if (origin.n > 0 && changes(call->http->method)) {
		struct text host = http_header(call->http, "Host");
		size_t slashes = text_find(origin, '/');
		struct text from = slashes + 2 <= origin.n ? text_skip(origin, slashes + 2) : TEXT("");

		if (!text_eq(from, host))
			return call_refuse(call, PERMISSION_DENIED, "Cross-origin request blocked: the page at %.*s is not this server.", TEXT_ARG(origin));
	}
	if (workspace.n > 0 && !text_is(workspace, "default"))
		return call_refuse(call, INVALID_PARAMETER_VALUE, "The workspace '%.*s' does not exist: this server has only 'default'.", TEXT_ARG(workspace));
	if (page && call->endpoint->body == BODY_JSON && call->http->content_length != 0 && changes(call->http->method) && !json_type(http_header(call->http, "Content-Type")))
		return call_refuse(call, UNSUPPORTED_MEDIA_TYPE, "Bad Request. Content-Type must be one of ['application/json'].");
	return true;
}

/* One line a message on stderr. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

static enum log_level most = LOG_LEVEL_INFO;
static int as_json;
static const char *who = "tallyd";

void
log_setup(enum log_level level, int json, const char *name)
{
	most = level;
	as_json = json;
	who = name;
}

int
log_wants(enum log_level level)
{
	return level <= most;
}

int
log_due(int64_t *last_ms)
{
	struct timespec t;
	int64_t now_ms;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
	if (*last_ms != 0 && now_ms - *last_ms < 1000)
		return 0;
	*last_ms = now_ms;
	return 1;
}

static void
line_write(enum log_level level, struct text request, const char *format, va_list ap)
{
	static const char *const words[] = { "error", "warn", "info", "debug" };
	char text[2048];
	char when[40];
	struct buf line = { 0 };
	struct timeval now;
	struct tm tm;

	if (vsnprintf(text, sizeof(text), format, ap) < 0)
		return;
	gettimeofday(&now, NULL);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	if (as_json) {
		buf_printf(&line, "{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"process\":\"%s\",", when, (int)(now.tv_usec / 1000), words[level], who);
		if (request.n > 0) {
			buf_puts(&line, "\"request\":");
			buf_json(&line, request);
			buf_byte(&line, ',');
		}
		buf_puts(&line, "\"message\":");
		buf_json(&line, text_from(text));
		buf_puts(&line, "}\n");
	} else {
		buf_printf(&line, "%s.%03dZ %s %s: %s", when, (int)(now.tv_usec / 1000), words[level], who, text);
		if (request.n > 0)
			buf_printf(&line, " [" TEXT_FMT "]", TEXT_ARG(request));
		buf_byte(&line, '\n');
	}
	/* One write, so that lines of several processes do not mix. */
	if (write(STDERR_FILENO, line.s, line.n) < 0) {
		/* Nowhere left to say it. */
	}
	buf_free(&line);
}

void
log_line(enum log_level level, const char *format, ...)
{
	va_list ap;

	if (level > most)
		return;
	va_start(ap, format);
	line_write(level, TEXT_NONE, format, ap);
	va_end(ap);
}

void
log_request(enum log_level level, const char *request, size_t n, const char *format, ...)
{
	va_list ap;

	if (level > most)
		return;
	va_start(ap, format);
	line_write(level, (struct text){ request, n }, format, ap);
	va_end(ap);
}

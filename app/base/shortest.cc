/*
 * Shortest round-trip digits of a double by libstdc++'s std::to_chars (Ryu inside), laid out as Python's repr() does: fixed from 1e-4 to below 1e16; and back by std::from_chars.
 * The one C++ file: C has no such functions; printf with trial digits is ten times slower, strtod takes three times the instructions.
 */
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

extern "C" {
#include "base/shortest.h"
}

static size_t
put(char *out, const char *s)
{
	size_t n = std::strlen(s);

	std::memcpy(out, s, n);
	return n;
}

size_t
shortest_double(double v, char *out)
{
	char raw[40];
	char digits[24] = {};
	size_t count = 0;
	size_t n = 0;
	int exponent;
	const char *p = raw;

	if (std::isnan(v))
		return put(out, "\"NaN\"");
	if (std::isinf(v))
		return put(out, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	auto end = std::to_chars(raw, raw + sizeof(raw) - 1, v, std::chars_format::scientific);
	*end.ptr = '\0';
	if (*p == '-') {
		out[n++] = '-';
		p++;
	}
	for (; *p != 'e'; p++)
		if (*p != '.')
			digits[count++] = *p;
	exponent = static_cast<int>(std::strtol(p + 1, nullptr, 10));
	if (exponent < -4 || exponent >= 16) {
		out[n++] = digits[0];
		if (count > 1) {
			out[n++] = '.';
			std::memcpy(out + n, digits + 1, count - 1);
			n += count - 1;
		}
		n += put(out + n, p);
		return n;
	}
	if (exponent < 0) {
		n += put(out + n, "0.");
		for (int i = -1; i > exponent; i--)
			out[n++] = '0';
		std::memcpy(out + n, digits, count);
		return n + count;
	}
	for (size_t i = 0; i <= static_cast<size_t>(exponent); i++)
		out[n++] = i < count ? digits[i] : '0';
	out[n++] = '.';
	if (count <= static_cast<size_t>(exponent) + 1) {
		out[n++] = '0';
		return n;
	}
	std::memcpy(out + n, digits + exponent + 1, count - static_cast<size_t>(exponent) - 1);
	return n + count - static_cast<size_t>(exponent) - 1;
}

bool
shortest_read(const char *s, size_t n, double *out)
{
	const char *end = s + n;
	const char *from = n > 1 && s[0] == '+' && s[1] != '-' && s[1] != '+' ? s + 1 : s;
	auto got = std::from_chars(from, end, *out);

	if (got.ec == std::errc::result_out_of_range) {
		/* Beyond a double: infinity or zero, with strtod's sign. */
		char digits[400];

		if (n >= sizeof(digits))
			return false;
		std::memcpy(digits, s, n);
		digits[n] = '\0';
		*out = std::strtod(digits, nullptr);
	} else if (got.ec != std::errc()) {
		return false;
	}
	return got.ptr == end;
}

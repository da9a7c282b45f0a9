/* What a request costs without a database, for tests/api/test_cost.py, which counts instructions: `cost_cli parse N` reads and binds a log-batch of 1000 metrics N times, `cost_cli print N` writes 1000
 * points as JSON N times. */
#include "../fuzz/fuzz_bind.c"

#include <string.h>

static size_t
row_number(const char *path)
{
	size_t n = 0;

	for (size_t t = 0; t < endpoint_table_count; t++)
		for (size_t i = 0; i < endpoint_tables[t]->count; i++, n++)
			if (strcmp(endpoint_tables[t]->rows[i].path, path) == 0)
				return n;
	abort();
}

/* Two bytes: the row; one: a body follows. */
static struct buf
batch(void)
{
	size_t number = row_number("mlflow/runs/log-batch");
	struct buf b = { 0 };

	buf_byte(&b, (char)(number >> 8));
	buf_byte(&b, (char)(number & 0xff));
	buf_byte(&b, 0);
	buf_puts(&b, "{\"run_id\":\"0123456789abcdef0123456789abcdef\",\"metrics\":[");
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%s{\"key\": \"key_%d\", \"value\": %.17g, \"timestamp\": %lld, \"step\": %d}", i > 0 ? ", " : "", i % 10, (double)i / 7, 1700000000000 + (long long)i * 1000, i);
	buf_puts(&b, "]}");
	return b;
}

static void
print(void)
{
	struct buf b = { 0 };

	for (int i = 0; i < 1000; i++) {
		buf_puts(&b, ",{\"key\":");
		buf_json(&b, TEXT("validation/loss"));
		buf_puts(&b, ",\"value\":");
		wire_double(&b, (double)i / 7);
		buf_puts(&b, ",\"timestamp\":");
		buf_int(&b, 1700000000000 + (int64_t)i * 1000);
		buf_puts(&b, ",\"step\":");
		buf_int(&b, i);
		buf_byte(&b, '}');
	}
	buf_free(&b);
}

int
main(int argc, char **argv)
{
	long times = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	struct buf body = batch();

	if (argc != 3)
		return 2;
	for (long i = 0; i < times; i++) {
		if (strcmp(argv[1], "parse") == 0)
			LLVMFuzzerTestOneInput((const uint8_t *)buf_view(&body).s, buf_view(&body).n);
		else
			print();
	}
	buf_free(&body);
	return 0;
}

/* The cache of runs' numbers: right or silent, whatever it is told, beyond its room too. */
#include <stdio.h>
#include <stdlib.h>

#include "api/run_numbers.h"

#define CHECK(x) ((x) ? (void)0 : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x), exit(1)))

enum { MANY = 50000 };

static struct text
id(char room[33], int i)
{
	snprintf(room, 33, "%032x", (unsigned)i * 2654435761u);
	return (struct text){ room, 32 };
}

/* How many of the first n it knows; each with its own number. */
static int
known(int n)
{
	char room[33];
	int64_t number;
	int count = 0;

	for (int i = 0; i < n; i++)
		if (run_number(id(room, i), &number)) {
			CHECK(number == i + 1);
			count++;
		}
	return count;
}

int
main(void)
{
	char room[33];
	int64_t number;

	CHECK(known(10) == 0);
	run_numbers_forget();
	for (int i = 0; i < 1000; i++)
		run_number_learn(id(room, i), i + 1, 7);
	CHECK(known(2000) == 1000 && run_numbers_changes() == 7);
	run_number_learn(id(room, 1000), 1001, 8);
	CHECK(known(2000) == 1 && run_numbers_changes() == 8);
	for (int i = 0; i < MANY; i++) {
		run_number_learn(id(room, i), i + 1, 8);
		CHECK(run_number(id(room, i), &number) && number == i + 1);
	}
	CHECK(known(MANY) > 0 && known(MANY) < MANY);
	run_number_learn(TEXT("short"), 5, 8);
	CHECK(!run_number(TEXT("short"), &number) && !run_number(TEXT(""), &number));
	run_numbers_forget();
	CHECK(known(MANY) == 0);
	printf("ok run_numbers\n");
	return 0;
}

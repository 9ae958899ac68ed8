/*
 * All fuzz targets in one program. Which one runs says the name that it is called
 * by, "fuzz-NAME", or the environment's FUZZ_TARGET.
 *
 * Driven by libFuzzer it has libFuzzer's options; by AFL++ it takes inputs from
 * shared memory or standard input. By itself it is one of the tests: it runs every
 * input of every corpus file (corpus/NAME, see corpus.py) and prints TAP; and files
 * named as arguments, each one input as it is.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define X(name) void fuzz_##name(struct input *in);
FUZZ_TARGETS
#undef X

static const struct target {
	const char *name;
	void (*run)(struct input *in);
} targets[] = {
#define X(name) { #name, fuzz_##name },
	FUZZ_TARGETS
#undef X
};

enum { TARGETS = sizeof targets / sizeof targets[0] };

static const struct target *
target_named(const char *name)
{
	size_t i;

	for (i = 0; i < TARGETS; i++)
		if (strcmp(targets[i].name, name) == 0)
			return &targets[i];
	fprintf(stderr, "no fuzz target: %s\n", name);
	exit(2);
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const struct target *
target_of(const char *program)
{
	const char *name = getenv("FUZZ_TARGET");

	if (name == NULL && strncmp(base_name(program), "fuzz-", 5) == 0)
		name = base_name(program) + 5;
	return target_named(name ? name : "");
}

static void
run(const struct target *t, const void *data, size_t n)
{
	struct input in = { .n = n };
	unsigned char *copy = malloc(n ? n : 1);	/* of just that size */

	CHECK(copy != NULL);
	if (n > 0)
		memcpy(copy, data, n);
	in.p = copy;
	t->run(&in);
	free(copy);
}

#if defined(FUZZ_LIBFUZZER)

static const struct target *chosen;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	chosen = target_of(**argv);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	run(chosen, data, n);
	return 0;
}

#elif defined(__AFL_COMPILER)

__AFL_FUZZ_INIT();

int
main(int argc, char **argv)
{
	const struct target *t = target_of(argv[0]);
	unsigned char *data;

	(void)argc;
	__AFL_INIT();
	data = __AFL_FUZZ_TESTCASE_BUF;
	while (__AFL_LOOP(10000))
		run(t, data, (size_t)__AFL_FUZZ_TESTCASE_LEN);
	return 0;
}

#else

static void
read_file(const char *path, struct buf *out)
{
	char block[4096];
	ssize_t n;
	int fd = open(path, O_RDONLY);

	while ((n = read(fd, block, sizeof block)) > 0)
		buf_add(out, block, (size_t)n);
	if (fd < 0 || n < 0) {
		perror(path);
		exit(2);
	}
	close(fd);
}

static int
digit(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, c);

	CHECK(c != '\0' && at != NULL);
	return (int)(at - digits);
}

/* One line of a corpus file: \\ \n \r \t \xHH, all else as it stands. */
static void
unescape(const char *p, const char *end, struct buf *out)
{
	static const char from[] = "\\nrt", to[] = "\\\n\r\t";
	const char *at;

	for (; p < end; p++)
		if (*p != '\\')
			buf_addc(out, *p);
		else if (p[1] == 'x' && p + 3 < end) {
			buf_addc(out, (char)(digit(p[2]) << 4 | digit(p[3])));
			p += 3;
		} else {
			at = strchr(from, *++p);
			CHECK(p < end && *p != '\0' && at != NULL);
			buf_addc(out, to[at - from]);
		}
}

/* Where it was when it died. */
static struct { const char *name; size_t line; } now;

/* Not in a build that only counts. */
void __sanitizer_set_death_callback(void (*tell)(void)) __attribute__((weak));
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "handle_abort=1:detect_leaks=1";
}

static void
tell(void)
{
	dprintf(STDERR_FILENO, "fuzz: target %s, input %zu\n", now.name,
	    now.line);
}

static size_t
run_corpus(const struct target *t, const struct buf *file)
{
	const char *p = buf_str(file), *end;
	struct buf text = { 0 };
	size_t n = 0;

	now.name = t->name;
	now.line = 0;
	for (; *p; p = end + 1) {
		now.line++;
		end = strchr(p, '\n');
		CHECK(end != NULL);
		if (*p == '#')
			continue;
		buf_reset(&text);
		unescape(p, end, &text);
		run(t, buf_str(&text), text.len);
		n++;
	}
	buf_free(&text);
	return n;
}

int
main(int argc, char **argv)
{
	struct buf file = { 0 };
	char path[200];
	size_t n;
	int i;

	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(tell);
	for (i = 1; i < argc; i++) {
		buf_reset(&file);
		read_file(argv[i], &file);
		run(target_of(argv[0]), buf_str(&file), file.len);
	}
	for (i = 0; argc == 1 && i < TARGETS; i++) {
		snprintf(path, sizeof path, "tests/fuzz/corpus/%s",
		    targets[i].name);
		buf_reset(&file);
		read_file(path, &file);
		n = run_corpus(&targets[i], &file);
		printf("%sok %d - %s: %zu inputs\n", n > 0 ? "" : "not ", i + 1,
		    targets[i].name, n);
		fflush(stdout);
	}
	if (argc == 1)
		printf("1..%d\n", TARGETS);
	buf_free(&file);
	return 0;
}

#endif

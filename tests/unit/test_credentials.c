/* Where AWS credentials come from, what is said when there are none, ini files. */
#include "lib/aws/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/aws/endpoint.h"
#include "lib/aws/ini.h"
#include "lib/base/buf.h"

/* What no text may ever show. */
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define ENV_SECRET "environ/secret+EXAMPLE"
/* What web identity answers in between, and container and EC2 at the end. */
#define WEB "web identity: no AWS_WEB_IDENTITY_TOKEN_FILE; "
#define LATER "; container: no AWS_CONTAINER_CREDENTIALS_*; EC2: " \
    "disabled"

enum { VARIABLES_MAX = 32, PATH_SIZE = 256, NOBODY = 65534 };

/* A home of our own, an environment of our own, a route. */
static char home[128];
static struct { const char *name, *value; } variables[VARIABLES_MAX];
static size_t nvariables;

static const char *
fake_env(const char *name)
{
	size_t i = nvariables;

	while (i-- > 0)
		if (strcmp(variables[i].name, name) == 0)
			return variables[i].value;
	return NULL;
}

/* The last setting counts; NULL unsets. */
static void
set(const char *name, const char *value)
{
	assert_true(nvariables < VARIABLES_MAX);
	variables[nvariables].name = name;
	variables[nvariables++].value = value;
}

static void
in_home(char path[PATH_SIZE], const char *name)
{
	snprintf(path, PATH_SIZE, "%s/%s", home, name);
}

static void
put_bytes(const char *name, const char *text, size_t n)
{
	char path[PATH_SIZE];
	FILE *f;

	in_home(path, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void
put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

static const char *const files[] = { ".aws/credentials", ".aws/config",
    "other", "odd" };

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char path[PATH_SIZE];

	(void)state;
	snprintf(home, sizeof home, "%s/credentials.XXXXXX",
	    tmp != NULL && strlen(tmp) < 64 ? tmp : "/tmp");
	if (mkdtemp(home) == NULL)
		return -1;
	in_home(path, ".aws");
	nvariables = 0;
	set("HOME", home);
	set("AWS_EC2_METADATA_DISABLED", "true");
	return mkdir(path, 0700);
}

static int
teardown(void **state)
{
	char path[PATH_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof files / sizeof files[0]; i++) {
		in_home(path, files[i]);
		if (unlink(path) != 0)
			rmdir(path);
	}
	in_home(path, ".aws");
	rmdir(path);
	return rmdir(home);
}

static struct route
route_of(enum route_credentials mode)
{
	static char name[] = "ses";

	return (struct route){ .type = ROUTE_SES, .name = name,
	    .credentials = mode };
}

/* `want` with every "~" in it replaced by the home. */
static void
assert_text(const char *got, const char *want)
{
	struct buf b = { 0 };

	for (; *want != '\0'; want++)
		if (*want == '~')
			buf_adds(&b, home);
		else
			buf_addc(&b, *want);
	assert_string_equal(got, buf_str(&b));
	buf_free(&b);
}

static void
assert_same(const char *got, const char *want)
{
	if (want == NULL)
		assert_null(got);
	else {
		assert_non_null(got);
		assert_string_equal(got, want);
	}
}

static int
find(const struct route *r, env_lookup env, struct credentials *c,
    struct result *res)
{
	static char region[] = "eu-west-1";
	struct config config = { 0 };
	struct log log = { .target = LOG_TO_NONE, .fd = -1 };
	struct aws a = { .route = r, .config = &config, .env = env,
		.log = &log, .region = region };

	return credentials_find(&a, false, c, res);
}

static void
finds_with(const struct route *r, env_lookup env, const char *id,
    const char *secret, const char *token, const char *source)
{
	struct credentials c;
	struct result res = { 0 };

	if (find(r, env, &c, &res) != 0)
		fail_msg("not found: %s", res.text);
	assert_same(c.access_key_id, id);
	assert_same(c.secret_access_key, secret);
	assert_same(c.session_token, token);
	assert_text(c.source, source);
	credentials_free(&c);
	assert_null(c.secret_access_key);
}

static void
finds(const struct route *r, const char *id, const char *secret,
    const char *token, const char *source)
{
	finds_with(r, fake_env, id, secret, token, source);
}

/* An operator's fault: tried again, never bounced, may fail over. */
static void
fails_with(const struct route *r, env_lookup env, int exit_status,
    const char *text)
{
	struct credentials c;
	struct result res = { 0 };

	assert_int_equal(find(r, env, &c, &res), -1);
	assert_text(res.text, text);
	assert_int_equal(res.outcome, OUT_TEMP);
	assert_int_equal(res.cause, CAUSE_OPERATOR);
	assert_int_equal(res.exit, exit_status);
	assert_true(result_may_fail_over(&res));
	assert_null(strstr(res.text, SECRET));
	assert_null(strstr(res.text, ENV_SECRET));
	assert_null(c.access_key_id);
	assert_null(c.secret_access_key);
	assert_null(c.session_token);
	credentials_free(&c);
}

static void
fails(const struct route *r, const char *text)
{
	fails_with(r, fake_env, 0, text);
}

static void
put_default_keys(void)
{
	put(".aws/credentials", "[default]\naws_access_key_id = AKIAFILE\n"
	    "aws_secret_access_key = " SECRET "\n");
}

static void
set_environment_keys(void)
{
	set("AWS_ACCESS_KEY_ID", "AKIAENV");
	set("AWS_SECRET_ACCESS_KEY", ENV_SECRET);
}

/* --- the route's own keys -------------------------------------------------- */

static char route_id[] = "AKIAROUTE", route_secret[] = SECRET,
    route_token[] = "token==";

static void
the_route_s_keys_win_in_every_mode(void **state)
{
	static const enum route_credentials modes[] = { CRED_AUTO, CRED_ENV,
	    CRED_FILE, CRED_STATIC };
	struct route r;
	size_t i;

	(void)state;
	put_default_keys();
	set_environment_keys();
	set("AWS_SESSION_TOKEN", "not this one");
	for (i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		r = route_of(modes[i]);
		r.access_key_id = route_id;
		r.secret_access_key.value = route_secret;
		finds(&r, route_id, SECRET, NULL, "the configuration");
		finds_with(&r, NULL, route_id, SECRET, NULL,
		    "the configuration");
		r.session_token = route_token;
		finds(&r, route_id, SECRET, "token==", "the configuration");
	}
}

static void
half_of_the_route_s_keys_is_an_error(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	set_environment_keys();
	r.access_key_id = route_id;
	fails(&r, "secret-access-key is not given");
}

static void
static_asks_nobody_else(void **state)
{
	struct route r = route_of(CRED_STATIC);

	(void)state;
	put_default_keys();
	set_environment_keys();
	fails(&r, "no AWS credentials: ");
}

/* The reason that was seen when the secret's file was opened is passed on. */
static void
a_secret_that_could_not_be_read_is_reported(void **state)
{
	struct route r = route_of(CRED_AUTO);
	struct credentials c;
	struct result res = { 0 };

	(void)state;
	r.access_key_id = route_id;
	r.secret_access_key.file = route_token;
	result_set(&r.secret_access_key.err, OUT_TEMP, CAUSE_OPERATOR,
	    "no such secret");
	r.secret_access_key.err.exit = EXIT_NOPERM;
	assert_int_equal(find(&r, fake_env, &c, &res), -1);
	assert_string_equal(res.text, "no such secret");
	assert_int_equal(res.exit, EXIT_NOPERM);
	assert_null(c.access_key_id);
}

/* --- environment ----------------------------------------------------------- */

static void
the_environment_comes_before_files(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put_default_keys();
	set_environment_keys();
	finds(&r, "AKIAENV", ENV_SECRET, NULL, "the environment");
	set("AWS_SESSION_TOKEN", "tok");
	finds(&r, "AKIAENV", ENV_SECRET, "tok", "the environment");
	/* As in the CLI: only a profile asked for by the user's word skips it. */
	set("AWS_PROFILE", "default");
	finds(&r, "AKIAENV", ENV_SECRET, "tok", "the environment");
	r.credentials = CRED_ENV;
	finds(&r, "AKIAENV", ENV_SECRET, "tok", "the environment");
}

static void
empty_variables_count_as_unset(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put_default_keys();
	set("AWS_ACCESS_KEY_ID", "");
	set("AWS_SECRET_ACCESS_KEY", "");
	set("AWS_PROFILE", "");
	set("AWS_SHARED_CREDENTIALS_FILE", "");
	finds(&r, "AKIAFILE", SECRET, NULL,
	    "profile default in ~/.aws/credentials");
	set_environment_keys();
	set("AWS_SESSION_TOKEN", "");
	finds(&r, "AKIAENV", ENV_SECRET, NULL, "the environment");
}

static void
half_of_the_keys_in_the_environment_is_an_error(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put_default_keys();
	set("AWS_ACCESS_KEY_ID", "AKIAENV");
	fails(&r, "AWS credentials: AWS_SECRET_ACCESS_KEY of the environment "
	    "is missing");
	set("AWS_ACCESS_KEY_ID", NULL);
	set("AWS_SECRET_ACCESS_KEY", ENV_SECRET);
	set("AWS_ACCESS_KEY_ID", "");
	fails(&r, "AWS credentials: AWS_ACCESS_KEY_ID of the environment is "
	    "missing");
}

static void
mode_env_looks_at_no_file(void **state)
{
	struct route r = route_of(CRED_ENV);

	(void)state;
	put_default_keys();
	fails(&r, "no AWS credentials: environment: no AWS_ACCESS_KEY_ID; "
	    "web identity: no AWS_WEB_IDENTITY_TOKEN_FILE");
}

static void
mode_file_looks_at_no_key_in_the_environment(void **state)
{
	struct route r = route_of(CRED_FILE);

	(void)state;
	put_default_keys();
	set_environment_keys();
	finds(&r, "AKIAFILE", SECRET, NULL,
	    "profile default in ~/.aws/credentials");
}

static void
a_profile_of_the_route_skips_the_environment(void **state)
{
	static char mail[] = "mail";
	struct route r = route_of(CRED_AUTO);

	(void)state;
	set_environment_keys();
	set("AWS_PROFILE", "default");
	put(".aws/credentials", "[mail]\naws_access_key_id=AKIAMAIL\n"
	    "aws_secret_access_key=" SECRET "\n");
	r.profile = mail;
	finds(&r, "AKIAMAIL", SECRET, NULL,
	    "profile mail in ~/.aws/credentials");
	r.credentials = CRED_ENV;
	fails(&r, "no AWS credentials: environment: skipped, the route has a "
	    "profile; web identity: no AWS_WEB_IDENTITY_TOKEN_FILE");
}

static void
with_set_id_privilege_only_the_route_counts(void **state)
{
	static char mail[] = "mail";
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put_default_keys();
	set_environment_keys();
	r.credentials = CRED_FILE;
	fails_with(&r, NULL, 0, "no AWS credentials: environment and user "
	    "files: not looked at with set-id privilege");
	r.credentials = CRED_CONTAINER;
	fails_with(&r, NULL, 0, "no AWS credentials: environment and user "
	    "files: not looked at with set-id privilege");
	/* The machine's own role is not what was asked for either. */
	r.credentials = CRED_AUTO;
	r.profile = mail;
	fails_with(&r, NULL, 0, "no AWS credentials: environment and user "
	    "files: not looked at with set-id privilege");
}

/* --- keys that cannot be used ---------------------------------------------- */

static void
keys_that_would_break_a_header_are_refused(void **state)
{
	static const struct { const char *variable, *value; } table[] = {
		{ "AWS_ACCESS_KEY_ID", "AKIA ENV" },
		{ "AWS_ACCESS_KEY_ID", "AKIA\tENV" },
		{ "AWS_SECRET_ACCESS_KEY", ENV_SECRET "\n" },
		{ "AWS_SECRET_ACCESS_KEY", ENV_SECRET "\r\nX-Evil: yes" },
		{ "AWS_SECRET_ACCESS_KEY", " " ENV_SECRET },
		{ "AWS_SECRET_ACCESS_KEY", ENV_SECRET "\x7f" },
		{ "AWS_SECRET_ACCESS_KEY", ENV_SECRET "\xc3\xa9" },
		{ "AWS_SESSION_TOKEN", ENV_SECRET "\x01" }
	};
	struct route r = route_of(CRED_AUTO);
	char want[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof table / sizeof table[0]; i++) {
		nvariables = 2;		/* HOME stays */
		set_environment_keys();
		set(table[i].variable, table[i].value);
		snprintf(want, sizeof want, "AWS credentials: %s of "
		    "the environment holds a blank, a control character or one "
		    "that is not ASCII", table[i].variable);
		fails(&r, want);
	}
}

static void
keys_in_files_are_checked_too(void **state)
{
	static const char with_nul[] = "[default]\naws_access_key_id=AKIA\0X\n"
	    "aws_secret_access_key=" SECRET "\n";
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put(".aws/credentials", "[default]\naws_access_key_id=AKIA\n"
	    "aws_secret_access_key=" SECRET " two\n");
	fails(&r, "AWS credentials: aws_secret_access_key of profile "
	    "default in ~/.aws/credentials holds a blank, a control character "
	    "or one that is not ASCII");
	put_bytes(".aws/credentials", with_nul, sizeof with_nul - 1);
	fails(&r, "AWS credentials: aws_access_key_id of profile "
	    "default in ~/.aws/credentials holds a blank, a control character "
	    "or one that is not ASCII");
}

static void
keys_of_the_route_are_checked_too(void **state)
{
	static char bad[] = "to ken", none[] = "";
	struct route r = route_of(CRED_STATIC);

	(void)state;
	r.access_key_id = route_id;
	r.secret_access_key.value = route_secret;
	r.session_token = bad;
	fails(&r, "AWS credentials: session-token of the "
	    "configuration holds a blank, a control character or one that is "
	    "not ASCII");
	r.session_token = none;
	fails(&r, "AWS credentials: session-token of the "
	    "configuration is empty");
}

/* --- files ----------------------------------------------------------------- */

static void
the_config_file_has_keys_too(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put(".aws/config", "[default]\naws_access_key_id=AKIACONF\n"
	    "aws_secret_access_key=" SECRET "\naws_session_token=tok\n"
	    "[profile mail]\naws_access_key_id=AKIAMAIL\n"
	    "aws_secret_access_key=" SECRET "\n"
	    "[bare]\naws_access_key_id=AKIABARE\n"
	    "aws_secret_access_key=" SECRET "\n");
	finds(&r, "AKIACONF", SECRET, "tok", "profile default in ~/.aws/config");
	set("AWS_DEFAULT_PROFILE", "mail");
	finds(&r, "AKIAMAIL", SECRET, NULL, "profile mail in ~/.aws/config");
	set("AWS_PROFILE", "default");
	finds(&r, "AKIACONF", SECRET, "tok", "profile default in ~/.aws/config");
	set("AWS_PROFILE", "bare");
	fails(&r, "no AWS credentials: environment: no "
	    "AWS_ACCESS_KEY_ID; ~/.aws/credentials: no such file; "
	    "~/.aws/config: no [profile bare]");
}

static void
profile_default_comes_before_default(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put(".aws/config", "[profile default]\naws_access_key_id=AKIAONE\n"
	    "aws_secret_access_key=" SECRET "\n[default]\n"
	    "aws_access_key_id=AKIATWO\naws_secret_access_key=" SECRET "\n");
	finds(&r, "AKIAONE", SECRET, NULL, "profile default in ~/.aws/config");
}

static void
the_credentials_file_wins_per_key(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put(".aws/config", "[default]\naws_access_key_id=AKIACONF\n"
	    "aws_secret_access_key=" SECRET "\naws_session_token=confrag\n");
	put(".aws/credentials", "[default]\naws_access_key_id=AKIASHARED\n");
	finds(&r, "AKIASHARED", SECRET, "confrag",
	    "profile default in ~/.aws/credentials");
	put(".aws/credentials", "[default]\naws_secret_access_key=shared\n");
	finds(&r, "AKIACONF", "shared", "confrag",
	    "profile default in ~/.aws/config");
	put(".aws/credentials", "[default]\naws_secret_access_key=shared\n"
	    "aws_session_token=sharedtok\n");
	finds(&r, "AKIACONF", "shared", "sharedtok",
	    "profile default in ~/.aws/config");
	put(".aws/credentials", "[default]\naws_access_key_id=\n");
	finds(&r, "AKIACONF", SECRET, "confrag",
	    "profile default in ~/.aws/config");
}

/* A token of other keys would spoil both. */
static void
a_token_stays_with_its_keys(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put_default_keys();
	put(".aws/config", "[default]\naws_access_key_id=AKIACONF\n"
	    "aws_secret_access_key=other\naws_session_token=othertok\n");
	finds(&r, "AKIAFILE", SECRET, NULL,
	    "profile default in ~/.aws/credentials");
	put(".aws/credentials", "[default]\naws_session_token=stray\n");
	finds(&r, "AKIACONF", "other", "othertok",
	    "profile default in ~/.aws/config");
	put(".aws/config", "[default]\naws_access_key_id=AKIACONF\n"
	    "aws_secret_access_key=other\naws_session_token=\n");
	finds(&r, "AKIACONF", "other", NULL, "profile default in ~/.aws/config");
}

static void
half_of_the_keys_in_a_profile_is_an_error(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put(".aws/credentials", "[default]\naws_access_key_id=AKIA\n");
	put(".aws/config", "[default]\nregion=eu-west-1\n");
	fails(&r, "AWS credentials: aws_secret_access_key of profile default "
	    "in ~/.aws/credentials is missing");
	put(".aws/credentials", "");
	put(".aws/config", "[default]\naws_secret_access_key=" SECRET "\n");
	fails(&r, "AWS credentials: aws_access_key_id of profile default in "
	    "~/.aws/config is missing");
}

static void
variables_name_the_files_and_a_tilde_is_home(void **state)
{
	char path[PATH_SIZE];
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put_default_keys();
	put("other", "[default]\naws_access_key_id=AKIAOTHER\n"
	    "aws_secret_access_key=" SECRET "\n");
	in_home(path, "other");
	set("AWS_SHARED_CREDENTIALS_FILE", path);
	finds(&r, "AKIAOTHER", SECRET, NULL, "profile default in ~/other");
	set("AWS_SHARED_CREDENTIALS_FILE", "~/other");
	finds(&r, "AKIAOTHER", SECRET, NULL, "profile default in ~/other");
	set("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
	set("AWS_CONFIG_FILE", "~/other");
	finds(&r, "AKIAOTHER", SECRET, NULL, "profile default in ~/other");
}

/* What a "~" at the start of another word means is for shells to know. */
static void
only_a_lone_tilde_is_expanded(void **state)
{
	struct route r = route_of(CRED_FILE);
	struct credentials c;
	struct result res = { 0 };

	(void)state;
	set("AWS_SHARED_CREDENTIALS_FILE", "~nobody/x");
	set("AWS_CONFIG_FILE", "/nowhere/~/x");
	assert_int_equal(find(&r, fake_env, &c, &res), -1);
	assert_string_equal(res.text, "no AWS credentials: "
	    "~nobody/x: no such file; /nowhere/~/x: no such file");
}

static void
without_a_home_the_usual_files_are_not_found(void **state)
{
	struct route r = route_of(CRED_FILE);
	struct credentials c;
	struct result res = { 0 };

	(void)state;
	put_default_keys();
	set("HOME", NULL);
	assert_int_equal(find(&r, fake_env, &c, &res), -1);
	assert_string_equal(res.text, "no AWS credentials: "
	    "~/.aws/credentials: HOME is not set; ~/.aws/config: HOME is not "
	    "set");
}

/* --- nothing found --------------------------------------------------------- */

static void
every_source_says_why_it_has_nothing(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	fails(&r, "no AWS credentials: environment: no AWS_ACCESS_KEY_ID; " WEB
	    "~/.aws/credentials: no such file; ~/.aws/config: no such file"
	    LATER);
	put(".aws/credentials", "[mail]\n");
	put(".aws/config", "[default]\nregion = eu-west-1\n");
	fails(&r, "no AWS credentials: environment: no AWS_ACCESS_KEY_ID; " WEB
	    "~/.aws/credentials: no [default]; ~/.aws/config: no keys in "
	    "[default]" LATER);
	set("AWS_PROFILE", "mail");
	fails(&r, "no AWS credentials: environment: no AWS_ACCESS_KEY_ID; " WEB
	    "~/.aws/credentials: no keys in [mail]; ~/.aws/config: no "
	    "[profile mail]" LATER);
	r.credentials = CRED_FILE;
	fails(&r, "no AWS credentials: "
	    "~/.aws/credentials: no keys in [mail]; "
	    "~/.aws/config: no [profile mail]");
}

static void
an_unreadable_file_is_told_with_status_77(void **state)
{
	struct route r = route_of(CRED_FILE);
	char path[PATH_SIZE];

	(void)state;
	in_home(path, ".aws/credentials");
	assert_int_equal(mkdir(path, 0700), 0);
	fails_with(&r, fake_env, EXIT_NOPERM, "no AWS credentials: "
	    "~/.aws/credentials: Is a directory; ~/.aws/config: no such file");
	put(".aws/config", "[default]\naws_access_key_id=AKIACONF\n"
	    "aws_secret_access_key=" SECRET "\n");
	finds(&r, "AKIACONF", SECRET, NULL, "profile default in ~/.aws/config");
}

static void
a_file_that_may_not_be_read_is_told_with_status_77(void **state)
{
	struct route r = route_of(CRED_FILE);
	int here = open(".", O_RDONLY);
	bool root = geteuid() == 0, reached;
	char path[PATH_SIZE];

	(void)state;
	put_default_keys();
	in_home(path, ".aws/credentials");
	assert_int_equal(chmod(path, 0), 0);
	in_home(path, ".aws");
	assert_int_equal(chmod(home, 0755) | chmod(path, 0755), 0);
	/* To root everything is readable. */
	if (root)
		assert_int_equal(seteuid(NOBODY), 0);
	reached = chdir(path) == 0;
	if (reached)
		fails_with(&r, fake_env, EXIT_NOPERM, "no AWS "
		    "credentials: ~/.aws/credentials: Permission denied; "
		    "~/.aws/config: no such file");
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(fchdir(here), 0);
	close(here);
	if (!reached)
		skip();		/* the temporary folder lies in a private one */
}

static void
sources_that_want_a_person_are_named(void **state)
{
	static const char *const keys[] = { "sso_session", "sso_start_url",
		"login_session" };
	struct route r = route_of(CRED_FILE);
	char text[100];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		snprintf(text, sizeof text, "[default]\n%s = x\n", keys[i]);
		put(".aws/config", text);
		fails(&r, "AWS credentials: profile default has sso_* or "
		    "login_session, which are not supported; expected keys, "
		    "role_arn or credential_process");
	}
	put_default_keys();
	finds(&r, "AKIAFILE", SECRET, NULL,
	    "profile default in ~/.aws/credentials");
}

/* Not even with keys beside it: those belong to somebody else. */
static void
a_role_is_not_replaced_by_the_keys_beside_it(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put_default_keys();
	put(".aws/config", "[default]\nrole_arn = arn:aws:iam::1:role/x\n");
	fails(&r, "AWS credentials: profile default has role_arn and not one "
	    "of source_profile and credential_source");
	put(".aws/config", "[default]\nrole_arn = arn:aws:iam::1:role/x\n"
	    "web_identity_token_file = /nowhere/t\n");
	fails(&r, "AWS credentials: web identity token /nowhere/t cannot be "
	    "read: No such file or directory");
	set_environment_keys();
	finds(&r, "AKIAENV", ENV_SECRET, NULL, "the environment");
}

/* --- region ---------------------------------------------------------------- */

static char *
region_of(const struct route *r, env_lookup env, struct result *res)
{
	struct aws a = { .route = r, .env = env };
	struct profile p = { 0 };
	char *region;

	profile_read(&p, &a);
	region = endpoint_region(&a, &p, res);
	profile_free(&p);
	return region;
}

static void
has_region(const struct route *r, env_lookup env, const char *want)
{
	struct result res = { 0 };
	char *region = region_of(r, env, &res);

	if (region == NULL)
		fail_msg("no region: %s", res.text);
	assert_string_equal(region, want);
	free(region);
}

static void
no_region(const struct route *r, env_lookup env, const char *text)
{
	struct result res = { 0 };

	assert_null(region_of(r, env, &res));
	assert_text(res.text, text);
	assert_int_equal(res.exit, EXIT_CONFIGURATION);
	assert_int_equal(res.outcome, OUT_TEMP);
	assert_int_equal(res.cause, CAUSE_OPERATOR);
}

static void
the_region_is_looked_for_in_order(void **state)
{
	static char own[] = "eu-central-1", mail[] = "mail";
	struct route r = route_of(CRED_AUTO);

	(void)state;
	put(".aws/config", "[default]\nregion = eu-west-1 # Dublin\n"
	    "[profile mail]\nregion = eu-west-2\n");
	has_region(&r, fake_env, "eu-west-1");
	put(".aws/credentials", "[default]\nregion=eu-west-3\n");
	has_region(&r, fake_env, "eu-west-3");
	r.profile = mail;
	has_region(&r, fake_env, "eu-west-2");
	set("AWS_DEFAULT_REGION", "us-east-1");
	has_region(&r, fake_env, "us-east-1");
	set("AWS_REGION", "us-east-2");
	has_region(&r, fake_env, "us-east-2");
	set("AWS_REGION", "");
	has_region(&r, fake_env, "us-east-1");
	r.region = own;
	has_region(&r, fake_env, "eu-central-1");
	has_region(&r, NULL, "eu-central-1");
}

static void
no_region_anywhere_is_a_configuration_error(void **state)
{
	struct route r = route_of(CRED_AUTO);
	char path[PATH_SIZE];

	(void)state;
	no_region(&r, fake_env, "no region: expected `region`, "
	    "AWS_REGION or a region in profile default");
	in_home(path, ".aws/config");
	assert_int_equal(mkdir(path, 0700), 0);
	no_region(&r, fake_env, "no region: expected `region`, "
	    "AWS_REGION or a region in profile default; ~/.aws/config: Is a "
	    "directory");
	set("AWS_REGION", "eu-west-1");
	no_region(&r, NULL, "no region: expected `region`, "
	    "AWS_REGION or a region in profile default");
}

static void
what_cannot_be_a_region_is_refused(void **state)
{
	struct route r = route_of(CRED_AUTO);

	(void)state;
	set("AWS_REGION", "eu-west-1.evil.example/");
	no_region(&r, fake_env, "\"eu-west-1.evil.example/\" in "
	    "AWS_REGION is not the name of a region");
	set("AWS_REGION", "eu-west-1\r\nX: y");
	no_region(&r, fake_env, "\"eu-west-1\?\?X: y\" in "
	    "AWS_REGION is not the name of a region");
	set("AWS_REGION", "a23456789012345678901234567890"
	    "123456789012345678901234567890123");
	has_region(&r, fake_env, "a23456789012345678901234567890"
	    "123456789012345678901234567890123");
	set("AWS_REGION", "a23456789012345678901234567890"
	    "1234567890123456789012345678901234");
	no_region(&r, fake_env, "\"a23456789012345678901234567890"
	    "1234567890123456789012345678901234\" in AWS_REGION is not the "
	    "name of a region");
	set("AWS_REGION", NULL);
	put(".aws/config", "[default]\nregion = eu west\n");
	no_region(&r, fake_env, "\"eu west\" in ~/.aws/config is not "
	    "the name of a region");
}

/* --- ini files ------------------------------------------------------------- */

struct ini_case {
	const char *text, *section, *key;
	const char *value;	/* NULL: not there */
};

/* Each but those marked (*) as the CLI's own reader has it. */
static const struct ini_case ini_cases[] = {
	{ "[default]\na=1\n", "default", "a", "1" },
	{ "[default]\na=1", "default", "a", "1" },
	{ "[default]\na\t= \t1 2 \t\n", "default", "a", "1 2" },
	{ "[default]\na=1=2:3\n", "default", "a", "1=2:3" },
	{ "[default]\na: 1=2\n", "default", "a", "1=2" },
	{ "[default]\na==1\n", "default", "a", "=1" },
	{ "[default]\na=\n", "default", "a", "" },
	{ "[default]\na=\"1\"\n", "default", "a", "\"1\"" },
	{ "[default]\nA=1\n", "default", "a", "1" },
	{ "[default]\na b=1\n", "default", "a", NULL },
	{ "[default]\naa=1\n", "default", "a", NULL },
	{ "[default]\n", "default", "a", NULL },
	{ "[default]", "default", "a", NULL },
	{ "", "default", "a", NULL },
	{ "[Default]\na=1\n", "default", "a", NULL },
	{ "[x]\na=1\n[default]\na=2\n[y]\na=3\n", "default", "a", "2" },
	{ "[default]\r\na=1\r\nb=2\r\n", "default", "a", "1" },
	{ "[default]\r\na=1\r\nb=2\r\n", "default", "b", "2" },
	{ "[default]\ra=1\rb=2\r", "default", "b", "2" },
	{ "[default]junk\na=1\n", "default", "a", "1" },
	{ "[default] # note\na=1\n", "default", "a", "1" },
	{ "[ default ]\na=1\n", "default", "a", "1" },			/* * */
	{ "\xef\xbb\xbf[default]\na=1\n", "default", "a", "1" },	/* * */
	/* comments */
	{ "[default]\n#a=1\n;a=2\n", "default", "a", NULL },
	{ "[default]\n  #a=1\n\t;a=2\n", "default", "a", NULL },
	{ "[default]\na=1#2\n", "default", "a", "1#2" },
	{ "[default]\na=1;2\n", "default", "a", "1;2" },
	{ "[default]\na=#1\n", "default", "a", "#1" },
	{ "[default]\na=1 # two\n", "default", "a", "1" },		/* * */
	{ "[default]\na=1\t; two\n", "default", "a", "1" },		/* * */
	{ "[default]\na= # one\n", "default", "a", "" },		/* * */
	/* nested lines */
	{ "[default]\ns3 =\n  a = 1\nb = 2\n", "default", "a", NULL },
	{ "[default]\ns3 =\n  a = 1\nb = 2\n", "default", "b", "2" },
	{ "[default]\ns3 =\n\n# note\n  a = 1\n", "default", "a", NULL },
	{ "[default]\nb=1\n a = 2\n", "default", "a", NULL },
	{ "[default]\nb=1\n  [default]\n  a=2\n", "default", "a", NULL },
	{ "[default]\n  a = 1\n  b = 2\n", "default", "a", "1" },
	{ "[default]\n  a = 1\n  b = 2\n", "default", "b", "2" },
	{ "[default]\n  a = 1\nb = 2\n", "default", "b", "2" },
	{ "[x]\nb = 1\n[default]\n  a = 2\n", "default", "a", "2" },
	{ "[x]\n  b = 1\n    [default]\n  a = 2\n", "default", "a", NULL },
	{ "[x]\n  [default]\n    a = 2\n", "default", "a", "2" },
	/* what the CLI refuses as a whole is taken as far as it goes */
	{ "[default]\na=1\na=2\n", "default", "a", "2" },		/* * */
	{ "[default]\na=1\n[x]\n[default]\nb=2\n", "default", "a", "1" },	/* * */
	{ "[default]\na=1\n[x]\n[default]\na=2\n", "default", "a", "2" },	/* * */
	{ "[default]\na=1\n[x]\n[default]\na=\n", "default", "a", "" },	/* * */
	{ "a=1\n[default]\nb=1\n", "default", "a", NULL },		/* * */
	{ "b=1\n  [default]\na=1\n", "default", "a", "1" },		/* * */
	{ "[default]\n\xef\xbb\xbf" "a=1\n", "default", "a", NULL },
	{ "[default]\nrubbish\na=1\n", "default", "a", "1" },		/* * */
	{ "[default]\n=1\na=2\n", "default", "a", "2" },		/* * */
	{ "[default]\na=1\n[oth\na=2\n", "default", "a", "1" },		/* * */
	{ "[]\na=1\n", "default", "a", NULL },				/* * */
	{ "[\na=1\n", "default", "a", NULL },				/* * */
	/* profiles */
	{ "[profile x]\na=1\n", "profile x", "a", "1" },
	{ "[profile  \t x ]\na=1\n", "profile x", "a", "1" },
	{ "[profile \"x\"]\na=1\n", "profile x", "a", "1" },
	{ "[profile 'x y']\na=1\n", "profile x y", "a", "1" },
	{ "[profile 'x]\na=1\n", "profile x", "a", NULL },
	{ "[profile \"]\na=1\n", "profile \"", "a", "1" },		/* * */
	{ "[profile]\na=1\n", "profile x", "a", NULL },
	{ "[profilex]\na=1\n", "profile x", "a", NULL },
	{ "[profile xy]\na=1\n", "profile x", "a", NULL },
	{ "[x]\na=1\n", "profile x", "a", NULL },
	{ "[profile x]\na=1\n", "x", "a", NULL },
	{ "[profile x]\na=1\n", "profile", "a", NULL }
};

static int
get(const char *section, const char *key, struct buf *out, struct result *res)
{
	char path[PATH_SIZE];

	in_home(path, "odd");
	return ini_get(path, section, key, out, res);
}

static void
ini_files_are_read_as_the_cli_reads_them(void **state)
{
	struct result res = { 0 };
	struct buf b = { 0 };
	const struct ini_case *c;
	size_t i;
	int got;

	(void)state;
	for (i = 0; i < sizeof ini_cases / sizeof ini_cases[0]; i++) {
		c = &ini_cases[i];
		put("odd", c->text);
		buf_reset(&b);
		buf_adds(&b, "before");
		got = get(c->section, c->key, &b, &res);
		if (got != (c->value != NULL) || strcmp(buf_str(&b),
		    c->value ? c->value : "before") != 0)
			fail_msg("%s: %d \"%s\"", c->text, got, buf_str(&b));
	}
	buf_free(&b);
}

/* "[s]", filling, "a=VALUE", at every place around the reader's block. */
static void
a_value_may_lie_across_blocks(void **state)
{
	static char text[8200];
	struct result res = { 0 };
	struct buf b = { 0 };
	size_t at, n;

	(void)state;
	for (at = 4080; at < 4110; at++) {
		memset(text, '\n', at);
		memcpy(text, "[s]", 3);
		n = at + (size_t)snprintf(text + at, sizeof text - at,
		    "a = 0123456789\r\nb = 2\n");
		put_bytes("odd", text, n);
		assert_int_equal(get("s", "a", &b, &res), 1);
		assert_string_equal(buf_str(&b), "0123456789");
		assert_int_equal(get("s", "b", &b, &res), 1);
		assert_string_equal(buf_str(&b), "2");
	}
	buf_free(&b);
}

/* "[s]\na=VVV...\nb=1\n" whose second line has n bytes. */
static void
put_long_line(char key, size_t n)
{
	char *text = malloc(n + 16);

	assert_non_null(text);
	memcpy(text, "[s]\n", 4);
	memset(text + 4, 'v', n);
	text[4] = key;
	text[5] = '=';
	memcpy(text + 4 + n, "\nb=1\n", 5);
	put_bytes("odd", text, n + 9);
	free(text);
}

static void
a_line_that_does_not_fit_is_never_cut(void **state)
{
	struct result res = { 0 };
	struct buf b = { 0 };

	(void)state;
	put_long_line('a', INI_LINE_MAX);
	assert_int_equal(get("s", "a", &b, &res), 1);
	assert_int_equal(b.len, INI_LINE_MAX - 2);
	buf_free(&b);
	put_long_line('a', INI_LINE_MAX + 1);
	assert_int_equal(get("s", "a", &b, &res), -1);
	assert_text(res.text,
	    "~/odd: the line of a in [s] is longer than 8192 bytes");
	assert_int_equal(res.exit, EXIT_NOPERM);
	assert_null(b.p);
	/* Nobody asked for that one. */
	assert_int_equal(get("s", "b", &b, &res), 1);
	assert_string_equal(buf_str(&b), "1");
	put_long_line('#', 100000);
	assert_int_equal(get("s", "b", &b, &res), 1);
	buf_free(&b);
}

static void
files_that_are_missing_differ_from_unreadable_ones(void **state)
{
	struct result res = { 0 };
	struct buf b = { 0 };
	char path[PATH_SIZE], want[80];

	(void)state;
	assert_int_equal(get("s", "a", &b, &res), 0);
	in_home(path, ".aws/credentials");
	put(".aws/credentials", "[s]\na=1\n");
	strncat(path, "/below", sizeof path - strlen(path) - 1);
	assert_int_equal(ini_get(path, "s", "a", &b, &res), 0);
	in_home(path, "odd");
	assert_int_equal(symlink(path, path), 0);
	assert_int_equal(get("s", "a", &b, &res), -1);
	snprintf(want, sizeof want, "~/odd: %s", strerror(ELOOP));
	assert_text(res.text, want);
	assert_int_equal(res.exit, EXIT_NOPERM);
	assert_null(b.p);
}

static void
one_reading_serves_several_keys(void **state)
{
	struct ini_item items[] = { { .key = "a" }, { .key = "b" },
	    { .key = "c" } };
	struct result res = { 0 };
	char path[PATH_SIZE];
	size_t i;

	(void)state;
	in_home(path, "odd");
	assert_int_equal(ini_read(path, "s", items, 3, &res), INI_NO_FILE);
	put("odd", "[x]\na=0\n");
	assert_int_equal(ini_read(path, "s", items, 3, &res), INI_NO_SECTION);
	put("odd", "[x]\na=0\n[s]\nc=3\n[y]\nb=0\n[s]\na=1\n");
	assert_int_equal(ini_read(path, "s", items, 3, &res), INI_SECTION);
	assert_true(items[0].found);
	assert_string_equal(buf_str(&items[0].value), "1");
	assert_false(items[1].found);
	assert_true(items[2].found);
	assert_string_equal(buf_str(&items[2].value), "3");
	for (i = 0; i < 3; i++)
		buf_wipe(&items[i].value);
}

static void
freeing_nothing_is_fine(void **state)
{
	struct credentials c = { 0 };

	(void)state;
	credentials_free(&c);
	credentials_free(&c);
	assert_null(c.access_key_id);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_route_s_keys_win_in_every_mode),
		TEST(half_of_the_route_s_keys_is_an_error),
		TEST(static_asks_nobody_else),
		TEST(a_secret_that_could_not_be_read_is_reported),
		TEST(the_environment_comes_before_files),
		TEST(empty_variables_count_as_unset),
		TEST(half_of_the_keys_in_the_environment_is_an_error),
		TEST(mode_env_looks_at_no_file),
		TEST(mode_file_looks_at_no_key_in_the_environment),
		TEST(a_profile_of_the_route_skips_the_environment),
		TEST(with_set_id_privilege_only_the_route_counts),
		TEST(keys_that_would_break_a_header_are_refused),
		TEST(keys_in_files_are_checked_too),
		TEST(keys_of_the_route_are_checked_too),
		TEST(the_config_file_has_keys_too),
		TEST(profile_default_comes_before_default),
		TEST(the_credentials_file_wins_per_key),
		TEST(a_token_stays_with_its_keys),
		TEST(half_of_the_keys_in_a_profile_is_an_error),
		TEST(variables_name_the_files_and_a_tilde_is_home),
		TEST(only_a_lone_tilde_is_expanded),
		TEST(without_a_home_the_usual_files_are_not_found),
		TEST(every_source_says_why_it_has_nothing),
		TEST(an_unreadable_file_is_told_with_status_77),
		TEST(a_file_that_may_not_be_read_is_told_with_status_77),
		TEST(sources_that_want_a_person_are_named),
		TEST(a_role_is_not_replaced_by_the_keys_beside_it),
		TEST(the_region_is_looked_for_in_order),
		TEST(no_region_anywhere_is_a_configuration_error),
		TEST(what_cannot_be_a_region_is_refused),
		TEST(ini_files_are_read_as_the_cli_reads_them),
		TEST(a_value_may_lie_across_blocks),
		TEST(a_line_that_does_not_fit_is_never_cut),
		TEST(files_that_are_missing_differ_from_unreadable_ones),
		TEST(one_reading_serves_several_keys),
		TEST(freeing_nothing_is_fine)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

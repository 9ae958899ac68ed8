#include "lib/aws/profile.h"

#include <string.h>

/* In the order of enum item. */
static const char names[] = "aws_access_key_id\0aws_secret_access_key\0"
    "aws_session_token\0region\0role_arn\0source_profile\0credential_source\0"
    "external_id\0role_session_name\0duration_seconds\0mfa_serial\0"
    "web_identity_token_file\0sso_session\0sso_start_url\0sso_account_id\0"
    "sso_role_name\0login_session\0credential_process\0"
    "use_fips_endpoint\0use_dualstack_endpoint\0endpoint_url\0services\0"
    "ignore_configured_endpoint_urls\0ca_bundle\0ec2_metadata_service_endpoint\0"
    "ec2_metadata_service_endpoint_mode";

const char *
aws_variable(env_lookup env, const char *name)
{
	const char *value = env != NULL ? env(name) : NULL;

	return value != NULL && *value != '\0' ? value : NULL;
}

/* The path that `name` gives, else `usual`; "~" is HOME and nobody else's. */
static void
set_path(struct profile_file *file, env_lookup env, const char *name,
    const char *usual)
{
	const char *path = aws_variable(env, name);
	const char *home = aws_variable(env, "HOME");

	if (path == NULL)
		path = usual;
	if (path[0] == '~' && (path[1] == '/' || path[1] == '\0')) {
		file->homeless = home == NULL;
		if (home != NULL)
			buf_adds(&file->path, home);
		path += home != NULL;
	}
	buf_adds(&file->path, path);
}

static void
read_section(struct profile_file *file, const char *section)
{
	const char *name = names;
	int i;

	for (i = 0; i < NITEMS; i++, name += strlen(name) + 1)
		file->items[i].key = name;
	file->state = INI_NO_FILE;
	if (file->path.failed)
		file->state = result_fail(&file->why, EXIT_OS, "out of memory");
	else if (!file->homeless)
		file->state = ini_read(buf_str(&file->path), section,
		    file->items, NITEMS, &file->why);
}

/* The config file calls its sections otherwise; "default" may go by itself. */
static void
read_config_section(struct profile_file *file, const char *profile)
{
	struct buf section = { 0 };

	buf_addf(&section, "profile %s", profile);
	if (section.failed)
		file->state = result_fail(&file->why, EXIT_OS, "out of memory");
	else
		read_section(file, buf_str(&section));
	buf_free(&section);
	if (file->state == INI_NO_SECTION && strcmp(profile, "default") == 0)
		read_section(file, profile);
}

void
profile_read_named(struct profile *p, const char *name, env_lookup env)
{
	p->name = name;
	if (env == NULL)
		return;
	set_path(&p->shared, env, "AWS_SHARED_CREDENTIALS_FILE",
	    "~/.aws/credentials");
	set_path(&p->config, env, "AWS_CONFIG_FILE", "~/.aws/config");
	read_section(&p->shared, name);
	read_config_section(&p->config, name);
}

void
profile_read(struct profile *p, const struct aws *a)
{
	const char *name = a->route->profile;

	if (name == NULL)
		name = aws_variable(a->env, "AWS_PROFILE");
	if (name == NULL)
		name = aws_variable(a->env, "AWS_DEFAULT_PROFILE");
	p->named = name != NULL;
	profile_read_named(p, p->named ? name : "default", a->env);
}

static void
file_free(struct profile_file *file)
{
	int i;

	for (i = 0; i < NITEMS; i++)
		buf_wipe(&file->items[i].value);
	buf_free(&file->path);
}

void
profile_free(struct profile *p)
{
	file_free(&p->shared);
	file_free(&p->config);
}

bool
profile_is_there(const struct profile *p)
{
	return p->shared.state == INI_SECTION || p->config.state == INI_SECTION;
}

bool
profile_has(const struct profile_file *file, enum item i)
{
	return file->items[i].found && file->items[i].value.len > 0;
}

const struct profile_file *
profile_file(const struct profile *p, enum item i)
{
	if (profile_has(&p->shared, i))
		return &p->shared;
	return profile_has(&p->config, i) ? &p->config : NULL;
}

const char *
profile_value(const struct profile *p, enum item i)
{
	const struct profile_file *file = profile_file(p, i);

	return file != NULL ? buf_str(&file->items[i].value) : NULL;
}

const char *
aws_setting(const struct aws *a, const char *name, const struct profile *p,
    enum item i)
{
	const char *value = aws_variable(a->env, name);

	return value != NULL ? value : profile_value(p, i);
}

bool
aws_is_true(const char *text)
{
	return text != NULL && str_iequal(text, "true");
}

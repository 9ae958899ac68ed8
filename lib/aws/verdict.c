#include "lib/aws/verdict.h"

#include <string.h>

enum class {
	V_THROTTLED, V_QUOTA, V_PAUSED, V_OPERATOR, V_REJECTED, V_BAD_REQUEST, V_SERVER,
	V_CREDENTIALS, V_CLOCK
};

/* What is part of the code. */
static const struct { const char *code; enum class class; } codes[] = {
	{ "TooManyRequests", V_THROTTLED },
	{ "Throttl", V_THROTTLED },		/* ...ing, RequestThrottled */
	{ "LimitExceeded", V_QUOTA },
	{ "SendingPaused", V_PAUSED },		/* Account..., too */
	{ "AccountSuspended", V_PAUSED },
	{ "MessageRejected", V_REJECTED },
	{ "MailFromDomainNotVerified", V_OPERATOR },
	{ "NotFoundException", V_OPERATOR },
	{ "AccessDenied", V_OPERATOR },
	{ "NotAuthorized", V_OPERATOR },
	{ "IncompleteSignature", V_OPERATOR },	/* a proxy's doing */
	{ "BadRequestException", V_BAD_REQUEST },
	{ "InternalFailure", V_SERVER },
	{ "InternalServiceError", V_SERVER },
	{ "ServiceUnavailable", V_SERVER },
	{ "ExpiredToken", V_CREDENTIALS },
	{ "UnrecognizedClient", V_CREDENTIALS },
	{ "InvalidClientTokenId", V_CREDENTIALS },
	{ "InvalidSignature", V_CLOCK },
	{ "SignatureDoesNotMatch", V_CLOCK },
	{ "RequestExpired", V_CLOCK },
	{ "RequestTimeTooSkewed", V_CLOCK },
	{ "RequestInTheFuture", V_CLOCK }
};

/* What an unknown code means follows from the status. */
static enum class
class_of(int status, const char *code)
{
	size_t i;

	for (i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (strstr(code, codes[i].code))
			return codes[i].class;
	if (status == 408 || status == 429)
		return V_THROTTLED;
	if (status == 401 || status == 403 || status == 404 ||
	    status / 100 == 3)
		return V_OPERATOR;
	return status / 100 == 4 ? V_BAD_REQUEST : V_SERVER;
}

enum remedy
verdict(int status, const char *code, const char *text, bool sent_whole,
    struct result *res)
{
	enum class v = class_of(status, code);
	const char *name = *code ? code : "without an error code";
	enum remedy remedy = REMEDY_NONE;

	result_set(res, OUT_TEMP, CAUSE_ROUTE, "SES: %d %s%s%s", status, name,
	    *text ? ": " : "", text);
	switch (v) {
	case V_THROTTLED:
		remedy = REMEDY_LATER;
		break;
	case V_QUOTA:
		remedy = REMEDY_WAIT;
		break;
	case V_PAUSED:
		res->cause = CAUSE_OPERATOR;
		remedy = REMEDY_WAIT;
		break;
	case V_REJECTED:
		if (strstr(text, "not verified"))
			res->cause = CAUSE_OPERATOR;
		else if (strstr(text, "Sending paused") ||
		    strstr(text, "Sending suspended")) {
			res->cause = CAUSE_OPERATOR;
			remedy = REMEDY_WAIT;
		} else {
			res->outcome = OUT_PERM;
			res->cause = CAUSE_CONTENT;
		}
		break;
	case V_OPERATOR:
		res->cause = CAUSE_OPERATOR;
		break;
	case V_BAD_REQUEST:
		res->outcome = OUT_PERM;
		res->cause = CAUSE_CONTENT;
		/* Only what SES itself calls so may lie in one address. */
		if (*code && strcmp(code, "BadRequestException") == 0)
			remedy = REMEDY_BISECT;
		break;
	case V_SERVER:
		if (!sent_whole)
			remedy = REMEDY_LATER;
		else {
			result_ambiguous(res, "SES: %d %s%s%s, after the whole "
			    "message was sent: it may have been taken. Possible "
			    "duplicate!", status, name, *text ? ": " : "", text);
		}
		break;
	case V_CREDENTIALS:
		res->cause = CAUSE_OPERATOR;
		remedy = REMEDY_CREDENTIALS;
		break;
	case V_CLOCK:
		res->cause = CAUSE_OPERATOR;
		remedy = REMEDY_CLOCK;
		break;
	}
	res->code = status;
	return remedy;
}

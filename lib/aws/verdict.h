/*
 * What an error reply of SES means (AWS: "Common errors", "SendEmail: Errors"):
 * whose doing it is, whether the message may have been taken, and what can be
 * done about it at once.
 */
#ifndef SENDROUTE_VERDICT_H
#define SENDROUTE_VERDICT_H

#include <stdbool.h>

#include "lib/base/result.h"

enum remedy {
	REMEDY_NONE,
	REMEDY_BISECT,		/* one address of several may be at fault */
	REMEDY_CREDENTIALS,	/* fetch them afresh, once */
	REMEDY_CLOCK,		/* correct ours from the reply's Date, once */
	REMEDY_LATER,		/* the same again in a moment: see backoff.h */
	REMEDY_WAIT		/* no other message fares better for now */
};

/*
 * verdict(status, code, text, sent_whole, res): judge by the error code, then by
 * the HTTP status. code may be "". A server error after the whole message was
 * sent is ambiguous.
 */
enum remedy verdict(int status, const char *code, const char *text,
    bool sent_whole, struct result *res);

#endif

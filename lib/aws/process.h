/*
 * A command line without a shell.
 */
#ifndef SENDROUTE_PROCESS_H
#define SENDROUTE_PROCESS_H

enum { PROCESS_WORDS = 64 };

/*
 * process_split(s, argv, max): cut s up in place as Python's shlex.split does: words
 * stand between blanks; '...' is literal; in "..." a backslash quotes \ and ", and
 * elsewhere any character. argv ends with NULL. 0; or -1: no word, max words or more,
 * or a quote or a backslash without its end.
 */
int process_split(char *s, char *argv[], int max);

#endif

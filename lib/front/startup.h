/*
 * The first thing that every personality does, whatever state its caller left.
 */
#ifndef SENDROUTE_STARTUP_H
#define SENDROUTE_STARTUP_H

/*
 * startup(): descriptors 0 to 2 are open, none above them is; no core is dumped; a
 * write to a closed pipe or over the file size limit is an error, no signal. Ends
 * the process with status 71 where that cannot be had.
 */
void startup(void);

#endif

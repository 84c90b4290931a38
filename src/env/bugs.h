/* bugs.h - seeded bugs: switches that make the program wrong, to show that the simulator notices.
 *
 * They exist only where TRINE_DEBUG is defined (the debug and the simulator build); elsewhere BUG
 * is the constant false and nothing of them is compiled.  A scenario sets them in a node's
 * env->bugs; nothing else does.
 */
#ifndef ENV_BUGS_H
#define ENV_BUGS_H

#include <stdbool.h>

/* name in upper case, name on the command line, what goes wrong */
#define BUG_MAP(X)                                                                                 \
    X(SKIP_SYNC, "skip-sync", "a file's sync reports success and does nothing")                    \
    X(ACK_BEFORE_COMMIT, "ack-before-commit",                                                      \
      "a write is acknowledged before its record is synced")                                       \
    X(IGNORE_CHECKSUM, "ignore-checksum", "what was read back is used although its check fails")   \
    X(REUSE_PAGE_EARLY, "reuse-page-early",                                                        \
      "a freed page is reused while a checkpoint refers to it")                                    \
    X(REPLAY_PAST_TORN, "replay-past-torn",                                                        \
      "recovery skips a torn log record and goes on behind it")                                    \
    X(CHANGES_BEHIND, "changes-behind",                                                            \
      "records of changes come into their tree behind the items, in a step of their own")          \
    X(CHECK_UNLOCKED, "check-unlocked",                                                            \
      "a transaction's check leaves no intent: nobody knows of it until the commit")               \
    X(REFUSED_BUT_DONE, "refused-but-done",                                                        \
      "a write that is refused for an index that is behind is done all the same")                  \
    X(THROTTLED_AND_LOST, "throttled-and-lost",                                                    \
      "rows for which an index has no capacity left are passed over")

enum bug_index {
#define BUG_ENUM(name, option, text) BUG_INDEX_##name,
    BUG_MAP(BUG_ENUM)
#undef BUG_ENUM
        BUG_COUNT
};

enum bug {
#define BUG_ENUM(name, option, text) BUG_##name = 1 << BUG_INDEX_##name,
    BUG_MAP(BUG_ENUM)
#undef BUG_ENUM
};

#ifdef TRINE_DEBUG
#define BUG(env, bug) (((env)->bugs & (unsigned)(bug)) != 0)
#else
#define BUG(env, bug) ((void)(env), false)
#endif

#endif

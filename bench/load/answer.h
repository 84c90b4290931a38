/* answer.h - where one HTTP answer ends, and what it says; only what servers of this API send.
 *
 * An answer has a status line, a head of at most ANSWER_HEAD_MAX bytes and a body of as many bytes
 * as Content-Length says; chunked answers are not understood (none of the servers sends them).
 */
#ifndef LOAD_ANSWER_H
#define LOAD_ANSWER_H

#include <stdint.h>

#include "base/bytes.h"

#define ANSWER_HEAD_MAX 8192u
#define ANSWER_BODY_MAX (2u << 20)

enum answer_state {
    ANSWER_PARTIAL, /* the head has not come whole */
    ANSWER_HEAD,    /* the fields below are known; the body may still be on its way */
    ANSWER_BROKEN,  /* not such an answer */
};

struct answer {
    int status;
    size_t head_bytes; /* up to and with the blank line */
    size_t body_bytes;
};

/* Read the head of the answer that `received` begins with. */
enum answer_state answer_read(struct bytes received, struct answer *answer);

#endif

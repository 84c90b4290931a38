#include "load/answer.h"

#include <strings.h>

#define STATUS_LINE_MIN 12u /* "HTTP/1.1 200" */

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* A number in decimal between blanks, at most ANSWER_BODY_MAX. */
static bool read_length(struct bytes text, size_t *length)
{
    size_t value = 0, digits = 0;
    for (; text.count > 0 && text.at[0] == ' '; text = bytes_after(text, 1)) {
    }
    for (; digits < text.count && is_digit(text.at[digits]); digits++) {
        value = value * 10 + (size_t)(text.at[digits] - '0');
        if (value > ANSWER_BODY_MAX)
            return false;
    }
    *length = value;
    return digits > 0;
}

/* Find the Content-Length among the lines of a whole head. */
static bool find_length(struct bytes head, size_t *length)
{
    static const char name[] = "content-length:";
    while (head.count > 0) {
        const uint8_t *end = memchr(head.at, '\n', head.count);
        size_t line = end != NULL ? (size_t)(end - head.at) + 1 : head.count;
        bool found =
            line >= sizeof(name) && strncasecmp((const char *)head.at, name, sizeof(name) - 1) == 0;
        if (found)
            return read_length(bytes_of(head.at + sizeof(name) - 1, line - (sizeof(name) - 1)),
                               length);
        head = bytes_after(head, line);
    }
    return false;
}

enum answer_state answer_read(struct bytes received, struct answer *answer)
{
    const uint8_t *end = memmem(received.at, received.count, "\r\n\r\n", 4);
    if (end == NULL)
        return received.count > ANSWER_HEAD_MAX ? ANSWER_BROKEN : ANSWER_PARTIAL;
    size_t head_bytes = (size_t)(end - received.at) + 4;
    const uint8_t *at = received.at;
    bool is_http = head_bytes > STATUS_LINE_MIN && memcmp(at, "HTTP/1.", 7) == 0 &&
                   is_digit(at[9]) && is_digit(at[10]) && is_digit(at[11]);
    if (!is_http || !find_length(bytes_of(at, head_bytes), &answer->body_bytes))
        return ANSWER_BROKEN;
    answer->status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
    answer->head_bytes = head_bytes;
    return ANSWER_HEAD;
}

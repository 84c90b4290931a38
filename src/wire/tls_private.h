/* tls_private.h - one TLS connection as a filter between ciphertext and plaintext; private to
 * wire/.
 *
 * Bytes in, bytes out: the session holds neither a stream nor a buffer.  Ciphertext that it wants
 * to send is appended to the `out` it is given, for the caller to send.
 */
#ifndef WIRE_TLS_PRIVATE_H
#define WIRE_TLS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/compiler.h"
#include "base/heap.h"
#include "base/status.h"
#include "wire/tls.h"

struct tls_session;

/* The server's side of a new connection; NULL when there is no memory. */
MUST_USE struct tls_session *tls_session_open(struct tls_context *context, struct heap *heap);
void tls_session_free(struct tls_session *session);

/* Take all of `in`, and call on_plain for what it decrypts to: borrowed for the call, which returns
 * false to drop what follows.  on_plain may call tls_session_send and tls_session_end.
 *   STATUS_END       the client has said that it sends no more
 *   STATUS_CORRUPT   not TLS, or a failed handshake; an alert may be in `out` */
MUST_USE enum status tls_session_receive(struct tls_session *session, struct bytes in,
                                         bool (*on_plain)(void *argument, struct bytes bytes),
                                         void *argument, struct buffer *out);

/* Encrypt the runs.
 *   STATUS_CLOSED     the session has failed or has not begun     STATUS_NO_MEMORY */
MUST_USE enum status tls_session_send(struct tls_session *session, const struct bytes *runs,
                                      size_t run_count, struct buffer *out);

/* Say that nothing more is sent (close_notify). */
void tls_session_end(struct tls_session *session, struct buffer *out);

/* The handshake is complete. */
bool tls_session_established(const struct tls_session *session);

#endif

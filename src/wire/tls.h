/* tls.h - the certificate and key of a TLS server; given to http_server_open.
 *
 * OpenSSL 3 between an env stream and the HTTP server: TLS 1.2 and 1.3, ALPN http/1.1, session
 * tickets. Nothing of OpenSSL's TLS part is set up until tls_context_open, so plain servers do not
 * pay for it. OpenSSL keeps its own memory (malloc) and randomness; a simulation with TLS is
 * therefore not reproducible byte for byte.
 */
#ifndef WIRE_TLS_H
#define WIRE_TLS_H

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/heap.h"
#include "base/status.h"

struct tls_context;

/* Make a context from PEM texts: the certificate followed by its intermediates, and its private
 * key, unencrypted.  On failure *why is a sentence for the operator (static).
 *   STATUS_INVALID    not PEM, no certificate, a key of another certificate
 *   STATUS_NO_MEMORY */
MUST_USE enum status tls_context_open(struct heap *heap, struct bytes certificate_pem,
                                      struct bytes key_pem, struct tls_context **context,
                                      struct bytes *why);

/* No server uses it any more. */
void tls_context_close(struct tls_context *context);

#endif

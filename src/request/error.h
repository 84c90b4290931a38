/* error.h - the service's exceptions, as requests end with them.
 *
 * A function of the router or the node that serves a request returns enum status; when that is not
 * STATUS_OK and the function takes a `struct error *`, the error is filled in whole, ready to be
 * written to the client.
 */
#ifndef REQUEST_ERROR_H
#define REQUEST_ERROR_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "model/value.h"

#define ERROR_PREFIX_DYNAMODB "com.amazonaws.dynamodb.v20120810#"
#define ERROR_PREFIX_SERVICE  "com.amazon.coral.service#"
#define ERROR_PREFIX_VALIDATE "com.amazon.coral.validate#"

/* How many texts begin. */
#define INVALID_VALUES "One or more parameter values were invalid: "
#define NOT_VALID      "One or more parameter values are not valid. "

/* X(code, exception name, prefix, HTTP status, member that holds the text) */
#define ERROR_MAP(X)                                                                               \
    X(VALIDATION, "ValidationException", ERROR_PREFIX_VALIDATE, 400, "message")                    \
    X(SERIALIZATION, "SerializationException", ERROR_PREFIX_SERVICE, 400, "Message")               \
    X(UNKNOWN_OPERATION, "UnknownOperationException", ERROR_PREFIX_SERVICE, 400, "message")        \
    X(MISSING_TOKEN, "MissingAuthenticationTokenException", ERROR_PREFIX_SERVICE, 400, "message")  \
    X(INCOMPLETE_SIGNATURE, "IncompleteSignatureException", ERROR_PREFIX_SERVICE, 400, "message")  \
    X(INVALID_SIGNATURE, "InvalidSignatureException", ERROR_PREFIX_SERVICE, 400, "message")        \
    X(UNRECOGNIZED_CLIENT, "UnrecognizedClientException", ERROR_PREFIX_SERVICE, 400, "message")    \
    X(ACCESS_DENIED, "AccessDeniedException", ERROR_PREFIX_SERVICE, 400, "Message")                \
    X(RESOURCE_NOT_FOUND, "ResourceNotFoundException", ERROR_PREFIX_DYNAMODB, 400, "message")      \
    X(RESOURCE_IN_USE, "ResourceInUseException", ERROR_PREFIX_DYNAMODB, 400, "message")            \
    X(TABLE_NOT_FOUND, "TableNotFoundException", ERROR_PREFIX_DYNAMODB, 400, "message")            \
    X(POLICY_NOT_FOUND, "PolicyNotFoundException", ERROR_PREFIX_DYNAMODB, 400, "message")          \
    X(LIMIT_EXCEEDED, "LimitExceededException", ERROR_PREFIX_DYNAMODB, 400, "message")             \
    X(CONDITION_FAILED, "ConditionalCheckFailedException", ERROR_PREFIX_DYNAMODB, 400, "message")  \
    X(COLLECTION_SIZE, "ItemCollectionSizeLimitExceededException", ERROR_PREFIX_DYNAMODB, 400,     \
      "message")                                                                                   \
    X(EXPIRED_ITERATOR, "ExpiredIteratorException", ERROR_PREFIX_DYNAMODB, 400, "message")         \
    X(TRIMMED_DATA, "TrimmedDataAccessException", ERROR_PREFIX_DYNAMODB, 400, "message")           \
    X(DUPLICATE_ITEM, "DuplicateItemException", ERROR_PREFIX_DYNAMODB, 400, "message")             \
    X(THROUGHPUT_EXCEEDED, "ProvisionedThroughputExceededException", ERROR_PREFIX_DYNAMODB, 400,   \
      "message")                                                                                   \
    X(TRANSACTION_CONFLICT, "TransactionConflictException", ERROR_PREFIX_DYNAMODB, 400, "message") \
    X(TRANSACTION_CANCELED, "TransactionCanceledException", ERROR_PREFIX_DYNAMODB, 400, "Message") \
    X(TRANSACTION_IN_PROGRESS, "TransactionInProgressException", ERROR_PREFIX_DYNAMODB, 400,       \
      "Message")                                                                                   \
    X(IDEMPOTENT_MISMATCH, "IdempotentParameterMismatchException", ERROR_PREFIX_DYNAMODB, 400,     \
      "Message")                                                                                   \
    X(REQUEST_LIMIT, "RequestLimitExceeded", ERROR_PREFIX_DYNAMODB, 400, "message")                \
    X(THROTTLING, "ThrottlingException", ERROR_PREFIX_SERVICE, 400, "message")                     \
    X(INTERNAL, "InternalServerError", ERROR_PREFIX_DYNAMODB, 500, "message")                      \
    X(UNAVAILABLE, "ServiceUnavailableException", ERROR_PREFIX_SERVICE, 503, "message")

enum error_code {
    ERROR_NONE,
#define ERROR_ENUM(code, name, prefix, http, member) ERROR_##code,
    ERROR_MAP(ERROR_ENUM)
#undef ERROR_ENUM
        ERROR_CODE_COUNT
};

struct error {
    enum error_code code;
    struct bytes message;        /* in the request's arena, or static */
    const char *throttle_reason; /* of what was throttled: "TableReadKeyRangeThroughputExceeded" */
    struct bytes throttled;      /* which table or index: "NAME", "NAME/index/INDEX"; as message */
    struct value item; /* CONDITION_FAILED with ReturnValuesOnConditionCheckFailure; in the arena */
    const struct error *reasons; /* TRANSACTION_CANCELED: one of each action, in their order, in the
                                  * arena; ERROR_NONE: it did not refuse */
    uint32_t reason_count;
};

/* How an exception looks on the wire. */
struct error_form {
    const char *name; /* "ValidationException" */
    const char *type; /* prefix and name, the value of __type */
    int http_status;
    const char *member; /* "message" or "Message" */
};

const struct error_form *error_form(enum error_code code);

/* Fill in *error with a static text; returns STATUS_INVALID, to be returned at once. */
enum status error_set(struct error *error, enum error_code code, const char *message);

/* As error_set with a formatted text in the arena. */
enum status error_format(struct error *error, struct arena *arena, enum error_code code,
                         const char *format, ...) PRINTF_LIKE(4, 5);

/* The error of a failure that is not the client's: what the service answers for `status`.  Returns
 * `status`. */
enum status error_internal(struct error *error, enum status status);

#endif

#include "wire/json_fault.h"

static const char *java_class(enum json_want want)
{
    switch (want) {
    case JSON_WANT_STRING:
        return "java.lang.String";
    case JSON_WANT_INTEGER:
        return "java.lang.Integer";
    case JSON_WANT_LONG:
        return "java.lang.Long";
    case JSON_WANT_DOUBLE:
        return "java.lang.Double";
    case JSON_WANT_BOOLEAN:
        return "java.lang.Boolean";
    case JSON_WANT_TIMESTAMP:
        return "java.util.Date";
    default:
        return "java.nio.ByteBuffer";
    }
}

/* "java.lang.String" -> "String" */
static const char *simple_name(const char *class_name)
{
    const char *dot = strrchr(class_name, '.');
    return dot != NULL ? dot + 1 : class_name;
}

static bool is_decimal(struct bytes number)
{
    for (size_t i = 0; i < number.count; i++) {
        if (number.at[i] == '.' || number.at[i] == 'e' || number.at[i] == 'E')
            return true;
    }
    return false;
}

/* The parser's name for the scalar that comes next. */
static const char *token_name(struct json_scanner *s)
{
    struct json_scanner ahead = *s;
    switch (json_peek(s)) {
    case JSON_TRUE:
        return "TRUE_VALUE";
    case JSON_FALSE:
        return "FALSE_VALUE";
    case JSON_NUMBER:
        return is_decimal(json_number(&ahead)) ? "DECIMAL_VALUE" : "NUMBER_VALUE";
    default:
        return "STRING_VALUE";
    }
}

static struct bytes list_text(enum json_want want, struct bytes name, struct arena *arena)
{
    if (want == JSON_WANT_MAP)
        return arena_format(arena,
                            "Unrecognized collection type java.util.Map<java.lang.String, "
                            "com.amazonaws.dynamodb.v20120810.%.*s>",
                            BYTES_ARGS(name));
    if (want == JSON_WANT_STRUCTURE)
        return arena_format(arena,
                            "Unrecognized collection type class "
                            "com.amazonaws.dynamodb.v20120810.%.*s",
                            BYTES_ARGS(name));
    return arena_format(arena, "Unrecognized collection type class %s", java_class(want));
}

static struct bytes scalar_text(struct json_scanner *s, enum json_want want, struct arena *arena)
{
    switch (want) {
    case JSON_WANT_LIST:
        return BYTES("Unexpected field type");
    case JSON_WANT_STRUCTURE:
        return BYTES("Unexpected value type in payload");
    case JSON_WANT_MAP:
        return BYTES("class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be "
                     "cast to class java.lang.Class "
                     "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and "
                     "java.lang.Class are in module java.base of loader 'bootstrap')");
    case JSON_WANT_BLOB:
        return BYTES("only base-64-encoded strings are convertible to bytes");
    case JSON_WANT_BOOLEAN:
        if (json_peek(s) == JSON_STRING)
            return BYTES("Unexpected token received from parser");
        break;
    default:
        break;
    }
    return arena_format(arena, "%s cannot be converted to %s", token_name(s),
                        simple_name(java_class(want)));
}

struct bytes json_fault_text(struct json_scanner *s, enum json_want want, struct bytes name,
                             struct arena *arena)
{
    switch (json_peek(s)) {
    case JSON_END:
        return (struct bytes){0};
    case JSON_OBJECT:
        return BYTES("Start of structure or map found where not expected");
    case JSON_ARRAY:
        return list_text(want, name, arena);
    default:
        return scalar_text(s, want, arena);
    }
}

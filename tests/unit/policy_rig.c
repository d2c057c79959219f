/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy_rig.h"

#include <stdarg.h>
#include <string.h>

static uint64_t rig_file_bytes(void *opaque, int fd)
{
    (void)opaque;
    return (uint64_t)fd * PAGE;
}

static void rig_close_fd(void *opaque, int fd)
{
    struct policy_rig *rig = opaque;

    g_array_append_val(rig->closed, fd);
}

static int rig_ask(void *opaque, enum vwl_transfer_kind kind, enum vwl_way way,
                   uint32_t ticket)
{
    struct policy_rig *rig = opaque;

    rig->asked++;
    rig->asked_kind = kind;
    rig->asked_way = way;
    rig->ticket = ticket;
    return rig->ask_result;
}

static int rig_keep_file(void *opaque, int fd)
{
    const struct policy_rig *rig = opaque;

    (void)fd;
    return rig->kept ? rig->kept : -1;
}

static bool rig_charge(void *opaque, int64_t bytes)
{
    struct policy_rig *rig = opaque;

    if (bytes > 0 && rig->most && rig->charged + bytes > rig->most) {
        return false;
    }
    rig->charged += bytes;
    return true;
}

static const struct vwl_filter_ops rig_ops = {
    .file_bytes = rig_file_bytes,
    .close_fd = rig_close_fd,
    .ask = rig_ask,
    .keep_file = rig_keep_file,
    .charge = rig_charge,
};

void rig_log(void *opaque, enum vwl_log_level level, const char *line)
{
    struct policy_rig *rig = opaque;

    (void)level;
    g_string_append_printf(rig->said, "%s\n", line);
}

void rig_init(struct policy_rig *rig, const struct vwl_socket_policy *policy)
{
    *rig = (struct policy_rig){ .said = g_string_new(NULL) };
    vwl_log_init(&rig->log, rig_log, rig);
    rig->closed = g_array_new(FALSE, FALSE, sizeof(int));
    rig->got = g_array_new(FALSE, FALSE, sizeof(int));
    g_assert_cmpint(vwl_rules_create(policy, &rig->log, &rig->rules), ==, 0);
    rig->filter = vwl_filter_create(rig->rules, &rig_ops, rig);
}

void rig_finish(struct policy_rig *rig)
{
    vwl_filter_destroy(rig->filter);
    vwl_rules_destroy(rig->rules);
    g_array_unref(rig->closed);
    g_array_unref(rig->got);
    g_string_free(rig->said, TRUE);
}

void put_word(GByteArray *out, uint32_t word)
{
    g_byte_array_append(out, (const guint8 *)&word, sizeof word);
}

void put_text(GByteArray *out, const char *text)
{
    static const guint8 zeros[4];
    guint len = (guint)strlen(text) + 1;

    put_word(out, len);
    g_byte_array_append(out, (const guint8 *)text, len);
    g_byte_array_append(out, zeros, -len & 3);
}

static GByteArray *message_v(uint32_t object, uint16_t opcode, const char *args,
                             va_list list)
{
    GByteArray *out = g_byte_array_new();

    put_word(out, object);
    put_word(out, 0);
    for (; *args; args++) {
        if (*args == 's') {
            put_text(out, va_arg(list, const char *));
        } else {
            put_word(out, va_arg(list, uint32_t));
        }
    }
    vwl_wire_put(out->data, 4, out->len << 16 | opcode);
    return out;
}

GByteArray *message(uint32_t object, uint16_t opcode, const char *args, ...)
{
    GByteArray *out;
    va_list list;

    va_start(list, args);
    out = message_v(object, opcode, args, list);
    va_end(list);
    return out;
}

int push_fds(struct policy_rig *rig, enum vwl_way way, GByteArray *data,
             const int *fds, unsigned int n_fds)
{
    int err = vwl_filter_push(rig->filter, way, data->data, data->len, fds,
                              n_fds);

    g_byte_array_unref(data);
    return err;
}

int push(struct policy_rig *rig, enum vwl_way way, uint32_t object,
         uint16_t opcode, const char *args, ...)
{
    GByteArray *data;
    va_list list;

    va_start(list, args);
    data = message_v(object, opcode, args, list);
    va_end(list);
    return push_fds(rig, way, data, NULL, 0);
}

GByteArray *take(struct policy_rig *rig, enum vwl_way way)
{
    struct vwl_passed passed = vwl_filter_passed(rig->filter, way);
    GByteArray *out = g_byte_array_new();

    g_byte_array_append(out, passed.data, (guint)passed.len);
    for (unsigned int i = 0; i < passed.n_fds; i++) {
        g_assert_cmpuint(passed.fds[i].at, <, passed.len);
        g_array_append_val(rig->got, passed.fds[i].fd);
    }
    vwl_filter_taken(rig->filter, way);
    return out;
}

void expect_bytes(struct policy_rig *rig, enum vwl_way way,
                  GByteArray *expected)
{
    GByteArray *out = take(rig, way);

    g_assert_cmpmem(out->data, out->len, expected->data, expected->len);
    g_byte_array_unref(out);
    g_byte_array_unref(expected);
}

void expect(struct policy_rig *rig, enum vwl_way way, uint32_t object,
            uint16_t opcode, const char *args, ...)
{
    GByteArray *expected;
    va_list list;

    va_start(list, args);
    expected = message_v(object, opcode, args, list);
    va_end(list);
    expect_bytes(rig, way, expected);
}

void expect_nothing(struct policy_rig *rig, enum vwl_way way)
{
    expect_bytes(rig, way, g_byte_array_new());
}

void expect_error(struct policy_rig *rig, uint32_t object, uint32_t code,
                  const char *part)
{
    GByteArray *out = take(rig, VWL_TO_GUEST);

    g_assert_cmpuint(out->len, >, 20);
    g_assert_cmpuint(vwl_wire_get(out->data, 0), ==, DISPLAY);
    g_assert_cmpuint(vwl_wire_get(out->data, 4), ==, out->len << 16);
    g_assert_cmpuint(vwl_wire_get(out->data, 8), ==, object);
    g_assert_cmpuint(vwl_wire_get(out->data, 12), ==, code);
    g_assert_nonnull(strstr((const char *)out->data + 20, part));
    g_assert_nonnull(strstr(vwl_filter_why(rig->filter), part));
    g_byte_array_unref(out);
    expect_nothing(rig, VWL_TO_HOST);
    g_assert_cmpint(push(rig, VWL_TO_HOST, DISPLAY, 0, "u", 200u), ==, -EPROTO);
    expect_nothing(rig, VWL_TO_HOST);
    expect_nothing(rig, VWL_TO_GUEST);
}

void pass(struct policy_rig *rig, enum vwl_way way, uint32_t object,
          uint16_t opcode, const char *args, ...)
{
    GByteArray *data;
    va_list list;

    va_start(list, args);
    data = message_v(object, opcode, args, list);
    va_end(list);
    g_byte_array_ref(data);
    g_assert_cmpint(push_fds(rig, way, data, NULL, 0), ==, 0);
    expect_bytes(rig, way, data);
}

void announce(struct policy_rig *rig, const char *const *ifaces,
              uint32_t version)
{
    pass(rig, VWL_TO_HOST, DISPLAY, 1, "u", (uint32_t)REGISTRY);
    for (uint32_t i = 0; ifaces[i]; i++) {
        g_assert_cmpint(push(rig, VWL_TO_GUEST, REGISTRY, 0, "usu", i + 1,
                             ifaces[i], version),
                        ==, 0);
    }
    g_byte_array_unref(take(rig, VWL_TO_GUEST));
}

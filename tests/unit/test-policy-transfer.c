/* SPDX-License-Identifier: BSD-3-Clause */
/* Clipboard, primary selection and drags by direction, and the marks on
 * windows. */
#include "policy_rig.h"

static const char *const usual[] = {
    "wl_data_device_manager",
    "wl_seat",
    "wl_compositor",
    "zwp_primary_selection_device_manager_v1",
    "xdg_wm_base",
    "xdg_activation_v1",
    NULL,
};

enum {
    MANAGER = 3,
    SEAT,
    COMPOSITOR,
    PRIMARY_MANAGER,
    WM_BASE,
    ACTIVATION,
    DEVICE,
    PRIMARY_DEVICE,
    SURFACE,
    SOURCE,
    PRIMARY_SOURCE,
    XDG_SURFACE,
    TOPLEVEL,
    TOKEN,
};

static void begin(struct policy_rig *rig,
                  const struct vwl_socket_policy *policy)
{
    rig_init(rig, policy);
    announce(rig, usual, 1);
    for (uint32_t i = 0; usual[i]; i++) {
        pass(rig, VWL_TO_HOST, REGISTRY, 0, "usuu", i + 1, usual[i], 1u,
             MANAGER + i);
    }
    pass(rig, VWL_TO_HOST, MANAGER, 1, "uu", (uint32_t)DEVICE, (uint32_t)SEAT);
    pass(rig, VWL_TO_HOST, PRIMARY_MANAGER, 1, "uu", (uint32_t)PRIMARY_DEVICE,
         (uint32_t)SEAT);
    pass(rig, VWL_TO_HOST, COMPOSITOR, 0, "u", (uint32_t)SURFACE);
    pass(rig, VWL_TO_HOST, MANAGER, 0, "u", (uint32_t)SOURCE);
    pass(rig, VWL_TO_HOST, PRIMARY_MANAGER, 0, "u", (uint32_t)PRIMARY_SOURCE);
}

static void finish(struct policy_rig *rig)
{
    expect_nothing(rig, VWL_TO_HOST);
    expect_nothing(rig, VWL_TO_GUEST);
    rig_finish(rig);
}

/* The host's clipboard is offered as the server's object number i. */
static void offer(struct policy_rig *rig, uint32_t i)
{
    pass(rig, VWL_TO_GUEST, DEVICE, 0, "u", SERVER_ID + i);
    pass(rig, VWL_TO_GUEST, SERVER_ID + i, 0, "s", "text/plain");
    pass(rig, VWL_TO_GUEST, DEVICE, 5, "u", SERVER_ID + i);
}

static void offer_drag(struct policy_rig *rig, uint32_t i)
{
    pass(rig, VWL_TO_GUEST, DEVICE, 0, "u", SERVER_ID + i);
    pass(rig, VWL_TO_GUEST, SERVER_ID + i, 0, "s", "text/plain");
    pass(rig, VWL_TO_GUEST, DEVICE, 1, "uuuuu", 9u, (uint32_t)SURFACE, 0u, 0u,
         SERVER_ID + i);
}

static void offer_primary(struct policy_rig *rig, uint32_t i)
{
    pass(rig, VWL_TO_GUEST, PRIMARY_DEVICE, 0, "u", SERVER_ID + i);
    pass(rig, VWL_TO_GUEST, SERVER_ID + i, 0, "s", "text/plain");
    pass(rig, VWL_TO_GUEST, PRIMARY_DEVICE, 1, "u", SERVER_ID + i);
}

/* Whether content moves by this message. */
static bool moves(struct policy_rig *rig, enum vwl_way way, uint32_t object,
                  uint16_t opcode)
{
    GByteArray *data = message(object, opcode, "s", "text/plain");
    guint closed = rig->closed->len, got = rig->got->len;
    int fd = 55;
    bool moved;

    g_byte_array_ref(data);
    g_assert_cmpint(push_fds(rig, way, data, &fd, 1), ==, 0);
    moved = vwl_filter_passed(rig->filter, way).len > 0;
    if (moved) {
        expect_bytes(rig, way, data);
        g_assert_cmpuint(rig->got->len, ==, got + 1);
        g_assert_cmpuint(rig->closed->len, ==, closed);
    } else {
        g_byte_array_unref(data);
        g_assert_cmpuint(rig->got->len, ==, got);
    }
    return moved;
}

static bool is_cancelled(struct policy_rig *rig, uint32_t source,
                         uint16_t opcode)
{
    if (!vwl_filter_passed(rig->filter, VWL_TO_GUEST).len) {
        return false;
    }
    expect(rig, VWL_TO_GUEST, source, opcode, "");
    return true;
}

/* Every kind of transfer both ways. */
static void check_directions(const struct vwl_socket_policy *policy, bool in,
                             bool out)
{
    struct policy_rig rig;

    begin(&rig, policy);
    offer(&rig, 0);
    g_assert_cmpint(moves(&rig, VWL_TO_HOST, SERVER_ID, 1), ==, in);
    offer_drag(&rig, 1);
    g_assert_cmpint(moves(&rig, VWL_TO_HOST, SERVER_ID + 1, 1), ==, in);
    offer_primary(&rig, 2);
    g_assert_cmpint(moves(&rig, VWL_TO_HOST, SERVER_ID + 2, 0), ==, in);

    push(&rig, VWL_TO_HOST, DEVICE, 1, "uu", (uint32_t)SOURCE, 5u);
    g_byte_array_unref(take(&rig, VWL_TO_HOST));
    g_assert_cmpint(is_cancelled(&rig, SOURCE, 2), ==, !out);
    g_assert_cmpint(moves(&rig, VWL_TO_GUEST, SOURCE, 1), ==, out);
    push(&rig, VWL_TO_HOST, DEVICE, 0, "uuuu", (uint32_t)SOURCE,
         (uint32_t)SURFACE, 0u, 5u);
    g_byte_array_unref(take(&rig, VWL_TO_HOST));
    g_assert_cmpint(is_cancelled(&rig, SOURCE, 2), ==, !out);
    g_assert_cmpint(moves(&rig, VWL_TO_GUEST, SOURCE, 1), ==, out);
    push(&rig, VWL_TO_HOST, PRIMARY_DEVICE, 0, "uu", (uint32_t)PRIMARY_SOURCE,
         5u);
    g_byte_array_unref(take(&rig, VWL_TO_HOST));
    g_assert_cmpint(is_cancelled(&rig, PRIMARY_SOURCE, 1), ==, !out);
    g_assert_cmpint(moves(&rig, VWL_TO_GUEST, PRIMARY_SOURCE, 0), ==, out);
    g_assert_cmpuint(rig.closed->len, ==, (in ? 0 : 3) + (out ? 0 : 3));
    finish(&rig);
}

static void test_directions(void)
{
    static const struct {
        uint32_t transfer;
        bool in, out;
    } rows[] = {
        { VWL_TRANSFER_BOTH, true, true },
        { VWL_TRANSFER_TO_GUEST, true, false },
        { VWL_TRANSFER_FROM_GUEST, false, true },
        { VWL_TRANSFER_OFF, false, false },
    };

    for (unsigned int i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct vwl_socket_policy policy = {
            .size = sizeof policy,
            .clipboard = rows[i].transfer,
            .primary = rows[i].transfer,
            .drag = rows[i].transfer,
        };

        check_directions(&policy, rows[i].in, rows[i].out);
    }
}

/* The kinds are told apart; what was used for two is held to both. */
static void test_kinds(void)
{
    struct vwl_socket_policy policy = { .size = sizeof policy,
                                        .clipboard = VWL_TRANSFER_OFF };
    struct policy_rig rig;

    begin(&rig, &policy);
    offer(&rig, 0);
    g_assert_false(moves(&rig, VWL_TO_HOST, SERVER_ID, 1));
    offer_drag(&rig, 1);
    g_assert_true(moves(&rig, VWL_TO_HOST, SERVER_ID + 1, 1));
    offer_primary(&rig, 2);
    g_assert_true(moves(&rig, VWL_TO_HOST, SERVER_ID + 2, 0));
    /* nobody has said yet what it is for */
    pass(&rig, VWL_TO_GUEST, DEVICE, 0, "u", SERVER_ID + 3);
    g_assert_false(moves(&rig, VWL_TO_HOST, SERVER_ID + 3, 1));
    pass(&rig, VWL_TO_GUEST, DEVICE, 1, "uuuuu", 9u, (uint32_t)SURFACE, 0u, 0u,
         SERVER_ID + 3);
    g_assert_true(moves(&rig, VWL_TO_HOST, SERVER_ID + 3, 1));
    pass(&rig, VWL_TO_GUEST, DEVICE, 5, "u", SERVER_ID + 3);
    g_assert_false(moves(&rig, VWL_TO_HOST, SERVER_ID + 3, 1));
    finish(&rig);
}

/* A drag that may not end in the guest is never accepted. */
static void test_drag_refused(void)
{
    struct vwl_socket_policy policy = { .size = sizeof policy,
                                        .drag = VWL_TRANSFER_OFF };
    struct policy_rig rig;

    begin(&rig, &policy);
    offer_drag(&rig, 0);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, SERVER_ID, 0, "us", 9u,
                         "text/plain"),
                    ==, 0);
    expect_nothing(&rig, VWL_TO_HOST);
    pass(&rig, VWL_TO_HOST, SERVER_ID, 0, "uu", 9u, 0u);
    pass(&rig, VWL_TO_HOST, SERVER_ID, 2, "");
    /* within its own windows it may drag what it likes */
    pass(&rig, VWL_TO_HOST, DEVICE, 0, "uuuu", 0u, (uint32_t)SURFACE, 0u, 5u);
    finish(&rig);
}

static void test_ask(void)
{
    struct vwl_socket_policy policy = { .size = sizeof policy,
                                        .clipboard = VWL_TRANSFER_ASK };
    struct policy_rig rig;
    uint32_t first;

    begin(&rig, &policy);
    offer(&rig, 0);
    g_assert_false(moves(&rig, VWL_TO_HOST, SERVER_ID, 1));
    g_assert_cmpuint(rig.asked, ==, 1);
    g_assert_cmpint(rig.asked_kind, ==, VWL_KIND_CLIPBOARD);
    g_assert_cmpint(rig.asked_way, ==, VWL_TO_GUEST);
    first = rig.ticket;
    pass(&rig, VWL_TO_HOST, DISPLAY, 0, "u", 14u); /* the rest goes on */
    g_assert_false(moves(&rig, VWL_TO_HOST, SERVER_ID, 1));
    vwl_filter_answer(rig.filter, first, true);
    expect(&rig, VWL_TO_HOST, SERVER_ID, 1, "s", "text/plain");
    g_assert_cmpuint(rig.got->len, ==, 1);
    vwl_filter_answer(rig.filter, first, true); /* not due any more */
    vwl_filter_answer(rig.filter, rig.ticket, false);
    g_assert_cmpuint(rig.closed->len, ==, 1);
    expect_nothing(&rig, VWL_TO_HOST);

    pass(&rig, VWL_TO_HOST, DEVICE, 1, "uu", (uint32_t)SOURCE, 5u);
    g_assert_false(moves(&rig, VWL_TO_GUEST, SOURCE, 1));
    g_assert_cmpint(rig.asked_way, ==, VWL_TO_HOST);
    vwl_filter_answer(rig.filter, rig.ticket, true);
    expect(&rig, VWL_TO_GUEST, SOURCE, 1, "s", "text/plain");
    finish(&rig);
}

/* The object goes while somebody is asked. */
static void test_ask_gone(void)
{
    struct vwl_socket_policy policy = { .size = sizeof policy,
                                        .clipboard = VWL_TRANSFER_ASK };
    struct policy_rig rig;

    begin(&rig, &policy);
    offer(&rig, 0);
    g_assert_false(moves(&rig, VWL_TO_HOST, SERVER_ID, 1));
    pass(&rig, VWL_TO_HOST, SERVER_ID, 2, "");
    g_assert_cmpuint(rig.closed->len, ==, 1);
    vwl_filter_answer(rig.filter, rig.ticket, true);
    expect_nothing(&rig, VWL_TO_HOST);

    offer(&rig, 0);
    g_assert_false(moves(&rig, VWL_TO_HOST, SERVER_ID, 1));
    offer(&rig, 0); /* the server gives its number away again */
    g_assert_cmpuint(rig.closed->len, ==, 2);

    for (unsigned int i = 0; i < 16; i++) {
        g_assert_false(moves(&rig, VWL_TO_HOST, SERVER_ID, 1));
    }
    g_assert_cmpuint(rig.closed->len, ==, 2);
    g_assert_false(moves(&rig, VWL_TO_HOST, SERVER_ID, 1)); /* too many */
    g_assert_cmpuint(rig.closed->len, ==, 3);
    rig.ask_result = -EOPNOTSUPP;
    /* nobody can be asked: refused */
    g_assert_false(moves(&rig, VWL_TO_HOST, SERVER_ID, 1));
    g_assert_cmpuint(rig.closed->len, ==, 4);
    finish(&rig);
}

static void begin_window(struct policy_rig *rig)
{
    pass(rig, VWL_TO_HOST, WM_BASE, 2, "uu", (uint32_t)XDG_SURFACE,
         (uint32_t)SURFACE);
}

static void test_marks(void)
{
    struct vwl_socket_policy policy = { .size = sizeof policy,
                                        .title_prefix = "[vm] ",
                                        .app_id_prefix = "guest.vm." };
    GByteArray *expected, *one;
    struct policy_rig rig;

    begin(&rig, &policy);
    begin_window(&rig);
    /* marked before it says anything */
    push(&rig, VWL_TO_HOST, XDG_SURFACE, 1, "u", (uint32_t)TOPLEVEL);
    expected = message(XDG_SURFACE, 1, "u", (uint32_t)TOPLEVEL);
    one = message(TOPLEVEL, 2, "s", "[vm] ");
    g_byte_array_append(expected, one->data, one->len);
    g_byte_array_unref(one);
    one = message(TOPLEVEL, 3, "s", "guest.vm.");
    g_byte_array_append(expected, one->data, one->len);
    g_byte_array_unref(one);
    expect_bytes(&rig, VWL_TO_HOST, expected);

    push(&rig, VWL_TO_HOST, TOPLEVEL, 2, "s",
         "Gr\xc3\xbc\xc3\x9f"
         "e");
    expect(&rig, VWL_TO_HOST, TOPLEVEL, 2, "s",
           "[vm] Gr\xc3\xbc\xc3\x9f"
           "e");
    push(&rig, VWL_TO_HOST, TOPLEVEL, 2, "s", "");
    expect(&rig, VWL_TO_HOST, TOPLEVEL, 2, "s", "[vm] ");
    push(&rig, VWL_TO_HOST, TOPLEVEL, 3, "s", "org.host.bank");
    expect(&rig, VWL_TO_HOST, TOPLEVEL, 3, "s", "guest.vm.org.host.bank");
    /* bytes that are no character; what ends a line; what turns text round */
    push(&rig, VWL_TO_HOST, TOPLEVEL, 2, "s",
         "a\xff\xc3z\n\xe2\x80\xae"
         "b");
    expect(&rig, VWL_TO_HOST, TOPLEVEL, 2, "s", "[vm] a??z b");
    pass(&rig, VWL_TO_HOST, TOPLEVEL, 4, "uuuu", (uint32_t)SEAT, 1u, 0u, 0u);
    pass(&rig, VWL_TO_HOST, ACTIVATION, 1, "u", (uint32_t)TOKEN);
    push(&rig, VWL_TO_HOST, TOKEN, 1, "s", "bank");
    expect(&rig, VWL_TO_HOST, TOKEN, 1, "s", "guest.vm.bank");
    finish(&rig);
}

/* The longest title with a prefix is cut between characters. */
static void test_marks_cut(void)
{
    struct vwl_socket_policy policy = { .size = sizeof policy,
                                        .title_prefix = "[vm]" };
    g_autoptr(GString) title = g_string_new(NULL);
    struct policy_rig rig;
    GByteArray *out;
    size_t len;

    begin(&rig, &policy);
    begin_window(&rig);
    push(&rig, VWL_TO_HOST, XDG_SURFACE, 1, "u", (uint32_t)TOPLEVEL);
    g_byte_array_unref(take(&rig, VWL_TO_HOST));
    while (title->len < 4080) {
        g_string_append(title, "\xe2\x82\xac"); /* three bytes each */
    }
    push(&rig, VWL_TO_HOST, TOPLEVEL, 2, "s", title->str);
    out = take(&rig, VWL_TO_HOST);
    g_assert_cmpuint(out->len, <=, 4096);
    g_assert_cmpuint(vwl_wire_get(out->data, 4) >> 16, ==, out->len);
    len = vwl_wire_get(out->data, 8);
    g_assert_cmpuint(len, >, 4070);
    g_assert_cmpuint(12 + ((len + 3) & ~(size_t)3), ==, out->len);
    g_assert_true(
        g_utf8_validate((const char *)out->data + 12, (gssize)len - 1, NULL));
    g_byte_array_unref(out);
    finish(&rig);
}

/* The server gives an id away again as soon as the client has destroyed its
 * object, before the client hears of it. What the client then says of the old
 * object would be taken for a request to the new one: here `accept` (the length
 * of a string, and the string) for `receive` of the selection that is off. */
static void test_reused_id(void)
{
    const struct vwl_socket_policy policy = { .size = sizeof policy,
                                              .primary = VWL_TRANSFER_OFF };
    struct policy_rig rig;
    int fd = 55;

    begin(&rig, &policy);
    offer(&rig, 0);
    pass(&rig, VWL_TO_HOST, SERVER_ID, 0, "us", 11u, "text/plain");
    pass(&rig, VWL_TO_HOST, SERVER_ID, 2, "");
    /* events that were on their way */
    pass(&rig, VWL_TO_GUEST, SERVER_ID, 0, "s", "text/html");
    g_assert_cmpint(push_fds(&rig, VWL_TO_HOST,
                             message(SERVER_ID, 0, "us", 11u, "text/plain"),
                             &fd, 1),
                    ==, -EPROTO);
    expect_error(&rig, DISPLAY, 0, "there is no object 4278190080");
    finish(&rig);

    begin(&rig, &policy);
    offer(&rig, 0);
    pass(&rig, VWL_TO_HOST, SERVER_ID, 2, "");
    offer_primary(&rig, 0);
    g_assert_false(moves(&rig, VWL_TO_HOST, SERVER_ID, 0));
    pass(&rig, VWL_TO_HOST, SERVER_ID, 1, "");
    offer(&rig, 0);
    g_assert_true(moves(&rig, VWL_TO_HOST, SERVER_ID, 1));
    finish(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy-transfer/directions", test_directions);
    g_test_add_func("/policy-transfer/kinds", test_kinds);
    g_test_add_func("/policy-transfer/drag-refused", test_drag_refused);
    g_test_add_func("/policy-transfer/ask", test_ask);
    g_test_add_func("/policy-transfer/ask-gone", test_ask_gone);
    g_test_add_func("/policy-transfer/reused-id", test_reused_id);
    g_test_add_func("/policy-transfer/marks", test_marks);
    g_test_add_func("/policy-transfer/marks-cut", test_marks_cut);
    return g_test_run();
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The filter of a Wayland stream: framing, registries, objects, descriptors
 * and limits. */
#include "policy_rig.h"

static const char *const usual[] = {
    "wl_compositor", "wl_shm",        "zwlr_screencopy_manager_v1",
    "xdg_wm_base",   "no_such_thing", NULL,
};

/* wl_display.get_registry(new 2), literally. */
static const uint8_t get_registry[] = { 1, 0, 0, 0, 1, 0, 12, 0, 2, 0, 0, 0 };
/* wl_registry.global(7, "wl_seat", 99) of registry 2. */
static const uint8_t seat_99[] = {
    2, 0, 0,   0,   0,   0,   28,  0,   7,   0, 0,  0, 8, 0,
    0, 0, 'w', 'l', '_', 's', 'e', 'a', 't', 0, 99, 0, 0, 0,
};
/* wl_registry.bind(7, "wl_seat", 1, new 3). */
static const uint8_t bind_seat[] = {
    2,   0,   0,   0,   0,   0,   32,  0, 7, 0, 0, 0, 8, 0, 0, 0,
    'w', 'l', '_', 's', 'e', 'a', 't', 0, 1, 0, 0, 0, 3, 0, 0, 0,
};

/* In pieces of every size. */
static void test_literal(void)
{
    for (size_t piece = 1; piece <= sizeof get_registry + sizeof bind_seat;
         piece++) {
        uint8_t requests[sizeof get_registry + sizeof bind_seat];
        uint8_t event[sizeof seat_99];
        struct vwl_passed passed;
        struct policy_rig rig;

        rig_init(&rig, NULL);
        memcpy(requests, get_registry, sizeof get_registry);
        memcpy(requests + sizeof get_registry, bind_seat, sizeof bind_seat);
        for (size_t at = 0; at < sizeof get_registry; at += piece) {
            size_t n = MIN(piece, sizeof get_registry - at);

            g_assert_cmpint(vwl_filter_push(rig.filter, VWL_TO_HOST,
                                            requests + at, n, NULL, 0),
                            ==, 0);
        }
        for (size_t at = 0; at < sizeof seat_99; at += piece) {
            size_t n = MIN(piece, sizeof seat_99 - at);

            g_assert_cmpint(vwl_filter_push(rig.filter, VWL_TO_GUEST,
                                            seat_99 + at, n, NULL, 0),
                            ==, 0);
        }
        passed = vwl_filter_passed(rig.filter, VWL_TO_GUEST);
        memcpy(event, seat_99, sizeof event);
        g_assert_cmpuint(passed.len, ==, sizeof event);
        g_assert_cmpuint(passed.data[24], >=, 5);
        g_assert_cmpuint(passed.data[24], <, 99);
        event[24] = passed.data[24]; /* the version, capped */
        g_assert_cmpmem(passed.data, passed.len, event, sizeof event);
        for (size_t at = sizeof get_registry; at < sizeof requests;
             at += piece) {
            size_t n = MIN(piece, sizeof requests - at);

            g_assert_cmpint(vwl_filter_push(rig.filter, VWL_TO_HOST,
                                            requests + at, n, NULL, 0),
                            ==, 0);
        }
        passed = vwl_filter_passed(rig.filter, VWL_TO_HOST);
        g_assert_cmpmem(passed.data, passed.len, requests, sizeof requests);
        rig_finish(&rig);
    }
}

/* The end of one message, another one, and the begin of a third together. */
static void test_between(void)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    struct policy_rig rig;

    rig_init(&rig, NULL);
    for (uint32_t id = 2; id < 5; id++) {
        GByteArray *one = message(DISPLAY, 0, "u", id);

        g_byte_array_append(all, one->data, one->len);
        g_byte_array_unref(one);
    }
    for (size_t at = 0, n = 10; at < all->len; at += n, n = 16) {
        g_assert_cmpint(vwl_filter_push(rig.filter, VWL_TO_HOST, all->data + at,
                                        MIN(n, all->len - at), NULL, 0),
                        ==, 0);
    }
    expect_bytes(&rig, VWL_TO_HOST, g_byte_array_ref(all));
    rig_finish(&rig);
}

static void test_hides(void)
{
    struct policy_rig rig;

    rig_init(&rig, NULL);
    pass(&rig, VWL_TO_HOST, DISPLAY, 1, "u", 2u);
    pass(&rig, VWL_TO_GUEST, 2, 0, "usu", 1u, "wl_compositor", 4u);
    g_assert_cmpint(push(&rig, VWL_TO_GUEST, 2, 0, "usu", 2u,
                         "zwlr_screencopy_manager_v1", 3u),
                    ==, 0);
    g_assert_cmpint(push(&rig, VWL_TO_GUEST, 2, 0, "usu", 3u, "new_thing", 3u),
                    ==, 0);
    g_assert_cmpint(push(&rig, VWL_TO_GUEST, 2, 0, "usu", 4u,
                         "zwp_idle_inhibit_manager_v1", 1u),
                    ==, 0);
    expect_nothing(&rig, VWL_TO_GUEST);
    g_assert_cmpint(push(&rig, VWL_TO_GUEST, 2, 1, "u", 2u), ==, 0);
    g_assert_cmpint(push(&rig, VWL_TO_GUEST, 2, 1, "u", 9u), ==, 0);
    expect_nothing(&rig, VWL_TO_GUEST);
    pass(&rig, VWL_TO_GUEST, 2, 1, "u", 1u);
    /* on its way while the global went: the compositor decides */
    pass(&rig, VWL_TO_HOST, 2, 0, "usuu", 1u, "wl_compositor", 4u, 3u);
    rig_finish(&rig);
}

static void refuse_bind(const char *part, uint32_t name, const char *iface,
                        uint32_t version, uint32_t id)
{
    struct policy_rig rig;

    rig_init(&rig, NULL);
    announce(&rig, usual, 3);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", name, iface,
                         version, id),
                    ==, -EPROTO);
    expect_error(&rig, REGISTRY, 0, part);
    rig_finish(&rig);
}

static void test_binds(void)
{
    const char *screencopy = "zwlr_screencopy_manager_v1";
    struct policy_rig rig;

    refuse_bind("zwlr_screencopy_manager_v1 is refused: reads the screen", 3,
                screencopy, 1, 3);
    refuse_bind("zwlr_screencopy_manager_v1 is refused: reads the screen", 3,
                "wl_shm", 1, 3);
    refuse_bind("invalid global 1", 1, screencopy, 1, 3);
    refuse_bind("invalid global 77", 77, "wl_shm", 1, 3);
    refuse_bind("global 5 is refused", 5, "no_such_thing", 1, 3);
    refuse_bind("invalid global 2", 2, "wl_shm", 3, 3); /* capped at 2 */
    refuse_bind("invalid global 2", 2, "wl_shm", 0, 3);
    refuse_bind("cannot be used", 2, "wl_shm", 1, 1);
    refuse_bind("cannot be used", 2, "wl_shm", 1, REGISTRY);
    refuse_bind("cannot be used", 2, "wl_shm", 1, 4);
    refuse_bind("cannot be used", 2, "wl_shm", 1, SERVER_ID);

    rig_init(&rig, NULL);
    announce(&rig, usual, 3);
    /* libwayland's strcmp would see "wl_shm" */
    g_assert_cmpint(push(&rig, VWL_TO_HOST, REGISTRY, 0, "uuuuuuu", 2u, 9u,
                         0x735f6c77u, 0x78006d68u, 0u, 1u, 3u),
                    ==, -EPROTO);
    g_assert_null(vwl_filter_refused(rig.filter));
    expect_error(&rig, REGISTRY, 0, "invalid global 2");
    rig_finish(&rig);
}

/* However many there are, and through each of them. */
static void test_registries(void)
{
    struct vwl_socket_policy policy = { .size = sizeof policy,
                                        .max_registries = 3 };
    struct policy_rig rig;

    rig_init(&rig, &policy);
    announce(&rig, usual, 3);
    pass(&rig, VWL_TO_HOST, DISPLAY, 1, "u", 3u);
    pass(&rig, VWL_TO_HOST, DISPLAY, 1, "u", 4u);
    g_assert_cmpint(push(&rig, VWL_TO_GUEST, 4, 0, "usu", 3u,
                         "zwlr_screencopy_manager_v1", 3u),
                    ==, 0);
    expect_nothing(&rig, VWL_TO_GUEST);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, DISPLAY, 1, "u", 5u), ==, -EPROTO);
    expect_error(&rig, DISPLAY, 2, "more than 3 objects wl_registry");
    rig_finish(&rig);
}

/* An id is taken until the server has said that it is free. */
static void test_reuse(void)
{
    struct policy_rig rig;

    rig_init(&rig, NULL);
    announce(&rig, usual, 3);
    pass(&rig, VWL_TO_HOST, DISPLAY, 0, "u", 3u);
    pass(&rig, VWL_TO_GUEST, 3, 0, "u", 0u);
    pass(&rig, VWL_TO_GUEST, DISPLAY, 1, "u", 3u);
    pass(&rig, VWL_TO_HOST, DISPLAY, 0, "u", 3u);
    pass(&rig, VWL_TO_GUEST, 3, 0, "u", 0u);
    /* the callback is dead, but the delete_id is on its way: what would come
     * for the registry would unmark it */
    g_assert_cmpint(push(&rig, VWL_TO_HOST, DISPLAY, 1, "u", 3u), ==, -EPROTO);
    expect_error(&rig, DISPLAY, 0, "cannot be used");
    rig_finish(&rig);
}

static void refuse_raw(uint32_t code, const char *part, uint32_t object,
                       uint32_t word, unsigned int n_words)
{
    GByteArray *data = g_byte_array_new();
    struct policy_rig rig;

    rig_init(&rig, NULL);
    announce(&rig, usual, 3);
    put_word(data, object);
    put_word(data, word);
    for (unsigned int i = 0; i < n_words; i++) {
        put_word(data, 0);
    }
    g_assert_cmpint(push_fds(&rig, VWL_TO_HOST, data, NULL, 0), ==, -EPROTO);
    expect_error(&rig, object == REGISTRY ? REGISTRY : DISPLAY, code, part);
    rig_finish(&rig);
}

static void test_framing(void)
{
    refuse_raw(1, "a message of 0 bytes", DISPLAY, 0, 0);
    refuse_raw(1, "a message of 4 bytes", DISPLAY, 4 << 16, 0);
    refuse_raw(1, "a message of 13 bytes", DISPLAY, 13 << 16, 2);
    /* refused by its header: sway 1.10 would wait for the rest for ever */
    refuse_raw(1, "a message of 60000 bytes", DISPLAY, 60000u << 16, 0);
    refuse_raw(1, "a message of 4100 bytes", DISPLAY, 4100u << 16, 0);
    refuse_raw(1, "wl_display of version 1 has no request 2", DISPLAY,
               8 << 16 | 2, 0);
    refuse_raw(1, "arguments", DISPLAY, 8 << 16, 0);
    refuse_raw(1, "arguments", DISPLAY, 16 << 16, 2);
    refuse_raw(1, "wl_registry of version 1 has no request 1", REGISTRY,
               8 << 16 | 1, 0);
    refuse_raw(0, "there is no object 9", 9, 8 << 16, 0);
    refuse_raw(0, "there is no object 0", 0, 8 << 16, 0);
    refuse_raw(0, "there is no object 4278190080", SERVER_ID, 8 << 16, 0);
}

static void test_long_messages(void)
{
    struct vwl_socket_policy policy = { .size = sizeof policy,
                                        .max_message_bytes = 8192 };
    g_autofree char *title = g_strnfill(6000, 't');
    struct policy_rig rig;

    rig_init(&rig, &policy);
    announce(&rig, usual, 3);
    pass(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", 1u, "wl_compositor", 3u, 3u);
    pass(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", 4u, "xdg_wm_base", 3u, 4u);
    pass(&rig, VWL_TO_HOST, 3, 0, "u", 5u);      /* a surface */
    pass(&rig, VWL_TO_HOST, 4, 2, "uu", 6u, 5u); /* an xdg_surface */
    pass(&rig, VWL_TO_HOST, 6, 1, "u", 7u);      /* a toplevel */
    pass(&rig, VWL_TO_HOST, 7, 2, "s", title);
    rig_finish(&rig);
}

/* A request that came with a later version than was bound. */
static void test_since(void)
{
    struct policy_rig rig;

    rig_init(&rig, NULL);
    announce(&rig, usual, 3);
    pass(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", 1u, "wl_compositor", 3u, 3u);
    pass(&rig, VWL_TO_HOST, 3, 0, "u", 4u);
    pass(&rig, VWL_TO_HOST, 4, 8, "u", 1u); /* set_buffer_scale: since 3 */
    /* damage_buffer: since 4 */
    g_assert_cmpint(push(&rig, VWL_TO_HOST, 4, 9, "uuuu", 0u, 0u, 1u, 1u), ==,
                    -EPROTO);
    expect_error(&rig, 4, 1, "wl_surface of version 3 has no request 9");
    rig_finish(&rig);
}

static void bind_shm(struct policy_rig *rig)
{
    announce(rig, usual, 1);
    pass(rig, VWL_TO_HOST, REGISTRY, 0, "usuu", 2u, "wl_shm", 1u, 3u);
}

static void create_pool(struct policy_rig *rig, uint32_t id, int fd)
{
    g_assert_cmpint(push_fds(rig, VWL_TO_HOST, message(3, 0, "uu", id, PAGE),
                             &fd, 1),
                    ==, 0);
    expect(rig, VWL_TO_HOST, 3, 0, "uu", id, PAGE);
}

/* Clients make the file longer, and the pool then. */
static void test_growing_pools(void)
{
    struct policy_rig rig;

    rig_init(&rig, NULL);
    rig.kept = 8;
    bind_shm(&rig);
    create_pool(&rig, 4, 2);
    pass(&rig, VWL_TO_HOST, 4, 2, "u", 8 * PAGE);
    pass(&rig, VWL_TO_HOST, 4, 1, "");
    g_assert_cmpuint(rig.closed->len, ==, 1);
    g_assert_cmpint(g_array_index(rig.closed, int, 0), ==, 8);
    pass(&rig, VWL_TO_GUEST, DISPLAY, 1, "u", 4u);
    create_pool(&rig, 4, 2);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, 4, 2, "u", 8 * PAGE + 1), ==,
                    -EPROTO);
    expect_error(&rig, 4, 3, "longer than its file");
    g_assert_cmpuint(rig.closed->len, ==, 2);
    rig_finish(&rig);

    /* so many are kept, and no more */
    rig_init(&rig, NULL);
    rig.kept = 8;
    bind_shm(&rig);
    for (uint32_t id = 4; id < 4 + 70; id++) {
        create_pool(&rig, id, 2);
    }
    pass(&rig, VWL_TO_HOST, 4 + 63, 2, "u", 8 * PAGE);
    pass(&rig, VWL_TO_HOST, 4 + 64, 2, "u", 2 * PAGE);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, 4 + 64, 2, "u", 8 * PAGE), ==,
                    -EPROTO);
    g_assert_cmpuint(rig.closed->len, ==, 64);
    rig_finish(&rig);
}

static void test_pools(void)
{
    static const int fd = 2;
    struct policy_rig rig;

    rig_init(&rig, NULL);
    bind_shm(&rig);
    g_assert_cmpint(push_fds(&rig, VWL_TO_HOST, message(3, 0, "uu", 4u, PAGE),
                             &fd, 1),
                    ==, 0);
    expect(&rig, VWL_TO_HOST, 3, 0, "uu", 4u, PAGE);
    g_assert_cmpuint(rig.got->len, ==, 1);
    pass(&rig, VWL_TO_HOST, 4, 2, "u", 2 * PAGE);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, 4, 2, "u", 2 * PAGE + 1), ==,
                    -EPROTO);
    expect_error(&rig, 4, 3, "longer than its file");
    rig_finish(&rig);

    for (uint32_t size = 0; size < 3; size++) {
        static const uint32_t sizes[] = { 2 * PAGE + 1, 0, (uint32_t)-1 };

        rig_init(&rig, NULL);
        bind_shm(&rig);
        g_assert_cmpint(push_fds(&rig, VWL_TO_HOST,
                                 message(3, 0, "uu", 4u, sizes[size]), &fd, 1),
                        ==, -EPROTO);
        expect_error(&rig, 3, 3, "longer than its file");
        g_assert_cmpuint(rig.closed->len, ==, 1);
        rig_finish(&rig);
    }
}

static void test_sides(void)
{
    static const int fd = 2;
    struct policy_rig rig;

    rig_init(&rig, NULL);
    bind_shm(&rig);
    push_fds(&rig, VWL_TO_HOST, message(3, 0, "uu", 4u, PAGE), &fd, 1);
    g_byte_array_unref(take(&rig, VWL_TO_HOST));
    pass(&rig, VWL_TO_HOST, 4, 0, "uuuuuu", 5u, 0u, 16384u, 1u, 65536u, 0u);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, 4, 0, "uuuuuu", 6u, 0u, 1u, 16385u,
                         4u, 0u),
                    ==, -EPROTO);
    expect_error(&rig, 4, 3, "larger than allowed");
    rig_finish(&rig);
}

/* Each goes with its message, however early it came. */
static void test_descriptors(void)
{
    GByteArray *data = g_byte_array_new(), *one;
    struct vwl_passed passed;
    struct policy_rig rig;
    int fds[28];

    rig_init(&rig, NULL);
    bind_shm(&rig);
    for (int i = 0; i < 28; i++) {
        fds[i] = 100 + i;
    }
    one = message(DISPLAY, 0, "u", 4u);
    g_byte_array_append(data, one->data, one->len);
    g_byte_array_unref(one);
    g_assert_cmpint(push_fds(&rig, VWL_TO_HOST, data, fds, 28), ==, 0);
    expect(&rig, VWL_TO_HOST, DISPLAY, 0, "u", 4u);
    g_assert_cmpuint(rig.got->len, ==, 0);
    data = g_byte_array_new();
    for (uint32_t i = 0; i < 28; i++) {
        one = message(3, 0, "uu", 5 + i, PAGE);
        g_byte_array_append(data, one->data, one->len);
        g_byte_array_unref(one);
    }
    g_assert_cmpint(push_fds(&rig, VWL_TO_HOST, data, NULL, 0), ==, 0);
    passed = vwl_filter_passed(rig.filter, VWL_TO_HOST);
    g_assert_cmpuint(passed.n_fds, ==, 28);
    for (unsigned int i = 0; i < 28; i++) {
        g_assert_cmpint(passed.fds[i].fd, ==, 100 + (int)i);
        g_assert_cmpuint(passed.fds[i].at, ==, 16 * i);
    }
    g_byte_array_unref(take(&rig, VWL_TO_HOST));
    g_assert_cmpuint(rig.closed->len, ==, 0);
    rig_finish(&rig);
}

static void test_surplus(void)
{
    struct policy_rig rig;
    int fds[29];

    for (int i = 0; i < 29; i++) {
        fds[i] = 100 + i;
    }
    rig_init(&rig, NULL);
    g_assert_cmpint(push_fds(&rig, VWL_TO_HOST, message(DISPLAY, 0, "u", 2u),
                             fds, 28),
                    ==, 0);
    g_byte_array_unref(take(&rig, VWL_TO_HOST));
    g_assert_cmpint(push_fds(&rig, VWL_TO_HOST, message(DISPLAY, 0, "u", 3u),
                             fds, 1),
                    ==, -EPROTO);
    g_byte_array_unref(take(&rig, VWL_TO_HOST));
    expect_error(&rig, DISPLAY, 3, "29 descriptors that belong to no message");
    g_assert_cmpuint(rig.closed->len, ==, 29);
    rig_finish(&rig);

    /* and a message that lacks its own */
    rig_init(&rig, NULL);
    bind_shm(&rig);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, 3, 0, "uu", 4u, PAGE), ==, -EPROTO);
    expect_error(&rig, 3, 1, "wl_shm.create_pool: its arguments");
    rig_finish(&rig);
}

/* Events to an object that its client has destroyed keep their descriptors. */
static void test_zombie(void)
{
    static const int fd = 7;
    struct policy_rig rig;

    rig_init(&rig, NULL);
    announce(&rig, (const char *const[]){ "wl_seat", NULL }, 5);
    pass(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", 1u, "wl_seat", 5u, 3u);
    pass(&rig, VWL_TO_HOST, 3, 1, "u", 4u); /* get_keyboard */
    pass(&rig, VWL_TO_HOST, 4, 0, "");      /* release */
    g_assert_cmpint(push_fds(&rig, VWL_TO_GUEST, message(4, 0, "uu", 1u, 9u),
                             &fd, 1),
                    ==, 0);
    expect(&rig, VWL_TO_GUEST, 4, 0, "uu", 1u, 9u);
    g_assert_cmpuint(rig.got->len, ==, 1);
    pass(&rig, VWL_TO_GUEST, DISPLAY, 1, "u", 4u);
    /* now nobody knows it */
    g_assert_cmpint(push(&rig, VWL_TO_GUEST, 4, 2, "uu", 1u, 2u), ==, 0);
    expect_nothing(&rig, VWL_TO_GUEST);
    pass(&rig, VWL_TO_HOST, DISPLAY, 0, "u", 4u);
    rig_finish(&rig);
}

static void test_limits(void)
{
    struct vwl_socket_policy policy = { .size = sizeof policy,
                                        .max_surfaces = 2,
                                        .max_objects = 16 };
    struct policy_rig rig;

    rig_init(&rig, &policy);
    announce(&rig, usual, 3);
    pass(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", 1u, "wl_compositor", 3u, 3u);
    pass(&rig, VWL_TO_HOST, 3, 0, "u", 4u);
    pass(&rig, VWL_TO_HOST, 3, 0, "u", 5u);
    pass(&rig, VWL_TO_HOST, 5, 0, "");
    pass(&rig, VWL_TO_GUEST, DISPLAY, 1, "u", 5u);
    pass(&rig, VWL_TO_HOST, 3, 0, "u", 5u);
    for (uint32_t id = 6; id < 16; id++) {
        pass(&rig, VWL_TO_HOST, DISPLAY, 0, "u", id);
    }
    g_assert_cmpint(push(&rig, VWL_TO_HOST, DISPLAY, 0, "u", 16u), ==, -EPROTO);
    expect_error(&rig, DISPLAY, 2, "16 objects are too many");
    rig_finish(&rig);

    rig_init(&rig, &policy);
    announce(&rig, usual, 3);
    pass(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", 1u, "wl_compositor", 3u, 3u);
    pass(&rig, VWL_TO_HOST, 3, 0, "u", 4u);
    pass(&rig, VWL_TO_HOST, 3, 0, "u", 5u);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, 3, 0, "u", 6u), ==, -EPROTO);
    expect_error(&rig, DISPLAY, 2, "more than 2 objects wl_surface");
    rig_finish(&rig);
}

/* Buffers that the server numbers count, from when they are asked for until
 * they are destroyed. */
static void test_server_buffers(void)
{
    struct vwl_socket_policy policy = { .size = sizeof policy,
                                        .max_buffers = 2 };
    struct policy_rig rig;

    rig_init(&rig, &policy);
    announce(&rig, (const char *const[]){ "zwp_linux_dmabuf_v1", NULL }, 3);
    pass(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", 1u, "zwp_linux_dmabuf_v1", 3u,
         3u);
    for (uint32_t params = 4; params < 8; params++) {
        pass(&rig, VWL_TO_HOST, 3, 1, "u", params);
    }
    pass(&rig, VWL_TO_HOST, 4, 2, "uuuu", 1u, 1u, 1u, 0u);
    pass(&rig, VWL_TO_HOST, 5, 2, "uuuu", 1u, 1u, 1u, 0u);
    pass(&rig, VWL_TO_GUEST, 5, 1, ""); /* failed */
    pass(&rig, VWL_TO_HOST, 6, 2, "uuuu", 1u, 1u, 1u, 0u);
    pass(&rig, VWL_TO_GUEST, 4, 0, "u", SERVER_ID);
    pass(&rig, VWL_TO_GUEST, 6, 0, "u", SERVER_ID + 1);
    pass(&rig, VWL_TO_HOST, SERVER_ID, 0, ""); /* destroyed */
    pass(&rig, VWL_TO_HOST, 7, 2, "uuuu", 1u, 1u, 1u, 0u);
    pass(&rig, VWL_TO_GUEST, 7, 0, "u", SERVER_ID);
    pass(&rig, VWL_TO_HOST, 3, 1, "u", 8u);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, 8, 2, "uuuu", 1u, 1u, 1u, 0u), ==,
                    -EPROTO);
    expect_error(&rig, DISPLAY, 2, "more than 2 objects wl_buffer");
    rig_finish(&rig);
}

/* What is known of objects takes memory, which all connections share. */
static void test_memory(void)
{
    struct policy_rig rig = { 0 };
    uint32_t id = 2;

    rig_init(&rig, NULL);
    g_assert_cmpint(rig.charged, >, 0);
    rig.most = rig.charged + 4096;
    while (push(&rig, VWL_TO_HOST, DISPLAY, 0, "u", id) == 0) {
        g_assert_cmpuint(++id, <, 4096);
    }
    g_assert_cmpuint(id, >, 32);
    g_byte_array_unref(take(&rig, VWL_TO_HOST));
    expect_error(&rig, DISPLAY, 2, "objects are too many");
    rig_finish(&rig);
    g_assert_cmpint(rig.charged, ==, 0);
}

/* A compositor that breaks the protocol costs its own connection, without an
 * error of the guest's. */
static void test_compositor(void)
{
    struct policy_rig rig;

    rig_init(&rig, NULL);
    announce(&rig, usual, 3);
    g_assert_cmpint(push(&rig, VWL_TO_GUEST, DISPLAY, 9, ""), ==, -EBADMSG);
    expect_nothing(&rig, VWL_TO_GUEST);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, DISPLAY, 0, "u", 3u), ==, -EBADMSG);
    expect_nothing(&rig, VWL_TO_HOST);
    g_assert_nonnull(strstr(vwl_filter_why(rig.filter), "has no event 9"));
    rig_finish(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/literal", test_literal);
    g_test_add_func("/policy/between", test_between);
    g_test_add_func("/policy/hides", test_hides);
    g_test_add_func("/policy/binds", test_binds);
    g_test_add_func("/policy/registries", test_registries);
    g_test_add_func("/policy/reuse", test_reuse);
    g_test_add_func("/policy/framing", test_framing);
    g_test_add_func("/policy/long-messages", test_long_messages);
    g_test_add_func("/policy/since", test_since);
    g_test_add_func("/policy/pools", test_pools);
    g_test_add_func("/policy/growing-pools", test_growing_pools);
    g_test_add_func("/policy/sides", test_sides);
    g_test_add_func("/policy/descriptors", test_descriptors);
    g_test_add_func("/policy/surplus", test_surplus);
    g_test_add_func("/policy/zombie", test_zombie);
    g_test_add_func("/policy/limits", test_limits);
    g_test_add_func("/policy/server-buffers", test_server_buffers);
    g_test_add_func("/policy/memory", test_memory);
    g_test_add_func("/policy/compositor", test_compositor);
    return g_test_run();
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The message walker, the table and the object ids, by literal bytes. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "wayland/interfaces.h"
#include "wayland/objects.h"
#include "wayland/table.h"
#include "wayland/wire.h"

/* wl_registry.bind(7, "wl_shm", 1, new 5) on object 2: words as they are in
 * memory on a little-endian machine. */
static const uint8_t bind[] = {
    2,   0,   0,   0,   0,   0,   32, 0, 7, 0, 0, 0, 7, 0, 0, 0,
    'w', 'l', '_', 's', 'h', 'm', 0,  0, 1, 0, 0, 0, 5, 0, 0, 0,
};

static const struct wl_message *request(const char *iface, unsigned int op)
{
    const struct vwl_table_row *found = vwl_table_global(iface);

    g_assert_nonnull(found);
    return &found->iface->methods[op];
}

static const struct wl_message *bind_proto(void)
{
    return &wl_registry_interface.methods[0];
}

static void test_bind(void)
{
    struct vwl_wire_message msg;

    g_assert_cmpint(vwl_wire_size(bind, sizeof bind), ==, 32);
    g_assert_cmpint(vwl_wire_walk(bind_proto(), bind, sizeof bind, &msg), ==,
                    0);
    g_assert_cmpuint(msg.object, ==, 2);
    g_assert_cmpuint(msg.opcode, ==, 0);
    g_assert_cmpuint(msg.n_args, ==, 4);
    g_assert_cmpuint(msg.n_fds, ==, 0);
    g_assert_cmpint(msg.args[0].type, ==, 'u');
    g_assert_cmpuint(msg.args[0].value, ==, 7);
    g_assert_cmpint(msg.args[1].type, ==, 's');
    g_assert_cmpuint(msg.args[1].value, ==, 7);
    g_assert_cmpuint(msg.args[1].at, ==, 16);
    g_assert_cmpuint(msg.args[2].value, ==, 1);
    g_assert_cmpint(msg.args[3].type, ==, 'n');
    g_assert_cmpuint(msg.args[3].value, ==, 5);
    g_assert_cmpuint(msg.args[3].at, ==, 28);
    g_assert_null(msg.args[3].iface);
}

/* Every shorter length, said in the header or not, is refused. */
static void test_truncations(void)
{
    for (size_t len = 0; len < sizeof bind; len++) {
        uint8_t *copy = g_memdup2(bind, len + 1);
        struct vwl_wire_message msg, before;

        memset(&msg, 0xa5, sizeof msg);
        before = msg;
        g_assert_cmpint(vwl_wire_walk(bind_proto(), copy, len, &msg), ==,
                        -EBADMSG);
        if (len >= 8) {
            g_assert_cmpint(vwl_wire_size(copy, len), ==, 0);
            copy[6] = (uint8_t)len;
            g_assert_cmpint(vwl_wire_walk(bind_proto(), copy, len, &msg), ==,
                            -EBADMSG);
        } else {
            g_assert_cmpint(vwl_wire_size(copy, len), ==, 0);
        }
        g_assert_cmpmem(&msg, sizeof msg, &before, sizeof before);
        g_free(copy);
    }
}

static void refuse(size_t at, uint8_t value)
{
    uint8_t copy[sizeof bind + 4];
    struct vwl_wire_message msg;

    memset(copy, 0, sizeof copy);
    memcpy(copy, bind, sizeof bind);
    copy[at] = value;
    g_assert_cmpint(vwl_wire_walk(bind_proto(), copy, MAX(sizeof bind, copy[6]),
                                  &msg),
                    ==, -EBADMSG);
}

static void test_malformed(void)
{
    refuse(6, 33);  /* not of whole words */
    refuse(6, 4);   /* less than a header */
    refuse(6, 36);  /* more than the arguments */
    refuse(12, 0);  /* no string where one must be */
    refuse(12, 6);  /* that is not ended */
    refuse(12, 9);  /* that swallows the version */
    refuse(12, 33); /* longer than the message */
    refuse(15, 0xff);
    refuse(28, 0); /* a new object with id 0 */
}

static void test_nullable(void)
{
    /* wl_surface.attach(nil, 0, 0); wl_compositor.create_surface's type */
    const struct wl_interface *surface = request("wl_compositor", 0)->types[0];
    uint8_t attach[] = {
        3, 0, 0, 0, 1, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    };
    /* frame(new 0) may not be */
    uint8_t frame[] = { 3, 0, 0, 0, 3, 0, 12, 0, 0, 0, 0, 0 };
    struct vwl_wire_message msg;

    g_assert_cmpstr(surface->name, ==, "wl_surface");
    g_assert_cmpint(vwl_wire_walk(&surface->methods[1], attach, sizeof attach,
                                  &msg),
                    ==, 0);
    g_assert_cmpuint(msg.args[0].value, ==, 0);
    g_assert_cmpstr(msg.args[0].iface->name, ==, "wl_buffer");
    g_assert_cmpint(vwl_wire_walk(&surface->methods[3], frame, sizeof frame,
                                  &msg),
                    ==, -EBADMSG);
    g_assert_cmpuint(vwl_wire_since(&surface->methods[9]), ==, 4);
    g_assert_cmpuint(vwl_wire_since(&surface->methods[0]), ==, 1);
}

/* Any bytes at all, under every signature of the table. */
static void walk_all(const struct wl_message *protos, int n, GRand *rand)
{
    for (int i = 0; i < n; i++) {
        uint32_t words[64];
        struct vwl_wire_message msg;
        size_t size = 8 + 4 * (size_t)g_rand_int_range(rand, 0, 62);
        uint8_t *copy;

        for (unsigned int j = 0; j < 64; j++) {
            words[j] = g_rand_boolean(rand)
                           ? g_rand_int(rand)
                           : (uint32_t)g_rand_int_range(rand, 0, 64);
        }
        words[1] = (uint32_t)size << 16 | (uint32_t)i;
        copy = g_memdup2(words, size);
        if (vwl_wire_walk(&protos[i], copy, size, &msg) == 0) {
            for (unsigned int j = 0; j < msg.n_args; j++) {
                const struct vwl_wire_arg *a = &msg.args[j];

                g_assert_cmpuint(a->at, <=, size);
                if (a->type == 's' || a->type == 'a') {
                    g_assert_cmpuint(a->value, <=, size - a->at);
                }
            }
        }
        g_free(copy);
    }
}

static void collect(GHashTable *seen, const struct wl_interface *iface)
{
    if (iface == NULL || !g_hash_table_add(seen, (gpointer)iface)) {
        return;
    }
    for (int side = 0; side < 2; side++) {
        int n = side ? iface->event_count : iface->method_count;
        const struct wl_message *m = side ? iface->events : iface->methods;

        for (int i = 0; i < n; i++) {
            unsigned int arg = 0;

            for (const char *s = m[i].signature; *s != '\0'; s++) {
                if (strchr("iufsonah", *s) != NULL) {
                    collect(seen, m[i].types != NULL ? m[i].types[arg] : NULL);
                    arg++;
                }
            }
        }
    }
}

static GHashTable *everything(void)
{
    GHashTable *seen = g_hash_table_new(NULL, NULL);

    collect(seen, &wl_display_interface);
    for (unsigned int i = 0; vwl_table_row(i) != NULL; i++) {
        collect(seen, vwl_table_row(i)->iface);
    }
    return seen;
}

static void test_random(void)
{
    GRand *rand = g_rand_new_with_seed(4711);
    GHashTable *seen = everything();
    GHashTableIter iter;
    gpointer key;

    for (unsigned int round = 0; round < 200; round++) {
        g_hash_table_iter_init(&iter, seen);
        while (g_hash_table_iter_next(&iter, &key, NULL)) {
            const struct wl_interface *iface = key;

            walk_all(iface->methods, iface->method_count, rand);
            walk_all(iface->events, iface->event_count, rand);
        }
    }
    g_hash_table_unref(seen);
    g_rand_free(rand);
}

/* The relay knows what each descriptor of the table is; a row with one that
 * it does not know must not slip in. */
static void test_descriptors(void)
{
    static const char *const known[] = {
        "wl_shm.create_pool",
        "wl_data_offer.receive",
        "wl_data_source.send",
        "wl_keyboard.keymap",
        "zwp_primary_selection_offer_v1.receive",
        "zwp_primary_selection_source_v1.send",
        "zwp_linux_buffer_params_v1.add",
        "zwp_linux_dmabuf_feedback_v1.format_table",
        "zwp_linux_surface_synchronization_v1.set_acquire_fence",
        "zwp_linux_buffer_release_v1.fenced_release",
        "wp_image_description_creator_icc_v1.set_icc_file",
        "wp_image_description_info_v1.icc_file",
        NULL,
    };
    GHashTable *seen = everything();
    GHashTableIter iter;
    gpointer key;
    unsigned int n = 0;

    g_hash_table_iter_init(&iter, seen);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        const struct wl_interface *iface = key;

        for (int i = 0; i < iface->method_count + iface->event_count; i++) {
            const struct wl_message
                *m = i < iface->method_count
                         ? &iface->methods[i]
                         : &iface->events[i - iface->method_count];
            char *name;

            if (strchr(m->signature, 'h') == NULL) {
                continue;
            }
            name = g_strdup_printf("%s.%s", iface->name, m->name);
            g_assert_true(g_strv_contains(known, name));
            g_free(name);
            n++;
        }
    }
    g_assert_cmpuint(n, ==, G_N_ELEMENTS(known) - 1);
    g_hash_table_unref(seen);
}

static void test_offered(void)
{
    static const char *const offered[] = {
        "wl_compositor",
        "wl_shm",
        "wl_seat",
        "wl_output",
        "xdg_wm_base",
        "wp_viewporter",
        "zwp_tablet_manager_v2",
        "xdg_activation_v1",
        "zxdg_decoration_manager_v1",
        "wp_single_pixel_buffer_manager_v1",
        "zwp_linux_dmabuf_v1",
        "zwp_linux_explicit_synchronization_v1",
        "org_kde_kwin_server_decoration_manager",
        "zwp_text_input_manager_v2",
        "wp_cursor_shape_manager_v1",
        "wl_fixes",
    };
    static const char *const hidden[] = {
        "wl_drm",
        "zwlr_screencopy_manager_v1",
        "ext_session_lock_manager_v1",
        "wl_registry",
        "wl_surface",
        "",
    };

    for (unsigned int i = 0; i < G_N_ELEMENTS(offered); i++) {
        g_assert_nonnull(vwl_table_global(offered[i]));
    }
    for (unsigned int i = 0; i < G_N_ELEMENTS(hidden); i++) {
        g_assert_null(vwl_table_global(hidden[i]));
    }
}

/* No row promises messages that its interface does not have, nor ones that
 * this project was not written for. */
static void test_versions(void)
{
    const struct vwl_table_row *row;

    for (unsigned int i = 0; (row = vwl_table_row(i)) != NULL; i++) {
        uint32_t version = vwl_table_version(row);

        g_assert_cmpuint(version, >=, 1);
        g_assert_cmpuint(version, <=, row->version);
        g_assert_cmpuint(version, <=, (uint32_t)row->iface->version);
        g_assert_true(vwl_table_global(row->iface->name) == row);
    }
    row = &(const struct vwl_table_row){ .iface = &wl_compositor_interface,
                                         .version = 2 };
    g_assert_cmpuint(vwl_table_version(row), ==, 2);
    row = &(const struct vwl_table_row){ .iface = &wl_compositor_interface,
                                         .version = 1000 };
    g_assert_cmpuint(vwl_table_version(row), ==,
                     (uint32_t)wl_compositor_interface.version);
}

static unsigned int freed;

static void on_freed(void *opaque, struct vwl_object *object)
{
    freed++;
}

static const void *role_of(const struct wl_interface *iface)
{
    return iface == &wl_shm_interface ? "shm" : NULL;
}

static void test_objects(void)
{
    static const struct vwl_objects_ops ops = {
        .role = role_of,
        .freed = on_freed,
    };
    const struct wl_interface *shm = &wl_shm_interface;
    struct vwl_objects o;
    struct vwl_object *own, *a;

    freed = 0;
    vwl_objects_init(&o, &ops, NULL);
    g_assert_null(vwl_objects_client(&o, 1)->role);
    own = vwl_objects_new(&o, shm, 1, 0, true);
    g_assert_cmpuint(own->host_id, ==, 2);
    g_assert_cmpstr(own->role, ==, "shm");
    /* dense, and not twice */
    g_assert_false(vwl_objects_may_use(&o, 0));
    g_assert_false(vwl_objects_may_use(&o, 1));
    g_assert_false(vwl_objects_may_use(&o, 3));
    g_assert_false(vwl_objects_may_use(&o, VWL_SERVER_IDS));
    a = vwl_objects_new(&o, shm, 1, 2, true);
    g_assert_cmpuint(a->host_id, ==, 3);
    g_assert_null(vwl_objects_new(&o, shm, 1, 2, true));
    g_assert_true(vwl_objects_client(&o, 2) == a);
    g_assert_true(vwl_objects_host(&o, 3) == a);
    /* an id of the host's is used again when it was freed, not before */
    vwl_objects_drop_host(&o, own);
    g_assert_cmpuint(freed, ==, 1);
    own = vwl_objects_new(&o, shm, 1, 0, true);
    g_assert_cmpuint(own->host_id, ==, 2);
    vwl_objects_drop_host(&o, a);
    g_assert_cmpuint(freed, ==, 1);
    vwl_objects_drop_client(&o, a);
    g_assert_cmpuint(freed, ==, 2);
    /* those of the server replace each other */
    g_assert_null(vwl_objects_new_server(&o, shm, 1, 7));
    g_assert_null(vwl_objects_new_server(&o, shm, 1, VWL_SERVER_IDS + 1));
    g_assert_nonnull(vwl_objects_new_server(&o, shm, 1, VWL_SERVER_IDS));
    g_assert_nonnull(vwl_objects_new_server(&o, shm, 1, VWL_SERVER_IDS));
    g_assert_cmpuint(freed, ==, 3);
    vwl_objects_finish(&o);
    g_assert_cmpuint(freed, ==, 6);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wayland/wire/bind", test_bind);
    g_test_add_func("/wayland/wire/truncations", test_truncations);
    g_test_add_func("/wayland/wire/malformed", test_malformed);
    g_test_add_func("/wayland/wire/nullable", test_nullable);
    g_test_add_func("/wayland/wire/random", test_random);
    g_test_add_func("/wayland/table/descriptors", test_descriptors);
    g_test_add_func("/wayland/table/offered", test_offered);
    g_test_add_func("/wayland/table/versions", test_versions);
    g_test_add_func("/wayland/objects", test_objects);
    return g_test_run();
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A side of the channel that says anything, in pieces of any size. What the
 * parser gives is what the encoder would say, byte for byte; two parsers agree
 * whatever the pieces are; after the first refusal nothing comes any more; and
 * each string, cleaned, is fit to be shown.
 */
#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "channel/parser.h"
#include "channel/text.h"
#include "fuzz.h"

#define MAX_OPS 48

struct channel_world {
    struct fuzz_input in;
    enum vwl_side from;
    struct vwl_parser *parser, *twin;
    GByteArray *said, *heard; /* heard: what was accepted, encoded anew */
    GByteArray *twin_heard;
    bool over;
};

/* ---- what must hold ----------------------------------------------------- */

static void check_text(const char *text)
{
    char *fit = vwl_text(text, 20), *again = vwl_text(fit, 20);

    fuzz_check(g_utf8_validate(fit, -1, NULL));
    fuzz_check(g_utf8_strlen(fit, -1) <= 20);
    fuzz_check(g_str_equal(fit, again));
    for (const char *at = fit; *at; at++) {
        fuzz_check((unsigned char)*at >= ' ' && *at != '\x7f');
    }
    g_free(fit);
    g_free(again);
}

static void check_exec(const struct vwl_frame *frame)
{
    GByteArray *out = g_byte_array_new(), *same = g_byte_array_new();
    struct vwl_exec exec;

    fuzz_check(vwl_frame_exec(frame, &exec));
    fuzz_check(exec.argc > 0);
    fuzz_check(vwl_frame_put_exec(out, frame->job, &exec));
    fuzz_check(vwl_frame_encode(same, VWL_SIDE_HOST, frame));
    fuzz_check(out->len == same->len &&
               memcmp(out->data, same->data, out->len) == 0);
    g_byte_array_unref(out);
    g_byte_array_unref(same);
}

/* Takes all frames; whether there will be more. */
static bool drain(struct channel_world *world, struct vwl_parser *parser,
                  GByteArray *heard)
{
    struct vwl_frame frame;
    int status;

    while ((status = vwl_parser_next(parser, &frame)) > 0) {
        fuzz_check(vwl_frame_encode(heard, world->from, &frame));
        for (size_t i = 0; i < frame.n_strings; i++) {
            check_text(frame.strings[i]);
        }
        if (frame.type == VWL_FRAME_EXEC) {
            check_exec(&frame);
        }
        for (unsigned int i = 0; i < VWL_EXEC_FDS; i++) {
            fuzz_check((frame.fds[i] >= 0) == (frame.type == VWL_FRAME_EXEC));
            fuzz_close(&frame.fds[i]);
        }
    }
    fuzz_check(status == 0 || status == -EPROTO);
    fuzz_check((status == 0) == (vwl_parser_why(parser)[0] == '\0'));
    return status == 0;
}

static void check(struct channel_world *world)
{
    const GByteArray *heard = world->heard, *twin = world->twin_heard;

    fuzz_check(heard->len <= world->said->len);
    fuzz_check(memcmp(heard->data, world->said->data, heard->len) == 0);
    fuzz_check(twin->len == heard->len);
    fuzz_check(memcmp(twin->data, heard->data, heard->len) == 0);
}

static void say(struct channel_world *world, const void *data, size_t len,
                unsigned int n_fds)
{
    size_t piece = 1 + pick(&world->in, 64);
    bool more = true;
    int fds[4], twins[4];

    for (unsigned int i = 0; i < n_fds; i++) {
        fds[i] = fuzz_memfd(1);
        twins[i] = fuzz_memfd(1);
    }
    g_byte_array_append(world->said, data, (guint)len);
    vwl_parser_feed(world->parser, data, len, fds, n_fds);
    vwl_parser_feed(world->twin, data, 0, twins, n_fds);
    for (size_t at = 0; at < len; at += piece) {
        vwl_parser_feed(world->twin, (const uint8_t *)data + at,
                        MIN(piece, len - at), NULL, 0);
        more = drain(world, world->twin, world->twin_heard);
    }
    fuzz_check(drain(world, world->parser, world->heard) == more || len == 0);
    fuzz_check(!world->over || !more || len == 0);
    world->over |= !more;
    check(world);
}

/* ---- what is said ------------------------------------------------------- */

static void put_string(struct channel_world *world, GByteArray *out)
{
    static const char *const strings[] = {
        "1",
        "0",
        "64",
        "128",
        "256",
        "2",
        "15",
        "65535",
        "4294967296",
        "foot",
        "org.a.B",
        "../x",
        "",
        "A=B",
        "https://a.example",
        "\xe2\x80\xae",
        "\x1b[m",
        "a\nExec=b",
        "\xff",
    };
    char text[40] = { 0 };

    if (take8(&world->in) >= 0xe0) {
        take_bytes(&world->in, text, sizeof text - 1);
        g_byte_array_append(out, (guint8 *)text, (guint)strlen(text) + 1);
    } else {
        const char *one = strings[pick(&world->in, G_N_ELEMENTS(strings))];

        g_byte_array_append(out, (const guint8 *)one, (guint)strlen(one) + 1);
    }
}

static void put_pixels(GByteArray *out, size_t side, unsigned int odd)
{
    guint8 *pixels = g_malloc0(side * side * 4 + 1);

    g_byte_array_append(out, pixels, (guint)(side * side * 4 + odd));
    g_free(pixels);
}

static void put_head(GByteArray *out, uint32_t len, uint16_t type, uint16_t job)
{
    out->data[0] = (guint8)len;
    out->data[1] = (guint8)(len >> 8);
    out->data[2] = (guint8)(len >> 16);
    out->data[3] = (guint8)(len >> 24);
    out->data[4] = (guint8)type;
    out->data[5] = (guint8)(type >> 8);
    out->data[6] = (guint8)job;
    out->data[7] = (guint8)(job >> 8);
}

/* Any type with any strings. */
static void op_frame(struct channel_world *world)
{
    GByteArray *out = g_byte_array_new();
    unsigned int type = pick(&world->in, 16), n = pick(&world->in, 8);
    uint8_t odd = take8(&world->in);

    g_byte_array_set_size(out, VWL_FRAME_HEAD_BYTES);
    while (n-- > 0) {
        put_string(world, out);
    }
    if (type == VWL_FRAME_ICON) {
        put_pixels(out, 64, odd >= 0xf0);
    }
    put_head(out,
             odd == 0xff ? take32(&world->in) : out->len - VWL_FRAME_HEAD_BYTES,
             (uint16_t)type, (uint16_t)pick(&world->in, 3));
    say(world, out->data, out->len, odd >= 0xe8 ? pick(&world->in, 4) : 0);
    g_byte_array_unref(out);
}

/* As the encoder would. */
static void op_right(struct channel_world *world)
{
    GByteArray *out = g_byte_array_new();
    unsigned int type = 1 + pick(&world->in, VWL_N_FRAMES - 1);
    bool host = world->from == VWL_SIDE_HOST;
    static const char *const argv[] = { "sh", "-c", "" }, *env[] = { "A=" };
    const struct vwl_exec exec = { .argv = argv,
                                   .argc = 1 + pick(&world->in, 3),
                                   .env = env,
                                   .n_env = pick(&world->in, 2) };

    if (type == VWL_FRAME_HELLO) {
        vwl_frame_put(out, world->from, VWL_FRAME_HELLO, 0, "1", "x", "y",
                      host ? "7" : "/h", NULL);
    } else if (type == VWL_FRAME_APP) {
        vwl_frame_put(out, world->from, VWL_FRAME_APP, 0, "a", "b", "c", "d",
                      "e", "f", NULL);
    } else if (host && type == VWL_FRAME_EXEC) {
        vwl_frame_put_exec(out, 1, &exec);
    } else {
        vwl_frame_put(out, world->from, (enum vwl_frame_type)type, host ? 1 : 0,
                      "1", NULL);
    }
    say(world, out->data, out->len,
        host && type == VWL_FRAME_EXEC ? VWL_EXEC_FDS : 0);
    g_byte_array_unref(out);
}

static void op_bytes(struct channel_world *world)
{
    uint8_t data[64];
    size_t len = take_bytes(&world->in, data, sizeof data);

    say(world, data, len, 0);
}

static void world_init(struct channel_world *world, const uint8_t *data,
                       size_t size)
{
    *world = (struct channel_world){ .in = { data, size } };
    world->from = take8(&world->in) & 1 ? VWL_SIDE_GUEST : VWL_SIDE_HOST;
    world->parser = vwl_parser_create(world->from);
    world->twin = vwl_parser_create(world->from);
    world->said = g_byte_array_sized_new(64);
    world->heard = g_byte_array_sized_new(64);
    world->twin_heard = g_byte_array_sized_new(64);
}

static void world_finish(struct channel_world *world)
{
    vwl_parser_destroy(world->parser);
    vwl_parser_destroy(world->twin);
    g_byte_array_unref(world->said);
    g_byte_array_unref(world->heard);
    g_byte_array_unref(world->twin_heard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channel_world world;

    fuzz_begin();
    world_init(&world, data, size);
    for (unsigned int i = 0; i < MAX_OPS && world.in.left > 0; i++) {
        switch (pick(&world.in, 4)) {
        case 0:
            op_bytes(&world);
            break;
        case 1:
            op_right(&world);
            break;
        default:
            op_frame(&world);
            break;
        }
    }
    world_finish(&world);
    fuzz_end();
    return 0;
}

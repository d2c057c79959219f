/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "frame.h"

/*
 * A letter for each string:
 *   1  the version          t  any text        i  a program's id
 *   n  a number             c  rows, columns   p  an icon's side in pixels
 *   s  a signal             x  an exit status  u  an urgency
 *   *  what EXEC has
 */
struct rule {
    const char *fields; /* NULL: that side does not send it */
    size_t cap;
    bool job;
};

/* clang-format off */
static const struct rule rules[][VWL_N_FRAMES] = {
    [VWL_SIDE_HOST] = {
        [VWL_FRAME_HELLO] = { "1ttn", VWL_MAX_HELLO_BYTES, false },
        [VWL_FRAME_LIST] = { "", 0, false },
        [VWL_FRAME_LAUNCH] = { "it", VWL_MAX_LAUNCH_BYTES, true },
        [VWL_FRAME_EXEC] = { "*", VWL_MAX_EXEC_BYTES, true },
        [VWL_FRAME_SIGNAL] = { "s", VWL_MAX_NUMBERS_BYTES, true },
        [VWL_FRAME_RESIZE] = { "cc", VWL_MAX_NUMBERS_BYTES, true },
        [VWL_FRAME_CLOSE] = { "n", VWL_MAX_NUMBERS_BYTES, false },
    },
    [VWL_SIDE_GUEST] = {
        [VWL_FRAME_HELLO] = { "1ttt", VWL_MAX_HELLO_BYTES, false },
        [VWL_FRAME_APP] = { "ittttt", VWL_MAX_APP_BYTES, false },
        [VWL_FRAME_ICON] = { "ipp", VWL_MAX_FRAME_BYTES, false },
        [VWL_FRAME_DONE] = { "n", VWL_MAX_NUMBERS_BYTES, false },
        [VWL_FRAME_ANSWER] = { "xt", VWL_MAX_ANSWER_BYTES, true },
        [VWL_FRAME_OPEN] = { "t", VWL_MAX_OPEN_BYTES, false },
        [VWL_FRAME_NOTIFY] = { "nttu", VWL_MAX_NOTIFY_BYTES, false },
        [VWL_FRAME_CLOSE] = { "n", VWL_MAX_NUMBERS_BYTES, false },
    },
};

static const char *const names[VWL_N_FRAMES] = {
    "?", "HELLO", "LIST", "APP", "ICON", "DONE", "LAUNCH", "EXEC", "SIGNAL",
    "RESIZE", "ANSWER", "OPEN", "NOTIFY", "CLOSE",
};
/* clang-format on */

#define EXEC_TTY 1u

const char *vwl_frame_name(unsigned int type)
{
    return type < VWL_N_FRAMES ? names[type] : names[0];
}

static const struct rule *rule_of(enum vwl_side from, unsigned int type)
{
    const struct rule *rule = type < VWL_N_FRAMES ? &rules[from][type] : NULL;

    return rule && rule->fields ? rule : NULL;
}

const char *vwl_frame_cap(enum vwl_side from, unsigned int type, size_t *cap)
{
    const struct rule *rule = rule_of(from, type);

    if (!rule) {
        return "a type that this side does not send";
    }
    *cap = rule->cap;
    return NULL;
}

bool vwl_frame_is_id(const char *text)
{
    size_t len = strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_.-");

    return len > 0 && len <= VWL_MAX_ID_CHARS && text[len] == '\0' &&
           text[0] != '.' && !strstr(text, "..");
}

/* Digits alone, no zero before others. */
static bool to_number(const char *text, guint64 max, guint64 *value)
{
    if (!g_ascii_isdigit(text[0]) || (text[0] == '0' && text[1] != '\0')) {
        return false;
    }
    return g_ascii_string_to_unsigned(text, 10, 0, max, value, NULL);
}

static bool is_signal(guint64 number)
{
    return number == SIGHUP || number == SIGINT || number == SIGQUIT ||
           number == SIGKILL || number == SIGTERM;
}

static bool is_field(char kind, const char *text)
{
    guint64 number;

    switch (kind) {
    case '1':
        return strcmp(text, VWL_CHANNEL_VERSION) == 0;
    case 'i':
        return vwl_frame_is_id(text);
    case 'n':
        return to_number(text, G_MAXUINT32, &number);
    case 'c':
        return to_number(text, G_MAXUINT16, &number);
    case 'p':
        return to_number(text, VWL_MAX_ICON_PIXELS, &number) &&
               (number == 64 || number == 128 || number == 256);
    case 's':
        return to_number(text, 64, &number) && is_signal(number);
    case 'x':
        return to_number(text, 255, &number);
    case 'u':
        return to_number(text, 2, &number);
    default:
        return true;
    }
}

static const char *icon_wrong(const struct vwl_frame *frame)
{
    size_t side = vwl_frame_number(frame, VWL_ICON_WIDTH);

    if (side != vwl_frame_number(frame, VWL_ICON_HEIGHT)) {
        return "an icon that is no square";
    }
    return frame->n_pixel_bytes == side * side * 4
               ? NULL
               : "more or fewer bytes than pixels";
}

const char *vwl_frame_wrong(enum vwl_side from, const struct vwl_frame *frame)
{
    const struct rule *rule = rule_of(from, frame->type);
    struct vwl_exec exec;

    if (!rule) {
        return "a type that this side does not send";
    }
    if (rule->job != (frame->job != 0)) {
        return rule->job ? "no job" : "a job";
    }
    if (frame->type == VWL_FRAME_EXEC) {
        return vwl_frame_exec(frame, &exec) ? NULL : "not a program to run";
    }
    if (frame->n_strings != strlen(rule->fields)) {
        return "a wrong number of strings";
    }
    for (size_t i = 0; i < frame->n_strings; i++) {
        if (!is_field(rule->fields[i], frame->strings[i])) {
            return "a string that is not what its place wants";
        }
    }
    return frame->type == VWL_FRAME_ICON ? icon_wrong(frame) : NULL;
}

uint32_t vwl_frame_number(const struct vwl_frame *frame, size_t index)
{
    guint64 number = 0;

    to_number(frame->strings[index], G_MAXUINT32, &number);
    return (uint32_t)number;
}

/* ---- EXEC --------------------------------------------------------------- */

enum { AT_FLAGS, AT_ROWS, AT_COLUMNS, AT_USER, AT_FOLDER, AT_ARGC, AT_ARGV };

/* A number of strings and the strings. Moves *at behind them. */
static bool take_list(const struct vwl_frame *frame, size_t *at,
                      const char *const **list, size_t *n)
{
    guint64 number;

    if (*at >= frame->n_strings ||
        !to_number(frame->strings[*at], frame->n_strings - *at - 1, &number)) {
        return false;
    }
    *list = frame->strings + *at + 1;
    *n = (size_t)number;
    *at += 1 + *n;
    return true;
}

bool vwl_frame_exec(const struct vwl_frame *frame, struct vwl_exec *exec)
{
    const char *const *strings = frame->strings;
    guint64 flags, rows, columns;
    size_t at = AT_ARGC;

    if (frame->type != VWL_FRAME_EXEC || frame->n_strings <= AT_ARGV ||
        !to_number(strings[AT_FLAGS], EXEC_TTY, &flags) ||
        !to_number(strings[AT_ROWS], G_MAXUINT16, &rows) ||
        !to_number(strings[AT_COLUMNS], G_MAXUINT16, &columns)) {
        return false;
    }
    *exec = (struct vwl_exec){
        .tty = flags & EXEC_TTY,
        .rows = (uint16_t)rows,
        .columns = (uint16_t)columns,
        .user = strings[AT_USER],
        .folder = strings[AT_FOLDER],
    };
    if (!take_list(frame, &at, &exec->argv, &exec->argc) ||
        !take_list(frame, &at, &exec->env, &exec->n_env) ||
        at != frame->n_strings || exec->argc == 0 || exec->argv[0][0] == '\0') {
        return false;
    }
    for (size_t i = 0; i < exec->n_env; i++) {
        if (strcspn(exec->env[i], "=") == 0 || !strchr(exec->env[i], '=')) {
            return false;
        }
    }
    return true;
}

bool vwl_frame_put_exec(GByteArray *out, uint16_t job,
                        const struct vwl_exec *exec)
{
    g_autoptr(GPtrArray) strings = g_ptr_array_new();
    g_autofree char *rows = g_strdup_printf("%u", exec->rows);
    g_autofree char *columns = g_strdup_printf("%u", exec->columns);
    g_autofree char *argc = g_strdup_printf("%zu", exec->argc);
    g_autofree char *n_env = g_strdup_printf("%zu", exec->n_env);
    struct vwl_frame frame = { .type = VWL_FRAME_EXEC, .job = job };

    g_ptr_array_add(strings, (char *)(exec->tty ? "1" : "0"));
    g_ptr_array_add(strings, rows);
    g_ptr_array_add(strings, columns);
    g_ptr_array_add(strings, (char *)(exec->user ? exec->user : ""));
    g_ptr_array_add(strings, (char *)(exec->folder ? exec->folder : ""));
    g_ptr_array_add(strings, argc);
    for (size_t i = 0; i < exec->argc; i++) {
        g_ptr_array_add(strings, (char *)exec->argv[i]);
    }
    g_ptr_array_add(strings, n_env);
    for (size_t i = 0; i < exec->n_env; i++) {
        g_ptr_array_add(strings, (char *)exec->env[i]);
    }
    frame.strings = (const char *const *)strings->pdata;
    frame.n_strings = strings->len;
    return vwl_frame_encode(out, VWL_SIDE_HOST, &frame);
}

/* ---- the encoder -------------------------------------------------------- */

static bool is_sayable(enum vwl_side from, const struct vwl_frame *frame,
                       size_t *len)
{
    size_t cap;

    if (vwl_frame_wrong(from, frame) ||
        vwl_frame_cap(from, frame->type, &cap) ||
        frame->n_strings > VWL_MAX_STRINGS) {
        return false;
    }
    *len = frame->n_pixel_bytes;
    for (size_t i = 0; i < frame->n_strings; i++) {
        if (!g_utf8_validate(frame->strings[i], -1, NULL)) {
            return false;
        }
        *len += strlen(frame->strings[i]) + 1;
    }
    return *len <= cap;
}

bool vwl_frame_encode(GByteArray *out, enum vwl_side from,
                      const struct vwl_frame *frame)
{
    guint8 head[VWL_FRAME_HEAD_BYTES];
    size_t len;

    if (!is_sayable(from, frame, &len)) {
        return false;
    }
    for (unsigned int i = 0; i < 4; i++) {
        head[i] = (guint8)(len >> (8 * i));
    }
    head[4] = (guint8)frame->type;
    head[5] = 0;
    head[6] = (guint8)frame->job;
    head[7] = (guint8)(frame->job >> 8);
    g_byte_array_append(out, head, sizeof head);
    for (size_t i = 0; i < frame->n_strings; i++) {
        g_byte_array_append(out, (const guint8 *)frame->strings[i],
                            (guint)strlen(frame->strings[i]) + 1);
    }
    if (frame->n_pixel_bytes != 0) {
        g_byte_array_append(out, frame->pixels, (guint)frame->n_pixel_bytes);
    }
    return true;
}

bool vwl_frame_put(GByteArray *out, enum vwl_side from,
                   enum vwl_frame_type type, unsigned int job, ...)
{
    const char *strings[8];
    struct vwl_frame frame = { .type = type,
                               .job = (uint16_t)job,
                               .strings = strings };
    va_list list;

    va_start(list, job);
    while (frame.n_strings < G_N_ELEMENTS(strings) &&
           (strings[frame.n_strings] = va_arg(list, const char *))) {
        frame.n_strings++;
    }
    va_end(list);
    return vwl_frame_encode(out, from, &frame);
}

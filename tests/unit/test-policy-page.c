/* SPDX-License-Identifier: BSD-3-Clause */
/* docs/security.md lists the globals, and the commands of PulseAudio, as the
 * tables have them. With --print: what has to stand there. */
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "policy/pulse/pulse.h"
#include "wayland/table.h"

#define BEGIN "<!-- the table of globals -->\n"
#define END "<!-- the end of the table -->\n"
#define PULSE_BEGIN "<!-- the table of commands -->\n"
#define PULSE_END "<!-- the end of the commands -->\n"
#define N_COMMANDS 256u

static void print_rows(GString *out, enum vwl_verdict verdict)
{
    const struct vwl_table_row *row;

    g_string_append(out, "| interface | version | what it gives |\n"
                         "|---|---|---|\n");
    for (unsigned int i = 0; (row = vwl_table_at(i)) != NULL; i++) {
        if (row->verdict != verdict) {
            continue;
        }
        g_string_append_printf(out, "| `%s` | ", row->name);
        if (row->iface) {
            g_string_append_printf(out, "%u", row->version);
        } else {
            g_string_append(out, "none yet");
        }
        g_string_append_printf(out, " | %s |\n", row->why);
    }
}

/* Those that one reason refuses, as a paragraph. */
static void print_reason(GString *out, const char *why)
{
    const struct vwl_table_row *row;
    size_t line = out->len;

    g_string_append_printf(out, "- %s:", why);
    for (unsigned int i = 0; (row = vwl_table_at(i)) != NULL; i++) {
        if (row->verdict != VWL_REFUSED || strcmp(row->why, why) != 0) {
            continue;
        }
        if (out->len - line + strlen(row->name) + 4 > 80) {
            g_string_append(out, "\n ");
            line = out->len - 1;
        }
        g_string_append_printf(out, " `%s`,", row->name);
    }
    g_string_truncate(out, out->len - 1);
    g_string_append(out, "\n");
}

static GString *print_table(void)
{
    GString *out = g_string_new("Allowed:\n\n");
    GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal);
    const struct vwl_table_row *row;

    print_rows(out, VWL_ALLOWED);
    g_string_append(out, "\nAsked, so off unless `--allow` names them:\n\n");
    print_rows(out, VWL_ASKED);
    g_string_append(out, "\nRefused:\n\n");
    for (unsigned int i = 0; (row = vwl_table_at(i)) != NULL; i++) {
        if (row->verdict == VWL_REFUSED &&
            g_hash_table_add(seen, (char *)(uintptr_t)row->why)) {
            print_reason(out, row->why);
        }
    }
    g_hash_table_unref(seen);
    return out;
}

/* Commands of the same verdict and reason, in one line each. */
static void print_commands(GString *out, bool refused, bool records)
{
    GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal);

    g_string_append(out, "| commands | what they give |\n|---|---|\n");
    for (uint32_t first = 0; first < N_COMMANDS; first++) {
        const struct pulse_command *row = pulse_command(first), *other;
        const char *comma = "";

        if (!row || row->rule == PULSE_IGNORED || row->records != records ||
            (row->rule == PULSE_REFUSED) != refused ||
            !g_hash_table_add(seen, (char *)(uintptr_t)row->why)) {
            continue;
        }
        g_string_append(out, "| ");
        for (uint32_t i = first; i < N_COMMANDS; i++) {
            other = pulse_command(i);
            if (other && other->records == records &&
                (other->rule == PULSE_REFUSED) == refused &&
                strcmp(other->why, row->why) == 0) {
                g_string_append_printf(out, "%s`%s`", comma, other->name);
                comma = ", ";
            }
        }
        g_string_append_printf(out, " | %s |\n", row->why);
    }
    g_hash_table_unref(seen);
}

static GString *print_pulse(void)
{
    GString *out = g_string_new("Allowed:\n\n");

    print_commands(out, false, false);
    g_string_append(out, "\nWith `record` alone:\n\n");
    print_commands(out, false, true);
    g_string_append(out, "\nRefused:\n\n");
    print_commands(out, true, false);
    return out;
}

/* It stands between these two lines; takes it. */
static void expect_part(const char *begin, const char *end, GString *table)
{
    g_autofree char *page = NULL;
    char *from, *to;

    g_assert_true(g_file_get_contents(VWL_SECURITY_PAGE, &page, NULL, NULL));
    from = strstr(page, begin);
    to = strstr(page, end);
    g_assert_true(from && to && from < to);
    *to = '\0';
    if (strcmp(from + strlen(begin), table->str) != 0) {
        g_test_message("docs/security.md is not what --print prints");
        g_test_fail();
    }
    g_string_free(table, TRUE);
}

static void test_page(void)
{
    expect_part(BEGIN, END, print_table());
}

static void test_pulse_page(void)
{
    expect_part(PULSE_BEGIN, PULSE_END, print_pulse());
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        GString *table = print_table(), *pulse = print_pulse();

        printf("%s\n%s", table->str, pulse->str);
        g_string_free(table, TRUE);
        g_string_free(pulse, TRUE);
        return 0;
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy-page/table", test_page);
    g_test_add_func("/policy-page/pulse", test_pulse_page);
    return g_test_run();
}

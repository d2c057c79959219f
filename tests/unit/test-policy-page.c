/* SPDX-License-Identifier: BSD-3-Clause */
/* docs/security.md lists the globals as the table has them. With --print: what
 * has to stand there. */
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "wayland/table.h"

#define BEGIN "<!-- the table of globals -->\n"
#define END "<!-- the end of the table -->\n"

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

static void test_page(void)
{
    g_autofree char *page = NULL;
    GString *table = print_table();
    char *begin, *end;

    g_assert_true(g_file_get_contents(VWL_SECURITY_PAGE, &page, NULL, NULL));
    begin = strstr(page, BEGIN);
    end = strstr(page, END);
    g_assert_true(begin && end && begin < end);
    *end = '\0';
    if (strcmp(begin + strlen(BEGIN), table->str) != 0) {
        g_test_message("docs/security.md is not what --print prints");
        g_test_fail();
    }
    g_string_free(table, TRUE);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        GString *table = print_table();

        fputs(table->str, stdout);
        g_string_free(table, TRUE);
        return 0;
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy-page/table", test_page);
    return g_test_run();
}

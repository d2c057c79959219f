/* SPDX-License-Identifier: BSD-3-Clause */
#include <json-glib/json-glib.h>

#include "bus/names.h"
#include "command.h"
#include "folders.h"
#include "given.h"
#include "machine.h"
#include "say.h"
#include "service.h"

/* What is known of a machine; without a service they are all off. */
struct row {
    char *name, *state, *system, *accelerator, *error;
    unsigned int memory, windows;
    gint64 since;
};

static void free_row(gpointer data)
{
    struct row *row = data;

    g_free(row->name);
    g_free(row->state);
    g_free(row->system);
    g_free(row->accelerator);
    g_free(row->error);
    g_free(row);
}

/* 0 where the machine does not run, or its device does not say. */
static unsigned int count_windows(VwlBusMachine *machine)
{
    GVariant *figures = NULL, *windows = NULL;
    unsigned int n = 0;

    if (vwl_bus_machine_get_since(machine) &&
        vwl_bus_machine_call_look_sync(machine, &figures, &windows, NULL,
                                       NULL)) {
        n = (unsigned int)g_variant_n_children(windows);
        g_variant_unref(figures);
        g_variant_unref(windows);
    }
    return n;
}

static struct row *ask(const char *name, GError **error)
{
    VwlBusMachine *machine = vwl_service_machine(name, error);
    struct row *row;

    if (!machine) {
        return NULL;
    }
    row = g_new0(struct row, 1);
    row->name = g_strdup(name);
    row->state = vwl_bus_machine_get_saved(machine) &&
                         !vwl_bus_machine_get_since(machine)
                     ? g_strdup("saved")
                     : vwl_bus_machine_dup_state(machine);
    row->system = vwl_bus_machine_dup_system(machine);
    row->accelerator = vwl_bus_machine_dup_accelerator(machine);
    row->error = vwl_bus_machine_dup_error(machine);
    row->memory = vwl_bus_machine_get_memory(machine);
    row->since = vwl_bus_machine_get_since(machine);
    row->windows = count_windows(machine);
    g_object_unref(machine);
    return row;
}

static char *since_text(gint64 since)
{
    GDateTime *time = g_date_time_new_from_unix_local(since);
    char *text = since && time ? g_date_time_format(time, "%F %H:%M")
                               : g_strdup("-");

    g_clear_pointer(&time, g_date_time_unref);
    return text;
}

static void print_table(GPtrArray *rows)
{
    if (rows->len == 0) {
        vwl_say("No machines. Create one: vwl create test");
        return;
    }
    g_print("%-16s %-9s %-8s %-8s %-17s %s\n", "NAME", "STATE", "MEMORY",
            "WINDOWS", "SINCE", "SYSTEM");
    for (guint i = 0; i < rows->len; i++) {
        struct row *row = rows->pdata[i];
        char *memory = row->memory ? g_strdup_printf("%u M", row->memory)
                                   : g_strdup("-");
        char *since = since_text(row->since);

        g_print("%-16s %-9s %-8s %-8u %-17s %s\n", row->name, row->state,
                memory, row->windows, since, row->system);
        g_free(since);
        g_free(memory);
    }
}

static void print_names(GPtrArray *rows)
{
    for (guint i = 0; i < rows->len; i++) {
        g_print("%s\n", ((struct row *)rows->pdata[i])->name);
    }
}

static void print_json(GPtrArray *rows)
{
    JsonBuilder *builder = json_builder_new();

    json_builder_begin_array(builder);
    for (guint i = 0; i < rows->len; i++) {
        struct row *row = rows->pdata[i];
        const char *const fields[][2] = { { "name", row->name },
                                          { "state", row->state },
                                          { "system", row->system },
                                          { "accelerator", row->accelerator },
                                          { "error", row->error } };

        json_builder_begin_object(builder);
        for (size_t j = 0; j < G_N_ELEMENTS(fields); j++) {
            json_builder_set_member_name(builder, fields[j][0]);
            json_builder_add_string_value(builder, fields[j][1]);
        }
        json_builder_set_member_name(builder, "memory");
        json_builder_add_int_value(builder, row->memory);
        json_builder_set_member_name(builder, "windows");
        json_builder_add_int_value(builder, row->windows);
        json_builder_set_member_name(builder, "since");
        json_builder_add_int_value(builder, row->since);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    vwl_print_json(builder);
    g_object_unref(builder);
}

static int run(int argc, char **argv)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func(free_row);
    char **names = vwl_folder_names();
    GError *error = NULL;

    for (size_t i = 0; names[i] && !error && !vwl_want_quiet; i++) {
        struct row *row = ask(names[i], &error);

        if (row) {
            g_ptr_array_add(rows, row);
        }
    }
    for (size_t i = 0; names[i] && vwl_want_quiet; i++) {
        struct row *row = g_new0(struct row, 1);

        row->name = g_strdup(names[i]);
        g_ptr_array_add(rows, row);
    }
    if (!error) {
        (vwl_want_quiet  ? print_names
         : vwl_want_json ? print_json
                         : print_table)(rows);
    }
    g_strfreev(names);
    g_ptr_array_unref(rows);
    return error ? vwl_complain(error) : VWL_STATUS_OK;
}

const struct vwl_command vwl_command_list = {
    .name = "list",
    .summary = "List the machines; with --quiet their names alone",
    .run = run,
};
